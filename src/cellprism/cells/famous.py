"""Genes that define a cell type: a model that does not know them cannot tell these cells apart."""

from collections.abc import Sequence

MARKS = {
    "beta cells": "INS IAPP", "alpha cells": "GCG TTR", "delta cells": "SST", "pancreatic polypeptide cells": "PPY",
    "acinar cells": "PRSS1 CPA1 CELA3A", "ductal cells": "KRT19 CFTR", "hepatocytes": "ALB APOA1 TF SERPINA1",
    "neurons": "RBFOX3 SNAP25 SYT1 MAP2", "excitatory neurons": "SLC17A7 SATB2", "inhibitory neurons": "GAD1 GAD2",
    "dopaminergic neurons": "TH", "astrocytes": "GFAP AQP4", "oligodendrocytes": "MBP PLP1 MOG", "microglia": "P2RY12",
    "cardiomyocytes": "TNNT2 MYH6 MYH7 NPPA", "skeletal muscle": "ACTA1 MYH2 CKM", "smooth muscle": "ACTA2 MYH11",
    "fibroblasts": "COL1A1 COL1A2 COL3A1 DCN", "endothelium": "PECAM1 VWF CDH5", "pericytes": "RGS5 PDGFRB",
    "epithelium": "EPCAM KRT8 KRT18", "keratinocytes": "KRT5 KRT14 KRT10", "melanocytes": "MLANA PMEL TYR",
    "alveolar cells": "SFTPC SFTPB AGER", "club cells": "SCGB1A1", "ciliated cells": "FOXJ1", "goblet cells": "MUC2",
    "enterocytes": "FABP1 FABP2", "kidney tubules": "UMOD LRP2 SLC12A1", "podocytes": "NPHS1 NPHS2",
    "adipocytes": "ADIPOQ LEP", "thyroid": "TG TPO", "pituitary": "GH1 PRL POMC", "photoreceptors": "RHO",
    "germ cells": "DDX4 PRM1 PRM2", "trophoblast": "CGA CSH1", "stem cells": "POU5F1 NANOG SOX2",
    "erythrocytes": "HBB HBA1 HBA2", "platelets": "PPBP PF4", "T cells": "CD3D CD3E TRAC", "helper T cells": "CD4",
    "cytotoxic T cells": "CD8A CD8B", "regulatory T cells": "FOXP3", "B cells": "MS4A1 CD79A CD19",
    "plasma cells": "JCHAIN IGHG1 IGKC", "NK cells": "NKG7 GNLY NCAM1", "monocytes": "CD14 LYZ S100A8 FCGR3A",
    "dendritic cells": "FCER1A CLEC9A", "mast cells": "TPSAB1 CPA3", "haematopoietic stem cells": "CD34",
}  # fmt: skip
MARKED = {gene: kind for kind, genes in MARKS.items() for gene in genes.split()}
SHOWN = 8


def famous(genes: Sequence[str]) -> list[str]:
    """Those of some genes that define a cell type, each with the type: ``INS (beta cells)``; the first few."""
    return [f"{gene} ({MARKED[gene]})" for gene in genes if gene in MARKED][:SHOWN]

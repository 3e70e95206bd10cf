"""The made-up run's autoencoder and features."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from cellprism.ontology.collection import Origin
from cellprism.studies.adds.labels import COHERENCE, COMPONENTS, ISOTROPIC, PROJECTIONS, RECALL, TERMS, TOKENS, TRAINED
from cellprism.studies.adds.measures import Mean
from cellprism.studies.adds.tables import Adds, Column
from cellprism.studies.adds.work import column
from cellprism.studies.blocks.tables import Block, Blocks, Dictionary, Dimensions
from cellprism.studies.fit.tables import (
    Beside,
    FairControl,
    Firing,
    Fit,
    GeneClass,
    Measures,
    Recovered,
    Splice,
    Stream,
)  # fmt: skip
from cellprism.studies.programs.over_seeds import excess_of
from cellprism.studies.programs.specificity import between_types, shuffled_shares_apart, type_contrast
from cellprism.studies.programs.tables import Programs, Seeds, Sought, TypeExcess
from cellprism.studies.programs.work import compared, list_table, type_specificity
from cellprism.studies.stability.tables import FEATURE_COLUMNS, Again, Agreement, Consensus, Stability

N_CELLS, N_GENES, N_FEATURES, LAYER = 331, 211, 127, 1
TYPES = ["CD4 T", "CD14 monocyte", "B", "CD8 T", "NK", "Dendritic", "Megakaryocyte"]
TYPE_SHARES = [0.33, 0.22, 0.14, 0.13, 0.1, 0.05, 0.03]
PROGRAMS = {
    "B cell receptor signalling": ("B", "CD79A CD79B MS4A1 TCL1A CD19 BANK1 HLA-DRA"),
    "Cytotoxic granules": ("NK", "NKG7 GZMB PRF1 GNLY GZMA CST7 FGFBP2"),
    "Interferon response, type I": ("CD14 monocyte", "ISG15 IFI6 MX1 IFIT3 LY6E ISG20 IFITM3"),
    "Monocyte lysosome": ("CD14 monocyte", "LYZ S100A9 S100A8 CST3 FCN1 CTSS TYROBP"),
    "T cell receptor complex": ("CD4 T", "CD3D CD3E IL32 LTB IL7R TRAC CD2"),
    "MHC class II presentation": ("Dendritic", "HLA-DPA1 HLA-DPB1 HLA-DRB1 CD74 HLA-DQA1 CD1C FCER1A"),
    "Platelet degranulation": ("Megakaryocyte", "PPBP PF4 SDPR GP9 ITGA2B TUBB1 CLU"),
    "Cytosolic ribosome": ("CD4 T", "RPL13 RPS27 RPL32 RPS6 RPL10 RPS12 RPLP1"),
    "CD8 T cell effector": ("CD8 T", "CD8A CD8B GZMK KLRG1 CCL5 GZMH LAG3"),
}
DEAD = (5, 71, 113)
APART = [0.71, 0.70, 0.73, 0.72, 0.69]
EXCESS = TypeExcess(
    101, 32, 0.71, 8,
    [
        excess_of("tokens", APART, [0.70, 0.71, 0.72, 0.70, 0.71], N_FEATURES),
        excess_of("components", APART, [0.44, 0.43, 0.46, 0.45, 0.44], N_FEATURES),
    ],
)  # fmt: skip


SOUGHT = [
    Sought(
        "interferon", 1, "Interferon response, type I", 3, ("ISG15", "MX1", "LY6E"), 20, 41, 2e-6, 3e-5,
        {"popularity": 0.01, "coexpression": 0.32}, 199,
    ),
    Sought("germinal", 0),
]  # fmt: skip


def adds() -> Adds:
    """The trained autoencoder leads in programs, tokens in recall; coherence is not told apart."""
    ours = [41.0, 38.5, 40.2, 39.9, 41.3]
    lists = ", 20 genes each"

    def named(name: str, trained: list[float], by: dict[str, float]) -> Column:
        measured = {
            TRAINED: [{name: Mean(value, N_FEATURES)} for value in trained],
            **{source: [{name: Mean(value - less, 41)} for value in sorted(trained)] for source, less in by.items()},
        }
        found = column(name, measured)
        assert found is not None
        return found

    some = [
        named(TERMS + lists, ours, {TOKENS: 8.3, COMPONENTS: 20.0, ISOTROPIC: 17.0}),
        named(COHERENCE + lists, [0.05, 0.04, 0.06, 0.05, 0.05], {TOKENS: 0.001, COMPONENTS: 0.002}),
        named(RECALL, [0.74, 0.73, 0.75, 0.74, 0.73], {TOKENS: -0.07, PROJECTIONS: 0.03}),
    ]
    return Adds([3, 4, 5, 6, 7], 101, False, N_FEATURES, 64, "blood", 0.05, 73, 71, 7, some)


def stability() -> Stability:
    """Two in five features come again, and more features than chance with a program do."""
    rng = np.random.default_rng(11)
    likeness, chance = rng.uniform(0.3, 0.9, N_FEATURES), rng.uniform(0.3, 0.6, N_FEATURES)
    again = np.clip((likeness - chance) * 4, 0, 1).round(2)
    grade = np.where(again >= 0.5, "A", np.where(likeness > 0.4, "B", "C")).astype(object)
    grade[list(DEAD)] = ""
    columns = (
        np.arange(N_FEATURES), grade, again, np.full(N_FEATURES, 0.9), likeness + 0.05, likeness, likeness, chance,
        likeness, chance, np.full(N_FEATURES, np.nan), [[*PROGRAMS, ""][i % 10] for i in range(N_FEATURES)],
    )  # fmt: skip
    row = Again([0.4, 0.42, 0.41], 0.41, 0.05, (0.01, 0.19), 0.002, 999, 0.78, 0.55)
    agreement = Agreement(
        [3, 4, 5, 6], 101, 39, 0.05, 3, N_FEATURES - len(DEAD), {g: int((grade == g).sum()) for g in "ABC"}, row, None,
        "", Consensus(0.84, [0.83, 0.82, 0.835, 0.83], 8200, 12),
    )  # fmt: skip
    return Stability(agreement, pd.DataFrame(dict(zip(FEATURE_COLUMNS, columns, strict=True))))


def labels_of(rng: np.random.Generator) -> np.ndarray:
    """Cell types [cell], each at least once."""
    labels = rng.choice(TYPES, size=N_CELLS, p=TYPE_SHARES)
    labels[: len(TYPES)] = TYPES
    return labels


def gene_names() -> list[str]:
    """The programs' genes, then made-up ones."""
    named = [gene for _, genes in PROGRAMS.values() for gene in genes.split()] + ["CD4", "MALAT1", "B2M"]
    return named + [f"GENE{i}" for i in range(N_GENES - len(named))]


def fit(rng: np.random.Generator) -> Fit:
    """An autoencoder that explains much, of which gene identity explains a good part."""
    classes = [
        GeneClass(name, 70, 23_170, value, value, value)
        for name, value in (("ribosomal", 0.2), ("others, low", 0.5), ("others, high", 0.3))
    ]
    measures = Measures(
        n_features=N_FEATURES, k=12.0, explained_variance=0.968, l0=11.8, dead_share=0.03, dense_share=0.05,
        controls={"untrained": 0.41, "gene_mean": 0.733},
        firing=Firing(np.linspace(-6, 0, 25).tolist(), rng.integers(0, 9, size=24).tolist(), 4),
        classes=classes,
        splice=Splice(
            Recovered(0.95, (0.93, 0.97)), Recovered(0.61, (0.57, 0.65)), Recovered(0.72, (0.69, 0.75)), "tokens", 101,
            0.3, "gene_mean",
        ),
        no_splice="", other=None, stream=Stream(64, 9.3, 14, 31), fair=beside(),
    )  # fmt: skip
    step = np.arange(1, 402, 10)
    mse = 0.02 + 0.7 * np.exp(-step / 60) + rng.normal(0, 0.0008, step.size) ** 2
    return Fit(measures, pd.DataFrame({"step": step, "mse": mse}))


def beside() -> Beside:
    """Tokens as directions come nearest to the trained ones."""
    rows = [
        FairControl("covariance", N_FEATURES, 0.74, (0.73, 0.75), 0.05, 39),
        FairControl("tokens", N_FEATURES, 0.81, (0.80, 0.82), 0.05, 39),
        FairControl("components", 126, 0.66, (0.65, 0.67), 0.05, 39),
    ]
    return Beside(12, 2_003, 101, 0.92, rows, 1)


def blocks() -> Blocks:
    """Three blocks, of which the middle one fills most dimensions."""

    def block(layer: int, size: float) -> Block:
        dictionary = Dictionary(0.9, FairControl("tokens", N_FEATURES, 0.8 + size / 100, (0.79, 0.85), 0.5, 3))
        some = Dimensions(3 + size, 2 + size, 0.6)
        return Block(layer, some, Dimensions(2.5 + size, None, 0.01), Dimensions(4 + size, 1 + size, 0.9), dictionary)

    three = [block(0, 1.0), block(1, 2.5), block(2, 1.7)]
    return Blocks(64, 101, 32, N_FEATURES, 12, Dimensions(33.9, 6.3, 0.29), three)


def programs(labels: np.ndarray, rng: np.random.Generator) -> Programs:
    """Features of which two in three are strong in the cell type of a program; three never fire."""
    activation = rng.gamma(1.2, 0.2, size=(N_CELLS, N_FEATURES)).astype(np.float32)
    rows, lists = [], {}
    for feature in range(N_FEATURES):
        term, (kind, genes) = list(PROGRAMS.items())[feature % len(PROGRAMS)]
        strong = rng.random() < 0.6
        if strong:
            activation[:, feature] += (labels == kind) * rng.gamma(2, 0.35)
        if feature in DEAD:
            activation[:, feature] = 0
        own = genes.split()[:5] if strong else []
        lists[str(feature)] = (*own, *(f"GENE{i}" for i in rng.choice(140, 10 - len(own), replace=False)))
        rows.append(_feature(feature, term if strong else "", kind if strong else "", lists[str(feature)], rng))
    found = between_types(activation, labels)
    fires = np.setdiff1d(np.arange(N_FEATURES), DEAD)
    shuffled = shuffled_shares_apart(activation[:, fires], labels, found.chance, 99, 0)
    table = pd.DataFrame(rows).assign(type_share=found.share, type_padj=found.padj)
    for feature in DEAD:
        lists[str(feature)] = ()
    types = {str(kind): int(n) for kind, n in pd.Series(labels).value_counts().items()}
    return Programs(
        features=table, lists=list_table(lists),
        enrichment=_enrichment(table),
        nulls=pd.DataFrame({"null": ["popularity"], "measure": ["annotated_rate"], "mean": [0.41]}),
        types=pd.concat([table[["feature"]], type_contrast(activation, labels)], axis=1),
        specificity=type_specificity(table, found, types, shuffled, len(labels)), excess=EXCESS, seeds=seeds(),
        sought=SOUGHT,
        rates=rates(),
        sources=dict.fromkeys(PROGRAMS, "made up"), matrices=_matrices(activation, labels, rng),
    )  # fmt: skip


def _enrichment(table: pd.DataFrame) -> pd.DataFrame:
    """The best term of each feature."""
    sizes = {"overlap": 3, "set_size": table["set_size"], "term_size": 11, "background_size": N_GENES}
    named = {"feature": table["feature"].astype(str), "term": table["best_term"], "represented_by": table["best_term"]}
    return pd.DataFrame({**named, **sizes, "pvalue": table["best_padj"] / 7, "padj": table["best_padj"]})


def _feature(feature: int, term: str, kind: str, genes: tuple[str, ...], rng: np.random.Generator) -> dict[str, Any]:
    return {
        "feature": feature, "set_size": int(rng.integers(4, 90)), "top_genes": ", ".join(genes),
        "firing_rate": 0.0 if feature in DEAD else float(rng.beta(1, 9)),
        "participation_ratio": float(np.exp(rng.normal(2.9, 0.8))),
        "gene_share": float(rng.beta(5, 2)), "state_share": float(rng.beta(2, 5)), "best_term": term,
        "best_padj": float(10 ** -rng.uniform(1.4, 11)) if term else float(rng.uniform(0.05, 1)),
        "n_terms": int(rng.integers(1, 6)) if term else 0, "top_cell_type": kind,
        "own_genes_r": -0.6 if feature % 5 == 0 else 0.7, "sign": "low" if feature % 5 == 0 else "high",
        "high_in": "" if feature % 5 == 0 else kind, "low_in": kind if feature % 5 == 0 else "",
    }  # fmt: skip


def _matrices(activation: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[AnnData, AnnData]:
    genes, cells = AnnData(rng.gamma(1.0, size=(N_FEATURES, N_GENES))), AnnData(sp.csr_matrix(activation))
    genes.obs_names, genes.var_names = [str(i) for i in range(N_FEATURES)], gene_names()
    cells.obs["cell_type"] = pd.Categorical(labels)
    return genes, cells


def rates() -> dict[str, Any]:
    """Features match programs more often than random lists, and not clearly more than co-expression modules."""
    fields = ("name", "rate", "interval", "replicates", "n_lists", "mean_set_size", "distinct_terms")
    rows = [
        ("features", 0.59, [0.55, 0.63], 1, 541, 21.3, 41.0),
        ("uniform", 0.012, [0.0, 0.03], 100, 541, 21.3, 1.6),
        ("popularity", 0.41, [0.38, 0.44], 100, 541, 21.3, 22.4),
        ("gene_use", 0.36, [0.33, 0.39], 100, 541, 21.3, 19.1),
        ("coexpression", 0.57, [0.53, 0.61], 100, 541, 21.3, 24.1),
        ("untrained", 0.30, [0.26, 0.34], 1, 523, 19.8, 15.0),
        ("neurons", 0.73, [0.65, 0.80], 1, 128, 189.0, 18.0),
        ("features, 20 genes each", 0.61, [0.57, 0.65], 1, 541, 20.0, 43.0),
        ("untrained, 20 genes each", 0.60, [0.55, 0.64], 1, 523, 20.0, 17.0),
        ("neurons, 20 genes each", 0.77, [0.69, 0.83], 1, 128, 20.0, 19.0),
        ("popularity, 20 genes each", 0.41, [0.38, 0.44], 199, 541, 20.0, 22.0),
        ("features, 20 genes by correlation", 0.88, [0.85, 0.91], 1, 541, 20.0, 46.0),
        ("coexpression, 20 genes by correlation", 0.66, [0.62, 0.70], 100, 541, 20.0, 31.0),
    ]
    named = [dict(zip(fields, row, strict=True)) for row in rows]
    named[2] |= {"excess": 0.18, "excess_interval": [0.13, 0.23], "p_value": 0.0198}
    named[10] |= {"excess": 0.20, "excess_interval": [0.15, 0.25], "p_value": 0.01}
    named[12] |= {"excess": 0.22, "excess_interval": [0.17, 0.27], "p_value": 0.0198}
    return {
        "rows": compared(named), "family": "all-terms",
        "alpha": 0.05, "collection": "blood", "n_terms": 73, "background_size": N_GENES,
        "coverage": {"lists": 61, "terms": 9, "distinct": 7, "genes": 47, "share": 0.73},
        "gene_sets": {"name": "blood", "made": "", "files": [asdict(Origin("blood.gmt", "", "ab" * 32))]},
    }  # fmt: skip


def seeds() -> Seeds:
    """Features exceed popular lists and modules, and not untrained autoencoders; neurons exceed them."""
    ours = [0.61, 0.60, 0.63, 0.62, 0.59]
    rows = [
        excess_of("popularity, 20 genes each", ours, [0.41, 0.42, 0.40, 0.41, 0.43], 541, 0.01, 199),
        excess_of("untrained, 20 genes each", ours, [0.60, 0.61, 0.61, 0.63, 0.59], 523),
        excess_of("neurons, 20 genes each", ours, [0.77, 0.77, 0.77, 0.77, 0.77], 128),
        excess_of(
            "coexpression, 20 genes by correlation", [0.88, 0.89, 0.87, 0.88, 0.90], [0.66, 0.67, 0.66, 0.65, 0.66],
            541, 0.0198, 100,
        ),
    ]  # fmt: skip
    return Seeds([3, 4, 5, 6, 7], rows)

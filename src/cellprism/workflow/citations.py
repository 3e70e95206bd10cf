"""What a run's methods should cite, by what the run has used."""

from cellprism.studies.common import CommonConfig

ALWAYS = (
    "Benjamini Y, Yekutieli D (2001). The control of the false discovery rate in multiple testing under dependency. "
    "Annals of Statistics 29, 1165-1188.",
    "Paszke A et al. (2019). PyTorch: an imperative style, high-performance deep learning library. NeurIPS 32.",
    "Virshup I et al. (2024). anndata: access and store annotated data matrices. Journal of Open Source Software, "
    "doi:10.21105/joss.04371.",
)
ARCHITECTURES = {
    "topk": "Gao L et al. (2024). Scaling and evaluating sparse autoencoders. arXiv 2406.04093.",
    "batchtopk": "Bussmann B, Leask P, Nanda N (2024). BatchTopK sparse autoencoders. arXiv 2412.06410.",
    "matryoshka": "Bussmann B et al. (2025). Learning multi-level features with Matryoshka sparse autoencoders. arXiv "
    "2503.17547.",
    "l1": "Bricken T et al. (2023). Towards monosemanticity: decomposing language models with dictionary learning. "
    "Transformer Circuits Thread.",
    "gated": "Rajamanoharan S et al. (2024). Improving dictionary learning with gated sparse autoencoders. arXiv "
    "2404.16014.",
    "jumprelu": "Rajamanoharan S et al. (2024). Jumping ahead: improving reconstruction fidelity with JumpReLU sparse "
    "autoencoders. arXiv 2407.14435.",
}
MODELS = {
    (
        "pbmc2",
        "mini",
        "aido",
    ): "Ho N et al. (2024). Scaling dense representations for single cell with transcriptome-scale "
    "context. bioRxiv, doi:10.1101/2024.11.28.625303.",
    (
        "geneformer",
    ): "Theodoris CV et al. (2023). Transfer learning enables predictions in network biology. Nature 618, 616-624, "
    "doi:10.1038/s41586-023-06139-9.",
    (
        "scgpt",
    ): "Cui H et al. (2024). scGPT: toward building a foundation model for single-cell multi-omics using generative "
    "AI. Nature Methods 21, 1470-1480, doi:10.1038/s41592-024-02201-0.",
    ("scvi",): "Lopez R et al. (2018). Deep generative modeling for single-cell transcriptomics. Nature Methods 15, "
    "1053-1058.",
    (
        "dgd",
    ): "Schuster V, Krogh A (2023). The Deep Generative Decoder: MAP estimation of representations improves modelling "
    "of single-cell RNA data. Bioinformatics 39(9), btad497, doi:10.1093/bioinformatics/btad497.",
}
"""By what the name of the model holds."""
CELLS = {
    "bundled:pbmc68k": "Zheng GXY et al. (2017). Massively parallel digital transcriptional profiling of single cells. "
    "Nature Communications 8, 14049, doi:10.1038/ncomms14049.",
    "pbmc3k": "10x Genomics (2016). 3k PBMCs from a healthy donor.",
}
STUDIES = {
    "lens": "Schuster V (2025). Can sparse autoencoders make sense of gene expression latent variable models? PMLR "
    "311, 81-94 (arXiv 2410.11468).",
    "steer": "Yanovsky and Chernomoretz (2026). Dissecting and steering cell identity in a single-cell foundation "
    "model using sparse autoencoders. MLGenX 2026, openreview.net/forum?id=6B3zp01ubG.",
}


def cited(text: str, config: CommonConfig) -> list[str]:
    """References in alphabetical order, for what a run's configuration used and its methods ``text`` names."""
    model = config.model.lower()
    found = [
        *ALWAYS, ARCHITECTURES[config.train.architecture],
        *(reference for names, reference in MODELS.items() if any(name in model for name in names)),
        *(reference for name, reference in CELLS.items() if name == config.cells),
        *(reference for name, reference in STUDIES.items() if f"\n{name}: " in text),
    ]  # fmt: skip
    return sorted(set(found))

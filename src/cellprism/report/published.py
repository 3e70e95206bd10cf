"""Published numbers, each with the model it was measured on: they stand beside ours and are never compared
as equals.

Sources:

- YC: Yanovsky & Chernomoretz 2026, "Dissecting and steering cell identity in a single-cell foundation model
  using
  sparse autoencoders". "Layer 12" there is block index 12, the output of the 13th of 18 blocks.
- Atlas: Kendiukhov 2026, arXiv 2603.02952.
- MaxToki: corrected re-analysis of published feature annotations, 2026.
"""

from cellprism.report.claims import Published

AIDO_100M = "AIDO.Cell-100M, layer 12 (the 13th of 18 blocks), PBMC3K"
GENEFORMER_SCGPT = "Geneformer and scGPT"
MAXTOKI = "MaxToki re-analysis of published features"
LANGUAGE_MODELS = "language models"

NUMBERS: dict[str, Published] = {
    "annotated-features": Published("64 % of SAE features have a significant GO term, q < 0.05", AIDO_100M, 0.64),
    "annotated-neurons": Published('34 % of raw neurons (ICA "almost identical")', AIDO_100M, 0.34),
    "information-content": Published(
        "highest information content above raw neurons, Mann-Whitney p < 0.001", AIDO_100M
    ),
    "sae-error": Published("SAE mean squared error 0.83 / 1.35 / 2.65 at layers 9 / 12 / 15", AIDO_100M, 1.35),
    "antisymmetry-antiviral": Published("strength 5 lowers its genes, −5 raises them", AIDO_100M),
    "antisymmetry-b-cell": Published("strength 2 raises its genes, −2 lowers them", AIDO_100M),
    "closer-latent": Published("81 % of CD4 cells (931 of 1,144) end closer to CD8", AIDO_100M, 931 / 1144),
    "recipe-latent-0.3": Published("51 features moved by more than 0.3", AIDO_100M, 51.0),
    "gap-up": Published("70 % of genes higher in CD8 move the right way", AIDO_100M, 0.70),
    "gap-down": Published("65 % of genes lower in CD8 move the right way", AIDO_100M, 0.65),
    "cd8a-cd8b": Published("CD8A and CD8B do not move", AIDO_100M, 0.0),
    "farther-expression": Published("83 % of cells end farther from CD8 in latent space", AIDO_100M, 0.83),
    "recipe-latent-0.5": Published("16 features moved by more than 0.5, latent objective", AIDO_100M, 16.0),
    "recipe-expression-0.5": Published("77 features moved by more than 0.5, expression objective", AIDO_100M, 77.0),
    "tbx21": Published(
        "TBX21 against CXCR3, IFNG and TNF: no direction (feature of about 11 genes, 316 CD8 cells)",
        AIDO_100M,
    ),
    "specific-tfs": Published(
        "3 of 48 transcription factors (5 of 48 over several tissues); median specificity 2.36x",
        GENEFORMER_SCGPT,
        3 / 48,
    ),
    "annotated-popularity": Published(
        "62–81 % annotated, popularity-matched random lists 63–83 %; 55 of 56,702 features pass a layer-wide FDR",
        MAXTOKI,
    ),
    "steering-beats-random": Published(
        "1 of 15 steering features beats matched random ones, moving 3.5 % of the span; difference of means "
        "at half the edit: 3.9 %",
        MAXTOKI,
        1 / 15,
    ),
    "stability": Published("about 30 % of features shared between two seeds", LANGUAGE_MODELS, 0.30),
}
"""Every published number that a page may print, by the short name of its question."""

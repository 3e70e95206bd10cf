"""The model measured on the run's own cells, beside simpler methods that are fitted on other cells of the run."""

from cellprism.cells.noise import noise_cells
from cellprism.studies.assess.card import card_scores
from cellprism.studies.assess.counts import hidden_counts
from cellprism.studies.assess.hidden import hidden_genes, lacks_hidden_genes
from cellprism.studies.assess.reading import cell_types_read
from cellprism.studies.assess.settings import AssessSettings
from cellprism.studies.assess.split import FEWEST, Split, split_of
from cellprism.studies.assess.tables import Assessment, CardScores
from cellprism.studies.workbench import Workbench
from cellprism.types import CellModel, PredictsShares

NOISE_MASKS = 1
NO_SPREAD = "The hidden genes have the same counts in all cells, so that there is no error to remove."
NO_TYPES = "The cells carry no types, or only one, so that none can be read from the model."


def work(bench: Workbench, settings: AssessSettings) -> Assessment:
    """How good the model is on the run's cells.

    Raises:
        ModelError: the card lacks a number that it should hold.
    """
    model, config = bench.model, bench.config
    card = card_scores(model.name, model.card)
    split = split_of(bench.cells, settings, config.seed)
    if not split.enough:
        few = f"{bench.cells.n_obs} cells are too few to measure the model: {FEWEST} are needed to fit simpler methods "
        return Assessment(absent=[f"{few}on, and {FEWEST} others to judge."], card=card)
    with bench.bar("measuring the model", None):
        return measured(model, split, settings, config.layer, config.seed, bench.cells_a_pass(), card)


def measured(
    model: CellModel, split: Split, settings: AssessSettings, layer: int, seed: int, size: int, card: CardScores
) -> Assessment:
    """Everything that this kind of model can be measured by."""
    absent, genes, noise, counts = [], None, None, {}
    if isinstance(model, PredictsShares):
        counts = hidden_counts(model, split, seed, size)
    elif why := lacks_hidden_genes(model):
        absent.append(why)
    else:
        genes = hidden_genes(model, split, settings, seed, size, settings.masks)
        if genes is None:
            absent.append(NO_SPREAD)
        pure = Split(noise_cells(split.cells, seed), split.fit, split.asked, split.test, None)
        noise = hidden_genes(model, pure, settings, seed, size, NOISE_MASKS)
    if not (types := cell_types_read(model, split, layer, seed, size)):
        absent.append(NO_TYPES)
    return Assessment(len(split.test), len(split.fit), genes, noise, counts, types, absent, card)

"""What a trained autoencoder adds: it and directions that nobody trained, measured alike.

Notable choices

- Directions beside it come from the inner state of cells that trained it: vectors of the inner state itself, normal
  ones with its covariance, its principal components. Isotropic ones and random projections of the counts say what is
  had without looking where the inner state lies, and without any model.
- Each source is used as it is: the trained autoencoder by its own encoder, the others by a pursuit with as many
  features a token, on tokens without the autoencoder's centre; projections of counts are not sparse.
- The seed is the unit: each autoencoder stands beside draws of its own, and the excess over them is what is compared.
  Principal components are not drawn and are the same for all.
- The rival of a column is the untrained source that is least exceeded, relative to the values. It was chosen, so its
  interval is held to the level of all sources together.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cellprism.equations.units import unit_mean
from cellprism.features.dictionaries import (
    PursuitAutoencoder,
    TokenSample,
    component_dictionary,
    control_dictionary,
    isotropic_dictionary,
    sampled_tokens,
    with_centre,
)
from cellprism.ontology.collection import record_of
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.adds.again import shares_again
from cellprism.studies.adds.halves import Halves, halves_of
from cellprism.studies.adds.labels import (
    AGAIN,
    COMPONENTS,
    COVARIANCE,
    ISOTROPIC,
    PROJECTIONS,
    SOURCES,
    TOKENS,
    TRAINED,
)
from cellprism.studies.adds.measures import COLUMNS, Levels, Measured, Yardstick, protein_levels
from cellprism.studies.adds.pushes import gene_response
from cellprism.studies.adds.reading import Reading, read_directions, read_projections
from cellprism.studies.adds.settings import AddsSettings
from cellprism.studies.adds.tables import Adds, Column
from cellprism.studies.programs.gene_lists import list_background
from cellprism.studies.programs.over_seeds import Excess, excess_of
from cellprism.studies.programs.seeds import further_autoencoders
from cellprism.studies.workbench import Workbench

LEVEL = 0.05
ATOMS = 8192  # tokens that directions are drawn from, at least; more for wide autoencoders
FEWEST_CELLS = 8  # of either half
Measures = Mapping[str, Measured]
"""Column -> what was measured of one source."""


def work(bench: Workbench, settings: AddsSettings) -> Adds:
    """Measure every source beside every autoencoder."""
    tokens, seed = bench.tokens, bench.config.seed
    halves = halves_of(bench.cells, tokens.counts, settings.cells, seed)
    proteins = protein_levels(halves, settings.proteins)
    if min(halves.first.sum(), (~halves.first).sum()) < FEWEST_CELLS:
        return _found(bench, halves, [seed], None, [])
    saes = [bench.sae, *further_autoencoders(bench, settings.seeds - 1)]
    per_cell = -(-max(ATOMS, 2 * bench.sae.n_features) // len(halves.rows))
    sample = sampled_tokens(tokens, bench.sae, halves.rows, per_cell, seed)
    own = read_directions(tokens, bench.sae, halves)
    yardstick = _yardstick(bench, halves, own, proteins)
    measured: dict[str, list[Measures]] = {name: [] for name in SOURCES}
    with bench.bar("directions that nobody trained", len(saes)) as advance:
        for number, sae in enumerate(saes):
            reading = read_directions(tokens, sae, halves) if number else own
            measured[TRAINED].append(yardstick.measure(reading, sae))
            for name, dictionary, drawn in untrained(bench, halves, sae, sample, number):
                measured[name].append(yardstick.measure(drawn, dictionary))
            advance(number + 1)
    measured[COMPONENTS] *= len(saes)
    if len(saes) > 1:
        for name, found in shares_again(bench, halves, saes, sample).items():
            measured[name] = [{**one, AGAIN: share} for one, share in zip(measured[name], found, strict=True)]
    columns = [found for name in COLUMNS if (found := column(name, measured))]
    return _found(bench, halves, [seed + i for i in range(len(saes))], yardstick, columns)


def untrained(
    bench: Workbench, halves: Halves, sae: SparseAutoencoder, sample: TokenSample, number: int
) -> Iterator[tuple[str, PursuitAutoencoder | None, Reading]]:
    """Every other source beside the autoencoder of this number, one after the other; components beside the first."""
    seed = bench.config.seed + number
    drawn = {
        TOKENS: control_dictionary("tokens", sample, sae, seed),
        COVARIANCE: control_dictionary("covariance", sample, sae, seed),
        **({} if number else {COMPONENTS: component_dictionary(sample, sae)}),
        ISOTROPIC: isotropic_dictionary(sample, sae, seed),
    }
    for name, dictionary in drawn.items():
        yield name, dictionary, read_directions(bench.tokens, with_centre(dictionary, sae), halves)
    yield PROJECTIONS, None, read_projections(halves, sae.n_features, seed)


def column(name: str, measured: Mapping[str, Sequence[Measures]]) -> Column | None:
    """All sources in one column, over seeds; None where the trained autoencoder or all others lack it."""
    by_source = {source: [one[name] for one in each if name in one] for source, each in measured.items()}
    ours = by_source.pop(TRAINED)
    rows = []
    for source, theirs in by_source.items():
        if not ours or len(theirs) < len(ours) or len(ours) < len(measured[TRAINED]):
            continue
        counts = [min(a.total, b.total) for a, b in zip(ours, theirs, strict=True)]
        a, b = ([one.at(n) for one, n in zip(each, counts, strict=True)] for each in (ours, theirs))
        rows.append(excess_of(source, a, b, counts[0]))
    if not rows:
        return None
    rival = min(rows, key=_relative)
    differences = np.subtract(rival.shares, rival.controls)
    found = unit_mean(differences, 1 - LEVEL / len(rows))
    return Column(name, [one.at(one.total) for one in ours], ours[0].total, rows, rival.name, found.interval)


def _relative(row: Excess) -> tuple[float, float]:
    """What a row is exceeded by, beside the size of both: rows of fewer directions have smaller numbers."""
    size = abs(row.share) + abs(row.control)
    return row.mean / size if size else 0.0, row.mean


def _yardstick(bench: Workbench, halves: Halves, own: Reading, proteins: Levels | None) -> Yardstick:
    tested = bench.settings("programs")
    assert own.genes is not None, "an autoencoder has a place among genes"
    first = halves.cells[halves.first].copy()
    background = list_background(own.genes, first, tested.gene_filter)
    response = gene_response(bench, halves, background)
    return Yardstick(
        halves, background, bench.collection(tested.collection), tested.min_term_size, tested.alpha, response,
        proteins,
    )  # fmt: skip


def _told_proteins(yardstick: Yardstick | None) -> int:
    return yardstick.proteins[0].shape[1] if yardstick and yardstick.proteins else 0


def _found(
    bench: Workbench, halves: Halves, seeds: list[int], yardstick: Yardstick | None, columns: list[Column]
) -> Adds:
    tested, types = bench.settings("programs"), yardstick.types if yardstick else None
    collection = bench.collection(tested.collection)
    return Adds(
        seeds, halves.cells.n_obs, halves.by_donor, bench.sae.n_features, bench.model.d_model,
        collection.name, tested.alpha,
        len(yardstick.terms.names) if yardstick else 0, len(set(yardstick.group)) if yardstick else 0,
        types[0][1].shape[1] if types else 0, columns, record_of(collection), _told_proteins(yardstick),
    )  # fmt: skip

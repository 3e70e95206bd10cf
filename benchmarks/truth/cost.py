"""What the worlds that are left will cost, counted before any is run, from rates that were measured on one core."""

from truth.worlds import Piece, training_flops

TRAINING_RATE = 3.4e10  # operations a second of a dense network's training
LEAST_STEP = 3e-3  # seconds of a step of any network, however small
SAE_STEP = 12e-3  # seconds of a step of 512 vectors and 600 features
SCORING = 2.5  # seconds to score 10,000 samples of 600 features on 543 columns, with one draw of chance
TRIES = {"topk": 1, "batchtopk": 1, "matryoshka": 1, "l1": 3, "gated": 3, "jumprelu": 3}
DRAWN, TOLD = 3, 3  # dictionaries that are drawn, and methods that are told something


def core_seconds(piece: Piece) -> float:
    """Seconds of one core, within a factor of two."""
    network, race = piece.network, piece.race
    samples = piece.size.get("samples", piece.size.get("cells", 0))
    genes = {"small": 5, "large": piece.size.get("genes", 0)}.get(piece.kind, 1_500)
    dense = training_flops(network, genes, samples) / TRAINING_RATE
    dense = max(dense, LEAST_STEP * network.epochs * samples / network.batch_size)
    share = race.n_features / 600 * (samples / 10_000)
    step = SAE_STEP * max(0.2, race.n_features / 600) * max(1.0, network.latent / 200)
    trainings = race.seeds * sum(TRIES[name] for name in race.architectures)
    scored = race.seeds * (len(race.architectures) + DRAWN) + len(race.dense) + TOLD
    columns = {"small": 9, "large": 543}.get(piece.kind, 60) / 543
    scoring = scored * SCORING * max(0.05, share * columns) * (1 + race.chance) / 2
    return dense + trainings * race.steps * step + scoring


def shown(left: list[Piece]) -> str:
    """A line a world, and the sum."""
    costs = [core_seconds(piece) for piece in left]
    lines = [f"{cost:6.0f} s  {piece.name}" for cost, piece in zip(costs, left, strict=True)]
    return "\n".join([*lines, f"{sum(costs):6.0f} s of one core for {len(left)} worlds, within a factor of two"])

"""``cellprism simulate``: cells whose answers are known, as files that other tools can read too."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cellprism.cli.options import Changes


def simulate(
    out: Path,
    *,
    preset: str = "standard",
    seed: int = 0,
    changes: Changes = None,
    again: Annotated[bool, Parameter(help="Write over files that are there.", negative="")] = False,
) -> None:
    """Make cells with planted programs, types, donors and regulation, and write them beside their answers.

    OUT.h5ad holds counts and answers, OUT.gmt the genes of the programs, a collection for ``programs.collection``.

    Parameters
    ----------
    out
        Where to write, with or without ``.h5ad``.
    preset
        ``standard`` (4,000 cells, 1,500 genes, some seconds) or ``small`` (301 cells, 211 genes).
    seed
        Decides every draw.
    changes
        Change any setting, as in --set cells=1000; ``--set programs=0`` makes cells without any program.
    """
    from cellprism.errors import ConfigError
    from cellprism.simulate.answers import answers_of
    from cellprism.simulate.cell_settings import PlantedSettings
    from cellprism.simulate.cells import planted_cells
    from cellprism.store.atomic import write_text
    from cellprism.store.h5ad import write_h5ad

    cells, programs = (out.with_name(out.name.removesuffix(".h5ad") + end) for end in (".h5ad", ".gmt"))
    there = [path.name for path in (cells, programs) if path.exists()]
    if there and not again:
        raise ConfigError(f"{' and '.join(there)} would be written over; name another file, or say --again")
    made = planted_cells(PlantedSettings.preset(preset, **settings_of(changes)), seed)
    answers = answers_of(made)
    cells.parent.mkdir(parents=True, exist_ok=True)
    write_h5ad(cells, made)
    lines = (
        "\t".join([name, "planted", *answers.weights.index[answers.weights[name] != 0]]) for name in answers.programs
    )
    write_text(programs, "".join(f"{line}\n" for line in lines))
    print(cells, programs, sep="\n")


def settings_of(changes: list[str] | None) -> dict[str, int | float]:
    """Settings from ``key=value`` texts.

    Raises:
        ConfigError: there is no such key, or a value of another kind.
    """
    from dataclasses import asdict

    from cellprism.errors import ConfigError
    from cellprism.simulate.cell_settings import PlantedSettings

    kinds = {name: type(value) for name, value in asdict(PlantedSettings()).items()}
    found: dict[str, int | float] = {}
    for text in changes or ():
        key, _, value = text.partition("=")
        if key not in kinds:
            raise ConfigError(f"--set {text!r}: expected KEY=VALUE with a key of {', '.join(kinds)}")
        try:
            found[key] = kinds[key](value)
        except ValueError as error:
            kind = "whole number" if kinds[key] is int else "number"
            raise ConfigError(f"--set {text!r}: {key} is a {kind}, such as {key}=3") from error
    return found

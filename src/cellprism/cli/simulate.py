"""``cellprism simulate``: cells whose answers are known, as files that other tools can read too."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cellprism.cli.options import Changes, Whole


def simulate(
    out: Path,
    *,
    preset: str = "standard",
    seed: Whole = 0,
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
    from cellprism.store.atomic import clear_beside, write_text
    from cellprism.store.h5ad import write_h5ad
    from cellprism.workflow.config import changed_settings

    cells, programs = (out.with_name(out.name.removesuffix(".h5ad") + end) for end in (".h5ad", ".gmt"))
    for path in (cells, programs):
        clear_beside(path)
    if cells.exists() and not again:
        raise ConfigError(f"{cells.name} would be written over; name another file, or say --again")
    made = planted_cells(changed_settings(PlantedSettings.preset(preset), changes or ()), seed)
    answers = answers_of(made)
    genes = {name: answers.weights.index[answers.weights[name] != 0] for name in answers.programs}
    text = "".join("\t".join([name, "planted", *genes[name]]) + "\n" for name in answers.programs)
    if programs.exists() and not again and programs.read_bytes() != text.encode():
        raise ConfigError(f"{programs.name} would be written over; name another file, or say --again")
    write_text(programs, text)
    write_h5ad(cells, made)  # comes last: where it is, both are whole
    print(cells, programs, sep="\n")

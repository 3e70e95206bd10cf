"""Packages with model families, as pip would leave them in site-packages, and the example of the adapter guide."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "adapter-guide.md"
TRIAL = "# ---- try it"


def install(
    folder: Path, package: str, families: Mapping[str, str], modules: Mapping[str, str], extras: Sequence[str] = ()
) -> None:
    """Write a package's metadata and modules into ``folder``, which must be on ``sys.path``.

    ``families`` go from a family's name to its module, ``modules`` from a module's name to its source.
    """
    about = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    provided = "".join(f"Provides-Extra: {extra}\n" for extra in extras)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n{provided}")
    lines = "".join(f"{name} = {value}\n" for name, value in families.items())
    (about / "entry_points.txt").write_text(f"[cellprism.models]\n{lines}")
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)


def guide_example() -> tuple[str, str]:
    """The adapter of the guide, and the lines that try it."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    adapter, trial = code.split(TRIAL)
    return adapter, trial

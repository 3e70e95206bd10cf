"""Write folders that SAELens saved, and what it says of some vectors, where the default tests read them.

Run in the environment of `make interop`: PYTHONPATH=tests .venv-interop/bin/python -m interop.golden
"""

import shutil
from pathlib import Path

from safetensors.torch import save_file

from interop.theirs import CASES

FOLDER = Path(__file__).parents[1] / "sae" / "golden" / "saelens"
TOKENS = 7
NAMES = (
    "standard, b_dec not subtracted",
    "standard, bfloat16",
    "gated",
    "topk, by decoder norm, b_dec not subtracted",
    "jumprelu",
    "transcoder",
    "jumprelu_transcoder",
    "batchtopk, trained",
    "matryoshka_batchtopk, checkpoint",
    "topk, scaled",
    "gated, whitened, b_dec not subtracted",
    "before version 6, topk",
)


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name in NAMES:
        folder = FOLDER / name.replace(",", "").replace(" ", "-")
        case = CASES[name](folder)
        said = {key: value[:TOKENS].contiguous() for key, value in case._asdict().items()}
        save_file(said, folder / "said.safetensors")


if __name__ == "__main__":
    main()

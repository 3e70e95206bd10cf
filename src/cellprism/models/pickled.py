"""Weights that were published as a pickle: tensors by name, read by torch's loader for these alone, which runs nothing.

What torch says of a file that it does not open ends in the advice to open it all the same; it is never passed on.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cellprism.errors import DamagedError, ModelError

POINTER = b"version https://git-lfs"
"""How a file of Git LFS begins that was never fetched."""


def read_pickled(file: Path) -> dict[str, Tensor]:
    """A state dict from a file that ``torch.save`` wrote.

    Raises:
        ModelError: it holds something else than tensors by name.
        DamagedError: it is truncated, altered, or no such file.
    """
    refuse_pointer(file)
    try:
        if zipfile.is_zipfile(file):  # torch's own format, of which torch checks no checksum
            with zipfile.ZipFile(file) as parts:
                if bad := parts.testzip():
                    raise DamagedError(f"{file} is damaged: the checksum of {bad} is wrong; fetch or copy it again")
        held: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{file} holds more than tensors, or is no file of weights; reading it could run code, so it is not "
            "opened. Where you trust it, save the tensors alone as safetensors: "
            "safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
        ) from error
    except (RuntimeError, EOFError, KeyError, IndexError, ValueError, zipfile.BadZipFile) as error:
        raise DamagedError(f"{file} is not a readable file of weights ({error}); fetch or copy it again") from error
    if not isinstance(held, dict) or not all(isinstance(n, str) and isinstance(t, Tensor) for n, t in held.items()):
        found = f"a dictionary of {', '.join(map(str, held))}" if isinstance(held, dict) else f"a {type(held).__name__}"
        raise ModelError(f"{file} holds {found:.200}; expected a state dict, from tensor names to tensors: save that")
    return held


def refuse_pointer(file: Path) -> None:
    """Stop at a file of Git LFS that stands for the weights.

    Raises:
        DamagedError: it is one.
    """
    with file.open("rb") as opened:
        if opened.read(len(POINTER)) == POINTER:
            raise DamagedError(f"{file} is a Git LFS pointer, not the file itself; run git lfs pull in its repository")

"""scGPT: transformer models over binned expression, from their published folders."""

from cellprism.models.scgpt.files import LOOKS_FOR, load, recognises
from cellprism.models.scgpt.model import ScGpt

__all__ = ["LOOKS_FOR", "ScGpt", "load", "recognises"]

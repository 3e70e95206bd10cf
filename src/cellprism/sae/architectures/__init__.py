"""How features are selected, one file each; the table of them by name."""

from cellprism.sae.architectures.base import Architecture, Counted, Penalised
from cellprism.sae.architectures.batch_topk import BatchTopK
from cellprism.sae.architectures.gated import Gated
from cellprism.sae.architectures.jumprelu import JumpRelu
from cellprism.sae.architectures.l1 import L1
from cellprism.sae.architectures.matryoshka import Matryoshka
from cellprism.sae.architectures.topk import TopK

ARCHITECTURES: dict[str, type[Architecture]] = {
    "topk": TopK,
    "batchtopk": BatchTopK,
    "matryoshka": Matryoshka,
    "l1": L1,
    "gated": Gated,
    "jumprelu": JumpRelu,
}

__all__ = ["ARCHITECTURES", "Architecture", "Counted", "Penalised"]

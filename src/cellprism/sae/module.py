"""An autoencoder as an ``nn.Module``: weights with gradients, in plain torch."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cellprism.equations.sparse import preactivations

if TYPE_CHECKING:
    from cellprism.sae.autoencoder import SparseAutoencoder

LEARNED = ("W_enc", "b_enc", "W_dec", "b_dec", "slope", "shift")


class SaeModule(nn.Module):
    """The function of a ``SparseAutoencoder``, computed densely so that gradients reach vectors and weights alike.

    The weights are copies under the same names; means and thresholds are buffers. ``autoencoder()`` gives a
    ``SparseAutoencoder`` with the weights as they are then.

    >>> import torch, cellprism as cp
    >>> sae = cp.fit_sae(torch.randn(512, 8), cp.SaeConfig(k=2, n_features=16, batch_size=64, epochs=1))
    >>> module = sae.module()
    >>> sorted(module.state_dict())
    ['W_dec', 'W_enc', 'b_dec', 'b_enc', 'firing_rate']
    >>> module(torch.randn(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, sae: "SparseAutoencoder"):
        super().__init__()
        self._origin = [sae]  # in a list, so that torch does not look into it
        for field in fields(sae):
            if not isinstance(value := getattr(sae, field.name), Tensor):
                continue
            if field.name in LEARNED:
                self.register_parameter(field.name, nn.Parameter(value.detach().clone()))
            else:
                self.register_buffer(field.name, value.detach().clone())

    def encode(
        self, x: Float[Tensor, "*token d_model"], group: Int[Tensor, "*token"] | None = None
    ) -> Float[Tensor, "*token feature"]:
        """Every feature's value; ``group`` as in ``SparseAutoencoder.encode``."""
        sae, w = self._origin[0], self._weights()
        x = x.to(w["W_enc"].dtype)
        x = x if sae.centre is None else x - self._mean("centre", group)
        x = x if sae.is_transcoder else x - w["b_dec"]
        h = preactivations(x.reshape(-1, sae.d_model), w["W_enc"], w["b_enc"])
        if sae.k is not None:
            kept = h.topk(sae.k, dim=1)
            values = kept.values.relu() if sae.relu else kept.values
            z = torch.zeros_like(h).scatter(1, kept.indices, values)
        else:
            valued = (h * w["slope"] + w["shift"]).relu() if "slope" in w else h
            z = valued * (h > w["threshold"])
        return z.view(*x.shape[:-1], -1)

    def decode(
        self, z: Float[Tensor, "*token feature"], group: Int[Tensor, "*token"] | None = None
    ) -> Float[Tensor, "*token d_target"]:
        """Vectors that some values of the features stand for."""
        w, name = self._weights(), "target_centre" if self._origin[0].is_transcoder else "centre"
        x_hat = z @ w["W_dec"] + w["b_dec"]
        return x_hat + self._mean(name, group) if name in w else x_hat

    def forward(
        self, x: Float[Tensor, "*token d_model"], group: Int[Tensor, "*token"] | None = None
    ) -> Float[Tensor, "*token d_target"]:
        """What is left of some vectors after encoding and decoding."""
        return self.decode(self.encode(x, group), group)

    def autoencoder(self) -> "SparseAutoencoder":
        """An autoencoder with copies of these weights."""
        return replace(self._origin[0], **{name: t.detach().clone() for name, t in self._weights().items()})

    def _weights(self) -> Mapping[str, Tensor]:
        return dict([*self.named_parameters(), *self.named_buffers()])

    def _mean(self, name: str, group: Int[Tensor, "*token"] | None) -> Float[Tensor, "*_ d_model"]:
        centre: Any = self._weights()[name]
        return centre[0] if len(centre) == 1 else centre[group]

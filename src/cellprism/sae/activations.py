"""Activations of any torch module, by name: what an autoencoder of a foreign network is fitted to."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cellprism.display import Shown
from cellprism.errors import InputError, ModelError
from cellprism.sae.stream import length_of

MASK = "attention_mask"
SHOWN = 8  # names in a message
Keep = Callable[[Any], Bool[Tensor, "*token"]]


class Reached(Exception):
    """The module's output is there: nothing behind it needs to be computed."""


class Activations(Shown):
    """What one module gives out, batch after batch; computed anew each time it is gone through.

    See ``activations``.
    """

    def __init__(self, network: nn.Module, name: str, batches: Iterable[Any], keep: Keep | None = None):
        self.network, self.name, self.batches, self.keep = network, name, batches, keep
        self.module = named(network, name)

    def __iter__(self) -> Iterator[Float[Tensor, "token d_model"]]:
        for batch in self.batches:
            yield self._rows(batch)

    def __len__(self) -> int:
        """Batches, where their number is known; else ``TypeError``."""
        return len(self.batches)  # pyright: ignore[reportArgumentType]

    def tensor(self) -> Float[Tensor, "token d_model"]:
        """Those of all batches in one tensor, for ``fit_sae`` to draw from at random.

        Raises:
            InputError: there are no batches.
        """
        parts = list(self)
        if not parts:
            raise InputError("there are no batches, so no activations")
        return torch.cat(parts)

    def shown(self) -> Mapping[str, Any]:
        """Facts in words, by name."""
        length = length_of(self.batches)
        shown = "an unknown number" if length is None else f"{length:,}"
        return {"of": f"{self.name or 'the whole'} ({type(self.module).__name__})", "batches": shown}

    @torch.no_grad()
    def _rows(self, batch: Any) -> Float[Tensor, "token d_model"]:
        got: list[Tensor] = []

        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            got.append(_tensor_of(output, self.name))
            raise Reached

        where = next(self.network.parameters(), torch.empty(0)).device
        handle = self.module.register_forward_hook(hook)
        with _evaluating(self.network):
            try:
                _call(self.network, batch, where)
            except Reached:
                pass
            finally:
                handle.remove()
        if not got:
            raise InputError(f"the network ran without {self.name!r}; name a module that every batch goes through")
        return self._kept(got[0], batch)

    def _kept(self, x: Float[Tensor, "*token d_model"], batch: Any) -> Float[Tensor, "token d_model"]:
        mask = self.keep(batch) if self.keep is not None else None
        if mask is None and isinstance(batch, Mapping):
            mask = batch.get(MASK)
        if mask is None:
            return x.reshape(-1, x.shape[-1])
        if mask.shape != x.shape[:-1]:
            raise InputError(f"which tokens to keep is said for {list(mask.shape)}, of vectors in {list(x.shape[:-1])}")
        return x[mask.to(x.device).bool()]


def activations(module: nn.Module, name: str, batches: Iterable[Any], *, keep: Keep | None = None) -> Activations:
    """What a module inside any network gives out, such as the residual stream after a block.

    The network is run up to that module and no further, without gradients and as when it is evaluated.

    Args:
        module: the network.
        name: of the module inside it, as in ``module.named_modules()``: ``"layers.3"``. Of several outputs the first
            tensor is taken.
        batches: what the network is called with: tensors, lists of arguments, or mappings of them by name. A list or a
            ``DataLoader`` can be gone through again.
        keep: of a batch, which tokens to keep; by default all, or those of ``attention_mask`` where a batch has one.

    Returns:
        An iterable of vectors [token d_model], one a batch, which ``fit_sae`` takes; ``.tensor()`` has all of them.

    Raises:
        ModelError: the network has no module of this name.

    >>> import torch, cellprism as cp
    >>> layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    >>> network = torch.nn.TransformerEncoder(layer, 3)
    >>> batches = [torch.randn(8, 10, 16) for _ in range(4)]
    >>> cp.activations(network, "layers.1", batches)
    Activations(of layers.1 (TransformerEncoderLayer), batches 4)
    >>> sae = cp.fit_sae(cp.activations(network, "layers.1", batches), cp.SaeConfig(k=2, epochs=2))
    >>> sae.d_model, sae.n_features
    (16, 128)
    """
    return Activations(module, name, batches, keep)


def named(network: nn.Module, name: str) -> nn.Module:
    """A module inside a network by its name.

    Raises:
        ModelError: there is none; names that are like it are said.
    """
    known = dict(network.named_modules())
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=SHOWN, cutoff=0.5) or [n for n in known if n][:SHOWN]
    raise ModelError(f"{type(network).__name__} has no module {name!r}; there are, among others, {', '.join(near)}")


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """The network as it is evaluated; each of its modules is as before afterwards."""
    before = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


def _call(network: nn.Module, batch: Any, where: torch.device) -> None:
    def there(value: Any) -> Any:
        return value.to(where) if isinstance(value, Tensor) else value

    if isinstance(batch, Mapping):
        network(**{key: there(value) for key, value in batch.items()})
    elif isinstance(batch, list | tuple):
        network(*map(there, batch))
    else:
        network(there(batch))


def _tensor_of(output: Any, name: str) -> Tensor:
    """The first tensor of an output."""
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else [output]
    found = next((part for part in parts if isinstance(part, Tensor)), None)
    if found is None or found.ndim < 2:
        raise InputError(f"{name!r} gives a {type(output).__name__} without vectors; name a module that gives a tensor")
    return found

# %% [markdown]
# # Your own model
#
# Nothing here knows of cells: any PyTorch network will do. A small transformer, the activations of one of its layers by name, an
# autoencoder on them, and the autoencoder back inside the network.

# %%
import torch
from torch import nn

import cellprism as cp

torch.manual_seed(0)
block = nn.TransformerEncoderLayer(d_model=32, nhead=4, dim_feedforward=64, batch_first=True, dropout=0.0)
network = nn.TransformerEncoder(block, num_layers=4, enable_nested_tensor=False).eval()
batches = [torch.randn(16, 20, 32) for _ in range(16)]
vectors = cp.activations(network, "layers.2", batches)
vectors

# %% [markdown]
# The network runs up to `layers.2` and no further. A wrong name says what there is.

# %%
try:
    cp.activations(network, "layer.2", batches)
except Exception as error:
    print(error)

# %%
sae = cp.fit_sae(vectors.tensor(), cp.SaeConfig(k=8, expansion=4, batch_size=512, epochs=20))
sae

# %%
sae.history["explained_variance"].iloc[[0, -1]].round(3).tolist()

# %% [markdown]
# Codes keep leading dimensions and pass gradients on, so attributions need nothing special.

# %%
x = next(iter(vectors)).view(16, 20, 32).requires_grad_()
code = sae.encode(x)
code.dense()[..., 5].sum().backward()
code, x.grad.shape

# %% [markdown]
# With a forward hook the network goes on from what the autoencoder leaves; how much of its output is kept is the question.

# %%
with torch.no_grad():
    plain = network(batches[0])
    handle = network.layers[2].register_forward_hook(lambda module, inputs, output: sae(output))
    spliced = network(batches[0])
    handle.remove()
    handle = network.layers[2].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    ablated = network(batches[0])
    handle.remove()
error = lambda other: float((other - plain).square().mean())
{"spliced": round(error(spliced), 4), "ablated": round(error(ablated), 4)}

# %% [markdown]
# To learn further, `sae.module()` is an `nn.Module`; `module.autoencoder()` takes the weights back.

# %%
module = sae.module()
optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
data = vectors.tensor()
losses = []
for _ in range(30):
    loss = (module(data) - data).square().mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
round(losses[0], 4), round(losses[-1], 4), module.autoencoder()

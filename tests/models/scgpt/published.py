"""The published network out of torch's own layers, under the published tensor names, and its folder on disk."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

GENES, HIDDEN, LAYERS, HEADS, FEED_FORWARD, BINS = 29, 14, 3, 2, 19, 11
SPECIAL = {"<pad>": 7, "<cls>": 30, "<eoc>": 31}
"""Places of the special tokens; genes G0, G1 and so on have the others, in order."""
VOCABULARY = dict(
    zip([f"G{i}" for i in range(GENES)], sorted(set(range(GENES + 3)) - set(SPECIAL.values())), strict=True)
)
ARGS = {
    "nheads": HEADS, "embsize": HIDDEN, "d_hid": FEED_FORWARD, "nlayers": LAYERS, "n_layers_cls": 3, "dropout": 0.2,
    "n_bins": BINS, "mask_value": -1, "pad_value": -2, "pad_token": "<pad>", "input_style": "binned",
    "input_emb_style": "continuous", "max_seq_len": 1200,
}  # fmt: skip


class Published(nn.Module):
    """Embeddings, torch's encoder layers and the decoder."""

    def __init__(self, seed: int = 2):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            d = HIDDEN
            self.encoder = nn.ModuleDict({"embedding": nn.Embedding(GENES + 3, d), "enc_norm": nn.LayerNorm(d)})
            self.value_encoder = nn.ModuleDict(
                {"linear1": nn.Linear(1, d), "linear2": nn.Linear(d, d), "norm": nn.LayerNorm(d)}
            )
            layer = nn.TransformerEncoderLayer(d, HEADS, FEED_FORWARD, dropout=0.2, batch_first=True)
            self.transformer_encoder = nn.TransformerEncoder(layer, LAYERS)
            fc = nn.Sequential(nn.Linear(d, d), nn.LeakyReLU(), nn.Linear(d, d), nn.LeakyReLU(), nn.Linear(d, 1))
            self.decoder = nn.ModuleDict({"fc": fc})
            for p in self.parameters():  # torch starts all layers alike, norms at 1 and attention's biases at 0
                p.data += 0.2 * torch.randn_like(p)
        self.eval().requires_grad_(False)

    def forward(self, token: Tensor, bins: Tensor) -> tuple[list[Tensor], Tensor]:
        """Residual streams after every block and predicted bins [cell token], from tokens [cell token] and bins."""
        values = self.value_encoder
        hidden = values["linear2"](torch.relu(values["linear1"](bins[..., None])))
        x = self.encoder["enc_norm"](self.encoder["embedding"](token)) + values["norm"](hidden)
        residuals = []
        for layer in self.transformer_encoder.layers:
            x = layer(x)
            residuals.append(x)
        return residuals, self.decoder["fc"](x)[..., 0]


def write_folder(
    folder: Path, tensors: Mapping[str, Any] | None = None, args: dict | None = None, vocabulary: dict | None = None
) -> Path:
    """A published folder; by default the weights of ``Published()``."""
    folder.mkdir(exist_ok=True)
    torch.save(dict(Published().state_dict() if tensors is None else tensors), folder / "best_model.pt")
    (folder / "args.json").write_text(json.dumps(ARGS if args is None else args))
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY | SPECIAL if vocabulary is None else vocabulary))
    return folder

"""A hub on this machine: the addresses that ``cellprism.models.hub`` asks, and everything that can go wrong with them.

Two servers on the loopback interface, as the real hub has them: one lists files and serves small ones, and sends those
in large-file storage on to the other, which knows nothing but checksums.
"""

import hashlib
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import torch
from safetensors.torch import save_file

from cellprism.models.aido.files import published_name
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.settings import AidoConfig

LARGE = (".safetensors", ".bin")


@dataclass
class Hub:
    """What the servers do; tests change it while they run."""

    folder: Path
    """Contents of the one repository."""
    repository: str = "genbio-ai/AIDO.Cell-3M"
    revision: str = "3f" * 20
    card: dict = field(default_factory=lambda: {"license": "other"})
    token: str = ""
    """If not '', the repository is gated and this opens it."""
    moved_to: str = ""
    """New name of the repository."""
    status: int = 200
    """Anything else: the answer to every question."""
    listing: bytes = b""
    """Served in place of the list of files."""
    gone: set[str] = field(default_factory=set)
    """Files that are listed but not there."""
    instead: dict[str, bytes] = field(default_factory=dict)
    """Other bytes that are served for a file."""
    breaks: dict[str, list[int]] = field(default_factory=dict)
    """By file: after how many bytes the next transfers of it break off."""
    ranges: bool = True
    """Whether a transfer may start in the middle."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and Authorization header of every request, in order; paths of the storage begin with /blob."""
    started: list[int] = field(default_factory=list)
    """First byte of every transfer from the storage."""
    storage: str = ""

    def fetched(self) -> list[str]:
        """Names of the files that were asked for, in order."""
        return [path.split("/", 5)[5] for path, _ in self.asked if "/resolve/" in path]

    def files(self) -> dict[str, Path]:
        """The repository's files by their paths in it."""
        return {str(f.relative_to(self.folder)): f for f in sorted(self.folder.rglob("*")) if f.is_file()}

    def list_of_files(self) -> bytes:
        """The answer about a revision, in the fields that the real hub gives."""
        siblings = []
        for name, file in self.files().items():
            data = file.read_bytes()
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            entry = {"rfilename": name, "size": len(data), "blobId": blob}
            if name.endswith(LARGE):
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        said = {"id": self.moved_to or self.repository, "sha": self.revision, "gated": bool(self.token) and "manual",
                "private": False, "cardData": self.card, "siblings": siblings}  # fmt: skip
        return json.dumps(said).encode()


def write_published(folder: Path, pickled: bool = False) -> AidoCell:
    """Write a model of the shape of AIDO.Cell-3M with random weights as its publisher does; return it.

    The published repository holds a pickle; ``pickled=False`` writes the same tensors as safetensors.
    """
    torch.manual_seed(3)
    model = AidoCell(AidoConfig(n_genes=19_264, hidden=128, layers=6, heads=4, intermediate=320)).requires_grad_(False)
    tensors = {published_name(ours): tensor.clone() for ours, tensor in model.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    if pickled:
        torch.save(
            tensors | {"cls.predictions.decoder.bias": tensors["cls.predictions.bias"]}, folder / "pytorch_model.bin"
        )
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["CellFoundationForMaskedLM"], "model_type": "cellfoundation", "hidden_size": 128,
              "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 320, "hidden_act": "swiglu",
              "max_position_embeddings": 19_264, "normalization_type": "LayerNorm", "layer_norm_eps": 1e-5,
              "add_linear_bias": True, "bin_num": 100, "bin_alpha": 1.0, "mask_token_id": -1, "pad_token_id": -2,
              "torch_dtype": "float32"}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"pad_token_id": -2}))
    (folder / "README.md").write_text("---\nlicense: other\n---\n## A model with random weights\n")
    (folder / "LICENSE").write_text("Terms of the publisher\n")
    (folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    return model


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def reply(self, status: int, body: bytes = b"", breaks_after: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if breaks_after is None:
            self.wfile.write(body)
        else:
            self.wfile.write(body[:breaks_after])
            self.close_connection = True

    def contents(self, name: str) -> None:
        """A file, from the byte that is asked for."""
        hub = self.hub
        body = hub.instead.get(name) or hub.files()[name].read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and hub.ranges else 0
        hub.started.append(start)
        after = hub.breaks[name].pop(0) if hub.breaks.get(name) else None
        if start:
            place = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.reply(206, body[start:], after, Content_Range=place)
        else:
            kind = "text/html" if body.startswith(b"<") else "application/octet-stream"
            self.reply(200, body, after, Content_Type=kind)


class _Front(_Handler):
    def do_GET(self) -> None:
        hub, path = self.hub, urlsplit(self.path).path
        token = self.headers.get("Authorization", "")
        hub.asked.append((path, token))
        if hub.status != 200:
            self.reply(hub.status)
        elif path == f"/api/models/{hub.repository}/revision/{hub.revision}":
            self.reply(200, hub.listing or hub.list_of_files(), Content_Type="application/json")
        elif not path.startswith((f"/api/models/{hub.repository}/", f"/{hub.repository}/")):
            self.reply(404, X_Error_Code="RepoNotFound")
        elif not path.startswith(f"/{hub.repository}/resolve/{hub.revision}/"):
            self.reply(404, X_Error_Code="RevisionNotFound")
        elif hub.token and token != f"Bearer {hub.token}":
            self.reply(403 if token else 401, X_Error_Code="GatedRepo")
        else:
            self.file(path.removeprefix(f"/{hub.repository}/resolve/{hub.revision}/"))

    def file(self, name: str) -> None:
        if name not in self.hub.files() or name in self.hub.gone:
            self.reply(404, X_Error_Code="EntryNotFound")
        elif name.endswith(LARGE):
            self.reply(302, Location=f"{self.hub.storage}/blob/{name}?signature=secret")
        else:
            self.contents(name)


class _Storage(_Handler):
    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.hub.asked.append((path, self.headers.get("Authorization", "")))
        self.contents(path.removeprefix("/blob/"))


@contextmanager
def serving(hub: Hub):
    """Run both servers; yields the hub's address."""
    servers = [
        ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (kind,), {"hub": hub})) for kind in (_Front, _Storage)
    ]
    addresses = [f"http://127.0.0.1:{server.server_port}" for server in servers]
    hub.storage = addresses[1]
    threads = [Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield addresses[0]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()

"""What ``cellprism export --to saelens`` writes of an autoencoder with a mean for each group is exact in SAELens."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch

from cellprism.notebook.exports.saelens import write_saelens
from interop.test_ours import GROUPS, data, fitted
from interop.test_theirs import dense
from interop.theirs import sae_lens


def test_a_centred_autoencoder_says_the_same_of_centred_vectors(tmp_path, noted):
    sae = replace(fitted("topk", "group"), history=None)
    write_saelens(SimpleNamespace(sae=sae, folder=Path("run")), tmp_path / "sae", centred=True)
    theirs, batch = sae_lens.SAE.load_from_disk(tmp_path / "sae"), data()[0]
    assert len(sae.centre) == GROUPS
    code = sae.encode(batch.x, batch.group)
    with torch.no_grad():
        codes = theirs.encode(sae.centred(batch.x, batch.group))
        whole = theirs.decode(codes) + sae.centre[batch.group]
    noted("SAELens", "topk, a mean for each group", (codes, dense(code)), (whole, sae.decode(code, batch.group)))

"""What is fitted and saved here is read by SAELens and says the same."""

import json
from dataclasses import replace

import pytest
import torch
from sae.conftest import planted

from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.centre import group_means
from cellprism.sae.config import SaeConfig
from cellprism.sae.files import save_sae
from cellprism.sae.fit import fit_saes
from cellprism.sae.job import Job
from cellprism.sae.stream import Vectors
from interop.test_theirs import dense
from interop.theirs import D_IN, D_OUT, FEATURES, K, sae_lens

STEPS, TOKENS, GROUPS = 41, 101, 7
METADATA = {"model_name": "tiny", "hook_name": "blocks.2.hook_resid_post", "seed": 3}
NAMES = {
    "topk": "topk", "batchtopk": "jumprelu", "matryoshka": "jumprelu", "l1": "standard", "gated": "gated",
    "jumprelu": "jumprelu",
}  # fmt: skip
"""Of each architecture, the one of SAELens that does the same."""


def data() -> list[Vectors]:
    """Vectors off centre, groups with means of their own, targets that follow from the vectors."""
    x = planted(TOKENS * 7, D_IN, 31, 3).x
    group = torch.arange(len(x)) % GROUPS
    x = x + torch.randn(GROUPS, D_IN, generator=torch.Generator().manual_seed(5))[group]
    target = torch.tanh(x @ torch.randn(D_IN, D_OUT, generator=torch.Generator().manual_seed(6))) + 0.3
    return [Vectors(*part) for part in zip(x.split(TOKENS), group.split(TOKENS), target.split(TOKENS), strict=True)]


def fitted(architecture: str, centring: str = "none", *, transcoder: bool = False, **settings) -> SparseAutoencoder:
    config = SaeConfig(architecture, k=K, n_features=FEATURES, centring=centring, learning_rate=3e-3, **settings)
    batches, means = data(), {}
    if centring != "none":
        groups = GROUPS if centring == "group" else 1
        means["centre"] = group_means(((b.x, b.group % groups) for b in batches), groups)
        if transcoder:
            means["target_centre"] = group_means(((b.target, b.group % groups) for b in batches), groups)
    job = Job(config, D_IN, seed=3, d_target=D_OUT if transcoder else None, metadata=METADATA, **means)
    sae = fit_saes(batches, [job], STEPS)[0]
    return sae if sae.slope is None else replace(sae, slope=sae.slope * torch.linspace(0.5, 2, FEATURES))


def compared(sae, folder, noted, name):
    save_sae(sae, folder)
    theirs, x = sae_lens.SAE.load_from_disk(folder), data()[0].x
    code = sae.encode(x)
    with torch.no_grad():
        codes = theirs.encode(x)
        noted("SAELens", name, (codes, dense(code)), (theirs.decode(codes), sae.decode(code)))
    assert theirs.cfg.metadata.hook_name == METADATA["hook_name"]
    return theirs


@pytest.mark.parametrize("centring", ["none", "global"])
@pytest.mark.parametrize("architecture", NAMES)
def test_autoencoders_say_the_same(architecture, centring, tmp_path, noted):
    sae = fitted(architecture, centring)
    theirs = compared(sae, tmp_path, noted, f"{architecture}, centring {centring}")
    assert theirs.cfg.architecture() == NAMES[architecture]
    assert sae.centre is None, "one mean for all is a bias"


@pytest.mark.parametrize("centring", ["none", "global"])
@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka", "l1", "jumprelu"])
def test_transcoders_say_the_same(architecture, centring, tmp_path, noted):
    sae = fitted(architecture, centring, transcoder=True)
    theirs = compared(sae, tmp_path, noted, f"{architecture} transcoder, centring {centring}")
    assert theirs.cfg.architecture() == ("transcoder" if architecture == "l1" else "jumprelu_transcoder")


@pytest.mark.parametrize(
    "settings", [{"biases": "two"}, {"scaling": False}, {"unit_norm": False}, {"whitening": 5}], ids=str
)
def test_further_settings_say_the_same(settings, tmp_path, noted):
    compared(fitted("topk", **settings), tmp_path, noted, f"topk, {settings}")


@pytest.mark.parametrize("architecture", NAMES)
def test_saelens_can_train_them_further(architecture, tmp_path):
    sae, x = fitted(architecture), data()[0].x
    save_sae(sae, tmp_path)
    theirs = sae_lens.TrainingSAE.load_from_disk(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(x), dense(sae.encode(x)))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"architecture": "topk", "relu": False}, "topk_signed"),
        ({"architecture": "topk", "transcoder": True}, "topk_transcoder"),
        ({"architecture": "topk", "relu": False, "transcoder": True}, "topk_signed_transcoder"),
        ({"architecture": "gated", "transcoder": True}, "gated_transcoder"),
    ],
)
def test_what_saelens_does_not_have_it_refuses(settings, name, tmp_path):
    save_sae(fitted(**settings), tmp_path)
    with pytest.raises(KeyError, match=name):
        sae_lens.SAE.load_from_disk(tmp_path)
    assert "refuses this architecture" in json.loads((tmp_path / "cfg.json").read_text())["cellprism"]["note"]


@pytest.mark.parametrize("transcoder", [False, True], ids=["autoencoder", "transcoder"])
def test_centres_of_groups_are_refused_and_the_way_around_it_works(transcoder, tmp_path, noted):
    sae = fitted("batchtopk", "group", transcoder=transcoder)
    save_sae(sae, tmp_path / "refused")
    with pytest.raises(ValueError, match="normalize_activations must be .* Got group_mean"):
        sae_lens.SAE.load_from_disk(tmp_path / "refused")
    assert "sae.centred(x, group)" in json.loads((tmp_path / "refused" / "cfg.json").read_text())["cellprism"]["note"]

    bare = replace(sae, centre=None, target_centre=None)
    save_sae(bare, tmp_path / "bare")
    theirs, batch = sae_lens.SAE.load_from_disk(tmp_path / "bare"), data()[0]
    code, centre = sae.encode(batch.x, batch.group), sae.target_centre if transcoder else sae.centre
    with torch.no_grad():
        codes = theirs.encode(sae.centred(batch.x, batch.group))
        found = theirs.decode(codes) + centre[batch.group]
    name = "transcoder" if transcoder else "autoencoder"
    noted("SAELens", f"batchtopk {name}, centred vectors", (codes, dense(code)), (found, sae.decode(code, batch.group)))

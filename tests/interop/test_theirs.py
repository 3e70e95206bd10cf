"""What SAELens saved is read here and says the same."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from cellprism.errors import InputError
from cellprism.sae.files import load_sae, save_sae
from cellprism.types import SparseCode
from interop.golden import FOLDER
from interop.theirs import CASES, CONFIG, FEATURES, REFUSED, WEIGHTS, sae_lens


def dense(code: SparseCode) -> torch.Tensor:
    """With a place for every feature."""
    zero = torch.zeros(len(code.values), code.n_features)
    return zero.scatter_add_(1, code.features, code.values)


@pytest.mark.parametrize("name", CASES)
def test_codes_and_reconstructions_are_the_same(name, tmp_path, noted):
    case = CASES[name](tmp_path)
    sae = load_sae(tmp_path)
    code = sae.encode(case.x)
    noted("cellprism", name, (dense(code), case.codes), (sae.decode(code), case.reconstruction))
    assert {t.dtype for t in (sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec)} == {torch.float32}
    assert sae.metadata["model_name"] == "tiny"
    assert sae.metadata["hook_name"].startswith("blocks.2.")


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_setting_and_the_fix(name, tmp_path):
    write, message = REFUSED[name]
    write(tmp_path)
    with pytest.raises(InputError, match=message):
        load_sae(tmp_path)


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("standard", "l1"),
        ("topk, trained", "topk"),
        ("batchtopk, trained", "batchtopk"),
        ("matryoshka_batchtopk, trained", "matryoshka"),
        ("matryoshka_batchtopk, checkpoint", "matryoshka"),
        ("jumprelu_transcoder", "jumprelu"),
    ],
)
def test_it_knows_what_it_was_trained_as(name, architecture, tmp_path):
    CASES[name](tmp_path)
    sae = load_sae(tmp_path)
    assert (sae.architecture, sae.is_transcoder) == (architecture, "transcoder" in name)


def test_firing_rates_are_read_where_they_are(tmp_path):
    CASES["topk, checkpoint"](tmp_path)
    rate = load_sae(tmp_path).firing_rate
    assert rate is not None
    torch.testing.assert_close(rate[1:], 10 ** torch.linspace(-10, -1, FEATURES)[1:])
    assert rate[0] == 0
    (tmp_path / "sparsity.safetensors").unlink()
    assert load_sae(tmp_path).firing_rate is None


def test_there_and_back_and_there_again_is_the_same(tmp_path, noted):
    """SAELens' folder, saved again here, in SAELens."""
    for name in ("gated, trained", "batchtopk, trained", "topk, whitened", "jumprelu_transcoder"):
        case = CASES[name](tmp_path / name)
        save_sae(load_sae(tmp_path / name), tmp_path / "again")
        back = sae_lens.SAE.load_from_disk(tmp_path / "again")
        with torch.no_grad():
            codes = back.encode(case.x)
            noted("both", name, (codes, case.codes), (back.decode(codes), case.reconstruction))
        assert back.cfg.metadata.hook_name == "blocks.2.hook_resid_post"


def test_a_further_weight_is_not_passed_over(tmp_path):
    CASES["standard"](tmp_path)
    save_file(load_file(tmp_path / WEIGHTS) | {"scaling_factor": torch.full((FEATURES,), 2.0)}, tmp_path / WEIGHTS)
    with pytest.raises(InputError, match="holds scaling_factor too, of which nothing is known here"):
        load_sae(tmp_path)


@pytest.mark.parametrize("folder", sorted(p for p in FOLDER.iterdir() if p.is_dir()), ids=lambda p: p.name)
def test_the_figures_of_the_default_tests_are_still_what_it_says(folder):
    config = json.loads((folder / CONFIG).read_text())
    if config["normalize_activations"] not in ("none", False) or config.get("architecture") == "matryoshka_batchtopk":
        pytest.skip("SAELens loads its training checkpoints for training only")
    said, sae = load_file(folder / "said.safetensors"), sae_lens.SAE.load_from_disk(folder, dtype="float32")
    with torch.no_grad():
        codes = sae.encode(said["x"])
        torch.testing.assert_close(codes, said["codes"])
        torch.testing.assert_close(sae.decode(codes), said["reconstruction"])

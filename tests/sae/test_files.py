import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from cellprism.errors import DamagedError, InputError
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.files import load_sae, save_sae
from cellprism.store.atomic import sha256
from sae.conftest import D_MODEL, FEATURES, K

WEIGHTS = "sae_weights.safetensors"
FILES = [WEIGHTS, "centre.safetensors", "sparsity.safetensors"]
GOLDEN = Path(__file__).parent / "golden" / "saelens"
GROUPS, D_TARGET = 7, 11


def _random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _thresholds(seed: int = 3) -> Tensor:
    return _random(FEATURES, seed=seed).abs()


KINDS = {
    "topk": {"k": K},
    "topk_signed": {"k": K, "relu": False},
    "jumprelu": {"threshold": _thresholds(), "architecture": "matryoshka"},
    "standard": {"threshold": torch.zeros(FEATURES), "architecture": "l1"},
    "gated": {
        "threshold": torch.zeros(FEATURES), "slope": _thresholds(4) + 0.1, "shift": _random(FEATURES, seed=5),
        "architecture": "gated",
    },
}  # fmt: skip
"""What selects features, by the name in ``cfg.json``."""
CENTRINGS = {"none": None, "of all": 1, "of groups": GROUPS}


def made(kind: str, rows: int | None = None, transcoder: bool = False) -> SparseAutoencoder:
    """An autoencoder of some kind; its centre is far off, as a model's mean residual is."""
    d_target = D_TARGET if transcoder else D_MODEL
    shapes = [(D_MODEL, FEATURES), (FEATURES,), (FEATURES, d_target), (d_target,)]
    weights = [_random(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    centres = {} if rows is None else {"centre": 10 * _random(rows, D_MODEL, seed=8)}
    if rows is not None and transcoder:
        centres["target_centre"] = 10 * _random(rows, D_TARGET, seed=9)
    return SparseAutoencoder(*weights, **KINDS[kind], **centres, is_transcoder=transcoder)


@pytest.fixture
def saved(sae, tmp_path):
    rate = torch.rand(FEATURES, generator=torch.Generator().manual_seed(5))
    rate[3] = 0
    whole = replace(sae, firing_rate=rate, centre=torch.ones(GROUPS, D_MODEL), metadata={"model_name": "tiny"})
    save_sae(whole, tmp_path / "sae" / "L2")
    return whole, tmp_path / "sae" / "L2"


def test_what_is_saved_comes_back(saved, vectors):
    sae, folder = saved
    found = load_sae(folder)
    torch.testing.assert_close(found.firing_rate, sae.firing_rate, rtol=1e-5, atol=1e-9)
    assert found.firing_rate[3] == 0
    assert found.metadata == {"model_name": "tiny"}
    group = torch.zeros(len(vectors), dtype=torch.long)
    assert torch.equal(found.encode(vectors, group).values, sae.encode(vectors, group).values)


@pytest.mark.parametrize("transcoder", [False, True], ids=["autoencoder", "transcoder"])
@pytest.mark.parametrize("rows", CENTRINGS.values(), ids=[f"centre {name}" for name in CENTRINGS])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_bit_for_bit(kind, rows, transcoder, tmp_path):
    sae = made(kind, rows, transcoder)
    save_sae(sae, tmp_path)
    found = load_sae(tmp_path)
    for name in (f.name for f in fields(sae)):
        before, after = getattr(sae, name), getattr(found, name)
        same = torch.equal(before, after) if isinstance(before, Tensor) and after is not None else before == after
        assert same, f"{name}: {before} became {after}"
        assert not isinstance(after, Tensor) or after.dtype == torch.float32


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (lambda t: t.to(torch.float8_e4m3fn), "holds float8_e4m3fn codes instead of weights; save it as float32"),
        (lambda t: (t * 100).to(torch.int8), "holds int8 codes instead of weights"),
        (lambda t: t * torch.nan, "holds NaN or infinite weights, with which nothing can be computed"),
        (lambda t: t.index_fill(0, torch.tensor([2]), torch.inf), "holds NaN or infinite weights"),
    ],
)
@pytest.mark.parametrize(("file", "name"), [(WEIGHTS, "W_dec"), (WEIGHTS, "b_enc"), ("centre.safetensors", "centre")])
def test_what_is_no_weights_is_refused(saved, file, name, spoilt, message):
    _, folder = saved
    save_file({**(tensors := load_file(folder / file)), name: spoilt(tensors[name])}, folder / file)
    config = json.loads((folder / "cfg.json").read_text())
    config["cellprism"]["sha256"][file] = sha256(folder / file)
    (folder / "cfg.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"{file}: {name} {message}"):
        load_sae(folder)


@pytest.mark.parametrize("transcoder", [False, True], ids=["autoencoder", "transcoder"])
@pytest.mark.parametrize("kind", KINDS)
def test_files_and_keys_are_those_of_saelens(kind, transcoder, tmp_path):
    save_sae(replace(made(kind, None, transcoder), metadata={"model_name": "tiny"}), tmp_path)
    config = json.loads((tmp_path / "cfg.json").read_text())
    expected = {
        "architecture": kind,
        "d_in": D_MODEL,
        "d_sae": FEATURES,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": not transcoder,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "sae_lens_version": "6.0.0",
        "metadata": {"model_name": "tiny"},
    }
    if kind.startswith("topk"):
        expected |= {"k": K, "rescale_acts_by_decoder_norm": False}
    if transcoder:
        expected |= {"architecture": "transcoder" if kind == "standard" else f"{kind}_transcoder", "d_out": D_TARGET}
    ours = config.pop("cellprism")
    assert config == expected
    assert ours["architecture"] == KINDS[kind].get("architecture", "topk")
    assert ("note" in ours) == (kind == "topk_signed" or (transcoder and kind in ("topk", "gated")))

    d_target = D_TARGET if transcoder else D_MODEL
    shapes = {"W_enc": (D_MODEL, FEATURES), "W_dec": (FEATURES, d_target), "b_dec": (d_target,)}
    further = {"gated": ("b_gate", "r_mag", "b_mag"), "jumprelu": ("b_enc", "threshold")}.get(kind, ("b_enc",))
    with safe_open(tmp_path / WEIGHTS, "pt") as opened:
        found = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    assert found == shapes | dict.fromkeys(further, (FEATURES,))


def test_a_feature_that_never_fires_has_a_logarithm(saved):
    assert load_file(saved[1] / "sparsity.safetensors")["sparsity"][3] == -10


@pytest.mark.parametrize("transcoder", [False, True], ids=["autoencoder", "transcoder"])
def test_the_one_centre_of_all_tokens_is_in_the_weights_too(transcoder, vectors, tmp_path):
    sae = made("jumprelu", 1, transcoder)
    save_sae(sae, tmp_path)
    weights, said = load_file(tmp_path / WEIGHTS), sae.decode(sae.encode(vectors))
    h = (vectors if transcoder else vectors - weights["b_dec"].float()) @ weights["W_enc"] + weights["b_enc"].float()
    z = h * (h > weights["threshold"])
    torch.testing.assert_close(z @ weights["W_dec"] + weights["b_dec"].float(), said, rtol=1e-4, atol=1e-3)


def test_centres_of_groups_make_others_refuse_and_say_why(tmp_path):
    save_sae(made("topk", GROUPS), tmp_path)
    config = json.loads((tmp_path / "cfg.json").read_text())
    assert config["normalize_activations"] == "group_mean"
    assert "give SAELens sae.centred(x, group)" in config["cellprism"]["note"]


def test_a_gate_that_opens_elsewhere_than_at_zero_is_moved_there(vectors, tmp_path):
    sae = replace(made("gated"), threshold=_thresholds())
    save_sae(sae, tmp_path)
    found = load_sae(tmp_path)
    before, after = sae.encode(vectors), found.encode(vectors)
    assert torch.equal(before.features, after.features)
    torch.testing.assert_close(after.values, before.values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("folder", sorted(p for p in GOLDEN.iterdir() if p.is_dir()), ids=lambda p: p.name)
def test_what_saelens_saved_says_the_same_here(folder):
    said = load_file(folder / "said.safetensors")
    sae = load_sae(folder)
    code = sae.encode(said["x"])
    codes = torch.zeros_like(said["codes"]).scatter_add_(1, code.features, code.values)
    assert torch.equal(codes != 0, said["codes"] != 0)
    torch.testing.assert_close(codes, said["codes"], rtol=1e-5, atol=3e-5)
    torch.testing.assert_close(sae.decode(code), said["reconstruction"], rtol=1e-5, atol=3e-5)
    assert sae.metadata["hook_name"] == "blocks.2.hook_resid_post"


def test_a_folder_without_our_own_entries_is_read_too(tmp_path):
    sae = replace(made("topk", 1), architecture="of our own")
    save_sae(sae, tmp_path)
    _without_hashes(tmp_path)
    found = load_sae(tmp_path)
    assert (found.centre, found.architecture) == (None, "topk")
    torch.testing.assert_close(found.b_dec, sae.b_dec + sae.centre[0])


def test_saving_again_leaves_nothing_of_the_former(saved, sae):
    _, folder = saved
    save_sae(sae, folder)
    assert sorted(p.name for p in folder.iterdir()) == ["cfg.json", WEIGHTS]
    found = load_sae(folder)
    assert found.centre is None
    assert found.firing_rate is None


def test_weights_that_lie_otherwise_in_memory_and_want_gradients_are_saved(sae, tmp_path):
    save_sae(replace(sae, W_enc=sae.W_enc.T.contiguous().T.requires_grad_()), tmp_path)
    assert torch.equal(load_sae(tmp_path).W_enc, sae.W_enc)


@pytest.mark.parametrize("name", ["cfg.json", *FILES])
def test_a_missing_file_is_named(saved, name):
    _, folder = saved
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        load_sae(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*nowhere; give one that holds"):
        load_sae(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["cfg.json", *FILES])
def test_a_truncated_file_is_named(saved, name):
    _, folder = saved
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedError, match=name):
        load_sae(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_noticed(saved, name):
    _, folder = saved
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 0x40
    (folder / name).write_bytes(content)
    with pytest.raises(DamagedError, match=f"{name} is not the file that cfg.json was written with"):
        load_sae(folder)


def _without_hashes(folder, **changes):
    config = json.loads((folder / "cfg.json").read_text()) | changes
    del config["cellprism"]
    (folder / "cfg.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"architecture": "crosscoder"},
            InputError,
            "architecture 'crosscoder', which cannot be read here. Readable are standard, .* and transcoders of these",
        ),
        (
            {"architecture": "skip_transcoder"},
            InputError,
            r"'skip_transcoder', which cannot be read here: .* \(W_skip\); encode with SAELens",
        ),
        (
            {"normalize_activations": "layer_norm"},
            InputError,
            "normalize_activations = 'layer_norm', .*cannot be folded.* Set it to 'none' in a copy and give vectors",
        ),
        (
            {"normalize_activations": "expected_average_only_in"},
            InputError,
            r"'expected_average_only_in', but .* not beside it in activation_scaler.json. Fold it into the weights",
        ),
        (
            {"normalize_activations": "covariance_whitening"},
            InputError,
            r"'covariance_whitening', but .* in SAELens \(fold_activation_whitening\) and save again",
        ),
        (
            {"hook_name": "blocks.2.hook_resid_post", "activation_fn_str": "tanh-relu"},
            InputError,
            "activation_fn = 'tanh-relu', which cannot be read here; only relu and topk",
        ),
        ({"normalize_activations": "group_mean"}, DamagedError, "'group_mean' but names no centres"),
        ({"architecture": None}, DamagedError, "cfg.json lacks architecture"),
        ({"k": None}, DamagedError, "cfg.json lacks k"),
        ({"architecture": "topk_transcoder"}, DamagedError, "cfg.json lacks d_out"),
        ({"d_sae": 40}, DamagedError, r"W_enc has shape \(13, 41\) but cfg.json asks for \(13, 40\)"),
        *(({"k": k}, DamagedError, r"says k = .*, expected a whole number of at least 1") for k in (0, 5.0, "5", [5])),
        ({"d_sae": True}, DamagedError, "says d_sae = True, expected a whole number of at least 1"),
        ({"architecture": "jumprelu"}, DamagedError, "lacks threshold; found W_dec, W_enc, b_dec, b_enc"),
    ],
)
def test_settings_that_cannot_be_read_are_named(sae, tmp_path, changes, error, message):
    save_sae(sae, tmp_path)
    _without_hashes(tmp_path, **changes)
    with pytest.raises(error, match=message):
        load_sae(tmp_path)


def test_a_weight_that_is_not_there_is_named(sae, tmp_path):
    save_sae(sae, tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    del tensors["b_enc"]
    save_file(tensors, tmp_path / WEIGHTS)
    _without_hashes(tmp_path)
    with pytest.raises(DamagedError, match=r"lacks b_enc; found W_dec, W_enc, b_dec"):
        load_sae(tmp_path)


def test_a_weight_that_nobody_asked_for_is_not_passed_over(sae, tmp_path):
    save_sae(sae, tmp_path)
    save_file(load_file(tmp_path / WEIGHTS) | {"W_skip": torch.ones(D_MODEL, D_MODEL)}, tmp_path / WEIGHTS)
    _without_hashes(tmp_path)
    with pytest.raises(InputError, match="holds W_skip too, of which nothing is known here"):
        load_sae(tmp_path)


def test_settings_that_are_no_object_are_damaged(saved):
    _, folder = saved
    (folder / "cfg.json").write_text("[1]")
    with pytest.raises(DamagedError, match="holds no settings"):
        load_sae(folder)


@pytest.mark.parametrize("place", ["metadata", "cellprism", "cellprism.sha256", "metadata.config", "metadata.measures"])
@pytest.mark.parametrize("value", [None, 7, "text", ["a"]])
def test_something_else_where_settings_hold_an_object_is_named(saved, place, value):
    _, folder = saved
    config = json.loads((folder / "cfg.json").read_text())
    first, _, last = place.partition(".")
    if last:
        config[first][last] = value
    else:
        config[first] = value
    (folder / "cfg.json").write_text(json.dumps(config))
    with pytest.raises(DamagedError, match=f"{place} is .*, expected a JSON object"):
        load_sae(folder)

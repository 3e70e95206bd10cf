"""Configurations: what is read is what was written, and every mistake is one message that names the key."""

import re
import time
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from cellprism.cells.read import read_cells
from cellprism.errors import ConfigError, RunError
from cellprism.models.registry import BUNDLED
from cellprism.ontology.gmt import read_gmt
from cellprism.sae.config import SaeConfig
from cellprism.studies.common import CommonConfig
from cellprism.workflow.config import changed, make_config, read_config, write_config


def made(*changes: str, **sections) -> CommonConfig:
    return make_config({"cells": "some.h5ad", **sections}, changes)


def test_a_written_configuration_reads_back_the_same(tmp_path):
    config = made("train.n_features=41", "steer.programs=['a','b']", 'pool={"T cells"=["CD4","CD8"]}', "seed=7")
    (tmp_path / "run.toml").write_text(write_config(config))
    assert read_config(tmp_path / "run.toml") == config
    assert config.pool == {"T cells": ("CD4", "CD8")}


def test_a_written_configuration_holds_every_default(tmp_path):
    text = write_config(made())
    assert 'centring = "group"' in text
    assert "null_replicates = 39" in text
    assert "n_features" not in text, "an optional value that is not set cannot be written in TOML"


def test_residuals_are_centred_per_gene_unless_asked_otherwise():
    assert made().train.centring == "group"
    assert made(train={"k": 5}).train == SaeConfig(k=5, centring="group")
    assert made("train.k=5").train.centring == "group"
    assert made(train={"centring": "none"}).train.centring == "none"


def test_a_preset_sets_a_whole_run_and_every_key_changes_it(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('cells = "x.h5ad"\npreset = "yc2026"\n[train]\nk = 7\n[programs]\nalpha = 0.1\n')
    config: Any = read_config(path, ["layer=2", "programs.family=all-terms"])
    assert (config.layer, config.train.k, config.train.biases, config.train.batch_cells) == (2, 7, "two", 8)
    assert (config.programs.collection, config.programs.gene_filter) == ("GO_Biological_Process_2021", "paper")
    assert (config.programs.family, config.programs.alpha) == ("all-terms", 0.1)
    as_published: Any = make_config({"cells": "x.h5ad", "preset": "yc2026"})
    assert (as_published.layer, as_published.train, as_published.programs.family) == (
        12, SaeConfig.preset("yc2026"), "hit-terms",
    )  # fmt: skip
    with pytest.raises(ConfigError, match="there is no preset 7: expected one of yc2026"):
        make_config({"cells": "x.h5ad", "preset": 7})
    with pytest.raises(ConfigError, match=r"unknown key train\.preset"):
        make_config({"cells": "x.h5ad", "train": {"preset": "yc2026"}})


def test_whole_numbers_do_where_a_number_is_asked_for():
    assert made("steer.doses.strengths=[-1, 1, 3]", "steer.doses.judged_at=2").steer.doses.strengths == (-1.0, 1.0, 3.0)
    assert isinstance(made("contrast.search.bound=4").contrast.search.bound, float)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("train.k=16", 16),
        ("programs.collection=blood", "blood"),
        ('programs.collection="sets/a b.gmt"', "sets/a b.gmt"),
        ("contrast.named = ['CD4']", ("CD4",)),
        ("train.relu=false", False),
        ("labels=", ""),
    ],
)
def test_a_change_is_read_as_toml_and_a_bare_word_as_text(change, value):
    found = made(change)
    for part in change.partition("=")[0].strip().split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trian.k=3", "unknown key trian; did you mean train?"),
        ("train.kk=3", "unknown key train.kk; did you mean train.k?"),
        ("contrast.search.penaltys=3", "unknown key contrast.search.penaltys; did you mean contrast.search.penalties?"),
        ("contrast.qqq=3", "unknown key contrast.qqq; known here: source, target, objectives, named, search"),
        ("train=3", "train is 3, expected a section [train]"),
        ("train.k=many", "train.k is 'many', expected a whole number"),
        ("train.k=2.5", "train.k is 2.5, expected a whole number"),
        ("train.k=true", "train.k is True, expected a whole number"),
        ("programs.alpha=low", "programs.alpha is 'low', expected a number"),
        ("train.relu=1", "train.relu is 1, expected true or false"),
        ("train.architecture=dense", "train.architecture is 'dense', expected one of 'topk'"),
        ("steer.programs=Interferon", "steer.programs is 'Interferon', expected a list, such as ['Interferon']"),
        ("pool.T=CD4", "pool.T is 'CD4', expected a list, such as ['CD4']"),
        ("train.k=0", "k is 0: expected a whole number of at least 1"),
        ("programs.family=all", "family is 'all': expected one of all-terms, hit-terms, all-tests"),
        ("programs.gene_filter=none", "gene_filter is 'none': expected one of paper, code, all"),
        ("programs.alpha=5", "alpha is 5.0: expected a number between 0 and 1"),
        ("programs.replicates=0", "replicates is 0: expected a whole number of at least 1"),
        ("programs.min_term_size=0", "min_term_size is 0: expected"),
        ("steer.cells=0", "cells is 0: expected a whole number of at least 1"),
        ("steer.doses.judged_at=9", "judged_at is 9.0, so strengths must hold 10 and -8"),
        ("contrast.objectives=[]", "objectives is []: expected some of latent, expression"),
        ("contrast.objectives=['latnt']", "objectives is ['latnt']: expected some of latent, expression"),
        ("contrast.source=CD4", "source 'CD4' and target ''"),
        ("cells.k=3", "--set 'cells.k=3': cells is no section"),
        ("train.k", "--set 'train.k': expected key=value, such as train.k=16"),
        ("=3", "--set '=3': expected key=value"),
    ],
)
def test_a_mistake_is_one_message_that_names_the_key(change, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        made(change)


def test_what_was_asked_is_left_as_it_was():
    asked = {"cells": "a", "contrast": {"search": {"n_genes": 10}}}
    assert make_config(asked, ["contrast.search.n_genes=12"]).contrast.search.n_genes == 12
    assert asked == {"cells": "a", "contrast": {"search": {"n_genes": 10}}}


def test_the_cells_must_be_named():
    with pytest.raises(ConfigError, match="does not say 'cells', which has no default"):
        make_config({"model": "mini"})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=re.escape(f"no configuration at {tmp_path / 'no.toml'}")):
        read_config(tmp_path / "no.toml")


def test_what_is_not_toml_is_said_with_the_line(tmp_path):
    (tmp_path / "bad.toml").write_text('cells = "a"\n[train\nk = 3\n')
    with pytest.raises(ConfigError, match=r"bad.toml is not TOML: .*line 2"):
        read_config(tmp_path / "bad.toml")


def test_a_message_names_the_file_that_the_key_is_in(tmp_path):
    (tmp_path / "a.toml").write_text('cells = "a"\nlayr = 2\n')
    with pytest.raises(ConfigError, match=r"a\.toml: unknown key layr; did you mean layer\?"):
        read_config(tmp_path / "a.toml")


def test_files_are_looked_for_beside_the_configuration_and_kept_as_seen_from_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("project/cells.h5ad", "project/sets.gmt", "project/model/x", "home/other.h5ad", "project/blood"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    text = (
        'cells = "cells.h5ad"\nmodel = "aido:model"\n[programs]\ncollection = "blood"\n[fit]\nother = "~/other.h5ad"\n'
    )
    (tmp_path / "project" / "a.toml").write_text(text)
    config = read_config(tmp_path / "project" / "a.toml", ["model_options.genes=project/sets.gmt"])
    assert (tmp_path / "project" / "cells.h5ad").samefile(config.cells)
    assert config.fit.other == str(tmp_path / "home" / "other.h5ad")
    assert config.programs.collection == "blood", "what is shipped stands for itself, whatever lies there"
    monkeypatch.chdir(tmp_path)
    config = read_config(Path("project/a.toml"), ["model_options.genes=project/sets.gmt"])
    assert (config.cells, config.model) == ("project/cells.h5ad", "aido:project/model")
    (tmp_path / "runs").mkdir()
    kept = tomllib.loads(write_config(config, tmp_path / "runs"))
    assert (kept["cells"], kept["model"]) == ("../project/cells.h5ad", "aido:../project/model")
    assert (kept["fit"]["other"], kept["programs"]["collection"]) == ("~/other.h5ad", "blood")
    assert kept["model_options"]["genes"] == "../project/sets.gmt", "changes are seen from the working directory"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cells = 'a'\n" + ".".join("a" * 50_000) + " = 1", "line 2: a key has more than 16 parts joined by dots"),
        ("[" + " . ".join(["'a'"] * 17) + "]", "line 1: a key has more than 16 parts"),
        ('x = {"a".' + "b.\t" * 16 + "c = 1}", "line 1: a key has more than 16 parts"),
        ("cells = '" + "a" * 1_000_000 + "'", "has 1.0 MB, which no configuration has (at most 1 MB)"),
        ("a" * 900_000 + "." + '"' * 90_000, "is not TOML"),
    ],
)
def test_what_would_take_minutes_to_read_is_refused_at_once(tmp_path, text, message):
    (tmp_path / "a.toml").write_text(text)
    began = time.monotonic()
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_config(tmp_path / "a.toml")
    assert time.monotonic() - began < 5


def test_only_a_run_can_be_changed(tmp_path):
    with pytest.raises(RunError, match="is not a run folder"):
        changed(tmp_path, ["train.k=3"])


def test_the_demo_asks_for_what_the_package_has():
    config = read_config(Path(str(files("cellprism.workflow") / "demo.toml")))
    cells = read_cells(config.cells)
    types = set(cells.obs["cell_type"])
    pooled = [label for labels in config.pool.values() for label in labels]
    assert set(pooled) <= types
    assert len(pooled) == len(set(pooled))
    assert {config.contrast.source, config.contrast.target} <= types - set(pooled) | set(config.pool)
    assert config.model in BUNDLED
    terms = read_gmt(config.programs.collection).terms
    for program in config.steer.programs:
        assert any(program.lower() in term.lower() for term in terms), program


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('cells = ""', "cells is '': expected a path or a name"),
        ('cells = "a\\u0000b"', "expected a path or a name"),
        ('cells = "a"\nmodel = " "', "model is ' ': expected a path or a name"),
        ('cells = "a"\nmodel = 3', "model is 3, expected text"),
        ('cells = "a"\nmodel = ["mini"]', r"model is \['mini'\], expected text"),
        ('cells = "a"\nlayer = -1', "layer is -1: expected the number of a block, from 0"),
        ('cells = "a"\nseed = -1', "seed is -1: expected a whole number from 0"),
        ('cells = "a"\nseed = 18446744073709551616', "seed is 18446744073709551616: expected"),
        ('cells = "a"\nonly = "donor=1"', "only is 'donor=1', expected a section of its own"),
        ('cells = "a"\n[contrast]\nsource = "B"\ntarget = "B"', "expected two cell types that differ"),
        ('cells = "a"\n[contrast]\nsource = "B "\ntarget = "B"', "expected two cell types that differ"),
        ('cells = "a"\n[train]\nauxiliary = nan', "auxiliary is nan: expected the weight of a loss"),
    ],
)
def test_values_that_cannot_be_are_refused_when_they_are_read(tmp_path, text, said):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_config(tmp_path / "run.toml")


def test_the_mark_at_the_beginning_of_a_file_is_no_key(tmp_path):
    (tmp_path / "run.toml").write_bytes(b"\xef\xbb\xbf" + b'cells = "a"\r\nseed = 3\r\n')
    assert read_config(tmp_path / "run.toml").seed == 3


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        ({"T": ["CD4", "CD8"], "helper": ["CD4"]}, "pool names 'CD4' more than once"),
        ({"T": []}, r"pool.T is \[\]: expected the labels that it stands for"),
    ],
)
def test_a_label_is_pooled_once_and_a_pool_has_labels(pool, said):
    with pytest.raises(ConfigError, match=said):
        made(pool=pool)

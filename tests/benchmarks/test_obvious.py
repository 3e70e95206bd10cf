"""Obvious truths: which claims decide, and that rows that are there are not asked again."""

import json
from dataclasses import asdict

import bench_obvious
from bench_obvious import TRUTHS, main

from cellprism.report.claims import Null, Source, Test, judged


def claim(id: str, value: float):
    null = Null("chance", 0.0, (-0.1, 0.1))
    return judged(
        id, "part", "It moves", value, unit="", format=".2f", null=null, test=Test("t"), source=Source("f", "x")
    )


def test_scores_and_named_genes_decide_of_a_contrast_and_own_genes_of_a_steering():
    contrast, steer = (next(truth for truth in TRUTHS if truth.study == study) for study in ("contrast", "steer"))
    assert contrast.decides(claim("contrast-latent-latent-progress", 1.0))
    assert contrast.decides(claim("contrast-expression-ms4a1", 1.0))
    assert not contrast.decides(claim("contrast-gaps-follow-counts", 1.0))
    assert not contrast.decides(claim("contrast-latent-recipe-03", 1.0))
    assert steer.decides(claim("steer-programs-7-genes", 1.0))
    assert not steer.decides(claim("steer-programs-7-mirror", 1.0))


def test_rows_that_are_there_are_not_asked_again(tmp_path, monkeypatch):
    out, asked = tmp_path / "obvious.json", []

    def ask(truth, data, work, scvi):
        asked.append(truth.name)
        return {"truth": truth.name, "asked": asdict(truth), "found": True, "claims": []}

    monkeypatch.setattr(bench_obvious, "ask", ask)
    command = ["bench_obvious.py", str(tmp_path), "--work", str(tmp_path / "work"), "--out", str(out)]
    for more in (["--only", TRUTHS[1].name], []):
        monkeypatch.setattr("sys.argv", command + more)
        main()
    assert sorted(asked) == sorted(truth.name for truth in TRUTHS)
    assert {row["truth"] for row in json.loads(out.read_text())["rows"]} == set(asked)

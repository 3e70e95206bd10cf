"""A model steered for a page: the same numbers as ``cp.steer``, and questions of strangers are not answered."""

import http.client
import json
import threading

import numpy as np
import pytest
from workflow.tiny import bar

import cellprism as cp
from cellprism.atlas.serve import server_of
from cellprism.atlas.steering import Question, Steering
from cellprism.errors import ConfigError
from cellprism.store.run import Run
from cellprism.studies.workbench import Workbench
from cellprism.workflow.config import config_of


@pytest.fixture(scope="module")
def steering(finished):
    run = Run(finished)
    return Steering(Workbench(run, config_of(run), bar, device="cpu"))


def test_the_answer_is_that_of_steer(steering):
    bench = steering.bench
    fires = sorted(steering.asked({"cell": 1, "strengths": []})["fires"], key=lambda row: -row[1])
    strengths = {int(fires[0][0]): 5.0, int(fires[1][0]): -2.0}
    answer = steering.asked({"cell": 1, "strengths": list(strengths.items()), "control": 0})
    cell = bench.cells[[int(steering.rows[1])]].copy()
    out = cp.steer(bench.model, bench.sae, cell, bench.config.layer, strengths)
    assert np.abs(np.asarray(answer["expression"]) - out.layers["steered"][0]).max() < 1e-5
    assert np.abs(np.asarray(answer["embedding"]) - out.obsm["embedding_steered"][0]).max() < 1e-5
    assert np.sqrt(answer["edit"] / answer["residual"]) == pytest.approx(out.obs["edit_ratio"].iloc[0], rel=1e-4)
    control = steering.asked({"cell": 1, "strengths": list(strengths.items()), "control": 2})
    assert (control["edit"], control["touched"]) == (answer["edit"], answer["touched"])
    assert np.abs(np.subtract(control["expression"], answer["expression"])).max() > 1e-4


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "expected a cell"), ({"cell": 0}, "expected a cell"), ({"cell": 0, "strengths": [[1]]}, "expected a cell"),
        ({"cell": "x", "strengths": []}, "expected a cell"), ({"cell": 99, "strengths": []}, "no cell 99"),
        ({"cell": 0, "strengths": [[41, 2]]}, "feature 41 does not exist"),
        ({"cell": 0, "strengths": [[1, float("nan")]]}, "finite"),
        ({"cell": 0, "strengths": [[i, 2] for i in range(1001)]}, "1,001 features"),
    ],
)  # fmt: skip
def test_what_is_no_question_is_said(steering, asked, said):
    with pytest.raises(ConfigError, match=said):
        steering.asked(asked)
    assert Question.of({"cell": 0, "strengths": []}).control == 0


class Slow:
    """Answers, fails as asked, and knows whether it was ever asked twice at once."""

    token, busy, most = "secret", 0, 0

    def asked(self, question):
        self.busy += 1
        self.most = max(self.most, self.busy)
        threading.Event().wait(0.05)
        self.busy -= 1
        if question == "wrong":
            raise ConfigError("there is no feature 9")
        if question == "broken":
            raise RuntimeError("out of memory")
        return {"got": question}


@pytest.fixture
def server(tmp_path):
    with server_of(tmp_path) as server:
        server.steering = Slow()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def posted(server, body: bytes = b'"hello"', path: str = "/steer", **headers: str) -> tuple[int, dict]:
    port = server.server_address[1]
    known = {"Host": f"127.0.0.1:{port}", "X-Cellprism-Token": "secret", **headers}
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    link.request("POST", path, body, known)
    answer = link.getresponse()
    return answer.status, json.loads(answer.read())


def test_our_own_page_is_answered(server):
    assert posted(server) == (200, {"got": "hello"})
    assert posted(server, Origin=f"http://127.0.0.1:{server.server_address[1]}")[0] == 200
    assert posted(server, b'"wrong"') == (400, {"error": "there is no feature 9"})
    assert posted(server, b'"broken"') == (500, {"error": "the model failed: out of memory"})
    assert posted(server, b"{")[0] == 400
    assert posted(server, path="/other")[0] == 404
    assert posted(server, b'"' + b"x" * 70_000 + b'"')[0] == 413


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"},
        {"X-Cellprism-Token": "guess"}, {"X-Cellprism-Token": ""}, {"Origin": "http://localhost:1"},
    ],
)  # fmt: skip
def test_a_page_from_elsewhere_is_not(server, headers):
    status, answer = posted(server, **headers)
    assert status == 403
    assert "its own page alone" in answer["error"]


def test_questions_are_answered_one_at_a_time(server):
    threads = [threading.Thread(target=posted, args=(server,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.steering.most == 1


def test_nothing_is_steered_without_a_model(server):
    server.steering = None
    assert posted(server)[0] == 403
    assert posted(server, **{"X-Cellprism-Token": ""})[0] == 403

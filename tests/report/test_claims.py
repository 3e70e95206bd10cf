import json
from dataclasses import replace

import pytest

from cellprism.errors import DamagedError, RunError
from cellprism.report.claims import Claim, Null, Published, Source, Test, judged, read_claims, write_claims


def claim(**changes) -> Claim:
    made = judged(
        "annotated",
        "Features",
        "Features match programs",
        0.59,
        unit="of lists",
        format=".0%",
        interval=(0.50, 0.67),
        published=Published("64 %", "AIDO.Cell-100M, layer 12", 0.64),
        null=Null("popularity", 0.41, (0.35, 0.47)),
        test=Test("hypergeometric", "greater", "211 genes", "BH", "lists", 124),
        source=Source("programs/rates.json", "rows.0.rate"),
    )
    return replace(made, **changes)


def test_claims_come_back_as_they_were_written(tmp_path):
    several = [
        claim(),
        judged("open", "Rest", "Not run", None, unit="", format=".2f", test=Test("none"), source=None),
        claim(id="exact", interval=None),
    ]
    write_claims(tmp_path / "claims.json", several)
    assert read_claims(tmp_path / "claims.json") == several


def test_the_file_is_a_list_of_rows_with_every_field(tmp_path):
    write_claims(tmp_path / "claims.json", [claim()])
    (row,) = json.loads((tmp_path / "claims.json").read_text())
    assert set(row) == set(Claim.__dataclass_fields__)
    assert row["interval"] == [0.50, 0.67]
    assert row["published"]["model"] == "AIDO.Cell-100M, layer 12"
    assert row["verdict"] == "above chance"


def test_the_verdict_follows_from_the_numbers():
    assert claim().verdict == "above chance"
    assert (
        judged("bare", "A", "B", 0.5, unit="", format=".2f", test=Test("t"), source=Source("f", "x")).verdict
        == "cannot be told here"
    )


@pytest.mark.parametrize(("draws", "verdict"), [(38, "cannot be told here"), (39, "at chance")])
def test_units_beside_too_few_draws_of_chance_allow_no_verdict(draws, verdict):
    words = {"unit": "", "format": ".2f", "test": Test("t", matters=0.1), "source": Source("f", "x")}
    null = Null("n", 0.5, (0.5, 0.5), 1.0, draws, 5)
    made = judged("a", "A", "B", 0.5, interval=(0.48, 0.52), null=null, **words)
    assert made.verdict == verdict
    assert made.why == ("" if draws == 39 else "chance was drawn 38 times; reaching p = .05 takes at least 39")


def test_an_unfair_control_allows_no_verdict():
    words = {"unit": "", "format": ".2f", "test": Test("t"), "source": Source("f", "x")}
    made = judged("a", "A", "B", 0.5, null=Null("n", 0.0, (0.0, 0.1)), barred="unlike lists", **words)
    assert (made.verdict, made.why) == ("cannot be told here", "unlike lists")


def test_a_given_reason_replaces_the_rules_own_only_where_it_cannot_be_told():
    words = {"unit": "", "format": ".2f", "test": Test("t"), "source": Source("f", "x"), "why": "too few"}
    assert judged("a", "A", "B", 0.5, **words).why == "too few"
    assert judged("a", "A", "B", 0.5, null=Null("n", 0.0, (0.0, 0.1)), **words).why == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "No Good"}, "lower-case words joined by hyphens"),
        ({"statement": " "}, "needs a statement"),
        ({"verdict": "proven"}, "none of above chance, at chance, below chance, cannot be told here"),
        ({"verdict": "cannot be told here"}, "reason is missing"),
        ({"null": None}, "needs both a value and a null"),
        ({"value": None}, "needs both a value and a null"),
        ({"source": None}, "no source file"),
        ({"format": "%%%"}, "no Python format specification"),
        ({"value": float("nan")}, "not finite"),
        ({"interval": (0.7, 0.5)}, "runs backwards"),
        ({"interval": (0.1, 0.2)}, "does not hold the value 0.59"),
        ({"interval": (0.1, float("inf"))}, "not finite"),
        ({"null": Null("n", 0.4, (0.5, 0.3))}, "runs backwards"),
    ],
)
def test_a_claim_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(RunError, match=r"claim '.*' is not valid") as raised:
        claim(**changes)
    assert message in str(raised.value)


def test_two_claims_with_one_id_are_refused(tmp_path):
    with pytest.raises(RunError, match="same id: annotated"):
        write_claims(tmp_path / "claims.json", [claim(), claim()])
    assert not (tmp_path / "claims.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": 1}', "should hold a list of claims, found dict"),
        ('[{"id": "a"}]', "row 0 is no claim: it lacks corrected, format, interval"),
        ("[3]", "row 0 is no claim"),
        ('[{"id": "a", ', "not readable JSON"),
    ],
)
def test_a_damaged_file_is_named_with_its_row(tmp_path, text, message):
    (tmp_path / "claims.json").write_text(text)
    with pytest.raises(DamagedError) as raised:
        read_claims(tmp_path / "claims.json")
    assert message in str(raised.value)
    assert "claims.json" in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("verdict", "proven"),
        ("interval", [1, 2, 3]),
        ("test", {"words": "?"}),
        ("null", "none"),
        ("value", "half"),
    ],
)
def test_an_altered_row_is_damaged(tmp_path, field, value):
    write_claims(tmp_path / "claims.json", [claim(), claim(id="second")])
    rows = json.loads((tmp_path / "claims.json").read_text())
    rows[1][field] = value
    (tmp_path / "claims.json").write_text(json.dumps(rows))
    with pytest.raises(DamagedError, match="row 1 is no valid claim"):
        read_claims(tmp_path / "claims.json")


def test_numbers_are_shown_in_the_claims_format():
    assert claim().show(0.594) == "59\u00a0%"
    assert claim(format="+.3f").show(-0.0204) == "−0.020"
    assert claim().show(None) == "–"

"""Published claims that a run of this kind cannot test, each with the reason: silence would look like
agreement."""

from cellprism.report.claims import Claim, Published, Test, judged
from cellprism.report.facts import RunFacts
from cellprism.report.published import NUMBERS

SECTION = "Not told by this run"


def unmeasured_claims(facts: RunFacts) -> list[Claim]:
    """Claims of the papers that this run has nothing to say about."""
    return [
        _open(
            "regulators-directed",
            "A feature carries the direction of regulation, from TBX21 to CXCR3, IFNG and TNF",
            NUMBERS["tbx21"],
            "no probe of regulatory direction was run; a handful of edges would not decide it: about 262 "
            "are needed to see an AUROC of 0.60 with 80 % power",
        ),
        _open(
            "regulators-specific",
            "Transcription factors whose features move their own targets specifically",
            NUMBERS["specific-tfs"],
            "no panel of transcription factors was probed; at least 50 with 10 or more expressed targets are needed",
        ),
        _open(
            "features-stable",
            "Features that a second training with another seed finds again",
            NUMBERS["stability"],
            "one autoencoder was trained with one seed; compare at least two",
        ),
        _open(
            "information-content",
            "Features match more specific programs than neurons do",
            NUMBERS["information-content"],
            "information content was not compared at equal set size; small terms have a high one by construction",
        ),
        _open(
            "donors",
            "The features are the same in other donors",
            None,
            _donors(facts),
        ),
    ]


def _donors(facts: RunFacts) -> str:
    cells = f"{facts.cells.n_cells:,} cells" if facts.cells else "the cells"
    return (
        f"{cells} without donor labels stand for one donor; cells are not replicates of donors, so at least "
        "several donors are needed"
    )


def _open(id: str, statement: str, published: Published | None, why: str) -> Claim:
    test = Test("not run", unit_of_inference="–")
    return judged(
        id,
        SECTION,
        statement,
        None,
        unit="",
        format=".2f",
        published=published,
        test=test,
        source=None,
        why=why,
    )

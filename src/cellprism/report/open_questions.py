"""Questions of the published work that a run leaves unanswered, each with the reason.

Silence would look like agreement.

A study names those that it answers (``Study.open``); these are the ones that no study answers yet.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cellprism.report.claims import Claim, Published, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS

SECTION = "Not told by this run"


@dataclass(frozen=True)
class Open:
    """A question, and why it has no answer until something is done."""

    id: str
    statement: str
    published: Published | None
    why: str


NOBODYS = (
    Open(
        "information-content",
        "Features match more specific programs than neurons do",
        NUMBERS["information-content"],
        "information content was not compared at equal set size; small terms have a high one by construction",
    ),
)


def open_claims(questions: Iterable[Open], context: Context) -> list[Claim]:
    """The questions as claims that cannot be told, and that donors cannot be told apart."""
    return [_open(question) for question in (*questions, *NOBODYS, _donors(context))]


def _donors(context: Context) -> Open:
    cells = f"{context.cells.n_cells:,} cells" if context.cells else "the cells"
    return Open(
        "donors",
        "The features are the same in other donors",
        None,
        f"{cells} without donor labels stand for one donor; cells are not replicates of donors, so at least "
        "several donors are needed",
    )


def _open(question: Open) -> Claim:
    return judged(
        question.id,
        SECTION,
        question.statement,
        None,
        unit="",
        format=".2f",
        published=question.published,
        test=Test("not run", unit_of_inference="–"),
        source=None,
        why=question.why,
    )

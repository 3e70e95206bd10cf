"""From a run folder to its claims and its page, without torch: read, claim, draw. Nothing is computed here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cellprism.display import command
from cellprism.errors import DamagedError
from cellprism.report.claims import Claim, write_claims
from cellprism.report.context import Context, read_context
from cellprism.report.findings import Finding, findings_of
from cellprism.report.multiple import corrected
from cellprism.report.open_questions import open_claims
from cellprism.report.page import render_page
from cellprism.report.section import Section
from cellprism.store.atomic import write_text
from cellprism.store.run import SETTINGS, Run
from cellprism.studies.files import fitting
from cellprism.studies.study import Study, studies

CLAIMS, PAGE = "claims.json", "report.html"
ATLAS = "site/index.html"
"""Where the atlas of a run stands beside its page."""


def write_report(folder: Path) -> Path:
    """Gather the claims of a run into ``claims.json`` and draw ``report.html``, which leads to the run's atlas where
    there is one; returns its path.

    Raises:
        RunError: no run there.
        DamagedError: a file is missing, or is no longer what its step wrote.
    """
    run = Run.existing(folder)
    check_unaltered(run)
    context = read_context(folder)
    atlas = ATLAS if (folder / ATLAS).is_file() else ""
    with fitting(f"run {folder}", command("run", folder / SETTINGS, "--out", folder)):
        claims, sections, findings = gathered(run, context)
        page = render_page(context, sections, claims, findings, atlas)
        write_claims(folder / CLAIMS, claims)
    write_text(folder / PAGE, page)
    return folder / PAGE


def check_unaltered(run: Run) -> None:
    """Refuse a run of which a file is not what its step wrote.

    Raises:
        DamagedError: it names the file and the step.
    """
    for step in run.state["steps"]:
        if bad := run.altered(step):
            raise DamagedError(
                f"{run.folder / bad[0]} is missing or is no longer what step {step!r} wrote; make it again with: "
                f"{command('run', run.folder / SETTINGS, '--out', run.folder)}"
            )


def gathered(run: Run, context: Context) -> tuple[list[Claim], list[Section], list[Finding]]:
    """Every claim in the order of the page, the page's sections, and what stands first; a study that was not run claims
    nothing."""
    found, said = found_and_said(run, context)
    sections = {name: study.drawn(found[name], said.get(name, []), context) for name, study in studies().items()}
    unanswered = [question for name, study in studies().items() if name not in said for question in study.open]
    claims = corrected([*(c for some in said.values() for c in some), *open_claims(unanswered, context)])
    by_id = {claim.id: claim for claim in claims}
    for name, some in said.items():
        sections[name] = replace(sections[name], claims=[by_id[claim.id] for claim in some])
    findings = [finding for name in said for finding in findings_of(studies()[name].headline, sections[name])]
    return claims, list(sections.values()), findings


def found_and_said(run: Run, context: Context) -> tuple[dict[str, Any], dict[str, list[Claim]]]:
    """What each study found, None of one that was not run; and the claims of those that were."""
    found = {name: _found(study, run) for name, study in studies().items()}
    return found, {name: studies()[name].claimed(value, context) for name, value in found.items() if value is not None}


def _found(study: Study, run: Run) -> Any:
    """What a study found in this run; None where it was not run."""
    done = any(name.split()[0] == study.name for name in run.state["steps"])
    return study.read(run.folder / study.name) if done else None

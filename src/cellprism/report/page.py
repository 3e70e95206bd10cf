"""The page: one self-contained ``report.html`` that opens from disk and asks nothing of the network.

- Everything is inside: plotly's own bundle once, our script and style, the figures as JSON. Fonts are the
  reader's.
- A content security policy allows exactly our two scripts, by their hashes, and no connection at all. Names
  that come
  from the data are escaped; should an escape ever be missing, the browser still would not run them.
- The page is made from what studies hand over and nothing else, and never imports torch.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
import plotly.io
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import Figure
from cellprism.report.findings import Finding, looked_at, tally
from cellprism.report.glossary import glossary
from cellprism.report.limits import limits_of
from cellprism.report.multiple import sentences
from cellprism.report.open_questions import SECTION as UNANSWERED
from cellprism.report.section import Section
from cellprism.report.theme import IN_THE_DARK, templates
from cellprism.report.verdict import VERDICTS

MODEBAR_REMOVED = ["toImage", "select2d", "lasso2d", "autoScale2d", "toggleSpikelines"]


def render_page(
    context: Context,
    sections: Sequence[Section],
    claims: Sequence[Claim],
    findings: Sequence[Finding],
    atlas: str = "",
) -> str:
    """The page as text.

    Args:
        context: the run.
        sections: its parts, in order.
        claims: every claim, in the order of the ledger.
        findings: what stands first.
        atlas: address of the run's atlas as seen from the page; empty where there is none, and the page says how to
            make one.
    """
    figures = [figure for section in sections for row in section.rows for figure in row]
    plotly_js, page_js = _script_text(get_plotlyjs()), _script_text(_asset("page.js"))
    template = _environment().get_template("page.html.j2")
    return template.render(
        context=context,
        atlas=atlas,
        say=context.words,
        looked_at=looked_at(context),
        findings=findings,
        sections=[section for section in sections if not section.empty],
        missing=[section for section in sections if section.empty],
        claims=claims,
        unanswered=[claim for claim in claims if claim.section == UNANSWERED],
        verdicts=VERDICTS,
        tally=tally,
        errors=sentences(claims),
        limits=limits_of(context, sections),
        glossary=glossary(context),
        record=json.dumps(context.record, indent=2, ensure_ascii=False),
        style=_asset("page.css"),
        plotly_js=plotly_js,
        page_js=page_js,
        data=embedded_json(
            {
                "figures": [_drawing(f) for f in figures],
                "templates": templates(),
                "bright": IN_THE_DARK,
                "removed": MODEBAR_REMOVED,
            }
        ),
        policy=security_policy([plotly_js, page_js]),
    )


def security_policy(scripts: list[str]) -> str:
    """A policy under which the given inline scripts run, plotly may style, and nothing is loaded or sent."""
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{h}'" for h in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri "
        "'none'; form-action 'none'"
    )


def embedded_json(value: Any) -> str:
    """JSON that can stand inside a script element: no tag can be opened or closed from within."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _drawing(figure: Figure) -> dict[str, Any]:
    """What the page's script needs to draw a figure."""
    plot = json.loads(str(plotly.io.to_json(figure.plot, validate=False)))
    plot["layout"].pop("template", None)
    return {
        "id": figure.id,
        "title": figure.title,
        "height": figure.height,
        "narrow": figure.narrow,
        "data": plot["data"],
        "layout": plot["layout"],
    }


def _script_text(script: str) -> str:
    """A script as a browser will see it, so that its hash agrees."""
    return script.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return resources.files("cellprism.report").joinpath("assets", name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["commands"] = _with_commands
    return environment


def _with_commands(text: str) -> Markup:
    """Escaped text in which what stands between backticks is set as a command."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))

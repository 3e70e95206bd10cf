"""One look for every figure: colours, fonts and the two plotly templates, light and dark.

- Meaning has a colour, everywhere the same: ours is blue, a control is grey, the opposite direction is
  vermilion, a
  published number from another model is a hollow purple diamond. No meaning hangs on colour alone: shape,
  place or words
  repeat it.
- The hues are those of Okabe and Ito 2008 (distinct for every common form of colour blindness), darkened
  where
  needed to keep a contrast of 3 : 1 on both backgrounds.
- Legends are drawn by the page, which can wrap them; plotly's own appears only in downloaded pictures.
- Figures carry no template of their own; the page applies one when it draws them, and swaps it with the
  reader's scheme.
"""

from typing import Any

OURS = "#0a78b8"
OPPOSITE = "#d1590c"
CONTROL = "#868d98"
CONTROL_BAND = "rgba(134,141,152,0.22)"
PUBLISHED = "#b0619a"
PROGRAMS = ("#0a78b8", "#d1590c", "#1a9070", "#b0619a", "#b58800", "#3f93c8", "#8c6bb1")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "pentagon", "cross", "star")
IN_THE_DARK = {
    OURS: "#3c9fde",
    OPPOSITE: "#ec7f3b",
    "#1a9070": "#35b892",
    PUBLISHED: "#cf86bb",
    "#3f93c8": "#7cc4f0",
}
"""Brighter twins of some colours; the page puts them in on a dark background."""
OBJECTIVES = {"latent": (OURS, "circle"), "expression": (OPPOSITE, "diamond")}
FONT = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

LIGHT = {"ink": "#1c2330", "muted": "#5b6472", "grid": "#e6e9ee", "line": "#b9c0ca", "card": "#ffffff"}
DARK = {"ink": "#e6e9ef", "muted": "#a3acba", "grid": "#2b323d", "line": "#4a5362", "card": "#191e26"}


def templates() -> dict[str, dict[str, Any]]:
    """Plotly templates by colour scheme, as plain JSON values."""
    return {"light": _template(LIGHT, "#f6f7f9"), "dark": _template(DARK, "#232a34")}


def _template(colour: dict[str, str], neutral: str) -> dict[str, Any]:
    axis = {
        "gridcolor": colour["grid"],
        "linecolor": colour["line"],
        "tickcolor": colour["line"],
        "zerolinecolor": colour["line"],
        "tickfont": {"color": colour["muted"], "size": 12},
        "title": {"font": {"color": colour["ink"], "size": 13}, "standoff": 10},
        "ticks": "outside",
        "ticklen": 4,
        "showline": True,
        "zeroline": False,
        "automargin": True,
    }
    low, high = (IN_THE_DARK[c] if colour is DARK else c for c in (OPPOSITE, OURS))
    diverging = [[0, low], [0.5, neutral], [1, high]]
    return {
        "layout": {
            "font": {"family": FONT, "size": 13, "color": colour["ink"]},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(PROGRAMS),
            "coloraxis": {
                "colorscale": diverging,
                "colorbar": {
                    "outlinewidth": 0,
                    "thickness": 10,
                    "tickfont": {"color": colour["muted"], "size": 12},
                    "title": {"side": "right"},
                },
            },
            "xaxis": axis,
            "yaxis": axis,
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "font": {"size": 12},
            },
            "hoverlabel": {
                "align": "left",
                "bgcolor": colour["card"],
                "bordercolor": colour["line"],
                "font": {"family": FONT, "size": 12.5, "color": colour["ink"]},
            },
            "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
            "annotationdefaults": {"font": {"color": colour["muted"], "size": 12}, "showarrow": False},
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)",
                "color": colour["line"],
                "activecolor": colour["ink"],
            },
            "dragmode": "pan",
        }
    }

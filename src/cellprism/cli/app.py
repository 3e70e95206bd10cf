"""The command line: one module per verb, loaded only when that verb is called.

stdout is data, stderr is talk. Exit codes: 0 fine, 1 failed, 2 usage or bad input, 3 damaged file, 130 interrupted.
A user's mistake is one message that names what was found, what was expected and the fix; ``--debug`` shows where.
"""

import os
import shlex
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from cellprism import __version__
from cellprism.errors import CellprismError

VERBS = {
    "demo": "Real cells, a small real model, no network, a few CPU minutes; ends with a page to look at.",
    "run": "Every step of a TOML configuration, skipping what is already done.",
    "train": "Start a run: train an SAE on a model's residual stream.",
    "do": "Do one study of a run, such as programs, map, stability, lens or contrast, or an installed one.",
    "steer": "Turn features up and down and see which genes follow.",
    "screen": "Screen every feature: what it does to every gene, and whether that is what it says.",
    "contrast": "Find the feature strengths that move one cell type towards another.",
    "pareto": "Trade the inner state against expression: what one recipe can reach of both.",
    "regulation": "Ask whether factors move their targets, beyond co-expression and beyond the way back.",
    "export": "Write a run's results for other programs: AnnData, GMT, Neuronpedia, embedding-atlas, SAELens.",
    "share": "Write a run's dictionary and its card into a folder to pass on.",
    "encode": "Features of any cells by a dictionary that was trained on others.",
    "report": "Write a run's claims and its page.",
    "atlas": "Write a run as a static site to browse: features, genes, cells, and steering in the page.",
    "view": "Look at a run's atlas in a browser, served to this machine alone.",
    "pretrain": "Train a small cell model on your own counts.",
    "simulate": "Cells whose programs, types and regulation are known, with their answers.",
    "methods": "Print the methods paragraph of a run.",
    "config": "Configurations: init writes a first one for your cells.",
    "data": "Data sets: list, fetch, check.",
    "models": "Cell models: list, info, fetch, check.",
    "doctor": "Check this installation.",
}

app = App(
    name="cellprism",
    help="Look inside single-cell foundation models: sparse features, gene programs, steering, and their nulls.",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # call() says what is kept
    default_parameter=Parameter(negative=()),
    help_format="markdown",
)
for verb, sentence in VERBS.items():
    app.command(f"cellprism.cli.{verb}:{verb}", name=verb, help=sentence)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``cellprism`` command."""
    sys.exit(call(sys.argv[1:] if arguments is None else arguments))


def call(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    tokens = [a for a in arguments if a != "--debug"]
    debug = len(tokens) != len(arguments)
    try:
        app(tokens, exit_on_error=False, print_error=True)
    except CycloptsError:
        return 2
    except CellprismError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        kept = str(stop) or "what is done is kept"
        print(f"interrupted: {kept}; go on with: {shlex.join(['cellprism', *arguments])}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0

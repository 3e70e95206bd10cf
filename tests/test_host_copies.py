"""Where values leave the device: one list, so that none is copied to the host unseen."""

import ast
from pathlib import Path

import cellprism

FOLDERS = ("features", "steering", "enrich", "equations")
ALLOWED = {
    # counting tokens and hashing what decides them, before anything runs
    ("features/tokens/cell_tokens.py", "__init__"),
    ("features/tokens/token_policy.py", "_values"),
    # weights are hashed once
    ("features/origin.py", "weights_hash"),
    # orders are drawn on the host; a store is on disk
    ("features/tokens/mixed_batches.py", "mixed"),
    ("features/tokens/stored_tokens.py", "_write"),
    # controls are drawn on the host; cells whose genes are read in several passes
    ("features/dictionaries.py", "control_dictionary"),
    # a dictionary for a file that workers read
    ("features/dictionaries.py", "arrays_of"),
    ("steering/site_cache.py", "of"),
    # tables, at their end
    ("features/baselines.py", "neuron_genes"),
    ("features/baselines.py", "table"),
    ("features/classes.py", "fit_by_class"),
    ("features/tables.py", "cells"),
    ("features/tables.py", "squares"),
    ("features/tables.py", "total"),
    ("features/tables.py", "fired"),
    ("features/tables.py", "largest"),
    ("features/variance.py", "shares"),
    ("steering/dose_cells.py", "shares"),
    ("steering/nulls.py", "firing_and_edit_norms"),
    ("features/common_pattern.py", "correlation"),
    ("steering/plausible.py", "_percentiles"),
    ("steering/plausible.py", "misfit"),
    ("steering/screen/derivatives.py", "gene_derivatives"),
    ("steering/screen/derivatives.py", "scalar_derivatives"),
    ("steering/screen/own_tokens.py", "scalar_secants"),
    # directions of two dictionaries, compared on the host
    ("features/reappearance.py", "consensus"),
    ("features/reappearance.py", "rebuilt"),
    # decompositions by scikit-learn
    ("features/decompositions.py", "cluster_features"),
    ("features/decompositions.py", "independent_features"),
    # once a batch: predictions, losses, what fires
    ("features/tables.py", "add"),
    ("features/common_pattern.py", "add"),
    ("steering/screen/parts.py", "_part"),
    ("steering/screen/parts.py", "parts_of"),
    ("features/splice.py", "_nats_per_cell"),
    ("features/splice.py", "_error_per_cell"),
    ("steering/dose_cells.py", "dose_cells_of"),
    ("steering/intervene.py", "_before_and_after"),
    ("steering/site_cache.py", "predictions"),
    ("steering/site_cache.py", "values_at"),
    # names of genes, strengths of a recipe
    ("steering/model_output.py", "gene_columns"),
    ("steering/nulls.py", "random_recipe"),
    ("steering/contrast/recipe_search.py", "measure"),
    # fronts: tables at their end; directions by scikit-learn; names of pooled cells
    ("steering/pareto/beside.py", "mean_codes"),
    ("steering/pareto/beside.py", "top_by_difference"),
    ("steering/pareto/cosines.py", "gradients"),
    ("steering/pareto/directions.py", "pooled_residuals"),
    ("steering/pareto/pooled.py", "_chosen"),
}


def host_copies() -> set[tuple[str, str]]:
    """File and function of every call of ``cpu`` or ``numpy``."""
    root, found = Path(cellprism.__file__).parent, set()
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, ast.FunctionDef):
                    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
                    if any(isinstance(call, ast.Attribute) and call.attr in ("cpu", "numpy") for call in calls):
                        found.add((path.relative_to(root).as_posix(), function.name))
    return found


def test_values_leave_the_device_at_the_places_listed_and_no_others():
    assert host_copies() - ALLOWED == set()
    assert ALLOWED - host_copies() == set(), "these are no longer needed"

"""``cellprism doctor``: is this installation complete?"""


def doctor() -> None:
    """Load the bundled model and cells, run one forward pass, and print the versions in use."""
    import platform
    from importlib.metadata import version

    from cellprism.cells.read import read_cells
    from cellprism.models.registry import load_model
    from cellprism.workflow.steps import RECORDED

    print(f"python {platform.python_version()} on {platform.machine()}")
    for name in RECORDED:
        print(f"{name} {version(name)}")
    model = load_model("pbmc2")
    cells = read_cells("bundled:pbmc68k", model)
    batch = next(model.batches(cells, 8))
    predicted = model.resume(batch, 0, model.residual(batch, 0)).expression
    assert predicted is not None, "the bundled model predicts expression"
    print(f"model {model.name}: {tuple(predicted.shape)} predictions, all finite: {bool(predicted.isfinite().all())}")

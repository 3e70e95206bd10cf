"""``cellprism models``: what cell models there are."""

from cyclopts import App

models = App(name="models", help="Cell models: list, info.")


@models.command(name="list")
def list_() -> None:
    """Print the models that come with the package."""
    from cellprism.models.registry import BUNDLED

    for name, description in BUNDLED.items():
        print(f"{name}\t{description}")


@models.command
def info(model: str = "mini") -> None:
    """Print a model's sizes, licence and card.

    Parameters
    ----------
    model
        ``mini``, a model folder, or a safetensors file.
    """
    from cellprism.cli.pretrain import card_table
    from cellprism.models.registry import load_model

    loaded = load_model(model)
    print(f"{loaded.name} ({loaded.revision}), licence: {loaded.licence}")
    print(f"{loaded.n_layers} blocks, d_model {loaded.d_model}, {loaded.config.n_genes} genes, "
          f"{sum(p.numel() for p in loaded.parameters()):,} parameters, "
          f"{'with' if loaded.head is not None else 'WITHOUT'} prediction head")  # fmt: skip
    if loaded.card.get("assessment"):
        print(card_table(loaded.card))

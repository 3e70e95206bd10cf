"""Where a model was read, in words for the page."""


def where_read(read: str, passes: int) -> str:
    """How genes were read, for models of genes that were ``read`` hidden; empty for others.

    Args:
        read: ``hidden`` or ``visible``.
        passes: of each cell through the model.
    """
    if read != "hidden":
        return ""
    return (
        "This model learned to fill in genes that are hidden from it, and what it says of genes that it sees means "
        f"nothing. So each cell passes {passes} times (at {passes} times the cost), each time with other genes hidden; "
        "only visible genes are edited, and each gene is read in the pass that hides it."
    )

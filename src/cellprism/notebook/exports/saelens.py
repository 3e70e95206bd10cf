"""The run's autoencoder as a folder that SAELens loads: exact, or refused with the reason."""

from dataclasses import replace
from pathlib import Path

from cellprism.errors import InputError
from cellprism.notebook.opened import OpenRun

BY_GROUP = "vectors minus the mean vector of their group (here: gene), which lie in centre.safetensors beside this file"


def write_saelens(run: OpenRun, out: Path, centred: bool = False) -> list[Path]:
    """Write the autoencoder; one mean of all tokens is folded into its biases.

    Args:
        run: the run.
        out: the folder.
        centred: write an autoencoder with a mean for each gene as one that reads vectors from which these are taken off
            already. The means are written beside it, and ``cfg.json`` says so.

    Raises:
        InputError: SAELens cannot compute this autoencoder; the message says why.
    """
    from safetensors.torch import save_file

    from cellprism.sae.files import CENTRES, save_sae
    from cellprism.sae.saelens import Form
    from cellprism.store.atomic import replacing

    sae = run.sae
    means = {name: mean for name in CENTRES if (mean := getattr(sae, name)) is not None and len(mean) > 1}
    if means and not centred:
        raise InputError(
            f"the autoencoder of {run.folder} takes off the mean vector of each of {len(next(iter(means.values()))):,} "
            "genes first, which SAELens cannot do: a folder that it loads would give other codes. Say --centred "
            "(centred=True) to write one that reads vectors without these means, exactly; give it sae.centred(x, gene)"
        )
    plain = replace(sae, **dict.fromkeys(means))
    if means:
        plain = replace(plain, metadata={**plain.metadata, "reads": BY_GROUP})
    if (why := Form.of(plain).missing_in_saelens) is not None:
        raise InputError(f"the autoencoder of {run.folder} cannot be had in SAELens: {why}")
    save_sae(plain, out)
    for name, mean in means.items():
        with replacing(out / CENTRES[name]) as scratch:
            save_file({name: mean.float().contiguous()}, scratch)
    return sorted(path for path in out.iterdir() if path.is_file())

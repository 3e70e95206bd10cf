"""What moves the dimension of a stream: one choice at a time, each trained for a few hundred steps and measured.

    python dev/blood/choices.py BLOOD.h5ad OUT [--steps 250] [--only NAME ...]

Every model has the settings of ``settings.toml`` but for the choice it is named after. Held-out cells of each donor,
halves of whose counts are read twice (``judge_streams``): dimensions that recur, tokens seen and hidden, pooled cells;
and the error at 30 % of the genes, hidden, over that of the training cells' gene means. Results go to OUT/choices.json
after every model, and those that are there with as many steps are not trained again.
"""

import argparse
import json
import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from judge import halved, hidden_error
from judge_streams import dimensions

import cellprism as cp
from cellprism.cells.genes import read_gene_table
from cellprism.models.aido.pretrain import PretrainConfig, pretrain
from cellprism.models.held_out import held_out_cells

HERE = Path(__file__).parent
JUDGED = 40  # held-out cells of a donor
MASKED = {"objective": "masked", "factors": 0, "dimension": 0.0}
CHOICES: dict[str, dict] = {
    "as settled": {},
    "another seed": {"seed": 1},
    "hidden genes alone, squared error": MASKED,
    "the same, three of four hidden": MASKED | {"mask_low": 0.7, "mask_high": 0.8},
    "no penalty": {"dimension": 0.0},
    "penalty .02": {"dimension": 0.02},
    "penalty .15": {"dimension": 0.15},
    "no factors of a cell": {"factors": 0},
    "neither": {"factors": 0, "dimension": 0.0},
    "width 32": {"hidden": 32, "heads": 1, "intermediate": 80},
    "width 128": {"hidden": 128, "heads": 4, "intermediate": 320},
    "two blocks": {"layers": 2},
    "five blocks": {"layers": 5},
    "few genes shown": {"genes_low": 128, "genes_high": 256},
    "few hidden": {"mask_low": 0.05, "mask_high": 0.2},
    "most hidden": {"mask_low": 0.6, "mask_high": 0.9},
    "one half shows the other": {"split_low": 0.49, "split_high": 0.51},
}
"""Name -> what differs from the settings."""
DONOR = "one donor"


def config_of(choice: dict, steps: int) -> PretrainConfig:
    """The settings of the file with the choice in them."""
    given = tomllib.loads((HERE / "settings.toml").read_text(encoding="utf-8"))
    known = {field.name for field in fields(PretrainConfig)}
    settled = {name: value for name, value in given.items() if name in known}
    return PretrainConfig(**settled | choice | {"steps": steps, "report_every": steps})


def measured(model, train, held_out) -> dict:
    """Dimensions and error on held-out cells of each donor."""
    rng = np.random.default_rng(7)
    donors = list(dict.fromkeys(held_out.obs["donor"]))
    parts = {d: held_out[(held_out.obs["donor"] == d).to_numpy()][:JUDGED].copy() for d in donors}
    with torch.no_grad():
        errors = {d: hidden_error(model, train, part, seed=0) for d, part in parts.items()}
        found = dimensions(model, [halved(part, rng) for part in parts.values()], range(model.n_layers))
    return {"hidden genes": errors, "dimension": found}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("blood", type=Path)
    asked.add_argument("out", type=Path)
    asked.add_argument("--steps", type=int, default=250)
    asked.add_argument("--only", nargs="*")
    given = asked.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "choices.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    table = read_gene_table(HERE / "genes.tsv")
    whole = cp.read_cells(str(given.blood), genes=table, labels="cell_type")
    settled = config_of({}, given.steps)
    rows, held_out = held_out_cells(whole.n_obs, settled.held_out, settled.seed)
    judged = whole[np.random.default_rng(7).permutation(held_out)].copy()
    for name in given.only or [*CHOICES, DONOR]:
        if found.get(name, {}).get("steps") == given.steps:
            continue
        config = config_of(CHOICES.get(name, {}), given.steps)
        train = whole[rows]
        if name == DONOR:
            train = train[(train.obs["donor"] == train.obs["donor"].iloc[0]).to_numpy()]
        model = pretrain(train.copy(), table, config, given.out / name.replace(" ", "-").replace(",", ""))
        found[name] = {"steps": given.steps, **measured(model, train.copy(), judged)}
        path.write_text(json.dumps(found, indent=1))
        print(name, json.dumps(found[name]), flush=True)


if __name__ == "__main__":
    main()

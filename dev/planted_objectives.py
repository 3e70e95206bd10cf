"""Which objective of a contrast finds a planted recipe: moving the cells' mean by the gap, or every cell by itself?

    PYTHONPATH=tests python dev/planted_objectives.py

Cells of the tests' planted model, in which two of 29 features were turned; noise is the standard deviation of the log
of each value. Mean over seeds of the error of the recipe (root mean square over all features), the variance that the
steered test cells keep, and the share of them that end nearer to the target than to their own.
"""

import numpy as np
from steering.planted import PlantedModel, planted_cells, planted_sae

from cellprism.steering.contrast.contrast import contrast
from cellprism.steering.settings import OBJECTIVES, ContrastSettings

RECIPE = {3: 2.5, 11: 0.2}
SETTINGS = ContrastSettings(iterations=6, null_replicates=0, random_edits=0, resamples=2, n_genes=4)
SEEDS = 5


def main() -> None:
    model = PlantedModel()
    truth = np.array([RECIPE.get(f, 1.0) for f in range(29)])
    for noise in (0.02, 0.3, 0.6):
        for objective in OBJECTIVES:
            rows = []
            for seed in range(SEEDS):
                adata = planted_cells(RECIPE, noise=noise, seed=seed)
                found = contrast(
                    model, planted_sae(model), adata, 1, "helper", "killer", objective, settings=SETTINGS, seed=seed
                )
                strengths = np.array([found.strengths.get(f, 1.0) for f in range(29)])
                scores = found.summary["scores"]
                error = np.sqrt(((strengths - truth) ** 2).mean())
                rows.append([error, scores["variance_kept"]["value"], scores["nearer_target"]["value"]])
            error, kept, nearer = np.mean(rows, axis=0)
            print(f"noise {noise:.2f} {objective:20s} error {error:.3f}  variance kept {kept:.2f}  nearer {nearer:.2f}")


if __name__ == "__main__":
    main()

"""Matryoshka (BatchTopK): features in nested groups, each of which must reconstruct without the later ones.

Early features are then general and late ones specific, instead of general features being split up as the width grows.
Source: Bussmann et al. 2025. The loss is the mean over prefixes of the mean squared error.
"""

from cellprism.sae.architectures.batch_topk import BatchTopK


class Matryoshka(BatchTopK):
    """BatchTopK with a loss for every prefix of the features."""

    name = "matryoshka"

    def group_ends(self, n_features: int) -> tuple[int, ...]:
        ends = [max(1, round(share * n_features)) for share in self.config.prefixes]
        return tuple(sorted(set(ends)))

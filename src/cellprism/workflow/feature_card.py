"""The card of one feature, gathered from what a run folder holds; without torch."""

from pathlib import Path
from typing import Any

from cellprism.display import command
from cellprism.errors import RunError
from cellprism.report.card import FeatureCard
from cellprism.report.context import read_context
from cellprism.store.atomic import read_json
from cellprism.store.place import folder_of
from cellprism.store.run import Run
from cellprism.store.whole_number import feature_number
from cellprism.studies.study import studies
from cellprism.workflow.publish import found_and_said


class FeatureCards:
    """The cards of all features of a run; the run's tables are read once.

    Args:
        run: a run folder.

    Raises:
        RunError: no run there, or it has no autoencoder yet.
        DamagedError: a file is missing or unreadable.
    """

    def __init__(self, run: str | Path):
        folder = Run.existing(Path(run)).folder
        self.context = read_context(folder)
        if self.context.layer is None:
            raise RunError(f"{folder} has no autoencoder yet, so no features; `cellprism train` makes one")
        self.count = int(read_json(folder / "sae" / f"L{self.context.layer}" / "cfg.json")["d_sae"])
        self.found, self.said = found_and_said(Run(folder), self.context)
        """What each study found, None of one that was not run; and the claims of those that were."""

    def __len__(self) -> int:
        return self.count

    def card(self, feature: int) -> FeatureCard:
        """The card of one feature.

        Raises:
            ConfigError: there is no such feature.
        """
        feature = feature_number(feature, self.count)
        facts: dict[str, Any] = {}
        absent: dict[str, str] = {}
        for name, study in studies().items():
            if not study.card:
                continue
            if self.found[name] is None:
                absent[name] = f"`{command('do', name, self.context.name)}` does it"
            else:
                facts[name] = study.facts_of(self.found[name], self.said[name], feature)
        model = self.context.model
        return FeatureCard(feature, self.context.name, model.name if model else "", self.context.place, facts, absent)


def feature_card(run: str | Path, feature: int) -> FeatureCard:
    """Everything that a run says of one feature: its genes and programs, whether it is a gene or a state, its
    neighbours, what it does when steered. Each fact names its file; studies that were not done are said.

    Args:
        run: a run folder.
        feature: its number in that run.

    Returns:
        A card: ``to_json()``, tables in a notebook, ``facts`` by study. ``FeatureCards`` makes many at once.

    Raises:
        RunError: no run there, or it has no autoencoder yet.
        ConfigError: there is no such feature.
        DamagedError: a file is missing or unreadable.

    >>> import cellprism as cp
    >>> cp.feature_card("demo", 12).feature
    12
    """
    return FeatureCards(folder_of(run, "a run", RunError)).card(feature)

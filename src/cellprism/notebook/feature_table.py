"""Everything that is known of every feature, in one data frame."""

import pandas as pd

from cellprism.notebook.run_tables import RunTables

BASE, KEY = "programs/features", "feature"


def feature_table(tables: RunTables) -> pd.DataFrame:
    """The features of ``programs`` with the columns of every other study that has one row a feature.

    A column whose name is taken already has its study's in front, as in ``state_score``; a repeated one that says the
    same is left out.
    """
    whole = tables[BASE].set_index(KEY)
    for name in tables:
        study, _, rest = name.partition("/")
        if rest != "features" or name == BASE:
            continue
        table = tables[name]
        if KEY not in table or table[KEY].duplicated().any():
            continue
        table = table.set_index(KEY).reindex(whole.index)
        new = {}
        for column in table:
            if column not in whole:
                new[column] = table[column]
            elif not table[column].equals(whole[column]):
                new[f"{study}_{column}"] = table[column]
        whole = pd.concat([whole, pd.DataFrame(new, index=whole.index)], axis=1)
    return whole

"""What other training seeds say: the committed tables of three seeds, and every stored seed on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cscelab.compare import paired_difference
from cscelab.experiment import find_run
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.paths import checkout
from cscelab.recipes import find_profile, recipe

SUFFIX = "-3seeds"  # of the tables that `cscelab figures table2 table3 --seeds 3` writes
SEEDS = (0, 1, 2)


def stored_table(name: str) -> pd.DataFrame:
    """figures/NAME.csv of the checkout, as `cscelab figures` wrote it; its first column is the index.

    Raises FileNotFoundError where there is no checkout or no such table.
    """
    folder = checkout() / "figures"
    path = folder / f"{name}.csv"
    if not path.is_file():
        there = ", ".join(sorted(found.stem for found in folder.glob("*.csv")))
        raise FileNotFoundError(f"figures/ holds no table {name!r}; choose from {there}")
    return pd.read_csv(path, index_col=0)


def three_seeds(name: str, bits: int = 16) -> pd.DataFrame:
    """Our columns of "table2" or "table3" with three seeds of the profile quick: "mAP", "deviation", "difference", ...

    Names are those of `tables.comparison_table` behind the colon. Raises ValueError for a code length it lacks.
    """
    whole, start = stored_table(name + SUFFIX), f"{bits} bits: "
    ours = whole[[column for column in whole.columns if column.startswith(start)]]
    if ours.empty:
        raise ValueError(f"{name}{SUFFIX}.csv has no numbers at {bits} bits; it was made with 16")
    return ours.rename(columns=lambda column: column.removeprefix(start))


def by_seed(
    pairs: Mapping[str, tuple[str, str]], profile: str = "quick", bits: int = 16, seeds: Sequence[int] = SEEDS
) -> pd.DataFrame:
    """mAP of one recipe minus mAP of another, each seed on its own, where both runs are stored: trains nothing.

    pairs: question -> two recipes. A row a question; columns "seed 0", ..., NaN where a run is missing; the column
    "note" says so where the runs are smoke runs.
    """
    rows = {}
    for question, recipes in pairs.items():
        values = {}
        for seed in seeds:
            a, b = (find_run(recipe(name, profile, bits, seed)) for name in recipes)
            values[f"seed {seed}"] = float(paired_difference([a], [b]).value) if a and b else np.nan
        rows[question] = values
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[f"seed {seed}" for seed in seeds])
    return frame.assign(note=SMOKE_MARK) if find_profile(profile).smoke else frame

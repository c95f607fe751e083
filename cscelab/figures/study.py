"""What decides whether the whole structure trains: AIE's scale, a norm, the mixer's start; gradients as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cscelab.compare import average_precision, require_comparable
from cscelab.experiment import Run
from cscelab.retrieval.bootstrap import Interval, difference, interval

REFERENCE = "Baseline"  # what the whole structure has to beat; where there is no such row, the first
PARTS = ("backbone", "windows", "local", "aie", "hash_layer")


def study_table(runs_by_row: Mapping[str, Sequence[Run]], reference: str = REFERENCE) -> pd.DataFrame:
    """One row a setting, over its seeds: validation mAP (what settings were chosen by) and query mAP, mean and sample
    deviation; size of Eq. 3's context over f_l, and the mean gradient norm of each part, both in the first epoch.

    "mAP, low" and "high", and those of the difference in mAP to the reference row, which has none itself: 95% intervals
    over the queries, paired for differences (`cscelab.retrieval.bootstrap`). Raises ValueError for runs on different
    queries.
    """
    require_comparable([run for runs in runs_by_row.values() for run in runs])
    reference = reference if reference in runs_by_row else next(iter(runs_by_row))
    per_query = {name: average_precision(runs) for name, runs in runs_by_row.items()}
    rows = {}
    for name, runs in runs_by_row.items():
        first = [run.history[0] for run in runs]
        against = None if name == reference else difference(per_query[name], per_query[reference])
        numbers = {
            "seeds": len(runs),
            **_spread("validation mAP", [run.metrics["validation_map"] for run in runs]),
            **_spread("mAP", [run.mean_average_precision for run in runs]),
            **_limits("mAP", interval(per_query[name])),
            f"difference to {reference}": np.nan if against is None else float(against.value),
            **_limits("difference", against),
            "context / f_l": _mean([row.get("context_over_local", np.nan) for row in first]),
        }
        for part in PARTS:
            numbers[f"gradient {part}"] = _mean([row.get(f"gradient_{part}", np.nan) for row in first])
        rows[name] = numbers
    return pd.DataFrame(rows).T.rename_axis("setting")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else np.nan
    return {name: _mean(values), f"{name}, deviation": deviation}


def _limits(name: str, found: Interval | None) -> dict[str, float]:
    low, high = (np.nan, np.nan) if found is None else (float(found.low), float(found.high))
    return {f"{name}, low": low, f"{name}, high": high}

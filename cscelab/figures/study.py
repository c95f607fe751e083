"""What decides whether the whole structure trains: AIE's scale, a norm, the mixer's start; gradients as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cscelab.experiment import Run

PARTS = ("backbone", "windows", "local", "aie", "hash_layer")


def study_table(runs_by_row: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """One row a setting, over its seeds: validation mAP (what settings were chosen by) and query mAP, mean and sample
    deviation; size of Eq. 3's context over f_l, and the mean gradient norm of each part, both in the first epoch.
    """
    rows = {}
    for name, runs in runs_by_row.items():
        first = [run.history[0] for run in runs]
        numbers = {
            "seeds": len(runs),
            **_spread("validation mAP", [run.metrics["validation_map"] for run in runs]),
            **_spread("mAP", [run.mean_average_precision for run in runs]),
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

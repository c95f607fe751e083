"""Stored runs side by side: find by name or hash, list, compare query by query, prune."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from cscelab.experiment import LOCK, PARTIAL, Run, runs_folder, stored_runs
from cscelab.methods.base import MethodConfig
from cscelab.methods.csce import CSCEConfig
from cscelab.records import runs_called
from cscelab.retrieval.bootstrap import Interval, difference, interval, require_same_queries


def find_stored(text: str, root: Path | None = None) -> Run:
    """The stored run whose folder name is, begins or ends with text. Raises ValueError where none or several do."""
    runs = {run.folder.name: run for run in stored_runs(root)}
    found = runs_called(runs, text)
    if len(found) == 1:
        return runs[found[0]]
    if not found:
        raise ValueError(f"no stored run is called {text!r}; `cscelab runs` names the {len(runs)} there are")
    names = ", ".join(found[:6])
    raise ValueError(
        f"{text!r} fits {len(found)} stored runs ({names}{', ...' if len(found) > 6 else ''}); give more of the name"
    )


def differences(runs: Sequence[Run], resolved: bool = False) -> dict[str, list[Any]]:
    """Settings in which the experiments differ: dotted name -> value in each run, None where it has no such setting.

    resolved: what a setting left to its variant (None) comes to is shown in its place.
    """
    experiments = [run.experiment for run in runs]
    if resolved:
        experiments = [replace(one, method=_resolved(one.method)) for one in experiments]
    flat = [_flatten(experiment.to_dict()) for experiment in experiments]
    names = sorted({name for settings in flat for name in settings} - {"name"})
    table = {name: [settings.get(name) for settings in flat] for name in names}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values)}


def _resolved(method: MethodConfig) -> MethodConfig:
    return method.resolved() if isinstance(method, CSCEConfig) else method


def _flatten(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def average_precision(seeds: Sequence[Run]) -> np.ndarray:
    """AP of every query (Q,), the mean over runs of one setting: expected ties, denominator "retrieved", own k."""
    return np.mean([run.metrics["report"]["average_precision"] for run in seeds], axis=0)


def paired_difference(seeds: Sequence[Run], reference: Sequence[Run]) -> Interval:
    """mAP of one setting minus mAP of another, each the mean of its seeds, with the 95% interval over the queries.

    Raises ValueError for runs that are not `require_comparable`.
    """
    require_comparable([*seeds, *reference])
    return difference(average_precision(seeds), average_precision(reference))


def require_comparable(runs: Sequence[Run]) -> None:
    """Raises ValueError unless all were measured at one k, with the same queries against the same database."""
    first, names = runs[0], ("query_ids", "query_labels", "database_ids", "database_labels")
    expected = _stored(first, names)
    for run in runs[1:]:
        both = f"{first.experiment.name} and {run.experiment.name}"
        depths = [f"mAP@{each.experiment.map_at or 'all'}" for each in (first, run)]
        if depths[0] != depths[1]:
            raise ValueError(f"{both} were measured by {depths[0]} and {depths[1]}; compare runs of one measure")
        found = _stored(run, names)
        try:
            require_same_queries(*expected[:2], *found[:2])
        except ValueError as error:
            raise ValueError(f"{both} cannot be compared: {error}") from None
        if not all(map(np.array_equal, expected[2:], found[2:])):
            raise ValueError(f"{both} ranked different databases; compare runs on the same data")


def _stored(run: Run, names: Sequence[str]) -> list[np.ndarray]:
    codes = Run(run.experiment, run.folder).codes  # a copy of the run: a table would keep the codes of all its runs
    return [codes[name] for name in names]


def summaries(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One line of `cscelab runs` each; "95%": the interval of mAP over the queries (`bootstrap.interval`)."""
    per_query = [run.metrics["report"]["average_precision"] for run in runs]
    limits: dict[int, str] = {}
    for n_queries in {len(found) for found in per_query}:  # the resamples are drawn once for all runs of one size
        rows = [row for row, found in enumerate(per_query) if len(found) == n_queries]
        _, low, high = interval(np.stack([per_query[row] for row in rows], axis=1))
        limits |= {row: f"[{low[i]:.4f}, {high[i]:.4f}]" for i, row in enumerate(rows)}
    return [_summary(run, limits[row]) for row, run in enumerate(runs)]


def _summary(run: Run, limits: str) -> dict[str, Any]:
    experiment = run.experiment
    return {
        "run": run.folder.name,
        "method": experiment.method.name,
        "bits": experiment.bits,
        "seed": experiment.seed,
        "epochs": experiment.training.epochs,
        "mAP": round(run.mean_average_precision, 4),
        "95%": limits,
        "cosine": round(run.metrics["continuous_map"], 4),
        "validation": round(run.metrics["validation_map"], 4),
        "minutes": round(run.metrics["seconds"]["train"] / 60, 1),
        "note": "SMOKE" if experiment.smoke else "",
    }


def prunable(root: Path | None = None, names: Sequence[str] = ()) -> list[Path]:
    """Folders to remove: the named runs or, with no name, unfinished and unreadable ones that nobody is training.

    Finished runs of a method that is not part of cscelab stay: only where it is defined can they be read.
    """
    if names:
        return [find_stored(name, root).folder for name in names]
    readable = {run.folder for run in stored_runs(root)}
    folders = [path for path in sorted(runs_folder(root).glob("*")) if path.is_dir()]
    return [path for path in folders if path not in readable and not (_of_own_method(path) or _in_training(path))]


def _of_own_method(folder: Path) -> bool:
    try:
        return "code" in json.loads((folder / "metrics.json").read_text())["fingerprint"]
    except (OSError, KeyError, TypeError, ValueError):
        return False


def _in_training(folder: Path) -> bool:
    lock = FileLock(folder.with_name(folder.name.removesuffix(PARTIAL) + LOCK))
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def remove(folders: Sequence[Path]) -> int:
    """Deletes run folders; returns the bytes freed. Refuses, before deleting any, what does not look like a run."""
    for folder in folders:
        if folder.parent.name != "runs":
            raise ValueError(f"{folder} is not in a runs folder; nothing was removed")
    freed = 0
    for folder in folders:
        freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder)
    return freed

"""Stored runs side by side: find by name or hash, list, compare, prune."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cscelab.experiment import LOCK, PARTIAL, Run, runs_folder, stored_runs


def find_stored(text: str, root: Path | None = None) -> Run:
    """The stored run whose folder name is, begins or ends with text. Raises ValueError where none or several do."""
    slug = text.replace("/", "-")
    runs = list(stored_runs(root))
    found = [run for run in runs if run.folder.name == slug] or [
        run for run in runs if run.folder.name.startswith(slug) or run.folder.name.endswith(slug)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(f"no stored run is called {text!r}; `cscelab runs` names the {len(runs)} there are")
    names = ", ".join(run.folder.name for run in found[:6])
    raise ValueError(
        f"{text!r} fits {len(found)} stored runs ({names}{', ...' if len(found) > 6 else ''}); give more of the name"
    )


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Settings in which the experiments differ: dotted name -> value in each run, None where it has no such setting."""
    flat = [_flatten(run.experiment.to_dict()) for run in runs]
    names = sorted({name for settings in flat for name in settings} - {"name"})
    table = {name: [settings.get(name) for settings in flat] for name in names}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values)}


def _flatten(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def summary(run: Run) -> dict[str, Any]:
    """One line of `cscelab runs`."""
    experiment = run.experiment
    return {
        "run": run.folder.name,
        "method": experiment.method.name,
        "bits": experiment.bits,
        "seed": experiment.seed,
        "epochs": experiment.training.epochs,
        "mAP": round(run.mean_average_precision, 4),
        "cosine": round(run.metrics["continuous_map"], 4),
        "validation": round(run.metrics["validation_map"], 4),
        "minutes": round(run.metrics["seconds"]["train"] / 60, 1),
        "note": "SMOKE" if experiment.smoke else "",
    }


def prunable(root: Path | None = None, names: Sequence[str] = ()) -> list[Path]:
    """Folders to remove: the named runs or, with no name, unfinished and unreadable ones that nobody is training."""
    if names:
        return [find_stored(name, root).folder for name in names]
    readable = {run.folder for run in stored_runs(root)}
    folders = [path for path in sorted(runs_folder(root).glob("*")) if path.is_dir()]
    return [path for path in folders if path not in readable and not _in_training(path)]


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

"""An Experiment is a frozen description; `run` returns its stored run or trains it: data/runs/<name>-<hash>/."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from filelock import FileLock, Timeout

from cscelab import __version__
from cscelab.datasets import load_data
from cscelab.description import Experiment
from cscelab.encode import best_device, encode, with_learned
from cscelab.owncode import digest_of
from cscelab.paths import data_root, make_folder
from cscelab.stored import FILES, Run, fresh_method, measure, write_run
from cscelab.stored import report as report  # beside the runs it is of
from cscelab.train import BEST, LAST, finished_epochs, fit, quiet_lightning
from cscelab.watch import Watch

PARTIAL, LOCK = ".partial", ".lock"  # beside a run's folder while it is trained


def runs_folder(root: Path | None = None) -> Path:
    return (root or data_root()) / "runs"


def runs_with_hash(folder: Path, digest: str) -> Iterator[Path]:
    """Finished runs of one hash, whatever their names."""
    return (path for path in sorted(folder.glob(f"*-{digest}")) if path.is_dir())


def find_run(experiment: Experiment, root: Path | None = None) -> Run | None:
    """The stored run of this experiment, if it is complete. The name may differ: only what is run counts."""
    folder = runs_folder(root) / experiment.folder_name
    if not folder.is_dir():
        folder = next(runs_with_hash(runs_folder(root), experiment.hash), folder)
    if all((folder / name).is_file() for name in FILES):
        return Run(experiment, folder)
    return None


def stored_runs(root: Path | None = None) -> Iterator[Run]:
    """Every complete run whose settings are all known here, by name."""
    for path in sorted(runs_folder(root).glob("*/experiment.json")):
        try:
            experiment = Experiment.from_dict(json.loads(path.read_text()))
        except (KeyError, TypeError, ValueError):
            continue  # written by another version: listed nowhere, removed only by `cscelab runs prune`
        found = Run(experiment, path.parent)
        if all((path.parent / name).is_file() for name in FILES) and _has_its_settings(found):
            yield found


def _has_its_settings(run: Run) -> bool:
    """False where this version reads other settings out of experiment.json than were trained, as defaults of fields
    that there were not yet. Images and weights that have changed since are none of the settings."""
    try:
        fingerprint = run.metrics["fingerprint"]
    except (KeyError, ValueError):
        return True  # nothing to tell it by; who reads the metrics gets a sentence
    return "weights" not in fingerprint or run.folder.name.endswith(f"-{run.experiment.hash_with(fingerprint)}")


def run(
    experiment: Experiment,
    *,
    root: Path | None = None,
    progress: bool = True,
    retrain: bool = False,
    watch: Watch | None = None,
) -> Run:
    """The stored run of this experiment, or a new one: train, choose on validation, encode, evaluate once, store.

    A run that was interrupted goes on from its last epoch. Files are written to a ".partial" folder, renamed when all
    are there. watch: told of every step and epoch that is trained, see `train.fit`. Raises ValueError or OSError with
    one sentence for bad input, NotFiniteLossError for a NaN loss, TrainingStopped where the watch ends the training.
    """
    if not retrain and (found := find_run(experiment, root)):
        return found
    folder = make_folder(runs_folder(root)) / experiment.folder_name
    partial = _beside(folder, PARTIAL)
    with FileLock(_beside(folder, LOCK)):  # a second caller waits, then finds the run
        if not retrain and (found := find_run(experiment, root)):
            return found
        if retrain:
            shutil.rmtree(partial, ignore_errors=True)
        return _run(experiment, folder, make_folder(partial), root, progress, watch)


def unfinished(experiment: Experiment, root: Path | None = None) -> list[dict[str, float]]:
    """History of an interrupted run, a row for each epoch that `run` need not train again; empty where there is none.

    Raises ValueError where its checkpoint cannot be read.
    """
    partial = _beside(runs_folder(root) / experiment.folder_name, PARTIAL)
    try:
        return finished_epochs(partial)
    except (RuntimeError, EOFError, KeyError, UnpicklingError) as error:
        raise ValueError(f"{partial / LAST} cannot be read; delete the folder {partial} and run again") from error


def is_training(experiment: Experiment, root: Path | None = None) -> bool:
    """Whether this process or another is in `run` with this experiment now."""
    lock = _beside(runs_folder(root) / experiment.folder_name, LOCK)
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(folder.name + suffix)


def _run(
    experiment: Experiment, folder: Path, partial: Path, root: Path | None, progress: bool, watch: Watch | None
) -> Run:
    quiet_lightning()
    with _threads(experiment.training.threads):
        started = time.perf_counter()
        # Now, as trained: images and files may change in the meantime.
        fingerprint, code = experiment.fingerprint, digest_of(type(experiment.method))
        splits = load_data(experiment.data, root, progress)
        method = fresh_method(experiment, splits.n_classes)
        history = fit(method, splits, experiment.training, partial, experiment.seed, progress, watch)
        trained = time.perf_counter()
        method.to(best_device())
        query, database = encode(method, splits.query), encode(method, splits.database, progress=progress)
        learned = with_learned(method, database)
        encoded = time.perf_counter()
        metrics = measure(experiment, query, learned or database) | {
            "n_classes": splits.n_classes,
            "fingerprint": fingerprint,
            "version": __version__,
            "code": code,
            "best_epoch": max(history, key=lambda row: row["validation_map"])["epoch"],
            "validation_map": max(row["validation_map"] for row in history),
            "seconds": {"train": trained - started, "encode": encoded - trained},
            "machine": {"torch": torch.__version__, "python": platform.python_version(), "cpu": platform.machine()},
        }
    if learned:
        metrics["network"] = measure(experiment, query, database)
    write_run(partial, experiment, metrics, history, query, database, learned, method)
    for earlier in runs_with_hash(folder.parent, experiment.hash_with(fingerprint)):
        shutil.rmtree(earlier)
    os.replace(partial, folder)
    for leftover in (BEST, LAST):  # only now: what interrupts this loses nothing
        (folder / leftover).unlink(missing_ok=True)
    return Run(experiment, folder)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

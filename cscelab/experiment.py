"""An Experiment is a frozen description; `run` returns its stored run or trains it: data/runs/<name>-<hash>/."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cscelab import __version__
from cscelab.codes import unpack
from cscelab.datasets import data_fingerprint, load_data
from cscelab.datasets.base import Splits
from cscelab.description import Experiment
from cscelab.encode import Encoded, best_device, encode
from cscelab.evaluate import Report, evaluate
from cscelab.methods import HashMethod, build
from cscelab.owncode import digest_of
from cscelab.paths import data_root, make_folder
from cscelab.seeding import seeded
from cscelab.train import BEST, LAST, finished_epochs, fit, quiet_lightning, weights_of
from cscelab.watch import Watch

PARTIAL, LOCK = ".partial", ".lock"  # beside a run's folder while it is trained
FILES = ("experiment.json", "metrics.json", "history.csv", "codes.npz", "model.safetensors")


@dataclass(frozen=True)
class Run:
    """A finished experiment, read from its folder as needed."""

    experiment: Experiment
    folder: Path

    @cached_property
    def metrics(self) -> dict[str, Any]:
        path = self.folder / "metrics.json"
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} cannot be read ({error}); delete its folder and run again") from error

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """One row an epoch: losses, validation mAP, gradient norms by part, diagnostics, seconds."""
        with (self.folder / "history.csv").open(newline="") as file:
            return [{k: float(v) for k, v in row.items() if v != ""} for row in csv.DictReader(file)]

    @cached_property
    def codes(self) -> dict[str, np.ndarray]:
        """query_codes, database_codes (int8 +-1, (N, K)), ..._values, ..._thresholds, ..._labels, ..._ids."""
        path = self.folder / "codes.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (BadZipFile, EOFError, ValueError) as error:
            raise ValueError(f"{path} cannot be read ({error}); delete its folder and run again") from error
        for split in ("query", "database"):
            arrays[f"{split}_codes"] = unpack(arrays[f"{split}_codes"], self.experiment.bits)
        return arrays

    def model(self) -> HashMethod:
        """The trained method, on the CPU, in evaluation mode."""
        method = fresh_method(self.experiment, self.metrics["n_classes"], weights="none")
        path = self.folder / "model.safetensors"
        try:
            method.load_state_dict(load_file(path))
        except (SafetensorError, OSError, RuntimeError) as error:
            raise ValueError(
                f"{path} cannot be loaded ({str(error).splitlines()[0]}); delete its folder and run again"
            ) from error
        return method.eval()

    def data(self, progress: bool = False) -> Splits:
        """The splits it was trained and evaluated on. Raises ValueError where the images have changed since."""
        if data_fingerprint(self.experiment.data) != self.metrics["fingerprint"]["data"]:
            raise ValueError(f"the images of {self.experiment.name} have changed since it ran; run it again")
        return load_data(self.experiment.data, progress=progress)

    @property
    def mean_average_precision(self) -> float:
        """Expected mAP@map_at over ties, denominator "retrieved"."""
        return float(self.metrics["map"])


def fresh_method(experiment: Experiment, n_classes: int, weights: str | None = None) -> HashMethod:
    """The experiment's method before training, drawn from its seed alone; torch's own generator is left as it was.

    weights: takes the place of the backbone's, "none" where a trained state dict is loaded next.
    """
    method = dataclasses.replace(experiment.method, image_size=experiment.data.image_size)
    if weights is not None:
        method = dataclasses.replace(method, backbone=dataclasses.replace(method.backbone, weights=weights))
    with seeded(experiment.seed):
        return build(method, n_classes, experiment.bits)


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
        encoded = time.perf_counter()
        metrics = measure(experiment, query, database) | {
            "n_classes": splits.n_classes,
            "fingerprint": fingerprint,
            "version": __version__,
            "code": code,
            "best_epoch": max(history, key=lambda row: row["validation_map"])["epoch"],
            "validation_map": max(row["validation_map"] for row in history),
            "seconds": {"train": trained - started, "encode": encoded - trained},
            "machine": {"torch": torch.__version__, "python": platform.python_version(), "cpu": platform.machine()},
        }
    _write(partial, experiment, metrics, history, query, database, method)
    for earlier in runs_with_hash(folder.parent, experiment.hash_with(fingerprint)):
        shutil.rmtree(earlier)
    os.replace(partial, folder)
    for leftover in (BEST, LAST):  # only now: what interrupts this loses nothing
        (folder / leftover).unlink(missing_ok=True)
    return Run(experiment, folder)


def measure(experiment: Experiment, query: Encoded, database: Encoded) -> dict[str, Any]:
    """metrics.json: "map" (expected over ties, denominator "retrieved", @map_at), "continuous_map" (the same of the
    unbinarised values by cosine: what binarising costs) and the whole Report."""
    report = evaluate(
        query.codes, query.labels, database.codes, database.labels,
        k=experiment.map_at, bits=experiment.bits,
        query_values=query.values, database_values=database.values,
        query_ids=query.ids, database_ids=database.ids,
    )  # fmt: skip
    continuous = None if report.continuous_map is None else report.continuous_map["retrieved"]
    return {
        "map": report.map["expected"]["retrieved"],
        "continuous_map": continuous,
        "smoke": experiment.smoke,
        "report": report.to_dict(),
    }


def report(run: Run, k: int | None = None) -> Report:
    """Every measure of a stored run, from its stored codes; k of mAP@k is the run's own by default."""
    codes = run.codes
    return evaluate(
        codes["query_codes"], codes["query_labels"], codes["database_codes"], codes["database_labels"],
        k=run.experiment.map_at if k is None else k,
        query_values=codes["query_values"], database_values=codes["database_values"],
        query_ids=codes["query_ids"], database_ids=codes["database_ids"],
    )  # fmt: skip


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write(
    folder: Path, experiment: Experiment, metrics: dict[str, Any], history: list[dict[str, float]],
    query: Encoded, database: Encoded, method: HashMethod,
) -> None:  # fmt: skip
    (folder / "experiment.json").write_text(json.dumps(experiment.to_dict(), indent=1))
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1))
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in history for key in row)))
        writer.writeheader()
        writer.writerows(history)
    arrays: dict[str, np.ndarray] = {}
    for split, part in (("query", query), ("database", database)):
        arrays |= {
            f"{split}_codes": part.codes,
            f"{split}_values": part.values,
            f"{split}_labels": part.labels,
            f"{split}_ids": part.ids,
        }
        if part.thresholds is not None:
            arrays[f"{split}_thresholds"] = part.thresholds
    np.savez_compressed(folder / "codes.npz", **arrays)  # type: ignore[arg-type]
    save_file(weights_of(method), folder / "model.safetensors")

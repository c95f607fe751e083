"""A stored run: the files of a finished experiment, read as needed, and how they are written.

experiment.json, metrics.json, history.csv, codes.npz, model.safetensors.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cscelab.codes import unpack
from cscelab.datasets import data_fingerprint, load_data
from cscelab.datasets.base import Splits
from cscelab.description import Experiment
from cscelab.encode import Encoded
from cscelab.evaluate import Report, evaluate
from cscelab.methods import HashMethod, build
from cscelab.seeding import seeded
from cscelab.train import weights_of

DATABASES = ("learned", "network")  # what a database can be coded by
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
        """query_codes, database_codes (int8 +-1, (N, K)), ..._values, ..._thresholds, ..._labels, ..._ids.

        Where training learned database codes, these are database_codes, and network_codes and network_values are what
        the network gives for the same images.
        """
        path = self.folder / "codes.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (BadZipFile, EOFError, ValueError) as error:
            raise ValueError(f"{path} cannot be read ({error}); delete its folder and run again") from error
        for name in arrays.keys() & {"query_codes", "database_codes", "network_codes"}:
            arrays[name] = unpack(arrays[name], self.experiment.layout.width)
        return arrays

    def database(self, by: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Codes and values (N, K) of the database, by "learned" codes or by the "network"; None for the run's own:
        learned where there are any. Raises ValueError where the run has no such codes."""
        if by not in (None, *DATABASES):
            raise ValueError(f"unknown database {by!r}; choose from {DATABASES}")
        codes = self.codes
        learned = "network_codes" in codes
        if by == "learned" and not learned:
            raise ValueError(
                f"{self.experiment.name} learned no codes of its database; ask for 'network', or train a method that "
                "learns them (adsh, exchnet) on data whose database is the training images"
            )
        side = "network" if by == "network" and learned else "database"
        return codes[f"{side}_codes"], codes[f"{side}_values"]

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


def measure(experiment: Experiment, query: Encoded, database: Encoded) -> dict[str, Any]:
    """Of metrics.json: "map" (expected over ties, denominator "retrieved", @map_at), "continuous_map" (the same of the
    unbinarised values by cosine: what binarising costs) and the whole Report."""
    report = evaluate(
        query.codes, query.labels, database.codes, database.labels,
        k=experiment.map_at, bits=experiment.bits, arity=experiment.layout.arity,
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


def report(run: Run, k: int | None = None, database: str | None = None) -> Report:
    """Every measure of a stored run, from its stored codes; k of mAP@k is the run's own by default, database as in
    `Run.database`."""
    codes = run.codes
    database_codes, database_values = run.database(database)
    return evaluate(
        codes["query_codes"], codes["query_labels"], database_codes, codes["database_labels"],
        k=run.experiment.map_at if k is None else k, arity=run.experiment.layout.arity,
        query_values=codes["query_values"], database_values=database_values,
        query_ids=codes["query_ids"], database_ids=codes["database_ids"],
    )  # fmt: skip


def write_run(
    folder: Path, experiment: Experiment, metrics: dict[str, Any], history: list[dict[str, float]],
    query: Encoded, database: Encoded, learned: Encoded | None, method: HashMethod,
) -> None:  # fmt: skip
    """Writes FILES into a folder. learned: the database by learned codes, where there are any."""
    (folder / "experiment.json").write_text(json.dumps(experiment.to_dict(), indent=1))
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1))
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in history for key in row)))
        writer.writeheader()
        writer.writerows(history)
    arrays: dict[str, np.ndarray] = {}
    for split, part in (("query", query), ("database", learned or database)):
        arrays |= {
            f"{split}_codes": part.codes,
            f"{split}_values": part.values,
            f"{split}_labels": part.labels,
            f"{split}_ids": part.ids,
        }
        if part.thresholds is not None:
            arrays[f"{split}_thresholds"] = part.thresholds
    if learned:
        arrays |= {"network_codes": database.codes, "network_values": database.values}
    np.savez_compressed(folder / "codes.npz", **arrays)  # type: ignore[arg-type]
    save_file(weights_of(method), folder / "model.safetensors")

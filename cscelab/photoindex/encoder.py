"""The encoder of an index: told apart by its weights without loading it, and fed batches of one fixed shape."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np

from cscelab.datasets.decoding import DECODING
from cscelab.paths import data_root
from cscelab.records import is_run, runs_called

SHIPPED = Path(str(files("cscelab"))) / "weights" / "tiny-csce.safetensors"  # shipped.ENCODER, without loading torch
WEIGHTS, DESCRIPTION = "model.safetensors", "experiment.json"  # of a stored run
BATCH = 64  # images a forward pass, always: kernels of other shapes may round a value near zero to another bit


class Model(Protocol):
    """A loaded encoder. size, resize: what `decode` is to make; width: bits of a stored code; arity: k of symbols."""

    size: int
    resize: int
    width: int
    arity: int | None

    def codes(self, pixels: Sequence[np.ndarray]) -> list[bytes]:
        """Images uint8 (size, size, 3), at most BATCH, to packed codes of ceil(width / 8) bytes."""


@dataclass(frozen=True)
class Encoder:
    """name: the run's folder, or that of the shipped weights; digest: of weights, settings and decoding; run: whether
    it is a stored run."""

    name: str
    digest: str
    run: bool = False

    def load(self) -> Model:
        """Raises ValueError where it cannot be loaded."""
        from cscelab.photoindex.model import HashModel

        return HashModel(self)


def find_encoder(run: str | None = None) -> Encoder:
    """The stored run whose folder name is, begins or ends with `run`, or the shipped encoder; nothing is loaded.

    Raises ValueError where none or several runs fit.
    """
    if run is None:
        return Encoder(SHIPPED.stem, _digest(SHIPPED))
    runs = data_root() / "runs"
    stored = [path.name for path in runs.glob("*") if is_run(path) and (path / WEIGHTS).is_file()]
    found = [runs / name for name in runs_called(stored, run)]
    if len(found) != 1:
        from cscelab.compare import find_stored

        found = [find_stored(run).folder]  # says what is wrong
    return Encoder(found[0].name, _digest(found[0] / WEIGHTS, found[0] / DESCRIPTION), run=True)


def _digest(*parts: Path) -> str:
    digest = hashlib.sha256(f"decoding {DECODING}".encode())
    for part in parts:
        with part.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()

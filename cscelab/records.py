"""What the project's own files of codes say of them: how many bits, which symbols, and whose they are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cscelab.arrayfiles import ArrayFile


def is_run(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("codes.npz", "experiment.json"))


def known_bits(file: ArrayFile, name: str) -> int | None:
    """Stored bits of the codes `name`: the file's array `bits`, or the columns of the values they were made from."""
    values = name.replace("codes", "values")
    if "bits" in file.names and file.read("bits").size == 1:
        return int(file.read("bits").item())
    return int(file.read(values).shape[-1]) if values != name and values in file.names else None


def packed_bits(file: ArrayFile, name: str, codes: np.ndarray) -> int | None:
    """`known_bits` where the codes are that many, packed."""
    bits, width = known_bits(file, name), codes.shape[1]
    return bits if bits and width == -(-bits // 8) and (width != bits or codes.max() > 1) else None


def known_arity(file: ArrayFile, name: str) -> int | None:
    """k where the codes `name` are one-hot symbols, as `cscelab encode --out` or a stored run's report has it, else
    None. Raises ValueError for a damaged report."""
    if "codes" not in name:
        return None
    if "arity" in file.names and file.read("arity").size == 1:
        return int(file.read("arity").item())
    path = file.path.with_name("metrics.json")
    if file.path.name != "codes.npz" or not is_run(file.path.parent) or not path.is_file():
        return None
    try:
        return json.loads(path.read_text()).get("report", {}).get("arity")
    except ValueError as error:
        raise ValueError(f"{path} cannot be read ({error}); delete its folder and run again") from error


def shared_arity(query: int | None, database: int | None) -> int | None:
    """What both sides' files tell of their codes. Raises ValueError where they tell different things."""
    if query != database:
        told, other = ("query", "database") if query else ("database", "query")
        raise ValueError(
            f"the {told} codes' file says that they are symbols of {query or database}, but not the {other} codes'; "
            f"give codes of one encoder, or arity={query or database} if all are such"
        )
    return query


def encoder_of(file: ArrayFile, name: str | None) -> str | None:
    """The encoder's name, as `cscelab encode --out` wrote it or a stored run's folder has it; None for other files."""
    folder = file.path.parent
    if file.path.name == "codes.npz" and is_run(folder) and "encoder" not in file.names:
        return Path(os.path.abspath(folder)).name  # as `files.encoder_name` has it
    if name not in (None, "codes") or "encoder" not in file.names:
        return None
    recorded: np.ndarray = file.load("encoder")
    return str(recorded) if recorded.dtype.kind == "U" and recorded.ndim == 0 else None


def runs_called(names: Iterable[str], text: str) -> list[str]:
    """The folder names of runs that a text means, each once: the one of that name, else those that begin or end with
    it. A recipe's / is the - of its runs' names."""
    slug, every = text.replace("/", "-"), sorted(set(names))
    return [name for name in every if name == slug] or [
        name for name in every if name.startswith(slug) or name.endswith(slug)
    ]

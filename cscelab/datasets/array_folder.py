"""A folder of arrays that is either whole or absent: built aside, checked, and renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

CONTENTS = "config.json"
SMALL = 1 << 20  # bytes; larger arrays are memory-mapped


def cached(root: Path, name: str, key: Mapping[str, object], build: Callable[[Path], None]) -> dict[str, np.ndarray]:
    """The arrays of `root/name-<hash of key>/*.npy` by file stem; `build(folder)` writes them where they are missing.

    A folder with a missing or cut-off file is built again. When two processes build at once, the one that ends later
    uses the other's. Raises OSError, in one sentence, where the folder cannot be written.
    """
    text = json.dumps(key, sort_keys=True)
    folder = root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    arrays = _read(folder, text)
    if arrays is not None:
        return arrays
    aside = root / f".{folder.name}-{secrets.token_hex(4)}"
    try:
        aside.mkdir(parents=True)
        build(aside)
        sizes = {path.name: path.stat().st_size for path in sorted(aside.glob("*.npy"))}
        (aside / CONTENTS).write_text(json.dumps({"key": json.loads(text), "bytes": sizes}, indent=1))
        if _read(folder, text) is None:
            shutil.rmtree(folder, ignore_errors=True)  # what is there is not whole
            try:
                aside.rename(folder)
            except OSError:
                if _read(folder, text) is None:  # not lost to a process that was quicker
                    raise
    except OSError as error:
        raise OSError(
            f"cannot write the data set to {folder} ({error.strerror or error}); "
            f"free the space or the permission, or name another folder with root="
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    arrays = _read(folder, text)
    if arrays is None:
        raise OSError(f"the data set in {folder} changed while it was being written; load it again")
    return arrays


def _read(folder: Path, key: str) -> dict[str, np.ndarray] | None:
    """The folder's arrays, or None unless it is whole and was built from this key."""
    try:
        contents = json.loads((folder / CONTENTS).read_text())
        if contents["key"] != json.loads(key):
            return None
        arrays = {}
        for file, size in contents["bytes"].items():
            path = folder / file
            if os.path.getsize(path) != size:
                return None
            arrays[path.stem] = np.load(path, mmap_mode="r" if size > SMALL else None, allow_pickle=False)
        return arrays
    except (OSError, ValueError, KeyError, TypeError):
        return None

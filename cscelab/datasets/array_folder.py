"""A folder of arrays that is either whole or absent: built aside, checked, renamed into place."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from filelock import FileLock

from cscelab.paths import write_text

CONTENTS = "config.json"
SMALL = 1 << 20  # bytes; larger arrays are memory-mapped


def cached(root: Path, name: str, key: Mapping[str, object], build: Callable[[Path], None]) -> dict[str, np.ndarray]:
    """The arrays of `root/name-<hash of key>/*.npy` by file stem; `build(folder)` writes them where they are missing.

    After Ctrl-C, or when the process was killed, the next build is given the folder with what is in it, and may go on
    from there; after an error it is removed. When two processes need the same arrays, one waits for the other.
    A folder with a missing, cut-off or damaged file is built again: each file has a checksum, taken when it is written
    and compared where the file's size or time of change is no longer what was noted then; see `verify` for the rest.
    Raises OSError, in one sentence, where the folder cannot be written.
    """
    text = json.dumps(key, sort_keys=True)
    folder = root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    arrays = _read(folder, text)
    if arrays is not None:
        return arrays
    lock = root / f".{folder.name}.lock"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            if _read(folder, text) is None:  # not built while this process waited
                _build(root / f".{folder.name}", folder, text, build)
    except OSError as error:
        raise OSError(
            f"cannot write the data set to {folder} ({error.strerror or error}); "
            f"free the space or the permission, or name another folder with root="
        ) from error
    finally:
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
    arrays = _read(folder, text)
    if arrays is None:
        raise OSError(f"the data set in {folder} changed while it was being written; load it again")
    return arrays


def verify(folder: Path) -> tuple[str, ...]:
    """Names of a cached folder's files that are missing or no longer what was written; every byte is read.

    It finds what `cached` does not look for at each start: bits that changed behind the file system's back. Raises
    ValueError where the folder is none that `cached` wrote.
    """
    try:
        files = json.loads((folder / CONTENTS).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} has no readable {CONTENTS}; give a folder of cached arrays") from error
    return tuple(name for name, noted in files.items() if not _matches(folder / name, noted[-1]))


def checksum(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _build(aside: Path, folder: Path, key: str, build: Callable[[Path], None]) -> None:
    aside.mkdir(exist_ok=True)
    try:
        build(aside)
        files = {path.name: [*_stat(path), checksum(path)] for path in sorted(aside.glob("*.npy"))}
        _write_contents(aside, json.loads(key), files)
        if folder.is_symlink():  # to a folder elsewhere, which is left alone
            folder.unlink()
        shutil.rmtree(folder, ignore_errors=True)  # what is there is not whole
        aside.rename(folder)
    except Exception:  # which an interruption is not
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _matches(path: Path, digest: str) -> bool:
    return path.is_file() and checksum(path) == digest


def _stat(path: Path) -> tuple[int, int]:
    """(bytes, time of change in nanoseconds)."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _write_contents(folder: Path, key: object, files: Mapping[str, list[object]]) -> None:
    """files: name -> [bytes, time of change, checksum]."""
    write_text(folder / CONTENTS, json.dumps({"key": key, "files": files}, indent=1))


def _read(folder: Path, key: str) -> dict[str, np.ndarray] | None:
    """The folder's arrays, or None unless it is whole and was built from this key."""
    try:
        contents = json.loads((folder / CONTENTS).read_text())
        if contents["key"] != json.loads(key):
            return None
        moved = {}  # files whose times are not those noted: copied from elsewhere, or written to
        for name, (size, changed, digest) in contents["files"].items():
            now = _stat(folder / name)
            if now[0] != size:
                return None
            if now[1] != changed:
                if checksum(folder / name) != digest:
                    return None
                moved[name] = [*now, digest]
        if moved:
            with contextlib.suppress(OSError):  # a folder that may only be read is checked at every call
                _write_contents(folder, contents["key"], contents["files"] | moved)
        return {
            Path(name).stem: np.load(folder / name, mmap_mode="r" if size > SMALL else None, allow_pickle=False)
            for name, (size, _, _) in contents["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None

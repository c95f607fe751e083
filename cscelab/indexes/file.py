"""The file of a code index: safetensors with a description and a checksum, replaced whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from cscelab.paths import make_folder

VERSION = 1
KEY = "cscelab_code_index"  # one entry of metadata: several would be written in an order that changes from run to run
_LENGTH = 8  # bytes in which safetensors tells the length of its header
_BEGINNING = f'{{"__metadata__":{{"{KEY}":'.encode()


def write(path: Path, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a temporary file beside `path`, forces it to disk and renames it; a failure leaves the old file as it was.

    Args:
        path: the file; its folder is made.
        description: what goes into JSON.
        arrays: name -> array.

    Raises:
        OSError: in one sentence, where the file cannot be written.
    """
    make_folder(path.parent, "name another file")
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    complete = {**description, "version": VERSION, "checksum": _checksum(description, plain)}
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        save_file(plain, temporary, {KEY: json.dumps(complete, sort_keys=True)})
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"cannot write the index {path} ({reason}); name another file or make room") from error
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description and the arrays that `write` wrote.

    Raises:
        OSError: in one sentence, where there is no such file (FileNotFoundError), or it cannot be opened.
        ValueError: in one sentence, where the file is no code index, damaged or of another version.
    """
    _require_readable(path)
    try:
        with safe_open(path, framework="np") as stored:
            metadata = stored.metadata() or {}
            arrays = {name: stored.get_tensor(name) for name in stored.keys()} if KEY in metadata else {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is no code index, or is cut short ({reason}); build it again") from error
    if KEY not in metadata:
        raise ValueError(f"{path} is a safetensors file but no code index; name a file that CodeIndex.save wrote")
    try:
        description = dict(json.loads(metadata[KEY]))
    except (TypeError, ValueError):
        raise ValueError(f"the description in the index {path} is damaged; build it again") from None
    version, checksum = description.pop("version", None), description.pop("checksum", None)
    if version != VERSION:
        raise ValueError(f"the index {path} is of format {version}, but this cscelab reads {VERSION}; build it again")
    if checksum != _checksum(description, arrays):
        raise ValueError(f"the index {path} is damaged: its checksum does not fit its contents; build it again")
    return description, arrays


def is_index(path: Path) -> bool:
    """Whether the file begins as `write` begins one, however damaged or cut short the rest may be.

    Raises OSError, in one sentence, where there is no such file or it cannot be opened.
    """
    _require_readable(path)
    with path.open("rb") as file:
        return file.read(len(_BEGINNING) + _LENGTH)[_LENGTH:] == _BEGINNING


def _require_readable(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name an index file")
    try:
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"there is no index file {path}; build one with: cscelab index build {path} IMAGES"
        ) from None
    except OSError as error:
        raise OSError(f"the index {path} cannot be read ({error.strerror or error}); check the file") from error


def _checksum(description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    digest = blake2b(json.dumps(dict(description), sort_keys=True).encode(), digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].data)
    return digest.hexdigest()

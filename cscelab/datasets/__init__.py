"""Data sets by kind: the embedded Aviary, any folder of class folders or of unlabelled images, the field's lists."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from cscelab.datasets.aviary import DRAWING, Aviary, load_aviary
from cscelab.datasets.base import ImageSet, Splits
from cscelab.datasets.folder import Folder, load_folder, located
from cscelab.datasets.imagecache import ImageStore
from cscelab.datasets.lists import ListFiles, load_lists
from cscelab.datasets.unlabelled import Unlabelled, load_unlabelled
from cscelab.paths import data_root

DataConfig = Aviary | Folder | ListFiles | Unlabelled
DATA_SETS: dict[str, type[DataConfig]] = {
    "aviary": Aviary,
    "folder": Folder,
    "lists": ListFiles,
    "unlabelled": Unlabelled,
}
_LOADERS: dict[type, Any] = {
    Aviary: load_aviary,
    Folder: load_folder,
    ListFiles: load_lists,
    Unlabelled: load_unlabelled,
}


def load_data(config: DataConfig, root: Path | None = None, progress: bool = True) -> Splits:
    """The splits of a data set, drawn or decoded at first and cached under root (the data folder) after that."""
    return _LOADERS[type(config)](config, root=root or data_root(), progress=progress)


def data_fingerprint(config: DataConfig) -> str:
    """What the images are beyond the settings: the drawing's version, or the files' names, sizes and times of change.

    Two paths to the same files have one fingerprint; a changed, added or removed file makes another. Raises ValueError
    where a folder does not exist. Split lists that are not here give "absent", so that recipes can be listed.
    """
    if isinstance(config, Aviary):
        return f"drawing {DRAWING}"
    if isinstance(config, Folder | Unlabelled):
        return folder_fingerprint(located(config.path).resolve())
    lists = [Path(path) for path in (config.train, config.query, config.database)]
    if not all(path.is_file() for path in lists):
        return "absent"
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in lists)).hexdigest()[:16]


@lru_cache
def folder_fingerprint(path: Path) -> str:
    """Of all images below a folder or in a zip; read once a process."""
    store = ImageStore(path)
    return hashlib.sha256(json.dumps([(name, *store.stamp(name)) for name in store.names()]).encode()).hexdigest()[:16]


__all__ = [
    "DATA_SETS",
    "Aviary",
    "DataConfig",
    "Folder",
    "ImageSet",
    "ListFiles",
    "Splits",
    "Unlabelled",
    "data_fingerprint",
    "folder_fingerprint",
    "load_data",
]

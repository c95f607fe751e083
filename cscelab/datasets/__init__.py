"""Data sets by kind: the embedded Aviary, any folder of class folders or of unlabelled images, the field's lists."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from cscelab.datasets.aviary import DRAWING, Aviary, load_aviary
from cscelab.datasets.base import ImageSet, Splits
from cscelab.datasets.decoding import DECODING
from cscelab.datasets.folder import Folder, load_folder, located
from cscelab.datasets.imagecache import DEPTH, ImageStore
from cscelab.datasets.lists import ListFiles, load_lists
from cscelab.datasets.unlabelled import ALTERATION, Unlabelled, load_unlabelled
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

# The versions that fingerprints do not tell: runs were stored before any was told, and are to be found again.
UNTOLD_DECODING, UNTOLD_ALTERATION = 3, 1


def load_data(config: DataConfig, root: Path | None = None, progress: bool = True) -> Splits:
    """The splits of a data set, drawn or decoded at first and cached under root (the data folder) after that."""
    return _LOADERS[type(config)](config, root=root or data_root(), progress=progress)


def data_fingerprint(config: DataConfig) -> str:
    """What the images are beyond the settings: the drawing's version; of folders the files' names, sizes and times of
    change; of lists their content; and how pictures are decoded and altered.

    Two paths to the same files have one fingerprint; a file changed in, added to or removed from a folder makes
    another. Of lists neither times nor pictures count, so that two people who have the same split have one fingerprint:
    whether pictures were replaced under the same names is told by `pictures` in a prepared split's manifest. Raises
    ValueError where a folder does not exist. Split lists that are not here give "absent", so that recipes can be
    listed.
    """
    if isinstance(config, Aviary):
        return f"drawing {DRAWING}"
    if isinstance(config, Folder):
        found = folder_fingerprint(located(config.path).resolve())
    elif isinstance(config, Unlabelled):
        found = folder_fingerprint(located(config.path).resolve(), depth=None)
    else:
        lists = [Path(path) for path in (config.train, config.query, config.database)]
        if not all(path.is_file() for path in lists):
            return "absent"
        found = hashlib.sha256(b"\0".join(path.read_bytes() for path in lists)).hexdigest()[:16]
    if DECODING != UNTOLD_DECODING:
        found += f", decoding {DECODING}"
    if isinstance(config, Unlabelled) and ALTERATION != UNTOLD_ALTERATION:
        found += f", alteration {ALTERATION}"
    return found


@lru_cache
def folder_fingerprint(path: Path, depth: int | None = DEPTH) -> str:
    """Of all images at most `depth` levels below a folder or in a zip, None being any number; read once a process."""
    store = ImageStore(path, depth)
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

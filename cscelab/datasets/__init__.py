"""Data sets by kind: the embedded Aviary, any folder of class folders, the field's split lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cscelab.datasets.aviary import Aviary, load_aviary
from cscelab.datasets.base import ImageSet, Splits
from cscelab.datasets.folder import Folder, load_folder
from cscelab.datasets.lists import ListFiles, load_lists
from cscelab.paths import data_root

DataConfig = Aviary | Folder | ListFiles
DATA_SETS: dict[str, type[DataConfig]] = {"aviary": Aviary, "folder": Folder, "lists": ListFiles}
_LOADERS: dict[type, Any] = {Aviary: load_aviary, Folder: load_folder, ListFiles: load_lists}


def load_data(config: DataConfig, root: Path | None = None, progress: bool = True) -> Splits:
    """The splits of a data set, drawn or decoded at first and cached under root (the data folder) after that."""
    return _LOADERS[type(config)](config, root=root or data_root(), progress=progress)


__all__ = ["DATA_SETS", "DataConfig", "ImageSet", "Splits", "load_data"]

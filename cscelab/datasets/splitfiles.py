"""A split on the disk: train.txt, test.txt and database.txt in the field's format, and a manifest with checksums."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cscelab.paths import make_folder

MANIFEST = "manifest.json"
FILES = {"train": "train.txt", "query": "test.txt", "database": "database.txt"}  # as HashNet and CSQ call them

Row = tuple[str, tuple[int, ...]]  # path of an image, its classes
Lists = dict[str, list[Row]]  # train, query and database, each in the order of its lines


@dataclass(frozen=True)
class SplitLists:
    """Who is in which list, before anything is written.

    lists: train, query and database -> rows; classes: names, in the order of the labels; multilabel: whether images
    have several; protocol: in words, as the manifest says it; seed: of what was drawn, None where nothing was.
    """

    name: str
    protocol: str
    classes: tuple[str, ...]
    lists: Lists
    multilabel: bool = False
    seed: int | None = None

    def text(self, split: str) -> str:
        """The list as a file: `path 3` with a class's number, or `path 0 0 1 1` with a digit for each class."""
        return "".join(f"{path} {self._labels(labels)}\n" for path, labels in self.lists[split])

    def _labels(self, labels: tuple[int, ...]) -> str:
        if not self.multilabel:
            (label,) = labels
            return str(label)
        present = set(labels)
        return " ".join("1" if label in present else "0" for label in range(len(self.classes)))


def write_split(split: SplitLists, folder: Path, images: Path) -> dict[str, Any]:
    """Writes the lists, then the manifest, into the folder; images: the folder or zip that their paths are relative to.

    Returns the manifest. Raises OSError where the folder cannot be written.
    """
    make_folder(folder)
    lists = {}
    for name, file in FILES.items():
        text = split.text(name)
        (folder / file).write_text(text, encoding="utf-8")
        lists[name] = {
            "file": file,
            "images": len(split.lists[name]),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
    manifest = {
        "name": split.name,
        "protocol": split.protocol,
        "seed": split.seed,
        "classes": list(split.classes),
        "images": str(images.expanduser().resolve()),
        "lists": lists,
    }
    temporary = folder / f"{MANIFEST}.tmp"
    temporary.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    temporary.replace(folder / MANIFEST)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a prepared split, None where there is none. Raises ValueError where it cannot be read."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest.get("images"), str) or not isinstance(manifest.get("lists"), dict):
            raise ValueError("no manifest of a split")
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); prepare the data set again with cscelab data prepare"
        ) from error
    return dict(manifest)

"""A split on the disk: train.txt, test.txt and database.txt in the field's format, and a manifest with checksums.

Two people whose manifests have the same checksums have the same split, and, where both were written with
pictures=True, the same pictures: `compare_manifests` says how two differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm.auto import tqdm

from cscelab.datasets.imagecache import BLOCK, MOST_THREADS, ImageStore
from cscelab.paths import make_folder, write_text

MANIFEST = "manifest.json"
FILES = {"train": "train.txt", "query": "test.txt", "database": "database.txt"}  # as HashNet and CSQ call them

Row = tuple[str, tuple[int, ...]]  # path of an image, its classes
Lists = dict[str, list[Row]]  # train, query and database, each in the order of its lines
TOGETHER = 32  # files a thread takes at a time; BLOCK is a multiple
Seen = TypeVar("Seen")
UNREADABLE = (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error)  # what `ImageStore.read` may raise


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


def write_split(
    split: SplitLists, folder: Path, images: Path, pictures: bool = False, progress: bool = True
) -> dict[str, Any]:
    """Writes the lists, then the manifest, into the folder; images: the folder or zip that their paths are relative to.

    pictures: read every image too, for one checksum of them all (`combined`). Returns the manifest. Raises ValueError
    where an image cannot be read or the folder holds lists of other making (`refuse_other_lists`), before anything is
    written, and OSError where the folder cannot be written.
    """
    refuse_other_lists(folder)
    paths = [path for rows in split.lists.values() for path, _ in rows]
    checksum = combined(picture_checksums(ImageStore(images), paths, progress)) if pictures else None
    make_folder(folder)
    lists = {}
    for name, file in FILES.items():
        text = split.text(name)
        write_text(folder / file, text)
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
    if checksum is not None:
        manifest["pictures"] = checksum
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1))
    return manifest


def refuse_other_lists(folder: Path) -> None:
    """Raises ValueError where the folder has lists and no manifest, readable or not: they were not written here."""
    if not (folder / MANIFEST).exists() and any((folder / file).exists() for file in FILES.values()):
        raise ValueError(
            f"{folder} holds lists that were not written by cscelab data prepare; move them into {folder / 'lists'} or "
            "name another folder for the new ones"
        )


def picture_checksums(store: ImageStore, paths: Iterable[str], progress: bool = True) -> dict[str, str]:
    """Path -> SHA-256 of the file's bytes. Raises ValueError for the first that cannot be read."""
    names = sorted({posixpath.normpath(path) for path in paths})

    def checksum(name: str) -> str:
        try:
            return hashlib.sha256(store.read(name)).hexdigest()
        except UNREADABLE as error:
            raise ValueError(
                f"{name} cannot be read from {store.path} ({error}); add it, take it out of the lists, or write them "
                "without the checksum of the pictures"
            ) from error

    found = in_threads(checksum, names, "checksums of pictures" if progress else None)
    return dict(zip(names, found, strict=True))


def combined(checksums: Mapping[str, str]) -> str:
    """SHA-256 over path and SHA-256 of each picture, in the order of the paths."""
    whole = hashlib.sha256()
    for path, checksum in sorted(checksums.items()):
        whole.update(f"{path}\0{checksum}\n".encode())
    return whole.hexdigest()


def in_threads(look: Callable[[str], Seen], names: Sequence[str], title: str | None) -> Iterator[Seen]:
    """look(name) of each, in their order; `title` heads the progress bar, which appears after two seconds."""

    def look_at(start: int) -> list[Seen]:
        return [look(name) for name in names[start : start + TOGETHER]]

    pool = ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1))  # reading, hashing, decoding leave the GIL
    try:
        with tqdm(total=len(names), desc=title, delay=2, leave=False, disable=title is None) as bar:
            for start in range(0, len(names), BLOCK):
                for seen in pool.map(look_at, range(start, min(start + BLOCK, len(names)), TOGETHER)):
                    yield from seen
                    bar.update(len(seen))
    finally:
        pool.shutdown(cancel_futures=True)


def compare_manifests(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """How two manifests differ, a sentence each; empty: the same split, wherever the images lie.

    Lists, class names and, where both manifests have one, the checksum of the pictures decide; name, protocol and seed
    are told only where the lists differ, as what may be why.
    """
    sentences = []
    for split in FILES:
        one, other = a["lists"].get(split, {}), b["lists"].get(split, {})
        if one.get("sha256") != other.get("sha256"):
            sizes = [f"{entry['images']:,} images" if entry else "no list" for entry in (one, other)]
            held = f"both {sizes[0]}, but other lines" if sizes[0] == sizes[1] else f"{sizes[0]} and {sizes[1]}"
            sentences.append(f"The {split} lists differ: {held}.")
    if sentences:
        for key in ("name", "protocol", "seed"):
            if a.get(key) != b.get(key):
                sentences.append(f"The {key} differs: {a.get(key)!r} and {b.get(key)!r}.")
    mine, theirs = list(a.get("classes", ())), list(b.get("classes", ()))
    if len(mine) != len(theirs):
        sentences.append(f"The classes differ: {len(mine)} and {len(theirs)}.")
    elif mine != theirs:
        others = [label for label, (x, y) in enumerate(zip(mine, theirs, strict=True)) if x != y]
        first = others[0]
        sentences.append(
            f"{len(others)} of {len(mine)} class names differ, the first is {first}: {mine[first]!r} and "
            f"{theirs[first]!r}."
        )
    if "pictures" in a and "pictures" in b and a["pictures"] != b["pictures"]:
        sentences.append("The pictures differ: their checksums are not the same.")
    return sentences


def images_of(folder: Path, manifest: Mapping[str, Any] | None) -> ImageStore:
    """The images of a folder of lists: where its manifest says, in the folder itself without one. Raises ValueError
    where they are not there."""
    if not manifest:
        return ImageStore(folder)
    place = Path(manifest["images"])
    if not place.exists():
        raise ValueError(
            f"{place} does not exist, where {folder / MANIFEST} says that the images are; name their place with "
            f"cscelab data check {folder} --root PATH --drop OUT, which writes the lists for it into the folder OUT"
        )
    return ImageStore(place)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a prepared split, or the one file itself; None where there is none. Raises ValueError where it
    cannot be read."""
    path = folder if folder.is_file() else folder / MANIFEST
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

"""Which index is meant: that of a folder, of a run, or the one that was brought up to date last."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cscelab.paths import data_root
from cscelab.photoindex.encoder import Encoder, Model, find_encoder
from cscelab.photoindex.store import PhotoStore, Stored
from cscelab.photoindex.walk import shown

if TYPE_CHECKING:
    from cscelab.layout import CodeLayout
    from cscelab.search import CodeIndex

FILE = "index.sqlite"
LABEL = 40  # characters of a folder's name in that of its index


def indexes_folder() -> Path:
    return data_root() / "indexes"


def folder_of_index(folder: Path, encoder: Encoder) -> Path:
    """Where the index of a folder by an encoder lies: indexes/<folder's name>-<hash of both> in the data folder."""
    key = hashlib.sha256(os.fsencode(folder) + b"\0" + encoder.digest.encode()).hexdigest()[:12]
    label = re.sub(r"[^\w.-]+", "_", shown(folder.name))[:LABEL] or "folder"
    return indexes_folder() / f"{label}-{key}"


def require_folder(folder: Path) -> Path:
    """The folder without links and dots. Raises ValueError where there is none."""
    real = Path(os.path.realpath(folder.expanduser()))
    if not real.is_dir():
        what = "is no folder" if real.exists() else "is not there"
        kept = "; its index stays as it is" if any(index.folder == real for index in _indexes()) else ""
        raise ValueError(f"{shown(str(folder))} {what}{kept}; give a folder of images")
    return real


@dataclass(frozen=True)
class PhotoIndex:
    """The index of a folder, to search it. width: bits of a stored code, None where no image has one."""

    file: Path
    folder: Path
    encoder: str
    digest: str
    of_run: bool
    width: int | None
    arity: int | None
    called: float

    @cached_property
    def layout(self) -> CodeLayout:
        from cscelab.layout import CodeLayout, bits_of_symbol

        assert self.width is not None
        bits = self.width if self.arity is None else self.width // self.arity * bits_of_symbol(self.arity)
        return CodeLayout(bits, self.arity)

    @cached_property
    def photos(self) -> dict[int, Stored]:
        """Every image that has a code, by id. Raises ValueError where there is none."""
        with PhotoStore(self.file) as store:
            photos = {photo.id: photo for photo in store.stored()}
        if not photos:
            raise ValueError(
                f"the index of {shown(str(self.folder))} holds no image that can be used; "
                f"cscelab index {shown(str(self.folder))} says why"
            )
        return photos

    @cached_property
    def packed(self) -> np.ndarray:
        """uint8 (N, ceil(width / 8)), in the order of `photos`."""
        joined = b"".join(photo.code for photo in self.photos.values())
        return np.frombuffer(joined, np.uint8).reshape(len(self.photos), -1)

    @cached_property
    def codes(self) -> CodeIndex:
        """The same codes, to search in."""
        from cscelab.search import CodeIndex

        index = CodeIndex(self.layout.width, method=self.encoder)
        index.add(self.packed, np.array(list(self.photos)))
        return index

    def path(self, item: int) -> Path:
        """Where the file of an image is."""
        return self.folder / os.fsdecode(self.photos[item].path)

    def load(self) -> Model:
        """Its encoder. Raises ValueError where that is gone, or is no longer what it was."""
        again = f"cscelab index {shown(str(self.folder))}"
        try:
            encoder = find_encoder(self.encoder if self.of_run else None)
        except ValueError as error:
            raise ValueError(
                f"the encoder {self.encoder} of the index is gone ({error}); "
                f"train it again, or index by another with {again} --run NAME"
            ) from error
        if encoder.digest != self.digest:
            run = f" --run {self.encoder}" if self.of_run else ""
            raise ValueError(f"the encoder {self.encoder} has changed since it made the index; call {again}{run}")
        return encoder.load()


def find_index(folder: Path | None = None, run: str | None = None) -> PhotoIndex:
    """The index of a folder, by default of the one indexed last; where several encoders made one, by the run that is
    named, or the last. Raises ValueError where there is none."""
    every = list(_indexes())
    if not every:
        raise ValueError("no folder has been indexed yet; call cscelab index FOLDER first")
    found, wanted = every, ""
    if folder is not None:
        real = Path(os.path.realpath(folder.expanduser()))
        found = [index for index in found if index.folder == real]
        wanted = f" of {shown(str(folder))}"
    if run is not None:
        slug = run.replace("/", "-")
        named = [index for index in found if index.of_run and index.encoder == slug] or [
            index
            for index in found
            if index.of_run and (index.encoder.startswith(slug) or index.encoder.endswith(slug))
        ]
        found, wanted = named, f"{wanted} by a run called {run}"
    if not found:
        there = ", ".join(sorted({shown(str(index.folder)) for index in every})[:3])
        raise ValueError(
            f"there is no index{wanted}; make it with cscelab index, or use one of those there are: {there}"
        )
    return max(found, key=lambda index: index.called)


def _indexes() -> Iterator[PhotoIndex]:
    """Every index that was finished or begun; a damaged one is passed over: `cscelab index` says so."""
    for file in sorted(indexes_folder().glob(f"*/{FILE}")):
        try:
            with PhotoStore(file) as store:
                about = store.about()
        except OSError:
            continue
        if "folder" in about:
            yield PhotoIndex(
                file, Path(os.fsdecode(about["folder"])), about["encoder"], about["digest"], bool(about["run"]),
                about.get("width"), about.get("arity"), about.get("called", 0.0),
            )  # fmt: skip

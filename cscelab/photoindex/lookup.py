"""Which index is meant: that of a folder, of a run, or the one that was brought up to date last."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cscelab.paths import data_root
from cscelab.photoindex.encoder import Encoder, Model, find_encoder
from cscelab.photoindex.store import PhotoStore, Stored
from cscelab.photoindex.walk import shown
from cscelab.records import runs_called

if TYPE_CHECKING:
    from cscelab.layout import CodeLayout

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
    """The index of a folder, to search it.

    width: bits of a stored code, None where no image has one. unread: how many images the last call has not come to, 0
    of one that ended, None of one that was stopped before it knew.
    """

    file: Path
    folder: Path
    encoder: str
    digest: str
    of_run: bool
    width: int | None
    arity: int | None
    called: float
    unread: int | None

    @cached_property
    def layout(self) -> CodeLayout:
        from cscelab.layout import CodeLayout, bits_of_symbol

        assert self.width is not None, "of an index without codes: ask for photos first, which says so"
        bits = self.width if self.arity is None else self.width // self.arity * bits_of_symbol(self.arity)
        return CodeLayout(bits, self.arity)

    @cached_property
    def photos(self) -> dict[int, Stored]:
        """Every image that has a code, by id. Raises ValueError where there is none."""
        with PhotoStore(self.file) as store:
            photos = {photo.id: photo for photo in store.stored()}
        if not photos:
            if self.unread != 0:
                raise ValueError(
                    f"the index of {shown(str(self.folder))} was not finished and holds no image yet; "
                    f"go on with {self.command}"
                )
            raise ValueError(
                f"the index of {shown(str(self.folder))} holds no image that can be used; {self.command} says why"
            )
        return photos

    @cached_property
    def by_path(self) -> dict[bytes, Stored]:
        """The same images by their paths below the folder."""
        return {photo.path: photo for photo in self.photos.values()}

    @property
    def command(self) -> str:
        """What brings it up to date."""
        return f"cscelab index {shown(str(self.folder))}" + (f" --run {self.encoder}" if self.of_run else "")

    @cached_property
    def packed(self) -> np.ndarray:
        """uint8 (N, ceil(width / 8)), in the order of `photos`."""
        joined = b"".join(photo.code for photo in self.photos.values())
        return np.frombuffer(joined, np.uint8).reshape(len(self.photos), -1)

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
            raise ValueError(f"the encoder {self.encoder} has changed since it made the index; call {self.command}")
        return encoder.load()


def find_index(folder: Path | None = None, run: str | None = None, images: Sequence[Path] = ()) -> PhotoIndex:
    """The index of a folder, by default of one that all `images` lie in, else of the one indexed last; where several
    encoders made one, by the run that is named, or the last. Raises ValueError where there is none, or several runs are
    meant."""
    every = list(_indexes())
    if not every:
        raise ValueError("no folder has been indexed yet; call cscelab index FOLDER first")
    found, wanted = every, ""
    if folder is not None:
        real = Path(os.path.realpath(folder.expanduser()))
        found = [index for index in found if index.folder == real]
        wanted = f" of {shown(str(folder))}"
    if run is not None:
        names = runs_called((index.encoder for index in found if index.of_run), run)
        if len(names) > 1:
            raise ValueError(f"{run!r} fits the indexes{wanted} by {', '.join(names)}; name one of these runs")
        found = [index for index in found if index.of_run and index.encoder in names]
        wanted = f"{wanted} by a run called {run}"
    if not found:
        there = ", ".join(sorted({shown(str(index.folder)) for index in every})[:3])
        raise ValueError(
            f"there is no index{wanted}; make it with cscelab index, or use one of those there are: {there}"
        )
    if folder is None and images:
        around = [index for index in found if all(below(index.folder, image) for image in images)]
        found = around or found
    return max(found, key=lambda index: index.called)


def below(folder: Path, image: Path) -> list[str]:
    """Absolute paths below the folder that an image goes by: as it was given, which may lead through links, and
    without them."""
    parent = os.path.realpath(image.parent)
    paths = [os.path.abspath(image), os.path.join(parent, image.name), os.path.realpath(image)]
    return [path for path in paths if Path(path).is_relative_to(folder)]


def from_here(path: Path) -> str:
    """A file's name that opens where one is: from the working directory where it lies below that, else absolute."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


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
                about.get("unread", 0 if "called" in about else None),
            )  # fmt: skip

"""Image files become one array of squares: decoded once by several threads, cached, memory-mapped after that."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import threading
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm.auto import tqdm

from cscelab.datasets.array_folder import cached
from cscelab.datasets.decoding import DECODING, SUFFIXES, UnreadableImageError, decode
from cscelab.paths import data_root, why, write_text

DEPTH = 4  # wrapper/train/class/image.jpg is as deep as an image of a class folder may lie
MOST_THREADS = 8
NAMED = 3  # files an error message names
BLOCK = 1024  # images handed to the threads at a time, after which an interrupted call goes on where it was
MOST_BYTES = 1 << 30  # of a file; an image of as many pixels as are decoded has fewer in any format

Failure = tuple[str, str, str]


class UnreadableImagesError(ValueError):
    """Some of a data set's files give no pixels. failures: (name, kind, why) of each, as `decoding` has them; decoded:
    name -> pixels of the others, for a second call without those that failed."""

    def __init__(
        self, message: str, failures: Sequence[Failure], decoded: Mapping[str, np.ndarray] | None = None
    ) -> None:
        super().__init__(message)
        self.failures = tuple(failures)
        self.decoded = decoded or {}


class ImageStore:
    """A folder, or a zip file read in place, whose images are named by their relative path with forward slashes.

    depth: how many levels down an image may lie; None: any number, each folder that links lead to being looked into
    once.
    """

    def __init__(self, path: str | Path, depth: int | None = DEPTH):
        self.path, self.depth = Path(path).expanduser(), depth
        self.zip: zipfile.ZipFile | None = None
        self._lock = threading.Lock()
        if not self.path.exists():
            raise ValueError(f"{self.path} does not exist; give a folder of images or a zip file of one")
        if not self.path.is_dir():
            try:
                self.zip = zipfile.ZipFile(self.path)
            except zipfile.BadZipFile as error:
                raise ValueError(
                    f"{self.path} is neither a folder nor a readable zip file ({error}); "
                    f"give a folder of images or a zip file of one"
                ) from error

    @property
    def label(self) -> str:
        """What the folder or zip is called, without its suffix."""
        path = self.path.resolve()
        return (path.stem if self.zip else path.name) or "images"

    def names(self) -> list[str]:
        """Every image at most `depth` levels down, in alphabetical order; hidden files and others are passed over."""
        if self.zip is not None:
            found = [entry.filename for entry in self.zip.infolist() if not entry.is_dir()]
        else:
            found = self._walk_all() if self.depth is None else self._walk(self.depth)
        return sorted(name for name in found if _is_image(PurePosixPath(name), self.depth))

    def stamp(self, name: str) -> tuple[int, int]:
        """(bytes, time of change or checksum): differs once the file does. Raises OSError or KeyError where absent."""
        if self.zip is None:
            status = (self.path / name).stat()
            return status.st_size, status.st_mtime_ns
        info = self.zip.getinfo(name)
        return info.file_size, info.CRC

    def read(self, name: str) -> bytes:
        """Raises OSError or KeyError where absent, UnreadableImageError for what is too large to be an image."""
        size = self.stamp(name)[0]
        if size > MOST_BYTES:
            raise UnreadableImageError("too large", f"is a file of {size / 1e9:.1f} GB")
        if self.zip is None:
            return (self.path / name).read_bytes()
        with self._lock:  # a ZipFile counts its readers without a lock
            return self.zip.read(name)

    def _walk(self, depth: int) -> list[str]:
        found = []
        for folder, inner, files in os.walk(self.path, followlinks=True):
            below = Path(folder).relative_to(self.path)
            if len(below.parts) >= depth - 1:
                inner.clear()  # also what ends a loop of links
            found += [(below / file).as_posix() for file in files]
        return found

    def _walk_all(self) -> list[str]:
        """Links last: a folder goes by its own name where that is below too. They may lead in circles, or up."""
        found, links = [], [self.path]
        seen = {str(above) for above in self.path.resolve().parents}
        while links:
            links.sort(reverse=True)
            for folder, inner, files in os.walk(links.pop()):
                real = os.path.realpath(folder)
                if real in seen:
                    inner.clear()
                    continue
                seen.add(real)
                inner[:] = [name for name in inner if not name.startswith(".")]
                here = Path(folder)
                links += [here / name for name in inner if (here / name).is_symlink()]
                below = here.relative_to(self.path)
                found += [(below / file).as_posix() for file in files]
        return found


def cached_images(
    store: ImageStore,
    names: Sequence[str],
    image_size: int,
    resize: int | None = None,
    root: str | Path | None = None,
    label: str = "images",
    progress: bool = True,
    decoded: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """The named images as uint8 (N, image_size, image_size, 3), in the order of the names; see `decode`.

    They are decoded at the first call and mapped from `root`/images/ (root: the data folder) at later ones, until the
    list of names, a file's size or time of change, or a size in pixels is another; after Ctrl-C, or when the process
    was killed, the next call goes on where it was. Raises ValueError naming the files that are absent,
    UnreadableImagesError once all others are decoded, whose `decoded` may be given to a call without those that failed:
    they are then copied; and OSError where the cache cannot be written.
    """
    resize = image_size if resize is None else resize
    if not 1 <= image_size <= resize:
        raise ValueError(f"image_size is {image_size} and resize {resize}; give 1 <= image_size <= resize, in pixels")
    files = hashlib.sha256(json.dumps(_stamps(store, names)).encode()).hexdigest()
    key = {"decoding": DECODING, "files": files, "count": len(names), "image_size": image_size, "resize": resize}

    def build(folder: Path) -> None:
        title = f"decoding {label}" if progress else None
        _decode_all(store, names, image_size, resize, folder / "images.npy", title, decoded or {})

    where = Path(data_root() if root is None else root) / "images"
    return cached(where, f"{store.label}-{label}", key, build)["images"]


def _is_image(path: PurePosixPath, depth: int | None) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden and (depth is None or len(path.parts) <= depth)


def _stamps(store: ImageStore, names: Sequence[str]) -> list[tuple[str, int, int]]:
    stamps, absent = [], []
    for name in names:
        try:
            stamps.append((name, *store.stamp(name)))
        except (OSError, KeyError):
            absent.append(name)
    if absent:
        raise ValueError(
            f"{len(absent)} of {len(names)} images are not in {store.path}: {_first(absent)}; "
            f"add them or take them out of the list"
        )
    return stamps


def _decode_all(
    store: ImageStore,
    names: Sequence[str],
    image_size: int,
    resize: int,
    file: Path,
    title: str | None,
    decoded: Mapping[str, np.ndarray],
) -> None:
    """Writes the .npy file; `title` heads the progress bar, which appears after two seconds."""
    images, done = _open_array(file, (len(names), image_size, image_size, 3))

    def fill(row: int) -> Failure | None:
        try:
            known = decoded.get(names[row])
            images[row] = decode(store.read(names[row]), image_size, resize) if known is None else known
        except UnreadableImageError as error:
            return names[row], error.kind, str(error)
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            return names[row], "not readable", f"cannot be read ({why(error)})"
        return None

    failures: list[Failure] = []
    pool = ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1))  # Pillow decodes and resizes without the GIL
    try:
        with tqdm(
            total=len(names), initial=done, desc=title, unit="image", delay=2, leave=False, disable=title is None
        ) as bar:
            noted = None
            for start in range(done, len(names), BLOCK):
                end = min(start + BLOCK, len(names))
                for failure in pool.map(fill, range(start, end)):
                    failures += [failure] if failure else []
                    bar.update()
                if noted:
                    noted.result()
                if not failures:  # which the next call would not know of
                    noted = pool.submit(_note, file, end)
            if noted:
                noted.result()
    finally:
        pool.shutdown(cancel_futures=True)
    if failures:
        failed = {name for name, _, _ in failures}
        raise UnreadableImagesError(
            f"{len(failures)} of {len(names)} images in {store.path} cannot be decoded: "
            f"{_first([f'{name} {why}' for name, _, why in failures])}; replace or remove them",
            failures,
            {name: image for name, image in zip(names, np.asarray(images), strict=True) if name not in failed},
        )
    images.flush()
    _rows_done(file).unlink(missing_ok=True)


def _open_array(file: Path, shape: tuple[int, ...]) -> tuple[np.memmap, int]:
    """The array to be filled, and how many of its first rows an interrupted call has filled."""
    with contextlib.suppress(OSError, ValueError):
        done = int(_rows_done(file).read_text())
        images = np.lib.format.open_memmap(file, mode="r+")
        if images.shape == shape and 0 <= done <= len(images):
            return images, done
    needed, free = math.prod(shape), shutil.disk_usage(file.parent).free
    if needed > free:
        raise OSError(f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free")
    images = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):  # a disk that is full later would end the process without a message
        with file.open("r+b") as whole:
            os.posix_fallocate(whole.fileno(), 0, file.stat().st_size)
    return images, 0


def _note(file: Path, done: int) -> None:
    """That so many of the array's rows are filled, once they are on the disk."""
    with file.open("r+b") as written:
        os.fsync(written.fileno())
    write_text(_rows_done(file), str(done))


def _rows_done(file: Path) -> Path:
    return file.with_suffix(".rows")


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")

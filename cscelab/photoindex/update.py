"""`cscelab index FOLDER`: takes into a folder's index what is new, changed or deleted since the last call."""

from __future__ import annotations

import csv
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from cscelab.datasets.decoding import SUFFIXES, UnreadableImageError, decode
from cscelab.paths import make_folder
from cscelab.photoindex.encoder import BATCH, Encoder
from cscelab.photoindex.lookup import FILE, folder_of_index, require_folder
from cscelab.photoindex.store import Photo, PhotoStore, ToDo
from cscelab.photoindex.walk import Problem, Walk, shown, unreadable

LOCK = ".lock"
AHEAD = 2 * BATCH  # images that are decoded before they are needed
MOST_THREADS = 8
MOST_BYTES = 1 << 29  # of a file: a larger one is read by nobody as a photograph, and would fill the memory
LARGE = 1 << 25  # bytes; files above that are read one at a time, so that their sum does not fill it either
EXAMPLES = 3
TOO_LARGE = "too large"

_one_large = threading.Lock()


@dataclass(frozen=True)
class Update:
    """What a call did. work: how many images were new, changed, deleted; images: in the index; read: in this call, in
    so many seconds after the encoder was loaded; problems: everything that cannot be used, of earlier calls too;
    alike: how many images have the commonest code."""

    folder: Path
    file: Path
    encoder: str
    work: ToDo
    images: int
    read: int
    seconds: float
    problems: tuple[Problem, ...]
    alike: int = 0

    def text(self) -> str:
        """A few lines: what the index holds, what changed, what is wrong with three examples, where it is."""
        one = "" if self.images == 1 else "s"
        pace = f" in {self.seconds:,.1f} s: {self.read / self.seconds:,.0f} images/s" if self.seconds else ""
        lines = [
            f"{self.images:,} image{one} of {shown(str(self.folder))}, by {self.encoder}",
            f"{self.work.new:,} new, {self.work.changed:,} changed, {self.work.deleted:,} deleted{pace}",
        ]
        if self.problems:
            kinds = Counter(problem.kind for problem in self.problems).most_common()
            lines.append(
                f"{len(self.problems):,} cannot be used: {', '.join(f'{count:,} {kind}' for kind, count in kinds)}"
            )
            lines += [f"  {shown(problem.path)} {problem.why}" for problem in self.problems[:EXAMPLES]]
            lines += ["  ... (all of them: --report FILE.csv)"] if len(self.problems) > EXAMPLES else []
        return "\n".join([*lines, f"stored in {self.file}"])

    def write_report(self, path: Path) -> None:
        """Every problem as path, kind, why in a CSV file; names keep the disk's bytes."""
        check_report(path)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
                rows = csv.writer(file)
                rows.writerow(("path", "kind", "why"))
                rows.writerows((os.fsdecode(problem.path), problem.kind, problem.why) for problem in self.problems)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def check_report(path: Path) -> None:
    """Makes the folder of a report. Raises OSError where nothing can be written there, ValueError for a folder."""
    if path.is_dir():
        raise ValueError(f"the report was to be written to the folder {path}; name a file with --report")
    make_folder(path.parent, "name another file with --report")


def update(
    folder: Path, encoder: Encoder, progress: bool = True, wait: Callable[[str], object] = lambda said: None
) -> Update:
    """Brings the index of all images below a folder up to date, or makes it; see `lookup.folder_of_index` for where.

    A file whose size and time of change are those that it was read at is not read again. Images are taken in by path, a
    transaction a batch: a call that was killed is gone on with by the next, and the index is the same. One that cannot
    be used is stored with what is wrong, and read again once it changes.

    Args:
        folder: images are looked for at any depth; see `Walk`.
        encoder: another has an index of its own.
        progress: show bars where it takes longer than two seconds.
        wait: told that another process is at this index, before waiting for it.

    Raises:
        ValueError: there is no folder, or no image in it; a model that gives no numbers.
        OSError: in one sentence, where the folder cannot be read or the index not be written.
    """
    folder = require_folder(folder)
    walk = Walk(folder)
    found = iter(tqdm(walk, "looking for images", unit=" images", delay=2, leave=False, disable=not progress))
    first = list(islice(found, 1))
    index = folder_of_index(folder, encoder)
    if not first:
        kept = f"; its index stays as it is, delete {index} if it is no longer wanted" if index.is_dir() else ""
        raise ValueError(_none(walk) + kept)
    with _alone(make_folder(index) / LOCK, wait), PhotoStore(index / FILE, create=True) as store:
        about = {"folder": os.fsencode(folder), "encoder": encoder.name, "digest": encoder.digest, "run": encoder.run}
        store.note(**about, unread=None)  # how many is known once the folder is compared, and then counted down
        work = store.compare(chain(first, found), walk.unseen, lambda path: _opens(folder, path))
        n_read = work.new + work.changed
        seconds = _take_in(store, folder, encoder, n_read, progress) if n_read else 0.0
        # `called` last: `cscelab query` looks into the folder that was indexed last.
        store.note(unread=0, called=time.time())
        images, _ = store.counts()
        problems = sorted([*store.problems(), *walk.unseen, *walk.unread])
        alike = store.alike()
    return Update(folder, index / FILE, encoder.name, work, images, n_read, seconds, tuple(problems), alike)


def _none(walk: Walk) -> str:
    """Why no image was found, the likeliest reason first."""
    what = f"the folder {shown(walk.root)} holds no images"
    for problems, remedy in ((walk.unseen, "; give yourself the right to read it"), (walk.unread, "")):
        if problems:
            first, n = min(problems), len(problems)
            more = f" (and {n - 1:,} more like it)" if n > 1 else ""
            return f"{what} that can be read: {shown(first.path)}{more} {first.why}{remedy}"
    return f"{what}, as {', '.join(sorted(SUFFIXES))} files"


def _take_in(store: PhotoStore, folder: Path, encoder: Encoder, n: int, progress: bool) -> float:
    """Reads and decodes in threads, ahead of encoding a batch at a time, in the order of the paths; returns seconds."""
    store.note(unread=n)
    model = encoder.load()
    started = time.perf_counter()

    def read(path: bytes) -> tuple[Photo, np.ndarray | None]:
        return _read(folder, path, model.size, model.resize)

    pool = ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1))  # Pillow decodes without the GIL
    try:
        with tqdm(total=n, desc="indexing", unit=" images", delay=2, leave=False, disable=not progress) as bar:
            done = _ahead(pool, read, store.to_do())
            while batch := list(islice(done, BATCH)):
                pixels = [image for _, image in batch if image is not None]
                codes = iter(model.codes(pixels) if pixels else ())
                photos = [photo if image is None else photo._replace(code=next(codes)) for photo, image in batch]
                n -= len(batch)
                store.write(photos, width=model.width, arity=model.arity, unread=n)
                bar.update(len(batch))
    finally:
        pool.shutdown(cancel_futures=True)
    return time.perf_counter() - started


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[bytes], tuple[Photo, np.ndarray | None]], paths: Iterable[bytes]
) -> Iterator[tuple[Photo, np.ndarray | None]]:
    """What `read` gives for each path, in order; at most AHEAD wait."""
    waiting: deque[Future[tuple[Photo, np.ndarray | None]]] = deque()
    for path in paths:
        waiting.append(pool.submit(read, path))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _read(folder: Path, path: bytes, size: int, resize: int) -> tuple[Photo, np.ndarray | None]:
    """The image, without its code, and its pixels (size, size, 3); None where there are none, the image then says why.

    Size and time are those before reading, so that a file that changes meanwhile is read again.
    """
    try:
        with open(os.path.join(os.fsencode(folder), path), "rb") as file:
            status = os.fstat(file.fileno())
            photo = Photo(path, status.st_size, status.st_mtime_ns)
            if status.st_size > MOST_BYTES:
                why = f"has {status.st_size >> 20:,} MB, more than {MOST_BYTES >> 20:,}"
                return photo._replace(kind=TOO_LARGE, why=why), None
            with _one_large if status.st_size > LARGE else nullcontext():
                return photo, decode(file.read(), size, resize)
    except FileNotFoundError:
        return Photo(path, None), None
    except OSError as error:
        return _unread(folder, unreadable(path, error)), None
    except UnreadableImageError as error:
        return photo._replace(kind=error.kind, why=str(error)), None


def _unread(folder: Path, problem: Problem) -> Photo:
    try:
        status = os.stat(os.path.join(os.fsencode(folder), problem.path))
    except OSError:
        return Photo(problem.path, None)
    return Photo(problem.path, status.st_size, status.st_mtime_ns, None, problem.kind, problem.why)


def _opens(folder: Path, path: bytes) -> bool:
    try:
        with open(os.path.join(os.fsencode(folder), path), "rb"):
            return True
    except OSError:
        return False


@contextmanager
def _alone(lock: Path, wait: Callable[[str], object]) -> Iterator[None]:
    """One process at a time; the lock ends with its process, however that ends."""
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        wait("another process is indexing this folder; waiting for it to end")
        held.acquire()
    try:
        yield
    finally:
        held.release()

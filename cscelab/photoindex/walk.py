"""Every image below a folder, however deep: its name as the disk has it, its size and its time of change.

Nothing is opened. Links are followed, each real folder is looked through once, hidden names are passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

from cscelab.datasets.decoding import SUFFIXES

NOT_READABLE = "not readable"  # beside the kinds of `decoding`: no permission, a failing disk
UNREAD_KIND = "of a kind that is not read"
UNREAD = frozenset({".heic", ".heif", ".avif"})  # photographs all the same: said, not passed over
_SUFFIXES = frozenset(os.fsencode(suffix) for suffix in SUFFIXES)
_UNREAD = frozenset(os.fsencode(suffix) for suffix in UNREAD)


class Found(NamedTuple):
    """An image file. path: below the folder, as bytes, with forward slashes; size in bytes; changed: st_mtime_ns."""

    path: bytes
    size: int
    changed: int


class Problem(NamedTuple):
    """What cannot be used: a path below the folder, its kind as reports count it, and why, to go on after the path."""

    path: bytes
    kind: str
    why: str


class Walk:
    """Iterate over it for `Found` images, in no order; `unseen` then holds folders and links that could not be looked
    into, of whose images nothing is known, and `unread` photographs of kinds that `decode` does not read. Raises
    OSError where the folder itself cannot be looked into."""

    def __init__(self, folder: Path):
        self.root = os.fsencode(os.path.realpath(folder))
        self.unseen: list[Problem] = []
        self.unread: list[Problem] = []

    def __iter__(self) -> Iterator[Found]:
        # A link to a folder around this one would lead through everything beside it.
        above = Path(os.fsdecode(self.root)).parents
        visited = {(status.st_dev, status.st_ino) for status in map(os.stat, above)}
        folders, links = [b""], list[bytes]()
        while folders or links:
            below = folders.pop() if folders else heappop(links)  # links last: a real folder goes by its own name
            try:
                status = os.stat(os.path.join(self.root, below))
                if (status.st_dev, status.st_ino) in visited:
                    continue
                visited.add((status.st_dev, status.st_ino))
                with os.scandir(os.path.join(self.root, below)) as entries:
                    inside = [entry for entry in entries if not entry.name.startswith(b".")]
            except OSError as error:
                if not below:
                    reason = error.strerror or type(error).__name__
                    raise OSError(f"cannot look into the folder {shown(self.root)} ({reason})") from error
                if not isinstance(error, FileNotFoundError):  # removed a moment ago
                    self.unseen.append(unreadable(below, error))
                continue
            for entry in inside:
                path = below + b"/" + entry.name if below else entry.name
                try:
                    if entry.is_dir() and entry.is_symlink():
                        heappush(links, path)
                    elif entry.is_dir():
                        folders.append(path)
                    elif (suffix := os.path.splitext(entry.name)[1].lower()) in _SUFFIXES:
                        if entry.is_file() or _dangles(entry):
                            status = entry.stat()
                            yield Found(path, status.st_size, status.st_mtime_ns)
                    elif suffix in _UNREAD and entry.is_file():
                        why = f"is of a kind that is not read ({suffix.decode()}); convert it to JPEG"
                        self.unread.append(Problem(path, UNREAD_KIND, why))
                except OSError as error:
                    if entry.is_symlink() or not isinstance(error, FileNotFoundError):
                        self.unseen.append(unreadable(path, error))


def _dangles(entry: os.DirEntry[bytes]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def unreadable(path: bytes, error: OSError) -> Problem:
    return Problem(path, NOT_READABLE, f"cannot be read ({error.strerror or type(error).__name__})")


def shown(path: str | bytes) -> str:
    """A name in one line that any terminal prints: what is no text, or no printable one, is escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

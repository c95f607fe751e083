"""The file of an index: of every image path, size, time of change, and its code or what is wrong with it.

SQLite: a transaction is there whole or not at all, whenever the process or the machine stops.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cscelab.photoindex.walk import NOT_READABLE, Found, Problem

VERSION = 1
PATIENCE = 60  # seconds that another process may hold the file
AT_ONCE = 1000  # rows fetched

SCHEMA = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value)",
    # AUTOINCREMENT: the id of a deleted image is never given again.
    """CREATE TABLE photos (
        id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
        changed INTEGER NOT NULL, code BLOB, kind TEXT, why TEXT
    )""",
    f"PRAGMA user_version = {VERSION}",
)
TO_DO = """CREATE TEMP TABLE to_do AS
    SELECT found.path AS path, photos.id AS id FROM found LEFT JOIN photos ON photos.path = found.path
    WHERE id IS NULL OR photos.size != found.size OR photos.changed != found.changed OR found.again
    ORDER BY found.path"""


class Photo(NamedTuple):
    """An image as it was read. size: None where it was gone; code: packed, None where it cannot be used: see kind."""

    path: bytes
    size: int | None
    changed: int = 0
    code: bytes | None = None
    kind: str | None = None
    why: str | None = None


class Stored(NamedTuple):
    """An image of the index that has a code."""

    id: int
    path: bytes
    size: int
    changed: int
    code: bytes


class ToDo(NamedTuple):
    """How many images are to be read because they are new, or changed, and how many were deleted."""

    new: int
    changed: int
    deleted: int


class PhotoStore:
    """One index, open. Raises OSError, in one sentence, where the file cannot be used.

    Args:
        file: where it is.
        create: whether to make it where it is not there yet.
    """

    def __init__(self, file: Path, create: bool = False):
        self.file = file
        with self._told():
            # Not read-only: what a killed process left half written has to be taken back first.
            address = f"{file.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
            self._database = sqlite3.connect(address, timeout=PATIENCE, isolation_level=None, uri=True)
        try:
            if create:
                self._create()
            with self._told():
                version = self._value("PRAGMA user_version")
            if version != VERSION:
                raise OSError(f"the index {file} is of version {version}, not {VERSION}; delete it and index again")
        except OSError:
            self._database.close()
            raise

    def __enter__(self) -> PhotoStore:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def about(self) -> dict[str, Any]:
        """What `note` noted."""
        with self._told():
            return dict(self._database.execute("SELECT name, value FROM about").fetchall())

    def note(self, **values: Any) -> None:
        with self._transaction():
            self._database.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", values.items())

    def compare(self, found: Iterable[Found], unseen: Sequence[Problem], opens: Callable[[bytes], bool]) -> ToDo:
        """Sets the work: images that are new or changed are to be read, those that are gone are deleted now.

        unseen: filled by the time `found` is exhausted; whatever lies there stays as it is. opens(path): whether a file
        that could not be read can be now: a permission changes no time.
        """
        with self._transaction():
            self._database.execute("DROP TABLE IF EXISTS temp.to_do")
            self._database.execute("DROP TABLE IF EXISTS temp.found")
            self._database.execute(
                "CREATE TEMP TABLE found (path BLOB PRIMARY KEY, size, changed, again DEFAULT 0) WITHOUT ROWID"
            )
            add = "INSERT OR IGNORE INTO found (path, size, changed)"
            self._database.executemany(f"{add} VALUES (?, ?, ?)", found)
            for place in unseen:
                below = place.path + b"/"
                where = "path = ? OR substr(path, 1, ?) = ?"
                self._database.execute(
                    f"{add} SELECT path, size, changed FROM photos WHERE {where}", (place.path, len(below), below)
                )
            closed = self._database.execute("SELECT path FROM photos WHERE kind = ?", (NOT_READABLE,)).fetchall()
            again = [row for row in closed if opens(row[0])]
            self._database.executemany("UPDATE found SET again = 1 WHERE path = ?", again)
            gone = self._database.execute("DELETE FROM photos WHERE path NOT IN (SELECT path FROM found)").rowcount
            self._database.execute(TO_DO)
            self._database.execute("DROP TABLE temp.found")
            changed, every = self._row("SELECT count(id), count(*) FROM to_do")
        return ToDo(every - changed, changed, gone)

    def to_do(self) -> Iterator[bytes]:
        """Paths to read, in their order. What is written meanwhile does not change them."""
        last = 0
        while True:
            with self._told():
                rows = self._database.execute(
                    "SELECT rowid, path FROM to_do WHERE rowid > ? ORDER BY rowid LIMIT ?", (last, AT_ONCE)
                ).fetchall()
            if not rows:
                return
            yield from (path for _, path in rows)
            last = rows[-1][0]

    def write(self, photos: Sequence[Photo], **about: Any) -> None:
        """All of them and the notes, or nothing. A known path keeps its id, a new one gets the next."""
        with self._transaction():
            for photo in photos:
                if photo.size is None:
                    self._database.execute("DELETE FROM photos WHERE path = ?", photo[:1])
                    continue
                values = (*photo[1:], photo.path)
                known = self._database.execute(
                    "UPDATE photos SET size = ?, changed = ?, code = ?, kind = ?, why = ? WHERE path = ?", values
                )
                if not known.rowcount:
                    self._database.execute(
                        "INSERT INTO photos (size, changed, code, kind, why, path) VALUES (?, ?, ?, ?, ?, ?)", values
                    )
            self._database.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())

    def counts(self) -> tuple[int, dict[str, int]]:
        """How many images have a code, and how many do not, by kind of problem."""
        with self._told():
            kinds = self._database.execute(
                "SELECT kind, count(*) FROM photos WHERE code IS NULL GROUP BY kind ORDER BY count(*) DESC, kind"
            )
            return self._value("SELECT count(*) FROM photos WHERE code IS NOT NULL"), dict(kinds)

    def problems(self) -> Iterator[Problem]:
        """What cannot be used, by path."""
        with self._told():
            for row in self._database.execute("SELECT path, kind, why FROM photos WHERE code IS NULL ORDER BY path"):
                yield Problem(*row)

    def stored(self) -> Iterator[Stored]:
        """Images with codes, by id."""
        with self._told():
            select = "SELECT id, path, size, changed, code FROM photos WHERE code IS NOT NULL ORDER BY id"
            for row in self._database.execute(select):
                yield Stored(*row)

    def alike(self) -> int:
        """How many images have the commonest code."""
        groups = "SELECT count(*) AS n FROM photos WHERE code IS NOT NULL GROUP BY code"
        with self._told():
            return self._value(f"SELECT coalesce(max(n), 0) FROM ({groups})")

    def _create(self) -> None:
        with self._transaction():
            if not self._value("PRAGMA user_version"):
                for statement in SCHEMA:
                    self._database.execute(statement)

    def _row(self, statement: str, *values: Any) -> tuple[Any, ...]:
        with closing(self._database.execute(statement, values)) as cursor:
            return cursor.fetchone()

    def _value(self, statement: str) -> Any:
        return self._row(statement)[0]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise OSError(f"another process is writing to the index {self.file}; try again later") from error
            raise OSError(
                f"the index {self.file} cannot be used ({error}); make room, or delete that file and index again"
            ) from error

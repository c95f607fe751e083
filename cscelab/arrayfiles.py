"""Arrays from anyone's files: .npy, .npz, .mat of every version, and tables of numbers as text; nothing is unpickled.

Each kind has an opener that lists the arrays without reading them; an array is read when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

UNNAMED = ""  # of the one array in a .npy file or a table
LISTED = 12  # arrays that a message names at most
Result = TypeVar("Result")


@dataclass(frozen=True)
class ArrayFile:
    """An opened file: the names of its arrays, `(UNNAMED,)` where it holds a single one without a name."""

    path: Path
    names: tuple[str, ...]
    load: Callable[[str], Any]

    def read(self, name: str) -> np.ndarray:
        """The array called `name`, of numbers or booleans. Raises ValueError where there is none, or no numbers."""
        if name not in self.names:
            if self.names == (UNNAMED,):
                raise ValueError(f"{self.path} holds one array without a name; leave out ':{name}'")
            raise ValueError(f"{self.path} has no array {name!r}; it holds {self.contents()}: name one of these")
        array = np.asanyarray(_guarded(self.path, lambda: self.load(name)))
        if array.dtype.kind not in "biuf":
            called = f" in {name}" if name else ""
            raise ValueError(f"{self.path} holds {array.dtype} values{called}; expected numbers: convert them")
        return array

    def is_numbers(self, name: str) -> bool:
        """Whether the array can be read, as one or two axes of numbers."""
        try:
            return self.read(name).ndim in (1, 2)
        except ValueError:
            return False

    def contents(self) -> str:
        """What is there, for messages: "B_test (1000, 64) float64, L_test (1000, 1) uint8"."""
        if not self.names:
            return "no arrays"
        more = f" and {len(self.names) - LISTED} more" if len(self.names) > LISTED else ""
        return ", ".join(self._describe(name) for name in self.names[:LISTED]) + more

    def _describe(self, name: str) -> str:
        try:
            array = self.read(name)
        except ValueError:
            return f"{name} (no numbers)"
        return f"{name} {array.shape} {array.dtype}".strip()


def split_name(given: str) -> tuple[Path, str | None]:
    """FILE or FILE:NAME, as results.mat:B_test; a Windows drive's colon and a folder's stay part of the path."""
    suffixes = "|".join(suffix[1:] for suffix in OPENERS)
    found = re.fullmatch(rf"(?P<path>.+?\.(?:{suffixes})):(?P<name>[^/\\]+)", given, re.IGNORECASE)
    if found and not Path(given).exists():
        return Path(found["path"]), found["name"]
    return Path(given), None


def open_arrays(path: Path) -> ArrayFile:
    """Lists a file's arrays. A folder stands for the codes.npz in it, as a stored run's does.

    Raises FileNotFoundError or another OSError where nothing can be read, ValueError where it is not such a file.
    """
    if path.is_dir():
        if not (path / "codes.npz").is_file():
            raise IsADirectoryError(f"{path} is a folder without a codes.npz; expected a file: name one in it")
        path = path / "codes.npz"
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}; check the path")
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        kinds = ", ".join(OPENERS)
        raise ValueError(f"{path} is of an unknown kind {path.suffix!r}; expected one of {kinds}: convert it")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty; write or copy it again")
    return _guarded(path, lambda: opener(path))


def _guarded(path: Path, action: Callable[[], Result]) -> Result:
    try:
        return action()
    except _TextError:
        raise
    except OSError as error:
        if error.errno is not None:  # the system's: no permission, not there any more
            raise OSError(f"{path} cannot be read ({error.strerror}); check the file") from error
        raise ValueError(f"{path} cannot be read ({error}); it may be damaged or cut off: write it again") from error
    except ImportError as error:
        raise ValueError(f"{path} needs {error.name}, which is not installed; pip install {error.name}") from error
    except Exception as error:  # a damaged file makes parsers raise all sorts
        if "pickle" in str(error) or "Python objects" in str(error):
            what = "is no NumPy file, or holds pickled Python objects, which are never loaded"
            raise ValueError(f"{path} {what}; save plain arrays of numbers") from error
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(f"{path} cannot be read ({reason}); it may be damaged or cut off: write it again") from error


def _open_numpy(path: Path) -> ArrayFile:
    opened = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(opened, np.ndarray):
        return ArrayFile(path, (UNNAMED,), lambda name: opened)

    def load(name: str) -> np.ndarray:
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]

    with opened:
        return ArrayFile(path, tuple(opened.files), load)


def _open_mat(path: Path) -> ArrayFile:
    with path.open("rb") as file:
        if b"MATLAB 7.3" in file.read(128):
            return _open_hdf5(path)
    try:
        import h5py

        if h5py.is_hdf5(path):  # MATLAB's layout written by other hands
            return _open_hdf5(path)
    except ImportError:  # v5 to v7 need only SciPy
        pass
    from scipy.io import loadmat, whosmat

    def load(name: str) -> Any:
        array = loadmat(path, variable_names=[name])[name]
        return array.toarray() if hasattr(array, "toarray") else array  # sparse labels are common

    return ArrayFile(path, tuple(name for name, _, _ in whosmat(path)), load)


def _open_hdf5(path: Path) -> ArrayFile:
    import h5py

    def load(name: str) -> np.ndarray:
        with h5py.File(path, "r") as file:
            return np.asarray(file[name]).T  # MATLAB stores columns first, HDF5 rows first

    with h5py.File(path, "r") as file:
        return ArrayFile(path, tuple(name for name in file if isinstance(file[name], h5py.Dataset)), load)


class _TextError(ValueError):
    """A table that names its line and column itself."""


def _open_text(path: Path) -> ArrayFile:
    return ArrayFile(path, (UNNAMED,), lambda name: _read_table(path))


def _read_table(path: Path) -> np.ndarray:
    """float64 (rows, columns) of numbers between commas, semicolons, tabs or spaces; `#` begins a remark.

    A first line without any number is a header, and so is the 0, 1, 2, ... that pandas writes above nameless columns.
    """
    lines = _cells(path)
    _, first = next(lines, (0, []))
    _, second = next(lines, (0, []))
    if not first:
        raise _TextError(f"{path} holds no numbers; expected a row of numbers for each item")
    if (
        first[0] == ""
        and len(first) == len(second) > 1
        and (_is_counted(first[1:]) or all(cell and not _is_number(cell) for cell in first[1:]))
    ):
        raise _TextError(
            f"{path} looks like a table with a pandas index column, whose header is empty; write it with index=False"
        )
    counted = len(first) > 2 and len(first) == len(second) and _is_counted(first)
    header = counted or not any(_is_number(cell) for cell in first)
    if header and not second:
        raise _TextError(f"{path} holds a header and no numbers; expected a row of numbers for each item")
    try:
        return np.loadtxt(
            path, np.float64, delimiter=_delimiter(path), skiprows=_lines_to_skip(path) if header else 0,
            ndmin=2, encoding="utf-8-sig", quotechar='"',
        )  # fmt: skip
    except ValueError:  # worded for programmers, and its rows leave out header and remarks
        _explain(path, header)
        raise


def _explain(path: Path, header: bool) -> None:
    """Raises where the table goes wrong, by line and column as an editor counts them."""
    width = None
    for position, (number, cells) in enumerate(_cells(path)):
        if header and position == 0:
            continue
        width = width or len(cells)
        for column, cell in enumerate(cells, start=1):
            if not _is_number(cell):
                what = f"the text {cell!r}" if cell else "an empty cell"
                raise _TextError(f"{path} has {what} at line {number}, column {column}; expected a number: correct it")
        if len(cells) != width:
            raise _TextError(
                f"{path} has {len(cells)} columns in line {number} and {width} before; expected as many in every line"
            )


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, its cells) of every line that is neither empty nor a remark."""
    delimiter = _delimiter(path)
    for number, line in _lines(path):
        yield number, [cell.strip().strip('"').strip() for cell in line.split(delimiter)]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                text = line.split("#", 1)[0].strip(" \r\n")
                if text.strip():
                    yield number, text
    except UnicodeDecodeError as error:
        raise _TextError(f"{path} is not text in UTF-8 ({error.reason}); save the table as UTF-8") from error


def _delimiter(path: Path) -> str | None:
    """What parts the first line's cells; None for spaces."""
    _, first = next(_lines(path), (0, ""))
    return next((mark for mark in "\t;," if mark in first), None)


def _lines_to_skip(path: Path) -> int:
    return next(_lines(path))[0]


def _is_counted(cells: list[str]) -> bool:
    """0, 1, 2, ... as pandas calls nameless columns."""
    return cells == [str(i) for i in range(len(cells))]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


OPENERS: dict[str, Callable[[Path], ArrayFile]] = {
    ".npy": _open_numpy,
    ".npz": _open_numpy,
    ".mat": _open_mat,
    ".csv": _open_text,
    ".tsv": _open_text,
    ".txt": _open_text,
}

"""The field's split lists: text files of `relative/path.jpg 0 0 1 ... 0`, for training, queries and the database."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from cscelab.datasets.base import ImageSet, Splits
from cscelab.datasets.imagecache import UnreadableImagesError, cached_images
from cscelab.datasets.splitfiles import FILES, images_of, read_manifest
from cscelab.paths import data_root

LISTS = ("train", "query", "database")
LINE = re.compile(r"(?P<path>.+?)(?P<labels>(?:\s+[+-]?\d{1,9})+)")  # a path may hold spaces
AFTER_PATH = "0123456789+- \t"
EXPECTED = "expected 'relative/path.jpg 0 0 1 0', 0 or 1 for each class, or 'relative/path.jpg 2', the class's number"


@dataclass(frozen=True)
class ListFiles:
    """Lists as HashNet, CSQ and their successors publish them for ImageNet100, COCO, NUS-WIDE and CIFAR-10.

    root: folder (or zip) the paths are relative to, or the folder of a split that `cscelab data prepare` wrote, whose
    manifest says where the images are; train, query, database: the list files; validation: how many
    images of the train list are kept from training, drawn by the seed; names: of the classes, in the order of the
    labels, by default the manifest's; resize, image_size: Sec. 4.2's 256 and 224.
    """

    root: str
    train: str
    query: str
    database: str
    validation: int = 500
    image_size: int = 224
    resize: int | None = 256
    names: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))  # a list, as JSON has it, becomes hashable
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; choose a whole number from 0")


@dataclass(frozen=True)
class ImageList:
    """One list as read: paths, and values int64 (N, C) of zeros and ones or (N, 1) of class numbers."""

    file: Path
    paths: tuple[str, ...]
    values: np.ndarray

    @property
    def width(self) -> int:
        return int(self.values.shape[1])


class RowsOf:
    """Some rows of a stored array (N, ...) as if they were an array, read when they are asked for: no copy on the disk
    or in memory."""

    def __init__(self, stored: np.ndarray, rows: np.ndarray):
        self.stored, self.rows = stored, rows
        self.shape, self.ndim, self.dtype = (len(rows), *stored.shape[1:]), stored.ndim, stored.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        if first is Ellipsis:
            return np.asarray(self)[index]
        found = self.stored[self.rows[first]]
        return found[tuple(rest)] if found.ndim < self.ndim else found[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.stored[self.rows], dtype)


def load_lists(config: ListFiles, root: str | Path | None = None, progress: bool = True) -> Splits:
    """The four splits; images are decoded once and cached under `root` (the data folder unless given). A training
    list that is the database's too is stored once: training and validation images are then rows of the database's.

    Labels are class ids where every image of the three lists has exactly one class, else multi-hot. Published
    databases contain the training images: an image has the same id in every list, so that it never retrieves itself.
    attributes: path. Raises ValueError in one sentence at the first fault of a list, with file and line; all of them
    are found by `listcheck.check_split`, which is `cscelab data check`.
    """
    with _pointing_to_the_check(config):
        lists = {split: read_list(getattr(config, split)) for split in LISTS}
        labels, n_classes = common_labels(lists)
    manifest = read_manifest(Path(config.root)) or {}
    names = config.names or tuple(manifest.get("classes", ()))
    if names and len(names) != n_classes:
        raise ValueError(f"{len(names)} names came for {n_classes} classes; give one for each class, or none")
    with _pointing_to_the_check(config):
        if not names:
            _refuse_slips(lists)
        ids = _common_ids(lists, labels, config.seed)
    store = images_of(Path(config.root), manifest)
    kept, held_out = _hold_out(len(lists["train"].paths), config)
    everything = {split: np.arange(len(lists[split].paths)) for split in ("query", "database")}

    def image_set(split: str, source: str, rows: np.ndarray) -> ImageSet:
        names = [lists[source].paths[row] for row in rows]
        if lists[source].paths == lists["database"].paths:  # stored once, as the database
            every = cached_images(
                store, lists[source].paths, config.image_size, config.resize, root, "database", progress
            )
            images = every if len(rows) == len(every) else cast(np.ndarray, RowsOf(every, rows))
        else:
            images = cached_images(store, names, config.image_size, config.resize, root, split, progress)
        own_ids = np.array([ids[name] for name in names], dtype=np.int64)
        return ImageSet(images, labels[source][rows], own_ids, attributes={"path": np.array(names)})

    with _pointing_to_the_check(config):
        return Splits(
            train=image_set("train", "train", kept),
            validation=image_set("validation", "train", held_out),
            query=image_set("query", "query", everything["query"]),
            database=image_set("database", "database", everything["database"]),
            class_names=names or tuple(f"class {i}" for i in range(n_classes)),
        )


@contextmanager
def _pointing_to_the_check(config: ListFiles) -> Iterator[None]:
    """Errors name the command that finds every fault, where the lists are a folder that it can check; the one that
    writes the lists, where they are not there."""
    train, query, database = (Path(getattr(config, split)).expanduser() for split in LISTS)
    checkable = (train.name, query.name) == (FILES["train"], FILES["query"]) and train.parent == query.parent
    try:
        yield
    except ValueError as error:
        right_size = config.image_size <= (config.resize or config.image_size)  # else the lists are not at fault
        if not (checkable and right_size):
            raise
        if absent := next((file for file in (train, query, database) if not file.exists()), None):
            known = train.parent.resolve().parent == data_root().resolve()  # where `prepare` writes, by name
            raise ValueError(
                f"there is no list {absent}; write it from what the publisher gives with cscelab data prepare "
                f"{train.parent.name if known else 'NAME'} --root PATH"
            ) from error
        message = f"{error}; cscelab data check {train.parent} finds every such line"
        if isinstance(error, UnreadableImagesError):
            raise UnreadableImagesError(message, error.failures) from error
        raise ValueError(message) from error


def read_list(file: str | Path) -> ImageList:
    """A list file, blank lines passed over. Raises ValueError naming file, line and what was expected."""
    file = Path(file).expanduser()
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"cannot read the list {file} ({reason}); give a text file with one image a line") from error
    line_of: dict[str, int] = {}
    rows: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            path, row = parse_line(line)
        except ValueError as error:
            raise ValueError(f"{file}:{number}: {error}") from error
        expected = label_count(rows[0] if rows else row)
        if label_count(row) != expected:
            raise ValueError(
                f"{file}:{number}: {label_count(row)} labels; expected {expected} as on the lines before it"
            )
        if path in line_of:
            raise ValueError(f"{file}:{number}: {path} is on line {line_of[path]} already; list an image once")
        line_of[path] = number
        rows.append(row)
    if not rows:
        raise ValueError(f"the list {file} has no images; {EXPECTED} on each line")
    values = _values(rows)
    numbers = list(line_of.values())
    if values.shape[1] > 1 and (unlabelled := np.flatnonzero(values.sum(1) == 0)).size:
        raise ValueError(
            f"{unlabelled.size} of {len(rows)} lines of {file} have no label, the first is line "
            f"{numbers[unlabelled[0]]}; take images without a label out of the list"
        )
    return ImageList(file, tuple(line_of), values)


def common_labels(lists: Mapping[str, ImageList]) -> tuple[dict[str, np.ndarray], int]:
    """Labels of each list, int64 (N,) or multi-hot uint8 (N, C), and C. Raises ValueError where their widths differ."""
    first = next(iter(lists.values()))
    for other in lists.values():
        if other.width != first.width:
            raise ValueError(
                f"{other.file} has {other.width} labels a line and {first.file} has {first.width}; "
                f"give lists of the same classes"
            )
    if first.width == 1:
        labels = {split: one.values[:, 0] for split, one in lists.items()}
        return labels, 1 + max(int(ids.max()) for ids in labels.values())
    if all((one.values.sum(1) == 1).all() for one in lists.values()):
        return {split: one.values.argmax(1) for split, one in lists.items()}, first.width
    return {split: one.values.astype(np.uint8) for split, one in lists.items()}, first.width


def _refuse_slips(lists: Mapping[str, ImageList]) -> None:
    """Raises ValueError for a class number no list of this length reaches: a slip would make millions of classes."""
    n_lines = sum(len(one.paths) for one in lists.values())
    for one in lists.values():
        if one.width == 1 and (largest := int(one.values.max())) >= n_lines:
            raise ValueError(
                f"{one.file} has class {largest}, and the lists have {n_lines:,} lines; number the classes from 0"
            )


def parse_line(line: str) -> tuple[str, str]:
    """A line's path, without `./` and the like, and its labels with a space between: a digit for each class, or the
    class's number. Raises ValueError that says what is wrong and what was expected."""
    line = line.strip()
    path = line.rstrip(AFTER_PATH)
    labels = line[len(path) :]
    # Nearly every line, ten times as quick: the path ends in a letter, then come spaces and digits in turn.
    if path and labels and not labels[::2].strip(" ") and not labels[1::2].strip("01"):
        return posixpath.normpath(path), labels[1:]
    match = LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line[:60]!r}; {EXPECTED}")
    numbers = [int(part) for part in match["labels"].split()]
    wrong = [number for number in numbers if number < 0 or (number > 1 and len(numbers) > 1)]
    if wrong:
        raise ValueError(f"label {wrong[0]}; {EXPECTED}")
    return posixpath.normpath(match["path"]), " ".join(map(str, numbers))


def label_count(labels: str) -> int:
    return 1 + labels.count(" ")


def _values(labels: list[str]) -> np.ndarray:
    """Labels of lines of one width, as `parse_line` gives them, -> int64 (N, C) of digits or (N, 1) of numbers."""
    if " " not in labels[0]:
        return np.array([[int(number)] for number in labels], dtype=np.int64)
    characters = np.frombuffer("".join(labels).encode(), dtype=np.uint8).reshape(len(labels), -1)
    return characters[:, ::2].astype(np.int64) - ord("0")


def _common_ids(lists: Mapping[str, ImageList], labels: Mapping[str, np.ndarray], seed: int) -> dict[str, int]:
    """Path -> id over all lists. Raises ValueError for an image with two labels, or a query that is trained on."""
    seen: dict[str, tuple[str, np.ndarray]] = {}
    for split, one in lists.items():
        for path, label in zip(one.paths, labels[split], strict=True):
            before, known = seen.setdefault(path, (split, label))
            if not np.array_equal(label, known):
                raise ValueError(
                    f"{path} has other labels in {one.file} than in {lists[before].file}; give an image the same labels"
                )
    trained_on = sorted(set(lists["train"].paths) & set(lists["query"].paths))
    if trained_on:
        raise ValueError(
            f"{len(trained_on)} images of {lists['query'].file} are in {lists['train'].file} too, {trained_on[0]} for "
            f"one; take them out of one list, or the scores are of images trained on"
        )
    # Shuffled: galleries rank equal distances by id, and paths in order would favour the first class.
    shuffled = np.random.default_rng(seed).permutation(len(seen))
    return dict(zip(sorted(seen), shuffled.tolist(), strict=True))


def _hold_out(n: int, config: ListFiles) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the train list to train on, in its order, and rows of the validation split."""
    if not 1 <= config.validation < n:
        raise ValueError(
            f"validation is {config.validation} for a train list of {n} images; choose 1 to {n - 1} to hold out of it"
        )
    held_out = np.sort(np.random.default_rng(config.seed).permutation(n)[: config.validation])
    return np.delete(np.arange(n), held_out), held_out

"""A published train and test split as hashing's three lists: the test images are the queries, the training images the
database, as for fine-grained retrieval (ExchNet, ECCV 2020, Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cscelab.datasets.builders.drawing import Listing, refuse_absent, shuffled
from cscelab.datasets.splitfiles import Lists, Row, SplitLists

Counts = tuple[int, int, int]  # classes, training images, test images
Images = list[tuple[str, int]]  # path below the data set's folder, the publisher's number of its class


@dataclass(frozen=True)
class Official:
    """What the publisher says of a data set.

    name: as `cscelab data prepare` calls it; counts: as published; training: which of the publisher's splits that is;
    folder: what the archive unpacks to; marker: a file below it that shows that it is this data set; home: its page.
    """

    name: str
    title: str
    counts: Counts
    training: str
    folder: str
    marker: str
    home: str


def located(official: Official, root: Path) -> Path:
    """The data set's folder: root, or the folder in it that the archive unpacks to. Raises ValueError where neither."""
    folder = find(official, root)
    if folder is None:
        raise ValueError(
            f"there is no {official.marker} in {root} or in {root / official.folder}; give the folder that "
            f"{official.title} was unpacked in (from {official.home})"
        )
    return folder


def find(official: Official, root: Path) -> Path | None:
    """As `located`, None where the data set is not there."""
    folders = (root, root / official.folder)
    return next((folder for folder in folders if (folder / official.marker).is_file()), None)


def official_split(
    official: Official, root: Path, train: Images, test: Images, names: Mapping[int, str], counts: Counts | None
) -> SplitLists:
    """The lists, their paths relative to root, and their classes numbered from 0 in the publisher's order.

    The training list is the database, so that both are in one order, shuffled (always alike: nothing is drawn); queries
    are in the publisher's. names: class -> name, also of classes without images, which get no number; counts: what must
    be found, None for anything. Raises ValueError where counts differ, a class has no name, or an image is absent.
    """
    folder = located(official, root)
    numbers = {label: number for number, label in enumerate(sorted({label for _, label in train + test}))}
    nameless = [label for label in numbers if label not in names]
    if nameless:
        raise ValueError(f"{folder} has images of class {nameless[0]}, which has no name there; unpack it again")
    found = (len(numbers), len(train), len(test))
    if counts is not None and found != counts:
        raise ValueError(
            f"{folder} lists {_words(found)}; expected {official.title}'s {_words(counts)}: unpack it again, from "
            f"{official.home}"
        )
    below = folder.relative_to(root).as_posix()
    prefix = "" if below == "." else f"{below}/"
    rows: list[list[Row]] = [[(prefix + path, (numbers[label],)) for path, label in part] for part in (train, test)]
    learned, queries = rows
    everything = [path for path, _ in learned + queries]
    refuse_absent(Listing(root), everything, f"all that {official.title} lists: unpack its images there too")
    database = shuffled(learned, np.random.default_rng(0))
    lists: Lists = {"train": database, "query": queries, "database": database}
    protocol = (
        f"{official.title}'s {len(test):,} test images as queries, the {len(train):,} of its {official.training} to "
        "learn from and as database"
    )
    return SplitLists(official.name, protocol, tuple(names[label] for label in numbers), lists)


def read_pairs(file: Path, expected: str) -> Iterator[tuple[str, str, str]]:
    """(FILE:LINE for messages, first word, the rest) of every line that is not blank.

    expected: what a line is, for messages. Raises ValueError where the file cannot be read or a line is one word.
    """
    for where, line in read_lines(file):
        words = line.split(maxsplit=1)
        if len(words) < 2:
            raise ValueError(f"{where}: {line!r}; expected {expected}: unpack the data set again")
        yield where, words[0], words[1]


def read_lines(file: Path) -> Iterator[tuple[str, str]]:
    """(FILE:LINE for messages, the line) of every line that is not blank. Raises ValueError where it cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"cannot read {file} ({reason}); unpack the data set again") from error
    return ((f"{file}:{number}", line.strip()) for number, line in enumerate(lines, 1) if line.strip())


def class_number(text: str, where: str) -> int:
    """A class's number as a publisher's file has it; where: FILE:LINE. Raises ValueError where it is none."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{where}: class {text!r}; expected a whole number: unpack the data set again") from None


def _words(counts: Counts) -> str:
    return "{:,} classes, {:,} training and {:,} test images".format(*counts)

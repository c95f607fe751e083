"""What may be wrong with the lines of a split's lists, and which of several lines that cannot all stay is at fault.

Each problem stands on one line, the one that `drop_problems` leaves out. Of several lines that cannot all stay:
- twice in a list: the first line whose labels and image are sound stays;
- other labels in another list: the training list is believed before the queries, and these before the database;
- a query that is a training image, by its name or by its bytes, is no query: nothing trained on is queried;
- a query that is in the database leaves the database, and so does an image there that has the bytes of a query or of a
  training image under another name. Training images in the database, as most protocols have them, are no problem.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cscelab.datasets.lists import label_count
from cscelab.datasets.splitfiles import FILES

KINDS = (
    "changed",
    "no line of a list",
    "wrong width",
    "no label",
    "class without images",
    "missing",
    "unreadable",
    "twice in a list",
    "other labels",
    "query in training",
    "query in database",
    "same picture",
)


@dataclass(frozen=True)
class Problem:
    """split: train, query or database; line: from 1, 0 where it is the whole file; path: of the image, empty where the
    line has none; kind: one of KINDS; text: goes on after the path."""

    split: str
    line: int
    path: str
    kind: str
    text: str

    def __str__(self) -> str:
        where = f"{FILES[self.split]}:{self.line}" if self.line else FILES[self.split]
        return f"{where}: {self.path} {self.text}" if self.path else f"{where}: {self.text}"


class Line(NamedTuple):
    """A line that names an image. labels: as `parse_line` gives them."""

    split: str
    number: int
    path: str
    labels: str


def classes_of(line: Line, hot: bool) -> tuple[int, ...]:
    """The classes of an image: of a digit each where hot, otherwise the number itself."""
    return tuple(i for i, digit in enumerate(line.labels[::2]) if digit == "1") if hot else (int(line.labels),)


def _usual_width(every: Sequence[Line]) -> int:
    widths = Counter(label_count(line.labels) for line in every)
    return widths.most_common(1)[0][0] if widths else 1


def label_problems(every: Sequence[Line], manifest: Mapping[str, Any] | None) -> list[Problem]:
    """Labels are to be one for each of the manifest's classes, or one number; without a manifest as many as most lines
    of all lists have, and a number below that of all lines: a larger one is a slip of the hand."""
    expected = _usual_width(every)
    n_classes = len(manifest.get("classes", ())) if manifest else 0
    if n_classes and expected > 1:
        expected = n_classes
    found = []
    for line in every:
        labels = label_count(line.labels)
        if labels != expected:
            text = f"has {labels} labels; expected {expected}"
            found.append(Problem(*line[:3], "wrong width", text))
        elif labels > 1 and "1" not in line.labels:
            found.append(Problem(*line[:3], "no label", "has no label: only zeros"))
        elif labels == 1 and n_classes and int(line.labels) >= n_classes:
            text = f"has class {line.labels}; the manifest names {n_classes}, from 0"
            found.append(Problem(*line[:3], "no line of a list", text))
        elif labels == 1 and not n_classes and int(line.labels) >= len(every):
            text = f"has class {line.labels}, and the lists have {len(every):,} lines; expected numbers from 0"
            found.append(Problem(*line[:3], "no line of a list", text))
    return found


def absent_classes(every: Sequence[Line], manifest: Mapping[str, Any] | None) -> list[Problem]:
    """Numbers of classes are to run from 0 without a gap, unless a manifest names the classes. A gap is of all lists,
    not of a line."""
    if (manifest and manifest.get("classes")) or _usual_width(every) > 1:
        return []
    first = _firsts([line for line in every if label_count(line.labels) == 1], lambda line: int(line.labels))
    numbers = sorted(number for number in first if number < len(every))
    gaps = [(number, i) for i, number in enumerate(numbers) if number != i]
    if not gaps:
        return []
    above, gap = gaps[0]
    count = 1 + numbers[-1] - len(numbers)
    text = (
        f"no list has an image of {count:,} of the classes 0 to {numbers[-1]}, {gap} for one, and "
        f"{_place(first[above])} is of class {above}; expected numbers from 0 without a gap"
    )
    return [Problem("train", 0, "", "class without images", text)]


def _firsts(lines: Sequence[Line], key: Callable[[Line], Any]) -> dict[Any, Line]:
    first: dict[Any, Line] = {}
    for line in lines:
        first.setdefault(key(line), line)
    return first


def _place(line: Line) -> str:
    return f"line {line.number} of {FILES[line.split]}"


def twice(believed: Sequence[Line]) -> list[Problem]:
    first = _firsts(believed, lambda line: (line.split, line.path))
    found = []
    for line in believed:
        kept = first[line.split, line.path]
        if kept is not line:
            other = "" if line.labels == kept.labels else ", with other labels"
            found.append(Problem(*line[:3], "twice in a list", f"is on {_place(kept)} too{other}"))
    return found


def other_labels(believed: Sequence[Line], at_fault: set[tuple[str, int]]) -> list[Problem]:
    """Between lists; labels that are at fault themselves are compared with none."""
    sound = [line for line in believed if line[:2] not in at_fault]
    first = _firsts(sound, lambda line: line.path)
    return [
        Problem(*line[:3], "other labels", f"has other labels than on {_place(first[line.path])}")
        for line in sound
        if first[line.path].split != line.split and first[line.path].labels != line.labels
    ]


def shared_with_queries(every: Sequence[Line]) -> list[Problem]:
    first = {split: _firsts([line for line in every if line.split == split], lambda line: line.path) for split in FILES}
    found = []
    for line in every:
        trained = first["train"].get(line.path)
        if line.split == "query" and trained:
            found.append(Problem(*line[:3], "query in training", f"is trained on: {_place(trained)}"))
        elif line.split == "database" and line.path in first["query"] and not trained:
            text = f"is a query: {_place(first['query'][line.path])}"
            found.append(Problem(*line[:3], "query in database", text))
    return found


def same_pictures(sound: Sequence[Line], checksums: Mapping[str, str]) -> list[Problem]:
    """Of lines without another fault those whose picture is, under another name, in a list that comes before all that
    have this name. checksums: path -> of the file."""
    named = _firsts(sound, lambda line: line.path)  # each name where it comes first: train, query, database
    pictures = _firsts(sound, lambda line: checksums[line.path])
    found = []
    for line in sound:
        earliest = pictures[checksums[line.path]]
        if earliest.split != named[line.path].split:
            text = f"has the same bytes as {earliest.path}, {_place(earliest)}"
            found.append(Problem(*line[:3], "same picture", text))
    return found

"""Every line of a split's lists, checked: what is wrong, counted, with examples; and the lists without those lines.

The rules, and which of several lines stays, are `listrules`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cscelab.datasets.decoding import UnreadableImageError, decode
from cscelab.datasets.imagecache import ImageStore
from cscelab.datasets.listrules import (
    KINDS,
    Line,
    Problem,
    absent_classes,
    classes_of,
    label_problems,
    other_labels,
    same_pictures,
    shared_with_queries,
    twice,
)
from cscelab.datasets.lists import EXPECTED, ListFiles, label_count, parse_line
from cscelab.datasets.splitfiles import (
    FILES,
    UNREADABLE,
    Row,
    SplitLists,
    combined,
    images_of,
    in_threads,
    read_manifest,
    write_split,
)


@dataclass(frozen=True)
class SplitReport:
    """What `check_split` found. lines: the lists as read, without lines that name no image; manifest: None where the
    folder has none; decoded: whether the images were opened."""

    folder: Path
    images: Path
    problems: tuple[Problem, ...]
    lines: Mapping[str, tuple[Line, ...]] = field(repr=False)
    manifest: Mapping[str, Any] | None = field(repr=False)
    decoded: bool

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def counts(self) -> dict[str, int]:
        """Kind -> problems of this kind, in the order of KINDS; kinds without any are left out."""
        found = Counter(problem.kind for problem in self.problems)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def text(self, examples: int = 3) -> str:
        """What was checked, then a paragraph for each kind: how many, and some of them."""
        sizes = ", ".join(f"{FILES[split]} {len(lines):,}" for split, lines in self.lines.items())
        said = [f"{self.folder}: {sizes} images, in {self.images}"]
        if not self.decoded:
            said.append("The images were not opened: unreadable ones and same pictures were not looked for.")
        if self.manifest is None:
            said.append("There is no manifest.json: checksums were not compared.")
        if "database" not in self.lines:
            said.append("There is no database.txt: the training list is the database.")
        if self.ok:
            said.append("No problem was found.")
        for kind, count in self.counts.items():
            said.append(f"{kind}: {count:,}")
            shown = [problem for problem in self.problems if problem.kind == kind][:examples]
            said += [f"  {problem}" for problem in shown]
            if count > len(shown):
                said.append(f"  and {count - len(shown):,} more")
        return "\n".join(said)


def check_split(folder: Path, images: Path | None = None, decode: bool = True, progress: bool = True) -> SplitReport:
    """Every line of train.txt, test.txt and database.txt of the folder; without the last, the training list is the
    database, as protocols of fine-grained sets have it.

    images: the folder or zip that the paths are relative to; by default what the manifest says, else the folder.
    decode: open every image, for those that cannot be read and for equal ones; otherwise they need only be there.
    Raises ValueError where there are no lists or no images at all.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is no folder; give one with train.txt, test.txt and database.txt, as cscelab data prepare "
            "writes them"
        )
    manifest = read_manifest(folder)
    store = ImageStore(images) if images else images_of(folder, manifest)
    found: list[Problem] = []
    lines: dict[str, tuple[Line, ...]] = {}
    for split, file in FILES.items():
        if split == "database" and not (folder / file).exists():
            continue
        lines[split] = _read(folder / file, split, manifest, found)
    every = [line for of_split in lines.values() for line in of_split]
    found += [*label_problems(every, manifest), *absent_classes(every, manifest)]
    seen = _look_at_images(store, every, decode, progress)
    wrong = {path: what for path, what in seen.items() if isinstance(what, tuple)}
    found += [Problem(*line[:3], *wrong[line.path]) for line in every if line.path in wrong]
    at_fault = {(problem.split, problem.line) for problem in found}
    # Lines without a fault come first wherever one of several is believed.
    believed = sorted(every, key=lambda line: line[:2] in at_fault)
    found += [*twice(believed), *other_labels(believed, at_fault), *shared_with_queries(every)]
    if decode:
        checksums = {path: what for path, what in seen.items() if isinstance(what, str)}
        at_fault = {(problem.split, problem.line) for problem in found}
        found += same_pictures([line for line in every if line[:2] not in at_fault], checksums)
        if manifest and not wrong and manifest.get("pictures", whole := combined(checksums)) != whole:
            found.append(Problem("train", 0, "", "changed", "the pictures of the lists are not the manifest's"))
    order = {split: i for i, split in enumerate(FILES)}
    found.sort(key=lambda problem: (KINDS.index(problem.kind), order[problem.split], problem.line))
    return SplitReport(folder, store.path, tuple(found), lines, manifest, decode)


def drop_problems(report: SplitReport, out: Path) -> dict[str, Any]:
    """Writes the lists without the lines at fault, in their order, and a manifest into another folder; `listrules`
    says which lines go. Returns the manifest.

    Raises ValueError where `out` is the checked folder or holds lists of other making, or a list would be left empty,
    OSError where it cannot write.
    """
    if out.expanduser().resolve() == report.folder.resolve():
        raise ValueError(f"{out} holds the lists that were checked; name another folder for those without problems")
    at_fault = {(problem.split, problem.line) for problem in report.problems}
    kept = {split: [line for line in lines if line[:2] not in at_fault] for split, lines in report.lines.items()}
    for split, lines in kept.items():
        if not lines:
            raise ValueError(f"no line of {report.folder / FILES[split]} is without a problem; mend the list")
    kept.setdefault("database", kept["train"])
    widths = {label_count(line.labels) for lines in kept.values() for line in lines}
    hot = widths != {1}
    rows: dict[str, list[Row]] = {
        split: [(line.path, classes_of(line, hot)) for line in lines] for split, lines in kept.items()
    }
    n_classes = max(widths) if hot else 1 + max(labels[0] for of_split in rows.values() for _, labels in of_split)
    about = report.manifest or {}
    dropped = sum(line > 0 for _, line in at_fault)
    name = about.get("name", report.folder.resolve().name)
    protocol = about.get("protocol", f"the lists of {name}")
    if dropped:
        protocol += f", without {dropped:,} lines at fault"
    classes = tuple(about.get("classes", ())) or tuple(f"class {i}" for i in range(n_classes))
    return write_split(
        SplitLists(name, protocol, classes, rows, hot, about.get("seed")), out.expanduser(), report.images
    )


def _read(file: Path, split: str, manifest: Mapping[str, Any] | None, found: list[Problem]) -> tuple[Line, ...]:
    """The file's lines that name an image; the others are added to what was found."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(
            f"cannot read the list {file} ({error.strerror}); give a folder with train.txt, test.txt and database.txt"
        ) from error
    noted = manifest["lists"].get(split, {}).get("sha256") if manifest else None
    if noted not in (None, hashlib.sha256(content).hexdigest()):
        found.append(Problem(split, 0, "", "changed", "is not the list whose checksum the manifest has"))
    lines = []
    for number, text in enumerate(content.decode("utf-8-sig", errors="replace").splitlines(), 1):
        if not text.strip():
            continue
        try:
            if "\ufffd" in text:  # what stands for bytes that are not UTF-8
                raise ValueError(f"{text[:60]!r} is not UTF-8 text; {EXPECTED}")
            path, labels = parse_line(text)
            lines.append(Line(split, number, path, labels))
        except ValueError as error:
            found.append(Problem(split, number, "", "no line of a list", str(error)))
    if not lines:
        found.append(Problem(split, 0, "", "no line of a list", f"has no images; {EXPECTED} on each line"))
    return tuple(lines)


def _look_at_images(
    store: ImageStore, every: list[Line], open_them: bool, progress: bool
) -> dict[str, str | tuple[str, str]]:
    """Path -> SHA-256 of the file ("" where it was not opened), or what is wrong: (kind, text)."""
    defaults = ListFiles  # what lists are decoded to, unless asked otherwise

    def look(path: str) -> str | tuple[str, str]:
        try:
            store.stamp(path)
        except UNREADABLE:
            return "missing", f"is not in {store.path}"
        if not open_them:
            return ""
        try:
            data = store.read(path)
            decode(data, defaults.image_size, defaults.resize or defaults.image_size)
        except UnreadableImageError as error:
            return "unreadable", str(error)
        except UNREADABLE as error:
            return "unreadable", f"cannot be read ({' '.join(str(error).split())})"
        return hashlib.sha256(data).hexdigest()

    names = list(dict.fromkeys(line.path for line in every))
    return dict(zip(names, in_threads(look, names, "checking images" if progress else None), strict=True))

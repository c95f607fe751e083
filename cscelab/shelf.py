"""The Shelf: what there is to browse, the shipped encoder and every stored run, by data set, method and bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import TypeVar

from cscelab.collection import Collection, collection_of, shipped_collection
from cscelab.datasets import Aviary, DataConfig, Folder, ListFiles, Splits, Unlabelled, data_fingerprint, load_data
from cscelab.datasets.folder import located
from cscelab.experiment import Experiment, Run, stored_runs
from cscelab.shipped import load_encoder
from cscelab.titles import data_titles, method_titles, usual_titles

Source = Run | None  # None: the shipped encoder
SHIPPED = "Shipped encoder"  # and in brackets its method; first in the list, and not to be taken for a run of that
ABSENT = ", files absent"
NAMED = 8  # choices an error message names
K = TypeVar("K")
T = TypeVar("T")


class Shelf:
    """root: the data folder; smoke: whether tests' runs are shown too. Runs stored later need a new Shelf.

    Listing reads no codes and no images: a data set whose files have gone is listed as such, and refused when opened.
    """

    def __init__(self, root: Path | None = None, smoke: bool = False) -> None:
        self.root = root
        self._runs = [run for run in stored_runs(root) if smoke or not run.experiment.smoke]
        self._opened: dict[tuple[str, str, int], Collection] = {}
        self._splits: dict[DataConfig, Splits] = {}

    def data_sets(self) -> list[str]:
        """Names of the data sets; the first is the shipped encoder's, the embedded one."""
        return list(self._sources)

    def methods(self, data: str) -> list[str]:
        """Titles of the methods that coded a data set: the shipped encoder, the recipes' in their order, and `others`.
        Raises ValueError for an unknown data set, as all below do."""
        return list(_pick(self._sources, data, "data set"))

    def others(self, data: str) -> list[str]:
        """Those of `methods` that few look for: other seeds and settings than the recipes'."""
        return [title for title in self.methods(data) if _place(title) == len(_usual())]

    def bits(self, data: str, method: str) -> list[int]:
        """Code lengths of a method, ascending."""
        return sorted(self._lengths(data, method))

    def collection(self, data: str, method: str, bits: int) -> Collection:
        """Opened once; collections of one data set share its images. Raises ValueError or OSError where the images
        have gone or changed since the run, or where a file of the run cannot be read."""
        key = (data, method, bits)
        if key not in self._opened:
            source = _pick(self._lengths(data, method), bits, f"code length of {method}")
            self._opened[key] = self._open_shipped() if source is None else self._open(source, method)
        return self._opened[key]

    def _lengths(self, data: str, method: str) -> dict[int, Source]:
        return _pick(_pick(self._sources, data, "data set"), method, f"method for {data}")

    def _open(self, run: Run, title: str) -> Collection:
        data = _here(run.experiment.data)
        if data_fingerprint(data) != run.metrics["fingerprint"]["data"]:
            raise ValueError(f"the images of {run.experiment.name} have changed since it ran; run it again")
        if data not in self._splits:
            self._splits[data] = load_data(data, self.root, progress=False)
        return collection_of(run, self._splits[data], title)

    def _open_shipped(self) -> Collection:
        opened = shipped_collection(root=self.root)
        splits = self._splits.setdefault(self._shipped.data, opened.splits)
        return replace(opened, title=self._shipped_title, splits=splits)

    @property
    def _shipped_title(self) -> str:
        return f"{SHIPPED} ({self._shipped.method.title})"

    @cached_property
    def _shipped(self) -> Experiment:
        return load_encoder()[1]

    @cached_property
    def _sources(self) -> dict[str, dict[str, dict[int, Source]]]:
        """Data set -> method -> bits -> where the codes are."""
        by_data: dict[DataConfig, list[Run]] = {self._shipped.data: []}
        for run in self._runs:
            by_data.setdefault(run.experiment.data, []).append(run)
        titles = data_titles({data: _n_classes(runs) for data, runs in by_data.items()})
        shelf: dict[str, dict[str, dict[int, Source]]] = {}
        for data, runs in by_data.items():
            methods: dict[str, dict[int, Source]] = {}
            if data == self._shipped.data:
                methods[self._shipped_title] = {self._shipped.bits: None}
            for run, title in zip(runs, method_titles(runs), strict=True):
                lengths = methods.setdefault(title, {})
                lengths[run.experiment.bits] = _newer(lengths.get(run.experiment.bits), run)
            title = titles[data] + ("" if _is_here(data) else ABSENT)
            shelf[title] = dict(sorted(methods.items(), key=lambda item: (_place(item[0]), item[0])))
        return shelf


@cache
def _usual() -> list[str]:
    return usual_titles()


def _place(title: str) -> int:
    """In the list of methods: the shipped encoder, the recipes' titles, then all others in one place."""
    if title.startswith(SHIPPED):
        return -1
    return _usual().index(title) if title in _usual() else len(_usual())


def _here(data: DataConfig) -> DataConfig:
    """The data set with its folder as it is found from here."""
    return replace(data, path=str(located(data.path))) if isinstance(data, Folder | Unlabelled) else data


def _is_here(data: DataConfig) -> bool:
    """Whether there is something where its files should be; drawn birds are drawn again."""
    if isinstance(data, Aviary):
        return True
    return Path(data.root).exists() if isinstance(data, ListFiles) else located(data.path).exists()


def _n_classes(runs: list[Run]) -> int | None:
    """Of the first run whose metrics can be read."""
    for run in runs:
        try:
            return int(run.metrics["n_classes"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # refused when it is opened
    return None


def _newer(known: Source, run: Run) -> Run:
    """Of two runs of one experiment (the trunk's weights have changed between them) the one stored last."""
    if known is None:
        return run
    return max(known, run, key=lambda one: (one.folder / "metrics.json").stat().st_mtime)


def _pick(choices: Mapping[K, T], name: K, kind: str) -> T:
    if name not in choices:
        known = [*map(repr, choices)]
        listed = ", ".join(known[:NAMED]) + (f" and {len(known) - NAMED} more" if len(known) > NAMED else "")
        raise ValueError(f"unknown {kind} {name!r}; choose from {listed}")
    return choices[name]

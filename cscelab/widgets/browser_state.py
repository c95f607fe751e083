"""What a QueryBrowser shows, as a frozen state, and the rules by which one choice decides what the others can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from cscelab.collection import Collection, Query, collection_of
from cscelab.experiment import Run
from cscelab.neighbours import rows_of_class
from cscelab.titles import data_titles

MOST_SHOWN = 50  # results a method
T = TypeVar("T")


class Catalogue(Protocol):
    """What there is to browse: `cscelab.shelf.Shelf`, or `Given` collections."""

    def data_sets(self) -> list[str]: ...
    def methods(self, data: str) -> list[str]: ...
    def others(self, data: str) -> list[str]: ...  # those of `methods`, its last ones, that few look for
    def bits(self, data: str, method: str) -> list[int]: ...
    def collection(self, data: str, method: str, bits: int) -> Collection: ...


class Given:
    """A Catalogue of collections or runs by name. Those of one data set can stand side by side where bits agree."""

    def __init__(self, collections: Mapping[str, Collection | Run]) -> None:
        if not collections:
            raise ValueError("an empty mapping of collections was given; give at least one")
        opened = {name: collection_of(one) if isinstance(one, Run) else one for name, one in collections.items()}
        titles = data_titles({one.experiment.data: len(one.class_names) for one in opened.values()})
        self._by_data: dict[str, dict[str, Collection]] = {}
        for name, one in opened.items():
            self._by_data.setdefault(titles[one.experiment.data], {})[name] = replace(one, title=name)

    def data_sets(self) -> list[str]:
        return list(self._by_data)

    def methods(self, data: str) -> list[str]:
        return list(_known(self._by_data, data, "data set"))

    def others(self, data: str) -> list[str]:
        return []  # whoever gave them looks for all of them

    def bits(self, data: str, method: str) -> list[int]:
        return [self.collection(data, method).bits]

    def collection(self, data: str, method: str, bits: int | None = None) -> Collection:
        return _known(_known(self._by_data, data, "data set"), method, "method")


def _known(choices: Mapping[str, T], name: str, kind: str) -> T:
    if name not in choices:
        raise ValueError(f"unknown {kind} {name!r}; choose from {sorted(choices)}")
    return choices[name]


@dataclass(frozen=True, eq=False)
class BrowserState:
    """query_class: what "random" and "hardest" choose from; among: the class results are filtered by; both None: all.

    hardest: how often that button was pressed since any other move; chosen: (row of results, place in it, from 0) of
    the pair compared; earlier: the queries before this one, the last one last.
    """

    data: str
    methods: tuple[str, ...]
    bits: int
    query: Query
    k: int = 10
    query_class: int | None = None
    among: int | None = None
    cams: bool = False
    hardest: int = 0
    chosen: tuple[int, int] = (0, 0)
    earlier: tuple[Query, ...] = ()


def first_state(catalogue: Catalogue, data: str, k: int = 10) -> BrowserState:
    """The first query of a data set, under its first method at the fewest bits; where there are just two methods, of
    the same bits, under both."""
    methods = catalogue.methods(data)
    lengths = [catalogue.bits(data, method) for method in methods]
    shown = tuple(methods) if len(methods) == 2 and lengths[0] == lengths[1] else (methods[0],)
    bits = lengths[0][0]
    return BrowserState(data, shown, bits, catalogue.collection(data, methods[0], bits).query(0), k)


def changed(catalogue: Catalogue, state: BrowserState, **changes: Any) -> BrowserState:
    """The state after a choice: what no longer goes with it is set to what does.

    Another data set starts at its first query and keeps k and CAM. A second method that has no bits in common with the
    first is dropped. Bits stay where they exist, and are the nearest otherwise. Another query than the next hardest
    lets "hardest" begin again, and one of another class than the class chosen sets that to all. The pair compared stays
    among the k results of a method. Raises ValueError for k out of range,
    for unknown names, and as `Catalogue.collection` does.
    """
    if (data := changes.pop("data", state.data)) != state.data:
        state = replace(first_state(catalogue, data, state.k), cams=state.cams)
    if "query" in changes:
        changes = {"earlier": (*state.earlier, state.query), "hardest": 0, **changes}
    new = replace(state, **changes)
    if "query" in changes and new.query_class is not None and not _shows(new.query, new.query_class):
        new = replace(new, query_class=None)
    if not 1 <= new.k <= MOST_SHOWN:
        raise ValueError(f"the {new.k} nearest were asked for; choose 1 to {MOST_SHOWN}")
    methods = tuple(dict.fromkeys(new.methods))
    if len(methods) > 1 and not common_bits(catalogue, new.data, methods):
        methods = methods[:1]
    lengths = common_bits(catalogue, new.data, methods)
    bits = min(lengths, key=lambda length: (abs(length - new.bits), length))
    same_order = (methods[0], bits, new.query_class) == (state.methods[0], state.bits, state.query_class)
    chosen = min(new.chosen[0], len(methods) - 1), min(new.chosen[1], new.k - 1)
    return replace(new, methods=methods, bits=bits, hardest=new.hardest if same_order else 0, chosen=chosen)


def _shows(query: Query, number: int) -> bool:
    """Whether a query is known to be of a class."""
    if query.label is None:
        return False
    label = np.asarray(query.label)
    return bool(label[number] if label.ndim else label == number)


def common_bits(catalogue: Catalogue, data: str, methods: tuple[str, ...]) -> list[int]:
    """Code lengths that all the methods have, ascending."""
    lengths = [set(catalogue.bits(data, method)) for method in methods]
    return sorted(set.intersection(*lengths))


def partners(catalogue: Catalogue, data: str, method: str) -> list[str]:
    """Methods that can stand beside this one: those with a code length in common."""
    return [
        other for other in catalogue.methods(data) if other != method and common_bits(catalogue, data, (method, other))
    ]


def opened(catalogue: Catalogue, state: BrowserState) -> list[Collection]:
    """The collections of a state's methods, in their order."""
    return [catalogue.collection(state.data, method, state.bits) for method in state.methods]


def among_rows(collection: Collection, state: BrowserState) -> np.ndarray | None:
    """Rows of the database that results are chosen from; None: all. Raises ValueError where a class has none."""
    if state.among is None:
        return None
    rows = collection.of_class(state.among)
    if not len(rows):
        raise ValueError(f"no database image shows a {collection.class_names[state.among]}; choose another class")
    return rows


def queries_of(collection: Collection, number: int | None) -> np.ndarray:
    """Rows of the queries of a class, or of all. Raises ValueError where there is none."""
    labels = collection.splits.query.labels
    if number is None:
        return np.arange(len(labels))
    rows = rows_of_class(labels, number)
    if not len(rows):
        raise ValueError(f"no query shows a {collection.class_names[number]}; choose another class")
    return rows


def hardest_first(collection: Collection, number: int | None) -> np.ndarray:
    """Rows of the queries of a class, or of all, by average precision, the lowest first; equal ones by row."""
    rows = queries_of(collection, number)
    return rows[np.argsort(collection.average_precision[rows], kind="stable")]

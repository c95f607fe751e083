"""The nearest database images of a query by Hamming distance, in an order that never depends on the sort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from cscelab.codes import hamming_distance
from cscelab.experiment import Run
from cscelab.layout import CodeLayout
from cscelab.retrieval.ranking import blocks


class Neighbours(NamedTuple):
    """Of each of Q queries (or of one, without the first axis), the k nearest database images."""

    rows: np.ndarray  # (Q, k) rows of the database
    distances: np.ndarray  # (Q, k) bits that differ, of ordinal codes symbols
    right: np.ndarray  # (Q, k) whether they share a label with the query


def retrieve(run: Run, query_row: int, k: int = 10) -> Neighbours:
    """The k nearest of one query, each (k,). Raises ValueError for a row that is not there or an impossible k."""
    n_queries = len(run.codes["query_codes"])
    if not 0 <= query_row < n_queries:
        raise ValueError(f"query row {query_row} was asked for; {run.experiment.name} has rows 0 to {n_queries - 1}")
    found = nearest(run, k, np.array([query_row]))
    return Neighbours(found.rows[0], found.distances[0], found.right[0])


def nearest(run: Run, k: int = 10, query_rows: np.ndarray | None = None) -> Neighbours:
    """The k nearest of these queries, or of all, each (Q, k). Ties rank by database id; no image finds itself."""
    codes, layout = run.codes, run.experiment.layout
    n_database = len(codes["database_codes"])
    if not 1 <= k <= n_database:
        raise ValueError(f"the {k} nearest were asked for; choose 1 to {n_database}, the size of the database")
    queries = np.arange(len(codes["query_codes"])) if query_rows is None else query_rows
    by_id = places_by_id(codes["database_ids"])
    rows, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.int64)
    for part in blocks(len(queries), n_database):
        asked = queries[part]
        block = hamming_distance(codes["query_codes"][asked], codes["database_codes"]).astype(np.int64)
        block //= layout.hamming_per_unit
        block[codes["query_ids"][asked][:, None] == codes["database_ids"]] = layout.n_symbols + 1
        order = np.argsort(block * n_database + by_id, axis=1)[:, :k]
        rows[part], distances[part] = order, np.take_along_axis(block, order, axis=1)
    return Neighbours(rows, distances, shares_label(codes["query_labels"][queries], codes["database_labels"][rows]))


def unit_of(layouts: Iterable[CodeLayout], titles: Sequence[str] = ()) -> str:
    """What distances of these codes are counted in: "bits", "symbols", or where there are both "bits or symbols", and
    with the titles of the codes whose is which: "bits (DOH: in symbols)"."""
    units = [layout.unit for layout in layouts]
    if len(set(units)) == 1:
        return units[0]
    ordinal = [title for title, unit in zip(titles, units, strict=False) if unit == "symbols"]
    return f"bits ({', '.join(dict.fromkeys(ordinal))}: in symbols)" if titles else "bits or symbols"


def places_by_id(ids: np.ndarray) -> np.ndarray:
    """(N,) database ids -> the place of each row in the order of ids, by which equal distances rank."""
    places = np.empty(len(ids), np.int64)
    places[np.argsort(ids, kind="stable")] = np.arange(len(ids))
    return places


def shares_label(query: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Labels of queries (Q,) or multi-hot (Q, C), and of what each found, (Q, k) or (Q, k, C) -> bool (Q, k)."""
    if found.ndim == 3:
        return (found * query[:, None]).any(axis=2)
    return found == query[:, None]


def rows_of_class(labels: np.ndarray, number: int) -> np.ndarray:
    """Rows whose class id, (N,), is this, or whose multi-hot labels, (N, C), have it."""
    return np.flatnonzero(labels[:, number] if labels.ndim == 2 else labels == number)


def name_of(label: np.ndarray, class_names: tuple[str, ...]) -> str:
    """The name of a class id, or those of a multi-hot row, each on a line of its own."""
    if np.ndim(label) == 0:
        return class_names[int(label)]
    return "\n+ ".join(class_names[i] for i in np.flatnonzero(label)) or "no class"


def name_in_line(label: np.ndarray, class_names: tuple[str, ...]) -> str:
    """`name_of` without line breaks."""
    return name_of(label, class_names).replace("\n", " ")

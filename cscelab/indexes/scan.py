"""Exact neighbours among packed codes by scanning all of them with faiss's kernels; ties always go to the lower row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# Looking past the k-th neighbour settles most ties in the one scan that is needed anyway.
_LOOK_AHEAD = 16
# Where that does not settle them, rows are searched block by block from the top, in blocks that grow fourfold.
_FIRST_BLOCK, _LARGEST_BLOCK = 1 << 14, 1 << 17
_QUERIES_AT_ONCE = 16  # 16 queries x 131,072 rows, all tied: 2 million results, about 100 MB of workspace
_RESULTS_AT_ONCE = 1 << 22
_WORTH_THREADS = 1 << 24  # comparisons of two codes


def import_faiss() -> Any:
    """The faiss module. Raises ValueError, in one sentence, where it is not installed."""
    try:
        import faiss
    except ImportError:
        raise ValueError("searching codes needs faiss, which is not installed; pip install faiss-cpu") from None
    return faiss


@contextmanager
def threads(n: int | None) -> Iterator[Any]:
    """The faiss module, running on n threads inside the block; None leaves the number as it is."""
    faiss = import_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n or before)
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(before)


def threads_for(queries: np.ndarray, rows_each: int) -> int | None:
    """One thread for work of about ten milliseconds or less, and for one query, which faiss does not share out.

    More threads would mostly wait for each other, and on a busy machine for longer than the search takes.
    """
    return 1 if len(queries) == 1 or len(queries) * rows_each < _WORTH_THREADS else None


def nearest(queries: np.ndarray, database: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest database rows of each query, ordered by distance, then row, also where the k-th place is tied.

    faiss finds k rows at the right distances but promises nothing about which of the tied rows it returns. So a few
    more than k are fetched; where even the last of them ties with the k-th, `_first_at` finds the lowest tied rows.

    Args:
        queries: (Q, bytes) uint8, packed codes.
        database: (N, bytes) uint8, N >= k.
        k: neighbours, at least 1.

    Returns:
        distances int32 (Q, k) in bits and rows int64 (Q, k).
    """
    block = max(1, _RESULTS_AT_ONCE // min(len(database), 2 * k + _LOOK_AHEAD))
    parts = [_nearest(queries[i : i + block], database, k) for i in range(0, len(queries), block)]
    return np.concatenate([d for d, _ in parts]), np.concatenate([rows for _, rows in parts])


def within(queries: np.ndarray, database: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All database rows at most `radius` bits from each query, ordered by distance, then row.

    Returns:
        lims int64 (Q + 1,), distances int32 and rows int64: query q has entries lims[q] to lims[q + 1].
    """
    counts, distances, rows = [], [], []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        query, distance, row = _range(queries[start : start + _QUERIES_AT_ONCE], database, radius)
        order = np.lexsort((row, distance, query))
        counts.append(np.bincount(query, minlength=len(queries[start : start + _QUERIES_AT_ONCE])))
        distances.append(distance[order])
        rows.append(row[order])
    lims = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return lims, np.concatenate(distances), np.concatenate(rows)


def _nearest(queries: np.ndarray, database: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    n_rows = len(database)
    fetched = min(n_rows, 2 * k + _LOOK_AHEAD)
    with threads(threads_for(queries, len(database))) as faiss:
        distances, rows = faiss.knn_hamming(queries, database, fetched)
    keys = np.sort(distances.astype(np.int64) * n_rows + rows, axis=1)  # one number orders by distance, then row
    distances, rows = (keys // n_rows).astype(np.int32), keys % n_rows
    last = distances[:, k - 1]  # (Q,)
    open_ties = (distances[:, -1] == last) & (fetched < n_rows)
    distances, rows = distances[:, :k].copy(), rows[:, :k].copy()
    for distance in np.unique(last[open_ties]):
        chosen = np.flatnonzero(open_ties & (last == distance))
        for start in range(0, len(chosen), _QUERIES_AT_ONCE):
            some = chosen[start : start + _QUERIES_AT_ONCE]
            # Whatever is nearer than the tie is already found, and comes first.
            places = distances[some] == distance
            block = rows[some]
            block[places] = _first_at(queries[some], database, int(distance), places.sum(axis=1))
            rows[some] = block
    return distances, rows


def _first_at(queries: np.ndarray, database: np.ndarray, distance: int, wanted: np.ndarray) -> np.ndarray:
    """The lowest wanted[q] rows exactly `distance` bits from query q, one query after the other, int64 (sum,)."""
    found = np.zeros(0, np.int64)  # query * N + row
    n_rows, missing, start, size = len(database), wanted.copy(), 0, _FIRST_BLOCK
    while missing.any() and start < n_rows:
        looking = np.flatnonzero(missing)
        query, distances, row = _range(queries[looking], database[start : start + size], distance)
        tied = distances == distance
        keys = np.sort(looking[query[tied]] * n_rows + row[tied] + start)
        query = keys // n_rows
        rank = np.arange(len(keys)) - np.searchsorted(query, query)
        keys = keys[rank < missing[query]]
        missing -= np.bincount(keys // n_rows, minlength=len(missing))
        found = np.concatenate([found, keys])
        start, size = start + size, min(4 * size, _LARGEST_BLOCK)
    return np.sort(found) % n_rows


def _range(queries: np.ndarray, database: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """query int64, distance int32 and row int64 of every pair at most `radius` apart, in queries' order."""
    with threads(threads_for(queries, len(database))) as faiss:
        result, pointer = faiss.RangeSearchResult(len(queries)), faiss.swig_ptr
        sizes = len(queries), len(database), radius + 1, queries.shape[1]  # faiss's radius is exclusive
        faiss.hamming_range_search(pointer(queries), pointer(database), *sizes, result)
    lims = faiss.rev_swig_ptr(result.lims, len(queries) + 1).astype(np.int64)
    n_found = int(lims[-1])
    distances = faiss.rev_swig_ptr(result.distances, n_found).astype(np.int32)
    rows = faiss.rev_swig_ptr(result.labels, n_found).astype(np.int64)
    return np.repeat(np.arange(len(queries)), np.diff(lims)), distances, rows

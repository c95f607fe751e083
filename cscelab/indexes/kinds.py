"""Approximate neighbours of packed codes: an inverted file (IVF) and a graph (HNSW), both faiss's, both repeatable.

Building uses one thread: several would insert into a graph in an order that changes from run to run.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np

from cscelab.codes import BITS_PER_BYTE
from cscelab.indexes.scan import import_faiss, threads, threads_for

MISSING = -1  # the id of a place for which no item was found
# faiss's own advice for k-means; fewer codes than this for each cell leave cells empty.
_CODES_PER_LIST = 39
_VISITS = 8  # nodes of a graph that a search compares with for each candidate it keeps, about
_OUTGROWN = 4  # four times the codes want twice the lists, and a quarter half of them


class InvertedFile:
    """Codes in about sqrt(N) lists around k-means centres; a search looks into the `probes` nearest lists.

    Wants to be built anew (`worn`) when it holds four times the codes it was trained on, or a quarter of them.
    """

    def __init__(self, index: Any, trained_on: int) -> None:
        self._index = index
        self._trained_on = trained_on

    @classmethod
    def build(cls, packed: np.ndarray, ids: np.ndarray, nlist: int | None) -> InvertedFile:
        """Train and fill. packed: uint8 (N, bytes); nlist: by default sqrt(N), and N / 39 where that is less."""
        n_codes, n_bytes = packed.shape
        nlist = min(nlist, n_codes) if nlist else max(1, min(isqrt(n_codes), n_codes // _CODES_PER_LIST))
        with threads(1) as faiss:
            quantizer = faiss.IndexBinaryFlat(n_bytes * BITS_PER_BYTE)
            index = faiss.IndexBinaryIVF(quantizer, n_bytes * BITS_PER_BYTE, nlist)
            index.cp.min_points_per_centroid = 1  # else faiss prints warnings for small sets
            index.train(packed)
            index.add_with_ids(packed, ids)
        return cls(index, n_codes)

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray]) -> InvertedFile:
        """Undo `arrays`."""
        return cls(import_faiss().deserialize_index_binary(arrays["structure"]), int(arrays["trained_on"][0]))

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file has to keep."""
        self._index.nprobe = 1  # the file must not depend on the last search
        structure = import_faiss().serialize_index_binary(self._index)
        return {"structure": structure, "trained_on": np.array([self._trained_on])}

    def worn(self) -> bool:
        n_codes = self._index.ntotal
        return n_codes >= _OUTGROWN * self._trained_on or _OUTGROWN * n_codes <= self._trained_on

    def add(self, packed: np.ndarray, ids: np.ndarray) -> None:
        with threads(1):
            self._index.add_with_ids(packed, ids)

    def remove(self, ids: np.ndarray) -> None:
        self._index.remove_ids(ids)

    def search(self, queries: np.ndarray, k: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
        """distances int32 (Q, k) and ids int64 (Q, k), MISSING where the probed lists hold fewer than k."""
        self._index.nprobe = min(probes, self._index.nlist)
        rows_each = self._index.nprobe * self._index.ntotal // self._index.nlist
        with threads(threads_for(queries, rows_each)):
            distances, ids = self._index.search(queries, k)
        return distances, ids


class Graph:
    """A hierarchical navigable small-world graph (Malkov & Yashunin 2018); a search keeps `ef` candidates.

    A graph cannot lose a node without losing ways, so removed items stay as tombstones: they guide the search, are
    filtered from its results, and that many more results are fetched. Wants to be built anew (`worn`) when tombstones
    outnumber items.
    """

    def __init__(self, index: Any, slot_ids: np.ndarray) -> None:
        self._index = index
        self._slot_ids = slot_ids  # (nodes,) the id of each node, MISSING for a tombstone
        self._tombstones = int((slot_ids == MISSING).sum())

    @classmethod
    def build(cls, packed: np.ndarray, ids: np.ndarray, m: int, ef_construction: int) -> Graph:
        """packed: uint8 (N, bytes); m: links a node and layer (twice that in the lowest)."""
        with threads(1) as faiss:
            index = faiss.IndexBinaryHNSW(packed.shape[1] * BITS_PER_BYTE, m)
            index.hnsw.efConstruction = ef_construction
            index.add(packed)
        return cls(index, ids.copy())

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray]) -> Graph:
        """Undo `arrays`."""
        return cls(import_faiss().deserialize_index_binary(arrays["structure"]), arrays["slot_ids"].copy())

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file has to keep."""
        self._index.hnsw.efSearch = 1  # the file must not depend on the last search
        return {"structure": import_faiss().serialize_index_binary(self._index), "slot_ids": self._slot_ids}

    def worn(self) -> bool:
        return 2 * self._tombstones > len(self._slot_ids)

    def add(self, packed: np.ndarray, ids: np.ndarray) -> None:
        with threads(1):
            self._index.add(packed)
        self._slot_ids = np.concatenate([self._slot_ids, ids])

    def remove(self, ids: np.ndarray) -> None:
        self._slot_ids[np.isin(self._slot_ids, ids)] = MISSING
        self._tombstones += len(ids)

    def search(self, queries: np.ndarray, k: int, ef: int) -> tuple[np.ndarray, np.ndarray]:
        """distances int32 (Q, k) and ids int64 (Q, k), MISSING where the graph was left before k were found."""
        self._index.hnsw.efSearch = min(ef, len(self._slot_ids))  # faiss sets aside memory for as many
        most = k + self._tombstones
        fetched = min(most, 2 * k)
        while True:
            with threads(threads_for(queries, _VISITS * max(ef, fetched))):
                distances, slots = self._index.search(queries, fetched)
            ids = np.where(slots >= 0, self._slot_ids[slots], MISSING)
            enough = (ids != MISSING).sum(axis=1).min() >= k
            if enough or fetched == most:
                break
            fetched = min(most, 2 * fetched)
        first = np.argsort(ids == MISSING, axis=1, kind="stable")[:, :k]  # found ones first, in their order
        return np.take_along_axis(distances, first, axis=1), np.take_along_axis(ids, first, axis=1)

"""Ways to search the database of a run, as indexes: float features, product quantisation, binary codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from cscelab.codes import pack
from cscelab.evaluate import evaluate
from cscelab.indexes.scan import import_faiss
from cscelab.search import CodeIndex
from cscelab.stored import Run

K = 10  # of precision@K, and how many neighbours the timed searches return
LARGER_PQ = 32  # bytes of the second product quantisation
PROBED = 8  # an inverted file looks into one in so many of its lists
FAST_BYTES = (4, 8, 16, 20, 32, 64)  # widths of a code that faiss has kernels of their own for
LINEAR = "float features, linear search"  # what speed is relative to


@dataclass(frozen=True)
class Way:
    """An index (faiss's or a CodeIndex) that holds the database, and both sides as it takes them, (Q, w) and (N, w).
    expected: precision@10 as the mean over all orders of tied codes, None for other ways."""

    name: str
    index: Any
    queries: np.ndarray
    database: np.ndarray
    expected: float | None = None


def flat(database: np.ndarray) -> Any:
    index = import_faiss().IndexFlatL2(database.shape[1])
    index.add(database)
    return index


def float_ways(query: np.ndarray, database: np.ndarray, code_bytes: int) -> Iterator[Way]:
    """Linear search, and product quantisation (Jegou et al. 2011) of as many bytes as a code and of LARGER_PQ."""
    yield Way(LINEAR, flat(database), query, database)
    n_rows, width = database.shape
    bits_each = min(8, n_rows.bit_length() - 1)  # of a sub-vector's code: no more centroids than rows to train on
    for n_bytes in sorted({code_bytes, LARGER_PQ}):
        if n_bytes > width:
            continue
        missing = -width % n_bytes  # sub-vectors of one length; zeros change no distance
        queries, rows = padded(query, missing), padded(database, missing)
        index = import_faiss().IndexPQ(rows.shape[1], n_bytes, bits_each)
        index.pq.cp.min_points_per_centroid = 1  # else faiss prints warnings for small sets
        index.train(rows)
        index.add(rows)
        yield Way(f"product quantisation, {index.code_size} bytes", index, queries, rows)


def padded(rows: np.ndarray, n: int) -> np.ndarray:
    """n zeros behind each row (N, w); the rows themselves where n is 0, which np.pad would copy."""
    return np.pad(rows, ((0, 0), (0, n))) if n else rows


def binary_ways(run: Run, asked: np.ndarray) -> Iterator[Way]:
    """The run's codes, ordinal ones one-hot, by faiss and by the project's index. asked: rows of the queries that are
    searched for."""
    bits, query = run.experiment.layout.width, pack(run.codes["query_codes"][asked])
    own, network = pack(run.database()[0]), pack(run.database("network")[0])
    expected = expected_precision(run, asked, own)
    yield binary_flat("binary codes, faiss", query, own, expected)
    if (n_bytes := own.shape[1]) not in FAST_BYTES and n_bytes < FAST_BYTES[-1]:
        wider = min(fast for fast in FAST_BYTES if fast > n_bytes)
        missing = wider - n_bytes
        name = f"binary codes padded to {wider} bytes, faiss"
        yield binary_flat(name, padded(query, missing), padded(own, missing), expected)
    if "network_codes" in run.codes:
        name = "the network's binary codes, faiss"
        yield binary_flat(name, query, network, expected_precision(run, asked, network))
    n_lists = isqrt(len(own))
    probes = -(-n_lists // PROBED)
    for name, index, over_ties in (
        ("binary codes, CodeIndex flat", CodeIndex(bits), expected),
        (f"binary codes, CodeIndex ivf, {probes} of {n_lists} lists",
         CodeIndex(bits, "ivf", nlist=n_lists, probes=probes), None),
    ):  # fmt: skip
        index.add(own)
        yield Way(name, index, query, own, over_ties)


def binary_flat(name: str, query: np.ndarray, database: np.ndarray, expected: float) -> Way:
    index = import_faiss().IndexBinaryFlat(8 * database.shape[1])
    index.add(database)
    return Way(name, index, query, database, expected)


def expected_precision(run: Run, asked: np.ndarray, database: np.ndarray) -> float:
    codes = run.codes
    return evaluate(
        pack(codes["query_codes"][asked]), codes["query_labels"][asked], database, codes["database_labels"],
        query_ids=codes["query_ids"][asked], database_ids=codes["database_ids"],
        bits=run.experiment.layout.width, precision_at=K, ties="expected",
    ).precision_at[K]  # fmt: skip


def grow(index: Any, database: np.ndarray, n_rows: int) -> None:
    """Adds the database again and again until an index that holds it once holds n_rows."""
    for held in range(len(database), n_rows, len(database)):
        index.add(database[: n_rows - held])


def payload(index: Any) -> tuple[float, int]:
    """Bytes an image takes in the index, a CodeIndex's ids and lists among them, and bytes of what images share."""
    if isinstance(index, CodeIndex):
        return index.n_bytes / len(index), 0
    centroids = index.pq.centroids.size() * np.dtype(np.float32).itemsize if hasattr(index, "pq") else 0
    return float(index.code_size), centroids

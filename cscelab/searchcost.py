"""What searching costs, after ExchNet's Table 1: float features, product quantisation and binary codes of one run.

Precision is of the run's own queries and database. That database is too small to time, and an exhaustive search does
the same work whatever the numbers are: time is of the same rows repeated. All ways take their turns on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from cscelab.codes import pack
from cscelab.cost import seconds
from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import encoding_loader
from cscelab.evaluate import evaluate
from cscelab.indexes.scan import import_faiss, threads
from cscelab.methods.base import HashMethod
from cscelab.retrieval.inputs import whole_number
from cscelab.search import MISSING, CodeIndex
from cscelab.stored import Run

K = 10  # of precision@K, and how many neighbours the timed searches return
BATCH = 50  # queries of a timed search
ROWS, SMOKE_ROWS = 100_000, 1_000
LARGEST_MATRIX = 2**29  # bytes of the float features that time is taken on
LARGER_PQ = 32  # bytes of the second product quantisation
PROBED = 8  # an inverted file looks into one in so many of its lists
FAST_BYTES = (4, 8, 16, 20, 32, 64)  # widths of a code that faiss has kernels of their own for
LINEAR = "float features, linear search"  # what speed is relative to


@dataclass(frozen=True)
class SearchSetting:
    """What all ways of a run share. n_rows: of the database that time is taken on; unit_length: whether features are
    scaled to length 1, so that L2 ranks as the cosine does, which is chosen on the validation split."""

    run: str
    bits: int
    n_queries: int
    n_database: int
    n_rows: int
    n_features: int
    unit_length: bool
    learned: bool


@dataclass(frozen=True, eq=False)
class SearchCost:
    """One way to search. precision: @10, ties in the index's order; expected: the mean over all orders of tied codes,
    None for other ways; bytes_per_image: what the index grows by; shared_bytes: codebooks, whatever the number of
    images; speed_ups: (R,) time of LINEAR over its own in the same round; milliseconds: median CPU time of a query."""

    name: str
    precision: float
    expected: float | None
    bytes_per_image: float
    shared_bytes: int
    speed_ups: np.ndarray
    milliseconds: float
    setting: SearchSetting


@dataclass(frozen=True)
class Way:
    """An index (faiss's or a CodeIndex) that holds the database, and both sides as it takes them, (Q, w) and (N, w)."""

    name: str
    index: Any
    queries: np.ndarray
    database: np.ndarray
    expected: float | None = None


def measure_search_costs(
    run: Run, database_size: int | None = None, repeats: int = 5, progress: bool = False
) -> list[SearchCost]:
    """Precision@10, bytes an image and time of each way to search the run's database, LINEAR first.

    database_size: rows to take time on; by default 100,000, fewer where their floats would fill more than half a GB.
    Ways: features by L2; product quantisation of the code's size and of 32 bytes, trained on the database's features;
    the run's codes by faiss, padded where faiss is faster so, those of the network where the database's are learned;
    the project's index, exact and as an inverted file, which is not exhaustive: its time depends on the codes.

    Raises ValueError for a method without features, a database below 10 images or above database_size, without faiss.
    """
    import_faiss()
    repeats = whole_number("repeats", repeats)
    n_database = len(run.codes["database_ids"])
    if n_database < K:
        raise ValueError(f"the database holds {n_database} images, but precision@{K} needs {K}; give a run with more")
    if database_size is not None and whole_number("database_size", database_size) < n_database:
        raise ValueError(f"database_size is {database_size}; give at least the {n_database} images of the database")
    method, splits = run.model(), run.data(progress)
    query, database, validation = (
        features_of(method, part, progress) for part in (splits.query, splits.database, splits.validation)
    )
    with threads(1):
        unit_length = cosine_finds_more(validation, splits.validation, database, splits.database)
        if unit_length:
            query, database = of_unit_length(query), of_unit_length(database)
        width = database.shape[1]
        fitting = min(SMOKE_ROWS if run.experiment.smoke else ROWS, LARGEST_MATRIX // (width * database.itemsize))
        n_rows = max(n_database, fitting) if database_size is None else database_size
        ways = [*float_ways(query, database, -(-run.experiment.bits // 8)), *binary_ways(run)]
        found = [
            precision_at(way.index.search(way.queries, K + 1)[1], splits.query, splits.database)
            for way in tqdm(ways, "precision", disable=not progress)
        ]
        for way in tqdm(ways, "more rows", disable=not progress):
            grow(way.index, way.database, n_rows)
        taken = take_turns({way.name: timed(way) for way in ways}, repeats, progress)
    ratios = speed_ups(taken, LINEAR)
    setting = SearchSetting(
        run.experiment.name, run.experiment.bits, len(query), n_database, n_rows, width, unit_length,
        "network_codes" in run.codes,
    )  # fmt: skip
    return [
        SearchCost(
            way.name, precision, way.expected, *payload(way.index), ratios[way.name],
            1e3 * float(np.median(taken[way.name])) / BATCH, setting,
        )
        for way, precision in zip(ways, found, strict=True)
    ]  # fmt: skip


@torch.inference_mode()
def features_of(method: HashMethod, images: ImageSet, progress: bool = False) -> np.ndarray:
    """What the hash layer sees, float32 (N, d), a batch at a time. Raises ValueError for a method that tells none."""
    features = []
    for batch in tqdm(encoding_loader(images), "features", disable=not progress, leave=False):
        one = method(batch.images).features
        if one is None:
            raise ValueError(
                f"{method.config.title} gives no features beside its codes, so there is no float search to compare "
                "with; return them in its HashOutput, or choose a run of another method"
            )
        features.append(one.float().flatten(1))
    return torch.cat(features).numpy()


def of_unit_length(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def cosine_finds_more(
    features: np.ndarray, images: ImageSet, database_features: np.ndarray, database: ImageSet
) -> bool:
    """Whether features of length 1 have the higher precision@10, on images that are not the queries."""
    plain, unit = (
        precision_at(flat(scale(database_features)).search(scale(features), K + 1)[1], images, database)
        for scale in (np.ascontiguousarray, of_unit_length)
    )
    return unit > plain


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
        padding = ((0, 0), (0, -width % n_bytes))  # sub-vectors of one length; zeros change no distance
        queries, rows = np.pad(query, padding), np.pad(database, padding)
        index = import_faiss().IndexPQ(rows.shape[1], n_bytes, bits_each)
        index.pq.cp.min_points_per_centroid = 1  # else faiss prints warnings for small sets
        index.train(rows)
        index.add(rows)
        yield Way(f"product quantisation, {index.code_size} bytes", index, queries, rows)


def binary_ways(run: Run) -> Iterator[Way]:
    bits, query = run.experiment.bits, pack(run.codes["query_codes"])
    own, network = pack(run.database()[0]), pack(run.database("network")[0])
    learned = "network_codes" in run.codes
    expected = expected_precision(run, own)
    yield binary_flat("binary codes, faiss", query, own, expected)
    if (n_bytes := own.shape[1]) not in FAST_BYTES and n_bytes < FAST_BYTES[-1]:
        wider = min(fast for fast in FAST_BYTES if fast > n_bytes)
        padding = ((0, 0), (0, wider - n_bytes))
        name = f"binary codes padded to {wider} bytes, faiss"
        yield binary_flat(name, np.pad(query, padding), np.pad(own, padding), expected)
    if learned:
        name = "the network's binary codes, faiss"
        yield binary_flat(name, query, network, expected_precision(run, network))
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


def expected_precision(run: Run, database: np.ndarray) -> float:
    codes = run.codes
    return evaluate(
        pack(codes["query_codes"]), codes["query_labels"], database, codes["database_labels"],
        query_ids=codes["query_ids"], database_ids=codes["database_ids"],
        bits=run.experiment.bits, precision_at=K, ties="expected",
    ).precision_at[K]  # fmt: skip


def precision_at(rows: np.ndarray, queries: ImageSet, database: ImageSet, k: int = K) -> float:
    """Share of the first k that have a label of the query's, as a mean over queries; a query never finds itself.

    rows: int64 (Q, k + 1), of the database, nearest first, MISSING where nothing was found, which counts as wrong.
    """
    found = rows != MISSING
    itself = found & (database.ids[rows] == queries.ids[:, None])
    theirs, own = database.labels[rows], np.expand_dims(queries.labels, 1)
    relevant = (theirs == own) if queries.labels.ndim == 1 else (theirs * own).any(axis=2)
    kept = np.argsort(itself, axis=1, kind="stable")[:, :k]  # the query itself goes last
    return float(np.take_along_axis(relevant & found & ~itself, kept, axis=1).sum() / (k * len(rows)))


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


def timed(way: Way) -> Callable[[], object]:
    queries = np.resize(way.queries, (BATCH, way.queries.shape[1]))  # from the first again where there are fewer
    return lambda: way.index.search(queries, K)


def take_turns(
    searches: Mapping[str, Callable[[], object]], repeats: int, progress: bool = False
) -> dict[str, np.ndarray]:
    """Name -> CPU seconds of each round (R,): all are called in turn in every round, after one to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in searches}
    for _ in tqdm(range(1 + repeats), "search", unit="round", disable=not progress):
        for name, search in searches.items():
            started = seconds(torch.device("cpu"))
            search()
            taken[name].append(seconds(torch.device("cpu")) - started)
    return {name: np.array(found[1:]) for name, found in taken.items()}


def speed_ups(taken: Mapping[str, np.ndarray], reference: str) -> dict[str, np.ndarray]:
    """Name -> how many times faster than the reference in the same round (R,)."""
    return {name: taken[reference] / found for name, found in taken.items()}

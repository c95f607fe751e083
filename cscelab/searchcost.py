"""What searching costs, after ExchNet's Table 1: float features, product quantisation and binary codes of one run.

Precision is of the run's own queries, MOST_QUERIES of them where there are more, and its database. That database is too
small to time, and an exhaustive search does the same work whatever the numbers are: time is of the same rows repeated.
All ways take their turns on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from tqdm.auto import tqdm

from cscelab.cost import seconds
from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import encoding_loader
from cscelab.encode import best_device
from cscelab.indexes.scan import import_faiss, threads
from cscelab.methods.base import HashMethod
from cscelab.retrieval.inputs import whole_number
from cscelab.search import MISSING
from cscelab.searchways import LINEAR, K, Way, binary_ways, flat, float_ways, grow, payload
from cscelab.stored import Run

BATCH = 50  # queries of a timed search
MOST_QUERIES = 1_000  # that precision is of
ROWS, SMOKE_ROWS = 100_000, 1_000
LARGEST_MATRIX = 2**29  # bytes of the float features that time is taken on


@dataclass(frozen=True)
class SearchSetting:
    """What all ways of a run share. n_asked: the queries that precision is of, drawn by the run's seed from its
    n_queries; n_rows: of the database that time is taken on; unit_length: whether features are scaled to length 1, so
    that L2 ranks as the cosine does, which is chosen on the validation split."""

    run: str
    bits: int
    n_asked: int
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
    method, splits = run.model().to(best_device()), run.data(progress)
    seed, bits = run.experiment.seed, run.experiment.bits
    code_bytes = run.experiment.layout.stored_bytes  # of ordinal codes one-hot, as they are searched
    asked = drawn_rows(len(splits.query), seed)
    queries, validation = splits.query.subset(asked), splits.validation
    validation = validation.subset(drawn_rows(len(validation), seed))
    query, database, other = (features_of(method, part, progress) for part in (queries, splits.database, validation))
    unit_length = cosine_finds_more(other, validation, database, splits.database)
    if unit_length:
        query, database = of_unit_length(query), of_unit_length(database)
    width = database.shape[1]
    fitting = min(SMOKE_ROWS if run.experiment.smoke else ROWS, LARGEST_MATRIX // (width * database.itemsize))
    n_rows = max(n_database, fitting) if database_size is None else database_size

    searches, sizes, found = {}, {}, {}
    ways = chain(float_ways(query, database, code_bytes), binary_ways(run, asked))
    for way in tqdm(ways, "precision", disable=not progress):  # one after the other: each holds rows of its own
        rows = way.index.search(way.queries, K + 1)[1]
        found[way.name] = precision_at(rows, queries, splits.database), way.expected
        grow(way.index, way.database, n_rows)
        searches[way.name], sizes[way.name] = timed(way), payload(way.index)
    with threads(1):
        taken = take_turns(searches, repeats, progress)
    ratios = speed_ups(taken, LINEAR)
    setting = SearchSetting(
        run.experiment.name, bits, len(asked), len(splits.query), n_database, n_rows, width, unit_length,
        "network_codes" in run.codes,
    )  # fmt: skip
    return [
        SearchCost(name, *found[name], *sizes[name], ratios[name], 1e3 * float(np.median(taken[name])) / BATCH, setting)
        for name in searches
    ]


def drawn_rows(n: int, seed: int, most: int = MOST_QUERIES) -> np.ndarray:
    """At most so many of n row numbers, in order: all where there are no more, else drawn by the seed."""
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


@torch.inference_mode()
def features_of(method: HashMethod, images: ImageSet, progress: bool = False) -> np.ndarray:
    """What the hash layer sees, float32 (N, d), a batch at a time, on the device the method is on. Raises ValueError
    for a method that tells none."""
    device, features, done = next(method.parameters()).device, np.empty((0, 0), np.float32), 0
    for batch in tqdm(encoding_loader(images), "features", disable=not progress, leave=False):
        one = method(batch.images.to(device)).features
        if one is None:
            raise ValueError(
                f"{method.config.title} gives no features beside its codes, so there is no float search to compare "
                "with; return them in its HashOutput, or choose a run of another method"
            )
        one = one.float().flatten(1).cpu().numpy()
        if not done:
            features = np.empty((len(images), one.shape[1]), np.float32)  # filled in place: it may be gigabytes
        features[done : done + len(one)] = one
        done += len(one)
    return features


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


def timed(way: Way) -> Callable[[], object]:
    """A search by BATCH queries, from the first again where there are fewer. It holds the index, but not the way's
    matrices, whose rows the index may have packed into far less."""
    index, queries = way.index, way.queries[np.arange(BATCH) % len(way.queries)]
    return lambda: index.search(queries, K)


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

"""mAP by sorting, as published evaluators compute it: tied items come in whatever order the sort leaves them.

For comparison only: these numbers move when the rows of the database are rearranged. `evaluate` gives those to report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from cscelab.codes import as_signs
from cscelab.retrieval.ranking import DENOMINATORS, Histograms, ratio

ARRANGEMENTS = ("as stored", "shuffled", "by label", "by label, reversed", "relevant first", "relevant last")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every query against every item, in the order of the database.

    distances: (Q, N) float32, in bits, as published evaluators hold them; relevant: (Q, N) bool, whether the two share
    a label; database_labels: (N,) class ids or (N, C) multi-hot.
    """

    bits: int
    distances: np.ndarray
    relevant: np.ndarray
    database_labels: np.ndarray


def pair_up(
    query_codes: np.ndarray, query_labels: np.ndarray, database_codes: np.ndarray, database_labels: np.ndarray
) -> Pairs:
    """Pairs of codes (Q, K) and (N, K) of -1 and +1 or 0 and 1, labels as class ids or multi-hot. Raises ValueError."""
    query, database = (as_signs(codes).astype(np.float32) for codes in (query_codes, database_codes))
    for side, codes, labels in (("query", query, query_labels), ("database", database, database_labels)):
        if len(codes) != len(labels):
            raise ValueError(f"{len(codes)} {side} codes came with {len(labels)} labels; give one row for each")
    if query.shape[1] != database.shape[1] or query_labels.shape[1:] != database_labels.shape[1:]:
        raise ValueError(
            f"queries have codes {query.shape} and labels {query_labels.shape}, the database {database.shape} and "
            f"{database_labels.shape}; give both the same number of bits and the same kind of labels"
        )
    bits = query.shape[1]
    if query_labels.ndim == 1:
        relevant = query_labels[:, None] == database_labels[None, :]
    else:
        relevant = query_labels.astype(np.float32) @ database_labels.astype(np.float32).T > 0
    return Pairs(bits, np.float32(0.5) * (bits - query @ database.T), relevant, database_labels)


def histograms(pairs: Pairs) -> Histograms:
    """The two counts per distance that decide the expected, best and worst AP, whatever the order of the database."""
    width, n_queries = pairs.bits + 1, len(pairs.distances)
    cells = pairs.distances.astype(np.int64) + width * np.arange(n_queries)[:, None]  # one number a query and distance
    items, relevant = (
        np.bincount(chosen, minlength=n_queries * width).reshape(n_queries, width)
        for chosen in (cells.ravel(), cells[pairs.relevant])
    )
    return Histograms(items, relevant)


def rearranged(pairs: Pairs, arrangement: str, seed: int = 0) -> Pairs:
    """The same pairs with the rows of the database in another order, which no honest number depends on.

    "by label" is the order of a list written class by class, or with the images of the first label in front;
    "relevant first" and "relevant last" give each query a database of its own. Raises ValueError for other names.
    """
    n_items = pairs.distances.shape[1]
    if arrangement in ("relevant first", "relevant last"):
        order = np.argsort(pairs.relevant == (arrangement == "relevant last"), axis=1, kind="stable")  # (Q, N)
        return replace(
            pairs,
            distances=np.take_along_axis(pairs.distances, order, axis=1),
            relevant=np.take_along_axis(pairs.relevant, order, axis=1),
        )
    if arrangement == "as stored":
        return pairs
    if arrangement == "shuffled":
        order = np.random.default_rng(seed).permutation(n_items)
    elif arrangement in ("by label", "by label, reversed"):
        labels = pairs.database_labels
        order = np.argsort(labels, kind="stable") if labels.ndim == 1 else np.lexsort(-labels.T[::-1].astype(np.int8))
        order = order if arrangement == "by label" else order[::-1]
    else:
        raise ValueError(f"unknown arrangement {arrangement!r}; choose from {', '.join(ARRANGEMENTS)}")
    return replace(
        pairs,
        distances=pairs.distances[:, order],
        relevant=pairs.relevant[:, order],
        database_labels=pairs.database_labels[order],
    )


def default_argsort(distances: np.ndarray, k: int) -> np.ndarray:
    """`np.argsort` as it comes: not stable. Ties fall as the processor's fastest sort leaves them."""
    return np.argsort(distances, axis=1)[:, :k]


def stable_argsort(distances: np.ndarray, k: int) -> np.ndarray:
    """A stable sort: ties keep the order of the database. Repeatable, and decided by how the list was written."""
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


def torch_sort(distances: np.ndarray, k: int) -> np.ndarray:
    """`torch.sort` without `stable=True`: ties as the device's sort leaves them."""
    return torch.sort(torch.from_numpy(np.ascontiguousarray(distances)), dim=1).indices[:, :k].numpy()


def torch_topk(distances: np.ndarray, k: int) -> np.ndarray:
    """`torch.topk` of the negated distances: a partial sort, whose choice among ties may change with k."""
    return torch.topk(-torch.from_numpy(np.ascontiguousarray(distances)), k, dim=1).indices.numpy()


# Distances (Q, N) and k -> the positions of the top k in the database (Q, k).
Sort = Callable[[np.ndarray, int], np.ndarray]
SORTS: dict[str, Sort] = {
    "np.argsort": default_argsort,
    "np.argsort, stable": stable_argsort,
    "torch.sort": torch_sort,
    "torch.topk": torch_topk,
}


class Evaluator(NamedTuple):
    """A published evaluator: how it sorts, what it divides by, whether it drops the queries without a hit."""

    sort: str
    denominator: str
    drops_missed: bool = False


# Read in the repositories and written anew; all of them rank by distance and say nothing of ties.
EVALUATORS: dict[str, Evaluator] = {
    "CSQ, DeepHash-pytorch, CSCE-Net": Evaluator("np.argsort", "retrieved"),
    "HashNet": Evaluator("np.argsort", "retrieved", drops_missed=True),
    "torchmetrics": Evaluator("torch.topk", "retrieved"),
}


def sorted_average_precision(
    pairs: Pairs, sort: str, k: int | None = None, denominator: str = "retrieved"
) -> tuple[np.ndarray, np.ndarray]:
    """AP@k (Q,) of one sort, and the relevant items it finds in the top k (Q,); k=None ranks the whole database.

    Raises ValueError for an unknown sort or denominator, or k < 1.
    """
    if sort not in SORTS or denominator not in DENOMINATORS:
        raise ValueError(
            f"sort {sort!r} divided by {denominator!r}; choose from {', '.join(SORTS)} and {', '.join(DENOMINATORS)}"
        )
    if k is not None and k < 1:
        raise ValueError(f"k is {k}; expected a whole number of at least 1, or None for the whole database")
    depth = min(k or pairs.distances.shape[1], pairs.distances.shape[1])
    found = np.take_along_axis(pairs.relevant, SORTS[sort](pairs.distances, depth), axis=1)  # (Q, k) in rank order
    precision = np.cumsum(found, axis=1) / np.arange(1, depth + 1)
    hits, n_relevant = found.sum(axis=1), pairs.relevant.sum(axis=1)
    divisor = {"retrieved": hits, "capped": np.minimum(depth, n_relevant), "relevant": n_relevant}[denominator]
    return ratio((precision * found).sum(axis=1), divisor), hits


def sorted_map(pairs: Pairs, sort: str, k: int | None = None, denominator: str = "retrieved") -> float:
    """mAP@k of one sort; queries without a relevant item count as 0."""
    return float(sorted_average_precision(pairs, sort, k, denominator)[0].mean())


def published_map(pairs: Pairs, evaluator: str, k: int | None = None) -> float:
    """mAP@k as an evaluator of `EVALUATORS` gives it; NaN where it drops every query. Raises ValueError."""
    if evaluator not in EVALUATORS:
        raise ValueError(f"unknown evaluator {evaluator!r}; choose from {', '.join(EVALUATORS)}")
    sort, denominator, drops_missed = EVALUATORS[evaluator]
    ap, hits = sorted_average_precision(pairs, sort, k, denominator)
    kept = ap[hits > 0] if drops_missed else ap
    return float(kept.mean()) if len(kept) else float("nan")


def collapsed_codes(
    n_codes: int = 1, flips: float = 0.0, n_query: int = 200, n_database: int = 1000, bits: int = 16, seed: int = 0
) -> dict[str, np.ndarray]:
    """Codes that say little or nothing, of images with several of ten labels: the arguments of `pair_up` by name.

    Labels are drawn one by one, the first for six images in ten and each next one for .7 as many; an image without any
    gets one. Codes are drawn from `n_codes`, whatever the labels, and each bit is flipped with probability `flips`.
    """
    rng = np.random.default_rng(seed)
    n_labels, n_images = 10, n_query + n_database
    labels = rng.random((n_images, n_labels)) < 0.6 * 0.7 ** np.arange(n_labels)
    bare = ~labels.any(axis=1)
    labels[bare, rng.integers(0, n_labels, bare.sum())] = True
    drawn = rng.choice([-1, 1], (n_codes, bits))[rng.integers(0, n_codes, n_images)]
    codes = (drawn * np.where(rng.random(drawn.shape) < flips, -1, 1)).astype(np.int8)
    query, database = slice(n_query), slice(n_query, None)
    return {
        "query_codes": codes[query], "query_labels": labels[query].astype(np.uint8),
        "database_codes": codes[database], "database_labels": labels[database].astype(np.uint8),
    }  # fmt: skip

"""Anyone's codes under every convention: how much of a published mAP is the codes, and how much the evaluator.

The ties and the denominator decide mAP@k together with the codes, and papers rarely name them. A repository that
sorts gives one more number for every order of its database, so a few random orders show where such code lands.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tqdm.auto import tqdm

from cscelab.evaluate import Array, Report, evaluate
from cscelab.paths import make_folder
from cscelab.retrieval import inputs
from cscelab.retrieval.ranking import DENOMINATORS, TIES

DEPTHS = (None, 100, 1000, 5000)  # k; None is the whole database
ORDERS = 10  # random orders of the database
ORDER_PAIRS = 5 * 10**8  # pairs of query and item that all random orders together may compare: some seconds
REMEDY = "name another folder with --out"

MapAt = Mapping[int | None, Mapping[str, Mapping[str, float]]]
LEGEND = (
    "divided by retrieved: S_k / relevant items in the top k (hashing repositories; finding fewer can raise it).",
    "divided by capped: S_k / min(k, relevant items); divided by relevant: S_k / relevant items in the database.",
    "expected: the mean over all orders of tied items. index: tied items in the order of the files.",
    "worst, best: the least and most that an order of tied items gives each query; no one order need do so for all.",
)


@dataclass(frozen=True, eq=False)
class Scores:
    """What the same codes score under every convention.

    map_at: k (None: the whole database) -> ties -> denominator -> mAP@k; orders: k -> denominator -> mAP@k with ties
    by index in each of a few random orders of the database (orders,), measured on `order_queries` of the queries and,
    where these are not all, moved by the difference between all queries' and their expected mAP; report: every other
    measure, which always counts the queries without a relevant item as 0; empty: how `map_at` and `orders` count them.
    """

    map_at: MapAt
    orders: Mapping[int | None, Mapping[str, np.ndarray]]
    order_queries: int
    empty: str
    report: Report

    @property
    def ks(self) -> tuple[int | None, ...]:
        """The depths, in the order asked for."""
        return tuple(self.map_at)

    @property
    def n_orders(self) -> int:
        """Random orders tried; 0 where they were left out."""
        return len(self.orders[self.ks[0]][DENOMINATORS[0]]) if self.orders else 0

    @property
    def sampled(self) -> bool:
        """Whether the random orders were measured on a sample of the queries: their band is wider for it."""
        return bool(self.orders) and self.order_queries < self.report.n_query

    def rows(self) -> list[dict[str, Any]]:
        """One row a number: k ("all" or a number), ties, denominator, map; random orders by lowest and highest."""
        found = [
            (k, ties, denominator, self.map_at[k][ties][denominator])
            for k in self.ks
            for denominator in DENOMINATORS
            for ties in TIES
        ]
        for k, by_denominator in self.orders.items():
            for denominator, values in by_denominator.items():
                found += [
                    (k, "random order, lowest", denominator, float(values.min())),
                    (k, "random order, highest", denominator, float(values.max())),
                ]
        return [{"k": depth(k), "ties": ties, "denominator": d, "map": value} for k, ties, d, value in found]

    def spread(self, k: int | None = None) -> tuple[float, float]:
        """The lowest and the highest mAP@k over all ties and denominators."""
        values = [value for by_denominator in self.map_at[k].values() for value in by_denominator.values()]
        return min(values), max(values)

    def statement(self, k: int | None = None) -> str:
        """The spread in one sentence."""
        lowest, highest = self.spread(k)
        if highest - lowest < 5e-5:
            return f"The same codes score {highest:.4f} at k={depth(k)} under all ties and denominators."
        span = f"{lowest:.4f} to {highest:.4f}"
        return f"The same codes score {span} at k={depth(k)} depending on ties and denominators alone."

    def table(self) -> str:
        """Plain text: a line for every k and denominator, the spread, and what the conventions mean."""
        report = self.report
        orders = f"{self.n_orders} random orders" if self.orders else ""
        first = max(7, *(len(depth(k)) + 2 for k in self.ks))
        line = f"{{:<{first}}}{{:<12}}{{:>10}}{{:>10}}{{:>10}}{{:>10}}   {{}}".format
        lines = [
            f"mAP@k of {report.layout}, {report.n_query} queries against {report.n_database} items",
            line("k", "divided by", "expected", "index", "worst", "best", orders).rstrip(),
        ]
        for k in self.ks:
            for denominator in DENOMINATORS:
                by_ties = {ties: f"{self.map_at[k][ties][denominator]:.4f}" for ties in TIES}
                drawn = self.orders[k][denominator] if self.orders else None
                span = "" if drawn is None else f"{drawn.min():.4f} to {drawn.max():.4f}"
                four = (by_ties[ties] for ties in ("expected", "index", "worst", "best"))
                lines.append(line(depth(k), denominator, *four, span).rstrip())
        return "\n".join([*lines, *(self.statement(k) for k in self.ks), *LEGEND, *self.remarks()])

    def remarks(self) -> list[str]:
        """How the random orders and the queries without a relevant item were counted."""
        found = []
        if not self.orders:
            found.append("No random orders of the database were tried.")
        elif self.sampled:
            found += [
                f"Random orders were measured on {self.order_queries} of the {self.report.n_query} queries, "
                "and moved by the difference of the expected mAP.",
                "The band from a sample is wider than that of all queries.",
            ]
        if self.report.n_empty:
            counted = "left out" if self.empty == "drop" else "counted as 0"
            found.append(f"{self.report.n_empty} queries have no relevant item and are {counted}.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything in JSON's own types; k is null for the whole database."""
        return {
            "empty": self.empty,
            "rows": [row | {"k": None if row["k"] == "all" else int(row["k"])} for row in self.rows()],
            "spread": [dict(zip(("k", "lowest", "highest"), (k, *self.spread(k)), strict=True)) for k in self.ks],
            "random_orders": [
                {"k": k, "denominator": denominator, "map": values.tolist()}
                for k, by_denominator in self.orders.items()
                for denominator, values in by_denominator.items()
            ],
            "random_order_queries": self.order_queries,
            "remarks": self.remarks(),
            "report": self.report.to_dict(),
        }

    def save(self, folder: str | Path) -> list[Path]:
        """Writes score.csv (`rows`) and score.json (`to_dict`) into the folder, which is made; returns both paths.

        Both have temporary names until they are whole. Raises OSError where they cannot be written.
        """
        folder = make_folder(Path(folder), REMEDY)
        table = StringIO(newline="")
        writer = csv.DictWriter(table, ("k", "ties", "denominator", "map"))
        writer.writeheader()
        writer.writerows(self.rows())
        contents = {
            folder / "score.csv": table.getvalue(),
            folder / "score.json": json.dumps(self.to_dict(), indent=1) + "\n",
        }
        for path, content in contents.items():
            _write(path, content)
        return list(contents)


def score(
    query_codes: Array, query_labels: Array, database_codes: Array, database_labels: Array, *,
    ks: Sequence[int | None] | int | None = None, bits: int | None = None, arity: int | None = None,
    empty: Literal["zero", "drop"] = "zero", query_ids: Array | None = None, database_ids: Array | None = None,
    orders: int = ORDERS, seed: int = 0, order_pairs: int = ORDER_PAIRS,
) -> Scores:  # fmt: skip
    """mAP@k of codes (Q, K) against (N, K) under all ties and denominators; input as `cscelab.evaluate.evaluate`.

    Args:
        ks: one depth or several, None for the whole database, as is any depth beyond it; by default DEPTHS as far as
            the database reaches.
        bits: K of packed codes; with an arity the bits that their symbols tell, R log2(k).
        arity: k where codes are R symbols of k values written one-hot: it changes no mAP, and is checked; radii and
            distances of the report then count symbols.
        empty: queries without any relevant item count as 0, or are dropped.
        orders: random orders of the database, drawn from `seed`, to sort in; 0 leaves them out.
        order_pairs: pairs of query and item to compare for them; beyond, a random sample of the queries is measured.

    Raises:
        ValueError: input that does not fit together, or no query left to average.
    """
    inputs.one_of("empty", empty, ("zero", "drop"))
    orders, seed = inputs.whole_number("orders", orders, least=0), inputs.whole_number("seed", seed, least=0)
    order_pairs = inputs.whole_number("order_pairs", order_pairs)
    query_codes, query_labels = _array("query codes", query_codes), _array("query labels", query_labels)
    database_codes, database_labels = (
        _array("database codes", database_codes),
        _array("database labels", database_labels),
    )
    query_ids = None if query_ids is None else _array("query ids", query_ids)
    database_ids = None if database_ids is None else _array("database ids", database_ids)
    n_query, n_database = len(query_codes), len(database_codes)
    asked = inputs.several(ks) if ks is not None else [k for k in DEPTHS if k is None or k < n_database]
    depths = tuple(dict.fromkeys(inputs.depth("k", k) for k in asked))
    report = evaluate(
        query_codes, query_labels, database_codes, database_labels,
        k=depths, bits=bits, arity=arity, query_ids=query_ids, database_ids=database_ids,
    )  # fmt: skip
    if empty == "drop" and report.n_empty == report.n_query:
        raise ValueError('no query has a relevant item and empty="drop" leaves none to average; check the labels')
    map_at = _counted(report, empty)
    sample_size = min(n_query, max(1, order_pairs // max(1, orders * n_database)))
    sample = np.sort(np.random.default_rng(seed).choice(n_query, sample_size, replace=False))
    generator = np.random.default_rng([seed, 1])  # the orders do not depend on the number of queries
    drawn: dict[int | None, dict[str, list[float]]] = {k: {d: [] for d in DENOMINATORS} for k in depths}
    for _ in tqdm(range(orders), "random orders", delay=2, leave=False):
        order = generator.permutation(n_database)
        sorting = evaluate(
            query_codes[sample], query_labels[sample], database_codes[order], database_labels[order],
            k=depths, bits=bits, arity=arity, precision_at=(), radius=(), ties=("expected", "index"),
            query_ids=None if query_ids is None else query_ids[sample],
            database_ids=None if database_ids is None else database_ids[order],
        )  # fmt: skip
        if empty == "drop" and sorting.n_empty == sorting.n_query:
            raise ValueError(
                f"none of the {sample_size} queries sampled for random orders has a relevant item; "
                "raise order_pairs, or leave them out with orders=0"
            )
        sampled = _counted(sorting, empty)
        for k in depths:
            for denominator in DENOMINATORS:
                moved = map_at[k]["expected"][denominator] - sampled[k]["expected"][denominator]
                drawn[k][denominator].append(sampled[k]["index"][denominator] + moved)
    found = {k: {d: np.array(values) for d, values in by.items()} for k, by in drawn.items()} if orders else {}
    return Scores(map_at, found, len(sample) if orders else 0, empty, report)


def _counted(report: Report, empty: str) -> MapAt:
    """`report.map_at`, where "drop" averages over the queries with a relevant item: the others add 0 to any sum."""
    share = report.n_query / max(1, report.n_query - report.n_empty) if empty == "drop" else 1.0
    return {
        k: {ties: {d: value * share for d, value in by.items()} for ties, by in by_ties.items()}
        for k, by_ties in report.map_at.items()
    }


def _array(name: str, array: Any) -> Array:
    """As it is, or the array of a list. Raises ValueError for what has no rows."""
    found = array if isinstance(array, np.ndarray | torch.Tensor) else inputs.as_numpy(name, array)
    if found.ndim == 0:
        raise ValueError(f"{name} are a single number; expected an array, a row an item")
    return found


def _write(path: Path, content: str) -> None:
    """All of the file or none: under a temporary name until it is whole."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(content, encoding="utf-8", newline="")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"cannot write {path} ({error.strerror or error}); {REMEDY}") from error


def depth(k: int | None) -> str:
    """k in words: "all" for the whole database."""
    return "all" if k is None else str(k)

"""What each threshold does to a database and to the retrieval from it, under the paper's rule and the released one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cscelab.dsf import RELEASED_MAJORITY, band, dynamic_sign, sign
from cscelab.evaluate import evaluate
from cscelab.figures.ranks import MANTISSAS
from cscelab.figures.trials import imbalance
from cscelab.retrieval.bootstrap import difference

SMALLEST = 0.001  # the first step after 0
MOST_QUERIES, MOST_ITEMS = 500, 10_000  # of a population: its mAP is counted at every step


@dataclass(frozen=True)
class Rule:
    """Who is the majority (`count`, `majority`), and whether the band holds its own edges (`interval`): see `dsf`."""

    name: str
    count: str
    interval: str
    majority: int | None = None

    def codes(self, values: Tensor, threshold: Tensor | float) -> Tensor:
        """Codes (B, K) of values (B, K), with one threshold for all images or one for each, (B, 1)."""
        return dynamic_sign(values, threshold, self.count, self.interval, majority=self.majority)

    def inside(self, values: Tensor, threshold: Tensor | float) -> Tensor:
        """Bool (B, K): the values in the band."""
        return band(values, threshold, self.interval)


PAPER = Rule("paper", "outside", "closed")
RELEASED = Rule("released", "all", "open", RELEASED_MAJORITY)
RULES = (PAPER, RELEASED)


def threshold_steps(values: np.ndarray) -> tuple[float, ...]:
    """0, then six steps a decade from .001 to the first that has every value in its band."""
    largest, steps = float(np.abs(values).max()), [0.0]
    decade = SMALLEST
    while steps[-1] < largest or len(steps) == 1:
        steps.append(float(f"{decade * MANTISSAS[(len(steps) - 1) % len(MANTISSAS)]:.3g}"))
        decade = SMALLEST * 10 ** ((len(steps) - 1) // len(MANTISSAS))
    return tuple(steps)


@dataclass(frozen=True)
class Population:
    """What each threshold, the same for all images, does to a database and to the retrieval from it.

    by_rule: rule's name -> a row a threshold, the index: "in band", "flipped" (shares of bits), "images changed"
    (share), "imbalance" (mean over images of |+1 minus -1| / K), "mAP" (all ranks, expected over ties), and "gain"
    over plain sign with its 95% interval over the queries, "low" and "high". own: rule's name -> the same numbers with
    each image's own threshold; own_threshold: their median; both None where the method has no threshold.
    """

    title: str
    by_rule: Mapping[str, pd.DataFrame]
    own: Mapping[str, Mapping[str, float]] | None
    own_threshold: float | None
    imbalance: float  # of plain sign
    mean_average_precision: float  # of plain sign
    bits: int
    n_query: int
    n_database: int
    smoke: bool = False

    @property
    def thresholds(self) -> np.ndarray:
        return self.by_rule[PAPER.name].index.to_numpy(float)

    def at(self, threshold: float | None) -> Mapping[str, Mapping[str, float]]:
        """rule's name -> the numbers at one of the thresholds, or, for None, at each image's own. Raises ValueError."""
        if threshold is None:
            if self.own is None:
                raise ValueError(f"{self.title} has no threshold of its own; choose one of the steps")
            return self.own
        if threshold not in self.thresholds:
            steps = ", ".join(f"{step:g}" for step in self.thresholds)
            raise ValueError(f"the population was not measured at t = {threshold:g}; choose from {steps}")
        return {name: frame.loc[threshold].to_dict() for name, frame in self.by_rule.items()}


def population(
    codes: Mapping[str, np.ndarray], thresholds: Sequence[float] | None = None, title: str = "", smoke: bool = False
) -> Population:
    """Measures every threshold, `threshold_steps` by default, under both rules; about a second for 32 bits.

    codes: `Collection.codes` or `Run.codes`. Of more than 500 queries or 10,000 database images evenly spaced ones are
    taken. This explores on the queries themselves: nothing here may be reported as a tuned threshold's result.
    """
    queries, items = (_some(codes, "query", MOST_QUERIES), _some(codes, "database", MOST_ITEMS))
    steps = threshold_steps(items["values"].numpy()) if thresholds is None else tuple(thresholds)
    if 0.0 not in steps:
        raise ValueError(f"the thresholds begin at {min(steps)}; begin with 0, where only exact zeros are in the band")
    plain = {"query": sign(queries["values"]), "database": sign(items["values"])}
    reference = _average_precision(queries, items, plain["query"], plain["database"])
    by_rule, own, own_threshold = {}, None, None
    for rule in RULES:
        rows = [_measured(rule, queries, items, plain["database"], step, step) for step in steps]
        by_rule[rule.name] = _frame(rows, reference).set_index(pd.Index(steps, name="threshold"))
    if "thresholds" in items:
        own_threshold = float(items["thresholds"].median())
        mine, theirs = queries["thresholds"], items["thresholds"]
        frame = _frame([_measured(rule, queries, items, plain["database"], mine, theirs) for rule in RULES], reference)
        own = {rule.name: frame.iloc[i].to_dict() for i, rule in enumerate(RULES)}
    return Population(
        title, by_rule, own, own_threshold, imbalance(plain["database"]), float(reference.mean()),
        plain["database"].shape[1], len(plain["query"]), len(plain["database"]), smoke,
    )  # fmt: skip


def _some(codes: Mapping[str, np.ndarray], side: str, most: int) -> dict[str, Any]:
    """values (n, K) and thresholds (n, 1) as tensors, labels and ids, of at most so many images."""
    n = len(codes[f"{side}_values"])
    rows = np.linspace(0, n - 1, min(n, most)).round().astype(int)
    part: dict[str, Any] = {name: codes[f"{side}_{name}"][rows] for name in ("labels", "ids")}
    part["values"] = torch.from_numpy(np.asarray(codes[f"{side}_values"][rows], np.float32))
    if f"{side}_thresholds" in codes:
        part["thresholds"] = torch.from_numpy(np.asarray(codes[f"{side}_thresholds"][rows], np.float32))[:, None]
    return part


def _measured(
    rule: Rule, queries: Mapping[str, Any], items: Mapping[str, Any], plain: Tensor,
    query_threshold: Tensor | float, threshold: Tensor | float,
) -> dict[str, Any]:  # fmt: skip
    """One row of `Population.by_rule`, with AP (Q,) where mAP and gain will stand."""
    dynamic = rule.codes(items["values"], threshold)
    flipped = dynamic != plain
    return {
        "in band": float(rule.inside(items["values"], threshold).float().mean()),
        "flipped": float(flipped.float().mean()),
        "images changed": float(flipped.any(dim=1).float().mean()),
        "imbalance": imbalance(dynamic),
        "AP": _average_precision(queries, items, rule.codes(queries["values"], query_threshold), dynamic),
    }


def _frame(rows: Sequence[dict[str, Any]], reference: np.ndarray) -> pd.DataFrame:
    """Rows with AP (Q,) -> rows with mAP, and with the gain over the reference (Q,) and its interval."""
    precisions = np.stack([row.pop("AP") for row in rows], axis=1)  # (Q, T)
    gains = difference(precisions, np.broadcast_to(reference[:, None], precisions.shape))
    columns = {"mAP": precisions.mean(axis=0), "gain": gains.value, "low": gains.low, "high": gains.high}
    return pd.DataFrame(rows).assign(**columns)


def _average_precision(
    queries: Mapping[str, Any], items: Mapping[str, Any], query_codes: Tensor, database_codes: Tensor
) -> np.ndarray:
    return evaluate(
        query_codes.numpy().astype(np.int8), queries["labels"], database_codes.numpy().astype(np.int8), items["labels"],
        query_ids=queries["ids"], database_ids=items["ids"], ties="expected",
    ).average_precision  # fmt: skip

"""Notebooks 06 to 09: activation maps, galleries, evaluation, the query browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cscelab.collection import Collection, Query
from cscelab.datasets import ImageSet, Splits
from cscelab.evaluate import mean_average_precision
from cscelab.experiment import Run
from cscelab.explain import CodeAgreement, mass_inside
from cscelab.figures.choices import target_shares
from cscelab.figures.exercises.answers import Exercise, near, number, numbers, whole
from cscelab.figures.tie_lessons import gain_by_losing, orders_table
from cscelab.methods.base import HashMethod
from cscelab.neighbours import nearest

ROUNDING = 1e-9  # a mean of ones need not be exactly 1


def mass_of_a_perfect_map(answer: Any) -> bool:
    mask = np.zeros((1, 10, 10))
    mask[0, 0] = 1
    return near(answer, mass_inside(mask, mask)[0], 1e-6)


def agreement_with_the_opposite(answer: Any, method: HashMethod, images: Tensor) -> bool:
    with torch.no_grad():
        opposite = -method(images[:1]).codes
        return bool(np.isclose(number(answer), float(CodeAgreement(method, opposite)(images[:1])), rtol=1e-4))


def row_of_the_best_map(answer: Any, cams: np.ndarray, queries: ImageSet) -> bool:
    assert queries.masks is not None, "the embedded data has masks"
    ratios = mass_inside(cams, queries.masks)
    row = whole(answer)
    return 0 <= row < len(ratios) and bool(ratios[row] == np.nanmax(ratios))


def queries_with_ten_right(answer: Any, csce: Run) -> bool:
    return whole(answer) == int(nearest(csce, 10).right.all(axis=1).sum())


def different_distances(answer: Any, csce: Run) -> bool:
    n_database = len(csce.codes["database_codes"])
    return whole(answer) == len(set(nearest(csce, n_database, np.array([0])).distances[0].tolist()))


def row_of_the_smallest_target(answer: Any, splits: Splits) -> bool:
    sizes = target_shares(splits.query)
    assert sizes is not None, "the embedded data has masks"
    row = whole(answer)
    return 0 <= row < len(sizes) and bool(sizes[row] == sizes[sizes > 0].min())


def expected_precision_of_three_tied(answer: Any) -> bool:
    return near(answer, float(orders_table([4, 4, 4], [1, 0, 0]).loc["mean", "relevant"]))


def ranking_that_gains_by_losing(answer: Any) -> bool:
    marks = numbers(answer, 5)
    if not set(marks) <= {0, 1}:
        return False
    relevant = [int(mark) for mark in marks]
    return gain_by_losing(relevant, 5) > ROUNDING and gain_by_losing(relevant, 5, "capped") < 0


def shuffles_beyond_the_gap(
    answer: Any, trained: Mapping[str, np.ndarray], gap: float, at_ten: Sequence[float]
) -> bool:
    expected = mean_average_precision(**trained, k=10)  # type: ignore[arg-type]
    return whole(answer) == sum(abs(value - expected) > abs(gap) for value in at_ten)


def queries_whose_nearest_is_wrong(answer: Any, collection: Collection) -> bool:
    rows = range(len(collection.splits.query))
    return whole(answer) == sum(not collection.find(collection.query(row), 1).right[0] for row in rows)


def distance_to_another_class(answer: Any, collection: Collection, hard: Query) -> bool:
    distances = collection.distances(collection.code_of(hard)[0])
    return whole(answer) == distances[collection.codes["database_labels"] != hard.label].min()


def rank_of_csqs_first_right(answer: Any, table: pd.DataFrame) -> bool:
    return whole(answer) == table.query("method == 'CSQ' and right")["rank"].min()


EXERCISES = {
    "06-1": Exercise(mass_of_a_perfect_map, "all of the mass, over a tenth of the area"),
    "06-2": Exercise(agreement_with_the_opposite, "s is linear in b"),
    "06-3": Exercise(row_of_the_best_map, "the largest of the ratios above"),
    "07-1": Exercise(queries_with_ten_right, "nearest(csce, 10).right has a row a query"),
    "07-2": Exercise(different_distances, "count the rows of the table above"),
    "07-3": Exercise(row_of_the_smallest_target, "target_shares; 0 is a hidden target"),
    "08-1": Exercise(
        expected_precision_of_three_tied, "the relevant image is at rank 1, 2 or 3, and AP is 1 over its rank"
    ),
    "08-2": Exercise(
        ranking_that_gains_by_losing,
        "AP is a mean of precisions: let the last relevant image come late, after a good start",
    ),
    "08-3": Exercise(
        shuffles_beyond_the_gap,
        "at_ten holds mAP@10 of the shuffles; mean_average_precision(**trained, k=10) stands still",
    ),
    "09-1": Exercise(queries_whose_nearest_is_wrong, "collection.find(query, k=1).right, for each query"),
    "09-2": Exercise(
        distance_to_another_class, "among=np.flatnonzero(collection.codes['database_labels'] != hard.label)"
    ),
    "09-3": Exercise(rank_of_csqs_first_right, "choose the rows where right is True, then the smallest rank"),
}

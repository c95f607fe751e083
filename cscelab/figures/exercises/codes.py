"""Notebooks 00 to 02: codes and distances, hash centers, the dynamic sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cscelab.centers import center_report, hash_centers
from cscelab.collection import Collection
from cscelab.dsf import PAPER_CAP, dynamic_sign, learned_threshold
from cscelab.figures.exercises.answers import Exercise, Unfit, near, number, numbers, whole
from cscelab.hadamard import hadamard

LONGEST_CODE = 4096  # bits; longer centers take seconds to build


def inner_product_of_codes(answer: Any) -> bool:
    bits, differing = 32, 5
    return (bits - number(answer)) / 2 == differing


def images_with_the_querys_code(answer: Any, collection: Collection) -> bool:
    code, _ = collection.code_of(collection.query(0))
    return whole(answer) == int((collection.distances(code) == 0).sum())


def average_precision_of_ranks(answer: Any) -> bool:
    ranks = np.array([1, 2, 5])
    return near(answer, float((np.arange(1, 4) / ranks).mean()))


def distance_of_centers(answer: Any) -> bool:
    bits, product = 24, 8
    return bits - 2 * number(answer) == product


def most_hadamard_classes(answer: Any) -> bool:
    return whole(answer) == 2 * len(hadamard(20))


def length_with_half_the_bits(answer: Any) -> bool:
    bits = whole(answer)
    if bits < 6 or bits % 4 or bits & (bits - 1) == 0:
        return False
    if bits > LONGEST_CODE:
        raise Unfit(f"is more than the {LONGEST_CODE:,} bits that are tried here")
    return bool(2 * center_report(hash_centers(60, bits)).min_distance == bits)


def dynamic_sign_by_hand(answer: Any) -> bool:
    values = [0.3, 0.05, -0.4, -0.5, -0.05]
    return dynamic_sign(torch.tensor([values]), 0.1)[0].tolist() == numbers(answer, len(values))


def price_of_a_flip(answer: Any) -> bool:
    value = 0.25
    return near(answer, (value + 1) ** 2 - (value - 1) ** 2, 1e-6)


def output_for_half_the_cap(answer: Any) -> bool:
    threshold = learned_threshold(torch.tensor([[number(answer)]]))
    return near(threshold, PAPER_CAP / 2, 1e-9)


EXERCISES = {
    "00-1": Exercise(inner_product_of_codes, "d = (K - inner product) / 2"),
    "00-2": Exercise(images_with_the_querys_code, "the first bar of the histogram; `distances` has them all"),
    "00-3": Exercise(average_precision_of_ranks, "the precision at each rank with a right image, averaged"),
    "01-1": Exercise(distance_of_centers, "d = (K - inner product) / 2"),
    "01-2": Exercise(most_hadamard_classes, "rows and their negatives"),
    "01-3": Exercise(
        length_with_half_the_bits,
        "60 classes fit into rows and negatives from 30 bits on; hadamard_name says which orders can be built",
    ),
    "02-1": Exercise(dynamic_sign_by_hand, "who is in the minority outside the band?"),
    "02-2": Exercise(price_of_a_flip, "the square of the distance to the other sign, less that to its own"),
    "02-3": Exercise(output_for_half_the_cap, "t = cap * sigmoid(output)"),
}

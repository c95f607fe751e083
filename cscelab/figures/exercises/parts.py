"""Notebook 11: the distance of two maps, a bit of the code step, and where learned codes are not the network's."""

from __future__ import annotations

from typing import Any

import torch

from cscelab.asymmetric import label_pull
from cscelab.diversity import part_distances
from cscelab.experiment import Run
from cscelab.figures.exercises.answers import Exercise, near, whole


def distance_of_two_maps(answer: Any) -> bool:
    maps = torch.tensor([[[0.64, 0.36], [0.36, 0.64]]], dtype=torch.float64)
    return near(answer, float(part_distances(maps.log())))


def score_of_a_bit(answer: Any) -> bool:
    drawn, code = torch.tensor([[0.8, -0.6, 0.4]]), torch.tensor([[1.0, -1.0, 1.0]])
    pull = label_pull(drawn, torch.tensor([0]), torch.tensor([1]), weight=0.25)
    return near(answer, float(pull[0, 0] - code[0, 1:] @ drawn[0, 1:] * drawn[0, 0]), 1e-4)


def images_that_the_network_codes_otherwise(answer: Any, exchnet: Run) -> bool:
    learned, network = (exchnet.database(by)[0] for by in ("learned", "network"))
    return whole(answer) == int((learned != network).any(axis=1).sum())


EXERCISES = {
    "11-1": Exercise(distance_of_two_maps, "the square of the distance is 1 - (the sum of sqrt(p q))"),
    "11-2": Exercise(
        score_of_a_bit, "K S u_1, less u_1 times u and v's inner product over the other two bits; S is -r"
    ),
    "11-3": Exercise(
        images_that_the_network_codes_otherwise, "an image counts once, however many of its bits differ: any(axis=1)"
    ),
}

"""Rows of an epoch: all of them shuffled as ever, or those a method asks for, the same whenever it is asked again."""

import numpy as np
import pytest
import torch
from small_training import IDS, train_set

from cscelab.datasets.loader import SeededShuffle, training_loader
from cscelab.methods.adsh import ADSHConfig
from cscelab.methods.base import HashMethod, MethodConfig


def twice_the_first(n: int, epoch: int, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.permutation(n)[:4]
    return np.concatenate([drawn, drawn[::-1]])


@pytest.mark.parametrize(("seed", "epoch", "order"), [
    (0, 0, [3, 2, 5, 4, 0, 1]),
    (1, 0, [4, 0, 2, 1, 5, 3]),
    (1, 3, [2, 3, 4, 0, 5, 1]),
])  # fmt: skip
def test_without_a_method_every_row_is_visited_once_in_the_order_it_always_had(seed, epoch, order):
    sampler = SeededShuffle(6, seed)
    sampler.set_epoch(epoch)
    assert list(sampler) == order
    assert len(sampler) == 6


def test_a_method_that_asks_for_nothing_visits_each_image_once_in_that_order():
    plain, asked = SeededShuffle(50, 3), SeededShuffle(50, 3, HashMethod(MethodConfig(), 2, 8).epoch_rows)
    for epoch in (0, 1, 7):
        plain.set_epoch(epoch)
        asked.set_epoch(epoch)
        assert list(asked) == list(plain)


def test_the_rows_of_a_method_are_the_epoch():
    sampler = SeededShuffle(10, 0, twice_the_first)
    assert len(sampler) == 8
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        rows = list(sampler)
        assert rows[4:] == rows[3::-1]
        assert len(set(rows)) == 4
        epochs.append(rows)
    assert len({tuple(rows) for rows in epochs}) == 3
    resumed = SeededShuffle(10, 0, twice_the_first)
    resumed.set_epoch(2)
    assert list(resumed) == epochs[2] == list(resumed)


@pytest.mark.parametrize(("batch_size", "sizes"), [(3, [3, 3]), (4, [4, 4]), (8, [8]), (9, [8])])
def test_batches_are_of_these_rows_and_only_a_smaller_last_one_is_dropped(batch_size, sizes):
    loader = training_loader(train_set(), batch_size, 0, twice_the_first)
    batches = list(loader)
    assert [len(batch.ids) for batch in batches] == sizes
    assert len(loader) == len(sizes)
    expected = IDS[list(SeededShuffle(6, 0, twice_the_first))]
    assert torch.equal(torch.cat([batch.ids for batch in batches]), expected[: sum(sizes)])


@pytest.mark.parametrize(("samples", "passes", "drawn"), [(4, 3, 4), (10, 3, 10), (25, 2, 10), (4, 1, 4)])
def test_alternating_methods_pass_over_some_drawn_images_several_times(samples, passes, drawn):
    method = ADSHConfig(samples=samples, passes=passes).build(3, 8)
    sampler = SeededShuffle(10, 0, method.epoch_rows)
    rows = np.array(list(sampler)).reshape(passes, drawn)
    assert len(sampler) == passes * drawn
    assert all(sorted(each) == sorted(rows[0]) for each in rows)
    assert len(set(rows[0].tolist())) == drawn
    assert (rows == rows[0]).all()  # each pass in one order

"""HashNet: weighted likelihood by a loop, kappa's schedule, and what no kappa changes."""

import math
from itertools import pairwise

import pytest
import torch
from small_training import IMAGES, LABELS, MULTI, made, step, trained

from cscelab.dsf import sign
from cscelab.methods.hashnet import SCHEDULES, HashNetConfig, continuation, label_overlap, weighted_likelihood
from cscelab.pairs import similarity

CODES = torch.randn(6, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64).tanh()


def shared_and_all(labels, i, j):
    """How many labels two images share, and how many they have together."""
    if labels.ndim == 1:
        return int(labels[i] == labels[j]), 2 - int(labels[i] == labels[j])
    return int((labels[i] & labels[j]).sum()), int((labels[i] | labels[j]).sum())


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
@pytest.mark.parametrize(("weighted", "overlap"), [(False, False), (True, False), (True, True)])
def test_likelihood_is_the_loop_over_pairs(labels, weighted, overlap):
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    n_similar = sum(shared_and_all(labels, i, j)[0] > 0 for i, j in pairs)
    assert 0 < n_similar < len(pairs)
    total = 0.0
    for i, j in pairs:
        theta = 0.1 * sum(float(CODES[i, k] * CODES[j, k]) for k in range(8))
        shared, either = shared_and_all(labels, i, j)
        weight = 1.0
        if weighted:
            weight = len(pairs) / (n_similar if shared else len(pairs) - n_similar)
        if overlap and shared:
            weight *= shared / either
        total += weight * (math.log(1 + math.exp(theta)) - (shared > 0) * theta)
    ours = weighted_likelihood(CODES, labels, 0.1, weighted, overlap)
    assert float(ours) == pytest.approx(total / len(pairs), rel=1e-6)  # weights are single precision


def test_overlap_by_hand():
    labels = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]])
    by_hand = torch.tensor([[1, 1 / 4, 0], [1 / 4, 1, 0], [0, 0, 0]])
    torch.testing.assert_close(label_overlap(labels), by_hand)
    assert torch.equal(label_overlap(LABELS), similarity(LABELS))


def test_a_kind_of_pairs_that_a_batch_lacks_adds_nothing():
    apart, same = torch.tensor([0, 1, 2]), torch.tensor([0, 0, 0])
    for labels, s in ((apart, 0.0), (same, 1.0)):
        theta = 0.1 * CODES[:3] @ CODES[:3].T
        terms = (1 + theta.exp()).log() - s * theta
        expected = (terms.sum() - terms.diagonal().sum()) / 6
        torch.testing.assert_close(weighted_likelihood(CODES[:3], labels, 0.1), expected)
    assert float(weighted_likelihood(CODES[:1], same[:1], 0.1)) == 0


def test_weights_make_up_for_the_number_of_similar_pairs():
    # At theta = 0 every pair costs log 2, and each kind has the share of all pairs.
    for n_classes in (2, 8):
        labels = torch.arange(16) % n_classes
        assert float(weighted_likelihood(torch.zeros(16, 4), labels, 0.1)) == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("n_epochs", [1, 4, 100])
def test_kappa_starts_at_one_and_never_falls(schedule, n_epochs):
    method = made(HashNetConfig(schedule=schedule, kappa_last=9.0))
    assert method.kappa == 1
    kappas = []
    for epoch in range(n_epochs):
        method.start_epoch(epoch, n_epochs)
        kappas.append(method.kappa)
    assert kappas[0] == 1
    steps = [later - earlier for earlier, later in pairwise(kappas)]
    assert all(difference == 0 if schedule == "none" else difference > 0 for difference in steps)
    assert kappas[-1] < 9
    # A training that goes on has the kappa it would have had: it is of the epoch alone.
    resumed = made(HashNetConfig(schedule=schedule, kappa_last=9.0))
    resumed.start_epoch(n_epochs - 1, n_epochs)
    assert resumed.kappa == kappas[-1]


def test_the_released_schedule_at_its_own_length():
    for iteration in (0, 200, 5000, 10_000):
        assert continuation(iteration / 10_000) == pytest.approx((1 + 0.005 * iteration) ** 0.5)
    assert continuation(0.5, "geometric", 9.0) == pytest.approx(3)
    assert continuation(0.5, "none", 9.0) == 1


def test_a_training_raises_kappa_before_each_epoch(tmp_path):
    _, history = trained(HashNetConfig(), tmp_path / "whole")
    assert [row["kappa"] for row in history] == [1, pytest.approx(26**0.5)]  # sqrt(1 + 50 / 2)
    trained(HashNetConfig(), tmp_path / "halves", stop_after=1)
    _, resumed = trained(HashNetConfig(), tmp_path / "halves")
    assert [row["kappa"] for row in resumed] == [row["kappa"] for row in history]


def test_codes_do_not_depend_on_kappa_and_the_relaxed_ones_approach_them():
    method = made(HashNetConfig()).eval().requires_grad_(False)
    output = method(IMAGES)
    gaps, losses = [], []
    for epoch in range(4):
        method.start_epoch(epoch, 4)
        again = method(IMAGES)
        assert torch.equal(again.codes, output.codes)
        assert torch.equal(again.codes, sign(output.values))
        gaps.append((torch.tanh(method.kappa * output.values) - output.codes).abs().mean())
        losses.append(float(method.losses(again, LABELS)["likelihood"]))
        numbers = method.diagnostics(IMAGES)
        assert numbers == {"value_size": pytest.approx(float(1 - gaps[-1]), abs=1e-6), "kappa": method.kappa}
    assert all(later < earlier for earlier, later in pairwise(gaps))
    method.kappa = 1e6
    of_codes = weighted_likelihood(output.codes, LABELS, 10 / 16)
    torch.testing.assert_close(method.losses(output, LABELS)["likelihood"], of_codes)
    assert len(set(losses)) == 4


@pytest.mark.parametrize("bits", [12, 64])
def test_the_released_scale_is_ten_over_the_bits(bits):
    method = made(HashNetConfig(inner_scale=None, weighted=False), bits=bits)
    method.start_epoch(2, 4)
    output, terms = step(method)
    relaxed = torch.tanh(26**0.5 * output.values)  # sqrt(1 + 50 / 2)
    torch.testing.assert_close(terms["likelihood"], weighted_likelihood(relaxed, LABELS, 10 / bits, False))
    assert set(terms) == {"likelihood"}
    fixed = made(HashNetConfig(inner_scale=0.1), bits=bits)
    output, terms = step(fixed)
    torch.testing.assert_close(terms["likelihood"], weighted_likelihood(output.values.tanh(), LABELS, 0.1))


def test_few_similar_pairs_of_many_classes_are_learned_from_values_near_zero():
    labels = torch.arange(32) % 20
    values = 0.01 * torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    values.requires_grad_()
    optimizer = torch.optim.Adam([values], lr=0.05)
    for at in range(200):
        optimizer.zero_grad()
        weighted_likelihood(torch.tanh(continuation(at / 200) * values), labels, 0.1).backward()
        optimizer.step()
    agreement = sign(values.detach()) @ sign(values.detach()).T
    similar = similarity(labels) > 0
    twins = similar & ~torch.eye(32, dtype=torch.bool)
    assert agreement[twins].min() > agreement[~similar].max()


def test_features_are_normalised_unless_told_otherwise():
    assert isinstance(made(HashNetConfig()).network.norm, torch.nn.BatchNorm1d)
    assert isinstance(made(HashNetConfig(feature_norm="none")).network.norm, torch.nn.Identity)
    with pytest.raises(ValueError, match="unknown feature_norm 'layer'; choose from"):
        made(HashNetConfig(feature_norm="layer"))


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="unknown schedule 'cosine'; choose from"):
        HashNetConfig(schedule="cosine")
    with pytest.raises(ValueError, match=r"kappa_last is 0.5, but kappa rises from 1"):
        HashNetConfig(kappa_last=0.5)
    with pytest.raises(ValueError, match=r"inner_scale is 0; give a number above 0, as 0.1, or None for 10 / bits"):
        HashNetConfig(inner_scale=0)
    with pytest.raises(ValueError, match="overlap is a part of the weights, but weighted is False"):
        HashNetConfig(overlap=True, weighted=False)

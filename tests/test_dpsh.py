"""DPSH: the likelihood against a bank by a loop; what the bank holds after steps in any order and a resumption."""

import math

import pytest
import torch
from small_training import IDS, LABELS, MULTI, alike, made, step, train_set, trained

from cscelab.dsf import sign
from cscelab.methods import HashOutput
from cscelab.methods.dhn import batch_likelihood
from cscelab.methods.dpsh import DPSHConfig, bank_likelihood
from cscelab.pairs import similarity


def drawn(*shape, seed=3):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def output_of(values):
    return HashOutput(values, sign(values))


def losses_of(method, values, images, labels=LABELS):
    """The terms of a batch of some of the six images, whose values are given."""
    return method.losses(output_of(values[images]), labels[images], None, IDS[images])


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
@pytest.mark.parametrize("count_unseen", [False, True])
def test_likelihood_is_the_loop_over_images_and_rows(labels, count_unseen):
    rows, batch = drawn(6, 8), [4, 0, 2]
    rows[[1, 5]] = 0  # not seen yet
    values = drawn(3, 8, seed=4)
    total, counted = 0.0, 0
    for a, i in enumerate(batch):
        for j in range(6):
            if j == i or (j in (1, 5) and not count_unseen):
                continue
            theta = 0.5 * sum(float(values[a, k] * rows[j, k]) for k in range(8))
            total += math.log(1 + math.exp(theta)) - alike(labels, i, j) * theta
            counted += 1
    similar = similarity(labels[batch], labels).double()
    ours = bank_likelihood(values, rows, similar, torch.tensor(batch), 0.5, count_unseen)
    assert float(ours) == pytest.approx(total / counted, rel=1e-12)


def test_unseen_images_add_log_2_each_and_no_gradient():
    rows = drawn(6, 8)
    rows[[1, 3, 5]] = 0
    own, similar = torch.tensor([0, 2]), similarity(LABELS[[0, 2]], LABELS).double()
    values = drawn(2, 8, seed=4).requires_grad_()
    among_seen = bank_likelihood(values, rows, similar, own)  # each image with the two other rows that are written
    among_all = bank_likelihood(values, rows, similar, own, count_unseen=True)
    torch.testing.assert_close(among_all, (2 * among_seen + 3 * math.log(2)) / 5)
    gradients = [torch.autograd.grad(loss, values)[0] for loss in (among_seen, among_all)]
    torch.testing.assert_close(gradients[1], 2 / 5 * gradients[0])


def test_an_image_alone_in_an_empty_bank_costs_nothing():
    rows = torch.zeros(6, 8)
    rows[2] = 1
    alone = bank_likelihood(torch.ones(1, 8), rows, torch.ones(1, 6), torch.tensor([2]))
    assert float(alone) == 0


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
def test_the_first_batch_has_dhns_likelihood_and_half_its_gradient(labels):
    method = made(DPSHConfig(), labels=labels)
    values = drawn(6, 16).float().requires_grad_()
    dhn = batch_likelihood(values, similarity(labels))
    dpsh = method.losses(output_of(values), labels, None, IDS)["likelihood"]
    torch.testing.assert_close(dpsh, dhn)
    # A row of the bank is a constant: of the two images of a pair, one moves at a time.
    ours, theirs = (torch.autograd.grad(loss, values)[0] for loss in (dpsh, dhn))
    torch.testing.assert_close(2 * ours, theirs)


def test_terms_are_the_weighted_functions():
    method = made(DPSHConfig(inner_scale=0.2, quantization_weight=0.3))
    output, terms = step(method)
    assert set(terms) == {"likelihood", "quantization"}
    torch.testing.assert_close(terms["likelihood"], batch_likelihood(output.values, similarity(LABELS), 0.2))
    torch.testing.assert_close(terms["quantization"], 0.3 * (output.values - output.codes).square().mean())
    assert not method.bank.rows.requires_grad


def test_a_batch_is_compared_with_its_newest_values_never_with_its_stale_rows():
    fresh, stale = made(DPSHConfig()), made(DPSHConfig())
    first, second = drawn(6, 16).float(), drawn(6, 16, seed=4).float()
    for method in (fresh, stale):
        losses_of(method, first, [0, 1, 2, 3, 4, 5])
    stale.bank.write(IDS[[0, 2]], 100 * torch.ones(2, 16))  # what an earlier epoch might have left
    terms = [losses_of(method, second, [2, 0]) for method in (fresh, stale)]
    assert terms[0] == terms[1]
    # The rest of the bank is as the first batch left it.
    expected = torch.where(torch.tensor([True, False, True, False, False, False])[:, None], second, first)
    assert torch.equal(fresh.bank.read(IDS), expected)


def test_the_order_of_the_data_changes_neither_loss_nor_bank():
    order = (3, 5, 0, 1, 4, 2)
    plain, other = made(DPSHConfig(), labels=MULTI), made(DPSHConfig(), labels=MULTI)
    other.start_training(train_set(MULTI, order), torch.Generator())
    first, second = drawn(6, 16).float(), drawn(6, 16, seed=4).float()
    for values, images in ((first, [0, 1, 2]), (first, [3, 4]), (second, [1, 4])):
        ours = losses_of(plain, values, images, MULTI)
        theirs = losses_of(other, values, images[::-1], MULTI)
        for name, term in ours.items():
            torch.testing.assert_close(term, theirs[name])
    for method in (plain, other):
        assert torch.equal(
            method.bank.read(IDS), torch.stack([*first[:1], second[1], *first[2:4], second[4], torch.zeros(16)])
        )


def test_starting_again_empties_the_bank():
    method = made(DPSHConfig())
    step(method)
    assert method.bank.rows.any()
    method.start_training(train_set(), torch.Generator())
    assert not method.bank.rows.any()


def test_a_resumed_training_has_the_bank_and_weights_of_an_uninterrupted_one(tmp_path):
    whole, history = trained(DPSHConfig(), tmp_path / "whole")
    stopped, half = trained(DPSHConfig(), tmp_path / "halves", stop_after=1)
    resumed, _ = trained(DPSHConfig(), tmp_path / "halves")
    assert (len(half), len(history)) == (1, 2)
    assert whole.bank.rows.any(dim=1).all()
    assert torch.equal(resumed.bank.rows, whole.bank.rows)
    assert not torch.equal(stopped.bank.rows, whole.bank.rows)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert "bank.rows" not in whole.state_dict()


def test_few_similar_pairs_of_many_classes_are_learned_from_values_near_zero():
    labels = torch.arange(64) % 20
    values = 0.01 * torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    values.requires_grad_()
    rows, similar = torch.zeros(64, 32), similarity(labels)
    optimizer = torch.optim.Adam([values], lr=0.05)
    for at in range(400):  # halves by turns, so that the bank is always a step behind
        batch = torch.arange(32) + 32 * (at % 2)
        rows[batch] = values.detach()[batch]
        optimizer.zero_grad()
        loss = bank_likelihood(values[batch], rows, similar[batch], batch)
        (loss + 0.1 * (values[batch] - sign(values.detach()[batch])).square().mean()).backward()
        optimizer.step()
    agreement = sign(values.detach()) @ sign(values.detach()).T
    twins = (similar > 0) & ~torch.eye(64, dtype=torch.bool)
    assert agreement[twins].min() > agreement[similar == 0].max()


def test_features_are_normalised_unless_told_otherwise():
    assert isinstance(made(DPSHConfig()).network.norm, torch.nn.BatchNorm1d)
    assert isinstance(made(DPSHConfig(feature_norm="none")).network.norm, torch.nn.Identity)
    with pytest.raises(ValueError, match="unknown feature_norm 'layer'; choose from"):
        made(DPSHConfig(feature_norm="layer"))


def test_missing_ids_and_bad_settings_are_refused():
    method = made(DPSHConfig())
    with pytest.raises(ValueError, match="the images' ids are missing"):
        method.losses(output_of(torch.ones(6, 16)), LABELS)
    with pytest.raises(ValueError, match="call start_training with them first"):
        method.losses(output_of(torch.ones(6, 16)), LABELS, None, IDS + 1)
    with pytest.raises(ValueError, match=r"inner_scale is -1; give a number above 0"):
        DPSHConfig(inner_scale=-1)
    with pytest.raises(ValueError, match=r"quantization_weight is -1; give 0 \(no quantisation\) or more"):
        DPSHConfig(quantization_weight=-1)

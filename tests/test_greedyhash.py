"""GreedyHash: the sign that hands its gradient on, the penalty and the classification against naive loops."""

import math

import pytest
import torch
from small_training import IMAGES, LABELS, MULTI, made, step

from cscelab.dsf import sign
from cscelab.losses import classification_loss
from cscelab.methods.greedyhash import GreedyHashConfig, cubic_penalty, greedy_sign
from cscelab.steps import LightningHash, Training

GENERATOR = torch.Generator().manual_seed(3)
LOGITS = 4 * torch.randn(6, 5, generator=GENERATOR, dtype=torch.float64)
VALUES = 2 * torch.randn(6, 16, generator=GENERATOR, dtype=torch.float64)


def log_share(row, of):
    return row[of] - math.log(sum(math.exp(logit) for logit in row))


def naive_single():
    rows = LOGITS.tolist()
    return -sum(log_share(row, label) for row, label in zip(rows, LABELS.tolist(), strict=True)) / len(rows)


def naive_softmax(labels):
    total = 0.0
    for row, present in zip(LOGITS.tolist(), labels.tolist(), strict=True):
        for c, one in enumerate(present):
            total -= one / max(1, sum(present)) * log_share(row, c)
    return total / len(labels)


def naive_bce(labels):
    total = 0.0
    for row, present in zip(LOGITS.tolist(), labels.tolist(), strict=True):
        for logit, one in zip(row, present, strict=True):
            probability = 1 / (1 + math.exp(-logit))
            total -= math.log(probability if one else 1 - probability)
    return total / labels.numel()


def test_classification_is_the_naive_loop_for_both_kinds_of_labels():
    assert classification_loss(LOGITS, LABELS).item() == pytest.approx(naive_single(), rel=1e-12)
    assert classification_loss(LOGITS, MULTI).item() == pytest.approx(naive_softmax(MULTI), rel=1e-12)
    assert classification_loss(LOGITS, MULTI, "bce").item() == pytest.approx(naive_bce(MULTI), rel=1e-12)


def test_one_hot_labels_are_class_ids_and_an_image_without_a_label_adds_nothing():
    one_hot = torch.eye(5, dtype=torch.uint8)[LABELS]
    torch.testing.assert_close(classification_loss(LOGITS, one_hot), classification_loss(LOGITS, LABELS))
    some = MULTI.clone()
    some[2] = 0
    assert classification_loss(LOGITS, some).item() == pytest.approx(naive_softmax(some), rel=1e-12)


def test_penalty_is_the_naive_loop_and_zero_at_plus_and_minus_one():
    naive = sum(abs(abs(value) - 1) ** 3 for row in VALUES.tolist() for value in row) / VALUES.numel()
    assert cubic_penalty(VALUES).item() == pytest.approx(naive, rel=1e-12)
    assert cubic_penalty(sign(VALUES)) == 0
    assert cubic_penalty(torch.tensor([[3.0, -2.0]])) == (8 + 1) / 2


def test_greedy_sign_is_exact_forward_and_the_identity_backward():
    awkward = torch.tensor([[1e-30, -1e-30, 0.0, 1e30, -3.3, 0.1]])
    values = torch.cat([awkward, 1e3 * torch.randn(50, 6, generator=GENERATOR)]).requires_grad_()
    codes = greedy_sign(values)
    assert torch.equal(codes, sign(values))
    weights = torch.randn(values.shape, generator=GENERATOR)
    (weights * codes).sum().backward()
    assert torch.equal(values.grad, weights)


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
def test_terms_judge_the_codes_by_the_classifier_and_the_values_by_the_penalty(labels):
    method = made(GreedyHashConfig(penalty_weight=0.7))
    output = method(IMAGES)
    terms = method.losses(output, labels)
    assert set(terms) == {"classification", "penalty"}
    torch.testing.assert_close(
        terms["classification"], classification_loss(output.codes @ method.classifier.weight.T, labels)
    )
    torch.testing.assert_close(terms["penalty"], 0.7 * cubic_penalty(output.values))
    bce = made(GreedyHashConfig(multilabel="bce")).losses(output, labels)["classification"]
    torch.testing.assert_close(bce, classification_loss(output.codes @ method.classifier.weight.T, labels, "bce"))


def test_the_trunk_learns_from_the_codes_mistakes_alone():
    method = made(GreedyHashConfig(penalty_weight=0.0))
    step(method)
    assert all(parameter.grad.abs().sum() > 0 for parameter in method.parameters())


def test_the_classifier_learns_as_fast_as_new_parts_do():
    method = made(GreedyHashConfig())
    training = Training(schedule="constant", lr=1e-3, new_lr=5.0)
    trunk, new = LightningHash(method, training, seed=0).configure_optimizers().param_groups
    assert any(parameter is method.classifier.weight for parameter in new["params"])
    assert not any(parameter is method.classifier.weight for parameter in trunk["params"])
    assert new["lr"] == pytest.approx(5e-3)
    assert method.classifier.bias is None


def test_an_unknown_multi_label_loss_is_refused():
    with pytest.raises(ValueError, match=r"^unknown multilabel 'first'; choose from \('softmax', 'bce'\)$"):
        GreedyHashConfig(multilabel="first")
    with pytest.raises(ValueError, match=r"^unknown multilabel 'first'; choose from \('softmax', 'bce'\)$"):
        classification_loss(LOGITS, MULTI, "first")

"""DNNH: triplets against a loop, the piecewise threshold and its gradient, the head's slices, draws of anchors."""

import pytest
import torch
from small_training import IMAGES, LABELS, MULTI, alike, made

from cscelab.dsf import sign
from cscelab.methods import HashOutput
from cscelab.methods.dnnh import DivideAndEncode, DNNHConfig, piecewise_threshold, triplet_loss
from cscelab.pairs import similarity


def drawn(n: int = 6, bits: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, bits, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_by_one(h, labels, margin=1.0, anchors=None):
    costs = []
    for a in range(len(h)) if anchors is None else anchors:
        for p in range(len(h)):
            for n in range(len(h)):
                if p != a and alike(labels, a, p) and not alike(labels, a, n):
                    near, far = (float(((h[a] - h[x]) ** 2).sum()) for x in (p, n))
                    costs.append(max(0.0, margin + near - far))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
@pytest.mark.parametrize("margin", [1.0, 3.0])
def test_the_loss_is_the_mean_over_all_triplets(labels, margin):
    h = drawn()
    found = triplet_loss(h, similarity(labels), margin).item()
    assert found == pytest.approx(one_by_one(h, labels, margin))
    assert found > 0


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
@pytest.mark.parametrize("epsilon", [0.5, 0.2])
def test_the_method_compares_thresholded_outputs(labels, epsilon):
    h = drawn()
    method = made(DNNHConfig(epsilon=epsilon, margin=2.0), labels=labels)
    rounded = torch.tensor([[x if abs(x - 0.5) <= epsilon else float(x > 0.5) for x in row] for row in h.tolist()])
    terms = method.losses(HashOutput(2 * h - 1, sign(2 * h - 1)), labels)
    assert set(terms) == {"triplets"}
    assert terms["triplets"].item() == pytest.approx(one_by_one(rounded, labels, 2.0), rel=1e-6)


def test_triplets_by_hand():
    h = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    labels = torch.tensor([3, 3, 1])
    # Anchor 0: 1 + 1 - 2 = 0; anchor 1: 1 + 1 - 1 = 1; image 2 has no positive.
    assert triplet_loss(h, similarity(labels)).item() == pytest.approx(0.5)


@pytest.mark.parametrize("labels", [torch.arange(6), torch.zeros(6, dtype=torch.int64), torch.zeros(6, 5).byte()])
def test_without_triplets_the_loss_is_zero_with_a_gradient(labels):
    h = drawn().requires_grad_()
    loss = triplet_loss(h, similarity(labels))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(h.grad, torch.zeros_like(h))


def test_a_large_batch_draws_its_anchors_from_the_generator():
    h, labels = drawn(9), torch.arange(9) % 3
    similar = similarity(labels)
    first, again, other = (
        triplet_loss(h, similar, anchors=4, generator=torch.Generator().manual_seed(seed)).item() for seed in (1, 1, 2)
    )
    anchors = torch.randperm(9, generator=torch.Generator().manual_seed(1))[:4].tolist()
    assert first == again == pytest.approx(one_by_one(h, labels, anchors=anchors))
    assert first != other
    assert triplet_loss(h, similar, anchors=9).item() == pytest.approx(one_by_one(h, labels))
    method = made(DNNHConfig(anchors=4))
    found = method.losses(HashOutput(2 * h - 1, h), labels, torch.Generator().manual_seed(1))["triplets"]
    assert found.item() == pytest.approx(first)


def test_the_threshold_rounds_outside_its_band_and_keeps_signs():
    h = torch.tensor([0.0, 0.2, 0.39, 0.41, 0.5, 0.59, 0.61, 1.0])
    for gradient in ("zero", "straight_through"):
        found = piecewise_threshold(h, 0.1, gradient)
        torch.testing.assert_close(found, torch.tensor([0, 0, 0, 0.41, 0.5, 0.59, 1, 1]))
        assert torch.equal(sign(found - 0.5), sign(h - 0.5))
        assert torch.equal(piecewise_threshold(h, 0.5, gradient), h)


def test_gradients_of_rounded_outputs():
    h = torch.tensor([0.1, 0.45, 0.9])
    for gradient, expected in {"zero": [0, 1, 0], "straight_through": [1, 1, 1]}.items():
        given = h.clone().requires_grad_()
        piecewise_threshold(given, 0.1, gradient).sum().backward()
        assert given.grad.tolist() == expected


def test_a_bit_comes_from_its_own_slice_of_the_intermediate_layer():
    torch.manual_seed(0)
    head = DivideAndEncode(8, 4, slice_width=5)
    features = torch.randn(3, 8)
    before = head(features)
    slices = head.intermediate(features).relu()
    for bit in range(4):
        logit = slices[:, 5 * bit : 5 * bit + 5] @ head.weight[bit] + head.bias[bit]
        torch.testing.assert_close(before[:, bit], 2 * logit.sigmoid() - 1)
    with torch.no_grad():
        head.intermediate.weight[5:10] += 1
    changed = (head(features) != before).any(dim=0)
    assert changed.tolist() == [False, True, False, False]


def test_values_lie_around_zero_and_their_signs_are_the_codes():
    method = made(DNNHConfig(slice_width=7), bits=12).eval()
    output = method(IMAGES)
    assert output.values.abs().max() < 1
    assert torch.equal(output.codes, sign((output.values + 1) / 2 - 0.5))
    assert method.network.hash_layer.intermediate.out_features == 7 * 12


def test_bad_settings_say_what_is_expected():
    for epsilon in (0.0, 0.6):
        with pytest.raises(ValueError, match=f"epsilon is {epsilon}, expected above 0 and at most 0.5"):
            made(DNNHConfig(epsilon=epsilon))
    with pytest.raises(ValueError, match="unknown gradient 'soft'; choose from"):
        made(DNNHConfig(gradient="soft"))
    with pytest.raises(ValueError, match="slice_width is 0; give at least 1"):
        made(DNNHConfig(slice_width=0))
    with pytest.raises(ValueError, match="anchors is 0; give at least 1"):
        made(DNNHConfig(anchors=0))

"""Cauchy losses: by hand, against a loop over pairs, and finite where values coincide."""

import math

import pytest
import torch

from cscelab.cauchy import CLOSEST, cauchy_pair_loss, cauchy_quantization
from cscelab.pairs import different_images, similarity

MULTI = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]], dtype=torch.uint8)


def drawn(n: int = 5, bits: int = 12) -> torch.Tensor:
    return torch.randn(n, bits, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def printed(values, similar, gamma, counted):
    """Eqs. 2, 6 and 8 as printed, pair by pair."""
    n, bits = values.shape
    pairs = [(i, j) for i in range(n) for j in range(n) if counted[i, j]]
    alike = sum(float(similar[i, j]) for i, j in pairs)
    total = 0.0
    for i, j in pairs:
        s = float(similar[i, j])
        cosine = float(values[i] @ values[j] / (values[i].norm() * values[j].norm()))
        d = bits / 2 * (1 - cosine)
        w = len(pairs) / alike if s else len(pairs) / (len(pairs) - alike)
        if not s:
            d += CLOSEST
        total += w * (s * math.log(d / gamma) + math.log(1 + gamma / d))
    return total / len(pairs)


@pytest.mark.parametrize("labels", [torch.tensor([0, 1, 0, 2, 1]), MULTI], ids=["ids", "multi-hot"])
@pytest.mark.parametrize("gamma", [20.0, 1.5])
def test_pair_loss_is_the_printed_sum(labels, gamma):
    values, similar, counted = drawn(), similarity(labels), different_images(5)
    found = cauchy_pair_loss(values, similar, gamma, counted)
    assert float(found) == pytest.approx(printed(values, similar, gamma, counted), rel=1e-6)


def test_pair_loss_by_hand():
    # One similar pair 2 bits apart, the rest unlike and 4 bits apart: probabilities 2 / (2 + 2) and 4 / (4 + 2).
    values = torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, -1]], dtype=torch.float64)
    similar = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    counted = torch.tensor([[0, 1, 1], [0, 0, 0], [0, 0, 0]]).bool()
    expected = (2 * math.log(2) + 2 * math.log(1 + 2 / (4 + CLOSEST))) / 2
    assert float(cauchy_pair_loss(values, similar, 2.0, counted)) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("labels", [torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 0, 0])], ids=["unlike", "alike"])
def test_coinciding_codes_have_finite_costs_and_gradients(dtype, labels):
    row = torch.randn(1, 16, generator=torch.Generator().manual_seed(1), dtype=dtype)
    values = torch.cat([row, row, 3 * row, row + 1e-4]).requires_grad_()
    loss = cauchy_pair_loss(values, similarity(labels), 20.0, different_images(4))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(values.grad).all()
    assert values.grad.abs().max() < 1e3
    if len(set(labels.tolist())) == 4:
        assert loss.item() == pytest.approx(math.log(1 + 20 / CLOSEST), rel=1e-3)
    else:
        assert loss.item() == pytest.approx(0, abs=1e-5)


def test_without_a_pair_the_loss_is_zero_and_still_has_a_gradient():
    values = drawn(1).requires_grad_()
    loss = cauchy_pair_loss(values, torch.ones(1, 1), 20.0, different_images(1))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(values.grad, torch.zeros_like(values))


def test_only_directions_count():
    values, similar, others = drawn(), similarity(MULTI), different_images(5)
    sizes = torch.tensor([[0.1], [1], [2], [7], [30]])
    found = cauchy_pair_loss(sizes * values, similar, 5.0, others)
    torch.testing.assert_close(found, cauchy_pair_loss(values, similar, 5.0, others))
    torch.testing.assert_close(cauchy_quantization(sizes * values, 5.0), cauchy_quantization(values, 5.0))


def test_gamma_is_the_distance_at_which_a_pair_is_as_likely_alike_as_not():
    values = torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1]])  # 2 bits apart
    pair = torch.tensor([[0, 1], [0, 0]]).bool()
    alike, unlike = (float(cauchy_pair_loss(values, torch.full((2, 2), s), 2.0, pair)) for s in (1.0, 0.0))
    assert alike == pytest.approx(math.log(2))
    assert unlike == pytest.approx(math.log(2), abs=CLOSEST)


def test_quantization_is_the_printed_mean_and_zero_for_codes():
    values = drawn()
    total = 0.0
    for row in values:
        cosine = float(row.abs().sum() / (row.norm() * math.sqrt(12)))
        total += math.log(1 + 12 / 2 * (1 - cosine) / 20)
    assert float(cauchy_quantization(values, 20.0)) == pytest.approx(total / 5, rel=1e-9)
    assert float(cauchy_quantization(0.3 * values.sign(), 20.0)) == pytest.approx(0, abs=1e-12)


def test_bad_values_are_refused():
    for function in (lambda v, g: cauchy_pair_loss(v, torch.ones(5, 5), g, different_images(5)), cauchy_quantization):
        with pytest.raises(ValueError, match="gamma is 0, expected a number of bits above 0; DCH has 20"):
            function(drawn(), 0)
        with pytest.raises(ValueError, match=r"values have shape \(12,\), expected \(B, K\)"):
            function(drawn()[0], 20.0)
    with pytest.raises(ValueError, match=r"similar \(3, 3\) does not match values \(5, 12\)"):
        cauchy_pair_loss(drawn(), torch.ones(3, 3), 20.0, different_images(5))

"""The dynamic sign function: Eqs. 5-7 by hand and by loops, its edges, its gradients, and the released codes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cscelab.dsf import band, band_sign, clamped_threshold, dynamic_sign, learned_threshold, sign

OPTIONS = [(count, interval) for count in ("outside", "all") for interval in ("closed", "open")]


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def looped(values: Tensor, threshold: Tensor, count: str, interval: str, majority: float | None = None) -> Tensor:
    """Eqs. 6-7 one value at a time."""
    codes = torch.empty_like(values)
    for i, row in enumerate(values.tolist()):
        t = threshold[i].item()
        inside = [(abs(x) <= t) if interval == "closed" else (abs(x) < t) for x in row]
        if count == "outside":
            plus = sum(x > 0 for x, unsure in zip(row, inside, strict=True) if not unsure)
            minus = sum(x <= 0 for x, unsure in zip(row, inside, strict=True) if not unsure)
            mostly_plus = plus > minus
        else:
            mostly_plus = sum(x > 0 for x in row) > (len(row) / 2 if majority is None else majority)
        for j, (x, unsure) in enumerate(zip(row, inside, strict=True)):
            codes[i, j] = (-1 if mostly_plus else 1) if unsure else (1 if x > 0 else -1)
    return codes


def test_sign_gives_zero_minus_one_and_keeps_shape_and_dtype():
    codes = sign(torch.tensor([[[-2.0, -0.0, 0.0, 6e-8]]], dtype=torch.float16))
    assert codes.tolist() == [[[-1, -1, -1, 1]]]
    assert codes.dtype == torch.float16


def test_unsure_bits_take_the_minority_sign_by_hand():
    values = torch.tensor(
        [
            [0.9, 0.8, -0.7, 0.1, -0.1],  # two +1 against one -1 outside: the band is -1
            [0.9, -0.8, -0.7, 0.1, -0.1],  # one against two: +1
            [0.9, -0.8, 0.0, 0.1, -0.1],  # a tie is "else": +1
            [0.1, 0.1, -0.1, 0.1, -0.1],  # nothing outside, 0 / 0 is "else": +1
            [0.9, 0.1, 0.1, -0.1, -0.1],  # one against none, a ratio of infinity: -1
        ]
    )
    expected = [[1, 1, -1, -1, -1], [1, -1, -1, 1, 1], [1, -1, 1, 1, 1], [1, 1, 1, 1, 1], [1, -1, -1, -1, -1]]
    assert dynamic_sign(values, 0.2).tolist() == expected
    assert dynamic_sign(values, torch.full((5, 1), 0.2)).tolist() == expected
    assert band_sign(values, 0.2).tolist() == [[-1], [1], [1], [1], [-1]]


def test_counting_all_values_can_reverse_the_band():
    values = torch.tensor([[0.9, 0.8, -0.7, -0.1, -0.1, -0.1]])  # outside 2 : 1, of all 2 : 4
    assert dynamic_sign(values, 0.2, count="outside").tolist() == [[1, 1, -1, -1, -1, -1]]
    assert dynamic_sign(values, 0.2, count="all").tolist() == [[1, 1, -1, 1, 1, 1]]
    # The released constant 32 can never be exceeded by 6 bits; at 1 the two positive values are a majority.
    assert band_sign(values, 0.2, count="all", majority=32).item() == 1
    assert band_sign(values, 0.2, count="all", majority=1).item() == -1
    # Exactly half is no majority.
    assert band_sign(torch.tensor([[1.0, -1.0]]), 0.2, count="all").item() == 1


def test_edges_belong_to_the_closed_band_only():
    minus = torch.tensor([[0.25, -0.25, 1.0, 1.0, -1.0]])  # the band's sign is -1
    plus = -minus  # the band's sign is +1
    assert dynamic_sign(minus, 0.25, interval="closed").tolist() == [[-1, -1, 1, 1, -1]]
    assert dynamic_sign(minus, 0.25, interval="open").tolist() == [[1, -1, 1, 1, -1]]
    assert dynamic_sign(plus, 0.25, interval="closed").tolist() == [[1, 1, -1, -1, 1]]
    assert dynamic_sign(plus, 0.25, interval="open").tolist() == [[-1, 1, -1, -1, 1]]


def test_zero_and_negative_thresholds():
    values = torch.tensor([[0.0, -0.5, -0.5, 0.5]])
    assert dynamic_sign(values, 0.0, interval="closed").tolist() == [[1, -1, -1, 1]]  # an exact 0 is unsure
    assert dynamic_sign(values, 0.0, interval="open").tolist() == [[-1, -1, -1, 1]]
    for interval in ("closed", "open"):
        assert not band(values, -0.1, interval).any()
        assert dynamic_sign(values, -0.1, interval=interval).equal(sign(values))


@pytest.mark.parametrize(("count", "interval"), OPTIONS)
@pytest.mark.parametrize("bits", [1, 7, 16])
def test_matches_a_loop_over_values(count: str, interval: str, bits: int):
    # Values on a grid of eighths with thresholds on it: many values lie exactly on an edge, some at 0.
    values = (draw(60, bits) * 4).round() / 8
    threshold = (draw(60, 1, seed=1) * 4).round() / 8
    assert band(values, threshold.abs()).any()
    assert dynamic_sign(values, threshold, count, interval).equal(looped(values, threshold, count, interval))
    if count == "all":
        codes = dynamic_sign(values, threshold, count, interval, majority=3)
        assert codes.equal(looped(values, threshold, count, interval, majority=3))


def test_band_makes_codes_no_less_balanced_than_opposite_choice():
    values, threshold = draw(200, 32), 0.4
    codes = dynamic_sign(values, threshold)
    opposite = torch.where(band(values, threshold), -codes, codes)
    assert (codes.sum(1).abs() <= opposite.sum(1).abs()).all()
    assert (codes.sum(1).abs() < opposite.sum(1).abs()).any()


def test_permuting_images_or_bits_permutes_codes():
    values, threshold = draw(20, 16), draw(20, 1, seed=1).abs() / 2
    rows = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    bits = torch.randperm(16, generator=torch.Generator().manual_seed(3))
    codes = dynamic_sign(values, threshold)
    assert dynamic_sign(values[rows][:, bits], threshold[rows]).equal(codes[rows][:, bits])
    assert dynamic_sign(values * 3, threshold * 3).equal(codes)


@pytest.mark.parametrize("estimator", ["detached", "straight_through", "soft"])
def test_threshold_layer_learns_unless_detached(estimator: str):
    features, layer = draw(8, 12, dtype=torch.float32), torch.nn.Linear(12, 1)
    values = draw(8, 16, seed=1, dtype=torch.float32).mul(0.1).requires_grad_()
    codes = dynamic_sign(values, learned_threshold(layer(features)), estimator=estimator)
    if estimator == "detached":
        assert not codes.requires_grad
        return
    (codes * draw(8, 16, seed=2, dtype=torch.float32)).sum().backward()
    assert layer.weight.grad.norm() > 0
    assert layer.bias.grad.abs() > 0
    assert (values.grad.norm(dim=1) > 0).all()


@pytest.mark.parametrize(("count", "interval"), OPTIONS)
def test_soft_gradients_match_finite_differences(count: str, interval: str):
    values = draw(5, 8).requires_grad_()
    threshold = draw(5, 1, seed=1).abs().add(0.1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v, t: dynamic_sign(v, t, count, interval, estimator="soft", temperature=0.7), (values, threshold)
    )


def test_straight_through_is_hard_forward_and_soft_backward():
    weights = draw(10, 16, seed=2)
    gradients = {}
    for estimator in ("soft", "straight_through"):
        values = draw(10, 16).requires_grad_()
        threshold = draw(10, 1, seed=1).abs().requires_grad_()
        codes = dynamic_sign(values, threshold, estimator=estimator)
        if estimator == "straight_through":
            assert codes.detach().equal(dynamic_sign(values, threshold))
        (codes * weights).sum().backward()
        gradients[estimator] = (values.grad, threshold.grad)
    for soft, straight in zip(*gradients.values(), strict=True):
        torch.testing.assert_close(soft, straight)


@pytest.mark.parametrize(("count", "interval"), OPTIONS)
def test_soft_codes_become_the_hard_ones_as_temperature_falls(count: str, interval: str):
    values, threshold = draw(50, 16), draw(50, 1, seed=1)  # half of the thresholds are negative
    hard = dynamic_sign(values, threshold, count, interval)
    assert not hard.equal(sign(values))
    gaps = [
        (dynamic_sign(values, threshold, count, interval, estimator="soft", temperature=t) - hard).abs().mean()
        for t in (1.0, 0.1, 0.01)
    ]
    assert gaps[0] > gaps[1] > gaps[2]
    cold = dynamic_sign(values, threshold, count, interval, estimator="soft", temperature=1e-7)
    torch.testing.assert_close(cold, hard)


def test_soft_gradient_of_the_threshold_points_the_way_of_the_band():
    values = torch.tensor([[0.9, 0.8, 0.05, -0.02]])  # the band's sign is -1: a wider band lowers codes
    threshold = torch.tensor([[0.1]], requires_grad=True)
    dynamic_sign(values, threshold, estimator="soft").sum().backward()
    # d tanh((x - t) / T) / dt = -(1 - tanh^2) / T, summed over the four bits
    expected = -(1 - torch.tanh((values - 0.1) / 0.1) ** 2).sum() / 0.1
    torch.testing.assert_close(threshold.grad.squeeze(), expected)
    negative = torch.tensor([[-0.1]], requires_grad=True)
    dynamic_sign(values, negative, estimator="soft").sum().backward()
    assert negative.grad.item() == 0  # plain sign: no threshold to move


def test_learned_threshold_is_inside_its_cap_with_a_gradient_where_the_clamp_has_none():
    logit = torch.tensor([[-3.0], [0.0], [3.0]], requires_grad=True)
    learned = learned_threshold(logit, cap=0.02)
    torch.testing.assert_close(learned[1].item(), 0.01)
    assert ((learned > 0) & (learned < 0.02)).all()
    learned.sum().backward()
    assert (logit.grad > 0).all()

    logit.grad = None
    clamped = clamped_threshold(logit, cap=0.02)
    torch.testing.assert_close(clamped.detach(), torch.tensor([[-0.02], [0.0], [0.02]]))
    clamped.sum().backward()
    assert logit.grad.tolist() == [[0], [1], [0]]


def test_half_precision_values_take_a_single_precision_threshold():
    codes = dynamic_sign(torch.tensor([[0.9, 0.8, 0.1]], dtype=torch.bfloat16), torch.tensor([[0.2]]))
    assert codes.tolist() == [[1, 1, -1]]
    assert codes.dtype == torch.bfloat16


def test_codes_of_the_released_code(shared_file):
    stored = np.load(shared_file("reference/released-code-values.npz"))
    values, threshold = torch.from_numpy(stored["dsf_values"]), torch.from_numpy(stored["dsf_thresholds"])
    codes = torch.from_numpy(stored["dsf_codes"])
    assert (threshold < 0).any()
    assert not codes.equal(sign(values))
    assert dynamic_sign(values, threshold, count="all", interval="open", majority=32).equal(codes)
    assert dynamic_sign(values, threshold, count="all", interval="open").equal(codes)  # K / 2 is 32 at 64 bits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": "some"}, r"unknown count 'some'; choose from \['outside', 'all'\]"),
        ({"interval": "half"}, "unknown interval 'half'; choose from"),
        ({"estimator": "magic"}, "unknown estimator 'magic'; choose from"),
        ({"temperature": 0.0}, r"temperature is 0.0, expected a number above 0"),
        ({"majority": 8}, "majority=8 needs count='all', got count='outside'"),
        ({"threshold": torch.zeros(4)}, r"threshold has shape \(4,\), expected \(4, 1\) or one number"),
        ({"threshold": torch.zeros(4, 4)}, r"threshold has shape \(4, 4\)"),
        ({"threshold": torch.zeros(1, 1)}, r"threshold has shape \(1, 1\)"),
        ({"values": torch.zeros(4)}, r"of shape \(4,\), expected floating point \(B, K\)"),
        ({"values": torch.zeros(4, 4, dtype=torch.int8)}, r"values are torch.int8"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(change: dict, message: str):
    arguments = {"values": torch.zeros(4, 4), "threshold": torch.zeros(4, 1)} | change
    with pytest.raises(ValueError, match=message):
        dynamic_sign(**arguments)


def test_negative_caps_are_refused():
    for to_threshold in (learned_threshold, clamped_threshold):
        with pytest.raises(ValueError, match=r"cap is -1, expected a number of at least 0"):
            to_threshold(torch.zeros(2, 1), cap=-1)

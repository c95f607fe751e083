"""The losses: Eqs. 11-14 by hand and by loops, their gradients, what they do not depend on, and the released values."""

import math

import pytest
import torch
from torch import Tensor

from cscelab.dsf import dynamic_sign, sign
from cscelab.losses import (
    balance_loss,
    center_bce,
    cosines,
    distance_to_one,
    margin_logits,
    margin_loss,
    quantization_loss,
    released_values,
)

MARGINS = {
    "none": {"m1": 1.0, "m2": 0.0, "m3": 0.0},
    "cosface": {"m1": 1.0, "m2": 0.0, "m3": 0.15},
    "arcface": {"m1": 1.0, "m2": 0.3, "m3": 0.0},
    "sphereface": {"m1": 1.7, "m2": 0.0, "m3": 0.0},
    "all three": {"m1": 1.3, "m2": 0.2, "m3": 0.1},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def draw_cosines(n: int = 12, classes: int = 5, seed: int = 0) -> Tensor:
    return (torch.rand(n, classes, generator=generator(seed), dtype=torch.float64) * 2 - 1) * 0.98


def draw_labels(n: int = 12, classes: int = 5, seed: int = 1) -> Tensor:
    return torch.randint(classes, (n,), generator=generator(seed))


def continued(angle: float) -> float:
    """cos up to pi, then the same fall again and again, each half turn 2 lower."""
    return math.cos(angle) if angle <= math.pi else continued(angle - math.pi) - 2


def looped_margin_loss(cosine: Tensor, positives: Tensor, scale: float, m1: float, m2: float, m3: float) -> float:
    """Eq. 12, one image and one positive class at a time. positives: multi-hot."""
    total = 0.0
    for row, hot in zip(cosine.tolist(), positives.tolist(), strict=True):
        logits = [
            scale * (continued(m1 * math.acos(c) + m2) - m3) if positive else scale * c
            for c, positive in zip(row, hot, strict=True)
        ]
        log_sum = math.log(sum(math.exp(logit) for logit in logits))
        total += sum((log_sum - logits[j]) / sum(hot) for j, positive in enumerate(hot) if positive)
    return total / len(cosine)


def test_margin_loss_by_hand():
    cosine, label = torch.tensor([[0.5, 0.0]]), torch.tensor([0])
    # CosFace: logits 10 * (.5 - .15) = 3.5 and 0
    assert margin_loss(cosine, label).item() == pytest.approx(math.log1p(math.exp(-3.5)), rel=1e-5)
    # no margin: 5 and 0
    assert margin_loss(cosine, label, m3=0).item() == pytest.approx(math.log1p(math.exp(-5)), rel=1e-5)
    # ArcFace, theta = 60 degrees and 30 more: 0 and 0
    assert margin_loss(cosine, label, m2=math.pi / 6, m3=0).item() == pytest.approx(math.log(2), rel=1e-5)
    # SphereFace: twice 60 degrees, cos = -.5, with scale 4
    loss = margin_loss(cosine, label, scale=4, m1=2, m3=0).item()
    assert loss == pytest.approx(math.log1p(math.exp(2)), rel=1e-5)
    # two labels of three: soft targets 1/2, 1/2, both with the margin
    loss = margin_loss(torch.tensor([[0.15, 0.15, 0.0]]), torch.tensor([[1, 1, 0]]))
    assert loss.item() == pytest.approx(math.log(3), rel=1e-5)


@pytest.mark.parametrize("margins", MARGINS.values(), ids=MARGINS)
def test_margin_loss_matches_a_loop(margins: dict):
    cosine, labels = draw_cosines(40), draw_labels(40)
    one_hot = torch.nn.functional.one_hot(labels, 5)
    expected = looped_margin_loss(cosine, one_hot, 7.0, **margins)
    assert margin_loss(cosine, labels, 7.0, **margins).item() == pytest.approx(expected, rel=1e-10)
    assert margin_loss(cosine, one_hot, 7.0, **margins).item() == pytest.approx(expected, rel=1e-10)

    several = one_hot | torch.nn.functional.one_hot(draw_labels(40, seed=2), 5)
    assert (several.sum(1) == 2).any()
    expected = looped_margin_loss(cosine, several, 7.0, **margins)
    for multi_hot in (several, several.bool(), several.float()):
        assert margin_loss(cosine, multi_hot, 7.0, **margins).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("margins", MARGINS.values(), ids=MARGINS)
@pytest.mark.parametrize("monotone", [True, False])
def test_margin_loss_gradients_match_finite_differences(margins: dict, monotone: bool):
    cosine, labels = draw_cosines(6).requires_grad_(), draw_labels(6)
    multi_hot = torch.nn.functional.one_hot(labels, 5) | torch.nn.functional.one_hot(draw_labels(6, seed=2), 5)
    for target in (labels, multi_hot):
        assert torch.autograd.gradcheck(lambda c, t=target: margin_loss(c, t, **margins, monotone=monotone), cosine)


@pytest.mark.parametrize("margins", [{"m2": 0.5, "m3": 0.0}, {"m1": 2.5, "m3": 0.0}, {"m1": 1.5, "m2": 1.0}])
def test_monotone_margins_never_reward_a_larger_angle(margins: dict):
    theta = torch.linspace(0.01, math.pi - 0.01, 400, dtype=torch.float64)
    cosine = torch.stack([theta.cos(), torch.zeros_like(theta)], dim=1)

    def losses(monotone: bool) -> Tensor:
        label = torch.tensor([0])
        return torch.stack([margin_loss(row[None], label, scale=1, monotone=monotone, **margins) for row in cosine])

    rising = losses(True)
    assert (rising.diff() > 0).all()
    assert rising.diff().max() < 0.1  # continuous
    plain = losses(False)
    assert (plain.diff() < 0).any()
    before = margins.get("m1", 1.0) * theta + margins.get("m2", 0.0) < math.pi
    torch.testing.assert_close(plain[before], rising[before])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("margins", MARGINS.values(), ids=MARGINS)
def test_gradients_are_finite_at_the_poles(margins: dict, dtype: torch.dtype):
    cosine = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=dtype, requires_grad=True)
    for labels in (torch.tensor([0, 0]), torch.tensor([[1, 1], [1, 0]])):
        loss = margin_loss(cosine, labels, **margins)
        (gradient,) = torch.autograd.grad(loss, cosine)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        torch.testing.assert_close(loss, margin_loss(cosine.float(), labels, **margins))  # no half-precision sums
    near = torch.tensor([[1 - 6e-8, 0.9]], requires_grad=True)
    (gradient,) = torch.autograd.grad(margin_loss(near, torch.tensor([0]), **margins), near)
    angular = margins["m1"] != 1 or margins["m2"] != 0
    assert (gradient[0, 0] == 0) == angular  # the slope of arccos would be in the thousands


def test_margin_loss_ignores_the_order_of_classes_and_images_and_the_length_of_values():
    values, centers, labels = draw(9, 16), sign(draw(5, 16, seed=1)), draw_labels(9)
    loss = margin_loss(cosines(values, centers), labels)
    order = torch.randperm(5, generator=generator(2))
    renamed = torch.argsort(order)[labels]
    torch.testing.assert_close(margin_loss(cosines(values, centers[order]), renamed), loss)
    rows = torch.randperm(9, generator=generator(3))
    torch.testing.assert_close(margin_loss(cosines(values[rows], centers), labels[rows]), loss)
    torch.testing.assert_close(margin_loss(cosines(values * 37, centers), labels), loss)


def test_an_image_without_labels_adds_nothing():
    cosine = draw_cosines(2).requires_grad_()
    labels = torch.tensor([[0, 0, 0, 0, 0], [0, 1, 0, 1, 0]])
    loss = margin_loss(cosine, labels)
    torch.testing.assert_close(loss, margin_loss(cosine[1:], labels[1:]) / 2)
    (gradient,) = torch.autograd.grad(loss, cosine)
    assert gradient[0].eq(0).all()
    assert gradient[1].isfinite().all()


@pytest.mark.parametrize("name", ["cosface", "arcface", "sphereface"])
def test_elastic_margins_are_one_normal_draw_per_image(name: str):
    cosine, labels, margins = draw_cosines(30), draw_labels(30), MARGINS[name]
    elastic = margin_loss(cosine, labels, **margins, elastic_std=0.05, generator=generator(7))
    noise = 0.05 * torch.randn(30, 1, generator=generator(7)).double()
    active = {"cosface": "m3", "arcface": "m2", "sphereface": "m1"}[name]
    by_image = [
        margin_loss(cosine[i : i + 1], labels[i : i + 1], **margins | {active: margins[active] + noise[i].item()})
        for i in range(30)
    ]
    torch.testing.assert_close(elastic, torch.stack(by_image).mean())
    assert elastic != margin_loss(cosine, labels, **margins)
    assert elastic == margin_loss(cosine, labels, **margins, elastic_std=0.05, generator=generator(7))
    assert elastic != margin_loss(cosine, labels, **margins, elastic_std=0.05, generator=generator(8))


def test_cosines_by_hand():
    values = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    centers = torch.tensor([[1, 1], [1, -1], [-1, -1]])  # integer centers are taken too
    root = math.sqrt(2) * 5
    torch.testing.assert_close(cosines(values, centers), torch.tensor([[7 / root, -1 / root, -7 / root], [0, 0, 0]]))


def test_center_bce_by_hand():
    values = torch.tensor([[0.0, math.log(3)], [-math.log(3), 0.0]])  # probabilities of +1: 1/2, 3/4, 1/4, 1/2
    centers = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    expected = (math.log(2) + math.log(4) + math.log(4 / 3) + math.log(2)) / 4
    assert center_bce(values, centers).item() == pytest.approx(expected, rel=1e-6)
    assert center_bce(centers * 20, centers) < 1e-6


def test_quantization_loss_by_hand():
    values = torch.tensor([[0.5, -1.0], [2.0, 0.0]])
    codes = torch.tensor([[1.0, -1.0], [1.0, 1.0]])  # gaps .5 0 | 1 1
    assert quantization_loss(values, codes).item() == pytest.approx(2.25 / 4)
    assert quantization_loss(values, codes, reduction="sum").item() == pytest.approx(2.25 / 2)
    assert quantization_loss(values, codes, "l1").item() == pytest.approx(2.5 / 4)
    assert quantization_loss(values, codes, "l1", "sum").item() == pytest.approx(2.5 / 2)
    cosine = (1.5 / math.sqrt(2 * 1.25) + 2 / (2 * math.sqrt(2))) / 2
    for reduction in ("mean", "sum"):
        loss = quantization_loss(values, codes, "cosine", reduction)
        assert loss.item() == pytest.approx(1 - cosine, rel=1e-5)


@pytest.mark.parametrize("form", ["l1", "l2"])
def test_distance_to_one_is_the_quantization_of_the_values_own_signs(form: str):
    values = 3 * draw(6, 8)
    assert torch.equal(distance_to_one(values, form), quantization_loss(values, sign(values), form))
    assert distance_to_one(torch.tensor([[0.5, -3.0]]), form).item() == pytest.approx({"l1": 1.25, "l2": 2.125}[form])
    with pytest.raises(ValueError, match=r"unknown form 'cosine'; choose from \['l2', 'l1'\]"):
        distance_to_one(values, "cosine")


@pytest.mark.parametrize("form", ["l1", "l2"])
def test_plain_sign_is_the_cheapest_code(form: str):
    # Why a threshold has nothing to gain from Eq. 14 alone.
    values = draw(50, 16)
    plain = quantization_loss(values, sign(values), form)
    assert plain < quantization_loss(values, dynamic_sign(values, 0.3), form)


def test_gradients_reach_codes_only_as_given():
    values, codes = draw(3, 4).requires_grad_(), sign(draw(3, 4, seed=1)).requires_grad_()
    quantization_loss(values, codes).backward()
    torch.testing.assert_close(values.grad, (values - codes).detach() * 2 / 12)
    torch.testing.assert_close(codes.grad, -values.grad)


def test_margin_logits_by_hand():
    cosine, label = torch.tensor([[0.5, -0.2, 0.1]]), torch.tensor([0])
    torch.testing.assert_close(margin_logits(cosine, label), torch.tensor([[3.5, -2.0, 1.0]]))
    # ArcFace: 60 degrees and 30 more
    turned = margin_logits(cosine, label, scale=2, m2=math.pi / 6, m3=0)
    torch.testing.assert_close(turned, torch.tensor([[0.0, -0.4, 0.2]]))
    both = margin_logits(cosine, torch.tensor([[1, 0, 1]]))
    torch.testing.assert_close(both, torch.tensor([[3.5, -2.0, -0.5]]))


def test_margin_loss_is_the_cross_entropy_of_its_logits():
    cosine, labels = draw_cosines(), draw_labels()
    for margins in MARGINS.values():
        logits = margin_logits(cosine, labels, 7.0, **margins)
        expected = -torch.log_softmax(logits, dim=1)[torch.arange(12), labels].mean()
        torch.testing.assert_close(margin_loss(cosine, labels, 7.0, **margins), expected)


def test_balance_loss_by_hand():
    codes = torch.tensor([[1.0, 1, 1, -1], [1, -1, 1, -1]])
    assert balance_loss(codes).item() == pytest.approx((0.5**2 + 0) / 2)
    assert balance_loss(codes, per="bit").item() == pytest.approx((1 + 0 + 1 + 1) / 4)
    assert balance_loss(-codes).item() == balance_loss(codes).item()
    assert balance_loss(torch.ones(3, 8)).item() == balance_loss(torch.ones(3, 8), per="bit").item() == 1


def test_balance_of_relaxed_codes_opens_the_band():
    values = torch.tensor([[0.9, 0.8, 0.7, -0.5, 0.05, -0.05]])
    threshold = torch.tensor([[0.1]], requires_grad=True)
    balance_loss(dynamic_sign(values, threshold, estimator="soft")).backward()
    assert threshold.grad.item() < 0  # descent raises the threshold: more bits take the minority's sign


def test_released_values_clip_and_double():
    values = torch.tensor([[-3.0, -0.5, -0.1, 0.0, 0.25, 0.7]])
    torch.testing.assert_close(released_values(values), torch.tensor([[-1.0, -1.0, -0.2, 0.0, 0.5, 1.0]]))


COSINES, LABELS = torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: margin_loss(COSINES, LABELS.int()), r"labels \(3,\) of torch.int32 do not match cosines \(3, 4\)"),
        (lambda: margin_loss(COSINES, torch.zeros(3, 5)), r"expected int64 \(B,\) or multi-hot \(B, C\)"),
        (lambda: margin_loss(COSINES, LABELS, scale=0), "scale is 0, expected a number above 0"),
        (lambda: margin_loss(COSINES, COSINES, elastic_std=0.1), "elastic margins need one label per image"),
        (lambda: margin_loss(COSINES, LABELS, elastic_std=-0.1), "elastic_std is -0.1, expected at least 0"),
        (lambda: margin_loss(COSINES, LABELS, m3=0, elastic_std=0.1), "exactly one active margin, got m1=1.0"),
        (lambda: margin_loss(COSINES, LABELS, m2=0.1, elastic_std=0.1), "m2=0.1, m3=0.15; leave the other two"),
        (lambda: cosines(COSINES, torch.zeros(2, 5)), r"values \(3, 4\) and centers \(2, 5\) do not match"),
        (lambda: center_bce(COSINES, torch.zeros(2, 4)), r"image_centers \(2, 4\) and values \(3, 4\) differ"),
        (lambda: quantization_loss(COSINES, LABELS), r"codes \(3,\) and values \(3, 4\) differ"),
        (lambda: quantization_loss(COSINES, COSINES, "l3"), r"unknown form 'l3'; choose from \['l2', 'l1', 'cosine'\]"),
        (lambda: quantization_loss(COSINES, COSINES, reduction="max"), "unknown reduction 'max'; choose from"),
        (lambda: balance_loss(COSINES[0]), r"codes have shape \(4,\), expected \(B, K\)"),
        (lambda: balance_loss(COSINES, per="class"), r"unknown per 'class'; choose from \['image', 'bit'\]"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()

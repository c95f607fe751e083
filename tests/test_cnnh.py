"""CNNH: stage 1 against its definition (N x N, in float64), its objective, codes by id, resuming; stage 2 by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from small_training import IDS, IMAGES, LABELS, MULTI, made, step, train_set, trained

from cscelab.dsf import sign
from cscelab.losses import classification_loss
from cscelab.methods import HashOutput
from cscelab.methods.cnnh import CNNHConfig, learn_codes
from cscelab.pairs import similarity


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def many(kind: str, n: int = 40) -> torch.Tensor:
    ids = torch.randint(0, 4, (n,), generator=seeded(1))
    return ids if kind == "ids" else (torch.rand(n, 4, generator=seeded(2)) < 0.3).to(torch.uint8)


def defined(codes: torch.Tensor, labels: torch.Tensor) -> float:
    wanted = codes.shape[1] * (2 * similarity(labels).double() - 1)
    return (codes @ codes.T - wanted).square().sum().item()


def newton_sweeps(labels, bits, generator, sweeps):
    """The paper's coordinate Newton on the whole N x N residual; a step is not taken where the objective would rise."""
    codes = 2 * torch.rand(len(labels), bits, generator=generator, dtype=torch.float64) - 1
    wanted = bits * (2 * similarity(labels).double() - 1)
    for _ in range(sweeps):
        for entry in torch.randperm(codes.numel(), generator=generator).tolist():
            i, j = divmod(entry, bits)
            residual = codes @ codes.T - wanted
            slope = 4 * residual[i] @ codes[:, j]
            curvature = 4 * (codes[:, j] @ codes[:, j] + codes[i, j] ** 2 + residual[i, i])
            newton = -slope / curvature if curvature > 0 else -2 * slope.sign()
            moved = codes.clone()
            moved[i, j] = (codes[i, j] + newton).clamp(-1, 1)
            if defined(moved, labels) < residual.square().sum().item():
                codes = moved
    return codes


@pytest.mark.parametrize("kind", ["ids", "multi-hot"])
def test_stage_1_is_the_papers_coordinate_newton(kind):
    labels = many(kind, 12)
    found, _ = learn_codes(labels, 5, seeded(), sweeps=3)
    torch.testing.assert_close(found, newton_sweeps(labels, 5, seeded(), 3), atol=1e-8, rtol=0)


@pytest.mark.parametrize("kind", ["ids", "multi-hot"])
@pytest.mark.parametrize("bits", [1, 12, 64])
def test_the_objective_is_as_defined_and_never_rises(kind, bits):
    labels = many(kind)
    objectives = []
    for sweeps in (1, 2, 6):
        codes, objectives = learn_codes(labels, bits, seeded(), sweeps)
        assert objectives[-1] == pytest.approx(defined(codes, labels), rel=1e-9, abs=1e-6)
        assert codes.abs().max() <= 1
    start = 2 * torch.rand(len(labels), bits, generator=seeded(), dtype=torch.float64) - 1
    assert objectives[0] == pytest.approx(defined(start, labels))
    assert len(objectives) == 7
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(objectives))
    assert objectives[1] < objectives[0]


def test_codes_of_a_class_lie_closer_than_codes_of_two():
    labels = torch.arange(200) % 5
    codes = sign(learn_codes(labels, 16, seeded())[0])
    distances = (16 - codes @ codes.T) / 2
    same = similarity(labels) > 0
    assert distances[same].max() <= 2
    assert distances[~same].min() >= 4


def test_equal_generators_learn_equal_codes():
    first, again, other = (learn_codes(many("ids"), 8, seeded(seed))[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_codes_belong_to_images_whatever_the_order_of_the_data():
    methods = [CNNHConfig().build(5, 16) for _ in range(2)]
    orders = ((0, 1, 2, 3, 4, 5), (3, 5, 0, 1, 4, 2))
    for method, order in zip(methods, orders, strict=True):
        method.start_training(train_set(order=order), seeded())
    codes = [method.bank.read(IDS) for method in methods]
    assert torch.equal(codes[0], codes[1])
    assert set(codes[0].unique().tolist()) == {-1.0, 1.0}
    expected, _ = learn_codes(LABELS[IDS.argsort()], 16, seeded(), CNNHConfig.sweeps)
    assert torch.equal(codes[0][IDS.argsort()], sign(expected).float())


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
def test_stage_2_is_the_squared_distance_to_the_images_codes(labels):
    method = made(CNNHConfig(), labels=labels)
    values = torch.randn(6, 16, generator=seeded(), dtype=torch.float64)
    order = torch.tensor([4, 0, 5, 2])
    terms = method.losses(HashOutput(values[order], values[order]), labels[order], ids=IDS[order])
    squares = [
        (math.tanh(float(values[i, k])) - float(method.bank.read(IDS[i : i + 1])[0, k])) ** 2
        for i in order.tolist()
        for k in range(16)
    ]
    assert set(terms) == {"codes"}
    assert terms["codes"].item() == pytest.approx(sum(squares) / len(squares))


def test_the_plus_predicts_classes_too():
    logits = torch.randn(6, 5, generator=seeded(), dtype=torch.float64)
    rows = zip(logits.tolist(), LABELS.tolist(), strict=True)
    single = [-math.log(math.exp(row[label]) / sum(map(math.exp, row))) for row, label in rows]
    assert classification_loss(logits, LABELS, "bce").item() == pytest.approx(sum(single) / 6)
    each = [
        math.log(1 + math.exp(-x if y else x))
        for row, hot in zip(logits.tolist(), MULTI.tolist(), strict=True)
        for x, y in zip(row, hot, strict=True)
    ]
    assert classification_loss(logits, MULTI, "bce").item() == pytest.approx(sum(each) / 30)
    for labels in (LABELS, MULTI):
        method = made(CNNHConfig(class_weight=0.5), labels=labels)
        output, terms = step(method, labels)
        expected = 0.5 * classification_loss(method.classifier(output.features), labels, "bce")
        torch.testing.assert_close(terms["classes"], expected)
        assert method.classifier.weight.grad.abs().sum() > 0
    assert made(CNNHConfig()).classifier is None


def test_codes_stay_as_they_are_during_training_and_when_it_goes_on(tmp_path):
    stopped, _ = trained(CNNHConfig(), tmp_path, stop_after=1, seed=7)
    resumed, _ = trained(CNNHConfig(), tmp_path, seed=7)
    expected, _ = learn_codes(LABELS[IDS.argsort()], 8, seeded(7), CNNHConfig.sweeps)
    for method in (stopped, resumed):
        assert torch.equal(method.bank.rows, sign(expected).float())
        assert torch.equal(method.bank.ids, IDS.sort().values)
    assert "bank.rows" not in resumed.state_dict()


def test_images_that_were_not_there_in_stage_1_are_refused():
    method = made(CNNHConfig())
    output = method(IMAGES)
    with pytest.raises(ValueError, match="the bank has no rows for some of these images"):
        method.losses(output, LABELS, ids=IDS + 1)
    with pytest.raises(ValueError, match="sweeps is 0; give at least 1"):
        made(CNNHConfig(sweeps=0))
    with pytest.raises(ValueError, match="class_weight is -1.0, expected 0 for CNNH or more for CNNH\\+"):
        made(CNNHConfig(class_weight=-1.0))


def test_many_images_need_no_matrix_of_all_pairs():
    # 10,000 x 10,000 residuals would be 800 MB in float64; equal labels share a row.
    labels = torch.arange(10_000) % 20
    codes, objectives = learn_codes(labels, 12, seeded(), sweeps=1)
    assert codes.shape == (10_000, 12)
    assert np.isfinite(objectives).all()
    assert objectives[1] < objectives[0]

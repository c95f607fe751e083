"""ADSH: its loss against loops in float64, a step that lowers it, gamma's pull on the codes of drawn images."""

import math
from dataclasses import replace

import pytest
import torch
from small_training import IDS, IMAGES, LABELS, MULTI, alike, made

from cscelab.dsf import sign
from cscelab.methods import HashOutput
from cscelab.methods.adsh import ADSHConfig

KINDS = pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])


def random_values(n: int, bits: int) -> torch.Tensor:
    return torch.randn(n, bits, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def given(values: torch.Tensor) -> HashOutput:
    return HashOutput(values, sign(values))


@KINDS
@pytest.mark.parametrize("bits", [12, 24, 32, 48])
def test_the_loss_is_the_released_codes_pair_by_pair(labels, bits):
    """(sum over pairs + gamma sum over drawn images) / (drawn images x database images)."""
    gamma, batch = 7.0, [5, 0, 2]
    method = made(ADSHConfig(own_weight=gamma), bits=bits, labels=labels)
    values = random_values(len(batch), bits)
    terms = method.losses(given(values), labels[batch], None, IDS[batch])
    codes = method.database.read(IDS).double()
    every = [alike(labels, i, j) for i in range(6) for j in range(6)]
    weight = sum(every) / (36 - sum(every))
    pairs = own = 0.0
    for row, i in enumerate(batch):
        squashed = [math.tanh(values[row, k]) for k in range(bits)]
        for j in range(6):
            product = sum(squashed[k] * float(codes[j, k]) for k in range(bits))
            pairs += (product - bits * (1 if alike(labels, i, j) else -weight)) ** 2
        own += sum((float(codes[i, k]) - squashed[k]) ** 2 for k in range(bits))
    assert terms["pairs"].item() == pytest.approx(pairs / 18, rel=1e-6)  # targets are float32
    assert terms["own"].item() == pytest.approx(gamma * own / 18, rel=1e-9)
    assert set(terms) == {"pairs", "own"}


@KINDS
def test_a_step_of_gradient_descent_lowers_the_loss(labels):
    method = made(ADSHConfig(), bits=24, labels=labels)
    values = random_values(6, 24).requires_grad_()
    losses = []
    for _ in range(3):
        loss = sum(method.losses(given(values), labels, None, IDS).values())
        losses.append(loss.item())
        (slope,) = torch.autograd.grad(loss, values)
        values = (values - 1e-3 * slope).detach().requires_grad_()
    assert losses[0] > losses[1] > losses[2]


def test_a_huge_gamma_makes_drawn_images_keep_their_own_signs():
    method = made(ADSHConfig(own_weight=1e9), bits=24)
    drawn, others = [0, 3, 4], [1, 2, 5]
    values = random_values(3, 24).float()
    method.asymmetric_loss(values, LABELS[drawn], IDS[drawn])
    method.end_epoch(0, 2)
    assert torch.equal(method.database.read(IDS[drawn]), sign(values))
    without = made(ADSHConfig(own_weight=0.0), bits=24)
    without.asymmetric_loss(values, LABELS[drawn], IDS[drawn])
    without.end_epoch(0, 2)
    assert not torch.equal(without.database.read(IDS[drawn]), sign(values))
    assert torch.equal(method.database.read(IDS[others]), without.database.read(IDS[others]))  # gamma is of drawn ones


def test_gamma_pulls_values_to_the_images_own_code():
    method = made(ADSHConfig(own_weight=5.0), bits=12)
    values = torch.zeros(6, 12, requires_grad=True)
    method.losses(given(values), LABELS, None, IDS)["own"].backward()
    # d/du of gamma / n |v - u|^2, a mean over the batch, at u = 0
    torch.testing.assert_close(values.grad, -2 * 5.0 / 6 / 6 * method.database.read(IDS))
    free = made(replace(method.config, own_weight=0.0), bits=12)
    assert free.losses(given(values), LABELS, None, IDS)["own"] == 0


def test_codes_are_constants_of_a_network_step():
    method = made(ADSHConfig(), bits=12)
    codes = method.database.rows.clone()
    sum(method.losses(method(IMAGES), LABELS, None, IDS).values()).backward()
    assert torch.equal(method.database.rows, codes)
    assert not method.database.rows.requires_grad
    assert "database.rows" not in dict(method.named_parameters())


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"own_weight is -1.0; give 0 \(no such term\) or more"):
        ADSHConfig(own_weight=-1.0)
    with pytest.raises(ValueError, match="feature_norm"):
        ADSHConfig(feature_norm="layer")  # at once, before any data are drawn

"""DCH: which pairs and weights its Cauchy losses get (test_cauchy.py has the losses), its head, its options."""

import math

import pytest
import torch
from small_training import IMAGES, LABELS, MULTI, alike, made, step

from cscelab.cauchy import CLOSEST
from cscelab.methods import HashOutput
from cscelab.methods.dch import DCHConfig


def drawn(n: int = 6, bits: int = 16) -> torch.Tensor:
    return torch.randn(n, bits, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tanh()


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
@pytest.mark.parametrize(("gamma", "weight"), [(20.0, 0.1), (3.0, 0.5)])
def test_the_loss_is_the_printed_one_pair_by_pair(labels, gamma, weight):
    method, values = made(DCHConfig(gamma=gamma, quantization_weight=weight), labels=labels), drawn()
    n, bits = values.shape
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    n_alike = sum(alike(labels, i, j) for i, j in pairs)
    total = quantization = 0.0
    for i, j in pairs:
        d = bits / 2 * (1 - float(values[i] @ values[j] / (values[i].norm() * values[j].norm())))
        if alike(labels, i, j):
            total += len(pairs) / n_alike * (math.log(d / gamma) + math.log(1 + gamma / d))
        else:
            total += len(pairs) / (len(pairs) - n_alike) * math.log(1 + gamma / (d + CLOSEST))
    for row in values:
        d = bits / 2 * (1 - float(row.abs().sum() / (row.norm() * math.sqrt(bits))))
        quantization += math.log(1 + d / gamma) / n
    terms = method.losses(HashOutput(values, values.sign()), labels)
    assert set(terms) == {"pairs", "quantization"}
    assert terms["pairs"].item() == pytest.approx(total / len(pairs), rel=1e-6)
    assert terms["quantization"].item() == pytest.approx(weight * quantization, rel=1e-6)


@pytest.mark.parametrize("labels", [torch.arange(6), torch.zeros(6, dtype=torch.int64)], ids=["unlike", "alike"])
def test_a_batch_of_one_kind_of_pair_and_equal_images_trains(labels):
    method = made(DCHConfig(), n_classes=6)
    output = method(IMAGES[:1].expand(6, -1, -1, -1))
    sum(method.losses(output, labels).values()).backward()
    gradients = [parameter.grad for parameter in method.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_values_are_bounded_unless_tanh_is_left_out():
    bounded, free = (made(DCHConfig(activation=activation)).eval() for activation in ("tanh", "none"))
    assert bounded(IMAGES).values.abs().max() < 1
    features = free.network.fuse(free.network.backbone(IMAGES))
    torch.testing.assert_close(free(IMAGES).values, free.network.hash_layer(features))
    with torch.no_grad():
        bounded.network.hash_layer[0].load_state_dict(free.network.hash_layer.state_dict())
        bounded.network.backbone.load_state_dict(free.network.backbone.state_dict())
    torch.testing.assert_close(bounded(IMAGES).values, free(IMAGES).values.tanh())


def test_without_tanh_everything_learns_too():
    method = made(DCHConfig(activation="none"))
    step(method)
    assert all(parameter.grad.abs().sum() > 0 for parameter in method.network.hash_layer.parameters())


def test_a_smaller_gamma_pulls_similar_images_closer():
    # Two similar images a bit apart, by their slopes: how much the pair gains from coming closer.
    values = torch.ones(2, 16)
    values[1, 0] = -1
    slopes = []
    for gamma in (1.0, 20.0):
        given = values.clone().requires_grad_()
        made(DCHConfig(gamma=gamma)).losses(HashOutput(given, values), torch.tensor([0, 0]))["pairs"].backward()
        slopes.append(float(given.grad[1, 0]))
    assert slopes[0] < slopes[1] < 0


def test_bad_settings_say_what_is_expected():
    with pytest.raises(ValueError, match="gamma is -1, expected a number of bits above 0; the paper has 20"):
        made(DCHConfig(gamma=-1))
    with pytest.raises(ValueError, match="unknown activation 'relu'; choose from"):
        made(DCHConfig(activation="relu"))

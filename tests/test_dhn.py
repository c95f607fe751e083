"""DHN: likelihood and prior against loops and by hand, its options, and that few similar pairs are enough to learn."""

import math

import pytest
import torch
from small_training import LABELS, MULTI, alike, made, step

from cscelab.dsf import sign
from cscelab.methods.dhn import DHNConfig, batch_likelihood, prior_loss
from cscelab.pairs import similarity

VALUES = torch.randn(6, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
@pytest.mark.parametrize("balanced", [False, True])
def test_likelihood_is_the_loop_over_pairs(labels, balanced):
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    n_similar = sum(alike(labels, i, j) for i, j in pairs)
    assert 0 < n_similar < len(pairs)
    total = 0.0
    for i, j in pairs:
        theta = 0.5 * sum(float(VALUES[i, k] * VALUES[j, k]) for k in range(8))
        s = alike(labels, i, j)
        weight = len(pairs) / (n_similar if s else len(pairs) - n_similar) if balanced else 1.0
        total += weight * (math.log(1 + math.exp(theta)) - s * theta)
    ours = batch_likelihood(VALUES, similarity(labels).double(), 0.5, balanced)
    assert float(ours) == pytest.approx(total / len(pairs), rel=1e-12)


def test_likelihood_by_hand():
    values = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    assert float(batch_likelihood(values, torch.ones(2, 2))) == pytest.approx(math.log(1 + math.exp(-1)))
    assert float(batch_likelihood(values, torch.zeros(2, 2))) == pytest.approx(math.log(1 + math.e))
    assert float(batch_likelihood(values, torch.zeros(2, 2), inner_scale=1)) == pytest.approx(math.log(1 + math.e**2))
    # Whatever an image has in common with itself does not count.
    assert float(batch_likelihood(values[:1], torch.ones(1, 1))) == 0
    assert torch.isfinite(batch_likelihood(1e3 * values, torch.zeros(2, 2)))


@pytest.mark.parametrize(
    ("prior", "cost"),
    [("logcosh", lambda x: math.log(math.cosh(x))), ("l1", abs), ("l2", lambda x: x * x)],
)
def test_prior_is_the_loop_over_bits(prior, cost):
    expected = sum(cost(abs(float(value)) - 1) for value in VALUES.flatten()) / VALUES.numel()
    assert float(prior_loss(VALUES, prior)) == pytest.approx(expected, rel=1e-12)
    assert float(prior_loss(sign(VALUES), prior)) == pytest.approx(0, abs=1e-12)


def test_prior_draws_values_to_plus_and_minus_one_without_overflow():
    values = torch.tensor([[-1e4, -1.5, -0.2, 0.2, 1.5, 1e4]], requires_grad=True)
    prior_loss(values).backward()
    expected = torch.tanh(values.abs() - 1) * values.sign() / 6
    torch.testing.assert_close(values.grad, expected.detach())
    assert torch.isfinite(prior_loss(values))


@pytest.mark.parametrize("squash", [False, True])
def test_terms_are_the_weighted_functions(squash):
    method = made(DHNConfig(quantization_weight=0.3, prior="l2", inner_scale=0.2, balanced=True, squash=squash))
    output, terms = step(method)
    values = output.values.tanh() if squash else output.values
    assert set(terms) == {"likelihood", "quantization"}
    torch.testing.assert_close(terms["likelihood"], batch_likelihood(values, similarity(LABELS), 0.2, True))
    torch.testing.assert_close(terms["quantization"], 0.3 * (values.abs() - 1).square().mean())
    torch.testing.assert_close(output.codes, sign(output.values))


def test_few_similar_pairs_of_many_classes_are_learned_from_values_near_zero():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(32) % 20  # 24 of 992 pairs are alike
    values = (0.01 * torch.randn(32, 32, generator=generator)).requires_grad_()
    similar = similarity(labels)
    optimizer = torch.optim.Adam([values], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (batch_likelihood(values, similar) + 0.1 * prior_loss(values)).backward()
        optimizer.step()
    agreement = sign(values.detach()) @ sign(values.detach()).T
    others = similar == 0
    twins = (similar > 0) & ~torch.eye(32, dtype=torch.bool)
    assert agreement[twins].min() > agreement[others].max()


def test_features_are_normalised_unless_told_otherwise():
    assert isinstance(made(DHNConfig()).network.norm, torch.nn.BatchNorm1d)
    assert isinstance(made(DHNConfig(feature_norm="none")).network.norm, torch.nn.Identity)
    with pytest.raises(ValueError, match="unknown feature_norm 'layer'; choose from"):
        made(DHNConfig(feature_norm="layer"))


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="unknown prior 'cubic'; choose from"):
        DHNConfig(prior="cubic")
    with pytest.raises(ValueError, match=r"inner_scale is 0; give a number above 0"):
        DHNConfig(inner_scale=0)
    with pytest.raises(ValueError, match=r"quantization_weight is -1; give 0 \(no prior\) or more"):
        DHNConfig(quantization_weight=-1)

"""OrthoHash: one cosine loss against a naive loop, a head that balances the bits, the choice of targets."""

import math
from dataclasses import replace

import pytest
import torch
from small_training import IMAGES, LABELS, MULTI, made, step
from torch import nn

from cscelab.centers import hash_centers
from cscelab.methods import HashOutput
from cscelab.methods.orthohash import OrthoHashConfig, balanced_head


def naive(values, centers, labels, scale, margin):
    """The loss image by image; labels: lists of the classes of each."""
    total = 0.0
    for value, classes in zip(values.tolist(), labels, strict=True):
        logits = []
        for c, center in enumerate(centers.tolist()):
            dot = sum(a * b for a, b in zip(value, center, strict=True))
            cosine = dot / math.sqrt(sum(a * a for a in value)) / math.sqrt(len(center))
            logits.append(scale * (cosine - margin * (c in classes)))
        normaliser = math.log(sum(math.exp(logit) for logit in logits))
        total -= sum(logits[c] - normaliser for c in classes) / len(classes)
    return total / len(labels)


@pytest.mark.parametrize(("scale", "margin"), [(8.0, 0.2), (3.0, 0.0)])
@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
def test_the_loss_is_the_naive_loop(labels, scale, margin):
    method = made(OrthoHashConfig(scale=scale, margin=margin))
    values = torch.randn(6, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    terms = method.losses(HashOutput(values, values.sign()), labels)
    classes = (
        [[label] for label in labels.tolist()]
        if labels.ndim == 1
        else [row.nonzero().flatten().tolist() for row in labels]
    )
    assert set(terms) == {"cosine"}
    assert terms["cosine"].item() == pytest.approx(naive(values, method.centers, classes, scale, margin), rel=1e-12)


def test_only_the_direction_of_the_values_counts():
    method = made(OrthoHashConfig())
    output = method(IMAGES)
    longer = output._replace(values=output.values * torch.tensor([[1.0], [2], [3], [4], [5], [0.1]]))
    torch.testing.assert_close(method.losses(longer, LABELS), method.losses(output, LABELS))


def test_an_image_at_its_target_still_pays_the_margin():
    method = made(OrthoHashConfig())
    at_target = method.losses(HashOutput(method.centers[LABELS], method.centers[LABELS]), LABELS)["cosine"]
    without = replace(method.config, margin=0.0)
    assert (
        at_target > made(without).losses(HashOutput(method.centers[LABELS], method.centers[LABELS]), LABELS)["cosine"]
    )


def test_every_bit_is_balanced_over_a_batch_and_needs_no_bias():
    torch.manual_seed(0)
    head = balanced_head(64, 12).train()
    values = head(5 + 3 * torch.randn(200, 64))
    torch.testing.assert_close(values.mean(dim=0), torch.zeros(12), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.std(dim=0, correction=0), torch.ones(12), atol=1e-2, rtol=0)
    assert head[0].bias is None


def test_the_head_starts_small_and_ends_in_batch_normalisation():
    torch.manual_seed(0)
    head = balanced_head(2048, 64)
    assert head[0].weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert isinstance(head[1], nn.BatchNorm1d)
    assert head[1].affine


def test_an_images_code_does_not_depend_on_its_batch_once_trained():
    method = made(OrthoHashConfig())
    step(method)
    method.eval()
    torch.testing.assert_close(method(IMAGES).values[:2], method(IMAGES[:2]).values, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["best", "hadamard", "bernoulli", "published"])
def test_targets_are_of_the_kind_that_was_asked_for_and_do_not_learn(kind):
    method = made(OrthoHashConfig(centers=kind))
    assert torch.equal(method.centers, hash_centers(5, 16, kind))
    assert "centers" not in dict(method.named_parameters())
    assert "centers" in method.state_dict()


def test_unknown_targets_and_a_scale_of_nothing_are_refused():
    with pytest.raises(ValueError, match="gaussian"):
        made(OrthoHashConfig(centers="gaussian"))
    with pytest.raises(ValueError, match="scale is 0.0, expected a number above 0"):
        step(made(OrthoHashConfig(scale=0.0)))

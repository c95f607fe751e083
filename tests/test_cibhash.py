"""CIBHash: its two terms against naive loops, the straight-through sign, views of an image, a trunk that stays."""

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from small_training import IDS, IMAGES, LABELS, MULTI, made, step, trained

from cscelab.dsf import sign, straight_through
from cscelab.explain import code_cams
from cscelab.methods import HashOutput
from cscelab.methods.cibhash import CIBHash, CIBHashConfig, contrast, divergence

RELEASED = CIBHashConfig(smallest_crop=0.5, jitter=0.4, hue=0.1, grey=0.2, blur=0.5)


def values(rows: int = 8, bits: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, bits, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_contrast(codes: list[list[float]], temperature: float) -> float:
    """NT-Xent with a loop for every row, its partner and its negatives."""
    n, total = len(codes), 0.0

    def cosine(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))

    for i in range(n):
        partner = (i + n // 2) % n
        others = [math.exp(cosine(codes[i], codes[j]) / temperature) for j in range(n) if j != i]
        total -= math.log(math.exp(cosine(codes[i], codes[partner]) / temperature) / sum(others))
    return total / n


def naive_divergence(first: list[list[float]], second: list[list[float]]) -> float:
    total = 0.0
    for row, other in zip(first, second, strict=True):
        for u, v in zip(row, other, strict=True):
            p, q = 1 / (1 + math.exp(-u)), 1 / (1 + math.exp(-v))
            total += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    return total / len(first)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_contrast_is_a_loop_over_rows(temperature):
    for codes in (values(), sign(values())):
        assert contrast(codes, temperature).item() == pytest.approx(naive_contrast(codes.tolist(), temperature))


def test_contrast_worked_out_by_hand():
    codes = torch.tensor([[1.0, 1], [1, -1], [1, 1], [1, -1]], dtype=torch.float64)
    # Each partner has cosine 1 and both others have 0: -log(e^(1/T) / (e^(1/T) + 2)).
    assert contrast(codes, 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(-2)))


def test_divergence_is_a_loop_over_bits_and_none_of_equals():
    first, second = values(4), values(4, seed=1)
    assert divergence(first, second).item() == pytest.approx(naive_divergence(first.tolist(), second.tolist()))
    assert divergence(first, first).item() == pytest.approx(0)
    assert torch.isfinite(divergence(torch.full((1, 2), 200.0), torch.full((1, 2), -200.0)))


def test_the_sign_passes_the_gradient_of_the_probability():
    inputs = values().requires_grad_()
    codes = straight_through(inputs, inputs.sigmoid())
    assert torch.equal(codes.detach(), sign(inputs.detach()))
    codes.sum().backward()
    p = inputs.detach().sigmoid()
    torch.testing.assert_close(inputs.grad, p * (1 - p))


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
def test_terms_are_weighted_and_labels_are_not_read(labels):
    method = made(CIBHashConfig(bottleneck_weight=0.5, temperature=0.4), bits=6)
    both = values(12)
    terms = method.losses(HashOutput(both, sign(both)), torch.cat([labels, labels]))
    expected = naive_contrast(sign(both).tolist(), 0.4)
    assert terms["contrast"].item() == pytest.approx(expected)
    first, second = both[:6].tolist(), both[6:].tolist()
    expected = 0.5 * (naive_divergence(first, second) + naive_divergence(second, first)) / 2
    assert terms["bottleneck"].item() == pytest.approx(expected)
    again = method.losses(HashOutput(both, sign(both)), torch.cat([labels, labels]).flip(0))
    assert torch.equal(terms["contrast"], again["contrast"])


def test_the_bottleneck_pulls_each_view_to_the_other_held_fixed():
    both = values(4, 3).requires_grad_()
    made(CIBHashConfig(bottleneck_weight=1.0), bits=3).losses(HashOutput(both, sign(both)), LABELS)[
        "bottleneck"
    ].backward()
    u, v = both.detach().chunk(2)
    p = torch.cat([u, v]).sigmoid()
    # d KL(p || q) / d u = p (1 - p) (u - v), q held fixed; half of it, mean over two rows.
    torch.testing.assert_close(both.grad, p * (1 - p) * torch.cat([u - v, v - u]) / 2 / 2)


def test_the_head_learns_and_the_trunk_stays():
    method = made(RELEASED)
    before = {name: tensor.clone() for name, tensor in method.network.backbone.state_dict().items()}
    output, _ = step(method)
    assert output.values.shape == (12, 16)
    learning = {name for name, parameter in method.named_parameters() if parameter.requires_grad}
    assert learning == {f"network.hash_layer.{i}.{part}" for i in (0, 2) for part in ("weight", "bias")}
    assert all(p.grad.abs().sum() > 0 for p in method.parameters() if p.requires_grad)
    assert all(torch.equal(before[name], tensor) for name, tensor in method.network.backbone.state_dict().items())


def test_views_are_drawn_from_the_generator_and_differ():
    method = made(RELEASED)
    generator = torch.Generator().manual_seed(3)
    first, second = method.view(IMAGES, generator), method.view(IMAGES, generator)
    assert not torch.equal(first, second)
    assert torch.equal(method.view(IMAGES, torch.Generator().manual_seed(3)), first)
    assert first.shape == IMAGES.shape
    assert 0 <= first.min() < first.max() <= 1
    coded = (255 * IMAGES).byte()
    again = method.view(coded, torch.Generator().manual_seed(3))
    torch.testing.assert_close(again, first, atol=0.02, rtol=0)
    assert torch.equal(made(CIBHashConfig()).view(IMAGES, generator), IMAGES)  # by default, the training's own suffice


def test_maps_explain_codes_of_a_frozen_trunk():
    method = made(CIBHashConfig()).eval()
    cams = code_cams(method, IMAGES, extractor="LayerCAM")
    assert cams.shape == (6, 112, 112)
    assert (cams.flatten(1).amax(dim=1) > 0.5).all()
    assert not torch.equal(cams[0], cams[1])
    assert (code_cams(method, IMAGES).flatten(1).amax(dim=1) > 0.5).any()
    assert all(parameter.grad is None for parameter in method.network.backbone.parameters())


@dataclass(frozen=True)
class RecordingConfig(CIBHashConfig):
    name: ClassVar[str] = "recording"

    def build(self, n_classes: int, bits: int) -> "Recording":
        return Recording(self, n_classes, bits)


class Recording(CIBHash):
    """CIBHash that keeps what each step of a training gives it."""

    def __init__(self, config: CIBHashConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.heard = []

    def forward(self, images):
        self.images = images
        return super().forward(images)

    def losses(self, output, labels, generator=None, ids=None):
        self.heard.append((self.images, labels, ids))
        return super().losses(output, labels, generator, ids)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_training_gives_two_different_views_of_each_image(tmp_path, precision):
    config = RecordingConfig(smallest_crop=0.5, jitter=0.4, hue=0.1, grey=0.2, blur=0.5)
    method, history = trained(config, tmp_path, precision=precision, batch_size=3)
    assert len(history) == 2
    assert len(method.heard) == 4
    for images, labels, ids in method.heard:
        assert len(images) == len(labels) == len(ids) == 6
        assert torch.equal(ids[:3], ids[3:])
        assert [LABELS[image == IDS].item() for image in ids] == labels.tolist()
        first, second = images.chunk(2)
        assert (first != second).flatten(1).any(dim=1).all()
    assert torch.cat([ids[:3] for _, _, ids in method.heard[:2]]).sort().values.tolist() == IDS.sort().values.tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0; give one above 0"),
        ({"smallest_crop": 0.0}, "smallest_crop is 0.0; give a share"),
        ({"blur": 1.5}, "blur is 1.5; give a probability"),
        ({"hue": -0.1}, "hue is -0.1; give 0 or more"),
        ({"hidden": 0}, "hidden is 0; give at least 1"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        made(CIBHashConfig(**settings))

"""DSH: the contrastive loss and its regulariser against loops, its margin, its options."""

import pytest
import torch
from small_training import IMAGES, LABELS, MULTI, alike, made

from cscelab.losses import distance_to_one
from cscelab.methods import HashOutput
from cscelab.methods.dsh import DSHConfig, contrastive_loss
from cscelab.pairs import different_images, similarity


def drawn(n: int = 6, bits: int = 16) -> torch.Tensor:
    return 2 * torch.randn(n, bits, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
@pytest.mark.parametrize("margin", [2.0, 0.25])
def test_the_loss_is_the_printed_one_pair_by_pair(labels, margin):
    method, values = made(DSHConfig(margin=margin, quantization_weight=0.3), labels=labels), drawn()
    m = margin * 16
    pairs, gap = [], []
    for i in range(6):
        gap += [abs(abs(float(u)) - 1) for u in values[i]]
        for j in range(6):
            if i != j:
                square = sum(float(a - b) ** 2 for a, b in zip(values[i], values[j], strict=True))
                pairs.append(square / 2 if alike(labels, i, j) else max(0.0, m - square) / 2)
    terms = method.losses(HashOutput(values, values.sign()), labels)
    assert set(terms) == {"pairs", "quantization"}
    assert terms["pairs"].item() == pytest.approx(sum(pairs) / len(pairs))
    assert terms["quantization"].item() == pytest.approx(0.3 * sum(gap) / len(gap))


def test_unlike_codes_are_left_alone_from_half_the_bits_on():
    codes = torch.ones(2, 8, dtype=torch.float64)
    unlike = torch.zeros(2, 2)
    costs = []
    for different in range(9):
        codes[1, :different] = -1
        costs.append(contrastive_loss(codes, unlike, margin=2.0 * 8, counted=different_images(2)).item())
    assert costs == [8, 6, 4, 2, 0, 0, 0, 0, 0]  # 1/2 max(0, 2 K - 4 h)


def test_codes_cost_nothing_to_the_regulariser_and_zero_most():
    assert distance_to_one(drawn().sign()).item() == 0
    assert distance_to_one(torch.zeros(2, 4)).item() == 1
    assert distance_to_one(torch.tensor([[3.0, -3.0]])).item() == 2


def test_one_image_alone_costs_nothing_and_has_a_gradient():
    values = drawn(1).requires_grad_()
    loss = contrastive_loss(values, torch.ones(1, 1), 32.0, different_images(1))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(values.grad, torch.zeros_like(values))


def test_an_image_with_itself_is_left_out():
    values, similar = drawn(), similarity(LABELS)
    method = made(DSHConfig(margin=2.0))
    found = method.losses(HashOutput(values, values.sign()), LABELS)["pairs"]
    # 30 pairs of different images instead of 36: the six others cost 0.
    everything = torch.ones(6, 6, dtype=torch.bool)
    torch.testing.assert_close(found, contrastive_loss(values, similar, 32.0, everything) * 36 / 30)


def test_the_margin_follows_the_code_length():
    assert [made(DSHConfig(), bits=bits).margin for bits in (12, 64)] == [12, 64]
    assert made(DSHConfig(margin=0.5), bits=24).margin == 12
    with pytest.raises(ValueError, match="margin is 0, expected a multiple of K above 0; the paper has 2"):
        made(DSHConfig(margin=0))


def test_codes_are_the_signs_of_plain_values():
    method = made(DSHConfig()).eval()
    output = method(IMAGES)
    features = method.network.fuse(method.network.backbone(IMAGES))
    torch.testing.assert_close(output.values, method.network.hash_layer(method.network.norm(features)))


def test_features_are_normalised_unless_told_otherwise():
    assert isinstance(made(DSHConfig()).network.norm, torch.nn.BatchNorm1d)
    assert isinstance(made(DSHConfig(feature_norm="none")).network.norm, torch.nn.Identity)
    with pytest.raises(ValueError, match="unknown feature_norm 'layer'; choose from"):
        made(DSHConfig(feature_norm="layer"))

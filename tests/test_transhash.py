"""TransHash: shares of the code, groups of patches, tokens of any trunk, and the loss against a loop."""

import math

import pytest
import torch
from small_training import IMAGES, LABELS, MULTI, SCRATCH, alike, made, step

from cscelab.cauchy import CLOSEST
from cscelab.methods import HashOutput, build
from cscelab.methods.transhash import HashLayers, TransHashConfig, bit_shares
from cscelab.model.backbone import BACKBONES, BackboneConfig
from cscelab.model.tokens import TokenEncoder, deal
from cscelab.model.vit import VisionTransformerTrunk


@pytest.mark.parametrize(
    ("bits", "shares"),
    [(32, (16, 4, 4, 4, 4)), (12, (6, 2, 2, 1, 1)), (13, (7, 2, 2, 1, 1)), (5, (3, 1, 1)), (2, (1, 1))],
)
def test_the_class_token_has_the_larger_half_and_groups_share_the_other(bits, shares):
    assert bit_shares(bits, 4) == shares


@pytest.mark.parametrize("bits", range(2, 70))
def test_shares_make_up_the_code(bits):
    of_token, *of_groups = bit_shares(bits, 4)
    assert of_token + sum(of_groups) == bits
    assert of_token - sum(of_groups) in (0, 1)
    assert min(of_groups) >= 1
    assert max(of_groups) - min(of_groups) <= 1


def test_patches_are_dealt_in_turn():
    patches = torch.arange(7.0).view(1, 7, 1)
    assert [group.flatten().tolist() for group in deal(patches, 3)] == [[0, 3, 6], [1, 4], [2, 5]]


def test_each_part_of_the_features_makes_its_own_bits():
    torch.manual_seed(0)
    layers = HashLayers(5 * 8, 12, groups=4)
    features = torch.randn(3, 5, 8)
    before = layers(features.flatten(1))
    for part, bits in enumerate(torch.arange(12).split(list(bit_shares(12, 4)))):
        changed = features.clone()
        changed[:, part] += 1
        differs = (layers(changed.flatten(1)) != before).all(dim=0)
        assert differs.nonzero().flatten().tolist() == bits.tolist()


def test_tokens_of_a_map_are_its_places_with_the_class_token_first():
    torch.manual_seed(0)
    encoder = TokenEncoder(channels=6, places=9, width=64, layers=0).double()
    encoder.class_token.data.normal_()
    grid = torch.randn(2, 6, 3, 3, dtype=torch.float64)
    tokens = encoder(grid)
    assert tokens.shape == (2, 10, 64)
    norm = encoder.layers[0]
    torch.testing.assert_close(tokens[1, 0], norm(encoder.class_token[0, 0] + encoder.positions[0, 0]))
    place = encoder.project(grid[1, :, 1, 2]) + encoder.positions[0, 1 + 1 * 3 + 2]
    torch.testing.assert_close(tokens[1, 6], norm(place))


def test_a_group_sees_the_class_token_and_its_own_patches(monkeypatch):
    network = made(TransHashConfig()).eval().network
    tokens = torch.randn(2, 1 + 49, 128)
    # The encoder itself would let every token see every other.
    monkeypatch.setattr(TokenEncoder, "forward", lambda self, grid: tokens)
    stages = network.backbone(IMAGES[:2])
    before = network.fuse(stages).view(2, 5, 128)
    torch.testing.assert_close(before[:, 0], tokens[:, 0])
    group = torch.cat([tokens[:, :1], tokens[:, 1:][:, 2::4]], dim=1)
    torch.testing.assert_close(before[:, 3], network.group_encoder(group)[:, 0])
    tokens = tokens.clone()
    tokens[:, 1 + 6] += torch.randn(128)  # patch 6, of group 2
    differs = (network.fuse(stages).view(2, 5, 128) - before).abs().amax(dim=(0, 2)) > 1e-4
    assert differs.tolist() == [False, False, False, True, False]


def test_a_group_does_not_know_the_order_of_its_patches_but_positions_do():
    network = made(TransHashConfig()).eval().network
    group = torch.randn(1, 1 + 12, 128)
    mixed = torch.cat([group[:, :1], group[:, 1:].flip(1)], dim=1)
    read = [network.group_encoder(tokens)[:, 0] for tokens in (group, mixed)]
    torch.testing.assert_close(*read, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(network(IMAGES[:1]).values, network(IMAGES[:1].flip(3)).values)


def loop_loss(values: torch.Tensor, labels: torch.Tensor, gamma: float, weight: float) -> dict[str, float]:
    """The Cauchy loss pair by pair, the quantisation image by image, in float64."""
    n, bits = values.shape
    rows = values.tolist()
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]

    def distance(a: list[float], b: list[float]) -> float:
        cosine = sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)
        return bits / 2 * (1 - cosine)

    n_alike = sum(alike(labels, i, j) for i, j in pairs)
    total = 0.0
    for i, j in pairs:
        d = distance(rows[i], rows[j])
        if alike(labels, i, j):
            total += len(pairs) / n_alike * math.log(1 + d / gamma)
        else:
            total += len(pairs) / (len(pairs) - n_alike) * math.log(1 + gamma / (d + CLOSEST))
    bent = sum(math.log(1 + distance([abs(x) for x in row], [1.0] * bits) / gamma) for row in rows)
    return {"pairs": total / len(pairs), "quantization": weight * bent / n}


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
@pytest.mark.parametrize("settings", [{}, {"gamma": 5.0, "quantization_weight": 0.5}])
def test_the_loss_is_the_loops(labels, settings):
    method = made(TransHashConfig(**settings), labels=labels).double()
    values = torch.randn(len(labels), 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    terms = method.losses(HashOutput(values, values.sign()), labels)
    expected = loop_loss(values, labels, method.config.gamma, method.config.quantization_weight)
    assert set(terms) == set(expected)
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(value, rel=1e-6)


def test_parts_have_their_gradient_columns():
    assert set(made(TransHashConfig()).network.parts()) == {
        "backbone",
        "token_encoder",
        "group_encoder",
        "hash_layer",
    }


def test_a_vision_transformer_brings_its_own_tokens(monkeypatch):
    monkeypatch.setitem(BACKBONES, "vit_b_16", lambda _: VisionTransformerTrunk(16, 2, 2, 64, pretraining_size=112))
    torch.manual_seed(0)
    method = build(TransHashConfig(BackboneConfig("vit_b_16", "none")), 5, 16)
    network = method.network
    assert set(network.parts()) == {"backbone", "group_encoder", "hash_layer"}
    output, _ = step(method)
    stages = network.eval().backbone(IMAGES)
    torch.testing.assert_close(method(IMAGES).features[:, :64], stages.class_token)
    without = [key for key, parameter in method.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert without == []
    assert output.values.shape == (6, 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": 0}, "groups is 0; give at least 1"),
        ({"layers": 0}, "layers is 0; give at least 1"),
        ({"width": 100}, "width is 100, but attention heads have 64 channels"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        TransHashConfig(**settings)


def test_a_code_of_one_bit_cannot_be_shared():
    with pytest.raises(ValueError, match="1 bit came"):
        build(TransHashConfig(SCRATCH), 5, 1)


def test_images_with_too_few_patches_for_the_groups():
    with pytest.raises(ValueError, match="32 px images on tiny have 4 patches, too few for 8 groups"):
        build(TransHashConfig(SCRATCH, 32, groups=8), 5, 16)

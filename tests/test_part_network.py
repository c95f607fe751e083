"""ExchNet's network: maps on every trunk, parts apart from each other, two refiners, and the order of the features."""

import pytest
import torch
from torch import Tensor, nn

from cscelab.model.backbone import BACKBONES, BackboneConfig, fresh_backbone
from cscelab.model.parts import PartNetwork, PartNetworkConfig, narrowing_attention, stage_attention
from cscelab.model.vit import VisionTransformerTrunk

SIDE = 32  # px: stage 3 of the tiny trunk is 4 x 4


def images(n: int = 2, side: int = SIDE) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def made(trunk: str = "tiny", weights: str = "none", side: int = SIDE, bits: int = 12, **options) -> PartNetwork:
    torch.manual_seed(0)
    config = PartNetworkConfig(BackboneConfig(trunk, weights), side, "baseline", threshold_layer=False, **options)
    return PartNetwork(config, bits).eval()


class Fixed(nn.Module):
    """An attention generator that gives the same maps (B, M, h, w) to whatever comes."""

    def __init__(self, maps: Tensor):
        super().__init__()
        self.maps = maps

    def forward(self, stage3: Tensor) -> Tensor:
        return self.maps


class TestShapes:
    @torch.no_grad()
    @pytest.mark.parametrize(
        ("trunk", "side", "place", "d"),
        [
            ("tiny", 112, 14, 128),
            ("tiny", 32, 4, 128),
            ("resnet18", 64, 4, 512),
            ("resnet50", 64, 4, 2048),
            ("vgg16", 32, 2, 512),
            ("gcvit_xxtiny", 32, 2, 512),
        ],
    )
    def test_every_trunk_of_two_scales(self, trunk, side, place, d):
        network = made(trunk, side=side)
        parts = network.look(network.backbone(images(side=side)))
        assert parts.attention.shape == (2, 4, place, place)
        assert parts.responses.shape == (2, 4, place // 2, place // 2)
        assert parts.local.shape == (2, 4, d)
        assert parts.whole.shape == (2, d)
        assert network(images(side=side)).values.shape == (2, 12)
        assert parts.attention.min() >= 0 < parts.attention.max()

    @torch.no_grad()
    @pytest.mark.parametrize("n_parts", [1, 2, 6])
    def test_any_number_of_parts(self, n_parts):
        network = made(n_parts=n_parts)
        parts = network.look(network.backbone(images()))
        assert parts.attention.shape == (2, n_parts, 4, 4)
        assert parts.joined().shape == (2, (n_parts + 1) * 128)
        assert network.hash_layer.in_features == (n_parts + 1) * 128

    @torch.no_grad()
    @pytest.mark.parametrize("trunk", ["tiny", "resnet18"])
    def test_stage_4_as_the_generator_keeps_the_side(self, trunk):
        network = made(trunk, side=64, attention="stage4")
        stages = network.backbone(images(side=64))
        parts = network.look(stages)
        assert parts.attention.shape[-2:] == stages.stage3.shape[-2:]
        assert parts.attention.min() >= 0 < parts.attention.max()
        # Only the copy keeps the side; the refiners halve it as ever.
        assert parts.responses.shape[-1] == stages.stage4.shape[-1] == stages.stage3.shape[-1] // 2

    @torch.no_grad()
    def test_stage_4_of_resnet_50_keeps_the_side(self):
        generator = stage_attention(fresh_backbone(BackboneConfig("resnet50", "none"), 224).stage4, 2048, 4)
        assert generator.eval()(torch.rand(1, 1024, 7, 7)).shape == (1, 4, 7, 7)

    def test_the_dry_run_leaves_the_generator_in_training(self):
        network = PartNetwork(PartNetworkConfig(BackboneConfig("tiny", "none"), SIDE, attention="stage4"), 12)
        assert all(module.training for module in network.modules())
        counted = [each for name, each in network.attention.named_buffers() if name.endswith("num_batches_tracked")]
        assert len(counted) == 6  # five of two residual blocks, one of the maps
        assert not any(counted)  # nor does it enter their statistics

    @pytest.mark.parametrize(
        ("trunk", "why"), [("vgg16", "2 became 1"), ("gcvit_xxtiny", "shape .* is invalid for input of size .*")]
    )
    def test_stage_4_that_cannot_keep_the_side_is_refused(self, trunk, why):
        message = rf"stage 4 of {trunk} cannot keep the side of its map \({why}\); use attention 'narrowing'"
        with pytest.raises(ValueError, match=message):
            made(trunk, attention="stage4")

    def test_a_trunk_of_one_scale_is_refused(self, monkeypatch):
        monkeypatch.setitem(
            BACKBONES, "vit_b_16", lambda _: VisionTransformerTrunk(16, 2, 2, 32, pretraining_size=SIDE)
        )
        with pytest.raises(ValueError, match="vit_b_16 has one scale, but parts are found on stage 3 .*; use another"):
            made("vit_b_16")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_parts": 0}, "n_parts is 0; give at least 1"),
            ({"attention": "wide"}, r"unknown attention 'wide'; choose from \('narrowing', 'stage4'\)"),
            ({"refiner_start": "zero"}, r"unknown refiner_start 'zero'; choose from \('trunk', 'random'\)"),
        ],
    )
    def test_settings_that_do_not_exist_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            PartNetworkConfig(**options)


class TestAttention:
    def test_it_narrows_as_on_resnet_50(self):
        generator = narrowing_attention(1024, 4)
        bottlenecks = [module for name, module in generator.named_children() if hasattr(module, "conv3")]
        assert [each.conv1.in_channels for each in bottlenecks] == [1024, 256, 64]
        assert [each.conv3.out_channels for each in bottlenecks] == [1024, 256, 64]
        between = [module for module in generator if isinstance(module, nn.Conv2d)]
        assert [(each.in_channels, each.out_channels) for each in between] == [(1024, 256), (256, 64), (64, 4)]
        strides = {module.stride for module in generator.modules() if isinstance(module, nn.Conv2d)}
        assert strides == {(1, 1)}
        assert isinstance(generator[-1], nn.ReLU)

    def test_a_narrow_trunk_keeps_sixteen_channels(self):
        between = [module for module in narrowing_attention(64, 4) if isinstance(module, nn.Conv2d)]
        assert [each.in_channels for each in between] == [64, 16, 16]

    @torch.no_grad()
    def test_a_part_is_stage_3_times_its_map(self):
        """E * A^j by hand, part by part through the refiner."""
        network = made()
        stages = network.backbone(images())
        parts = network.look(stages)
        for j in range(4):
            refined = network.local_refiner(stages.stage3 * parts.attention[:, j : j + 1])
            torch.testing.assert_close(parts.local[:, j], refined.mean(dim=(2, 3)))
            torch.testing.assert_close(parts.responses[:, j], refined.mean(dim=1))
        torch.testing.assert_close(parts.whole, stages.stage4.mean(dim=(2, 3)))

    @torch.no_grad()
    @pytest.mark.parametrize("part", range(4))
    def test_parts_do_not_see_each_other(self, part):
        network = made()
        stages = network.backbone(images())
        maps = torch.rand(2, 4, 4, 4, generator=torch.Generator().manual_seed(1))
        network.attention = Fixed(maps)
        before = network.look(stages)
        dimmed = maps.clone()
        dimmed[0, part] = 0
        network.attention = Fixed(dimmed)
        after = network.look(stages)
        changed = (after.local != before.local).any(dim=2)
        assert changed.nonzero().tolist() == [[0, part]]  # of the first image, and of no other
        assert after.whole.equal(before.whole)
        # A part that looks nowhere says the same of every image.
        network.attention = Fixed(torch.zeros_like(dimmed))
        nothing = network.look(stages).local
        assert nothing.equal(nothing[:1, :1].expand_as(nothing))


class TestRefiners:
    @torch.no_grad()
    def test_one_refiner_for_all_parts(self):
        network = made()
        stages = network.backbone(images())
        attention = network.attention(stages.stage3)
        network.attention = Fixed(attention[:, :1].expand(-1, 4, -1, -1))
        parts = network.look(stages)
        torch.testing.assert_close(parts.local, parts.local[:, :1].expand(-1, 4, -1))
        size = sum(parameter.numel() for parameter in network.local_refiner.parameters())
        assert size == sum(parameter.numel() for parameter in network.backbone.stage4.parameters())
        more = made(n_parts=6)
        assert size == sum(parameter.numel() for parameter in more.local_refiner.parameters())

    def test_training_it_leaves_the_whole_as_it_is(self):
        network = made()
        stages = network.backbone(images())
        before = network.look(stages)
        optimiser = torch.optim.SGD(network.local_refiner.parameters(), lr=0.1)
        before.joined().square().sum().backward()
        optimiser.step()
        after = network.look(network.backbone(images()))
        assert after.whole.equal(before.whole)
        assert not after.local.equal(before.local)

    @pytest.mark.parametrize("weights", ["default", "none"])
    def test_it_starts_from_the_trunk_or_apart(self, weights):
        for start, same in (("trunk", True), ("random", False)):
            network = made(weights=weights, refiner_start=start)
            own, trunk = (stage.state_dict() for stage in (network.local_refiner, network.backbone.stage4))
            assert own.keys() == trunk.keys()
            assert all(own[name].equal(trunk[name]) for name in own) is same
        # With all maps at 1, a refiner that starts from the trunk sees what the trunk does.
        if weights == "default":
            network = made(weights=weights)
            network.attention = Fixed(torch.ones(2, 4, 4, 4))
            with torch.no_grad():
                parts = network.look(network.backbone(images()))
            torch.testing.assert_close(parts.local, parts.whole[:, None].expand(-1, 4, -1))

    @pytest.mark.parametrize("attention", ["narrowing", "stage4"])
    def test_the_attention_never_starts_from_the_trunks_weights(self, attention):
        """Stage 4 as a generator is a copy of its form: sharing would let one learn for the other."""
        network = made(weights="default", attention=attention)
        pointers = [
            {parameter.data_ptr() for parameter in part.parameters()}
            for part in (network.attention, network.local_refiner, network.backbone)
        ]
        assert len(set.union(*pointers)) == sum(map(len, pointers))
        trunk = list(network.backbone.parameters())
        weights = [parameter for parameter in network.attention.parameters() if parameter.ndim == 4]
        assert not any(weight.shape == other.shape and weight.equal(other) for weight in weights for other in trunk)

    @pytest.mark.parametrize("attention", ["narrowing", "stage4"])
    def test_every_parameter_learns(self, attention):
        network = made(attention=attention, feature_norm="batch").train()
        network(images(6)).values.square().sum().backward()
        still = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]
        assert still == []


class TestFeatures:
    @torch.no_grad()
    def test_parts_come_first_in_their_order_and_the_whole_last(self):
        network = made(n_parts=3)
        parts = network.look(network.backbone(images()))
        blocks = parts.joined().unflatten(1, (4, 128))
        assert blocks[:, :3].equal(parts.local)
        assert blocks[:, 3].equal(parts.whole)
        numbered = parts._replace(local=torch.arange(3.0).view(1, 3, 1).expand(2, 3, 2), whole=torch.full((2, 2), 9.0))
        assert numbered.joined().tolist() == [[0, 0, 1, 1, 2, 2, 9, 9]] * 2

    @torch.no_grad()
    def test_other_parts_never_take_the_place_of_the_whole(self):
        network = made()
        parts = network.look(network.backbone(images()))
        others = torch.full_like(parts.local, 7)
        blocks = parts.joined(others).unflatten(1, (5, 128))
        assert (blocks[:, :4] == 7).all()
        assert blocks[:, 4].equal(parts.whole)
        assert parts.joined(parts.local).equal(parts.joined())

    @torch.no_grad()
    @pytest.mark.parametrize("norm", ["none", "batch"])
    def test_values_of_the_joined_features_are_the_networks(self, norm):
        network = made(feature_norm=norm)
        if norm == "batch":  # statistics that are not those of the start
            network.norm.running_mean.fill_(0.1)
            network.norm.running_var.fill_(0.2)
        output = network(images())
        parts = network.look(network.backbone(images()))
        assert network.values(parts.joined()).equal(output.values)
        assert network.fuse(network.backbone(images())).equal(parts.joined())
        seen = network.hashed(parts.joined())
        assert seen.features.equal(output.features)
        assert seen.values.equal(output.values)

    def test_the_trunk_is_the_global_refiner(self):
        """Nothing but attention and the local refiner is added to trunk and hash layer."""
        network = made()
        assert set(network.parts()) == {"backbone", "local_refiner", "attention", "hash_layer"}
        fresh = fresh_backbone(BackboneConfig("tiny", "none"), SIDE)
        assert network.backbone.state_dict().keys() == fresh.state_dict().keys()

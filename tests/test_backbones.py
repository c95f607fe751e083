"""Trunks of Table 1: shapes, features equal to their libraries', one scale of a transformer, errors, every method."""

import sys
from dataclasses import replace

import pytest
import timm
import torch
from small_training import IDS, LABELS
from torchvision import models
from torchvision.models import VisionTransformer
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.vgg import cfgs, make_layers

from cscelab.datasets.base import ImageSet
from cscelab.explain import EXTRACTORS, code_cams
from cscelab.methods import METHODS, build
from cscelab.methods.csce import CSCEConfig
from cscelab.methods.csq import CSQConfig
from cscelab.model.backbone import BACKBONES, BackboneConfig, build_backbone
from cscelab.model.network import STRUCTURES, HashNetwork, NetworkConfig, trace_shapes
from cscelab.model.stages import IMAGENET_MEAN, IMAGENET_STD, Backbone
from cscelab.model.trunks import TORCHVISION, cut
from cscelab.model.vit import VisionTransformerTrunk, as_map, as_tokens, resized_positions

SIDE = 32  # px: four patches of 16
VIT = BackboneConfig("vit_b_16", "none")


def images(side: int, n: int = 2) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def normalised(pictures: torch.Tensor) -> torch.Tensor:
    return (pictures - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)


def fresh(name: str, side: int = 224) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(BackboneConfig(name, "none"), side).eval()


@pytest.fixture
def small_vit(monkeypatch):
    """ViT-B/16 of two layers and 32 channels, under the same name; torchvision's own network of these sizes comes."""
    monkeypatch.setitem(BACKBONES, "vit_b_16", lambda _: VisionTransformerTrunk(16, 2, 2, 32, pretraining_size=SIDE))
    torch.manual_seed(1)
    return VisionTransformer(SIDE, 16, 2, 2, 32, 128, num_classes=7).eval()


@pytest.mark.parametrize(
    ("name", "stage3", "stage4"),
    [("vgg16", (512, 14, 14), (512, 7, 7)), ("gcvit_xxtiny", (256, 14, 14), (512, 7, 7))],
)
def test_maps_at_224_px_are_table_1s(name, stage3, stage4):
    assert fresh(name).trace_shapes(224) == ((1, *stage3), (1, *stage4))


def test_vit_b_16_has_one_scale_and_its_papers_size():
    network = HashNetwork(NetworkConfig(VIT, SIDE, "baseline"), 16)
    assert network.backbone.trace_shapes(224) == (None, (1, 768, 14, 14))
    # Dosovitskiy et al., Table 1: 86 million parameters.
    assert round(sum(parameter.numel() for parameter in network.backbone.parameters()) / 1e6) == 86
    assert network.eval()(images(SIDE)).features.shape == (2, 768)


class TestFeaturesAreTheLibraries:
    """A state dict as the library names it, read from a file: the trunk gives what the library's network gives."""

    def loaded(self, name, state, folder, side) -> Backbone:
        torch.save(state, folder / "weights.pth")
        return build_backbone(BackboneConfig(name, str(folder / "weights.pth")), side).eval()

    def test_vgg16(self, tmp_path):
        torch.manual_seed(1)
        features = make_layers(cfgs["D"])
        state = {f"features.{key}": value for key, value in features.state_dict().items()}
        trunk = self.loaded("vgg16", state | {"classifier.0.weight": torch.zeros(2, 2)}, tmp_path, 64)
        stages = trunk(images(64))
        torch.testing.assert_close(stages.stage4, features(normalised(images(64))))
        torch.testing.assert_close(stages.stage3, features[:24](normalised(images(64))))  # up to pool4

    def test_gcvit(self, tmp_path):
        torch.manual_seed(1)
        net = timm.create_model("gcvit_xxtiny", img_size=128).eval()
        stages = self.loaded("gcvit_xxtiny", net.state_dict(), tmp_path, 128)(images(128))
        *_, stage3, stage4 = net.forward_intermediates(normalised(images(128)), intermediates_only=True)
        torch.testing.assert_close(stages.stage3, stage3)
        torch.testing.assert_close(stages.stage4, stage4)
        torch.testing.assert_close(stages.pooled(), net.forward_head(stage4, pre_logits=True))

    @pytest.mark.parametrize("name", ["resnet18", "regnet_y_400mf"])
    def test_torchvision(self, tmp_path, name):
        torch.manual_seed(1)
        net = models.get_model(name, weights=None).eval()
        stages = self.loaded(name, net.state_dict(), tmp_path, 64)(images(64))
        net.fc = torch.nn.Identity()
        torch.testing.assert_close(stages.pooled(), net(normalised(images(64))))
        assert stages.stage3.shape[2:] == (4, 4)

    def test_convnext_of_small_sizes(self):
        torch.manual_seed(1)
        blocks = [
            CNBlockConfig(8, 16, 1),
            CNBlockConfig(16, 24, 1),
            CNBlockConfig(24, 32, 1),
            CNBlockConfig(32, None, 1),
        ]
        net = models.ConvNeXt(blocks).eval()
        stages = cut(net, *TORCHVISION["convnext_tiny"]).eval()(images(64))
        torch.testing.assert_close(stages.stage3, net.features[:6](normalised(images(64))))
        torch.testing.assert_close(stages.stage4, net.features(normalised(images(64))))

    def test_timms_file_of_torchvisions_resnet(self, tmp_path):
        torch.manual_seed(1)
        net = timm.create_model("resnet18", pretrained=False).eval()
        stages = self.loaded("resnet18", net.state_dict(), tmp_path, 64)(images(64))
        torch.testing.assert_close(stages.stage4, net.forward_features(normalised(images(64))))

    @pytest.mark.parametrize("perceptron", [("mlp.0", "mlp.3"), ("mlp.linear_1", "mlp.linear_2")])
    def test_vision_transformer(self, small_vit, tmp_path, perceptron):
        """By the names of the network, and by those of torchvision's files, which are of an older one."""
        torch.nn.init.normal_(small_vit.class_token)
        first, second = perceptron
        state = {
            key.replace("mlp.0", first).replace("mlp.3", second): value for key, value in small_vit.state_dict().items()
        }
        stages = self.loaded("vit_b_16", state, tmp_path, SIDE)(images(SIDE))
        tokens = small_vit._process_input(normalised(images(SIDE)))
        tokens = small_vit.encoder(torch.cat([small_vit.class_token.expand(2, -1, -1), tokens], dim=1))
        torch.testing.assert_close(stages.pooled(), tokens[:, 0])
        torch.testing.assert_close(as_tokens(stages.stage4), tokens[:, 1:])
        assert stages.stage3 is None

    def test_our_own_names_load_too(self, small_vit, tmp_path):
        state = fresh("vit_b_16").state_dict()
        loaded = self.loaded("vit_b_16", state, tmp_path, SIDE).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in state.items())

    def test_weights_of_another_image_size_do_not_fit_gcvit(self, tmp_path):
        torch.save(fresh("gcvit_xxtiny", 64).state_dict(), tmp_path / "w.pth")
        with pytest.raises(ValueError, match=r"0 tensors missing, .* give weights of the same architecture and image"):
            build_backbone(BackboneConfig("gcvit_xxtiny", str(tmp_path / "w.pth")), 128)


def test_gcvit_codes_do_not_depend_on_the_batch():
    """In timm before 1.0.31 the windows of an image attend with the global queries of others."""
    trunk = fresh("gcvit_xxtiny", 64)
    pictures = images(64, 3)
    alone = torch.cat([trunk(picture[None]).stage4 for picture in pictures])
    torch.testing.assert_close(trunk(pictures).stage4, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", [112, 200])
def test_gcvit_takes_multiples_of_32_px_only(side):
    with pytest.raises(ValueError, match=f"multiple of 32 px, but {side} px came; use 224 px"):
        HashNetwork(NetworkConfig(BackboneConfig("gcvit_xxtiny", "none"), side), 16)


def test_vgg16_at_112_px_is_too_small_for_the_windows():
    with pytest.raises(ValueError, match="112 px images on vgg16: stage 4 is 3 x 3 but the largest window is 4 x 4"):
        HashNetwork(NetworkConfig(BackboneConfig("vgg16", "none"), 112), 16)


@pytest.mark.parametrize("name", ["vgg16", "gcvit_xxtiny"])
def test_csce_net_learns_on_two_scales(name):
    torch.manual_seed(0)
    method = build(CSCEConfig(BackboneConfig(name, "none"), 128, feature_norm="batch"), 5, 16)
    output = method(images(128))
    sum(method.losses(output, LABELS[:2]).values()).backward()
    without = [
        key
        for key, parameter in method.named_parameters()
        if "threshold_layer" not in key and (parameter.grad is None or not parameter.grad.abs().sum() > 0)
    ]
    assert without == []
    assert output.codes.shape == (2, 16)


class TestVisionTransformer:
    def test_position_embeddings_are_interpolated_in_two_dimensions(self):
        positions = torch.zeros(1, 1 + 16, 2)
        positions[:, 0] = 9  # the class token's stays as it is
        row, column = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
        positions[0, 1:] = torch.stack([row.flatten(), column.flatten()], dim=1)
        resized = resized_positions(positions, 8, 12)
        assert resized.shape == (1, 1 + 8 * 12, 2)
        assert (resized[:, 0] == 9).all()
        rows, columns = as_map(resized[:, 1:], 8)[0]
        assert torch.allclose(rows, rows[:, :1])  # the first channel was the row, the second the column
        assert torch.allclose(columns, columns[:1])
        middle = [float(rows[3:5, 0].mean()), float(columns[0, 5:7].mean())]
        assert middle == pytest.approx([1.5, 1.5])
        assert torch.equal(resized_positions(positions, 4, 4), positions)

    def test_any_sides_that_patches_divide(self, small_vit):
        trunk = fresh("vit_b_16")
        assert trunk(torch.rand(1, 3, 48, 80)).stage4.shape == (1, 32, 3, 5)
        with pytest.raises(ValueError, match="50 x 50 px cannot be cut into patches of 16 x 16 px"):
            trunk.trace_shapes(50)

    def test_maps_and_tokens_are_each_others_inverse(self):
        grid = torch.arange(24.0).view(1, 2, 3, 4)
        assert torch.equal(as_map(as_tokens(grid), 3), grid)
        assert as_tokens(grid)[0, 5].tolist() == [5, 17]  # row 1, column 1, of both channels

    def test_pooled_methods_read_the_class_token(self, small_vit):
        network = HashNetwork(NetworkConfig(VIT, SIDE, "baseline"), 16).eval()
        torch.testing.assert_close(network(images(SIDE)).features, network.backbone(images(SIDE)).class_token)

    @pytest.mark.parametrize("structure", [name for name in STRUCTURES if name != "baseline"])
    def test_structures_of_two_scales_say_what_to_do(self, small_vit, structure):
        with pytest.raises(ValueError, match=r"vit_b_16 has one scale, but .* use structure 'baseline' or another"):
            HashNetwork(NetworkConfig(VIT, SIDE, structure), 16)

    @pytest.mark.parametrize("extractor", EXTRACTORS)
    def test_activation_maps_are_not_empty(self, small_vit, extractor):
        """Behind the last layer the class token depends on no patch; the map that enters it has gradients."""
        torch.manual_seed(0)
        method = build(CSQConfig(VIT, SIDE), 5, 16)
        torch.nn.init.normal_(method.network.backbone.last.mlp[3].weight)
        maps = code_cams(method, images(SIDE), extractor=extractor)
        assert maps.shape == (2, SIDE, SIDE)
        assert (maps.flatten(1).amax(dim=1) > 0).all()

    def test_shapes_of_every_module_are_traced(self, small_vit):
        shapes = trace_shapes(HashNetwork(NetworkConfig(VIT, SIDE, "baseline"), 16))
        assert shapes["backbone.stem"] == shapes["backbone.stage4"] == (1, 32, 2, 2)
        assert shapes["backbone.class_token"] == (1, 32)
        assert "backbone.stage3" not in shapes
        assert shapes["hash_layer"] == (1, 16)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_on_a_vision_transformer(small_vit, name):
    config = replace(METHODS[name](), backbone=VIT, image_size=SIDE)
    if name == "exchnet":  # no parts without stage 3
        with pytest.raises(ValueError, match="vit_b_16 has one scale, but parts are found on stage 3"):
            build(config, 5, 16)
        return
    if name == "csce":
        with pytest.raises(ValueError, match="vit_b_16 has one scale"):
            build(config, 5, 16)
        config = replace(config, structure="baseline")
    torch.manual_seed(0)
    pictures, generator = images(SIDE, len(LABELS)), torch.Generator().manual_seed(0)
    method = build(config, 5, 16)
    pixels = (255 * pictures).byte().permute(0, 2, 3, 1).numpy()
    method.start_training(ImageSet(pixels, LABELS.numpy(), IDS.numpy()), generator)
    learning = [parameter for key, parameter in method.named_parameters() if parameter.requires_grad]
    if learning:
        views = torch.cat([method.view(pictures, generator) for _ in range(method.views)])
        terms = method.losses(method(views), LABELS.repeat(method.views), generator, IDS.repeat(method.views))
        sum(terms.values()).backward()
        assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in learning)
    assert set(method.eval()(pictures).codes.unique().tolist()) <= {-1.0, 1.0}


def test_gcvit_without_timm_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match="'gcvit_xxtiny' needs timm, which is not installed; pip install timm"):
        build_backbone(BackboneConfig("gcvit_xxtiny", "none"))
    assert fresh("tiny", 64)(images(64)).stage3 is not None  # others do without

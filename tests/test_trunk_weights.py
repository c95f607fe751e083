"""Weights of trunks: told apart, by torchvision's names from files that are here, and what is said where none are."""

from urllib.error import URLError

import pytest
import torch
from torchvision import models

from cscelab.model.backbone import BACKBONES, BackboneConfig, build_backbone, weights_fingerprint
from cscelab.model.network import HashNetwork, NetworkConfig
from cscelab.model.stages import IMAGENET_MEAN, IMAGENET_STD, Backbone


def images(side: int, n: int = 2) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def normalised(pictures: torch.Tensor) -> torch.Tensor:
    return (pictures - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)


def fresh(name: str, side: int) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(BackboneConfig(name, "none"), side).eval()


def test_images_that_do_not_suit_are_told_before_weights_are_fetched(monkeypatch):
    monkeypatch.setattr("cscelab.model.backbone._published", lambda config: pytest.fail("downloaded"))
    with pytest.raises(ValueError, match="stage 4 is 3 x 3 but the largest window is 4 x 4"):
        HashNetwork(NetworkConfig(BackboneConfig("vgg16"), 112), 16)


def test_fetching_weights_draws_nothing_and_gives_them_to_the_trunk(monkeypatch):
    """So that the layers behind a trunk start alike from published weights and from the same in a file."""
    trained = fresh("gcvit_xxtiny", 32)
    torch.manual_seed(3)
    torch.nn.init.normal_(trained.stage4.downsample.reduction.weight)

    def published(config: BackboneConfig) -> dict[str, torch.Tensor]:
        torch.rand(5)  # as timm does
        return trained.state_dict()

    monkeypatch.setattr("cscelab.model.backbone._published", published)
    layers = []
    for weights in ("default", "none"):
        torch.manual_seed(1)
        network = HashNetwork(NetworkConfig(BackboneConfig("gcvit_xxtiny", weights), 32, "baseline"), 16)
        layers.append(network.hash_layer.weight)
        same = all(
            torch.equal(value, trained.state_dict()[key]) for key, value in network.backbone.state_dict().items()
        )
        assert same == (weights == "default")
    assert torch.equal(*layers)


def test_default_weights_are_told_apart():
    names = ("tiny", "resnet50", "gcvit_xxtiny", "timm:resnet50.a1_in1k", "timm:resnet50.a2_in1k")
    found = {name: weights_fingerprint(BackboneConfig(name)) for name in names}
    assert len(set(found.values())) == len(names)
    assert found["resnet50"] == weights_fingerprint(BackboneConfig("vgg16")) == "IMAGENET1K_V1"
    assert found["gcvit_xxtiny"] == "timm gcvit_xxtiny"  # as stored experiments have it
    assert weights_fingerprint(BackboneConfig("resnet50", "IMAGENET1K_V2")) == "IMAGENET1K_V2"
    assert {weights_fingerprint(BackboneConfig(name, "none")) for name in BACKBONES} == {"none"}


class TestWeightsOfTorchvision:
    """By name, from a file in torch's hub folder; nothing is downloaded."""

    @pytest.fixture
    def hub(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setattr("torch.hub.download_url_to_file", lambda url, *_: pytest.fail(f"downloads {url}"))
        (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
        return tmp_path / "hub" / "checkpoints"

    @pytest.mark.parametrize(
        ("weights", "file_name"),
        [("default", "regnet_y_400mf-c65dace8.pth"), ("IMAGENET1K_V2", "regnet_y_400mf-e6988f5f.pth")],
    )
    def test_a_file_that_is_here_is_used(self, hub, weights, file_name):
        torch.manual_seed(1)
        net = models.regnet_y_400mf(weights=None).eval()
        torch.save(net.state_dict(), hub / file_name)
        trunk = build_backbone(BackboneConfig("regnet_y_400mf", weights), 64).eval()
        net.fc = torch.nn.Identity()
        torch.testing.assert_close(trunk(images(64)).pooled(), net(normalised(images(64))))

    @pytest.mark.parametrize("weights", ["IMAGENET1K_FEATURES", "IMAGENET1K_V2"])
    def test_for_other_pixels_or_of_no_such_name(self, hub, weights):
        """IMAGENET1K_FEATURES of VGG16 are for pixels of another deviation."""
        with pytest.raises(ValueError, match=rf"no weights '{weights}' of vgg16 .*choose from \['IMAGENET1K_V1'\]"):
            build_backbone(BackboneConfig("vgg16", weights), 64)

    @pytest.mark.parametrize("name", ["tiny", "gcvit_xxtiny", "timm:resnet18"])
    def test_not_of_other_trunks(self, name):
        with pytest.raises(ValueError, match=f"'IMAGENET1K_V2' are torchvision's, but backbone '{name}' is not; give"):
            BackboneConfig(name, "IMAGENET1K_V2")

    def test_a_corrupt_file_is_named(self, hub):
        (hub / "resnet18-f37072fd.pth").write_bytes(b"half a file")
        with pytest.raises(ValueError, match=r"resnet18-f37072fd.pth cannot be read as weights .* get it again"):
            build_backbone(BackboneConfig("resnet18"), 64)


@pytest.mark.parametrize("name", ["resnet18", "gcvit_xxtiny", "regnet_y_400mf"])
def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch, name):
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(OSError, match=rf"weights of {name} could not be downloaded from \S+{name}\S* .*as weights"):
        build_backbone(BackboneConfig(name))

"""Trunks of timm by name: maps equal to timm's, normalisation, weights from caches, models that cannot be cut."""

import sys

import pytest
import timm
import torch
from safetensors.torch import save_file

from cscelab.methods import METHODS, build
from cscelab.methods.csce import CSCEConfig
from cscelab.methods.exchnet import ExchNetConfig
from cscelab.model.backbone import BackboneConfig, build_backbone, weights_fingerprint
from cscelab.model.network import HashNetwork, NetworkConfig

SIDE = 64  # px
# timm's own smallest models: a plain chain, one in a sequence, hooks, maps with channels last; most normalise by 0.5.
MODELS = ("test_resnet", "test_convnext", "test_efficientnet", "test_mambaout")
TAGGED = "test_resnet.r160_in1k"


def images(n: int = 2) -> torch.Tensor:
    return torch.rand(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def made_by_timm(name: str) -> torch.nn.Module:
    torch.manual_seed(1)
    return timm.create_model(name, pretrained=False).eval()


@pytest.mark.parametrize("name", MODELS)
def test_maps_and_pixels_are_timms(name, tmp_path):
    net = made_by_timm(name)
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    trunk = build_backbone(BackboneConfig(f"timm:{name}", str(tmp_path / "w.safetensors")), SIDE).eval()
    stages = trunk(images())

    options = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state}}
    reader = timm.create_model(name, features_only=True, out_indices=(-2, -1), **options).eval()
    published = timm.get_pretrained_cfg(name)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (published.mean, published.std))
    maps = reader((images() - mean) / std)
    if name == "test_mambaout":
        maps = [one.permute(0, 3, 1, 2) for one in maps]
    torch.testing.assert_close(stages.stage3, maps[0])
    torch.testing.assert_close(stages.stage4, maps[1])
    assert [len(one[0]) for one in (stages.stage3, stages.stage4)] == reader.feature_info.channels()
    assert trunk.trace_shapes(SIDE)[0][2:] == (4, 4)
    assert trunk.trace_shapes(SIDE)[1][2:] == (2, 2)


@pytest.mark.parametrize("name", MODELS)
def test_stage_4_alone_maps_stage_3_and_leaves_it(name):
    """As ExchNet refines parts, and as the local branch reads stage 3 afterwards."""
    trunk = build_backbone(BackboneConfig(f"timm:{name}", "none"), SIDE).eval()
    stages = trunk(images())
    before = stages.stage3.clone()
    torch.testing.assert_close(trunk.stage4(stages.stage3), stages.stage4)
    assert torch.equal(stages.stage3, before)


@pytest.mark.parametrize(("name", "method"), [("test_mambaout", CSCEConfig), ("test_efficientnet", ExchNetConfig)])
def test_methods_of_two_scales_learn_on_them(name, method):
    torch.manual_seed(0)
    assert method.name in METHODS
    network = build(method(backbone=BackboneConfig(f"timm:{name}", "none"), image_size=128), 5, 12).network
    network(torch.rand(2, 3, 128, 128)).values.sum().backward()
    trunk = [parameter.grad for parameter in network.backbone.parameters()]
    assert all(grad is not None for grad in trunk)
    assert sum(float(grad.abs().sum()) for grad in trunk) > 0


def test_another_architecture_is_told_in_one_sentence(tmp_path):
    torch.save(made_by_timm("test_convnext").state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"^weights from \S+w.pth do not fit this backbone \(\d+ tensors missing"):
        build_backbone(BackboneConfig("timm:test_resnet", str(tmp_path / "w.pth")), SIDE)


class TestPublishedWeights:
    @pytest.fixture(autouse=True)
    def caches(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def places(self, folder):
        revision = folder / "hub" / f"models--timm--{TAGGED}" / "snapshots" / "abc"
        return {"torch": folder / "torch" / "hub" / "checkpoints" / f"{TAGGED}.safetensors"} | {
            name: revision / name for name in ("model.safetensors", "pytorch_model.bin")
        }

    @pytest.mark.parametrize("place", ["torch", "model.safetensors", "pytorch_model.bin"])
    def test_files_of_both_caches_are_used_offline(self, tmp_path, monkeypatch, place):
        monkeypatch.setattr("torch.hub.download_url_to_file", lambda url, *_: pytest.fail(f"downloads {url}"))
        path = self.places(tmp_path)[place]
        path.parent.mkdir(parents=True)
        state = made_by_timm("test_resnet").state_dict()
        if path.suffix == ".bin":
            torch.save(state, path)
        else:
            save_file(state, path)
        if place != "torch":
            (path.parents[2] / "refs").mkdir()
            (path.parents[2] / "refs" / "main").write_text("abc")
        trunk = build_backbone(BackboneConfig(f"timm:{TAGGED}"), SIDE)
        assert torch.equal(trunk.stage4.state_dict()["0.conv1.weight"], state["layer4.0.conv1.weight"])

    def test_another_network_in_a_cached_file_is_named(self, tmp_path):
        path = self.places(tmp_path)["torch"]
        path.parent.mkdir(parents=True)
        save_file(made_by_timm("test_convnext").state_dict(), path)
        with pytest.raises(ValueError, match=rf"{TAGGED}.safetensors does not hold timm's weights of {TAGGED}; remove"):
            build_backbone(BackboneConfig(f"timm:{TAGGED}"), SIDE)

    def test_a_download_that_fails_names_address_and_place(self, tmp_path, monkeypatch):
        def refuse(*_: object) -> None:
            raise TimeoutError("timed out")

        monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
        address = f"https://huggingface.co/timm/{TAGGED}/resolve/main/model.safetensors"
        with pytest.raises(OSError, match=rf"{address} \(timed out\); fetch .* save it as \S+{TAGGED}.safetensors, or"):
            build_backbone(BackboneConfig(f"timm:{TAGGED}"), SIDE)

    def test_models_without_any(self):
        with pytest.raises(ValueError, match=r"no pretrained weights of test_mambaout; give the path of"):
            build_backbone(BackboneConfig("timm:test_mambaout"), SIDE)


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "why"),
        [
            (
                "test_vit",
                r"test_vit is no chain of modules with maps of strides \(8, 16, 32\), .*use one that is",
            ),
            ("nest_tiny", "nest_tiny is no chain"),
            ("selecsls42", "selecsls42 is no chain"),
            ("resnet51", "has no model 'resnet51'; near it are .*resnet50"),
            ("", "has no model ''; timm.list_models"),
            ("test_resnet.in22k", "no weights 'test_resnet.in22k'; choose from: test_resnet.r160_in1k"),
        ],
    )
    def test_one_sentence_says_what_would_do(self, name, why):
        with pytest.raises(ValueError, match=why) as error:
            HashNetwork(NetworkConfig(BackboneConfig(f"timm:{name}", "none"), SIDE), 16)
        assert "\n" not in str(error.value)

    def test_timm_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "timm", None)
        config = BackboneConfig(f"timm:{TAGGED}")
        assert weights_fingerprint(config) == f"timm {TAGGED}"  # stored runs are found without it
        with pytest.raises(ValueError, match=f"'{TAGGED}' needs timm, which is not installed; pip install timm"):
            build_backbone(config, SIDE)

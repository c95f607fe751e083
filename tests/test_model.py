"""The network: shapes of the paper's table, Eq. 3 against a loop, structures, errors, gradients, weights."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cscelab.model.aie import AIE, aie, window_mixer
from cscelab.model.backbone import (
    BackboneConfig,
    build_backbone,
    load_weights,
    read_state_dict,
)
from cscelab.model.local import LocalBranch, ReleasedLocalBranch
from cscelab.model.network import STRUCTURES, HashNetwork, NetworkConfig, trace_shapes
from cscelab.model.stages import Stages
from cscelab.model.trunks import tiny
from cscelab.model.windows import SlidingWindows

SCRATCH = BackboneConfig("tiny", "none")


def network(structure: str = "aie", bits: int = 16, **settings: object) -> HashNetwork:
    torch.manual_seed(0)
    return HashNetwork(NetworkConfig(SCRATCH, 112, structure, **settings), bits)


def test_tiny_has_the_spatial_sizes_of_resnet50_at_224():
    shape3, shape4 = tiny().trace_shapes(112)
    assert tuple(shape3) == (1, 64, 14, 14)
    assert tuple(shape4) == (1, 128, 7, 7)


def test_resnet50_shapes_are_the_papers():
    shapes = trace_shapes(HashNetwork(NetworkConfig(BackboneConfig("resnet50", "none"), 224), 64))
    assert shapes["backbone.stage3"] == (1, 1024, 14, 14)
    assert shapes["backbone.stage4"] == (1, 2048, 7, 7)
    assert shapes["windows.reduce.0"] == (1, 256, 7, 7)
    assert shapes["windows.reduce.1"] == (1, 64, 7, 7)
    assert shapes["windows"] == (1, 1024, 36 + 16)
    assert shapes["local.features"] == (1, 1024, 14, 14)
    assert shapes["local.attention"] == (1, 1, 14, 14)
    assert shapes["aie"] == (1, 2048)
    assert shapes["hash_layer"] == (1, 64)
    assert shapes["threshold_layer"] == (1, 1)


def test_pooling_is_the_mean_over_stage_4_where_there_is_no_class_token():
    stage4 = torch.arange(8.0).view(1, 2, 2, 2)
    assert Stages(None, stage4).pooled().tolist() == [[1.5, 5.5]]
    assert Stages(None, stage4, torch.tensor([[7.0, 8.0]])).pooled().tolist() == [[7, 8]]
    net = network("baseline").eval()
    images = torch.rand(1, 3, 112, 112)
    torch.testing.assert_close(net(images).features, net.backbone(images).stage4.mean(dim=(2, 3)))


def test_uint8_and_unit_floats_are_the_same_images():
    net = network().eval()
    images = torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8)
    torch.testing.assert_close(net(images).values, net(images.float() / 255).values)


def test_windows_are_the_patches():
    windows = SlidingWindows(channels4=5, channels=16, side=4, sizes=(2, 4))
    stage4 = torch.randn(2, 5, 4, 4)
    out = windows(stage4)
    assert windows.counts == (9, 1)
    assert out.shape == (2, 16, 10)
    reduced = windows.reduce[0](stage4)
    patch = reduced[:, :, 1:3, 2:4]  # window 5 of the 3 x 3 grid of 2 x 2 windows: row 1, column 2
    torch.testing.assert_close(out[:, :, 5], patch.reshape(2, -1))
    torch.testing.assert_close(out[:, :, 9], windows.reduce[1](stage4).reshape(2, -1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"side": 3}, "stage 4 is 3 x 3 but the largest window is 4 x 4"),
        ({"channels": 10}, "10 channels of stage 3 cannot be split over a 2 x 2 window"),
        ({"sizes": ()}, "no window sizes"),
    ],
)
def test_windows_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        SlidingWindows(**{"channels4": 8, "channels": 16, "side": 7, **arguments})


def test_images_too_small_for_the_windows_name_both_sizes():
    with pytest.raises(ValueError, match="32 px images on tiny: stage 4 is 2 x 2 but the largest window is 4 x 4"):
        HashNetwork(NetworkConfig(SCRATCH, 32), 16)


def test_what_a_trunk_cannot_take_is_told_with_its_reason():
    trunk = tiny()
    trunk.stage4 = torch.nn.Conv2d(64, 8, 5)
    with pytest.raises(ValueError, match=r"^images of 32 px do not pass this backbone \(.*[Kk]ernel size.*\); if"):
        trunk.trace_shapes(32)


def test_aie_is_equation_3_term_by_term():
    local, windows = torch.randn(2, 6, 3, 3, dtype=torch.float64), torch.randn(2, 6, 5, dtype=torch.float64)
    out = aie(local, windows)
    for image in range(2):
        for y in range(3):
            for x in range(3):
                f_l, f_g = local[image, :, y, x], windows[image]
                expected = f_l - sum((f_g[:, n] @ f_l) * f_g[:, n] for n in range(5))
                torch.testing.assert_close(out[image, :, y, x], expected)


def test_aie_removes_what_lies_in_the_windows_span():
    basis = torch.linalg.qr(torch.randn(6, 2))[0]  # orthonormal windows: the subtraction is a projection
    local = torch.einsum("cn,nhw->chw", basis, torch.randn(2, 3, 3)).unsqueeze(0)
    assert aie(local, basis.unsqueeze(0)).abs().max() < 1e-5


def test_aie_frobenius_matches_released_values(shared_file):
    import numpy as np

    values = np.load(shared_file("reference/released-code-values.npz"))
    out = aie(torch.tensor(values["aie_local"]), torch.tensor(values["aie_windows"]), normalize="frobenius")
    torch.testing.assert_close(out, torch.tensor(values["aie_detail"]), atol=1e-5, rtol=1e-5)


def test_aie_names_shapes_that_do_not_match():
    with pytest.raises(ValueError, match=r"\(2, 6, 3, 3\) and windows \(2, 5, 4\) do not match"):
        aie(torch.zeros(2, 6, 3, 3), torch.zeros(2, 5, 4))


def test_mixer_starts_as_the_mean_over_windows():
    windows = torch.randn(3, 52, 8)
    torch.testing.assert_close(window_mixer(52)(windows).squeeze(1), windows.mean(dim=1))
    torch.manual_seed(0)
    default = window_mixer(52, "default")
    torch.manual_seed(0)
    torch.testing.assert_close(default.weight, nn.Conv1d(52, 1, 1).weight)


def test_attention_is_positive_and_multiplies_the_features():
    for branch in (LocalBranch(16), ReleasedLocalBranch(16)):
        branch.eval()
        out = branch(torch.randn(2, 16, 14, 14))
        assert (out.attention > 0).all()
        per_place = out.features / out.attention
        if isinstance(branch, ReleasedLocalBranch):
            torch.testing.assert_close(per_place.norm(dim=1), torch.ones(2, 14, 14))
        else:
            assert (per_place >= 0).all()  # ReLU'd context


@pytest.mark.parametrize("structure", list(STRUCTURES))
def test_every_parameter_that_should_learn_has_a_gradient(structure):
    net = network(structure)
    output = net(torch.rand(4, 3, 112, 112))
    (output.values.square().sum() + output.threshold_logit.square().sum()).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_structures_differ_only_in_what_f_e_is_made_of():
    sizes = {structure: network(structure).hash_layer.in_features for structure in STRUCTURES}
    assert sizes == {"baseline": 128, "local": 192, "sw2": 64, "sw4": 64, "sw2+sw4": 64, "aie": 128}


def test_unknown_names_are_refused_with_the_choices():
    with pytest.raises(ValueError, match="unknown structure 'sw3'; choose from"):
        NetworkConfig(structure="sw3")
    with pytest.raises(ValueError, match="unknown backbone 'vgg'; choose from"):
        BackboneConfig("vgg")


class TestWeights:
    def test_half_precision_and_torchvision_names_load(self, tmp_path):
        source = build_backbone(BackboneConfig("resnet18", "none"))
        places = {"stem.0": "conv1", "stem.1": "bn1", "stem.4": "layer1", "stem.5": "layer2"}
        places |= {"stage3": "layer3", "stage4": "layer4"}
        state = {}
        for key, value in source.state_dict().items():
            ours = next(place for place in places if key.startswith(place + "."))
            state[places[ours] + key[len(ours) :]] = value.half() if value.is_floating_point() else value
        state["fc.weight"] = torch.zeros(1000, 512)
        save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "r18.safetensors")
        loaded = build_backbone(BackboneConfig("resnet18", str(tmp_path / "r18.safetensors")))
        for key, value in source.state_dict().items():
            torch.testing.assert_close(loaded.state_dict()[key], value, atol=1e-3, rtol=1e-3)

    @pytest.mark.parametrize("prefix", ["", "module."])
    @pytest.mark.parametrize("within", [None, "state_dict", "model"])
    def test_checkpoints_as_people_save_them(self, tmp_path, within, prefix):
        """Whole, under a name beside the optimiser's state, by DataParallel."""
        source = build_backbone(BackboneConfig("tiny", "none"))
        state = {prefix + key: value for key, value in source.state_dict().items()}
        torch.save(state if within is None else {within: state, "epoch": 3}, tmp_path / "w.pth")
        loaded = build_backbone(BackboneConfig("tiny", str(tmp_path / "w.pth"))).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in source.state_dict().items())

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no weights file at"):
            build_backbone(BackboneConfig("tiny", str(tmp_path / "absent.safetensors")))

    @pytest.mark.parametrize("name", ["broken.safetensors", "broken.pth"])
    def test_corrupt_file(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"\x08\x00\x00\x00garbage that is no tensor file")
        with pytest.raises(ValueError, match="cannot be read as weights"):
            read_state_dict(tmp_path / name)

    def test_pickled_code_is_not_run(self, tmp_path):
        torch.save({"a": print}, tmp_path / "evil.pt")
        with pytest.raises(ValueError, match="cannot be read as weights"):
            read_state_dict(tmp_path / "evil.pt")

    def test_other_architecture(self):
        with pytest.raises(ValueError, match="do not fit this backbone"):
            load_weights(tiny(), tiny(widths=(8, 16, 32, 64)).state_dict(), "elsewhere")


def test_aie_module_is_equation_4():
    module = AIE(n_windows=5)
    local, windows = torch.randn(2, 6, 3, 3), torch.randn(2, 6, 5)
    expected = torch.cat([windows.mean(dim=2), aie(local, windows).mean(dim=(2, 3))], dim=1)
    torch.testing.assert_close(module(local, windows), expected)

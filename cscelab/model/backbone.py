"""Backbones: any trunk that yields a stage-3 and a stage-4 map (left of Fig. 2)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

SHIPPED_TRUNK = Path(str(files("cscelab"))) / "weights" / "tiny-trunk.safetensors"
TORCHVISION = ("resnet18", "resnet34", "resnet50", "resnet101")
# Per-channel mean and deviation of ImageNet in [0, 1], the field's input normalisation.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class BackboneConfig:
    """Which trunk, and where its weights come from.

    weights: "default" (the shipped trunk for `tiny`, torchvision's ImageNet weights for ResNets: a download),
    "none" (train from scratch) or the path of a .safetensors, .pth or .pt state dict.
    """

    name: str = "tiny"
    weights: str = "default"

    def __post_init__(self) -> None:
        if self.name not in BACKBONES:
            raise ValueError(f"unknown backbone {self.name!r}; choose from {sorted(BACKBONES)}")


class Stages(NamedTuple):
    """Feature maps of the two last stages."""

    stage3: Tensor  # (B, c3, 2h, 2w)
    stage4: Tensor  # (B, c4, h, w)


class Backbone(nn.Module):
    """Normalises uint8 or [0, 1] images and returns the stage-3 and stage-4 maps.

    stem (images -> stage-2 map), stage3 and stage4 are given; channels are read off by `trace_shapes`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stem: nn.Module, stage3: nn.Module, stage4: nn.Module):
        super().__init__()
        self.stem, self.stage3, self.stage4 = stem, stage3, stage4
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Stages:
        """images (B, 3, H, W), uint8 in 0..255 or float in [0, 1] -> Stages."""
        if images.dtype == torch.uint8:
            images = images.float() / 255
        stage3 = self.stage3(self.stem((images - self.mean) / self.std))
        return Stages(stage3, self.stage4(stage3))

    @torch.no_grad()
    def trace_shapes(self, image_size: int) -> tuple[torch.Size, torch.Size]:
        """Shapes (1, c3, h3, w3) and (1, c4, h4, w4) for square images of this side, by a dry run."""
        training = self.training
        self.eval()
        try:
            stages = self(torch.zeros(1, 3, image_size, image_size, device=self.mean.device))
        except RuntimeError as error:
            raise ValueError(
                f"images of {image_size} px are too small for this backbone ({error}); use larger images"
            ) from error
        finally:
            self.train(training)
        return stages.stage3.shape, stages.stage4.shape


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, Fig. 2)."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.bn1(self.conv1(features)).relu()))
        return (residual + self.shortcut(features)).relu()


def _stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(channels_in, channels, stride),
        *(ResidualBlock(channels, channels, 1) for _ in range(blocks - 1)),
    )


def tiny_backbone(widths: tuple[int, ...] = (16, 32, 64, 128), blocks: tuple[int, ...] = (1, 1, 2, 2)) -> Backbone:
    """A narrow ResNet for 112 px: stage 3 is 14 x 14, stage 4 is 7 x 7, as ResNet-50's at 224 px.

    The stem halves the image and there is no max-pool, so that small parts of small targets survive.
    """
    stem = nn.Sequential(
        nn.Conv2d(3, widths[0], 3, 2, 1, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
        _stage(widths[0], widths[0], blocks[0], 1),
        _stage(widths[0], widths[1], blocks[1], 2),
    )
    stage3 = _stage(widths[1], widths[2], blocks[2], 2)
    return Backbone(stem, stage3, _stage(widths[2], widths[3], blocks[3], 2))


def _torchvision_resnet(name: str) -> Backbone:
    from torchvision import models

    net = models.get_model(name, weights=None)
    stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2)
    return Backbone(stem, net.layer3, net.layer4)


def _from_torchvision_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames a torchvision ResNet state dict to ours; the classifier is left out."""
    places = {"conv1": "stem.0", "bn1": "stem.1", "layer1": "stem.4", "layer2": "stem.5"}
    places |= {"layer3": "stage3", "layer4": "stage4"}
    renamed = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        if first in places:
            renamed[f"{places[first]}.{rest}"] = value
    return renamed


def _download(name: str) -> dict[str, Tensor]:
    from torchvision import models

    # V1: the weights of the papers' time; V2 are later and better, so not comparable.
    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"ImageNet weights of {name} could not be downloaded from {weights.url} ({error}); "
            f"fetch that file by hand and give its path as weights, or train from scratch with weights 'none'"
        ) from error


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors, .pth or .pt file; nothing is unpickled.

    Raises FileNotFoundError when there is no such file, ValueError when it is no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights file at {path}; give the path of a .safetensors, .pth or .pt file, or 'default' or 'none'"
        )
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state) if isinstance(state, dict) else state
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError, ImportError) as error:
        raise ValueError(_corrupt(path, error)) from error
    except Exception as error:  # weights_only refuses a pickle with its own error class
        if type(error).__module__ not in ("_pickle", "pickle"):
            raise
        raise ValueError(_corrupt(path, error)) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no state dict of tensors; save one with safetensors or torch.save")
    return state


def _corrupt(path: Path, error: Exception) -> str:
    why = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{path} cannot be read as weights ({why}); it is corrupt or of another format: get it again"


def load_weights(backbone: Backbone, state: dict[str, Tensor], source: str) -> None:
    """Loads trunk weights, ours or torchvision's names, half precision or single; ValueError where they do not fit."""
    if "conv1.weight" in state:
        state = _from_torchvision_names(state)
    own = backbone.state_dict()
    missing = sorted(key for key in own if key not in state and not key.endswith("num_batches_tracked"))
    wrong = sorted(key for key in own if key in state and state[key].shape != own[key].shape)
    if missing or wrong:
        example = missing[0] if missing else wrong[0]
        raise ValueError(
            f"weights from {source} do not fit this backbone ({len(missing)} tensors missing, {len(wrong)} of another "
            f"shape, first {example!r}); give weights of the same architecture"
        )
    backbone.load_state_dict({key: state.get(key, value).to(value.dtype) for key, value in own.items()})


BACKBONES = {
    "tiny": tiny_backbone,
    **{name: (lambda name=name: _torchvision_resnet(name)) for name in TORCHVISION},
}


def weights_fingerprint(config: BackboneConfig) -> str:
    """Which weights a trunk starts from: the file's content, the published name, or "none"; "absent" for no file."""
    if config.weights == "none":
        return "none"
    if config.weights == "default" and config.name != "tiny":
        return "IMAGENET1K_V1"
    path = SHIPPED_TRUNK if config.weights == "default" else Path(config.weights)
    return _content(path, path.stat().st_mtime_ns) if path.is_file() else "absent"


@lru_cache
def _content(path: Path, changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def build_backbone(config: BackboneConfig) -> Backbone:
    """The trunk with its weights; random initialisation comes from torch's global generator."""
    backbone = BACKBONES[config.name]()
    if config.weights == "none":
        return backbone
    if config.weights == "default":
        state = read_state_dict(SHIPPED_TRUNK) if config.name == "tiny" else _download(config.name)
        load_weights(backbone, state, "the default source")
    else:
        load_weights(backbone, read_state_dict(config.weights), config.weights)
    return backbone

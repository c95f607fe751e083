"""Backbones (left of Fig. 2): which trunks there are, and where their weights come from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cscelab.model import trunks
from cscelab.model.stages import Backbone
from cscelab.model.vit import VisionTransformerTrunk

SHIPPED_TRUNK = Path(str(files("cscelab"))) / "weights" / "tiny-trunk.safetensors"
# Side of the images that pretrained weights are made for.
PRETRAINING_SIZE = 224

# Name -> the trunk with random weights, for square images of a side.
BACKBONES: dict[str, Callable[[int], Backbone]] = {
    "tiny": lambda _: trunks.tiny(),
    **{name: partial(trunks.resnet, name) for name in trunks.RESNETS},
    "vgg16": lambda _: trunks.vgg16(),
    "gcvit_xxtiny": partial(trunks.gcvit, "gcvit_xxtiny"),
    "vit_b_16": lambda _: VisionTransformerTrunk(patch=16, depth=12, heads=12, width=768),
}
FROM_TIMM = ("gcvit_xxtiny",)
# V1: the weights of the papers' time; V2 are later and better, so not comparable.
TORCHVISION_WEIGHTS = "IMAGENET1K_V1"


@dataclass(frozen=True)
class BackboneConfig:
    """Which trunk, and where its weights come from.

    weights: "default" (the shipped trunk for `tiny`; for others ImageNet weights of torchvision or timm: a download),
    "none" (train from scratch) or the path of a .safetensors, .pth or .pt state dict, by our names of tensors or those
    of torchvision or timm.
    """

    name: str = "tiny"
    weights: str = "default"

    def __post_init__(self) -> None:
        if self.name not in BACKBONES:
            raise ValueError(f"unknown backbone {self.name!r}; choose from {sorted(BACKBONES)}")


def build_backbone(config: BackboneConfig, image_size: int = PRETRAINING_SIZE) -> Backbone:
    """The trunk with its weights, for square images of this side; random initialisation comes from torch's global
    generator. Raises ValueError where the trunk cannot take such images or the weights do not fit."""
    backbone = fresh_backbone(config, image_size)
    load_start(backbone, config)
    return backbone


def fresh_backbone(config: BackboneConfig, image_size: int) -> Backbone:
    """The trunk with random weights, whatever the config's are: shapes cost no download."""
    return BACKBONES[config.name](image_size)


def load_start(backbone: Backbone, config: BackboneConfig) -> None:
    """Gives a fresh trunk the weights its config names, and draws nothing from torch's global generator."""
    if config.weights == "none":
        return
    if config.weights != "default":
        load_weights(backbone, read_state_dict(config.weights), config.weights)
    elif config.name == "tiny":
        load_weights(backbone, read_state_dict(SHIPPED_TRUNK), "the default source")
    else:
        with torch.random.fork_rng(devices=[]):  # timm draws a network before it loads one
            load_weights(backbone, _download(config.name), "the default source")


def weights_fingerprint(config: BackboneConfig) -> str:
    """Which weights a trunk starts from: the file's content, the published name, or "none"; "absent" for no file."""
    if config.weights == "none":
        return "none"
    if config.weights == "default" and config.name != "tiny":
        # timm's, by its name for them, would need timm to be told; an experiment names the trunk besides.
        return f"timm {config.name}" if config.name in FROM_TIMM else TORCHVISION_WEIGHTS
    path = SHIPPED_TRUNK if config.weights == "default" else Path(config.weights)
    return _content(path, path.stat().st_mtime_ns) if path.is_file() else "absent"


@lru_cache
def _content(path: Path, changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _download(name: str) -> dict[str, Tensor]:
    """ImageNet weights by the names of their library. Raises OSError with what to do where they cannot be had."""
    if name in FROM_TIMM:
        timm = trunks.import_timm(name)
        published = timm.get_pretrained_cfg(name)
        source = published.url or published.hf_hub_id
    else:
        from torchvision import models

        weights = models.get_model_weights(name)[TORCHVISION_WEIGHTS]
        source = weights.url
    try:
        if name in FROM_TIMM:
            return timm.create_model(name, pretrained=True).state_dict()
        return weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"ImageNet weights of {name} could not be downloaded from {source} ({error}); "
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
            for key in ("state_dict", "model"):  # a whole checkpoint, with its optimiser and the like
                state = state.get(key, state) if isinstance(state, dict) else state
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
    """Loads trunk weights by our names or their library's, half precision or single; ValueError where they do not
    fit. Tensors that the trunk does not have, as a classifier's, are left out."""
    own = backbone.state_dict()
    state = {key.removeprefix("module."): value for key, value in state.items()}  # as DataParallel saves them
    renamed = _our_names(state, backbone.original_names)
    state = max(state, renamed, key=lambda names: len(own.keys() & names.keys()))  # whichever the file is written in
    missing = sorted(key for key in own if key not in state and not key.endswith("num_batches_tracked"))
    wrong = sorted(key for key in own if key in state and state[key].shape != own[key].shape)
    if missing or wrong:
        example = missing[0] if missing else wrong[0]
        raise ValueError(
            f"weights from {source} do not fit this backbone ({len(missing)} tensors missing, {len(wrong)} of another "
            f"shape, first {example!r}); give weights of the same architecture and image size"
        )
    backbone.load_state_dict({key: state.get(key, value).to(value.dtype) for key, value in own.items()})


def _our_names(state: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    """A state dict by the names of its library -> by ours."""
    return {
        ours + key[len(theirs) :]: value
        for key, value in state.items()
        for theirs, ours in names.items()
        if key == theirs or key.startswith(theirs + ".")
    }

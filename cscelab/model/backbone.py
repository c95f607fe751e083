"""Backbones (left of Fig. 2): which trunks there are, and where their weights come from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from cscelab.model import timm_trunks, trunks
from cscelab.model.stages import IMAGENET_MEAN, Backbone
from cscelab.model.vit import VisionTransformerTrunk
from cscelab.model.weightfiles import Published, fetch, read_state_dict

SHIPPED_TRUNK = Path(str(files("cscelab"))) / "weights" / "tiny-trunk.safetensors"
# Side of the images that pretrained weights are made for.
PRETRAINING_SIZE = 224

# Name -> the trunk with random weights, for square images of a side.
BACKBONES: dict[str, Callable[[int], Backbone]] = {
    "tiny": lambda _: trunks.tiny(),
    **{name: partial(trunks.from_torchvision, name) for name in trunks.TORCHVISION},
    "vgg16": lambda _: trunks.vgg16(),
    "gcvit_xxtiny": partial(trunks.gcvit, "gcvit_xxtiny"),
    "vit_b_16": lambda _: VisionTransformerTrunk(patch=16, depth=12, heads=12, width=768),
}
TIMM = "timm:"  # before a name of timm's: any of its models that can be cut
FROM_TIMM = ("gcvit_xxtiny",)
# V1: the weights of the papers' time; V2 are later and better, so not comparable.
TORCHVISION_WEIGHTS = "IMAGENET1K_V1"


@dataclass(frozen=True)
class BackboneConfig:
    """Which trunk, and where its weights come from.

    name: a key of BACKBONES, or timm:NAME for any model of timm whose maps of stride 8, 16 and 32 lie on one chain of
    modules; NAME may end with the tag of its weights, as timm:resnet50.a1_in1k, and means timm's first without.
    weights: "default" (the shipped trunk for `tiny`; for others published weights, torchvision's IMAGENET1K_V1 or
    timm's: a download), a name of torchvision's as "IMAGENET1K_V2", "none" (train from scratch) or the path of a
    .safetensors, .pth or .pt state dict, by our names of tensors or those of torchvision or timm. Pixels are normalised
    as published weights of the name expect, whatever the file.
    """

    name: str = "tiny"
    weights: str = "default"

    def __post_init__(self) -> None:
        if self.name not in BACKBONES and not self.name.startswith(TIMM):
            raise ValueError(
                f"unknown backbone {self.name!r}; choose from {sorted(BACKBONES)} or timm:NAME, as "
                f"{timm_trunks.EXAMPLES[0]}"
            )
        if _names_torchvision_weights(self.weights) and (self.name == "tiny" or self._timm_name is not None):
            raise ValueError(
                f"weights {self.weights!r} are torchvision's, but backbone {self.name!r} is not; give 'default'"
                + (", and the tag with the name, as in timm:resnet50.a1_in1k" if self.name.startswith(TIMM) else "")
            )

    @property
    def _timm_name(self) -> str | None:
        """What timm calls it; None where it is not timm's."""
        if self.name in FROM_TIMM:
            return self.name
        return self.name.removeprefix(TIMM) if self.name.startswith(TIMM) else None


def _names_torchvision_weights(weights: str) -> bool:
    return weights.startswith("IMAGENET1K_")


def build_backbone(config: BackboneConfig, image_size: int = PRETRAINING_SIZE) -> Backbone:
    """The trunk with its weights, for square images of this side; random initialisation comes from torch's global
    generator. Raises ValueError where the trunk cannot take such images or the weights do not fit."""
    backbone = fresh_backbone(config, image_size)
    load_start(backbone, config)
    return backbone


def fresh_backbone(config: BackboneConfig, image_size: int) -> Backbone:
    """The trunk with random weights, whatever the config's are: shapes cost no download."""
    if config.name.startswith(TIMM):
        return timm_trunks.timm_trunk(config.name.removeprefix(TIMM), image_size)
    return BACKBONES[config.name](image_size)


def load_start(backbone: Backbone, config: BackboneConfig) -> None:
    """Gives a fresh trunk the weights its config names, and draws nothing from torch's global generator."""
    if config.weights == "none":
        return
    if config.weights != "default" and not _names_torchvision_weights(config.weights):
        load_weights(backbone, read_state_dict(config.weights), config.weights)
    elif config.name == "tiny":
        load_weights(backbone, read_state_dict(SHIPPED_TRUNK), "the default source")
    else:
        with torch.random.fork_rng(devices=[]):  # timm draws a network before it loads one
            load_weights(backbone, _published(config), "the published file")


def weights_fingerprint(config: BackboneConfig) -> str:
    """Which weights a trunk starts from: the file's content, the published name, or "none"; "absent" for no file."""
    if config.weights == "none" or _names_torchvision_weights(config.weights):
        return config.weights
    if config.weights == "default" and config.name != "tiny":
        # What timm's first tag is, timm would need to be told; an experiment names the trunk besides.
        return TORCHVISION_WEIGHTS if config._timm_name is None else f"timm {config._timm_name}"
    path = SHIPPED_TRUNK if config.weights == "default" else Path(config.weights)
    return _content(path, path.stat().st_mtime_ns) if path.is_file() else "absent"


@lru_cache
def _content(path: Path, changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _published(config: BackboneConfig) -> dict[str, Tensor]:
    """Pretrained weights by the names of their library, from this machine or downloaded.

    Raises OSError with what to do where they cannot be had, ValueError where there are none of that name.
    """
    if config._timm_name is not None:
        return timm_trunks.published_state(config._timm_name)
    from torchvision import models

    # Others of torchvision's are for other sides than ours, or for pixels that are normalised in another way.
    published = {
        weights.name: weights
        for weights in models.get_model_weights(config.name)
        if tuple(weights.transforms().mean) == IMAGENET_MEAN and weights.transforms().crop_size == [PRETRAINING_SIZE]
    }
    name = TORCHVISION_WEIGHTS if config.weights == "default" else config.weights
    if name not in published:
        raise ValueError(
            f"torchvision has no weights {name!r} of {config.name} for images of {PRETRAINING_SIZE} px, normalised as "
            f"ImageNet's; choose from {sorted(published)}"
        )
    file_name = published[name].url.rsplit("/", 1)[-1]
    sha256 = Path(file_name).stem.rsplit("-", 1)[-1]
    return read_state_dict(fetch(Published(published[name].url, file_name, sha256), config.name))


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

"""ExchNet's network (Cui et al., ECCV 2020, Fig. 2): attention finds parts, one refiner for all, beside the whole."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cscelab.model.backbone import fresh_backbone
from cscelab.model.network import HashNetwork, Head, NetworkConfig
from cscelab.model.stages import PartFeatures, Stages

ATTENTIONS = ("narrowing", "stage4")
LEAST_WIDTH = 16  # channels the narrowing generator keeps: a narrow trunk's sixteenth would be none


@dataclass(frozen=True)
class PartNetworkConfig(NetworkConfig):
    """n_parts: M; attention: the generator, see `attention_generator`; refiner_start: of the local refiner, "trunk" for
    the weights of the trunk's stage 4 or "random"."""

    n_parts: int = 4
    attention: str = "narrowing"
    refiner_start: str = "trunk"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_parts < 1:
            raise ValueError(f"n_parts is {self.n_parts}; give at least 1")
        for name, choices in {"attention": ATTENTIONS, "refiner_start": ("trunk", "random")}.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; choose from {choices}")


def _normed(module: nn.Module, channels: int) -> list[nn.Module]:
    return [module, nn.BatchNorm2d(channels), nn.ReLU()]


def narrowing_attention(channels: int, n_parts: int) -> nn.Sequential:
    """Stage 3 -> A: bottlenecks at c, c / 4 and c / 16 channels, 1x1 convolutions between, the last to M maps.

    As a public re-implementation has it (1,024, 256, 64 on ResNet-50); after each of the 1x1 convolutions batch
    normalisation and (the first two: ours) a ReLU.
    """
    from torchvision.models.resnet import Bottleneck

    widths = [channels, max(channels // 4, LEAST_WIDTH), max(channels // 16, LEAST_WIDTH)]
    layers: list[nn.Module] = []
    for width, following in zip(widths, [*widths[1:], n_parts], strict=True):
        layers.append(Bottleneck(width, width // Bottleneck.expansion))
        layers += _normed(nn.Conv2d(width, following, 1, bias=False), following)
    return nn.Sequential(*layers)


def stage_attention(stage4: nn.Module, channels: int, n_parts: int) -> nn.Sequential:
    """Stage 3 -> A: "the fourth stage of ResNet50 without downsample convolutions" (Sec. 3.1), a copy of stage 4 that
    keeps the side, then (ours, where the paper does not say how 2,048 channels become M) a 1x1 convolution."""
    stage = deepcopy(stage4)
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    return nn.Sequential(stage, *_normed(nn.Conv2d(channels, n_parts, 1, bias=False), n_parts))


@torch.no_grad()
def check_side(attention: nn.Module, shape3: torch.Size, trunk: str) -> None:
    """Raises ValueError where a generator does not give maps of stage 3's side (1, c, h, w), by a dry run."""
    side = shape3[-1]
    try:
        kept = attention.eval()(torch.zeros(shape3)).shape[-1]
        found = f"{side} became {kept}"
    except RuntimeError as error:  # GCViT's windows are cut for the halved map
        kept, found = None, str(error).splitlines()[0]
    attention.train()
    if kept != side:
        raise ValueError(f"stage 4 of {trunk} cannot keep the side of its map ({found}); use attention 'narrowing'")


class PartNetwork(HashNetwork):
    """Trunk to stage 3, attention to M parts, one local refiner for all of them, stage 4 as the global refiner."""

    config: PartNetworkConfig

    def __init__(self, config: PartNetworkConfig, bits: int, head: Head = nn.Linear):
        super().__init__(config, bits, head)
        if config.refiner_start == "trunk":  # the trunk has its weights by now
            self.local_refiner.load_state_dict(self.backbone.stage4.state_dict())

    def build_fusion(self, shape3: torch.Size | None, shape4: torch.Size) -> int:
        config = self.config
        if shape3 is None:
            raise ValueError(
                f"{config.backbone.name} has one scale, but parts are found on stage 3 and refined by stage 4; use "
                "another backbone"
            )
        self.local_refiner = fresh_backbone(config.backbone, config.image_size).stage4
        if config.attention == "stage4":
            fresh = fresh_backbone(config.backbone, config.image_size).stage4
            self.attention = stage_attention(fresh, shape4[1], config.n_parts)
            check_side(self.attention, shape3, config.backbone.name)
        else:
            self.attention = narrowing_attention(shape3[1], config.n_parts)
        self.n_features = shape4[1]  # d
        return (config.n_parts + 1) * self.n_features

    def look(self, stages: Stages) -> PartFeatures:
        """Stage maps -> the parts and the whole."""
        assert stages.stage3 is not None
        attention = self.attention(stages.stage3)
        attended = stages.stage3.unsqueeze(1) * attention.unsqueeze(2)  # E * A^j, (B, M, c, h, w)
        refined = self.local_refiner(attended.flatten(0, 1))  # (B M, d, h', w'), an image's parts in a row
        responses = refined.mean(dim=1).unflatten(0, attention.shape[:2])
        local = refined.mean(dim=(2, 3)).unflatten(0, attention.shape[:2])
        return PartFeatures(attention, responses, local, stages.stage4.mean(dim=(2, 3)))

    def fuse(self, stages: Stages) -> Tensor:
        """Stage maps -> x (B, (M + 1) d)."""
        return self.look(stages).joined()

    def values(self, joined: Tensor) -> Tensor:
        """x (B, (M + 1) d) -> values (B, K)."""
        return self.hashed(joined).values

    @torch.no_grad()
    def normed_parts(self, local: Tensor) -> Tensor:
        """Part features (N, M, d) as the hash layer sees them, the norm by its running statistics: constants."""
        without_whole = torch.cat([local.flatten(1), local.new_zeros(len(local), self.n_features)], dim=1)
        was_training = self.norm.training
        normed = self.norm.eval()(without_whole)
        self.norm.train(was_training)
        return normed.unflatten(1, (self.config.n_parts + 1, -1))[:, :-1]

"""A network of tokens: class token and groups of patches, on any trunk.

On a trunk of convolutions the places of stage 4 become tokens as in the hybrid of Dosovitskiy et al. (ICLR 2021): a
linear projection, a class token, position embeddings, and a transformer encoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cscelab.model.network import HashNetwork, NetworkConfig
from cscelab.model.stages import Stages
from cscelab.model.vit import as_tokens

HEAD_WIDTH = 64  # channels of an attention head (ViT-B/16 has 768 over 12 heads)


def deal(patches: Tensor, groups: int) -> list[Tensor]:
    """Patch tokens (B, n, D) -> one tensor (B, n / groups, D) a group: token i goes to group i mod groups."""
    return [patches[:, group::groups] for group in range(groups)]


def transformer_layer(width: int) -> nn.Module:
    """One layer as in Dosovitskiy et al. (2021): norms before attention and perceptron, GELU, no dropout."""
    heads = max(1, width // HEAD_WIDTH)
    return nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)


class TokenEncoder(nn.Module):
    """A map (B, C, h, w) -> tokens (B, 1 + h w, D), the class token first."""

    def __init__(self, channels: int, places: int, width: int, layers: int):
        super().__init__()
        self.project = nn.Linear(channels, width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + places, width))
        self.layers = nn.Sequential(*(transformer_layer(width) for _ in range(layers)), nn.LayerNorm(width))

    def forward(self, grid: Tensor) -> Tensor:
        tokens = torch.cat([self.class_token.expand(len(grid), -1, -1), self.project(as_tokens(grid))], dim=1)
        return self.layers(tokens + self.positions)


@dataclass(frozen=True)
class TokenNetworkConfig(NetworkConfig):
    """groups: of patch tokens; width, layers: of the encoder over a convolutional trunk."""

    groups: int = 4
    width: int = 128
    layers: int = 1


class TokenNetwork(HashNetwork):
    """Trunk, token encoder where the trunk has no tokens, the layer that groups share, and a hash layer."""

    config: TokenNetworkConfig

    def build_fusion(self, shape3: torch.Size | None, shape4: torch.Size) -> int:
        config = self.config
        channels, places = shape4[1], shape4[2] * shape4[3]
        if places < config.groups:
            raise ValueError(
                f"{config.image_size} px images on {config.backbone.name} have {places} patches, too few for "
                f"{config.groups} groups; give larger images or fewer groups"
            )
        has_tokens = shape3 is None  # a vision transformer, which has one scale
        width = channels if has_tokens else config.width
        self.token_encoder = None if has_tokens else TokenEncoder(channels, places, width, config.layers)
        self.group_encoder = nn.Sequential(transformer_layer(width), nn.LayerNorm(width))
        return (1 + config.groups) * width

    def fuse(self, stages: Stages) -> Tensor:
        """Stages -> f_e (B, (1 + groups) D): the class token, then each group's."""
        if self.token_encoder is not None:
            tokens = self.token_encoder(stages.stage4)
        else:
            assert stages.class_token is not None
            tokens = torch.cat([stages.class_token.unsqueeze(1), as_tokens(stages.stage4)], dim=1)
        class_token, patches = tokens[:, :1], tokens[:, 1:]
        groups = [
            self.group_encoder(torch.cat([class_token, group], dim=1))[:, 0]
            for group in deal(patches, self.config.groups)
        ]
        return torch.cat([class_token.squeeze(1), *groups], dim=1)

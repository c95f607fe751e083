"""Vision transformer (Dosovitskiy et al., ICLR 2021) as a trunk: one scale of patches, and a class token."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cscelab.model.stages import Backbone, Stages


class VisionTransformerTrunk(Backbone):
    """torchvision's layers, for images whose sides are multiples of the patch.

    Position embeddings are those of pretraining, interpolated to the grid of the images (Sec. 3.2 of the paper).
    `stage4` is the map of patches that enters the last layer, and what class activation maps are of: behind that layer
    the class token no longer depends on any patch, so that maps of the last layer's output would be empty.
    """

    def __init__(self, patch: int, depth: int, heads: int, width: int, pretraining_size: int = 224):
        from torchvision.models import VisionTransformer

        net = VisionTransformer(pretraining_size, patch, depth, heads, width, 4 * width, num_classes=1)
        layers = {f"encoder.layers.encoder_layer_{i}": f"layers.{i}" for i in range(depth - 1)}
        layers[f"encoder.layers.encoder_layer_{depth - 1}"] = "last"
        names = {"conv_proj": "stem", "class_token": "class_token", "encoder.pos_embedding": "positions"}
        names |= {"encoder.ln": "norm", **layers}
        # Files from before torchvision renamed the two layers of its perceptrons; its networks read both names, too.
        for theirs, ours in layers.items():
            names |= {f"{theirs}.mlp.linear_1": f"{ours}.mlp.0", f"{theirs}.mlp.linear_2": f"{ours}.mlp.3"}
        super().__init__(stem=net.conv_proj, stage3=None, stage4=nn.Identity(), original_names=names)
        self.patch = patch
        self.class_token = net.class_token  # (1, 1, C)
        self.positions = net.encoder.pos_embedding  # (1, 1 + g g, C) for a grid of g x g patches; the class token first
        *first, self.last = net.encoder.layers
        self.layers = nn.Sequential(*first)
        self.norm = net.encoder.ln

    def stages(self, images: Tensor) -> Stages:
        if images.shape[2] % self.patch or images.shape[3] % self.patch:
            raise ValueError(
                f"images of {images.shape[2]} x {images.shape[3]} px cannot be cut into patches of {self.patch} x "
                f"{self.patch} px; give sides that are multiples of {self.patch}"
            )
        patches = self.stem(images)  # (B, C, h, w)
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1), as_tokens(patches)], dim=1)
        tokens = self.layers(tokens + resized_positions(self.positions, patches.shape[2], patches.shape[3]))
        patches = self.stage4(as_map(tokens[:, 1:], patches.shape[2]))
        tokens = self.norm(self.last(torch.cat([tokens[:, :1], as_tokens(patches)], dim=1)))
        return Stages(None, as_map(tokens[:, 1:], patches.shape[2]), tokens[:, 0])


def as_tokens(grid: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h w, C), row by row."""
    return grid.flatten(2).transpose(1, 2)


def as_map(tokens: Tensor, height: int) -> Tensor:
    """(B, h w, C) -> (B, C, h, w): the inverse of `as_tokens`."""
    return tokens.transpose(1, 2).unflatten(2, (height, -1))


def resized_positions(positions: Tensor, height: int, width: int) -> Tensor:
    """Position embeddings (1, 1 + g g, C) for a grid of height x width: the class token's as it is, the patches'
    interpolated (bicubic) in two dimensions -> (1, 1 + height width, C)."""
    side = round((positions.shape[1] - 1) ** 0.5)
    if (height, width) == (side, side):
        return positions
    grid = as_map(positions[:, 1:], side)
    resized = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], as_tokens(resized)], dim=1)

"""Class activation maps for codes (Fig. 6), made with torchcam: where in the image do the bits come from?

A code has no class, so the target explained is the code itself: the agreement of the continuous code with a binary
code, (1/K) sum_k v_k b_k. With b the image's own code, the map shows what makes the bits as sure as they are; with b
another image's code, what in this image speaks for that neighbour.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cscelab.methods.base import HashMethod, in_use
from cscelab.seeding import seeded

LAYERS = ("stage4", "stage3", "local")
NOISE = 0  # seed of SmoothGradCAM++'s noise, for which torchcam takes no generator: the same map at every call
EXTRACTORS = ("GradCAM", "GradCAMpp", "LayerCAM", "XGradCAM", "SmoothGradCAMpp")


class CodeAgreement(nn.Module):
    """Images -> (B, 1): agreement of continuous codes with target codes, the own ones where none are given."""

    def __init__(self, method: HashMethod, codes: Tensor | None = None):
        super().__init__()
        self.method, self.codes = method, codes

    def forward(self, images: Tensor) -> Tensor:
        output = self.method(images)
        codes = output.codes if self.codes is None else self.codes
        return (output.values * codes.detach()).mean(dim=1, keepdim=True)


def explained_layer(method: HashMethod, layer: str = "stage4") -> nn.Module:
    """The module whose map is explained: the trunk's last stage, its third stage, or the local branch's last
    convolution block. Raises ValueError where the method has no such layer."""
    network = method.network
    if layer in ("stage3", "stage4"):
        stage = getattr(network.backbone, layer)
        if stage is None:
            raise ValueError(f"{network.config.backbone.name} has one scale and no {layer!r}; choose 'stage4'")
        return stage
    if layer == "local" and hasattr(network, "local"):
        return network.local.context  # type: ignore[return-value]
    if layer == "local":
        raise ValueError(f"structure {network.config.structure!r} has no local branch; choose 'stage4' or 'stage3'")
    raise ValueError(f"unknown layer {layer!r}; choose from {LAYERS}")


def code_cams(
    method: HashMethod,
    images: Tensor,
    layer: str = "stage4",
    extractor: str = "GradCAM",
    codes: Tensor | None = None,
    batch_size: int = 64,
) -> Tensor:
    """Activation maps of images (B, 3, H, W), uint8 or [0, 1] -> float (B, H, W) in [0, 1], each image's own scale.

    codes: +-1 (B, K), the codes to explain; by default each image's own. Stage 4, the default layer, is the last
    convolution that keeps its spatial size in every structure of Table 2, so rows can be compared.
    Hooks are removed and the mode restored whatever happens.
    """
    from torchcam import methods as torchcam

    if extractor not in EXTRACTORS:
        raise ValueError(f"unknown extractor {extractor!r}; choose from {EXTRACTORS}")
    target = explained_layer(method, layer)
    if images.dtype == torch.uint8:
        images = images.float() / 255  # extractors that add noise need numbers they can add to
    maps = []
    with in_use(method), seeded(NOISE):
        was_training = method.training
        method.eval()
        try:
            for start in range(0, len(images), batch_size):
                rows = slice(start, start + batch_size)
                scored = CodeAgreement(method, None if codes is None else codes[rows])
                with getattr(torchcam, extractor)(scored, target_layer=target) as cam, torch.enable_grad():
                    # A frozen trunk has maps with gradients only because the images have some.
                    scores = scored(images[rows].clone().requires_grad_())
                    maps.append(cam([0] * len(scores), scores)[0].detach())  # (b, h, w)
        finally:
            method.train(was_training)
    small = torch.nan_to_num(torch.cat(maps)).unsqueeze(1)  # (B, 1, h, w)
    size = images.shape[-2:]
    return F.interpolate(small, size=size, mode="bilinear", align_corners=False).squeeze(1).clamp(0, 1)


def mass_inside(cams: Tensor | np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of each map's mass that falls on its target, over the target's share of the image, (B,).

    A uniform map has 1, and no map more than 1 over the target's share. A map that knows nothing of its image need not
    have 1: targets near the middle favour any central map. What such maps have is the second part of `own_and_others`.
    cams (B, H, W), not negative; masks (B, H, W), non-zero on the target. NaN where the target is not visible or the
    map is empty.
    """
    weights = np.asarray(cams, dtype=np.float64)
    inside = np.asarray(masks) > 0
    if weights.shape != inside.shape:
        raise ValueError(f"maps {weights.shape} and masks {inside.shape} differ in shape; give one mask a map")
    total, share = weights.sum(axis=(1, 2)), inside.mean(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (weights * inside).sum(axis=(1, 2)) / total / share
    return np.where((total > 0) & (share > 0), ratio, np.nan)


class OwnAndOthers(NamedTuple):
    """`mass_inside` on each target, (B,): of the image's own map, and the mean of the other images' maps."""

    own: np.ndarray
    others: np.ndarray


def own_and_others(cams: Tensor | np.ndarray, masks: np.ndarray) -> OwnAndOthers:
    """`mass_inside` beside its control: what the maps of the other images have, on average, on the same target.

    The others' maps know where targets tend to stand, but nothing of this image; what a map knows of its own image is
    what it has beyond them. cams, masks and NaN as in `mass_inside`; empty maps are left out of the others.
    Raises ValueError for a single map.
    """
    own = mass_inside(cams, masks)
    if len(own) < 2:
        raise ValueError(f"{len(own)} map came, and the control is made of other images' maps; give at least 2")
    weights, inside = np.asarray(cams, dtype=np.float64), np.asarray(masks) > 0
    total, share = weights.sum(axis=(1, 2)), inside.mean(axis=(1, 2))
    weights = np.divide(weights, total[:, None, None], out=np.zeros_like(weights), where=total[:, None, None] > 0)
    rest = weights.sum(axis=0) - weights  # (B, H, W), the sum of the other images' maps
    n_rest = (total > 0).sum() - (total > 0)  # (B,)
    with np.errstate(divide="ignore", invalid="ignore"):
        others = (rest * inside).sum(axis=(1, 2)) / n_rest / share
    return OwnAndOthers(own, np.where((n_rest > 0) & (share > 0), others, np.nan))

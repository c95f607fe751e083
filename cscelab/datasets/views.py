"""Views: the random crops, colours, greys and blurs of contrastive learning (SimCLR, Chen et al., ICML 2020).

Every image of a batch has draws of its own, all from the generator that is given; torchvision's transforms draw once a
batch, and from torch's global generator. images (B, 3, H, W), float in [0, 1], come back of the same shape and range.
At strength 0 an image comes back as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Change = Callable[[Tensor, torch.Generator], Tensor]
# Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)
# Chroma axes I and Q of YIQ, in which a hue is an angle.
IN_PHASE, QUADRATURE = (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)


def uniform(images: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """One number for each image, (B, 1, 1, 1), evenly from [low, high]."""
    draws = torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device)
    return low + (high - low) * draws.to(images.device)


def some(images: Tensor, change: Change, probability: float, generator: torch.Generator) -> Tensor:
    """Each image with this probability changed, the others as they were; a change is not called without an image."""
    if probability == 0:
        return images
    chosen = (uniform(images, 0, 1, generator) < probability).flatten()
    if not chosen.any():
        return images
    changed = change(images[chosen], generator).to(images)  # in mixed precision a change gives half precision
    images = images.clone()
    images[chosen] = changed
    return images


def random_resized_crop(
    images: Tensor, generator: torch.Generator, smallest: float = 0.5, aspect: float = 4 / 3
) -> Tensor:
    """A random part of each image, of `smallest` to all of its area, stretched over the whole, bilinearly.

    aspect: the part is up to so many times as wide as high, or as high as wide (evenly on a log scale). Sides that
    would be longer than the image's are the image's, where torchvision draws again.
    """
    if smallest == 1 and aspect == 1:
        return images
    area = uniform(images, smallest, 1, generator)
    shape = uniform(images, -math.log(aspect), math.log(aspect), generator).exp()
    width, height = (area * shape).sqrt().clamp(max=1), (area / shape).sqrt().clamp(max=1)  # shares of the sides
    # Centers of the parts, where the image reaches from -1 to 1.
    x, y = (uniform(images, -1, 1, generator) * (1 - side) for side in (width, height))
    zero = torch.zeros_like(x)
    boxes = torch.cat([width, zero, x, zero, height, y], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(boxes, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False).clamp(0, 1)


def luma(images: Tensor) -> Tensor:
    """The brightness of every pixel, (B, 1, H, W)."""
    return torch.einsum("bchw,c->bhw", images, images.new_tensor(LUMA)).unsqueeze(1)


def greyscale(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Images without colour; nothing is drawn."""
    return luma(images).expand_as(images)


def blend(images: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """share of the images, the rest of the others; a share above 1 goes beyond the images. share (B, 1, 1, 1)."""
    return (share * images + (1 - share) * others).clamp(0, 1)


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turns every colour about the greys by so many turns, (B, 1, 1, 1); brightness stays.

    In YIQ, a linear map; torchvision adds to the hue of HSV, which moves brightness too.
    """
    to_yiq = images.new_tensor([LUMA, IN_PHASE, QUADRATURE])
    angle = 2 * math.pi * turns.view(-1)
    rotation = torch.eye(3, device=images.device).repeat(len(images), 1, 1)
    rotation[:, 1, 1] = rotation[:, 2, 2] = angle.cos()
    rotation[:, 1, 2], rotation[:, 2, 1] = -angle.sin(), angle.sin()
    maps = torch.linalg.inv(to_yiq) @ rotation @ to_yiq  # (B, 3, 3)
    return torch.einsum("bdc,bchw->bdhw", maps, images).clamp(0, 1)


def colour_jitter(images: Tensor, generator: torch.Generator, strength: float = 0.4, hue: float = 0.1) -> Tensor:
    """Brightness, contrast and saturation times 1 - strength to 1 + strength, hue by up to `hue` turns.

    In this order; torchvision draws the order too.
    """
    if strength == 0 and hue == 0:
        return images
    brightness, contrast, saturation = (
        uniform(images, max(0.0, 1 - strength), 1 + strength, generator) for _ in range(3)
    )
    images = blend(images, torch.zeros_like(images), brightness)
    images = blend(images, luma(images).mean(dim=(2, 3), keepdim=True), contrast)
    images = blend(images, luma(images), saturation)
    return turn_hue(images, uniform(images, -hue, hue, generator)) if hue else images


def gaussian_blur(images: Tensor, generator: torch.Generator, widest: float = 2.0, side: int = 3) -> Tensor:
    """Each image blurred by a Gaussian of 0.1 to `widest` pixels, cut off at a window of `side` pixels (odd).

    Borders are mirrored, as OpenCV has them.
    """
    deviation = uniform(images, 0.1, widest, generator)
    half = side // 2
    offsets = torch.arange(-half, half + 1, device=images.device)
    weights = (-0.5 * (offsets / deviation).square()).softmax(dim=-1)  # (B, 1, 1, side): a Gaussian of sum 1
    for axis in (2, 3):
        padding = (half, half, 0, 0) if axis == 3 else (0, 0, half, half)
        padded = F.pad(images, padding, mode="reflect")
        windows = [padded.narrow(axis, i, images.shape[axis]) for i in range(side)]
        images = sum((weights[..., i : i + 1] * window for i, window in enumerate(windows)), torch.zeros_like(images))
    return images

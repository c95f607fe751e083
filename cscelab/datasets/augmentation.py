"""Augmentation of batches by torchvision's transforms v2, on the device of the images, from a generator of their own.

torchvision draws once a call, so that a whole batch would be cropped alike; a batch is therefore taken in groups of
GROUP images that share their draws.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import v2

GROUP = 4

# Name -> the transform for square images of a side.
AUGMENTATIONS: dict[str, Callable[[int], Callable[[Tensor], Tensor]]] = {
    # Of SimCLR (Chen et al., ICML 2020) the crop, of half of the area at least.
    "crop": lambda side: v2.RandomResizedCrop(side, scale=(0.5, 1.0), antialias=True),
    "colour": lambda _: v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "erase": lambda _: v2.RandomErasing(p=0.5),  # Zhong et al., AAAI 2020
    "rand": lambda _: v2.RandAugment(),  # Cubuk et al., NeurIPS 2020
    "trivial": lambda _: v2.TrivialAugmentWide(),  # Mueller and Hutter, ICCV 2021
}


def check_augmentation(name: str) -> None:
    """Raises ValueError for an unknown name. "none", or names of AUGMENTATIONS with + between: "crop+colour"."""
    unknown = [part for part in name.split("+") if part not in AUGMENTATIONS]
    if name != "none" and unknown:
        raise ValueError(
            f"unknown augmentation {unknown[0]!r}; choose from {sorted(AUGMENTATIONS)}, several with + between, or none"
        )


def augment_more(images: Tensor, generator: torch.Generator, name: str) -> Tensor:
    """uint8 (B, 3, H, H) -> the same, laid out in memory alike, each group of GROUP images with draws of its own.

    The draws follow the generator alone; torch's global generators are left as they were.
    """
    if name == "none":
        return images
    transform = v2.Compose([AUGMENTATIONS[part](images.shape[-1]) for part in name.split("+")])
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    augmented = torch.empty_like(images)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # which these transforms draw from on any device; not all devices'
        for before, after in zip(images.split(GROUP), augmented.split(GROUP), strict=True):
            after.copy_(transform(before))
    return augmented

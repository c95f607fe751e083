"""Activation maps laid over images that stay to be seen: no colour where the map is low, most where it is high."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap

COLOURS = "viridis"  # perceptually uniform, and in order of lightness for those who see no colours
OPACITY = 0.65  # of the colour where a map is 1: parts of the target are still told apart under it
FADED = 0.35  # how far the image's own colours go towards grey, so that the map's are not mistaken for them
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def overlaid(images: np.ndarray, maps: np.ndarray, opacity: float = OPACITY) -> np.ndarray:
    """Images uint8 (N, H, W, 3), slightly faded, under their maps (N, H, W) in [0, 1]: uint8 (N, H, W, 3).

    The colour covers `opacity` times the map's value, so that it hides nothing where the map is 0. Raises ValueError
    for an opacity outside [0, 1].
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"an opacity of {opacity} was asked for; give a number from 0 (image alone) to 1")
    grey = (images @ LUMINANCE)[..., None]
    faded = (1 - FADED) * images + FADED * grey
    colours = colormaps[COLOURS](maps)[..., :3] * 255
    cover = opacity * np.asarray(maps)[..., None]
    return np.asarray(np.rint((1 - cover) * faded + cover * colours), dtype=np.uint8)


def key_colours(opacity: float = OPACITY) -> ListedColormap:
    """What `overlaid` does to a middle grey, from no activation to most: for colour bars."""
    grey = np.full((1, 1, 256, 3), 150, np.uint8)
    return ListedColormap(overlaid(grey, np.linspace(0, 1, 256)[None, None], opacity)[0, 0] / 255)

"""One image taken apart by AIE (Eq. 3): its local features, its windows, and what the windows take from each place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from cscelab.datasets.loader import as_tensor
from cscelab.methods.base import HashMethod
from cscelab.model.aie import AIE
from cscelab.model.local import LocalFeatures
from cscelab.model.network import HashNetwork
from cscelab.model.windows import SlidingWindows

# In words -> as `model.aie` names it.
NORMALIZE = {"as printed": "none", "divided by the windows' squared norm": "frobenius"}


class WindowBox(NamedTuple):
    """Where a window lies on stage 4, in cells."""

    size: int
    top: int
    left: int


@dataclass(frozen=True)
class Dissection:
    """Numbers of one forward pass; c3 channels, h x w places of stage 3, n windows over side x side cells of stage 4.

    normalize: how the network itself subtracts, "none" or "frobenius".
    """

    image: np.ndarray  # uint8 (H, W, 3)
    local: np.ndarray  # f_l (c3, h, w)
    attention: np.ndarray  # (h, w)
    windows: np.ndarray  # f_g (c3, n)
    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    side: int
    normalize: str
    title: str = ""
    smoke: bool = False

    @property
    def n_windows(self) -> int:
        return self.windows.shape[1]

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w), the places."""
        return self.local.shape[1], self.local.shape[2]

    @cached_property
    def overlap(self) -> np.ndarray:
        """f_g^T f_l, (n, h, w): how much of each place lies along each window."""
        return np.einsum("cn,chw->nhw", self.windows, self.local, optimize=True)

    @cached_property
    def _context(self) -> np.ndarray:
        return np.einsum("cn,nhw->chw", self.windows, self.overlap, optimize=True)

    def divisor(self, normalize: str) -> float:
        """What the projection is divided by: 1, or ||f_g||_F^2. Raises ValueError for another word."""
        if normalize not in NORMALIZE.values():
            raise ValueError(f"unknown normalize {normalize!r}; choose 'none' or 'frobenius'")
        return 1.0 if normalize == "none" else max(float(np.square(self.windows).sum()), 1e-12)

    def weights(self, normalize: str) -> np.ndarray:
        """By how much each window is subtracted at each place, (n, h, w)."""
        return self.overlap / self.divisor(normalize)

    def subtracted(self, normalize: str) -> np.ndarray:
        """f_t2, (c3, h, w)."""
        return self._context / self.divisor(normalize)

    def left(self, normalize: str) -> np.ndarray:
        """f_t3 of Eq. 3, (c3, h, w)."""
        return self.local - self.subtracted(normalize)

    @cached_property
    def shares(self) -> np.ndarray:
        """Of each window in all that is subtracted, (n,), summing to 1: the part of f_t2 along f_t2 that it brings."""
        along = np.einsum("cn,chw->nhw", self.windows, self._context, optimize=True)
        return (self.overlap * along).sum(axis=(1, 2)) / max(float(np.square(self._context).sum()), 1e-12)

    def box(self, window: int) -> WindowBox:
        """Where a window lies. Raises ValueError for a number that is not there."""
        if not 0 <= window < self.n_windows:
            raise ValueError(f"window {window} was asked for; there are windows 0 to {self.n_windows - 1}")
        for size, count in zip(self.sizes, self.counts, strict=True):
            if window < count:
                return WindowBox(size, *divmod(window, self.side - size + 1))
            window -= count
        raise AssertionError("the counts add up to the number of windows")

    def first(self, size: int) -> int:
        """Number of the first window of a size."""
        return sum(self.counts[: self.sizes.index(size)])

    def drawn_back(self, place: tuple[int, int], size: int, normalize: str) -> np.ndarray:
        """Weights of the windows of one size at a place, on stage 4's cells: (side, side), each the mean over the
        windows that cover the cell, so that cells in the middle do not win by being covered more often."""
        first, rows = self.first(size), self.side - size + 1
        weights = self.weights(normalize)[first : first + rows**2, *self.checked(place)].reshape(rows, rows)
        total, covering = np.zeros((self.side, self.side)), np.zeros((self.side, self.side))
        for down in range(size):
            for right in range(size):
                total[down : down + rows, right : right + rows] += weights
                covering[down : down + rows, right : right + rows] += 1
        return total / covering

    def checked(self, place: tuple[int, int]) -> tuple[int, int]:
        """The place itself. Raises ValueError where it lies outside."""
        row, column = place
        height, width = self.grid
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(f"place {tuple(place)} was asked for; rows go to {height - 1}, columns to {width - 1}")
        return row, column

    def busiest(self) -> tuple[int, int]:
        """The place of the largest attention: where to begin."""
        row, column = divmod(int(self.attention.argmax()), self.grid[1])
        return row, column


def check_aie(method: HashMethod) -> tuple[HashNetwork, SlidingWindows, AIE]:
    """Network, windows and AIE of a method. Raises ValueError for a structure that subtracts nothing."""
    network = method.network
    if not (hasattr(network, "aie") and hasattr(network, "windows") and hasattr(network, "local")):
        raise ValueError(
            f"structure {network.config.structure!r} of {method.config.title} takes no windows from local features; "
            f"give a method with structure 'aie'"
        )
    return network, network.windows, network.aie


@torch.no_grad()
def dissect(method: HashMethod, image: np.ndarray, title: str = "", smoke: bool = False) -> Dissection:
    """One forward pass, in evaluation mode, of an image uint8 (H, W, 3).

    Raises ValueError for a method without AIE, or an image of another size than it takes.
    """
    network, windows, aie = check_aie(method)
    side = network.config.image_size
    if image.shape != (side, side, 3):
        raise ValueError(f"an image of shape {image.shape} was given; {method.config.title} takes ({side}, {side}, 3)")
    training = method.training
    try:
        method.eval()
        stages = network.backbone(as_tensor(image[None]).to(next(method.parameters()).device))
        local: LocalFeatures = network.local(stages.stage3)
        global_windows = windows(stages.stage4)
    finally:
        method.train(training)
    features, attention, vectors = (
        part[0].double().cpu().numpy() for part in (local.features, local.attention, global_windows)
    )
    return Dissection(
        image, features, attention[0], vectors, windows.sizes, windows.counts, windows.side, aie.normalize, title, smoke
    )

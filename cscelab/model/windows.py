"""Sliding windows of the global branch (Sec. 3.2, Eq. 2, Fig. 3): stage 4 seen in patches of several sizes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SlidingWindows(nn.Module):
    """Every s x s patch of stage 4 as one vector, for each window size s.

    A 1x1 convolution first reduces stage 4 to channels / s^2, so that every unfolded window has `channels` values,
    whatever its size: c3, the channels of stage 3, so that windows and local features can be compared (Eq. 3).

    Raises ValueError where a size does not divide the channels or exceeds the map's side.
    """

    def __init__(self, channels4: int, channels: int, side: int, sizes: tuple[int, ...] = (2, 4)):
        super().__init__()
        if not sizes:
            raise ValueError("no window sizes were given; name at least one, as (2, 4)")
        if side < max(sizes):
            raise ValueError(
                f"stage 4 is {side} x {side} but the largest window is {max(sizes)} x {max(sizes)}; "
                f"use larger images or smaller windows"
            )
        for size in sizes:
            if channels % size**2:
                raise ValueError(
                    f"{channels} channels of stage 3 cannot be split over a {size} x {size} window; "
                    f"use a size whose square divides them"
                )
        self.sizes, self.side = tuple(sizes), side
        self.reduce = nn.ModuleList(nn.Conv2d(channels4, channels // size**2, 1) for size in sizes)

    @property
    def counts(self) -> tuple[int, ...]:
        """Windows of each size."""
        return tuple((self.side - size + 1) ** 2 for size in self.sizes)

    @property
    def n_windows(self) -> int:
        return sum(self.counts)

    def forward(self, stage4: Tensor) -> Tensor:
        """stage4 (B, c4, h, w) -> windows (B, channels, n_windows), sizes in order, each in reading order."""
        windows = [
            F.unfold(reduce(stage4), size)  # (B, channels / s^2, h, w) -> (B, channels, windows of this size)
            for reduce, size in zip(self.reduce, self.sizes, strict=True)
        ]
        return torch.cat(windows, dim=2)

"""Local branch (Sec. 3.2, Fig. 2): several receptive fields on stage 3, weighted by self-attention."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LocalFeatures(NamedTuple):
    features: Tensor  # (B, c3, h3, w3), attention times features: f_l
    attention: Tensor  # (B, 1, h3, w3), positive: one weight per place


def _conv_bn_relu(channels_in: int, channels: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017): three dilated convolutions side by side, then 1x1 to c3.

    The paper gives neither rates nor width. Rates 3, 6, 9 are ours (18 degenerates at 14 x 14); a width of a quarter
    of the channels is ours too, as full width would more than double ResNet-50's arithmetic.
    """

    def __init__(self, channels: int, rates: tuple[int, ...] = (3, 6, 9), width: int | None = None):
        super().__init__()
        width = width or max(1, channels // 4)
        self.fields = nn.ModuleList(_conv_bn_relu(channels, width, 3, rate) for rate in rates)
        self.project = _conv_bn_relu(width * len(rates), channels, 1)

    def forward(self, stage3: Tensor) -> Tensor:
        """stage3 (B, c3, h3, w3) -> multi-atrous features f_MA (B, c3, h3, w3)."""
        return self.project(torch.cat([field(stage3) for field in self.fields], dim=1))


class LocalBranch(nn.Module):
    """ASPP, then self-attention: a 1x1 convolution and SoftPlus give each place a weight (Noh et al. 2017)."""

    def __init__(self, channels: int, rates: tuple[int, ...] = (3, 6, 9), width: int | None = None):
        super().__init__()
        self.context = ASPP(channels, rates, width)
        self.attend = nn.Conv2d(channels, 1, 1)

    def forward(self, stage3: Tensor) -> LocalFeatures:
        """stage3 (B, c3, h3, w3) -> LocalFeatures."""
        context = self.context(stage3)
        attention = F.softplus(self.attend(context))
        return LocalFeatures(attention * context, attention)


class ReleasedLocalBranch(nn.Module):
    """The released code's local branch: no ASPP; a 1x1 convolution, features normalised over channels, attention."""

    def __init__(self, channels: int):
        super().__init__()
        self.context = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels, momentum=0.9))
        self.attend = nn.Conv2d(channels, 1, 1)

    def forward(self, stage3: Tensor) -> LocalFeatures:
        """stage3 (B, c3, h3, w3) -> LocalFeatures."""
        context = self.context(stage3)
        attention = F.softplus(self.attend(context.relu()))
        return LocalFeatures(attention * F.normalize(context, dim=1), attention)

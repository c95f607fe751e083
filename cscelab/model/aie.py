"""Attention guided Information Extraction (Sec. 3.3, Eqs. 3-4, Fig. 4): what the global windows do not explain."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MIXERS = ("mean", "default")


def aie(local: Tensor, windows: Tensor, normalize: str = "none") -> Tensor:
    """Eq. 3: local - windows (windows^T local), the local detail left after removing the repeated context.

    local (B, C, H, W), windows (B, C, n) -> (B, C, H, W). normalize: "none" (paper) or "frobenius" (released code:
    the context is divided by the squared Frobenius norm of the image's window matrix).
    """
    return local - repeated_context(local, windows, normalize)


def repeated_context(local: Tensor, windows: Tensor, normalize: str = "none") -> Tensor:
    """The subtrahend of Eq. 3, f_t2 = f_g (f_g^T f_l): (B, C, H, W)."""
    if local.ndim != 4 or windows.ndim != 3 or local.shape[:2] != windows.shape[:2]:
        raise ValueError(
            f"local features {tuple(local.shape)} and windows {tuple(windows.shape)} do not match; "
            f"expected (B, C, H, W) and (B, C, n) with the same B and C"
        )
    if normalize not in ("none", "frobenius"):
        raise ValueError(f"unknown normalize {normalize!r}; choose 'none' or 'frobenius'")
    overlap = torch.einsum("bcn,bchw->bnhw", windows, local)
    context = torch.einsum("bcn,bnhw->bchw", windows, overlap)
    if normalize == "frobenius":
        context = context / windows.square().sum(dim=(1, 2)).clamp_min(1e-12).view(-1, 1, 1, 1)
    return context


def window_mixer(n_windows: int, start: str = "mean") -> nn.Conv1d:
    """conv1d of Eq. 4: one weight per window position, (B, n, C) -> (B, 1, C).

    start: "mean" begins as the mean over windows (weights 1/n, bias 0), because with targets anywhere in the image
    random weights per position learn poorly; "default" keeps PyTorch's initialisation, as released.
    """
    if start not in MIXERS:
        raise ValueError(f"unknown start of the window mixer {start!r}; choose from {MIXERS}")
    mixer = nn.Conv1d(n_windows, 1, 1)
    if start == "mean":
        nn.init.constant_(mixer.weight, 1 / n_windows)
        nn.init.zeros_(mixer.bias)  # type: ignore[arg-type]
    return mixer


class AIE(nn.Module):
    """Joins both branches: the mixed windows beside the pooled detail (Eq. 4)."""

    def __init__(self, n_windows: int, normalize: str = "none", mixer_start: str = "mean"):
        super().__init__()
        self.normalize = normalize
        self.mix = window_mixer(n_windows, mixer_start)

    def forward(self, local: Tensor, windows: Tensor) -> Tensor:
        """local (B, C, H, W), windows (B, C, n) -> f_e (B, 2C)."""
        detail = aie(local, windows, self.normalize)
        mixed = self.mix(windows.transpose(1, 2)).squeeze(1)  # (B, 1, C) -> (B, C)
        return torch.cat([mixed, detail.mean(dim=(2, 3))], dim=1)

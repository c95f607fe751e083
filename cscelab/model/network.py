"""The network (Fig. 2): trunk, sliding windows, local branch and AIE, then the hash and threshold layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cscelab.model.aie import AIE, window_mixer
from cscelab.model.backbone import BackboneConfig, fresh_backbone, load_start
from cscelab.model.local import LocalBranch, ReleasedLocalBranch
from cscelab.model.stages import Stages
from cscelab.model.windows import SlidingWindows

# Rows of Table 2 and what f_e is made of in each (ours, where the paper only names the row).
STRUCTURES = {
    "baseline": "pool(f4)",
    "local": "pool(f4), pool(f_l)",
    "sw2": "conv1d(2x2 windows)",
    "sw4": "conv1d(4x4 windows)",
    "sw2+sw4": "conv1d(2x2 and 4x4 windows)",
    "aie": "conv1d(windows), pool(f_l less its repeated context, Eq. 3)",
}
WINDOW_SIZES = {"sw2": (2,), "sw4": (4,), "sw2+sw4": (2, 4), "aie": (2, 4)}
FEATURE_NORMS = ("none", "batch")
Head = Callable[[int, int], nn.Module]  # (features, bits) -> the module from f_e (B, d) to values (B, K)


@dataclass(frozen=True)
class NetworkConfig:
    """One row of Table 2, on one backbone, for images of one size.

    structure: a key of STRUCTURES; local: "aspp" (paper) or "released"; aie_normalize: "none" (paper) or "frobenius"
    (released); mixer_start: "mean" or "default" (released), see `aie.window_mixer`; feature_norm: "none" (paper) or
    "batch", batch normalisation of f_e before the hash layer; aspp_width: channels of each dilated convolution,
    None for a quarter of stage 3's.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    image_size: int = 112
    structure: str = "aie"
    local: str = "aspp"
    aie_normalize: str = "none"
    mixer_start: str = "mean"
    feature_norm: str = "none"
    aspp_rates: tuple[int, ...] = (3, 6, 9)
    aspp_width: int | None = None
    threshold_layer: bool = True

    def __post_init__(self) -> None:
        for name, choices in {
            "structure": tuple(STRUCTURES),
            "local": ("aspp", "released"),
            "aie_normalize": ("none", "frobenius"),
            "mixer_start": ("mean", "default"),
            "feature_norm": FEATURE_NORMS,
        }.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; choose from {choices}")


class NetworkOutput(NamedTuple):
    features: Tensor  # f_e (B, d)
    values: Tensor  # v, the continuous code (B, K)
    threshold_logit: Tensor | None  # fc_t(f_e), (B, 1)


class HashNetwork(nn.Module):
    """Images to continuous codes, for any structure of Table 2; another fusion overrides `build_fusion` and `fuse`.

    head: makes the hash layer; one linear layer by default, as the papers mostly have it.
    Raises ValueError where the images do not suit the trunk, its stage 4 is too small for the windows, or the trunk has
    one scale and the structure needs two.
    """

    def __init__(self, config: NetworkConfig, bits: int, head: Head = nn.Linear):
        super().__init__()
        if bits < 1:
            raise ValueError(f"{bits} bits were asked for; give at least 1")
        self.config, self.bits = config, bits
        self.backbone = fresh_backbone(config.backbone, config.image_size)
        n_features = self.build_fusion(*self.backbone.trace_shapes(config.image_size))
        load_start(self.backbone, config.backbone)  # only now: what the images do not suit needs no download
        self.norm = nn.BatchNorm1d(n_features) if config.feature_norm == "batch" else nn.Identity()
        self.hash_layer = head(n_features, bits)
        self.threshold_layer = nn.Linear(n_features, 1) if config.threshold_layer else None

    def build_fusion(self, shape3: torch.Size | None, shape4: torch.Size) -> int:
        """Makes what `fuse` needs for stage maps (1, C, h, w) of these shapes and returns the size of f_e."""
        config = self.config
        has_windows = config.structure in WINDOW_SIZES
        has_local = config.structure in ("local", "aie")
        channels4, side4 = shape4[1], shape4[-1]
        if not has_windows and not has_local:
            return channels4
        if shape3 is None:
            raise ValueError(
                f"{config.backbone.name} has one scale, but structure {config.structure!r} needs two; use structure "
                "'baseline' or another backbone"
            )
        channels3 = shape3[1]
        if has_windows:
            sizes = WINDOW_SIZES[config.structure]
            try:
                self.windows = SlidingWindows(channels4, channels3, side4, sizes)
            except ValueError as error:
                raise ValueError(f"{config.image_size} px images on {config.backbone.name}: {error}") from error
        if has_local and config.local == "aspp":
            self.local: nn.Module = LocalBranch(channels3, config.aspp_rates, config.aspp_width)
        elif has_local:
            self.local = ReleasedLocalBranch(channels3)

        if config.structure == "aie":
            self.aie = AIE(self.windows.n_windows, config.aie_normalize, config.mixer_start)
            return 2 * channels3
        if has_windows:
            self.mix = window_mixer(self.windows.n_windows, config.mixer_start)
            return channels3
        return channels4 + channels3

    def fuse(self, stages: Stages) -> Tensor:
        """Stage maps -> f_e (B, d), by the structure's row of Table 2."""
        structure = self.config.structure
        if structure == "aie":
            local = self.local(stages.stage3).features
            return self.aie(local, self.windows(stages.stage4))
        if structure in WINDOW_SIZES:
            windows = self.windows(stages.stage4)
            return self.mix(windows.transpose(1, 2)).squeeze(1)  # (B, n, C) -> (B, 1, C) -> (B, C)
        pooled = stages.pooled()
        if structure == "local":
            detail = self.local(stages.stage3).features.mean(dim=(2, 3))
            return torch.cat([pooled, detail], dim=1)
        return pooled

    def forward(self, images: Tensor) -> NetworkOutput:
        """images (B, 3, H, W), uint8 or [0, 1] -> NetworkOutput."""
        return self.hashed(self.fuse(self.backbone(images)))

    def hashed(self, fused: Tensor) -> NetworkOutput:
        """What `fuse` gives (B, d) -> what the hash layer sees of it, and what it makes of that."""
        features = self.norm(fused)
        threshold_logit = None if self.threshold_layer is None else self.threshold_layer(features)
        return NetworkOutput(features, self.hash_layer(features), threshold_logit)

    def parts(self) -> dict[str, nn.Module]:
        """The parts that learn, by name: trunk, windows, local, mixer, hash layer, threshold layer."""
        return {name: part for name, part in self.named_children() if any(True for _ in part.parameters())}


@torch.no_grad()
def trace_shapes(network: HashNetwork) -> dict[str, tuple[int, ...]]:
    """Output shape of every module for one image, by module name: what Figs. 2-4 are drawn from."""
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(name: str) -> object:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                shapes[name] = tuple(output.shape)
            elif isinstance(output, tuple):
                for part, tensor in zip(getattr(output, "_fields", range(len(output))), output, strict=True):
                    if isinstance(tensor, Tensor):
                        shapes[f"{name}.{part}"] = tuple(tensor.shape)

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in network.named_modules() if name]
    training = network.training
    try:
        device = next(network.parameters()).device
        side = network.config.image_size
        shapes["images"] = (1, 3, side, side)
        network.eval()(torch.zeros(1, 3, side, side, device=device))
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return shapes

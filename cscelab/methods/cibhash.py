"""CIBHash: hashing with a contrastive information bottleneck (Qiu et al., IJCAI 2021): two views of an image agree.

Head on a frozen trunk's pooled stage 4: d -> 1024 -> ReLU -> K, values u; p = sigmoid(u) is the probability of a bit.
Loss: NT-Xent between the codes z = sign(p - 1/2) of two views, whose gradient passes straight through to p, plus beta
times the mean of KL(p_i || p_j) and KL(p_j || p_i), each with its second argument held fixed; temperature .3 and
beta .001 are the released code's (github.com/zexuanqiu/CIBHash). Labels, single or multiple, are never read.
Departures: the divergence comes from logits where the released code adds 1e-8 to logarithms; u = 0 codes as -1, not 0;
stage 4 for VGG16's fc7; Adam by the experiment's schedule where the paper has 1e-3, batch 64 and 60 epochs or more.
Views: the training's own mirroring and shift, then crops, colours, greys and blurs (`datasets.views`). The released
strengths are smallest_crop .5, jitter .4, hue .1 (probability .7), grey .2, blur .5 (the recipe cibhash/released-views,
for photographs); ours are off, since species differ in colours of small parts. Validation mAP on the quick profile, 32
bits, after four epochs of a head on stored features of six views an image, one seed: .47 with none, .42 with crops of
.5, .39 with crops of .2, .38 with crops and blur, .31 as released.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cscelab.datasets.views import colour_jitter, gaussian_blur, greyscale, random_resized_crop, some
from cscelab.dsf import straight_through
from cscelab.methods.base import HashMethod, HashOutput, MethodConfig, pooled_network


@dataclass(frozen=True)
class CIBHashConfig(MethodConfig):
    """Settings of CIBHash.

    temperature: of the contrastive loss; bottleneck_weight: beta, of the divergences; hidden: width of the head.
    The views: smallest_crop: share of the area that a crop keeps at least; jitter: of brightness, contrast and
    saturation, hue: in turns, both given to a view with probability jitter_probability; grey and blur: probabilities.
    """

    name: ClassVar[str] = "cibhash"
    title: ClassVar[str] = "CIBHash"
    paper: ClassVar[str] = "Qiu et al., IJCAI 2021"
    reads_labels: ClassVar[bool] = False

    temperature: float = 0.3
    bottleneck_weight: float = 0.001
    hidden: int = 1024
    smallest_crop: float = 1.0
    jitter: float = 0.0
    hue: float = 0.0
    jitter_probability: float = 0.7
    grey: float = 0.0
    blur: float = 0.0

    def build(self, n_classes: int, bits: int) -> CIBHash:
        return CIBHash(self, n_classes, bits)


class CIBHash(HashMethod):
    config: CIBHashConfig
    views: ClassVar[int] = 2
    trains_trunk: ClassVar[bool] = False

    def __init__(self, config: CIBHashConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        if config.temperature <= 0:
            raise ValueError(f"the temperature is {config.temperature}; give one above 0, as 0.3")
        if not 0 < config.smallest_crop <= 1:
            raise ValueError(f"smallest_crop is {config.smallest_crop}; give a share of the area above 0, at most 1")
        for name in ("jitter_probability", "grey", "blur"):
            if not 0 <= getattr(config, name) <= 1:
                raise ValueError(f"{name} is {getattr(config, name)}; give a probability from 0 to 1")
        if config.hidden < 1:
            raise ValueError(f"hidden is {config.hidden}; give at least 1")
        for name in ("jitter", "hue"):
            if getattr(config, name) < 0:
                raise ValueError(f"{name} is {getattr(config, name)}; give 0 or more")
        self.network = pooled_network(
            config,
            bits,
            head=lambda n_features, bits: nn.Sequential(
                nn.Linear(n_features, config.hidden), nn.ReLU(), nn.Linear(config.hidden, bits)
            ),
        )

    def view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        config = self.config
        if images.dtype == torch.uint8:
            images = images.float() / 255
        # The released code also mirrors: the training does so before.
        aspect = 1.0 if config.smallest_crop == 1 else 4 / 3
        images = random_resized_crop(images, generator, config.smallest_crop, aspect)
        jitter = partial(colour_jitter, strength=config.jitter, hue=config.hue)
        images = some(images, jitter, config.jitter_probability, generator)
        images = some(images, greyscale, config.grey, generator)
        return some(images, gaussian_blur, config.blur, generator)

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        first, second = output.values.chunk(2)
        codes = straight_through(output.values, output.values.sigmoid())  # z
        bottleneck = (divergence(first, second.detach()) + divergence(second, first.detach())) / 2
        return {
            "contrast": contrast(codes, self.config.temperature),
            "bottleneck": self.config.bottleneck_weight * bottleneck,
        }


def contrast(codes: Tensor, temperature: float) -> Tensor:
    """NT-Xent (SimCLR): which of the other rows is my other view? By cosines over a temperature, mean over rows.

    codes (2 B, K): the first views of B images, then their second ones. Every other row is a negative, also where it
    is of the same species.
    """
    unit = F.normalize(codes)
    cosines = unit @ unit.T / temperature  # (2 B, 2 B)
    itself = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    partners = torch.arange(len(codes), device=codes.device).roll(len(codes) // 2)
    return F.cross_entropy(cosines.masked_fill(itself, -torch.inf), partners)


def divergence(values: Tensor, others: Tensor) -> Tensor:
    """KL of Bernoulli bits, sum over bits, mean over rows: values and others (B, K), the logits of p and q."""
    p = values.sigmoid()
    ones = p * (F.logsigmoid(values) - F.logsigmoid(others))
    zeros = (1 - p) * (F.logsigmoid(-values) - F.logsigmoid(-others))
    return (ones + zeros).sum(dim=1).mean()

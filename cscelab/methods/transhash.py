"""TransHash (Chen et al., ICMR 2022): half of the code from a transformer's class token, half from groups of patches.

Reconstructed without the paper's text and without code of its authors, of which we found none. Network: the class token
gives the first K / 2 bits (one more where K is odd); patch tokens are dealt into groups, a transformer layer that all
groups share reads the class token with the patches of one group, and what becomes of the class token gives the
group's share of the other bits. Loss: the Cauchy loss of pairs and 0.1 of its quantisation term (`cauchy`, DCH), over
the pairs of a batch; images are alike where they share a label, so multi-label needs nothing more.

So these are ours, and may depart from the paper: four groups, dealt in turn (token i to group i mod 4), so that each
sees the whole image wherever the target stands; attention heads of 64 channels; the shared layer behind the trunk's
last layer; gamma = 20 bits, DCH's. On a trunk of convolutions the places of stage 4 become tokens (`model.tokens`).

Evidence, validation mAP (quick, 32 bits, one seed): gamma 5 .553, 20 .696, 40 .692; new parts half as fast .670. So it
reaches twice LSH (.690) on validation images, but on queries it has .672 where twice LSH is .683. DPSH and HashNet gain
more than that in the eight epochs of the standard profile, with which TransHash was not trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from cscelab.cauchy import cauchy_pair_loss, cauchy_quantization
from cscelab.methods.base import HashMethod, HashOutput, MethodConfig
from cscelab.model.tokens import HEAD_WIDTH, TokenNetwork, TokenNetworkConfig
from cscelab.pairs import different_images, similarity


@dataclass(frozen=True)
class TransHashConfig(MethodConfig):
    """groups: of patch tokens, fewer where the code has too few bits for them; gamma: of the Cauchy loss, in bits;
    width, layers: of the encoder over a convolutional trunk, where width is a multiple of 64."""

    name: ClassVar[str] = "transhash"
    title: ClassVar[str] = "TransHash"
    paper: ClassVar[str] = "Chen et al., ICMR 2022; reconstruction"

    groups: int = 4
    gamma: float = 20.0
    quantization_weight: float = 0.1
    width: int = 128
    layers: int = 1

    def __post_init__(self) -> None:
        for name in ("groups", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.width < HEAD_WIDTH or self.width % HEAD_WIDTH:
            raise ValueError(
                f"width is {self.width}, but attention heads have {HEAD_WIDTH} channels; give a multiple of that"
            )

    def build(self, n_classes: int, bits: int) -> TransHash:
        return TransHash(self, n_classes, bits)


def bit_shares(bits: int, groups: int) -> tuple[int, ...]:
    """Bits of the class token, then of each group; the groups' differ by one at most, and no group has none."""
    if bits < 2:
        raise ValueError(f"TransHash shares the code between class token and patches, but {bits} bit came; give 2")
    of_groups = bits // 2
    groups = min(groups, of_groups)
    return (bits - of_groups, *(of_groups // groups + (group < of_groups % groups) for group in range(groups)))


class HashLayers(nn.Module):
    """A linear layer for the class token and one for each group: features (B, (1 + groups) D) -> values (B, K)."""

    def __init__(self, n_features: int, bits: int, groups: int):
        super().__init__()
        shares = bit_shares(bits, groups)
        self.layers = nn.ModuleList(nn.Linear(n_features // len(shares), share) for share in shares)

    def forward(self, features: Tensor) -> Tensor:
        parts = features.chunk(len(self.layers), dim=1)
        return torch.cat([layer(part) for layer, part in zip(self.layers, parts, strict=True)], dim=1)


class TransHash(HashMethod):
    config: TransHashConfig

    def __init__(self, config: TransHashConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.network = TokenNetwork(
            TokenNetworkConfig(
                config.backbone,
                config.image_size,
                structure="baseline",
                threshold_layer=False,
                groups=len(bit_shares(bits, config.groups)) - 1,
                width=config.width,
                layers=config.layers,
            ),
            bits,
            head=partial(HashLayers, groups=config.groups),
        )

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        values, gamma = output.values, self.config.gamma
        others = different_images(len(values), values.device)
        return {
            "pairs": cauchy_pair_loss(values, similarity(labels), gamma, others),
            "quantization": self.config.quantization_weight * cauchy_quantization(values, gamma),
        }

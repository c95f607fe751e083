"""ExchNet (Cui et al., ECCV 2020): attention finds parts, and parts change places with their class's while training.

Head: attention over stage 3 gives M parts, refined by one shared copy of stage 4 (local); stage 4 itself refines the
whole (global); x = [f^1 .. f^M, f^g], one linear layer. Loss: ADSH's asymmetric pair loss without its own term, plus
lambda L_sp + gamma L_cp, which keep parts at different places and with different content (`cscelab.diversity`).

Exchange, in training only and after half of the outer iterations (50 of the paper's 100): each part of each image is,
with probability 1/2, replaced by the anchor of its class, the mean of that part over the class's training images; the
global feature never is. Anchors are constants, renewed once an outer iteration. Codes of the database as in
`alternating`, from the values after the exchange; Eq. 17 as printed has the reverse sign.

Draws, passes (20) and iterations are the profile's in a recipe, the paper's under "paper".

The paper leaves open, and a public re-implementation gives: lambda = gamma = 1 beside the mean over pairs times 12 / K,
and the layers of the attention generator. That code also pulls parts to their anchors by a loss of its own; the paper
has none, nor have we. Ours: features normalised before the hash layer and exchanged behind the norm; L_sp and L_cp of
the parts before the exchange; the shared copy starts with the weights of stage 4; anchors by the network as it is
tested, of images without augmentation; multi-label, a part goes to the anchor of one of the image's classes, drawn for
each part.

Evidence, validation mAP (quick, 40 species, 24 bits, seeds 0 to 2): .612, .603, .558; without exchange .610, .613,
.575; ADSH .616, .636, .612. Without the constraints .584 (seed 0), with 2 parts .606, with 6 .525. At 12 bits .240,
without exchange .255, without the constraints .081, in six iterations of 2,000 images .221 (all seed 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import encoding_loader
from cscelab.diversity import channel_loss, map_overlap, spatial_loss
from cscelab.dsf import sign
from cscelab.methods.alternating import AlternatingConfig, AlternatingHash
from cscelab.methods.base import HashOutput, in_evaluation
from cscelab.model.parts import PartNetwork, PartNetworkConfig


@dataclass(frozen=True)
class ExchNetConfig(AlternatingConfig):
    """n_parts: M; exchange_from: after which share of the outer iterations parts are exchanged, 1 for never;
    exchange_probability: of each part; spatial_weight, channel_weight: lambda, gamma; channel_margin: of L_cp;
    pair_scale: the pair loss is multiplied by it and divided by K; attention, refiner_start: of the network, see
    `PartNetworkConfig`; feature_norm: "batch" or "none"; the rest as in `AlternatingConfig`."""

    name: ClassVar[str] = "exchnet"
    title: ClassVar[str] = "ExchNet"
    paper: ClassVar[str] = "Cui et al., ECCV 2020"

    passes: int = 20
    n_parts: int = 4
    exchange_from: float = 0.5
    exchange_probability: float = 0.5
    spatial_weight: float = 1.0
    channel_weight: float = 1.0
    channel_margin: float = 0.4
    pair_scale: float = 12.0
    attention: str = "narrowing"
    refiner_start: str = "trunk"
    feature_norm: str = "batch"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("exchange_from", "exchange_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a share from 0 to 1")
        for name in ("spatial_weight", "channel_weight", "channel_margin"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 or more")
        if self.pair_scale <= 0:
            raise ValueError(f"pair_scale is {self.pair_scale}; give more than 0, so that the pairs teach")
        self.network_config()  # refuses what the network would, before any data are drawn

    def network_config(self) -> PartNetworkConfig:
        """Of the network. Raises ValueError for n_parts below 1 and names that it does not know."""
        return PartNetworkConfig(
            self.backbone,
            self.image_size,
            structure="baseline",
            feature_norm=self.feature_norm,
            threshold_layer=False,
            n_parts=self.n_parts,
            attention=self.attention,
            refiner_start=self.refiner_start,
        )

    def build(self, n_classes: int, bits: int) -> ExchNet:
        return ExchNet(self, n_classes, bits)


def drawn_classes(labels: Tensor, n_parts: int, generator: torch.Generator | None = None) -> Tensor:
    """Whose anchor each part would take, int64 (B, M): the image's class, or one of its classes drawn for each part."""
    if labels.ndim == 1:
        return labels[:, None].expand(-1, n_parts)
    return torch.multinomial(labels.float(), n_parts, replacement=True, generator=generator)


def exchange(
    local: Tensor,
    anchors: Tensor,
    classes: Tensor,
    probability: float = 0.5,
    generator: torch.Generator | None = None,
) -> Tensor:
    """f^j with each part replaced, by chance, by the anchor of its class: (B, M, d) (Sec. 3.3).

    local (B, M, d); anchors c_y^j (C, M, d), constants; classes (B, M), see `drawn_classes`.
    """
    chosen = torch.rand(local.shape[:2], generator=generator, device=local.device) < probability
    parts = torch.arange(local.shape[1], device=local.device)
    return torch.where(chosen.unsqueeze(2), anchors[classes, parts].to(local), local)


class ExchNet(AlternatingHash):
    config: ExchNetConfig
    network: PartNetwork
    anchors: Tensor

    def __init__(self, config: ExchNetConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.network = PartNetwork(config.network_config(), bits)
        shape = (n_classes, config.n_parts, self.network.n_features)
        self.register_buffer("anchors", torch.zeros(shape), persistent=False)
        self.exchanging = False
        self._train: ImageSet | None = None  # until the last outer iteration is over

    def start_training(self, train: ImageSet, generator: torch.Generator) -> None:
        """Raises ValueError where an image has no label, and so no anchor to be exchanged for."""
        bare = 0 if train.labels.ndim == 1 else int((~train.labels.any(axis=1)).sum())
        if bare and self.config.exchange_from < 1:
            raise ValueError(
                f"{bare} of {len(train)} training images have no label, but ExchNet exchanges parts with an image's "
                "class; leave these images out, or give exchange_from=1 for no exchange"
            )
        super().start_training(train, generator)
        self._train = train

    def start_epoch(self, epoch: int, n_epochs: int) -> None:
        super().start_epoch(epoch, n_epochs)
        self.exchanging = self.exchanges_in(epoch, n_epochs)

    def exchanges_in(self, epoch: int, n_epochs: int) -> bool:
        return epoch >= max(1, self.config.exchange_from * n_epochs)  # the first iteration has no anchors yet

    def end_epoch(self, epoch: int, n_epochs: int) -> dict[str, float]:
        numbers = super().end_epoch(epoch, n_epochs)
        if self.exchanges_in(epoch + 1, n_epochs) and epoch + 1 < n_epochs:  # nobody would use earlier ones
            if self._train is None:
                raise ValueError("there are no images to take anchors from; call start_training with them first")
            self.anchors = class_anchors(self, self._train)
        if epoch + 1 >= n_epochs:
            self._train = None
        return numbers

    def forward(self, images: Tensor) -> HashOutput:
        parts = self.network.look(self.network.backbone(images))
        output = self.network.hashed(parts.joined())
        return HashOutput(output.values, sign(output.values), None, output.features, parts)

    def exchanged_values(self, features: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Values (B, K) with parts exchanged by chance. features (B, (M + 1) d): what the hash layer would see.

        Only there are parts exchanged, so that the norm's statistics are those of images as they are.
        """
        seen = features.unflatten(1, (self.config.n_parts + 1, -1))
        local, whole = seen[:, :-1], seen[:, -1:]
        classes = drawn_classes(labels, self.config.n_parts, generator)
        anchors = self.network.normed_parts(self.anchors)
        exchanged = exchange(local, anchors, classes, self.config.exchange_probability, generator)
        return self.network.hash_layer(torch.cat([exchanged, whole], dim=1).flatten(1))

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Raises ValueError where ids are missing or not of the images that training was started with."""
        config, parts = self.config, output.parts
        assert parts is not None
        values = output.values
        if self.training and self.exchanging:
            assert output.features is not None
            values = self.exchanged_values(output.features, labels, generator)
        return {
            "pairs": config.pair_scale / self.bits * self.asymmetric_loss(values, labels, ids),
            "spatial": config.spatial_weight * spatial_loss(parts.responses),
            "channel": config.channel_weight * channel_loss(parts.local, config.channel_margin),
        }

    @torch.no_grad()
    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Size of values, how far attention maps overlap, the share of maps that are zero everywhere."""
        output = self(images)
        assert output.parts is not None
        attention = output.parts.attention
        numbers = {"value_size": float(output.values.abs().mean())}
        if self.config.n_parts > 1:
            numbers["overlap"] = float(map_overlap(attention).mean())
        return numbers | {"dead_maps": float((attention.flatten(2).sum(dim=2) == 0).float().mean())}


@torch.no_grad()
def class_anchors(method: ExchNet, images: ImageSet) -> Tensor:
    """c_y^j (C, M, d): the mean of f^j over each class's images as they are, without augmentation; 0 without any."""
    device = method.anchors.device
    sums, counts = torch.zeros_like(method.anchors), torch.zeros(method.n_classes, device=device)
    with in_evaluation(method):
        for batch in encoding_loader(images):
            parts = method(batch.images.to(device)).parts
            assert parts is not None
            labels = batch.labels.to(device)
            members = (one_hot(labels, method.n_classes) if labels.ndim == 1 else labels).to(sums)  # (B, C)
            sums += torch.einsum("bc,bmd->cmd", members, parts.local.to(sums))
            counts += members.sum(dim=0)
    return sums / counts.clamp_min(1)[:, None, None]

"""Deep Ordinal Hashing's network (reconstruction of Jin et al., arXiv 1805.02459): a local and a global view.

Only the abstract is at hand. It names a fully convolutional network for the local view, a spatial attention model that
picks places closely related to target objects, and a CNN for the global view, learned together. The layers are ours,
and so is that both views read one trunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cscelab.model.network import HashNetwork, NetworkConfig
from cscelab.model.stages import Stages

VIEWS = ("both", "local", "global")
ATTENTIONS = ("spatial", "none")


class LocalView(NamedTuple):
    """What the local view sees."""

    features: Tensor  # f (B, d)-vectors of places, (B, d, h, w)
    place_scores: Tensor  # class scores of each place (B, C, h, w)
    attention: Tensor  # alpha (B, h, w), sums to 1 over an image's places
    attended: Tensor  # z_local (B, d)
    class_scores: Tensor  # of the image (B, C): the mean over places, as in a class activation map
    class_weights: Tensor | None  # p (B, C): how much each class counts; None where every place weighs the same
    evidence: Tensor | None  # m (B, h, w), of whose multiple the attention is the softmax; None likewise


class ViewFeatures(NamedTuple):
    """Both views; None for one that the network does not have."""

    local: LocalView | None
    whole: Tensor | None  # z_global (B, d)
    whole_scores: Tensor | None  # class scores of the global view (B, C)

    def joined(self) -> Tensor:
        """[z_local, z_global] (B, d or 2 d): W_l z_local + W_g z_global is one layer of these."""
        local = None if self.local is None else self.local.attended
        return torch.cat([part for part in (local, self.whole) if part is not None], dim=1)


@dataclass(frozen=True)
class TwoViewConfig(NetworkConfig):
    """n_classes: C; views: "both", "local" or "global"; attention: of the local view, "spatial" or "none" (every place
    weighs the same); attention_scale: the class evidence of a place is multiplied by it before the softmax."""

    n_classes: int = 2
    views: str = "both"
    attention: str = "spatial"
    attention_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in {"views": VIEWS, "attention": ATTENTIONS}.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; choose from {choices}")
        if self.attention_scale <= 0:
            raise ValueError(f"attention_scale is {self.attention_scale}; give more than 0")


def evidence(place_scores: Tensor, class_weights: Tensor) -> Tensor:
    """m = sum_c p_c * (class score of c at the place), (B, h, w). place_scores (B, C, h, w); class_weights p (B, C)."""
    return torch.einsum("bchw,bc->bhw", place_scores, class_weights)


def spatial_softmax(scores: Tensor, scale: float = 1.0) -> Tensor:
    """alpha: softmax over an image's places, (B, h, w), in float32 at least."""
    places = scores.flatten(1).to(torch.promote_types(scores.dtype, torch.float32))
    return (scale * places).softmax(dim=1).view(scores.shape)


class LocalNetwork(nn.Module):
    """Stage 4 -> LocalView: two 3x3 convolutions, a class score at each place, attention by the classes' evidence."""

    multilabel: Tensor

    def __init__(self, channels: int, n_classes: int, attention: str, scale: float):
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.classify = nn.Conv2d(channels, n_classes, 1)
        self.attends, self.scale = attention == "spatial", scale
        self.register_buffer("multilabel", torch.tensor(False))  # whether labels are multi-hot: training tells

    def forward(self, stage4: Tensor) -> LocalView:
        """stage4 (B, d, h, w) -> LocalView."""
        features = self.convolutions(stage4)
        place_scores = self.classify(features)
        pooled = place_scores.mean(dim=(2, 3))
        weights = found = None
        if self.attends:
            weights = torch.where(self.multilabel, pooled.sigmoid(), pooled.softmax(dim=1))
            found = evidence(place_scores, weights)
            attention = spatial_softmax(found, self.scale)
        else:
            attention = spatial_softmax(torch.zeros_like(place_scores[:, 0]))
        attended = torch.einsum("bdhw,bhw->bd", features, attention.to(features))
        return LocalView(features, place_scores, attention, attended, pooled, weights, found)


class TwoViewNetwork(HashNetwork):
    """Trunk, the local and the global view on its stage 4, one hash layer on both."""

    config: TwoViewConfig

    def build_fusion(self, shape3: torch.Size | None, shape4: torch.Size) -> int:
        config, width = self.config, shape4[1]
        self.local_view: LocalNetwork | None = None
        self.global_view: nn.Module | None = None
        self.classify_global: nn.Module | None = None
        if config.views != "global":
            self.local_view = LocalNetwork(width, config.n_classes, config.attention, config.attention_scale)
        if config.views != "local":
            self.global_view = nn.Sequential(nn.Linear(width, width), nn.ReLU())
            self.classify_global = nn.Linear(width, config.n_classes)
        return width * (2 if config.views == "both" else 1)

    def look(self, stages: Stages) -> ViewFeatures:
        """Stage maps -> both views."""
        local = None if self.local_view is None else self.local_view(stages.stage4)
        whole = None if self.global_view is None else self.global_view(stages.pooled())
        scores = None if self.classify_global is None else self.classify_global(whole)
        return ViewFeatures(local, whole, scores)

    def fuse(self, stages: Stages) -> Tensor:
        """Stage maps -> [z_local, z_global]."""
        return self.look(stages).joined()

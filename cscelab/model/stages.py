"""What a trunk is: normalised images in, the maps of its two last scales out (left of Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Per-channel mean and deviation of ImageNet in [0, 1], the field's input normalisation.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Stages(NamedTuple):
    """Feature maps of the two last stages; a vision transformer has one scale and a class token."""

    stage3: Tensor | None  # (B, c3, 2h, 2w); None where the trunk has one scale
    stage4: Tensor  # (B, c4, h, w)
    class_token: Tensor | None = None  # (B, c4)

    def pooled(self) -> Tensor:
        """One vector an image (B, c4): the class token where there is one, else the mean over stage 4.

        The class token because pretraining classifies by it and trains no other output of the last layer (Dosovitskiy
        et al., ICLR 2021, Eq. 4).
        """
        return self.stage4.mean(dim=(2, 3)) if self.class_token is None else self.class_token


class PartFeatures(NamedTuple):
    """What ExchNet's network (`parts`) sees of M parts and of the whole."""

    attention: Tensor  # A (B, M, h, w), at least 0: where each part is, on stage 3
    responses: Tensor  # (B, M, h', w'), channel mean of the refined F^j: the logits of a^j
    local: Tensor  # f^j (B, M, d)
    whole: Tensor  # f^g (B, d)

    def joined(self, local: Tensor | None = None) -> Tensor:
        """x = [f^1 .. f^M, f^g] (B, (M + 1) d); local: other part features in the place of f^j.

        Before the norm: in training ExchNet exchanges behind it, which gives the same values in evaluation mode only.
        """
        local = self.local if local is None else local
        return torch.cat([local.flatten(1), self.whole], dim=1)


class Backbone(nn.Module):
    """Normalises uint8 or [0, 1] images and returns the maps of the last stages.

    stem (images -> stage-2 map), stage3 and stage4 are given; channels are read off by `trace_shapes`.
    original_names: prefix of a tensor's name in the library the architecture comes from -> its prefix here.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        stem: nn.Module,
        stage3: nn.Module | None,
        stage4: nn.Module,
        original_names: Mapping[str, str] | None = None,
    ):
        super().__init__()
        self.stem, self.stage3, self.stage4 = stem, stage3, stage4
        self.original_names = dict(original_names or {})
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Stages:
        """images (B, 3, H, W), uint8 in 0..255 or float in [0, 1] -> Stages."""
        if images.dtype == torch.uint8:
            images = images.float() / 255
        return self.stages((images - self.mean) / self.std)

    def stages(self, images: Tensor) -> Stages:
        """Normalised images -> Stages."""
        assert self.stage3 is not None
        stage3 = self.stage3(self.stem(images))
        return Stages(stage3, self.stage4(stage3))

    @torch.no_grad()
    def trace_shapes(self, image_size: int) -> tuple[torch.Size | None, torch.Size]:
        """Shapes (1, c3, h3, w3) and (1, c4, h4, w4) for square images of this side, by a dry run.

        The first is None where the trunk has one scale. Raises ValueError where the trunk cannot take such images.
        """
        training = self.training
        self.eval()
        try:
            stages = self(torch.zeros(1, 3, image_size, image_size, device=self.mean.device))
        except (RuntimeError, AssertionError) as error:  # timm asserts
            why = str(error).splitlines()[0]
            raise ValueError(
                f"images of {image_size} px do not pass this backbone ({why}); if they are too small, use larger ones"
            ) from error
        finally:
            self.train(training)
        return None if stages.stage3 is None else stages.stage3.shape, stages.stage4.shape

"""A bank: one row for every training image, found by the image's id, so that no order of the data can mix rows up."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cscelab.datasets.base import ImageSet


class CodeBank(nn.Module):
    """rows: (N, K), one for each training image; labels: theirs, (N,) or (N, C); ids: theirs, ascending, (N,).

    `start` makes it for a training split. Buffers are no part of a method's weights, but of the checkpoint that a
    training goes on from; learned=True puts rows and ids into the weights too, for codes that are a result.
    """

    ids: Tensor
    labels: Tensor
    rows: Tensor

    def __init__(self, bits: int, learned: bool = False):
        super().__init__()
        self.bits = bits
        self.register_buffer("ids", torch.zeros(0, dtype=torch.int64), persistent=learned)
        self.register_buffer("rows", torch.zeros(0, bits), persistent=learned)
        self.register_buffer("labels", torch.zeros(0), persistent=False)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("ids", "rows"):  # a stored bank has a row for each of its images, a fresh one none
            if (stored := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.empty_like(stored, device=self.ids.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def start(self, train: ImageSet, rows: Tensor | None = None) -> None:
        """Empties the bank for these images: rows (N, K) in their order, zeros where none are given."""
        order = train.ids.argsort()
        place = torch.from_numpy(order).to(self.ids.device)
        self.ids = torch.from_numpy(train.ids[order]).to(self.ids.device)
        self.labels = torch.from_numpy(train.labels[order]).to(self.ids.device)
        blank = torch.zeros(len(train), self.bits, device=self.ids.device)
        self.rows = blank if rows is None else rows.to(blank)[place]

    def places(self, ids: Tensor | None) -> Tensor:
        """Row numbers (B,) of images. Raises ValueError for images that the bank was not started with."""
        if ids is None:
            raise ValueError("the images' ids are missing; give losses(..., ids=) so that the bank knows the images")
        found, known = self.find(ids)
        if not known.all():
            raise ValueError("the bank has no rows for some of these images; call start_training with them first")
        return found

    def find(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Row numbers (B,) of images, and bool (B,), whether they have one; where not, the number means nothing."""
        if not len(self.ids):
            return torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
        found = torch.searchsorted(self.ids, ids).clamp(max=len(self.ids) - 1)
        return found, self.ids[found] == ids

    def write(self, ids: Tensor | None, values: Tensor) -> None:
        """Sets the rows of these images; no gradient flows."""
        self.rows[self.places(ids)] = values.detach().to(self.rows)

    def read(self, ids: Tensor | None) -> Tensor:
        """The rows of these images, (B, K)."""
        return self.rows[self.places(ids)]

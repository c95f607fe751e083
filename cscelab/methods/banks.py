"""A bank: one row for every training image, found by the image's id, so that no order of the data can mix rows up."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cscelab.datasets.base import ImageSet


class CodeBank(nn.Module):
    """rows: (N, K), one for each training image; labels: theirs, (N,) or (N, C); ids: theirs, ascending, (N,).

    `start` makes it for a training split. Buffers are not persistent: no part of a method's weights, but of the
    checkpoint that a training goes on from.
    """

    ids: Tensor
    labels: Tensor
    rows: Tensor

    def __init__(self, bits: int):
        super().__init__()
        self.bits = bits
        for name in ("ids", "labels", "rows"):
            self.register_buffer(name, torch.zeros(0), persistent=False)

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
        found = torch.searchsorted(self.ids, ids).clamp(max=max(0, len(self.ids) - 1))
        if not len(self.ids) or not torch.equal(self.ids[found], ids):
            raise ValueError("the bank has no rows for some of these images; call start_training with them first")
        return found

    def write(self, ids: Tensor | None, values: Tensor) -> None:
        """Sets the rows of these images; no gradient flows."""
        self.rows[self.places(ids)] = values.detach().to(self.rows)

    def read(self, ids: Tensor | None) -> Tensor:
        """The rows of these images, (B, K)."""
        return self.rows[self.places(ids)]

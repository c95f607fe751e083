"""The histograms of `tally` on a GPU: distances and shared labels by matrix products."""

from __future__ import annotations

import numpy as np
import torch

from cscelab.codes import unpack
from cscelab.retrieval.sides import Piece, Queries

_CELLS = 2**22  # queries x items compared at once


class DeviceCounter:
    """Counts pieces of a database on `device`, where the queries stay.

    Products of -1 and +1 are summed in float32, which is exact to 2^24 bits, also where it multiplies in TF32.
    """

    def __init__(self, queries: Queries, n_grades: int, device: torch.device) -> None:
        self.bits, self.n_grades, self.device = queries.bits, n_grades, device
        self.codes = unpack(self._there(queries.packed), queries.bits).float()
        self.labels = self._there(queries.labels)
        self.ids = None if queries.ids is None else self._there(queries.ids)
        width = (n_grades + 1) * (queries.bits + 1)
        self.counts = torch.zeros(len(queries), width, dtype=torch.int64, device=device)

    def add(self, piece: Piece) -> None:
        codes, labels = unpack(self._there(piece.packed), self.bits).float(), self._there(piece.labels)
        ids = None if piece.ids is None else self._there(piece.ids)
        step = max(1, _CELLS // max(1, len(codes)))
        for start in range(0, len(self.codes), step):
            rows = slice(start, start + step)
            with torch.autocast(self.device.type, enabled=False):
                distance = ((self.bits - self.codes[rows] @ codes.T) / 2).round().long()
                if labels.ndim == 1:
                    grade = (self.labels[rows, None] == labels[None]).long()
                else:
                    grade = (self.labels[rows].float() @ labels.float().T).round().long().clamp_(max=self.n_grades)
            key = grade * (self.bits + 1) + distance
            weight = torch.ones_like(key)
            if self.ids is not None and ids is not None:
                weight[self.ids[rows, None] == ids[None]] = 0
            self.counts[rows].scatter_add_(1, key, weight)

    def totals(self) -> tuple[np.ndarray, np.ndarray]:
        """items (Q, K+1) and graded (G, Q, K+1), int64, as `counting.count` fills them."""
        by_grade = self.counts.view(len(self.codes), self.n_grades + 1, self.bits + 1).cpu().numpy()
        return by_grade.sum(axis=1), by_grade[:, 1:].transpose(1, 0, 2)

    def _there(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.require(array, requirements=("C", "W"))).to(self.device)

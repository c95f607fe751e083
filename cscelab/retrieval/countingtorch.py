"""The histograms of `tally` on an accelerator: distances and shared labels by matrix products, where the codes are."""

from __future__ import annotations

import torch

from cscelab.codes import as_signs, unpack
from cscelab.retrieval import inputs
from cscelab.retrieval.ranking import Histograms
from cscelab.retrieval.sides import Database, Queries

_CELLS = 2**22  # queries x items compared at once


def tally(queries: Queries, database: Database, n_grades: int, graded: bool, device: torch.device) -> Histograms:
    """As `cscelab.retrieval.tally.tally`, on `device`.

    Products of -1 and +1 are summed in float32, which is exact to 2^24 bits, also where it multiplies in TF32.
    """
    codes = unpack(torch.from_numpy(queries.packed).to(device), queries.bits).float()
    labels = torch.from_numpy(queries.labels).to(device)
    ids = None if queries.ids is None else torch.from_numpy(queries.ids).to(device)
    width = queries.bits + 1
    counts = torch.zeros(len(queries), (n_grades + 1) * width, dtype=torch.int64, device=device)
    for their_codes, packed, their_labels, their_ids in database.slices(queries):
        theirs = torch.as_tensor(their_codes, device=device)
        theirs = (unpack(theirs, queries.bits) if packed else as_signs(theirs)).float()
        if not isinstance(their_labels, torch.Tensor) or their_labels.device.type == "cpu":
            their_labels = torch.from_numpy(inputs.checked_labels("database", their_labels, len(theirs)))
        shown = their_labels.to(device)
        step = max(1, _CELLS // max(1, len(theirs)))
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            with torch.autocast(device.type, enabled=False):
                distance = ((queries.bits - codes[rows] @ theirs.T) / 2).round().long()
                if labels.ndim == 1:
                    grade = (labels[rows, None] == shown[None]).long()
                else:
                    grade = (labels[rows].float() @ shown.float().T).round().long().clamp_(max=n_grades)
            key = grade * width + distance
            weight = torch.ones_like(key)
            if ids is not None and their_ids is not None:
                weight[ids[rows, None] == torch.from_numpy(their_ids).to(device)[None]] = 0
            counts[rows].scatter_add_(1, key, weight)
    by_grade = counts.view(len(queries), n_grades + 1, width).cpu().numpy()
    shared = by_grade[:, 1:].copy()
    return Histograms(by_grade.sum(axis=1), shared.sum(axis=1), shared if graded else None)

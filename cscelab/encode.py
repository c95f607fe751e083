"""Encoding: images to continuous and binary codes, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from tqdm.auto import tqdm

from cscelab.codes import pack
from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import encoding_loader
from cscelab.layout import CodeLayout
from cscelab.methods.base import HashMethod, in_evaluation


@dataclass(frozen=True)
class Encoded:
    """Codes of a set of images: codes uint8, packed (N, ceil(K/8)); values float32 (N, K); thresholds (N,) or None.

    K is the layout's width.
    """

    codes: np.ndarray
    values: np.ndarray
    thresholds: np.ndarray | None
    labels: np.ndarray
    ids: np.ndarray
    layout: CodeLayout


def best_device() -> torch.device:
    """The accelerator of this machine, or its CPU: where Lightning's "auto" trains."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def with_learned(method: HashMethod, database: Encoded) -> Encoded | None:
    """The database by the codes that training learned for its images, those of the network where it learned none.

    Learned codes are their own values. None where the method learned no code of any of them.
    """
    learned = method.learned_codes(torch.from_numpy(database.ids).to(next(method.parameters()).device))
    if learned is None or not learned[1].any():
        return None
    rows = learned[1].cpu().numpy()
    codes, values = database.codes.copy(), database.values.copy()
    codes[rows] = pack(learned[0]).cpu().numpy()[rows]
    values[rows] = learned[0].float().cpu().numpy()[rows]
    return replace(database, codes=codes, values=values, thresholds=None)


@torch.inference_mode()
def encode(method: HashMethod, images: ImageSet, batch_size: int = 128, progress: bool = False) -> Encoded:
    """Codes of every image, on the device the method is on; the method's training mode is kept.

    Raises ValueError where the method gives values that are not finite.
    """
    device = next(method.parameters()).device
    codes, values, thresholds = [], [], []
    with in_evaluation(method):
        for batch in tqdm(encoding_loader(images, batch_size), "encoding", disable=not progress, leave=False):
            output = method(batch.images.to(device))
            codes.append(pack(output.codes).cpu())
            values.append(output.values.float().cpu())
            if output.threshold is not None:
                thresholds.append(output.threshold.float().squeeze(1).cpu())
    all_values = torch.cat(values).numpy()
    if not np.isfinite(all_values).all():
        raise ValueError(
            "the model gives codes that are not finite numbers; it was not trained to the end: train it again"
        )
    return Encoded(
        torch.cat(codes).numpy(),
        all_values,
        torch.cat(thresholds).numpy() if thresholds else None,
        np.asarray(images.labels),
        np.asarray(images.ids),
        method.layout,
    )

"""An encoder of an index, loaded: a stored run or the shipped one, on the device that is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cscelab.compare import find_stored
from cscelab.datasets.base import ImageSet
from cscelab.encode import best_device, encode
from cscelab.photoindex.encoder import BATCH
from cscelab.shipped import load_encoder

if TYPE_CHECKING:
    from cscelab.photoindex.encoder import Encoder


class HashModel:
    """See `encoder.Model`. Raises ValueError where the encoder cannot be loaded."""

    def __init__(self, encoder: Encoder):
        if encoder.run:
            run = find_stored(encoder.name)
            method, experiment = run.model(), run.experiment
        else:
            method, experiment = load_encoder()
        self.method = method.to(best_device())
        self.size = method.config.image_size
        self.resize = getattr(experiment.data, "resize", None) or self.size
        self.width, self.arity = method.layout.width, method.layout.arity

    def codes(self, pixels: Sequence[np.ndarray]) -> list[bytes]:
        """Images uint8 (size, size, 3), at most BATCH, to packed codes. Raises ValueError for values that are no
        numbers."""
        full = np.stack([pixels[min(row, len(pixels) - 1)] for row in range(BATCH)])
        rows = np.arange(BATCH)
        encoded = encode(self.method, ImageSet(full, rows, rows), BATCH)
        return [code.tobytes() for code in encoded.codes[: len(pixels)]]

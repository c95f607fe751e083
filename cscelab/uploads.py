"""An image of one's own, as a browser uploads it: prepared as data sets are, or refused in one sentence."""

from __future__ import annotations

import numpy as np

from cscelab.datasets.decoding import FORMATS, UnreadableImageError, decode

REMEDIES = {  # by what is wrong
    "empty": "choose an image file",
    "no image": f"choose a file of one of these: {', '.join(FORMATS[:-1])}",
    "too large": "make it smaller and choose it again",
    "too narrow": "crop it nearer to a square",
    "floating point": "save it with 8 bits and choose it again",
}


def read_upload(name: str, content: bytes, size: int, resize: int | None = None) -> np.ndarray:
    """An image file's bytes -> uint8 (size, size, 3), as `datasets.decoding.decode` has it.

    name: as error messages call it; size, resize: image_size and resize of the data set. Raises ValueError in one
    sentence for whatever gives no pixels; sizes are read from the file's head, before anything is decoded.
    """
    try:
        return decode(content, size, size if resize is None else resize)
    except UnreadableImageError as error:
        raise ValueError(f"{name} {error}; {REMEDIES.get(error.kind, 'choose another image')}") from error

"""An image of one's own, as a browser uploads it: prepared as data sets are, or refused in one sentence."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cscelab.datasets.imagecache import decode

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # not those that run other programs, as EPS does
MOST_PIXELS = 50_000_000  # 150 MB once decoded


def read_upload(name: str, content: bytes, size: int, resize: int | None = None) -> np.ndarray:
    """An image file's bytes -> uint8 (size, size, 3), by the steps of `imagecache.decode`; of several frames the first.
    What is transparent becomes white, as it looks on a page.

    name: as error messages call it; size, resize: image_size and resize of the data set. Raises ValueError in one
    sentence for an empty file, one that is no image, a damaged one, and one of more than 50 megapixels or so long and
    narrow that preparing it would make as many; the sizes are read from its head, before anything is decoded.
    """
    if not content:
        raise ValueError(f"{name} is empty; choose an image file")
    resize = size if resize is None else resize
    width, height = _pixels(name, content)
    scaled = resize / min(width, height)
    if width * scaled * height * scaled > MOST_PIXELS:
        raise ValueError(f"{name} is {width} x {height} pixels, too long and narrow; crop it nearer to a square")
    try:
        return decode(_on_white(content), size, resize)
    except Exception as error:  # a damaged file makes decoders raise all sorts
        why = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{name} is damaged and cannot be decoded ({why}); choose another image") from error


def _on_white(content: bytes) -> bytes:
    """The file's bytes, or those of the same picture on white where parts of it may be transparent."""
    with Image.open(io.BytesIO(content)) as image:
        if not image.has_transparency_data or image.mode.startswith(("I", "F")):  # those have no RGBA
            return content
        picture = ImageOps.exif_transpose(image).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    flat = Image.alpha_composite(white, picture).convert("RGB")
    buffer = io.BytesIO()
    flat.save(buffer, "ppm")  # nothing to compress: it is read at once
    return buffer.getvalue()


def _pixels(name: str, content: bytes) -> tuple[int, int]:
    """(width, height) from the file's head. Raises ValueError where it is no image or too large a one."""
    most = f"more than {MOST_PIXELS // 10**6} megapixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} has {most}; make it smaller and choose it again") from error
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS[:-1])
        raise ValueError(f"{name} is no image of a known kind; choose a file of one of these: {kinds}") from error
    except Exception as error:
        raise ValueError(f"{name} is damaged and cannot be read; choose another image") from error
    if width * height > MOST_PIXELS:
        raise ValueError(f"{name} is {width} x {height} pixels, {most}; make it smaller and choose it again")
    return width, height

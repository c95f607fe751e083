"""One image file to one square: whatever a camera, a scanner or the web wrote, as upright RGB, or refused with why.

Converted: EXIF orientation, grey, palette, CMYK, 16 and 32 bits of grey, transparency (onto white, as a page shows it),
the first frame of an animation, one picture of several. Refused with `UnreadableImageError`, which says why: an empty
file, no image, a damaged or cut-off one, floating-point pixels, and one that would not fit into memory.
"""

from __future__ import annotations

import io
import threading
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

DECODING = 2  # raised whenever the same file would give other pixels, so that old caches are left alone
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # not those that run other programs, as EPS does
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
MOST_PIXELS = 50_000_000  # decoded at once: 150 MB. A larger JPEG is decoded at a half, a quarter or an eighth
REDUCED = 2  # and any JPEG, where that is still so many times as large as what is wanted: twice as quick

_opening = threading.Lock()  # Python's filters of warnings are one for all threads


class UnreadableImageError(ValueError):
    """An image file that gives no pixels. kind: "empty", "no image", "damaged", "too large", "too narrow" or "floating
    point", as
    reports count them; the message goes on after the file's name: "is empty"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def decode(data: bytes, image_size: int, resize: int) -> np.ndarray:
    """An image file's bytes -> uint8 (image_size, image_size, 3).

    Its shorter side is resized to `resize` pixels (bicubic with antialiasing, up or down), its centre cropped.
    resize=256, image_size=224 is CSCE-Net's Sec. 4.2 but for keeping the proportions: the paper resizes to 256 x 256.
    Raises UnreadableImageError.
    """
    image = read_rgb(data, resize)
    shorter = min(image.size)
    width, height = (max(resize, round(side * resize / shorter)) for side in image.size)
    if width * height > MOST_PIXELS:
        raise UnreadableImageError("too narrow", f"is {image.width} x {image.height} pixels, too long and narrow")
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - image_size) // 2, (height - image_size) // 2
    return np.asarray(image.crop((left, top, left + image_size, top + image_size)))


def read_rgb(data: bytes, wanted: int | None = None) -> Image.Image:
    """The picture upright in RGB; wanted: pixels of its shorter side that are enough, where a JPEG may be decoded
    smaller. Raises UnreadableImageError; sizes are read from the head, before anything is decoded."""
    if not data:
        raise UnreadableImageError("empty", "is empty")
    try:
        image = _open(data)
    except UnidentifiedImageError as error:
        raise UnreadableImageError("no image", "is no image of a known kind") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError("too large", f"has more than {MOST_PIXELS // 10**6} megapixels") from error
    except Exception as error:  # a damaged file makes decoders raise all sorts
        raise UnreadableImageError("damaged", f"is damaged and cannot be decoded ({_why(error)})") from error
    with image:
        width, height = image.size
        if wanted is not None and image.format in ("JPEG", "MPO"):
            enough = REDUCED * wanted / min(image.size)
            image.draft(None, (round(width * enough), round(height * enough)))
        if image.width * image.height > MOST_PIXELS:
            raise UnreadableImageError(
                "too large", f"is {width} x {height} pixels, more than {MOST_PIXELS // 10**6} megapixels"
            )
        try:
            return _to_rgb(_upright(image))
        except UnreadableImageError:
            raise
        except Exception as error:
            raise UnreadableImageError("damaged", f"is damaged and cannot be decoded ({_why(error)})") from error


def _open(data: bytes) -> Image.Image:
    """Reads the head alone. Pillow warns at 89 megapixels and refuses at 179; below that our own limit decides."""
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(data), formats=FORMATS)


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # first: what is wrong with the pixels is not to be taken for what is wrong with the EXIF
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be read says nothing about the pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnreadableImageError("floating point", "has floating-point pixels, which have no agreed white")
    if image.mode.startswith("I"):  # Pillow would cut greys of more than 8 bits off at 255
        return Image.fromarray(_eight_bits(np.asarray(image), image.mode != "I")).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return image.convert("RGB")


def _eight_bits(greys: np.ndarray, sixteen: bool) -> np.ndarray:
    """The upper eight bits of 16; of 32 those of as many as the brightest pixel needs: 8, 16 or all."""
    greys = greys.astype(np.int64)
    if greys.min() < 0:
        raise UnreadableImageError("damaged", f"has pixels below zero ({greys.min()})")
    used = 16 if sixteen else next(bits for bits in (8, 16, 32) if greys.max() < 1 << bits)
    return (greys >> (used - 8)).astype(np.uint8)


def _why(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

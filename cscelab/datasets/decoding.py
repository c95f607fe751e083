"""One image file to one square: whatever a camera, a scanner or the web wrote, as upright RGB, or refused with why.

Converted: EXIF orientation, grey, palette, CMYK, 16 and 32 bits of grey, transparency (onto white, as a page shows it),
the first frame of an animation, one picture of several. Refused with `UnreadableImageError`, which says why: an empty
file, no image, a damaged or cut-off one, floating-point pixels, one that would not fit into memory, and one so narrow
that a square shows nothing of it.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageChops, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from cscelab.paths import why

DECODING = 3  # raised whenever the same file would give other pixels, so that old caches are left alone
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # not those that run other programs, as EPS does
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
MOST_PIXELS = 50_000_000  # decoded at once: 150 MB. A larger JPEG is decoded at a half, a quarter or an eighth
REDUCED = 2  # and any JPEG, where that is still so many times as large as what is wanted: twice as quick
NARROWEST = 1000  # times as long as wide
ORIENTATION = 0x0112  # in EXIF
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_filters = threading.Lock()  # Python's filters of warnings are one for all threads


class UnreadableImageError(ValueError):
    """An image file that gives no pixels. The message goes on after the file's name: "is empty".

    kind: "empty", "no image", "damaged", "too large", "too narrow" or "floating point", as reports count them.
    """

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
    box = []  # what the centre comes from: nothing else is resized
    for side in image.size:
        resized = max(resize, round(side * resize / min(image.size)))
        start = (resized - image_size) // 2
        box.append((start * side / resized, (start + image_size) * side / resized))
    (left, right), (top, bottom) = box
    square = image.resize((image_size, image_size), Image.Resampling.BICUBIC, (left, top, right, bottom))
    return np.asarray(square)


def read_rgb(data: bytes, wanted: int | None = None) -> Image.Image:
    """The picture upright in RGB; wanted: pixels of its shorter side that are enough, where a JPEG may be decoded
    smaller. Raises UnreadableImageError; sizes are read from the head, before anything is decoded."""
    if not data:
        raise UnreadableImageError("empty", "is empty")
    try:
        with _open(data) as image:
            _shrink(image, wanted)
            image.load()  # which may change the mode, and what is known besides
            rgb = _to_rgb(image)
            turn = TURNS.get(_orientation(image))
            return rgb if turn is None else rgb.transpose(turn)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError("no image", "is no image of a known kind") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError("too large", f"has more than {MOST_PIXELS // 10**6} megapixels") from error
    except MemoryError as error:
        raise UnreadableImageError("too large", "does not fit into memory") from error
    except Exception as error:  # a damaged file makes decoders raise all sorts
        raise UnreadableImageError("damaged", f"is damaged and cannot be decoded ({why(error)})") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Pillow's warnings: of 89 megapixels, where our own limit decides, and of EXIF that makes no sense."""
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(data: bytes) -> Image.Image:
    """Reads the head alone. Pillow refuses 179 megapixels, which some telephones have, and a JPEG need not."""
    with _quietly():
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.DecompressionBombError:
            if not data.startswith(b"\xff\xd8\xff"):
                raise
            return JpegImageFile(io.BytesIO(data))


def _shrink(image: Image.Image, wanted: int | None) -> None:
    """Has a JPEG decoded smaller, and refuses what stays too large, or is too narrow."""
    width, height = image.size
    pixels = width * height
    if wanted is not None and isinstance(image, JpegImageFile):
        enough = REDUCED * wanted / min(width, height)
        image.draft(None, (round(width * enough), round(height * enough)))
        if not image.info.get("progressive"):  # all of which is held in memory, at whatever size it is decoded
            pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        raise UnreadableImageError(
            "too large", f"is {width} x {height} pixels, more than {MOST_PIXELS // 10**6} megapixels"
        )
    if max(width, height) > NARROWEST * min(width, height):
        raise UnreadableImageError("too narrow", f"is {width} x {height} pixels, too long and narrow")


def _orientation(image: Image.Image) -> int:
    """As EXIF has it, asked after the pixels are decoded: Pillow turns a TIFF itself, and a PNG's may come last."""
    try:
        with _quietly():
            return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # EXIF that cannot be read says nothing about the pixels
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnreadableImageError("floating point", "has floating-point pixels, which have no agreed white")
    if image.mode.startswith("I"):  # Pillow would cut greys of more than 8 bits off at 255
        sixteen = image.mode != "I" or image.format == "PPM"  # which Pillow scales to 16
        return Image.fromarray(_eight_bits(np.asarray(image), sixteen)).convert("RGB")
    if image.mode == "CMYK" and isinstance(image, JpegImageFile) and "adobe" not in image.info:
        return ImageChops.invert(image).convert("RGB")  # Pillow takes every JPEG for Adobe's, whose inks are inverted
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        page = Image.new("RGB", picture.size, "white")
        page.paste(picture, mask=picture.getchannel("A"))
        return page
    return image.convert("RGB")


def _eight_bits(greys: np.ndarray, sixteen: bool) -> np.ndarray:
    """The upper eight bits of 16; of 32 those of as many as the brightest pixel needs: 8, 16 or all."""
    greys = greys.astype(np.int64)
    if greys.min() < 0:
        raise UnreadableImageError("damaged", f"has pixels below zero ({greys.min()})")
    used = 16 if sixteen else next(bits for bits in (8, 16, 32) if greys.max() < 1 << bits)
    return (greys >> (used - 8)).astype(np.uint8)

"""A folder of what people really have: odd image files that convert, and broken ones that are refused, by kind.

Each maker is named after its kind and draws a file's bytes from a generator, so that no two files are the same.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

CONVERTED = "converted"
Maker = Callable[[np.random.Generator], bytes]


def write_bad_images(folder: Path, n: int = 100, seed: int = 0) -> dict[str, str]:
    """n files of len(KINDS) kinds in turn; returns name -> "converted", or the kind of UnreadableImageError it gives.

    Names are like 007_cut-off_png.png, and sorted as they are written. All are the same for the same n and seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    expected = {}
    for i in range(n):
        kind, (suffix, outcome, make) = list(KINDS.items())[i % len(KINDS)]
        name = f"{i:03}_{kind}.{suffix}"
        (folder / name).write_bytes(make(rng))
        expected[name] = outcome
    return expected


def photo(rng: np.random.Generator, mode: str = "RGB", width: int = 80, height: int = 60) -> Image.Image:
    """Smooth colours of random corners, in any mode that Pillow converts RGB to."""
    corners = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
    return corners.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file: length, name, content, CRC."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(pixels: np.ndarray, colour: int, *extra: bytes) -> bytes:
    """A PNG of unsigned integers (H, W, channels), 8 or 16 bits, as Pillow doesn't write; colour: 0 grey, 2 RGB,
    4 grey and alpha, 6 RGBA; extra: chunks before the pixels."""
    height, width = pixels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, pixels.itemsize * 8, colour, 0, 0, 0)
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(extra) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def with_exif(rng: np.random.Generator, exif: bytes) -> bytes:
    return encoded(photo(rng), "JPEG", exif=b"Exif\0\0" + exif)


def orientation(value: int) -> bytes:
    """An EXIF block of that one entry."""
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x0112, 3, 1, value, 0) + b"\0\0\0\0"


def cut_off(data: bytes, share: float = 0.6) -> bytes:
    return data[: int(len(data) * share)]


def _rotated(rng: np.random.Generator) -> bytes:
    return with_exif(rng, orientation(int(rng.integers(2, 9))))


def _frames(rng: np.random.Generator, form: str) -> bytes:
    first, *others = [photo(rng) for _ in range(3)]
    return encoded(first, form, save_all=True, append_images=others)


def _palette_transparent(rng: np.random.Generator) -> bytes:
    return encoded(photo(rng).quantize(16), "PNG", transparency=0)


def _narrow(rng: np.random.Generator) -> bytes:
    return png(rng.integers(0, 256, (1, 50, 1), dtype=np.uint8).repeat(8000, axis=1), 0)


def _noise(rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(100, 2000)))


def _text(rng: np.random.Generator) -> bytes:
    return f"<html><body>Error {rng.integers(400, 600)}: the photo is gone</body></html>".encode()


def _bad_pixels(rng: np.random.Generator) -> bytes:
    """A PNG whose compressed pixels start with a block of a type that there isn't."""
    data = bytearray(encoded(photo(rng), "PNG"))
    data[data.index(b"IDAT") + 6] = 0b111
    return bytes(data)


def _text_bomb(rng: np.random.Generator) -> bytes:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2 << 20)))
    return png(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8), 2, text)


def _png_bomb(rng: np.random.Generator) -> bytes:
    """64 megapixels, black, in eight kilobytes."""
    side = 8000 + 8 * int(rng.integers(100))
    rows = zlib.compress(bytes(side * (1 + side // 8)))
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _tiff_bomb(rng: np.random.Generator) -> bytes:
    """The head of 64 megapixels: width, height, bits, compression, ..., each as (tag, LONG, one, value)."""
    tags = {256: 8000, 257: 8000, 258: 1, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8000, 279: 8_000_000}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + rng.bytes(8)


def _gif_bomb(rng: np.random.Generator) -> bytes:
    data = bytearray(encoded(photo(rng, "P"), "GIF"))
    data[6:10] = struct.pack("<HH", 60000, 60000)  # the screen; the picture on it stays small
    return bytes(data)


def _jpeg_bomb(rng: np.random.Generator) -> bytes:
    data = bytearray(encoded(photo(rng), "JPEG"))
    head = data.index(b"\xff\xc0")  # the frame: marker, length, bits, height, width
    data[head + 5 : head + 9] = struct.pack(">HH", 65000, 65000)
    return bytes(data)


def _floats(rng: np.random.Generator) -> bytes:
    return encoded(Image.fromarray(rng.random((20, 30), dtype=np.float32)), "TIFF")


def _integers(rng: np.random.Generator, low: int, high: int) -> bytes:
    return encoded(Image.fromarray(rng.integers(low, high, (20, 30), dtype=np.int32)), "TIFF")


# kind -> suffix, what becomes of it, maker. Broken and odd ones in turn, so that a small n has of both.
KINDS: dict[str, tuple[str, str, Maker]] = {
    "empty": ("jpg", "empty", lambda rng: b""),
    "rotated": ("jpg", CONVERTED, _rotated),
    "cut-off_jpeg": ("jpg", "damaged", lambda rng: cut_off(encoded(photo(rng), "JPEG"))),
    "cmyk": ("jpg", CONVERTED, lambda rng: encoded(photo(rng, "CMYK"), "JPEG")),
    "web_page": ("jpg", "no image", _text),
    "grey": ("jpg", CONVERTED, lambda rng: encoded(photo(rng, "L"), "JPEG")),
    "png_bomb": ("png", "too large", _png_bomb),
    "grey_16_bits": ("png", CONVERTED, lambda rng: png(rng.integers(0, 65536, (20, 30, 1), dtype=np.uint16), 0)),
    "noise": ("png", "no image", _noise),
    "rgba": ("png", CONVERTED, lambda rng: png(rng.integers(0, 256, (20, 30, 4), dtype=np.uint8), 6)),
    "cut-off_png": ("png", "damaged", lambda rng: cut_off(encoded(photo(rng), "PNG"))),
    "animated_gif": ("gif", CONVERTED, lambda rng: _frames(rng, "GIF")),
    "floats": ("tif", "floating point", _floats),
    "palette": ("png", CONVERTED, _palette_transparent),
    "long_narrow": ("png", "too narrow", _narrow),
    "rgb_16_bits": ("png", CONVERTED, lambda rng: png(rng.integers(0, 65536, (20, 30, 3), dtype=np.uint16), 2)),
    "bad_pixels": ("png", "damaged", _bad_pixels),
    "animated_webp": ("webp", CONVERTED, lambda rng: _frames(rng, "WEBP")),
    "negative": ("tif", "damaged", lambda rng: _integers(rng, -99, 0)),
    "animated_png": ("png", CONVERTED, lambda rng: _frames(rng, "PNG")),
    "gif_bomb": ("gif", "too large", _gif_bomb),
    "several_in_one": ("jpg", CONVERTED, lambda rng: _frames(rng, "MPO")),
    "text_bomb": ("png", "damaged", _text_bomb),
    "broken_exif": ("jpg", CONVERTED, lambda rng: with_exif(rng, rng.bytes(40))),
    "jpeg_bomb": ("jpg", "too large", _jpeg_bomb),
    "one_bit": ("png", CONVERTED, lambda rng: encoded(photo(rng, "1"), "PNG")),
    "tiff_bomb": ("tif", "too large", _tiff_bomb),
    "grey_alpha": ("png", CONVERTED, lambda rng: png(rng.integers(0, 256, (20, 30, 2), dtype=np.uint8), 4)),
    "cut-off_bmp": ("bmp", "damaged", lambda rng: cut_off(encoded(photo(rng), "BMP"))),
    "wrong_suffix": ("jpg", CONVERTED, lambda rng: encoded(photo(rng), "PNG")),
    "cut-off_webp": ("webp", "damaged", lambda rng: cut_off(encoded(photo(rng), "WEBP"))),
    "grey_32_bits": ("tif", CONVERTED, lambda rng: _integers(rng, 0, 2**31 - 1)),
    "head_alone": ("jpg", "damaged", lambda rng: encoded(photo(rng), "JPEG")[: int(rng.integers(40, 150))]),
}

"""Uploads: prepared as data sets are; what is no image, damaged or too large is refused in one sentence."""

import struct
import tracemalloc
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cscelab.datasets.decoding import FORMATS, decode
from cscelab.uploads import read_upload

RNG = np.random.default_rng(0)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width=90, height=60) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def empty_png(width: int, height: int) -> bytes:
    """A PNG that says it has this size; what follows its head is short."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def refused(name: str, content: bytes) -> str:
    with pytest.raises(ValueError, match=name) as raised:
        read_upload(name, content, 32)
    sentence = str(raised.value)
    assert sentence.startswith(name)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_is_prepared_as_data_sets_are(kind):
    content = encoded(noise(), kind)
    found = read_upload("bird", content, 32, resize=40)
    assert (found.shape, found.dtype) == ((32, 32, 3), np.uint8)
    assert np.array_equal(found, decode(content, 32, 40))
    assert np.array_equal(read_upload("bird", content, 32), decode(content, 32, 32))


def test_a_picture_of_one_colour_keeps_it_whatever_its_mode():
    for mode, colour, expected in (
        ("RGBA", (9, 99, 199, 255), (9, 99, 199)),
        ("L", 77, (77,) * 3),
        ("1", 1, (255,) * 3),
    ):
        assert (read_upload("x.png", encoded(Image.new(mode, (50, 40), colour), "PNG"), 8) == expected).all()
    assert (read_upload("x.jpg", encoded(Image.new("CMYK", (50, 40)), "JPEG"), 8) > 250).all()


def test_what_is_transparent_becomes_white():
    half = 255 - (255 - 55) * 51 // 255  # a fifth of the colour, on white
    for image, expected in (
        (Image.new("RGBA", (50, 40), (0, 0, 0, 0)), 255),
        (Image.new("RGBA", (50, 40), (55, 55, 55, 51)), half),
        (Image.new("LA", (50, 40), (0, 0)), 255),
    ):
        assert (read_upload("x.png", encoded(image, "PNG"), 8) == expected).all()
    palette = Image.new("P", (50, 40), 3)
    assert (read_upload("x.gif", encoded(palette, "GIF", transparency=3), 8) == 255).all()
    grey = Image.fromarray(np.full((40, 50), 256 * 77, np.uint16))  # 16 bits have no transparency
    assert (read_upload("x.png", encoded(grey, "PNG", transparency=256 * 77), 8) == 77).all()


def test_a_turned_photograph_is_set_upright():
    upright = np.zeros((40, 40, 3), np.uint8)
    upright[:20] = 255  # bright above
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn a quarter clockwise
    content = encoded(Image.fromarray(np.rot90(upright)), "PNG", exif=exif)
    found = read_upload("phone.png", content, 40)
    assert np.array_equal(found, upright)
    sticker = encoded(Image.fromarray(np.rot90(upright)).convert("RGBA"), "PNG", exif=exif)
    assert np.array_equal(read_upload("sticker.png", sticker, 40), upright)


def test_of_an_animation_the_first_frame_and_of_one_pixel_its_colour():
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("#ff0000", "#0000ff")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (read_upload("wave.gif", content, 8) == (255, 0, 0)).all()
    assert (read_upload("dot.png", encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG"), 8) == (1, 2, 3)).all()


def test_empty_files_and_other_kinds_of_files_are_refused():
    assert refused("none.jpg", b"") == "none.jpg is empty; choose an image file"
    pdf = encoded(noise(), "PDF")
    others = {"paper.pdf": pdf, "notes.txt": b"a bird " * 99, "bird.jpg": pdf, "nul.png": bytes(99)}
    for name, content in others.items():
        assert "is no image of a known kind; choose a file of one of these: JPEG, PNG" in refused(name, content)
    assert "is no image of a known kind" in refused("draw.eps", encoded(noise(), "EPS"))  # would run Ghostscript


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_files_are_refused(kind, share):
    content = encoded(noise(300, 200), kind)
    sentence = refused(f"cut.{kind.lower()}", content[: int(len(content) * share)])
    assert "is damaged and cannot be" in sentence or "is no image of a known kind" in sentence


def test_changed_bytes_are_refused_or_decoded_and_never_raise_anything_else():
    random = np.random.default_rng(0)  # its own: which tests ran before must not choose the bytes
    content, sentences = encoded(noise(), "PNG"), set()
    for _ in range(60):
        changed = bytearray(content)
        for place in random.integers(8, len(content), 5):
            changed[place] ^= int(random.integers(1, 256))
        try:
            assert read_upload("x.png", bytes(changed), 16).shape == (16, 16, 3)
        except ValueError as error:
            sentences.add(str(error))
    known = ("x.png is damaged and cannot be", "x.png is no image of a known kind")  # the second: its head was hit
    assert all(said.startswith(known) for said in sentences)
    assert any(said.startswith(known[0]) for said in sentences)


def test_a_damaged_head_is_refused_in_one_sentence():
    for place in range(8, 33):  # IHDR: its length, name, size, depth, colours and checksum
        changed = bytearray(encoded(noise(), "PNG"))
        changed[place] ^= 0xFF
        refused("head.png", bytes(changed))


@pytest.mark.parametrize(
    ("width", "height"), [(10_000, 10_000), (7_072, 7_072), (100_000, 100_000), (50_000_001, 1), (30_000, 30_000)]
)
def test_large_images_are_refused_from_their_head_alone(width, height, recwarn):
    content = empty_png(width, height)
    tracemalloc.start()
    try:
        sentence = refused("huge.png", content)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    assert "more than 50 megapixels; make it smaller" in sentence
    assert not recwarn.list  # Pillow's own warning would go to the log


def test_a_whole_100_megapixel_file_is_refused():
    content = encoded(Image.new("1", (10_000, 10_000)), "PNG")
    assert len(content) < 500_000
    assert "huge.png is 10000 x 10000 pixels, more than 50 megapixels" in refused("huge.png", content)


def test_long_and_narrow_images_are_refused_before_they_are_scaled_up():
    content = encoded(Image.new("L", (60_000, 1)), "PNG")  # 32 x 1,920,000 once its shorter side is 32
    assert "is 60000 x 1 pixels, too long and narrow; crop it" in refused("line.png", content)
    assert read_upload("band.png", encoded(Image.new("L", (600, 10), 5), "PNG"), 32).shape == (32, 32, 3)


def test_fifty_megapixels_are_not_too_many():
    content = encoded(Image.new("1", (10_000, 5_000), 1), "PNG")
    assert (read_upload("large.png", content, 8) == 255).all()

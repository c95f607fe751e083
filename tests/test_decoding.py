"""Decoding: known pixels out of every kind of file, EXIF turned, and what is refused said in one sentence."""

import io
import warnings
from collections import Counter

import numpy as np
import pytest
from bad_images import CONVERTED, KINDS, cut_off, encoded, orientation, photo, png, with_exif, write_bad_images
from PIL import Image

from cscelab.datasets import decoding
from cscelab.datasets.decoding import UnreadableImageError, decode, read_rgb

RNG = np.random.default_rng(0)
UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: a[::-1, ::-1],
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),  # a quarter clockwise
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}


def refused(data: bytes, size: int = 16) -> UnreadableImageError:
    with pytest.raises(UnreadableImageError) as error:
        decode(data, size, size)
    assert "\n" not in str(error.value)
    return error.value


def without_adobe(jpeg: bytes) -> bytes:
    """The file without its APP14 marker."""
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4]) :]


@pytest.mark.parametrize("value", UPRIGHT)
@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_all_eight_orientations_become_upright(form, options, value):
    stored = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = value
    data = encoded(Image.fromarray(stored), form, exif=exif, **options)
    assert np.array_equal(read_rgb(data), UPRIGHT[value](stored))


@pytest.mark.parametrize("value", UPRIGHT)
def test_a_jpeg_is_turned_after_it_was_reduced(value):
    quarters = np.array([[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [240, 240, 240]]], np.uint8)
    stored = Image.fromarray(quarters.repeat(128, 0).repeat(128, 1))
    found = decode(encoded(stored, "JPEG", exif=b"Exif\0\0" + orientation(value)), 16, 16).astype(int)
    corners = found[[[2, 2], [13, 13]], [[2, 13], [2, 13]]]
    assert abs(corners - UPRIGHT[value](quarters)).max() < 8


@pytest.mark.parametrize("exif", [b"", b"II*\0", orientation(0), orientation(9), b"MM\0*\xff\xff\xff\xff", bytes(60)])
def test_exif_that_makes_no_sense_turns_nothing_and_warns_of_nothing(exif):
    picture = photo(np.random.default_rng(1))
    plain = read_rgb(encoded(picture, "JPEG"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_rgb(with_exif(np.random.default_rng(1), exif)), plain)


def colour(image: Image.Image, form: str = "PNG", **options: object) -> list[int]:
    """What a picture of one colour becomes."""
    pixels = decode(encoded(image, form, **options), 8, 8)
    assert (pixels == pixels[0, 0]).all()
    return pixels[0, 0].tolist()


def test_grey_one_bit_and_palettes_keep_their_colours():
    assert colour(Image.new("L", (9, 9), 77)) == [77] * 3
    assert colour(Image.new("1", (9, 9), 1)) == [255] * 3
    assert colour(Image.new("1", (9, 9), 0)) == [0] * 3
    palette = Image.new("P", (9, 9), 3)
    palette.putpalette([0, 0, 0, 9, 9, 9, 5, 5, 5, 12, 34, 56])
    for form in ("PNG", "GIF", "BMP", "TIFF"):
        assert colour(palette, form) == [12, 34, 56]


def test_what_is_transparent_is_seen_on_white():
    fifth = [255 - (255 - value) * 51 // 255 for value in (5, 55, 105)]
    assert colour(Image.new("RGBA", (9, 9), (5, 55, 105, 51))) == fifth
    assert colour(Image.new("RGBA", (9, 9), (5, 55, 105, 255))) == [5, 55, 105]
    assert colour(Image.new("LA", (9, 9), (55, 51))) == [fifth[1]] * 3
    palette = Image.new("P", (9, 9), 3)
    palette.putpalette([0, 0, 0, 9, 9, 9, 5, 5, 5, 5, 55, 105])
    assert colour(palette, transparency=3) == [255] * 3
    assert colour(palette, transparency=bytes([255, 255, 255, 51])) == fifth
    assert colour(palette, transparency=2) == [5, 55, 105]
    assert colour(Image.new("RGB", (9, 9), (1, 2, 3)), transparency=(1, 2, 3)) == [255] * 3
    assert colour(Image.new("L", (9, 9), 7), transparency=7) == [255] * 3
    assert colour(Image.new("L", (9, 9), 7), transparency=8) == [7] * 3


def test_sixteen_bits_keep_their_upper_eight():
    levels = np.array([0x1234, 0xABCD, 0xFF00, 0x8080], np.uint16)

    def square(*values: int) -> np.ndarray:
        return np.tile(np.array(values, np.uint16), (9, 9, 1))

    assert decode(png(square(levels[0]), 0), 8, 8)[0, 0].tolist() == [0x12] * 3
    assert decode(png(square(*levels[:3]), 2), 8, 8)[0, 0].tolist() == [0x12, 0xAB, 0xFF]
    assert decode(png(square(levels[1], 0xFFFF), 4), 8, 8)[0, 0].tolist() == [0xAB] * 3
    assert decode(png(square(*levels[:3], 0), 6), 8, 8)[0, 0].tolist() == [255] * 3
    assert decode(encoded(Image.fromarray(square(0xABCD)[..., 0]), "TIFF"), 8, 8)[0, 0].tolist() == [0xAB] * 3
    dark = b"P5 9 9 65535\n" + square(200).astype(">u2").tobytes()
    assert decode(dark, 8, 8).max() == 0  # 200 of 65,535, not of 255


@pytest.mark.parametrize(("value", "expected"), [(200, 200), (200 << 8, 200), (200 << 23, 100)])
def test_32_bits_of_grey_are_as_many_as_are_used(value, expected):
    assert colour(Image.fromarray(np.full((9, 9), value, np.int32)), "TIFF") == [expected] * 3


def test_inks_become_colours_whether_adobe_inverted_them_or_not():
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    inverted = Image.new("CMYK", (16, 16), (255, 0, 0, 255))
    adobe, plain = encoded(red, "JPEG"), without_adobe(encoded(inverted, "JPEG"))
    assert b"Adobe" in adobe
    assert b"Adobe" not in plain
    for data in (adobe, plain, encoded(red, "TIFF")):
        assert abs(decode(data, 8, 8).astype(int) - (255, 0, 0)).max() < 6


@pytest.mark.parametrize(
    ("form", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("MPO", {})]
)
def test_of_several_pictures_the_first_is_taken(form, options):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("#ff0000", "#00ff00", "#0000ff")]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert abs(decode(data, 8, 8).astype(int) - (255, 0, 0)).max() < 3


def test_the_suffix_is_not_asked():
    data = encoded(Image.new("RGB", (9, 9), (1, 2, 3)), "PNG")
    assert (decode(data, 8, 8) == (1, 2, 3)).all()  # of bytes there is no name


def test_only_the_centre_is_resized_and_its_edges_see_beyond_it():
    stripes = np.zeros((40, 120, 3), np.uint8)
    stripes[:, :40], stripes[:, 40:80], stripes[:, 80:] = 255, 100, 0
    found = decode(encoded(Image.fromarray(stripes), "PNG"), 80, 80)
    whole = Image.fromarray(stripes).resize((240, 80), Image.Resampling.BICUBIC)
    assert abs(found.astype(int) - np.asarray(whole)[:, 80:160]).max() <= 1  # a crop of the whole, resized
    assert (found[:, 4:-4] == 100).all()
    assert (found[:, 0] != 100).all()


def test_what_is_wrong_is_said_by_its_kind():
    assert refused(b"").args == ("is empty",)
    assert (refused(b"a bird " * 99).kind, str(refused(b"a bird " * 99))) == ("no image", "is no image of a known kind")
    cut = refused(cut_off(encoded(photo(RNG), "JPEG")))
    assert (cut.kind, str(cut)[:32]) == ("damaged", "is damaged and cannot be decoded")
    floats = refused(KINDS["floats"][2](RNG))
    assert (floats.kind, str(floats)) == ("floating point", "has floating-point pixels, which have no agreed white")
    assert "is 400000 x 1 pixels, too long and narrow" in str(refused(KINDS["long_narrow"][2](RNG)))
    assert "has pixels below zero" in str(refused(KINDS["negative"][2](RNG)))
    assert "is 65000 x 65000 pixels, more than 50 megapixels" in str(refused(KINDS["jpeg_bomb"][2](RNG)))
    assert "Decompressed data too large" in str(refused(KINDS["text_bomb"][2](RNG)))


@pytest.mark.parametrize(("length", "taken"), [(1000, True), (1001, False)])
@pytest.mark.parametrize("size", [8, 256])
def test_what_is_too_narrow_is_so_at_any_size(length, taken, size):
    data = encoded(Image.new("L", (1, length), 5), "PNG")
    if taken:
        assert (decode(data, size, size) == 5).all()
    else:
        assert refused(data, size).kind == "too narrow"


def test_a_jpeg_larger_than_pillow_opens_is_decoded_smaller(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses twice that
    assert decode(encoded(photo(RNG), "JPEG"), 8, 8).shape == (8, 8, 3)
    assert refused(encoded(photo(RNG), "PNG")).kind == "too large"


def test_of_a_progressive_jpeg_all_pixels_count(monkeypatch):
    monkeypatch.setattr(decoding, "MOST_PIXELS", 4000)  # of 4,800; a quarter of them once it is reduced
    assert decode(encoded(photo(RNG), "JPEG"), 8, 8).shape == (8, 8, 3)
    assert refused(encoded(photo(RNG), "JPEG", progressive=True), 8).kind == "too large"


def test_no_memory_is_told_apart_from_damage(monkeypatch):
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoding, "_to_rgb", full)
    error = refused(encoded(photo(RNG), "PNG"))
    assert (error.kind, str(error)) == ("too large", "does not fit into memory")


def test_a_folder_of_bad_images_comes_out_as_it_says(tmp_path):
    expected = write_bad_images(tmp_path / "a", 2 * len(KINDS))
    assert {path.name for path in (tmp_path / "a").iterdir()} == set(expected)
    assert len(KINDS) >= 12
    assert set(expected.values()) == {
        CONVERTED, "empty", "no image", "damaged", "too large", "too narrow", "floating point"
    }  # fmt: skip
    found = {}
    for name in expected:
        data = (tmp_path / "a" / name).read_bytes()
        assert len(data) < 200_000
        outcomes = set()
        for image_size, resize in ((24, 24), (224, 256)):
            try:
                assert decode(data, image_size, resize).shape == (image_size, image_size, 3)
                outcomes.add(CONVERTED)
            except UnreadableImageError as error:
                outcomes.add(error.kind)
        (found[name],) = outcomes
    assert found == expected
    write_bad_images(tmp_path / "b", 20)
    assert all((tmp_path / "a" / path.name).read_bytes() == path.read_bytes() for path in (tmp_path / "b").iterdir())
    contents = Counter(path.read_bytes() for path in (tmp_path / "a").iterdir())
    assert set(contents.values()) == {1, 2}
    assert contents[b""] == 2  # no two others are the same


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of tags in TIFF
def test_changed_bytes_of_every_kind_raise_nothing_else():
    rng, outcomes = np.random.default_rng(1), Counter()
    for _ in range(3):
        for kind, (_, _, make) in KINDS.items():
            data = bytearray(make(rng))
            for place in rng.integers(0, min(len(data), 300), 4) if data and "bomb" not in kind else ():
                data[place] = rng.integers(256)
            try:
                decode(bytes(data), 16, 20)
                outcomes[CONVERTED] += 1
            except UnreadableImageError as error:
                outcomes[error.kind] += 1
    assert outcomes[CONVERTED] > 0
    assert outcomes["damaged"] > 0
    assert outcomes["no image"] > 0

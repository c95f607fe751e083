"""The cache of decoded images: stale files noticed, interruptions gone on from, a full disk told, zips read."""

import errno
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bad_images import CONVERTED, encoded, photo, write_bad_images
from PIL import Image

from cscelab.datasets import imagecache
from cscelab.datasets.imagecache import ImageStore, UnreadableImagesError, cached_images

KILLED = """
import os, sys
from cscelab.datasets import imagecache
imagecache.BLOCK, imagecache.MOST_THREADS = 4, 1
decode, calls = imagecache.decode, []

def counted(*given):
    calls.append(1)
    if len(calls) == 11:
        os._exit(9)  # as kill -9 does
    return decode(*given)

imagecache.decode = counted
store = imagecache.ImageStore(sys.argv[1])
imagecache.cached_images(store, store.names(), 8, root=sys.argv[2], progress=False)
"""


def grey(value: int) -> bytes:
    return encoded(Image.new("L", (12, 12), value), "PNG")


def greys(folder: Path, n: int = 10) -> ImageStore:
    """Image 03.png is grey 3, so that a row tells which file it is."""
    folder.mkdir()
    for i in range(n):
        (folder / f"{i:02}.png").write_bytes(grey(i))
    return ImageStore(folder)


def load(store: ImageStore, root: Path) -> list[int]:
    images = cached_images(store, store.names(), 8, root=root, progress=False)
    assert (images == images[:, :1, :1, :1]).all()
    return images[:, 0, 0, 0].tolist()


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """Grows with each image that is decoded."""
    calls: list[int] = []
    decode = imagecache.decode
    monkeypatch.setattr(imagecache, "decode", lambda *given: calls.append(1) or decode(*given))
    monkeypatch.setattr(imagecache, "BLOCK", 4)
    return calls


def test_rows_are_in_the_order_of_the_names(tmp_path):
    store = greys(tmp_path / "in")
    names = [f"{i:02}.png" for i in (7, 2, 2, 9)]
    images = cached_images(store, names, 8, root=tmp_path, progress=False)
    assert images[:, 0, 0].tolist() == [[7] * 3, [2] * 3, [2] * 3, [9] * 3]


def test_a_changed_an_added_and_a_removed_file_are_noticed(tmp_path, decoded):
    store = greys(tmp_path / "in")
    assert load(store, tmp_path) == load(store, tmp_path) == list(range(10))
    assert len(decoded) == 10
    (tmp_path / "in" / "03.png").write_bytes(grey(200))
    assert load(store, tmp_path) == [0, 1, 2, 200, *range(4, 10)]
    (tmp_path / "in" / "10.png").write_bytes(grey(10))
    assert load(store, tmp_path)[-1] == 10
    (tmp_path / "in" / "00.png").unlink()
    assert load(store, tmp_path)[0] == 1
    with pytest.raises(ValueError, match=r"1 of 1 images are not in .*: 00.png; add them or take them out"):
        cached_images(store, ["00.png"], 8, root=tmp_path)


def test_another_way_of_decoding_makes_another_cache(tmp_path, decoded, monkeypatch):
    store = greys(tmp_path / "in")
    load(store, tmp_path)
    monkeypatch.setattr(imagecache, "DECODING", imagecache.DECODING + 1)
    load(store, tmp_path)
    assert len(decoded) == 20
    assert len(list((tmp_path / "images").iterdir())) == 2


def test_a_byte_changed_in_the_cache_has_it_built_again(tmp_path, decoded):
    store = greys(tmp_path / "in")
    load(store, tmp_path)
    (file,) = tmp_path.glob("images/*/images.npy")
    data = bytearray(file.read_bytes())
    data[-1] ^= 255
    file.write_bytes(data)
    assert load(store, tmp_path) == list(range(10))
    assert len(decoded) == 20


def test_after_ctrl_c_the_next_call_goes_on_where_it_was(tmp_path, decoded, monkeypatch):
    store = greys(tmp_path / "in")
    note = imagecache._note
    monkeypatch.setattr(imagecache, "MOST_THREADS", 1)
    seen = []

    def stop(file: Path, done: int) -> None:
        note(file, done)
        seen.append(done)
        if done == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(imagecache, "_note", stop)
    with pytest.raises(KeyboardInterrupt):
        load(store, tmp_path)
    assert seen == [4, 8]
    before = len(decoded)
    monkeypatch.setattr(imagecache, "_note", note)
    assert load(store, tmp_path) == list(range(10))
    assert len(decoded) - before == 2
    assert len(list((tmp_path / "images").iterdir())) == 1
    (folder,) = (tmp_path / "images").iterdir()
    assert {path.name for path in folder.iterdir()} == {"images.npy", "config.json"}


def test_a_killed_process_is_gone_on_from(tmp_path, decoded):
    store = greys(tmp_path / "in", 20)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store.path), str(tmp_path)], timeout=60)
    assert killed.returncode == 9
    assert load(store, tmp_path) == list(range(20))
    assert len(decoded) in (12, 16)  # two blocks of four were decoded, the second perhaps not yet noted
    assert len(list((tmp_path / "images").iterdir())) == 1


@pytest.mark.parametrize("rows", ["", "-1", "999", "many"])
def test_what_an_interruption_left_is_not_trusted_blindly(tmp_path, decoded, monkeypatch, rows):
    store = greys(tmp_path / "in")
    monkeypatch.setattr(imagecache, "_note", lambda file, done: imagecache._rows_done(file).write_text(rows))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(imagecache.np.memmap, "flush", stop)
        with pytest.raises(KeyboardInterrupt):
            load(store, tmp_path)
    assert load(store, tmp_path) == list(range(10))
    assert len(decoded) == 20


def test_files_that_fail_are_all_named_even_after_an_interruption(tmp_path, decoded, monkeypatch):
    store = greys(tmp_path / "in")
    (tmp_path / "in" / "02.png").write_bytes(b"")
    noted = []
    monkeypatch.setattr(imagecache, "_note", lambda file, done: noted.append(done))
    with pytest.raises(UnreadableImagesError, match="1 of 10 images .* cannot be decoded: 02.png is empty; replace"):
        load(store, tmp_path)
    assert noted == []  # rows after a failure would be taken for done
    assert not list((tmp_path / "images").iterdir())


def test_every_bad_image_is_reported_by_its_kind(tmp_path):
    expected = write_bad_images(tmp_path / "in", 66)
    store = ImageStore(tmp_path / "in")
    assert store.names() == sorted(expected)
    with pytest.raises(UnreadableImagesError) as refused:
        cached_images(store, store.names(), 24, root=tmp_path, progress=False)
    wrong = {name: kind for name, kind in expected.items() if kind != CONVERTED}
    assert {name: kind for name, kind, _ in refused.value.failures} == wrong
    good = [name for name in store.names() if name not in wrong]
    assert cached_images(store, good, 24, root=tmp_path, progress=False).shape == (len(good), 24, 24, 3)


def test_what_was_decoded_beside_a_failure_is_copied(tmp_path, decoded):
    store = greys(tmp_path / "in")
    (tmp_path / "in" / "02.png").write_bytes(b"")
    (tmp_path / "in" / "07.png").write_bytes(b"text")
    with pytest.raises(UnreadableImagesError) as refused:
        load(store, tmp_path)
    kept = refused.value.decoded
    assert {name: int(image[0, 0, 0]) for name, image in kept.items()} == {
        f"{i:02}.png": i for i in (0, 1, 3, 4, 5, 6, 8, 9)
    }
    names = ["09.png", "00.png", "05.png"]
    images = cached_images(store, names, 8, root=tmp_path, progress=False, decoded=kept)
    assert images[:, 0, 0, 0].tolist() == [9, 0, 5]
    assert len(decoded) == 10
    assert cached_images(store, names, 8, root=tmp_path, progress=False)[:, 7, 7, 2].tolist() == [9, 0, 5]
    assert len(decoded) == 10


def test_how_deep_images_may_lie(tmp_path):
    for place in (".", "1", "1/2", "1/2/3", "1/2/3/4", "1/2/3/4/5/6", "1/.hidden/4"):
        (tmp_path / "in" / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / place / "a.png").write_bytes(grey(1))
    four = ["1/2/3/a.png", "1/2/a.png", "1/a.png", "a.png"]
    every = sorted([*four, "1/2/3/4/a.png", "1/2/3/4/5/6/a.png"])
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in sorted((tmp_path / "in").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path / "in").as_posix())
    for place in (tmp_path / "in", tmp_path / "in.zip"):
        assert ImageStore(place).names() == four
        assert ImageStore(place, depth=None).names() == every
        assert ImageStore(place, depth=1).names() == ["a.png"]


def test_links_that_lead_in_circles_or_up_end(tmp_path):
    for place in ("beside", "in/real", "in/real/inner", "elsewhere"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "a.png").write_bytes(grey(1))
    links = {"in/again": "in/real", "in/real/inner/circle": "in", "in/up": ".", "in/z": "elsewhere",
             "elsewhere/back": "in/real", "in/.hidden": "elsewhere"}  # fmt: skip
    for link, target in links.items():
        (tmp_path / link).symlink_to(tmp_path / target, target_is_directory=True)
    found = ImageStore(tmp_path / "in", depth=None).names()
    assert found == ["real/a.png", "real/inner/a.png", "z/a.png"]
    (tmp_path / "link").symlink_to(tmp_path / "in", target_is_directory=True)
    assert ImageStore(tmp_path / "link", depth=None).names() == found


def test_a_disk_that_is_full_is_one_sentence(tmp_path, monkeypatch):
    store = greys(tmp_path / "in")
    with monkeypatch.context() as patch:
        patch.setattr(imagecache.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
        with pytest.raises(OSError, match=r"cannot write .* \(0.0 GB needed, 0.0 GB free\); free the space"):
            load(store, tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(imagecache.os, "posix_fallocate", full, raising=False)  # free when asked, and taken meanwhile
    with pytest.raises(OSError, match="No space left on device"):
        load(store, tmp_path)
    assert not list((tmp_path / "images").iterdir())


def test_a_file_too_large_to_be_an_image_is_not_read(tmp_path, monkeypatch):
    store = greys(tmp_path / "in", 3)
    with (tmp_path / "in" / "film.jpg").open("wb") as film:
        film.truncate(3 << 30)  # sparse
    with pytest.raises(UnreadableImagesError, match=r"film.jpg is a file of 3.2 GB") as refused:
        load(store, tmp_path)
    assert refused.value.failures == (("film.jpg", "too large", "is a file of 3.2 GB"),)


def test_a_zip_is_read_in_place_and_its_damage_reported(tmp_path, decoded):
    path = tmp_path / "pets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(3):
            archive.writestr(f"cat/{i}.png", grey(i))
    assert load(ImageStore(path), tmp_path) == [0, 1, 2]
    os.utime(path, (1, 1))
    assert load(ImageStore(path), tmp_path) == [0, 1, 2]  # its checksums count, not its time
    assert len(decoded) == 3
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 8] ^= 255  # the checksum in the directory stays
    path.write_bytes(data)
    with pytest.raises(UnreadableImagesError) as refused:
        cached_images(ImageStore(path), ["cat/0.png", "cat/1.png"], 9, root=tmp_path, progress=False)
    assert [(name, kind) for name, kind, _ in refused.value.failures] == [("cat/0.png", "not readable")]


def test_no_images_and_other_sizes(tmp_path):
    store = greys(tmp_path / "in", 1)
    for image_size, resize in ((0, None), (9, 8)):
        with pytest.raises(ValueError, match=f"image_size is {image_size} and resize"):
            cached_images(store, store.names(), image_size, resize, root=tmp_path)
    assert cached_images(store, [], 8, root=tmp_path).shape == (0, 8, 8, 3)
    (tmp_path / "in" / "00.png").write_bytes(encoded(photo(np.random.default_rng(0)), "PNG"))
    assert cached_images(store, store.names(), 8, 16, tmp_path).shape == (1, 8, 8, 3)

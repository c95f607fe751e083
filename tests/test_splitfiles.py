"""Splits on the disk: the bytes of lists and manifest, the checksum of the pictures, and how two manifests differ."""

import copy
import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from cscelab.datasets.imagecache import ImageStore
from cscelab.datasets.splitfiles import (
    SplitLists,
    combined,
    compare_manifests,
    in_threads,
    picture_checksums,
    read_manifest,
    write_split,
)

SPLIT = SplitLists(
    "pets",
    "by hand",
    ("cat", "dog"),
    {"train": [("a.jpg", (1,))], "query": [("b.jpg", (0,))], "database": [("a.jpg", (1,)), ("d/c d.jpg", (0,))]},
    seed=3,
)
CONTENTS = {"a.jpg": b"first", "b.jpg": b"second", "d/c d.jpg": b"third"}  # never decoded here


def images(folder: Path) -> Path:
    for name, content in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_lists_and_manifest_as_they_are_written(tmp_path):
    manifest = write_split(SPLIT, tmp_path / "out", tmp_path)
    text = (tmp_path / "out" / "database.txt").read_bytes()
    assert text == b"a.jpg 1\nd/c d.jpg 0\n"
    assert manifest["lists"]["database"] == {
        "file": "database.txt",
        "images": 2,
        "sha256": hashlib.sha256(text).hexdigest(),
    }
    assert "pictures" not in manifest
    assert read_manifest(tmp_path / "out") == manifest
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "database.txt",
        "manifest.json",
        "test.txt",
        "train.txt",
    ]


def test_several_labels_are_digits(tmp_path):
    several = replace(SPLIT, multilabel=True, lists=SPLIT.lists | {"query": [("b.jpg", (0, 1))]})
    assert several.text("query") == "b.jpg 1 1\n"
    assert several.text("train") == "a.jpg 0 1\n"


def test_the_checksum_of_the_pictures_by_hand(tmp_path):
    manifest = write_split(SPLIT, tmp_path / "out", images(tmp_path / "in"), pictures=True, progress=False)
    whole = b"".join(
        f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode() for name, content in sorted(CONTENTS.items())
    )
    assert manifest["pictures"] == hashlib.sha256(whole).hexdigest()
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name, content in CONTENTS.items():
            archive.writestr(name, content)
    zipped = write_split(SPLIT, tmp_path / "other", tmp_path / "in.zip", pictures=True, progress=False)
    assert zipped["pictures"] == manifest["pictures"]
    assert zipped["images"] != manifest["images"]
    assert compare_manifests(manifest, zipped) == []


def test_a_picture_that_is_absent_leaves_nothing_written(tmp_path):
    (images(tmp_path / "in") / "a.jpg").unlink()
    with pytest.raises(ValueError, match=r"a.jpg cannot be read from .*; add it, take it out") as refused:
        write_split(SPLIT, tmp_path / "out", tmp_path / "in", pictures=True, progress=False)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_pictures_are_read_once_whatever_their_order_and_spelling(tmp_path):
    store = ImageStore(images(tmp_path))
    one = picture_checksums(store, ["b.jpg", "a.jpg", "./a.jpg"], progress=False)
    assert list(one) == ["a.jpg", "b.jpg"]
    assert combined(one) == combined(dict(reversed(one.items())))
    assert combined(one) != combined({"a.jpg": one["b.jpg"], "b.jpg": one["a.jpg"]})


def test_threads_keep_the_order_of_more_names_than_a_block():
    names = [str(i) for i in range(10_007)]
    assert list(in_threads(int, names, None)) == list(range(10_007))


def test_how_two_manifests_differ(tmp_path):
    a = write_split(SPLIT, tmp_path / "out", images(tmp_path / "in"), pictures=True, progress=False)
    assert compare_manifests(a, copy.deepcopy(a)) == []
    assert compare_manifests(a, json.loads(json.dumps(a | {"images": "elsewhere", "protocol": "other words"}))) == []
    without = {key: value for key, value in a.items() if key != "pictures"}
    assert compare_manifests(a, without) == []
    assert compare_manifests(a, a | {"pictures": "0"}) == ["The pictures differ: their checksums are not the same."]
    assert compare_manifests(a, a | {"classes": ["cat", "emu"]}) == [
        "1 of 2 class names differ, the first is 1: 'dog' and 'emu'."
    ]
    assert compare_manifests(a, a | {"classes": ["cat"]}) == ["The classes differ: 2 and 1."]
    other = replace(SPLIT, seed=4, lists=SPLIT.lists | {"query": [("b.jpg", (1,))], "train": [("a.jpg", (1,))] * 2})
    assert compare_manifests(a, write_split(other, tmp_path / "other", tmp_path / "in")) == [
        "The train lists differ: 1 images and 2 images.",
        "The query lists differ: both 1 images, but other lines.",
        "The seed differs: 3 and 4.",
    ]


def test_lists_of_other_making_are_not_written_over(tmp_path):
    (tmp_path / "train.txt").write_text("mine.jpg 0\n")
    with pytest.raises(ValueError, match="holds lists that were not written by cscelab data prepare; move them into"):
        write_split(SPLIT, tmp_path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["train.txt"]
    assert (tmp_path / "train.txt").read_text() == "mine.jpg 0\n"
    (tmp_path / "manifest.json").write_text("{")  # they were written here, and the manifest was damaged since
    assert write_split(SPLIT, tmp_path, tmp_path) == read_manifest(tmp_path)


def test_a_manifest_alone_is_read_too(tmp_path):
    manifest = write_split(SPLIT, tmp_path, tmp_path)
    (tmp_path / "manifest.json").rename(tmp_path / "anns.json")
    assert read_manifest(tmp_path / "anns.json") == manifest


def test_a_manifest_that_is_none(tmp_path):
    assert read_manifest(tmp_path) is None
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="manifest.json cannot be read .*; prepare the data set again"):
        read_manifest(tmp_path)

"""Folders of class folders: the image cache, seeded splits that never overlap, and what goes wrong."""

import dataclasses
import json
import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cscelab.datasets import imagecache
from cscelab.datasets.decoding import decode
from cscelab.datasets.folder import Folder, load_folder, located
from cscelab.datasets.imagecache import ImageStore, cached_images

SPLITS = ("train", "validation", "query", "database")


def write(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def tree(folder: Path, n: int = 10, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for c, name in enumerate(classes):
        for i in range(n):
            write(folder / name / f"{i}.jpg", seed=100 * c + i)
    return folder


def paths_of(splits) -> dict[str, list[str]]:
    return {split: getattr(splits, split).attributes["path"].tolist() for split in SPLITS}


SMALL = {"image_size": 32, "train": 8, "validation": 4, "query": 2}


def test_splits_never_overlap_are_balanced_and_complete(tmp_path):
    source = tree(tmp_path / "pets", 10)
    splits = load_folder(Folder(str(source), **SMALL), tmp_path)
    paths = paths_of(splits)
    assert sorted(p for split in paths.values() for p in split) == sorted(
        f"{c}/{i}.jpg" for c in ("cat", "dog") for i in range(10)
    )  # with database None every image is in exactly one split
    expected = {"train": 4, "validation": 2, "query": 1, "database": 3}
    for split, per_class in expected.items():
        images = getattr(splits, split)
        assert Counter(images.labels.tolist()) == {0: per_class, 1: per_class}
        assert images.labels.dtype == np.int64
        assert [splits.class_names[label] for label in images.labels] == [p.split("/")[0] for p in paths[split]]
        assert set(images.attributes["part"]) == {"all"}
    ids = np.concatenate([getattr(splits, split).ids for split in SPLITS])
    assert sorted(ids.tolist()) == list(range(20))
    labels = np.concatenate([getattr(splits, split).labels for split in SPLITS])
    by_id = labels[np.argsort(ids)]
    assert (np.diff(by_id) < 0).any()  # ids do not go class by class: equal distances must favour none
    assert splits.class_names == ("cat", "dog")
    assert splits.image_size == 32


def test_images_go_with_their_paths(tmp_path):
    source = tree(tmp_path / "pets", 10)
    splits = load_folder(Folder(str(source), **SMALL), tmp_path)
    for split in SPLITS:
        images = getattr(splits, split)
        for image, path in zip(images.images, images.attributes["path"].tolist(), strict=True):
            assert (image == decode((source / path).read_bytes(), 32, 32)).all()


def test_sizes_are_spread_over_classes_with_at_most_one_between_them(tmp_path):
    source = tree(tmp_path / "pets", 8, ("a", "b", "c"))
    splits = load_folder(Folder(str(source), image_size=16, train=7, validation=4, query=3, database=5), tmp_path)
    for split, size in {"train": 7, "validation": 4, "query": 3, "database": 5}.items():
        counts = np.bincount(getattr(splits, split).labels, minlength=3)
        assert counts.sum() == size
        assert counts.max() - counts.min() <= 1


def test_default_sizes_work_on_any_folder_of_five_images_a_class(tmp_path):
    splits = load_folder(Folder(str(tree(tmp_path / "pets", 5)), image_size=16), tmp_path)
    assert [len(getattr(splits, split)) for split in SPLITS] == [2, 4, 2, 2]
    splits = load_folder(Folder(str(tree(tmp_path / "more", 20)), image_size=16), tmp_path)
    assert [len(getattr(splits, split)) for split in SPLITS] == [18, 4, 4, 14]  # a class: 20 - 2 - 2 = 16 = 9 + 7


def test_the_seed_alone_decides(tmp_path, monkeypatch):
    source = tree(tmp_path / "pets", 10)
    config = Folder(str(source), **SMALL)
    first = paths_of(load_folder(config, tmp_path))
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda *a, **k: ((f, d, files[::-1]) for f, d, files in walk(*a, **k)))
    assert paths_of(load_folder(config, tmp_path / "other")) == first
    other = paths_of(load_folder(dataclasses.replace(config, seed=1), tmp_path))
    assert other["train"] != first["train"]
    assert set(other["train"]) != set(first["train"])


def test_queries_stay_when_other_sizes_change(tmp_path):
    config = Folder(str(tree(tmp_path / "pets", 10)), **SMALL)
    fewer = dataclasses.replace(config, train=4, validation=2)
    assert paths_of(load_folder(config, tmp_path))["query"] == paths_of(load_folder(fewer, tmp_path))["query"]


def test_splits_are_not_sorted_by_class(tmp_path):
    labels = load_folder(Folder(str(tree(tmp_path / "pets", 20)), image_size=8), tmp_path).database.labels
    assert (np.diff(labels) < 0).any()


def test_train_and_test_folders(tmp_path):
    tree(tmp_path / "pets" / "train", 8)
    tree(tmp_path / "pets" / "test", 3)
    splits = load_folder(Folder(str(tmp_path / "pets"), image_size=16, train=6, validation=4), tmp_path)
    parts = {split: set(getattr(splits, split).attributes["part"]) for split in SPLITS}
    assert parts == {"train": {"train"}, "validation": {"train"}, "query": {"test"}, "database": {"train"}}
    assert [len(getattr(splits, split)) for split in SPLITS] == [6, 4, 6, 6]
    assert all(p.startswith("test/") for p in splits.query.attributes["path"])
    tree(tmp_path / "pets" / "val", 2)
    splits = load_folder(Folder(str(tmp_path / "pets"), image_size=16, train=6), tmp_path)
    assert set(splits.validation.attributes["part"]) == {"val"}
    assert set(splits.query.attributes["part"]) == {"test"}


def test_a_class_may_be_called_train(tmp_path):
    source = tree(tmp_path / "vehicles", 6, ("train", "van"))
    assert load_folder(Folder(str(source), image_size=8), tmp_path).class_names == ("train", "van")


def test_a_zip_gives_what_its_folder_gives_even_wrapped(tmp_path):
    source = tree(tmp_path / "pets", 10)
    archive = tmp_path / "pets.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(source.rglob("*.jpg")):
            file.write(path, f"wrapper/{path.relative_to(source).as_posix()}")
        file.writestr("__MACOSX/wrapper/cat/._0.jpg", b"not an image")
    unpacked = load_folder(Folder(str(source), **SMALL), tmp_path)
    zipped = load_folder(Folder(str(archive), **SMALL), tmp_path)
    for split in SPLITS:
        a, b = getattr(unpacked, split), getattr(zipped, split)
        assert [f"wrapper/{p}" for p in a.attributes["path"]] == b.attributes["path"].tolist()
        assert (a.images == b.images).all()
        assert (a.ids == b.ids).all()


def test_hidden_files_and_other_kinds_are_passed_over_and_links_followed(tmp_path):
    source = tree(tmp_path / "pets", 5)
    (source / "cat" / "notes.txt").write_text("not an image")
    (source / "cat" / ".thumb.jpg").write_bytes(b"not an image")
    (source / ".cache").mkdir()
    (source / ".cache" / "a.jpg").write_bytes(b"not an image")
    write(source / "cover.jpg")
    tree(tmp_path / "elsewhere", 5, ("emu",))
    (source / "emu").symlink_to(tmp_path / "elsewhere" / "emu", target_is_directory=True)
    (source / "emu" / "loop").symlink_to(source, target_is_directory=True)
    splits = load_folder(Folder(str(source), image_size=8), tmp_path)
    assert splits.class_names == ("cat", "dog", "emu")
    assert sum(len(getattr(splits, split)) for split in SPLITS) == 15


def test_the_cache_is_used_until_a_file_changes_or_it_is_cut_off(tmp_path, monkeypatch):
    source = tree(tmp_path / "pets", 10)
    names, calls = ["cat/0.jpg", "dog/1.jpg"], []
    monkeypatch.setattr(imagecache, "decode", lambda *a: calls.append(1) or decode(*a))

    def load(size: int = 700) -> np.ndarray:  # large enough to be memory-mapped
        return cached_images(ImageStore(source), names, size, root=tmp_path, progress=False)

    mapped = load()
    assert isinstance(mapped, np.memmap)
    assert mapped.shape == (2, 700, 700, 3)
    first = np.array(mapped)
    del mapped  # its file will be cut off
    assert len(calls) == 2
    assert (load() == first).all()
    assert len(calls) == 2
    load(600)
    assert len(calls) == 4  # another size
    status = (source / "cat/0.jpg").stat()
    os.utime(source / "cat/0.jpg", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    load()
    assert len(calls) == 6  # another time of change
    for file in (tmp_path / "images").rglob("*.npy"):
        os.truncate(file, file.stat().st_size // 2)
    assert (load() == first).all()
    assert len(calls) == 8  # what was cut off is made again
    assert not list((tmp_path / "images").glob(".*"))


def test_a_relative_folder_is_tried_from_the_checkout_too(tmp_path, monkeypatch):
    tree(tmp_path / "checkout" / "photos")
    notebooks = tmp_path / "checkout" / "notebooks"
    notebooks.mkdir()
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "checkout" / "data"))
    monkeypatch.chdir(notebooks)
    assert located("photos") == tmp_path / "checkout" / "photos"
    assert load_folder(Folder("photos", **SMALL), tmp_path, progress=False).class_names == ("cat", "dog")
    assert located("nowhere") == Path("nowhere")  # so that the error names what was given
    assert located(str(tmp_path)) == tmp_path
    tree(notebooks / "photos")
    assert located("photos") == Path("photos")  # what is here comes first


def test_configuration_survives_json(tmp_path):
    config = Folder("pets", train=10, resize=72)
    assert Folder(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


def refusal(config: Folder, root: Path) -> str:
    with pytest.raises(ValueError, match=".") as refused:
        load_folder(config, root)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_what_is_refused_and_why(tmp_path):
    assert "nowhere does not exist; give a folder" in refusal(Folder(str(tmp_path / "nowhere")), tmp_path)
    (tmp_path / "text.zip").write_text("hello")
    assert "neither a folder nor a readable zip" in refusal(Folder(str(tmp_path / "text.zip")), tmp_path)
    (tmp_path / "empty").mkdir()
    assert "no class folders with images" in refusal(Folder(str(tmp_path / "empty")), tmp_path)
    write(tmp_path / "flat" / "a.jpg")
    assert "no class folders with images" in refusal(Folder(str(tmp_path / "flat")), tmp_path)
    one = tree(tmp_path / "one", 5, ("cat",))
    assert "only one class, 'cat'" in refusal(Folder(str(one)), tmp_path)
    pets = tree(tmp_path / "pets", 10)
    for i in range(7):
        (pets / "dog" / f"{i}.jpg").unlink()
    message = refusal(Folder(str(pets), train=8, validation=2, query=2), tmp_path)
    assert "class 'dog' has 3 images, too few: train needs 4 after query 1, validation 1" in message
    assert "train is 1 for 2 classes" in refusal(Folder(str(pets), train=1), tmp_path)
    assert "image_size is 64 and resize 32" in refusal(Folder(str(tree(tmp_path / "ok", 5)), resize=32), tmp_path)
    with pytest.raises(ValueError, match="seed is -1"):
        Folder("x", seed=-1)


def test_a_class_that_test_lacks_is_named(tmp_path):
    tree(tmp_path / "pets" / "train", 8, ("cat", "dog"))
    tree(tmp_path / "pets" / "test", 3, ("cat",))
    assert "class 'dog' has 0 images in test/, too few" in refusal(Folder(str(tmp_path / "pets")), tmp_path)


def test_damaged_images_are_named_and_leave_no_cache(tmp_path):
    source = tree(tmp_path / "pets", 6)
    whole = (source / "cat" / "0.jpg").read_bytes()
    for i in range(4):
        (source / "cat" / f"{i}.jpg").write_bytes(whole[:300] if i % 2 else b"")
    names = [f"{c}/{i}.jpg" for c in ("cat", "dog") for i in range(6)]
    with pytest.raises(ValueError, match="4 of 12 images .* cannot be decoded") as refused:
        cached_images(ImageStore(source), names, 16, root=tmp_path, progress=False)
    message = str(refused.value)
    assert all(f"cat/{i}.jpg" in message for i in range(3))
    assert "cat/3.jpg" not in message
    assert "cat/0.jpg is empty" in message
    assert message.endswith("...; replace or remove them")
    assert not list((tmp_path / "images").iterdir())


def spoiled(folder: Path, whole: Path) -> dict[str, str]:
    """Files of whose classes there are enough others: name -> kind."""
    kinds = {"cat/1.jpg": "empty", "cat/7.jpg": "damaged", "dog/3.jpg": "no image", "dog/9.jpg": "empty"}
    contents = {"empty": b"", "damaged": whole.read_bytes()[:300], "no image": b"text"}
    for name, kind in kinds.items():
        (folder / name).write_bytes(contents[kind])
    return kinds


def test_images_that_cannot_be_decoded_are_left_out(tmp_path, monkeypatch):
    """The splits are those of the folder without them, and the next call tries none of them again."""
    source, clean = tree(tmp_path / "pets", 14), tree(tmp_path / "clean", 14)
    kinds = spoiled(source, source / "cat" / "0.jpg")
    for name in kinds:
        (clean / name).unlink()
    config = Folder(str(source), **SMALL)
    with pytest.warns(UserWarning, match="pets: left out are 4 images that cannot be decoded") as warned:
        splits = load_folder(config, tmp_path)
    message = str(warned[0].message)
    assert len(warned) == 1
    assert "(empty 2, damaged 1, no image 1): cat/1.jpg is empty, cat/7.jpg is damaged" in message
    assert message.count(".jpg") == 3
    assert message.endswith(", ...")
    expected = load_folder(Folder(str(clean), **SMALL), tmp_path)
    assert paths_of(splits) == paths_of(expected)
    for split in SPLITS:
        assert (getattr(splits, split).ids == getattr(expected, split).ids).all()
        assert (getattr(splits, split).images == getattr(expected, split).images).all()
    monkeypatch.setattr(imagecache, "decode", lambda *a: pytest.fail("decoded again"))
    with pytest.warns(UserWarning, match="left out are 4 images"):
        assert paths_of(load_folder(config, tmp_path)) == paths_of(expected)


def test_each_file_is_decoded_once_though_one_fails(tmp_path, monkeypatch):
    """Those of the bad file's class are drawn again: they go to other splits as they are."""
    source = tree(tmp_path / "pets", 12)
    (source / "cat" / "bad.jpg").write_bytes(b"text")
    calls = []
    monkeypatch.setattr(imagecache, "decode", lambda *given: calls.append(1) or decode(*given))
    with pytest.warns(UserWarning, match="left out are 1 images"):
        splits = load_folder(Folder(str(source), image_size=16), tmp_path)
    assert len(calls) == 25
    assert sum(len(getattr(splits, split)) for split in SPLITS) == 24
    for split in SPLITS:
        images = getattr(splits, split)
        for image, path in zip(images.images, images.attributes["path"].tolist(), strict=True):
            assert (image == decode((source / path).read_bytes(), 16, 16)).all()


def test_a_mended_image_comes_back(tmp_path):
    source = tree(tmp_path / "pets", 14)
    config = Folder(str(source), image_size=16)
    before = paths_of(load_folder(config, tmp_path))
    whole = (source / "cat" / "1.jpg").read_bytes()
    (source / "cat" / "1.jpg").write_bytes(b"")
    with pytest.warns(UserWarning, match="left out are 1 images"):
        without = paths_of(load_folder(config, tmp_path))
    assert all("cat/1.jpg" not in paths for paths in without.values())
    (source / "cat" / "1.jpg").write_bytes(whole)
    assert paths_of(load_folder(config, tmp_path)) == before


@pytest.mark.filterwarnings("error")
def test_a_folder_without_damage_says_nothing(tmp_path):
    load_folder(Folder(str(tree(tmp_path / "pets", 5)), image_size=8), tmp_path)
    assert not list((tmp_path / "images").glob("*.json"))


def test_a_class_that_damage_makes_too_small_is_refused(tmp_path):
    source = tree(tmp_path / "pets", 5)
    for i in range(5):
        (source / "dog" / f"{i}.jpg").write_bytes(b"")
    message = refusal(Folder(str(source), image_size=8), tmp_path)
    assert "class 'dog' has 0 images, too few" in message
    assert "not counted are 5 images that cannot be decoded (empty 5): dog/0.jpg is empty" in message


def test_a_note_that_cannot_be_read_is_made_again(tmp_path):
    source = tree(tmp_path / "pets", 14)
    spoiled(source, source / "cat" / "0.jpg")
    config = Folder(str(source), image_size=8)
    with pytest.warns(UserWarning, match="left out are 4"):
        load_folder(config, tmp_path)
    (note,) = (tmp_path / "images").glob("*.json")
    for text in ("{", "[[1]]", "3"):
        note.write_text(text)
        with pytest.warns(UserWarning, match="left out are 4"):
            load_folder(config, tmp_path)
        assert len(json.loads(note.read_text())) == 4


def test_an_unwritable_cache_is_one_sentence(tmp_path):
    source = tree(tmp_path / "pets", 5)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="cannot write the data set to .*file"):
        load_folder(Folder(str(source), image_size=8), tmp_path / "file")


def test_a_full_disk_is_told_beforehand(tmp_path, monkeypatch):
    source = tree(tmp_path / "pets", 5)
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(imagecache.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="GB needed, 0.0 GB free"):
        load_folder(Folder(str(source), image_size=8), tmp_path)


def test_photographs_of_cifar_10(shared_file, tmp_path):
    archive = shared_file("data/cifar10-jpeg.zip")
    splits = load_folder(Folder(str(archive), 64, train=10, validation=10, query=10, database=10), tmp_path)
    assert splits.n_classes == 10
    assert splits.class_names[0] == "airplane"
    for split in SPLITS:
        images = getattr(splits, split)
        assert images.images.shape == (10, 64, 64, 3)
        assert sorted(images.labels.tolist()) == list(range(10))
        assert images.images.std() > 30
    assert set(splits.query.attributes["part"]) == {"test"}
    assert set(splits.database.attributes["part"]) == {"train"}

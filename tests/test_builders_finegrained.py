"""Builders of the fine-grained data sets on tiny layouts as their publishers have them, and torchvision's downloads."""

import hashlib
import pickle
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image
from torchvision.datasets import Flowers102

from cscelab.datasets.builders.downloads import CIFAR10, DOWNLOADED
from cscelab.datasets.builders.finegrained import BUILDERS, DOWNLOADS, OFFICIAL
from cscelab.datasets.lists import read_list
from cscelab.datasets.splitfiles import read_manifest, write_split

scipy_io = pytest.importorskip("scipy.io")


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def birds(root: Path) -> None:
    """As CUB-200-2011 is unpacked: four images of two species."""
    write(
        root,
        {
            "images.txt": "1 001.Laysan_Albatross/a.jpg\n2 001.Laysan_Albatross/b.jpg\n"
            "3 002.Rock_Wren/c.jpg\n4 002.Rock_Wren/d.jpg\n",
            "image_class_labels.txt": "1 1\n2 1\n3 2\n4 2\n",
            "train_test_split.txt": "1 0\n2 1\n3 1\n4 0\n",
            "classes.txt": "1 001.Laysan_Albatross\n2 002.Rock_Wren\n",
            "images/001.Laysan_Albatross/a.jpg": "",
            "images/001.Laysan_Albatross/b.jpg": "",
            "images/002.Rock_Wren/c.jpg": "",
            "images/002.Rock_Wren/d.jpg": "",
        },
    )


def american_birds(root: Path) -> None:
    """As NABirds is: ids with dashes, classes in a hierarchy whose leaves alone have images."""
    write(
        root,
        {
            "images.txt": "00-a 0817/00a.jpg\n00-b 0295/00b.jpg\n00-c 0817/00c.jpg\n",
            "image_class_labels.txt": "00-a 817\n00-b 295\n00-c 817\n",
            "train_test_split.txt": "00-a 1\n00-b 1\n00-c 0\n",
            "classes.txt": "0 Birds\n1 Ducks, Geese, and Swans\n295 Common Eider (Adult male)\n"
            "817 Yellow-rumped Warbler (Breeding Myrtle)\n",
            "images/0817/00a.jpg": "",
            "images/0295/00b.jpg": "",
            "images/0817/00c.jpg": "",
        },
    )


def vegetables(root: Path) -> None:
    write(
        root,
        {
            "vegfru_list/vegfru_train.txt": "veg200_images/Chinese_artichoke/v_1.jpg 0\n"
            "fru92_images/almond/f_1.jpg 1\n",
            "vegfru_list/vegfru_val.txt": "fru92_images/almond/f_2.jpg 1\n",
            "vegfru_list/vegfru_test.txt": "fru92_images/almond/f_3.jpg 1\n",
            "veg200_images/Chinese_artichoke/v_1.jpg": "",
            "fru92_images/almond/f_1.jpg": "",
            "fru92_images/almond/f_3.jpg": "",
        },
    )


def planes(root: Path) -> None:
    write(
        root,
        {
            "data/variants.txt": "707-320\nAn-12\nF/A-18\nModel B200\n",
            "data/images_variant_trainval.txt": "1025794 707-320\n0034309 Model B200\n1340192 F/A-18\n",
            "data/images_variant_test.txt": "0209554 Model B200\n",
            "data/images/1025794.jpg": "",
            "data/images/0034309.jpg": "",
            "data/images/1340192.jpg": "",
            "data/images/0209554.jpg": "",
        },
    )


def dishes(root: Path) -> None:
    write(
        root,
        {
            "meta/classes.txt": "apple_pie\nwaffles\n",
            "meta/train.txt": "apple_pie/1005649\nwaffles/7\n",
            "meta/train.json": '{"apple_pie": ["apple_pie/1005649"], "waffles": ["waffles/7"]}',
            "meta/test.txt": "waffles/8\n",
            "images/apple_pie/1005649.jpg": "",
            "images/waffles/7.jpg": "",
            "images/waffles/8.jpg": "",
        },
    )


def blossoms(root: Path) -> None:
    write(root, {f"jpg/image_0000{image}.jpg": "" for image in range(1, 7)})
    scipy_io.savemat(root / "imagelabels.mat", {"labels": np.array([[77, 1, 77, 2, 1, 77]], np.uint8)})
    scipy_io.savemat(root / "setid.mat", {"trnid": [[2, 4]], "valid": [[5, 3]], "tstid": [[1, 6]]})


def autos(root: Path) -> None:
    def annotations(*rows: tuple[int, str]) -> dict[str, np.ndarray]:
        records = np.empty((1, len(rows)), dtype=[("class", "O"), ("fname", "O")])
        records[0] = list(rows)
        return {"annotations": records}

    write(root, {f"cars_{part}/0000{image}.jpg": "" for part in ("train", "test") for image in (1, 2)})
    (root / "devkit").mkdir()
    scipy_io.savemat(root / "devkit/cars_train_annos.mat", annotations((2, "00001.jpg"), (1, "00002.jpg")))
    scipy_io.savemat(root / "cars_test_annos_withlabels.mat", annotations((2, "00001.jpg"), (1, "00002.jpg")))
    names = np.array([["AM General Hummer SUV 2000", "Acura RL Sedan 2012"]], dtype=object)
    scipy_io.savemat(root / "devkit/cars_meta.mat", {"class_names": names})


def animals(root: Path) -> None:
    write(
        root,
        {
            "annotations/trainval.txt": "Abyssinian_100 1 1 1\namerican_bulldog_100 2 2 1\n",
            "annotations/test.txt": "american_bulldog_201 2 2 1\nAbyssinian_201 1 1 1\n",
            "images/Abyssinian_100.jpg": "",
            "images/american_bulldog_100.jpg": "",
            "images/american_bulldog_201.jpg": "",
            "images/Abyssinian_201.jpg": "",
        },
    )


# name -> layout, (training rows, test rows, classes) by hand, below the data set's own folder
LAYOUTS = {
    "cub-200-2011": (
        birds,
        [("images/001.Laysan_Albatross/b.jpg", (0,)), ("images/002.Rock_Wren/c.jpg", (1,))],
        [("images/001.Laysan_Albatross/a.jpg", (0,)), ("images/002.Rock_Wren/d.jpg", (1,))],
        ("Laysan Albatross", "Rock Wren"),
    ),
    "nabirds": (
        american_birds,
        [("images/0817/00a.jpg", (1,)), ("images/0295/00b.jpg", (0,))],
        [("images/0817/00c.jpg", (1,))],
        ("Common Eider (Adult male)", "Yellow-rumped Warbler (Breeding Myrtle)"),
    ),
    "vegfru": (
        vegetables,
        [("veg200_images/Chinese_artichoke/v_1.jpg", (0,)), ("fru92_images/almond/f_1.jpg", (1,))],
        [("fru92_images/almond/f_3.jpg", (1,))],
        ("Chinese artichoke", "almond"),
    ),
    "fgvc-aircraft": (  # An-12 has no image here, so that it gets no number
        planes,
        [("data/images/1025794.jpg", (0,)), ("data/images/0034309.jpg", (2,)), ("data/images/1340192.jpg", (1,))],
        [("data/images/0209554.jpg", (2,))],
        ("707-320", "F/A-18", "Model B200"),
    ),
    "food-101": (
        dishes,
        [("images/apple_pie/1005649.jpg", (0,)), ("images/waffles/7.jpg", (1,))],
        [("images/waffles/8.jpg", (1,))],
        ("apple pie", "waffles"),
    ),
    "flowers-102": (
        blossoms,
        [(f"jpg/image_0000{image}.jpg", (label,)) for image, label in ((2, 0), (4, 1), (5, 0), (3, 2))],
        [("jpg/image_00001.jpg", (2,)), ("jpg/image_00006.jpg", (2,))],
        ("pink primrose", "hard-leaved pocket orchid", "passion flower"),
    ),
    "stanford-cars": (
        autos,
        [("cars_train/00001.jpg", (1,)), ("cars_train/00002.jpg", (0,))],
        [("cars_test/00001.jpg", (1,)), ("cars_test/00002.jpg", (0,))],
        ("AM General Hummer SUV 2000", "Acura RL Sedan 2012"),
    ),
    "oxford-pets": (
        animals,
        [("images/Abyssinian_100.jpg", (0,)), ("images/american_bulldog_100.jpg", (1,))],
        [("images/american_bulldog_201.jpg", (1,)), ("images/Abyssinian_201.jpg", (0,))],
        ("Abyssinian", "american bulldog"),
    ),
}


def test_every_data_set_is_tested():
    assert LAYOUTS.keys() == BUILDERS.keys() == OFFICIAL.keys()


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("inside", [False, True])
def test_rows_classes_and_splits(name, inside, tmp_path):
    layout, train, test, classes = LAYOUTS[name]
    folder = OFFICIAL[name].folder  # as torchvision or tar leaves it; `inside`: given itself as the root
    (tmp_path / folder).mkdir()
    layout(tmp_path / folder)
    root, below = (tmp_path / folder, "") if inside else (tmp_path, f"{folder}/")

    split = BUILDERS[name](root, counts=(len(classes), len(train), len(test)))

    expected = {
        part: [(below + path, labels) for path, labels in rows] for part, rows in (("train", train), ("query", test))
    }
    assert split.lists["database"] == split.lists["train"]  # the same order, so that images are stored once
    assert sorted(split.lists["train"]) == sorted(expected["train"])
    assert split.lists["query"] == expected["query"]
    assert (split.name, split.classes, split.multilabel, split.seed) == (name, classes, False, None)
    assert f"{len(test)} test images as queries" in split.protocol
    assert f"the {len(train)} of its {OFFICIAL[name].training}" in split.protocol


@pytest.mark.parametrize("name", LAYOUTS)
def test_other_counts_than_published_are_told(name, tmp_path):
    layout, train, test, classes = LAYOUTS[name]
    layout(tmp_path)
    with pytest.raises(ValueError, match="; expected .*: unpack it again") as error:
        BUILDERS[name](tmp_path)
    published = "{:,} classes, {:,} training and {:,} test images".format(*OFFICIAL[name].counts)
    found = f"{len(classes)} classes, {len(train)} training and {len(test)} test images"
    assert f"lists {found}; expected {OFFICIAL[name].title}'s {published}" in str(error.value)
    assert OFFICIAL[name].home in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_without_the_data_set_says_what_is_missing(name, tmp_path):
    with pytest.raises(ValueError, match="there is no .*give the folder that") as error:
        BUILDERS[name](tmp_path / "nowhere")
    assert OFFICIAL[name].marker in str(error.value)
    assert OFFICIAL[name].home in str(error.value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_lists_without_images_are_told(name, tmp_path):
    """Any of them, not the first alone: an archive may have been unpacked in half."""
    layout, train, test, _ = LAYOUTS[name]
    layout(tmp_path)
    (tmp_path / test[-1][0]).unlink()
    with pytest.raises(ValueError, match=f"1 of {len(train + test)} images are not in .*: unpack its images") as error:
        BUILDERS[name](tmp_path, counts=None)
    assert f"{test[-1][0]} for one" in str(error.value)


def test_the_database_is_shuffled_always_alike(tmp_path):
    """Publishers list class by class, which would favour the first class among ties."""
    n = 40
    paths = [f"{i // 20:03d}.Bird/{i:02d}.jpg" for i in range(n)]
    files = {"images": paths, "image_class_labels": [1 + i // 20 for i in range(n)], "train_test_split": [1] * n}
    write(tmp_path, {f"{name}.txt": "".join(f"{i} {x}\n" for i, x in enumerate(v)) for name, v in files.items()})
    write(tmp_path, {"classes.txt": "1 1.Wren\n2 2.Gull\n", **{f"images/{path}": "" for path in paths}})
    database = BUILDERS["cub-200-2011"](tmp_path, counts=None).lists["database"]
    labels = [label for _, (label,) in database]
    assert sorted(path for path, _ in database) == [f"images/{path}" for path in paths]
    assert 5 <= sum(labels[:20]) <= 15
    assert BUILDERS["cub-200-2011"](tmp_path, counts=None).lists["database"] == database


@pytest.mark.parametrize(
    ("name", "kind", "training", "layout"),
    [
        ("fgvc-aircraft", "FGVCAircraft", ["trainval"], planes),
        ("food-101", "Food101", ["train"], dishes),
        ("flowers-102", "Flowers102", ["train", "val"], blossoms),
        ("stanford-cars", "StanfordCars", ["train"], autos),
        ("oxford-pets", "OxfordIIITPet", ["trainval"], animals),
    ],
)
def test_rows_are_torchvisions(name, kind, training, layout, tmp_path, monkeypatch):
    """The same images of classes of the same name as torchvision reads from the same files; queries in its order."""
    monkeypatch.setattr(Flowers102, "_check_integrity", lambda self: True)  # of the published label files
    (tmp_path / OFFICIAL[name].folder).mkdir()
    layout(tmp_path / OFFICIAL[name].folder)
    if name == "food-101":
        write(tmp_path, {"food-101/meta/test.json": '{"apple_pie": [], "waffles": ["waffles/8"]}'})

    def read(splits: list[str]) -> list[tuple[str, str]]:
        rows = []
        for split in splits:
            data = getattr(torchvision.datasets, kind)(tmp_path, split=split)
            files = getattr(data, "_image_files", None) or getattr(data, "_images", None)
            samples = zip(files, data._labels, strict=True) if files else data._samples
            rows += [(Path(file).relative_to(tmp_path).as_posix(), data.classes[label]) for file, label in samples]
        return rows

    split = BUILDERS[name](tmp_path, counts=None)
    for ours, theirs in (("train", read(training)), ("query", read(["test"]))):
        rows = [(path, split.classes[label]) for path, (label,) in split.lists[ours]]
        if ours == "train":
            rows, theirs = sorted(rows), sorted(theirs)
        assert [path for path, _ in rows] == [path for path, _ in theirs]
        spelt = [label.replace("_", " ").casefold() for _, label in theirs]  # Apple Pie, apple_pie, apple pie
        assert [label.casefold() for _, label in rows] == spelt


def test_published_counts_add_up():
    """Totals of the publishers: ExchNet Sec. 4.1's five, and the pages of the other three."""
    totals = {name: sum(official.counts[1:]) for name, official in OFFICIAL.items()}
    assert totals == {
        "cub-200-2011": 11_788,
        "fgvc-aircraft": 100 * 100,
        "nabirds": 48_562,
        "vegfru": 160_731 - 50 * 292,  # without its validation images, 50 of each class
        "food-101": 101 * 1000,
        "flowers-102": 8_189,
        "stanford-cars": 16_185,
        "oxford-pets": 7_349,
    }
    assert OFFICIAL["food-101"].counts == (101, 101 * 750, 101 * 250)
    assert OFFICIAL["flowers-102"].counts == (len(Flowers102.classes), 2 * 10 * 102, 6_149)
    assert OFFICIAL["vegfru"].counts[1] == 100 * 292


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("cub-200-2011", "image_class_labels.txt", "1 1\n2 one\n3 2\n4 2\n", r"labels\.txt:2: class 'one'; expected"),
        ("cub-200-2011", "images.txt", "1 a.jpg\n2\n", r"images\.txt:2: '2'; expected 'image path'"),
        ("cub-200-2011", "images.txt", "1 001.Laysan_Albatross/a.jpg\n", r"other images \(1, 4 and 4\)"),
        ("cub-200-2011", "classes.txt", "1 001.Laysan_Albatross\n", "images of class 2, which has no name"),
        ("fgvc-aircraft", "data/images_variant_test.txt", "\n7 Concorde\n", r"test\.txt:2: 'Concorde' is no variant"),
        ("food-101", "meta/test.txt", "soup/1\n", r"test\.txt:1: 'soup' is no class of classes"),
        ("flowers-102", "imagelabels.mat", "no matrices", r"cannot read 'labels' of .*imagelabels\.mat"),
        ("oxford-pets", "annotations/test.txt", "Abyssinian_1 x 1 1\n", r"test\.txt:1: class 'x'"),
    ],
)
def test_a_damaged_file_is_named(name, file, text, message, tmp_path):
    LAYOUTS[name][0](tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        BUILDERS[name](tmp_path, counts=None)
    assert "\n" not in str(error.value)


def test_an_image_beyond_the_labels_is_told(tmp_path):
    blossoms(tmp_path)
    scipy_io.savemat(tmp_path / "setid.mat", {"trnid": [[2, 7]], "valid": [[3]], "tstid": [[1]]})
    with pytest.raises(ValueError, match="lists image 7 and imagelabels.mat has 6 labels"):
        BUILDERS["flowers-102"](tmp_path, counts=None)


def test_cars_as_copied_elsewhere(tmp_path):
    """Images one folder deeper, the labels of the test images in the devkit; without these, where to get them."""
    autos(tmp_path)
    for part in ("cars_train", "cars_test"):
        (tmp_path / part / part).mkdir()
        for image in ("00001.jpg", "00002.jpg"):
            (tmp_path / part / image).rename(tmp_path / part / part / image)
    labels = tmp_path / "cars_test_annos_withlabels.mat"
    labels.rename(tmp_path / "devkit" / labels.name)
    split = BUILDERS["stanford-cars"](tmp_path, counts=None)
    assert split.lists["query"][0] == ("cars_test/cars_test/00001.jpg", (1,))
    (tmp_path / "devkit" / labels.name).unlink()
    with pytest.raises(ValueError, match="withlabels.mat .* says where to get it"):
        BUILDERS["stanford-cars"](tmp_path, counts=None)


def test_written_lists_read_back(tmp_path):
    birds(tmp_path / "CUB_200_2011")
    write_split(BUILDERS["cub-200-2011"](tmp_path, counts=None), tmp_path / "lists", tmp_path)
    manifest = read_manifest(tmp_path / "lists")
    queries = read_list(tmp_path / "lists" / "test.txt")
    assert queries.values[:, 0].tolist() == [0, 1]
    assert (Path(manifest["images"]) / queries.paths[0]).is_file()


# ---------------------------------------------------------------- downloads


def unpacks(layout, folder):
    """A stand-in for torchvision's download_and_extract_archive that leaves what the archive holds."""

    def download_and_extract_archive(url, download_root, **settings):
        layout(Path(download_root) / folder)

    return download_and_extract_archive


def refuses(*given, **settings):
    raise urllib.error.URLError("no connection")


def test_archives_are_torchvisions():
    """The addresses that messages give are those that torchvision asks."""
    sets = torchvision.datasets
    prefix, files = Flowers102._download_url_prefix, Flowers102._file_dict
    assert {download.kind: set(download.archives) for download in DOWNLOADED} == {
        "FGVCAircraft": {sets.FGVCAircraft._URL},
        "Food101": {sets.Food101._URL},
        "Flowers102": {prefix + file for file, _ in files.values()},
        "OxfordIIITPet": {url for url, _ in sets.OxfordIIITPet._RESOURCES},
    }
    assert sets.CIFAR10.url == CIFAR10
    assert DOWNLOADS.keys() == {download.official.name for download in DOWNLOADED} | {"stanford-cars", "cifar10"}


@pytest.mark.parametrize(
    ("name", "module", "layout", "folder"),
    [
        ("fgvc-aircraft", "fgvc_aircraft", planes, "fgvc-aircraft-2013b"),
        ("food-101", "food101", dishes, "food-101"),
        ("oxford-pets", "oxford_iiit_pet", animals, ""),
    ],
)
def test_downloaded_then_built(name, module, layout, folder, tmp_path, monkeypatch):
    where = f"torchvision.datasets.{module}.download_and_extract_archive"
    monkeypatch.setattr(where, unpacks(layout, folder))
    DOWNLOADS[name](tmp_path)
    monkeypatch.setattr(where, refuses)
    DOWNLOADS[name](tmp_path)  # asks for nothing more
    assert [path.name for path in tmp_path.iterdir()] == [OFFICIAL[name].folder]
    assert BUILDERS[name](tmp_path, counts=None).classes == LAYOUTS[name][3]


def test_flowers_downloaded_then_built(tmp_path, monkeypatch):
    def extract(url, download_root, **settings):
        blossoms(Path(download_root))

    def download(url, root, md5=None):
        digest = hashlib.md5((Path(root) / Path(url).name).read_bytes()).hexdigest()
        key = "label" if "label" in url else "setid"
        files = Flowers102._file_dict | {key: (Path(url).name, digest)}
        monkeypatch.setattr(Flowers102, "_file_dict", files)

    monkeypatch.setattr("torchvision.datasets.flowers102.download_and_extract_archive", extract)
    monkeypatch.setattr("torchvision.datasets.flowers102.download_url", download)
    DOWNLOADS["flowers-102"](tmp_path)
    assert BUILDERS["flowers-102"](tmp_path, counts=None).classes == LAYOUTS["flowers-102"][3]


@pytest.mark.parametrize("download", DOWNLOADED, ids=lambda download: download.kind)
def test_no_connection_is_one_sentence(download, tmp_path, monkeypatch):
    module = getattr(torchvision.datasets, download.kind).__module__
    monkeypatch.setattr(f"{module}.download_and_extract_archive", refuses)
    with pytest.raises(OSError, match="could not be downloaded from") as error:
        download(tmp_path)
    message = str(error.value)
    for part in (download.official.title, *download.archives, "(no connection)", "by hand"):
        assert part in message
    assert str(tmp_path / download.official.folder / download.official.marker) in message
    assert "\n" not in message
    assert not (tmp_path / download.official.folder).exists()


def test_what_an_interruption_leaves_is_not_taken_for_whole(tmp_path, monkeypatch):
    """torchvision takes a folder that exists for a data set that is there."""
    whole = unpacks(dishes, "food-101")

    def interrupted(url, download_root, **settings):
        whole(url, download_root)
        (Path(download_root) / "food-101" / "images" / "waffles" / "8.jpg").unlink()
        (Path(download_root) / "food-101.tar.gz").write_text("whole, by its checksum")
        raise KeyboardInterrupt

    monkeypatch.setattr("torchvision.datasets.food101.download_and_extract_archive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        DOWNLOADS["food-101"](tmp_path)
    assert not (tmp_path / "food-101").exists()
    kept = []

    def resumed(url, download_root, **settings):
        kept.extend(path.name for path in Path(download_root).iterdir())
        whole(url, download_root)

    monkeypatch.setattr("torchvision.datasets.food101.download_and_extract_archive", resumed)
    DOWNLOADS["food-101"](tmp_path)
    assert kept == ["food-101.tar.gz"]  # not asked for again; torchvision compares its checksum
    assert (tmp_path / "food-101" / "images" / "waffles" / "8.jpg").is_file()


def test_a_cut_off_aircraft_archive_is_downloaded_again(tmp_path, monkeypatch):
    """torchvision has no checksum of it and would unpack whatever is there."""
    archive = tmp_path / ".fgvc-aircraft.partial" / "fgvc-aircraft-2013b.tar.gz"
    write(archive.parent, {archive.name: "cut off"})
    found = []

    def download(url, download_root, **settings):
        found.append(archive.exists())
        unpacks(planes, "fgvc-aircraft-2013b")(url, download_root)

    monkeypatch.setattr("torchvision.datasets.fgvc_aircraft.download_and_extract_archive", download)
    DOWNLOADS["fgvc-aircraft"](tmp_path)
    assert found == [False]


def test_a_folder_in_the_way_is_left_alone(tmp_path):
    write(tmp_path, {"food-101/notes.txt": "mine"})
    with pytest.raises(OSError, match=r"food-101 is in the way and has no meta/train.txt; rename or remove it"):
        DOWNLOADS["food-101"](tmp_path)
    assert (tmp_path / "food-101/notes.txt").read_text() == "mine"


def test_stanford_cars_have_no_download(tmp_path):
    with pytest.raises(OSError, match="Stanford Cars cannot be downloaded") as error:
        DOWNLOADS["stanford-cars"](tmp_path)
    assert "https://github.com/pytorch/vision/issues/7545" in str(error.value)
    assert str(tmp_path / "stanford_cars") in str(error.value)
    autos(tmp_path)
    DOWNLOADS["stanford-cars"](tmp_path)  # they are there


CLASSES = ["airplane", "cat"]


@pytest.fixture
def batches(monkeypatch):
    """torchvision's CIFAR10 with two tiny batches of four and two images, which its download leaves; the pixels."""
    rng = np.random.default_rng(0)
    pixels = {part: rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8) for part, n in (("train", 4), ("test", 2))}
    contents = {
        "data_batch_1": {"data": pixels["train"].reshape(4, -1), "labels": [1, 0, 0, 1]},
        "test_batch": {"data": pixels["test"].reshape(2, -1), "labels": [0, 1]},
        "batches.meta": {"label_names": CLASSES},
    }
    files = {name: pickle.dumps(content) for name, content in contents.items()}
    digests = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    kind = torchvision.datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", [["data_batch_1", digests["data_batch_1"]]])
    monkeypatch.setattr(kind, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": digests["batches.meta"]})

    def download(url, root, **settings):
        folder = Path(root) / kind.base_folder
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", download)
    return {part: values.transpose(0, 2, 3, 1) for part, values in pixels.items()}


def pngs(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))


WRITTEN = [
    "test/airplane/00000.png",
    "test/cat/00001.png",
    "train/airplane/00001.png",
    "train/airplane/00002.png",
    "train/cat/00000.png",
    "train/cat/00003.png",
]


def test_cifar10_becomes_lossless_files(batches, tmp_path):
    DOWNLOADS["cifar10"](tmp_path)
    assert pngs(tmp_path) == WRITTEN
    for name in WRITTEN:
        part, row = name.split("/")[0], int(Path(name).stem)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / name)), batches[part][row])
    assert not (tmp_path / ".png.partial").exists()


def test_cifar10_goes_on_where_it_was_interrupted(batches, tmp_path, monkeypatch):
    save, saved = Image.Image.save, []

    def counted(self, file, **settings):
        if len(saved) == 3:
            raise KeyboardInterrupt
        saved.append(Path(file).stem)
        save(self, file, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", counted)
        with pytest.raises(KeyboardInterrupt):
            DOWNLOADS["cifar10"](tmp_path)
    assert not (tmp_path / "train").exists()  # never a part of it
    stamps = {path.stem: path.stat().st_mtime_ns for path in (tmp_path / ".png.partial").rglob("*.png")}
    assert sorted(stamps) == ["00000", "00001", "00002"]
    DOWNLOADS["cifar10"](tmp_path)
    assert pngs(tmp_path) == WRITTEN
    after = {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "train").rglob("*.png")}
    assert {stem: after[stem] for stem in stamps} == stamps  # not written again


def test_cifar10_that_is_there_asks_for_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuses)
    write(tmp_path, {"train/cat/0.png": "", "test/cat/0.png": ""})
    DOWNLOADS["cifar10"](tmp_path)
    assert pngs(tmp_path) == ["test/cat/0.png", "train/cat/0.png"]


def test_cifar10_without_connection(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuses)
    with pytest.raises(OSError, match="CIFAR-10 could not be downloaded from https.*no connection.*by hand") as error:
        DOWNLOADS["cifar10"](tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_full_disk_is_told(batches, tmp_path, monkeypatch):
    def full(self, file, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="cannot write the images .*No space left on device.*it goes on from there"):
        DOWNLOADS["cifar10"](tmp_path)

"""The catalogue: every data set is named once, told truly, and prepared by one call."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cscelab.datasets import catalog
from cscelab.datasets.builders.cifar10 import PROTOCOLS
from cscelab.datasets.builders.finegrained import OFFICIAL
from cscelab.datasets.catalog import CATALOG, is_prepared, prepare, state
from cscelab.datasets.lists import ListFiles
from cscelab.datasets.splitfiles import SplitLists
from cscelab.profiles import PROFILES

ROOT = Path(__file__).parent.parent
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "data"))


class Names:
    """An ImageStore of CIFAR-10's 60,000 names: files would take half a minute to write."""

    def __init__(self, root: Path) -> None:
        self.path = root

    def names(self) -> list[str]:
        parts = (("test", 1000), ("train", 5000))
        return [f"{part}/{name}/{i:04d}.png" for part, count in parts for name in CLASSES for i in range(count)]


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "ImageStore", Names)
    (tmp_path / "cifar").mkdir()
    return tmp_path / "cifar"


@pytest.fixture
def four(tmp_path, monkeypatch):
    """A data set of four names in place of COCO's."""

    def lists(root, seed, progress):
        rows = [(f"{i}.png", (i % 2,)) for i in np.random.default_rng(seed).permutation(4).tolist()]
        drawn = {"train": rows[2:], "query": rows[:2], "database": rows[2:]}
        return SplitLists("coco", "a protocol", ("a", "b"), drawn, seed=seed)

    monkeypatch.setitem(CATALOG, "coco", replace(CATALOG["coco"], prepare=lists))
    (tmp_path / "four").mkdir()
    return tmp_path / "four"


class TestCatalog:
    def test_every_data_set_is_there_and_says_what_it_is(self):
        named = "imagenet100 coco nus-wide nus-wide-81 mirflickr25k cifar10 cifar10-59000 cifar10-50000 cub-200-2011 "
        named += "fgvc-aircraft nabirds vegfru food-101 flowers-102 stanford-cars oxford-pets"
        assert set(named.split()) <= CATALOG.keys()
        for name, one in CATALOG.items():
            assert one.name == name
            assert one.home.startswith("https://")
            assert one.licence_page is None or one.licence_page.startswith(("https://", "license_agreement.txt in its"))
            assert one.protocol
            assert one.how.endswith(".")
            train, queries, database = one.counts
            assert min(train, queries) > 0
            if database is not None:  # either the training images are the rest, or they are in the database, or both
                assert one.images in (database + queries, database + queries + train)

    def test_protocols_and_official_counts_are_those_of_the_builders(self):
        for name, text in PROTOCOLS.items():
            said = {int(number.replace(",", "")) for number in re.findall(r"\d+,\d{3}", text)}
            assert said == set(CATALOG[name].counts)
        for name, official in OFFICIAL.items():
            _, train, test = official.counts
            assert CATALOG[name].counts == (train, test, train)

    def test_profiles_read_the_folders_that_prepare_writes(self):
        for profile in PROFILES.values():
            for benchmark in {**profile.benchmarks, **profile.finegrained, **profile.further}.values():
                if isinstance(benchmark.data, ListFiles):
                    assert Path(benchmark.data.root).name in CATALOG

    def test_the_readme_has_a_row_for_each(self):
        readme = (ROOT / "data" / "README.md").read_text()
        for name, one in CATALOG.items():
            (row,) = [line for line in readme.splitlines() if line.startswith("|") and f"| `data/{name}/` |" in line]
            for count in one.counts:
                assert count is None or f"{count:,}" in row
            assert one.home in row


class TestPrepare:
    @pytest.mark.parametrize(("name", "counts"), [(name, CATALOG[name].counts) for name in PROTOCOLS])
    def test_cifar10_in_its_three_protocols(self, cifar, tmp_path, name, counts):
        assert not is_prepared(name)
        assert state(name) == ""
        manifest = prepare(name, cifar, seed=5, download=False)
        assert is_prepared(name)
        assert state(name) == "prepared"
        lists = manifest["lists"]
        assert tuple(lists[split]["images"] for split in ("train", "query", "database")) == counts
        assert manifest["classes"] == list(CLASSES)
        assert manifest["seed"] == (None if name == "cifar10-50000" else 5)
        assert json.loads((tmp_path / "data" / name / "manifest.json").read_text()) == manifest

    @pytest.mark.parametrize("name", PROTOCOLS)
    def test_cifar10s_databases_are_shuffled(self, cifar, tmp_path, name):
        """One class after another would favour the first among ties; so nine in ten neighbours are of two classes."""
        texts = {}
        for seed in (0, 0, 1):
            prepare(name, cifar, tmp_path / "out", seed=seed, download=False)
            written = {file.stem: file.read_text().splitlines() for file in (tmp_path / "out").glob("*.txt")}
            assert texts.setdefault(seed, written) == written
        classes = [line.split()[1] for line in texts[0]["database"]]
        runs = 1 + sum(one != other for one, other in itertools.pairwise(classes))
        assert runs > 0.85 * len(classes)
        if name == "cifar10-50000":
            assert texts[0] == texts[1]  # nothing is drawn
            assert texts[0]["train"] == texts[0]["database"]
        else:
            assert texts[0]["database"] != texts[1]["database"]

    def test_cifar10_from_its_archive(self, shared_file, tmp_path):
        """The lists that the README's table was measured on: everybody's queries and training images of seed 0."""
        archive = shared_file("data/cifar10-jpeg.zip")
        lists = prepare("cifar10", archive, tmp_path / "out")["lists"]
        assert lists["train"]["sha256"].startswith("d516f63b9500b2bf")
        assert lists["query"]["sha256"].startswith("276fa2012c5c2787")
        database = (tmp_path / "out" / "database.txt").read_text().splitlines()
        assert len(set(database)) == 54_000
        taken = [(tmp_path / "out" / file).read_text().splitlines() for file in ("train.txt", "test.txt")]
        assert set(database).isdisjoint(line for lines in taken for line in lines)

    def test_the_seed_is_that_of_the_draw_and_out_is_where_the_lists_go(self, four, tmp_path):
        texts = {}
        for label, seed in {"a": 0, "b": 0, "c": 1}.items():
            prepare("coco", four, tmp_path / label, seed)
            texts[label] = (tmp_path / label / "train.txt").read_text()
        assert texts["a"] == texts["b"] != texts["c"]
        assert not is_prepared("coco")

    def test_only_an_empty_root_or_a_stopped_download_is_filled(self, tmp_path, monkeypatch):
        asked = []

        def download(root):
            asked.append(root.name)
            raise OSError("no connection; call again")

        for key in ("cifar10", "food-101"):
            monkeypatch.setitem(catalog.DOWNLOADS, key, download)
        for folder, content in {"empty": None, "stopped": ".food-101.partial", "full": "holiday.jpg"}.items():
            (tmp_path / folder).mkdir()
            if content:
                (tmp_path / folder / content).mkdir()
        for name in ("food-101", "cifar10-59000"):
            for folder in ("empty", "stopped", "absent"):
                with pytest.raises(OSError, match="no connection"):
                    prepare(name, tmp_path / folder)
        assert asked == 2 * ["empty", "stopped", "absent"]
        with pytest.raises(ValueError, match="full"):
            prepare("food-101", tmp_path / "full")
        with pytest.raises(ValueError, match="empty"):
            prepare("food-101", tmp_path / "empty", download=False)
        with pytest.raises(ValueError, match=r"absent does not exist; expected .*: downloaded into an empty --root"):
            prepare("food-101", tmp_path / "absent", download=False)
        assert len(asked) == 6

    def test_lists_of_other_making_are_not_written_over(self, four, tmp_path):
        own = tmp_path / "data" / "coco" / "train.txt"
        own.parent.mkdir(parents=True)
        own.write_text("a.png 0\n")
        assert state("coco") == "own lists"
        with pytest.raises(ValueError, match=r"lists that were not written by cscelab data prepare; move them into"):
            prepare("coco", four)
        assert own.read_text() == "a.png 0\n"

    def test_images_that_have_gone_and_a_damaged_manifest_are_told(self, four, tmp_path):
        prepare("coco", four)
        assert state("coco") == "prepared"
        prepare("coco", four, seed=1)  # what was written here may be written again
        four.rmdir()
        assert state("coco") == "no images"
        (tmp_path / "data" / "coco" / "manifest.json").write_text("{")
        assert state("coco") == "unreadable"
        four.mkdir()
        prepare("coco", four)  # as the message of the damaged manifest says
        assert state("coco") == "prepared"

    def test_mistakes_are_one_sentence(self, tmp_path):
        with pytest.raises(ValueError, match="unknown data set 'mnist'; choose from imagenet100, coco"):
            prepare("mnist", tmp_path)
        with pytest.raises(ValueError, match="seed is -1; choose a whole number from 0"):
            prepare("coco", tmp_path, seed=-1)
        Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match="has no class folders with images; expected CIFAR-10's ten, tr") as error:
            prepare("cifar10", tmp_path)
        assert str(error.value).endswith(
            "; to get CIFAR-10: downloaded into an empty --root; a folder or zip of train/CLASS, test/CLASS does as "
            "well (cscelab data list cifar10 tells the layout)"
        )
        with pytest.raises(
            ValueError, match=r"no vegfru_list.*; to get VegFru: unpack its archive, so that vegfru/ is"
        ):
            prepare("vegfru", tmp_path)

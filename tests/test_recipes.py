"""Named experiments: every method on every data set of a profile, rows whose trunk is their own, alternation."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

from cscelab.datasets import Aviary, Folder, load_data
from cscelab.methods import METHODS
from cscelab.model.backbone import BackboneConfig
from cscelab.owndata import parse_data, split_lists
from cscelab.profiles import PROFILES, SINGLE
from cscelab.recipes import (
    EXCHNET_RECIPES,
    EXCHNET_ROWS,
    METHODS_BY_RECIPE,
    OWN_TRUNKS,
    PART_SWEEP,
    TABLE1,
    UNSUPERVISED,
    describe,
    recipe,
    titled,
)


def test_every_method_is_a_recipe_of_its_name():
    assert METHODS.keys() <= METHODS_BY_RECIPE.keys()
    for name, config in METHODS.items():
        assert type(METHODS_BY_RECIPE[name]) is config
    assert sorted(UNSUPERVISED) == ["cibhash", "itq", "lsh"]


def test_a_recipe_on_scenes_is_the_same_experiment_on_several_labels():
    single, scenes = (recipe("dhn", "quick", 32, 1, on) for on in (SINGLE, "scenes"))
    assert scenes == replace(single, name="scenes/dhn/32", data=replace(single.data, scenes=True))
    assert single.name == "dhn/32"
    assert not single.data.scenes


def test_a_recipe_takes_the_data_depth_and_trunk_of_the_profile():
    coco = recipe("csq", "paper", 64, on="coco")
    assert (coco.map_at, coco.method.backbone.name, coco.data.root.split("/")[-1]) == (5000, "resnet50", "coco")
    assert coco.name == "coco/csq/64"
    with pytest.raises(
        ValueError, match=r"'quick' has no benchmark 'coco'; choose from \['scenes', 'single', 'species40'\]"
    ):
        recipe("csq", "quick", on="coco")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("name", "method", "trunk"), [(name, *of) for name, of in OWN_TRUNKS.items()])
def test_a_trunk_of_its_own_is_kept_under_every_profile(profile, name, method, trunk):
    own, plain = (recipe(each, profile, 32).method for each in (name, method))
    assert own.backbone.name == trunk
    assert replace(own, backbone=plain.backbone) == plain
    assert plain.backbone == PROFILES[profile].backbone


FOLDERS = {
    "cub": "cub-200-2011", "aircraft": "fgvc-aircraft", "nabirds": "nabirds", "vegfru": "vegfru", "food101": "food-101",
}  # fmt: skip


class TestFineGrained:
    """ExchNet's data sets and training (Sec. 4.1), and their stand-in among the drawn birds."""

    def test_the_paper_profile_has_all_five_at_its_four_lengths(self):
        assert list(PROFILES["paper"].finegrained) == list(FOLDERS)
        for profile in ("quick", "standard", "paper"):
            assert PROFILES[profile].finegrained_lengths == (12, 24, 32, 48)

    @pytest.mark.parametrize("bits", [12, 24, 32, 48])
    @pytest.mark.parametrize("name", ["exchnet", "adsh", *EXCHNET_RECIPES])
    @pytest.mark.parametrize("on", FOLDERS)
    def test_alternating_methods_are_trained_as_the_paper_says(self, on, name, bits):
        one = recipe(name, "paper", bits, 1, on)
        assert (one.name, one.bits, one.seed, one.map_at) == (f"{on}/{name}/{bits}", bits, 1, None)
        assert one.method.backbone == BackboneConfig("resnet50")
        assert one.method.samples == (4000 if on in ("nabirds", "vegfru") else 2000)
        assert one.method.passes == 20
        training = one.training
        assert (training.epochs, training.batch_size, training.optimizer) == (100, 64, "sgd")
        assert (training.lr, training.weight_decay, training.schedule) == (1e-3, 1e-4, "steps")

    @pytest.mark.parametrize(("on", "folder"), FOLDERS.items())
    def test_queries_are_the_test_list_and_the_database_is_the_training_list(self, on, folder):
        data = recipe("exchnet", "paper", 12, on=on).data
        root = Path(data.root)
        assert root.name == folder
        assert [Path(path) for path in (data.train, data.query, data.database)] == [
            root / "train.txt", root / "test.txt", root / "train.txt",
        ]  # fmt: skip
        assert (data.resize, data.image_size) == (256, 224)
        readme = (ROOT / "data" / "README.md").read_text()
        assert f"| `{on}` | `data/{folder}/` |" in readme

    def test_other_methods_keep_the_training_of_the_profile_there(self):
        assert recipe("hashnet", "paper", 12, on="cub").training == PROFILES["paper"].training
        assert recipe("hashnet", "quick", 12, on="species40").training == PROFILES["quick"].training

    def test_a_data_sets_own_samples_are_for_it_alone(self):
        own = {on: one.samples for on, one in (PROFILES["paper"].benchmarks | PROFILES["paper"].finegrained).items()}
        assert {on: samples for on, samples in own.items() if samples} == {"nabirds": 4000, "vegfru": 4000}
        assert recipe("adsh", "paper", 16).method.samples == 2000
        assert recipe("adsh", "paper", 16, on="coco").method.samples == 2000

    @pytest.mark.parametrize("profile", ["quick", "standard", "smoke"])
    def test_species40_is_the_profiles_birds_with_the_training_images_as_the_database(self, profile):
        plain, own = (recipe("exchnet", profile, 24, on=on) for on in (SINGLE, "species40"))
        classes = 4 if profile == "smoke" else 40
        assert own == replace(
            plain, name="species40/exchnet/24", data=replace(plain.data, n_classes=classes, database=None)
        )
        assert own.method.samples < own.data.train
        assert own.training == PROFILES[profile].alternation.training

    def test_the_variants_differ_from_exchnet_in_what_they_say(self):
        assert set(EXCHNET_ROWS.values()) | set(PART_SWEEP.values()) <= METHODS_BY_RECIPE.keys()
        whole = METHODS_BY_RECIPE["exchnet"]
        assert whole == METHODS["exchnet"]()
        assert METHODS_BY_RECIPE["exchnet/no-exchange"] == replace(whole, exchange_from=1.0)
        free = replace(whole, spatial_weight=0.0, channel_weight=0.0)
        assert METHODS_BY_RECIPE["exchnet/no-constraints"] == free
        for parts, name in PART_SWEEP.items():
            assert METHODS_BY_RECIPE[name] == replace(whole, n_parts=parts)
        assert list(PART_SWEEP) == [2, 4, 6]


class TestDataOnTheCommandLine:
    def test_class_folders_are_taken_by_their_whole_path(self, tmp_path, monkeypatch):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / "pets" / name / "1.png")
        monkeypatch.chdir(tmp_path)
        whole = Folder(str(tmp_path / "pets"), image_size=32, train=8, query=2, database=4)
        assert parse_data("folder:pets", Aviary(), 32, 8, 2, 4) == whole
        assert parse_data("folder:pets", Aviary()) == Folder(str(tmp_path / "pets"))

    def test_a_name_that_is_none_is_said_before_sizes_that_do_not_go_with_it(self):
        for name in ("pets", "folder:", "unlabelled:", "lists:", "aviary:2"):
            with pytest.raises(ValueError, match=f"unknown data set '{name}'; give 'aviary', .* 'unlabelled:PATH'"):
                parse_data(name, Aviary(), 32)
        with pytest.raises(ValueError, match="sizes were given for 'scenes', but they are for photographs"):
            parse_data("scenes", Aviary(), 32)
        assert parse_data("scenes", Aviary(n_classes=4)) == Aviary(n_classes=4, scenes=True)


def test_a_profile_finds_its_data_sets_by_name():
    quick = PROFILES["quick"]
    assert quick.find(SINGLE) == quick.benchmarks[SINGLE]
    assert quick.find("species40") is quick.finegrained["species40"]
    with pytest.raises(ValueError, match="the profile has no benchmark 'cub'; choose from .*'species40'"):
        quick.find("cub")


def test_titles_name_a_trunk_of_its_own_and_are_all_different():
    assert titled(METHODS_BY_RECIPE["csce-vgg16"]) == "CSCE-Net (VGG16)"
    assert titled(METHODS_BY_RECIPE["transhash-vit"]) == "TransHash (ViT)"
    assert titled(recipe("csce", "paper").method) == "CSCE-Net"
    assert [titled(method) for method in TABLE1.values()] == list(TABLE1)
    assert len(TABLE1) == len(METHODS) + len(OWN_TRUNKS)
    assert "backbone" not in describe()["cibhash-gcvit"]
    assert describe()["cibhash-gcvit"].startswith("CIBHash (GCViT-XXT) (")


def test_a_folder_of_lists_is_a_data_set(tmp_path):
    for name in ("train", "test"):
        (tmp_path / f"{name}.txt").write_text("a.jpg 0\n")
    found = parse_data(f"lists:{tmp_path}", Aviary(), 32)
    assert found == split_lists(tmp_path, 32)
    assert (found.image_size, found.resize, found.root) == (32, 32, str(tmp_path))
    assert found.query.endswith("test.txt")
    assert found.database == found.train  # where there is no list of its own
    (tmp_path / "database.txt").write_text("b.jpg 0\n")
    paper = parse_data(f"lists:{tmp_path}", Aviary())
    assert (paper.image_size, paper.resize) == (224, 256)
    assert paper.database.endswith("database.txt")
    with pytest.raises(ValueError, match="sizes were given beside 'lists:.*; leave out all but --image-size"):
        parse_data(f"lists:{tmp_path}", Aviary(), None, 5)
    (tmp_path / "test.txt").unlink()
    with pytest.raises(ValueError, match="has no test.txt; give a folder that cscelab data prepare wrote"):
        parse_data(f"lists:{tmp_path}", Aviary())


@pytest.mark.parametrize(("n", "held_out"), [(4, 2), (14, 2), (39, 3), (4999, 499), (5000, 500), (5010, 500)])
def test_a_tenth_of_a_list_is_for_validation_and_five_hundred_at_most(tmp_path, n, held_out):
    (tmp_path / "train.txt").write_text("".join(f"{i}.jpg {i % 2}\n\n" for i in range(n)))  # blank lines do not count
    (tmp_path / "test.txt").write_text("q.jpg 0\n")
    assert split_lists(tmp_path).validation == held_out


def test_a_few_listed_pictures_are_loaded(tmp_path):
    for name in ("a", "b", "c", "d", "q"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    (tmp_path / "train.txt").write_text("a.png 0\nb.png 1\nc.png 0\nd.png 1\n")
    (tmp_path / "test.txt").write_text("q.png 0\n")
    splits = load_data(split_lists(tmp_path, 8), tmp_path / "data", progress=False)
    assert (len(splits.train), len(splits.validation), len(splits.database)) == (2, 2, 4)


@pytest.mark.parametrize("arguments", ["recipes", "--help"])
def test_a_reader_that_has_gone_ends_a_command_quietly(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "cscelab", arguments]
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (141, "")

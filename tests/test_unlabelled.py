"""Folders without labels: splits, altered copies, what finding originals is worth, damaged files, refusals, a run."""

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cscelab.cli import main
from cscelab.datasets import Folder, Unlabelled, folder_fingerprint, imagecache, load_data
from cscelab.datasets.decoding import decode
from cscelab.datasets.loader import as_tensor
from cscelab.datasets.unlabelled import AREA, BRIGHTNESS, MEASURED, altered, choose, load_unlabelled
from cscelab.dsf import sign
from cscelab.evaluate import evaluate, mean_average_precision
from cscelab.experiment import Experiment, run
from cscelab.figures.provenance import describe
from cscelab.methods import METHODS
from cscelab.methods.csq import CSQConfig
from cscelab.methods.itq import ITQConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.owndata import parse_data, photographs
from cscelab.recipes import METHODS_BY_RECIPE, UNSUPERVISED, recipe

SPLITS = ("train", "validation", "query", "database")
N = 20


def colour(number: int) -> np.ndarray:
    """One of 27 colours: each channel 30, 100 or 255."""
    return np.array([(30, 100, 255)[number // 3**i % 3] for i in range(3)], np.uint8)


def write(path: Path, number: int) -> None:
    """A picture of one colour, a little brighter on the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = np.linspace(0.95, 1, 40)[:, None]
    Image.fromarray(np.broadcast_to((shade * colour(number)).astype(np.uint8), (32, 40, 3)).copy()).save(path)


@pytest.fixture
def photos(tmp_path) -> Path:
    """A flat folder of N pictures but for three in subfolders."""
    folder = tmp_path / "photos"
    for number in range(N - 3):
        write(folder / f"{number:02}.png", number)
    for number, inner in zip(range(N - 3, N), ("spring", "spring/may", "winter"), strict=True):
        write(folder / inner / f"{number}.png", number)
    return folder


def split_of(splits, name: str):
    return getattr(splits, name)


def naive(query_codes, query_labels, query_ids, codes, labels, ids) -> float:
    """Mean over queries of 1 / rank of the only relevant item, the mean over all orders of tied items."""
    found = []
    for code, label, own in zip(query_codes, query_labels, query_ids, strict=True):
        others = [(int((code != c).sum()), c_label == label) for c, c_label, i in zip(codes, labels, ids, strict=True)
                  if i != own]  # fmt: skip
        (distance,) = [d for d, relevant in others if relevant]
        nearer = sum(d < distance for d, _ in others)
        tied = sum(d == distance for d, _ in others)
        found.append(float(np.mean([1 / (nearer + place) for place in range(1, tied + 1)], dtype=np.float64)))
    return float(np.mean(found, dtype=np.float64))


def random_codes(n: int, bits: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (n, bits))


class TestSplits:
    def test_every_image_is_in_the_database_and_is_learned_from_or_held_out(self, photos, tmp_path):
        splits = load_unlabelled(Unlabelled(str(photos), 16, validation=4, query=3), tmp_path)
        names = sorted(p.relative_to(photos).as_posix() for p in photos.rglob("*.png"))
        assert splits.class_names == tuple(names) == tuple(splits.database.attributes["path"])
        assert {name: len(split_of(splits, name)) for name in SPLITS} == {
            "train": 13, "validation": 8, "query": 3, "database": 20,
        }  # fmt: skip
        held = {name: set(split_of(splits, name).labels.tolist()) for name in SPLITS}
        assert held["train"] | held["validation"] | held["query"] == held["database"] == set(range(N))
        assert len(held["train"]) + len(held["validation"]) + len(held["query"]) == N
        for name in SPLITS:
            images = split_of(splits, name)
            assert images.labels.dtype == np.int64
            assert [names[label] for label in images.labels] == images.attributes["path"].tolist()
        assert splits.validation.attributes["altered"].tolist() == [False] * 4 + [True] * 4
        assert splits.query.attributes["altered"].all()
        assert not splits.train.attributes["altered"].any()

    def test_an_id_is_one_image_and_copies_have_their_own(self, photos, tmp_path):
        splits = load_unlabelled(Unlabelled(str(photos), 16, validation=4, query=3), tmp_path)
        assert sorted(splits.database.ids.tolist()) == list(range(N))
        assert (np.diff(splits.database.ids) < 0).any()  # equal distances must not favour the first names
        by_id: dict[int, bytes] = {}
        for name in SPLITS:
            images = split_of(splits, name)
            for row in range(len(images)):
                pixels = np.asarray(images.images[np.array([row])]).tobytes()
                assert by_id.setdefault(int(images.ids[row]), pixels) == pixels
        assert len(by_id) == N + 4 + 3

    def test_originals_are_the_decoded_files_and_copies_are_altered_from_them(self, photos, tmp_path):
        splits = load_unlabelled(Unlabelled(str(photos), 16, seed=3), tmp_path)
        for row, path in enumerate(splits.class_names):
            assert (splits.database.images[row] == decode((photos / path).read_bytes(), 16, 16)).all()
        for row, label in enumerate(splits.query.labels):
            copy = altered(splits.database.images[label], np.random.default_rng([3, 1, label]))
            assert (splits.query.images[row] == copy).all()
            assert (copy != splits.database.images[label]).any()

    def test_the_seed_alone_decides(self, photos, tmp_path):
        config = Unlabelled(str(photos), 16)
        first, again = load_unlabelled(config, tmp_path / "a"), load_unlabelled(config, tmp_path / "b")
        other = load_unlabelled(replace(config, seed=1), tmp_path / "a")
        for name in SPLITS:
            one, two = split_of(first, name), split_of(again, name)
            assert (np.asarray(one.images) == np.asarray(two.images)).all()
            assert (one.ids == two.ids).all()
            assert (one.labels == two.labels).all()
        assert set(first.query.labels) != set(other.query.labels)
        assert set(first.train.labels) != set(other.train.labels)

    def test_queries_stay_when_the_validation_split_grows(self, photos, tmp_path):
        few, more = (choose(Unlabelled("", validation=size, query=3), N, photos) for size in (2, 6))
        assert few["query"].tolist() == more["query"].tolist()
        assert set(few["validation"]) < set(more["validation"])

    @pytest.mark.parametrize(
        ("n", "sizes"), [(5, (1, 2, 2)), (40, (4, 4, 32)), (5000, (500, 500, 4000)), (20_000, (500, 500, 19_000))]
    )
    def test_a_tenth_is_held_out_twice_and_five_hundred_at_most(self, n, sizes):
        chosen = choose(Unlabelled(""), n, Path())
        assert tuple(len(chosen[name]) for name in ("query", "validation", "train")) == sizes
        assert sorted(np.concatenate([*chosen.values()]).tolist()) == list(range(n))

    def test_images_lie_however_deep(self, photos, tmp_path):
        write(photos / "2024" / "05" / "italy" / "rome" / "old" / "far.png", 3)
        splits = load_unlabelled(Unlabelled(str(photos), 16), tmp_path)
        assert len(splits.class_names) == N + 1
        assert "2024/05/italy/rome/old/far.png" in splits.class_names

    def test_a_zip_gives_what_its_folder_gives(self, photos, tmp_path):
        archive = tmp_path / "photos.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(photos.rglob("*.png")):
                file.write(path, path.relative_to(photos).as_posix())
        unpacked, zipped = (load_unlabelled(Unlabelled(str(place), 16), tmp_path) for place in (photos, archive))
        assert unpacked.class_names == zipped.class_names
        for name in SPLITS:
            one, two = split_of(unpacked, name), split_of(zipped, name)
            assert (np.asarray(one.images) == np.asarray(two.images)).all()
            assert (one.ids == two.ids).all()


class TestAltered:
    def test_it_is_mirrored(self):
        image = np.zeros((40, 40, 3), np.uint8)
        image[:, :20] = 200  # bright on the left
        for seed in range(8):
            copy = altered(image, np.random.default_rng(seed)).mean(axis=(0, 2))
            assert copy[-5:].min() > 140 > 20 > copy[:5].max()

    def test_what_is_in_its_middle_grows_by_what_was_cut_off(self):
        rows, columns = np.indices((100, 100)) - 49.5
        disc = (rows**2 + columns**2 < 25**2)[..., None]
        image = np.where(disc, 200, 0).astype(np.uint8).repeat(3, axis=2)
        for seed in range(8):
            share = (altered(image, np.random.default_rng(seed))[..., 0] > 90).mean()
            assert share == pytest.approx(disc.mean() / AREA, rel=0.04)

    def test_it_is_brighter_or_darker_by_a_fifth_at_most(self):
        grey = np.full((32, 32, 3), 100, np.uint8)
        means = [altered(grey, np.random.default_rng(seed)).mean() for seed in range(40)]
        assert 100 * BRIGHTNESS[0] - 2 <= min(means) < 88
        assert 112 < max(means) <= 100 * BRIGHTNESS[1] + 2

    def test_a_generator_draws_one_copy(self):
        image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        one, again, other = (altered(image, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert one.shape == image.shape
        assert one.dtype == np.uint8
        assert (one == again).all()
        assert (one != other).any()


def colour_code(images: np.ndarray) -> np.ndarray:
    """What a perfect encoder would do: the proportions of the mean colour, which brightness leaves, as one-hot bits."""
    mean = np.asarray(images, np.float64).mean(axis=(1, 2))
    mean /= mean.max(axis=1, keepdims=True)
    known = np.stack([colour(number) / colour(number).max() for number in range(27)])
    nearest = ((mean[:, None] - known) ** 2).sum(axis=2).argmin(axis=1)
    return np.where(np.arange(27) == nearest[:, None], 1, -1).astype(np.int8)


class TestMeasure:
    """Average precision with one relevant item is 1 / its rank."""

    @pytest.fixture
    def splits(self, photos, tmp_path):
        return load_unlabelled(Unlabelled(str(photos), 16, validation=4, query=5), tmp_path)

    def score(self, query, query_codes, database, codes) -> float:
        return mean_average_precision(
            query_codes, query.labels, codes, database.labels, query_ids=query.ids, database_ids=database.ids
        )

    def test_an_encoder_of_what_is_shown_finds_originals(self, splits):
        query, database = splits.query, splits.database
        codes = colour_code(database.images)
        by_code = {code.tobytes(): [] for code in codes}
        for row, code in enumerate(codes):
            by_code[code.tobytes()].append(row)
        # Some colours differ in brightness alone, and share a code: the original is one of so many.
        alike = [len(by_code[codes[label].tobytes()]) for label in query.labels]
        expected = np.mean([sum(1 / r for r in range(1, n + 1)) / n for n in alike])
        assert self.score(query, colour_code(query.images), database, codes) == pytest.approx(expected)
        assert expected > 0.8

    def test_the_number_as_a_code_is_perfect_and_one_code_for_all_is_chance(self, splits):
        query, database, validation = splits.query, splits.database, splits.validation
        numbers = np.where(np.arange(N) == np.arange(N)[:, None], 1, -1).astype(np.int8)
        assert self.score(query, numbers[query.labels], database, numbers) == 1
        same = np.ones((N, 8), np.int8)
        harmonic = sum(1 / rank for rank in range(1, N + 1))
        assert self.score(query, same[:5], database, same) == pytest.approx(harmonic / N)
        among = numbers[validation.labels]
        assert self.score(validation, among, validation, among) == 1
        others = 2 * 4 - 1  # four originals and their copies, but for the query
        chance = sum(1 / rank for rank in range(1, others + 1)) / others
        assert self.score(validation, same[:8], validation, same[:8]) == pytest.approx(chance)

    @pytest.mark.parametrize("bits", [3, 12])
    def test_random_codes_by_hand(self, splits, bits):
        for one, two in ((splits.query, splits.database), (splits.validation, splits.validation)):
            codes = random_codes(len(two), bits, 1)
            asked = codes if one is two else random_codes(len(one), bits, 2)
            expected = naive(asked, one.labels, one.ids, codes, two.labels, two.ids)
            assert self.score(one, asked, two, codes) == pytest.approx(expected, abs=1e-12)
            assert 0 < expected < 0.9

    def test_no_query_is_without_its_original(self, splits):
        report = evaluate(
            random_codes(5, 8, 1), splits.query.labels, random_codes(N, 8, 2), splits.database.labels,
            query_ids=splits.query.ids, database_ids=splits.database.ids,
        )  # fmt: skip
        assert report.n_empty == 0
        values = report.map["expected"]
        assert values["retrieved"] == values["capped"] == values["relevant"]


class TestDamagedFiles:
    def test_they_are_left_out_with_a_warning_and_not_tried_again(self, photos, tmp_path, monkeypatch):
        config = Unlabelled(str(photos), 16)
        sound = load_unlabelled(config, tmp_path)
        (photos / "00-empty.jpg").write_bytes(b"")
        (photos / "zz-text.png").write_bytes(b"not an image")
        left_out = (
            r"left out are 2 images that cannot be decoded \(empty 1, no image 1\): 00-empty.jpg is empty, zz-text"
        )
        with pytest.warns(UserWarning, match=left_out):
            splits = load_unlabelled(config, tmp_path)
        assert splits.class_names == sound.class_names
        assert (splits.query.images == sound.query.images).all()

        def decoded_again(*_):
            raise AssertionError("an image was decoded again")

        monkeypatch.setattr(imagecache, "decode", decoded_again)
        with pytest.warns(UserWarning, match=left_out):
            again = load_unlabelled(config, tmp_path)
        assert (np.asarray(again.database.images) == np.asarray(splits.database.images)).all()

    def test_each_file_is_decoded_once_though_one_fails(self, tmp_path, monkeypatch):
        for number in range(24):
            write(tmp_path / "photos" / f"{number:02}.png", number)
        (tmp_path / "photos" / "11-cut.png").write_bytes((tmp_path / "photos" / "11.png").read_bytes()[:60])
        calls = []
        monkeypatch.setattr(imagecache, "decode", lambda *given: calls.append(1) or decode(*given))
        with pytest.warns(UserWarning, match="left out are 1 images"):
            splits = load_unlabelled(Unlabelled(str(tmp_path / "photos"), 16), tmp_path)
        assert len(calls) == 25
        assert len(splits.database) == 24
        for image, path in zip(splits.database.images, splits.class_names, strict=True):
            assert (image == decode((tmp_path / "photos" / path).read_bytes(), 16, 16)).all()
        assert sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / "images").iterdir() if path.is_dir()) == [
            "photos-query-altered", "photos-unlabelled", "photos-validation-altered",
        ]  # fmt: skip

    def test_a_disk_with_room_for_one_array_decodes_again(self, photos, tmp_path, monkeypatch):
        (photos / "bad.png").write_bytes(b"")
        room = iter([10**9, 10, 10**9])
        usage = type("Usage", (), {"free": property(lambda _: next(room))})
        monkeypatch.setattr(imagecache.shutil, "disk_usage", lambda _: usage())
        with pytest.warns(UserWarning, match="left out are 1 images"):
            splits = load_unlabelled(Unlabelled(str(photos), 16), tmp_path)
        assert next(room, None) is None
        assert (splits.database.images[3] == decode((photos / "03.png").read_bytes(), 16, 16)).all()

    def test_a_folder_of_nothing_else_is_refused(self, tmp_path):
        for number in range(5):
            (tmp_path / f"{number}.jpg").write_bytes(b"x")
        message = r"holds nothing but 5 images that cannot be decoded \(no image 5\): 0.jpg is .*, \.\.\.; give others"
        with pytest.raises(ValueError, match=message):
            load_unlabelled(Unlabelled(str(tmp_path), 16), tmp_path)


class TestRefusals:
    def test_too_few_images_and_impossible_sizes(self, photos, tmp_path):
        few = tmp_path / "few"
        for number in range(4):
            write(few / f"{number}.png", number)
        with pytest.raises(ValueError, match="few has 4 readable images, too few to hold 1 for queries and 2 for vali"):
            load_unlabelled(Unlabelled(str(few), 16), tmp_path)
        with pytest.raises(ValueError, match="query is 0; give at least 1, or None for a tenth"):
            load_unlabelled(Unlabelled(str(photos), 16, query=0), tmp_path)
        with pytest.raises(ValueError, match="validation is 1; give at least 2"):
            load_unlabelled(Unlabelled(str(photos), 16, validation=1), tmp_path)
        with pytest.raises(ValueError, match=r"photos has 20 readable .* give at least 22 images"):
            load_unlabelled(Unlabelled(str(photos), 16, query=18), tmp_path)
        with pytest.raises(ValueError, match="seed is -1"):
            Unlabelled(str(photos), seed=-1)
        (tmp_path / "none").mkdir()
        with pytest.raises(ValueError, match="none holds no images; give a folder or zip of image files"):
            load_unlabelled(Unlabelled(str(tmp_path / "none")), tmp_path)

    def test_methods_that_read_labels_say_which_do_not(self, photos):
        message = (
            f"csq learns from labels, and the folder {photos} has none; choose cibhash, itq or lsh, or sort the images "
            "into class folders"
        )
        with pytest.raises(ValueError, match=re.escape(message)):
            Experiment("mine", Unlabelled(str(photos)), CSQConfig())
        for name, config in METHODS.items():
            if name in UNSUPERVISED:
                assert Experiment(name, Unlabelled(str(photos)), config(), bits=24).data.path == str(photos)
            else:
                with pytest.raises(ValueError, match=f"{name} learns from labels"):
                    Experiment(name, Unlabelled(str(photos)), config(), bits=24)

    def test_a_flat_folder_as_class_folders_points_here(self, tmp_path):
        write(tmp_path / "1.png", 1)
        message = "has no class folders with images; .*; or train without labels .*: --data unlabelled:"
        with pytest.raises(ValueError, match=message + re.escape(str(tmp_path))):
            parse_data(f"folder:{tmp_path}", Unlabelled(""))

    def test_the_command_line_takes_no_sizes_that_mean_nothing(self, photos):
        default = Unlabelled("")
        whole = Unlabelled(str(photos.resolve()), 32, query=3)
        assert parse_data(f"unlabelled:{photos}", default, image_size=32, query=3) == whole
        assert parse_data(f"unlabelled:{photos}", default).image_size == 64
        for sizes in ({"train": 5}, {"database": 5}):
            with pytest.raises(ValueError, match="leave --train-images and --database-images out"):
                parse_data(f"unlabelled:{photos}", default, **sizes)

    def test_photographs_compares_methods_that_learn_from_labels(self, photos):
        with pytest.raises(ValueError, match="CSCE-Net and CSQ learn from labels, and 'unlabelled:.*' has none"):
            photographs(f"unlabelled:{photos}", 32, None, None, None, 16, 1)


class TestExperiment:
    def test_it_survives_json_and_its_hash_follows_the_images_but_not_their_place(self, photos, tmp_path):
        one = Experiment("mine", Unlabelled(str(photos), 32), METHODS["cibhash"]())
        again = Experiment.from_dict(json.loads(json.dumps(one.to_dict())))
        assert again == one
        moved = tmp_path / "moved"
        photos.rename(moved)
        there = replace(one, data=replace(one.data, path=str(moved)))
        assert there.hash == one_hash(moved, photos, one)
        assert there.hash != replace(there, data=replace(there.data, query=3)).hash
        assert there.fingerprint["data"] == folder_fingerprint(moved.resolve())
        before = there.hash
        write(moved / "new.png", 3)
        folder_fingerprint.cache_clear()
        assert there.hash != before

    def test_its_hash_follows_how_deep_images_are_decoded_and_altered(self, photos, monkeypatch):
        one = Experiment("mine", Unlabelled(str(photos), 32), METHODS["cibhash"]())
        today = one.hash
        assert one.fingerprint["data"] == folder_fingerprint(photos.resolve(), depth=None)
        monkeypatch.setattr("cscelab.datasets.ALTERATION", 2)
        altered_otherwise = one.hash
        assert one.fingerprint["data"].endswith(", alteration 2")
        monkeypatch.setattr("cscelab.datasets.DECODING", 4)
        assert one.fingerprint["data"].endswith(", decoding 4, alteration 2")
        monkeypatch.setattr("cscelab.datasets.ALTERATION", 1)
        assert len({today, altered_otherwise, one.hash}) == 3
        write(photos / "2024" / "05" / "italy" / "rome" / "far.png", 3)
        folder_fingerprint.cache_clear()
        monkeypatch.setattr("cscelab.datasets.DECODING", 3)
        assert one.hash != today

    def test_other_kinds_of_data_have_other_hashes(self, photos):
        unlabelled = Experiment("mine", Unlabelled(str(photos)), METHODS["itq"]())
        assert replace(unlabelled, data=Folder(str(photos))).hash != unlabelled.hash

    def test_views_as_released_are_a_recipe(self):
        released, ours = (recipe(name, "quick").method for name in ("cibhash/released-views", "cibhash"))
        views = {"smallest_crop": 0.5, "jitter": 0.4, "hue": 0.1, "grey": 0.2, "blur": 0.5}
        assert released == replace(ours, **views)
        assert METHODS_BY_RECIPE["cibhash/released-views"].jitter_probability == 0.7

    def test_a_run_trains_chooses_and_stores_and_says_what_it_measures(self, photos, tmp_path):
        experiment = replace(
            recipe("cibhash/released-views", "smoke", 8),
            data=Unlabelled(str(photos), 32, validation=4, query=3),
        )
        experiment = replace(experiment, method=replace(experiment.method, backbone=BackboneConfig("tiny", "none")))
        done = run(experiment, root=tmp_path, progress=False)
        assert len(done.history) == experiment.training.epochs
        codes = done.codes
        parts = [f"{side}_{part}" for side in ("query", "database") for part in ("codes", "labels", "ids")]
        expected = naive(*(codes[part] for part in parts))
        assert done.mean_average_precision == pytest.approx(expected, abs=1e-12)
        assert done.metrics["n_classes"] == N
        images = as_tensor(load_data(experiment.data, tmp_path).query.images)
        assert (sign(done.model()(images).values).numpy() == codes["query_codes"]).all()
        assert describe(done) == "20 unlabelled images; tiny trunk; mAP@all of originals by altered copies"

    def test_a_fitted_method_needs_no_labels_either(self, photos, tmp_path):
        pytest.importorskip("faiss")
        method = ITQConfig(backbone=BackboneConfig("tiny", "none"))
        data = Unlabelled(str(photos), 32, validation=4, query=3)
        done = run(Experiment("itq", data, method, 8), root=tmp_path, progress=False)
        assert 0 < done.metrics["validation_map"] <= 1

    def test_the_command_line_says_what_map_is(self, photos, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "data"))
        (photos / "damaged.jpg").write_bytes(b"x")
        main(["train", "cibhash", "--data", f"unlabelled:{photos}", "--profile", "smoke", "--image-size", "32"])
        out, err = capsys.readouterr()
        assert (
            f"note: {photos}: left out are 1 images that cannot be decoded (no image 1): damaged.jpg is no image" in err
        )
        assert err.count("left out are") == 1
        assert "images of 32 px: 16 train, 4 validation, 2 query, 20 database\nclasses: none" in out
        assert MEASURED in out
        main(["evaluate", "cibhash"])
        assert capsys.readouterr().out.startswith(f"{MEASURED}\n16 bits, 2 queries against 20 items")


def one_hash(moved: Path, place: Path, one: Experiment) -> str:
    """The hash of an experiment as it was when its images lay elsewhere."""
    moved.rename(place)
    folder_fingerprint.cache_clear()
    found = one.hash
    place.rename(moved)
    return found

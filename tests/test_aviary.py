"""The embedded data: the same picture wherever it is drawn, exact masks, dials that turn, a cache that heals."""

import json
from dataclasses import asdict, replace
from itertools import combinations

import numpy as np
import pytest

from cscelab.datasets import aviary
from cscelab.datasets.aviary import SPLITS, Aviary, draw_image, draw_species, load_aviary
from cscelab.datasets.species import SPECIES_PER_GENUS, species_list

TINY = Aviary(n_classes=5, image_size=48, train=6, validation=5, query=5, database=5)
BARE = replace(TINY, clutter=0, occlusion=0.0)


def differences(a, b):
    return sum(a.parts[part] != b.parts[part] for part in a.parts)


def longer_side(mask):
    rows, columns = np.nonzero(mask)
    return max(np.ptp(rows), np.ptp(columns)) + 1


@pytest.mark.parametrize(("population", "count"), [("benchmark", 200), ("pretraining", 100)])
def test_species_of_a_genus_differ_in_one_or_two_parts(population, count):
    species = species_list(count, population)
    for genus in range(0, count, SPECIES_PER_GENUS):
        members = species[genus : genus + SPECIES_PER_GENUS]
        assert len({member.genus for member in members}) == 1
        assert all(differences(a, b) in (1, 2) for a, b in combinations(members, 2))


def test_no_species_occurs_twice_or_in_both_populations():
    both = species_list(200) + species_list(100, "pretraining")
    assert len({tuple(species.parts.values()) for species in both}) == len({s.name for s in both}) == 300


def test_any_two_species_of_a_genus_can_be_told_apart_by_eye():
    species = species_list(200) + species_list(100, "pretraining")
    portraits = np.stack([draw_species(s, scale=0.6) for s in species]).astype(int)
    for genus in portraits.reshape(-1, SPECIES_PER_GENUS, *portraits.shape[1:]):
        for a, b in combinations(genus, 2):
            assert np.count_nonzero(np.abs(a - b).mean(-1) > 40) >= 9  # a bill of 3 x 3 pixels in another colour


def test_fewer_classes_are_the_first_of_more():
    assert species_list(20) == species_list(200)[:20]
    assert len({species.silhouette for species in species_list(20)}) == 4


def test_an_image_depends_on_seed_split_and_index_alone():
    first = draw_image(TINY, "query", 3)
    again = draw_image(replace(TINY, query=100, train=1), "query", 3)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    others = [
        draw_image(TINY, "query", 4),
        draw_image(TINY, "train", 3),
        draw_image(replace(TINY, seed=1), "query", 3),
        draw_image(replace(TINY, population="pretraining"), "query", 3),
    ]
    assert all(np.mean(other.image == first.image) < 0.5 for other in others)


def test_classes_are_balanced_block_by_block():
    labels = [draw_image(BARE, "train", i).label for i in range(10)]
    assert sorted(labels[:5]) == sorted(labels[5:]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [0.3, 0.6, 0.9])
def test_mask_is_as_large_as_the_scale_says(size):
    for index in range(5):
        drawing = draw_image(replace(BARE, image_size=96, scale=(size, size)), "query", index)
        assert longer_side(drawing.mask) == pytest.approx(size * 96, abs=2.5)
        assert set(np.unique(drawing.mask)) == {0, drawing.label + 1}
        assert drawing.attributes["visible"] == 1.0


def test_visible_is_what_the_leaves_leave_of_the_mask():
    shares = []
    for index in range(12):
        whole = draw_image(BARE, "query", index).mask
        hidden = draw_image(replace(BARE, occlusion=0.4), "query", index)
        assert not np.any(hidden.mask.astype(bool) & ~whole.astype(bool))
        shares.append(hidden.attributes["visible"])
        assert shares[-1] == pytest.approx(np.count_nonzero(hidden.mask) / np.count_nonzero(whole))
    assert 0.35 < np.mean(shares) < 0.8


def test_clutter_changes_the_surroundings_and_not_the_bird():
    bare = draw_image(replace(BARE, image_size=96), "query", 0)
    busy = draw_image(replace(BARE, image_size=96, clutter=40), "query", 0)
    assert np.array_equal(bare.mask, busy.mask)
    change = np.abs(bare.image.astype(int) - busy.image).max(-1)
    assert np.median(change[bare.mask > 0]) == 0  # not even the light on it; only pixels of its edge are mixed
    assert np.mean(change[bare.mask == 0] > 0) > 0.4


def test_background_bias_ties_training_backgrounds_to_classes():
    biased = replace(BARE, background_bias=1.0, image_size=32)
    for index in range(6):
        drawing = draw_image(biased, "train", index)
        assert drawing.attributes["background"] == aviary.background_of(drawing.label)
    free = [draw_image(biased, "query", index) for index in range(20)]
    assert any(d.attributes["background"] != aviary.background_of(d.label) for d in free)


def test_scenes_show_every_species_of_their_label(tmp_path):
    config = replace(TINY, n_classes=7, scenes=True, occlusion=0.5, image_size=96, train=8)
    splits = load_aviary(config, tmp_path, workers=1, progress=False)
    assert splits.multilabel
    assert splits.train.labels.shape == (8, 7)
    assert set(splits.train.labels.sum(1)) <= {2, 3, 4}
    for labels, mask in zip(splits.train.labels, splits.train.masks, strict=True):
        assert set(np.flatnonzero(labels) + 1) == set(np.unique(mask)) - {0}


def test_splits_carry_labels_attributes_and_unique_ids(tmp_path):
    splits = load_aviary(TINY, tmp_path, workers=1, progress=False)
    ids = np.concatenate([getattr(splits, split).ids for split in SPLITS])
    assert len(np.unique(ids)) == 6 + 5 + 5 + 5
    row, drawing = 2, draw_image(TINY, "database", 2)
    assert np.array_equal(splits.database.images[row], drawing.image)
    assert splits.database.labels[row] == drawing.label
    assert splits.database.attributes["crown"][row] == TINY.species[drawing.label].crown
    assert splits.database.attributes["scale"][row] == pytest.approx(drawing.attributes["scale"])
    assert splits.class_names == tuple(species.name for species in species_list(5))


def test_two_workers_draw_what_one_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(aviary, "FEW", 0)
    monkeypatch.setattr(aviary, "CHUNK", 2)
    two = load_aviary(BARE, tmp_path / "two", workers=2, progress=False)
    one = load_aviary(BARE, tmp_path / "one", workers=1, progress=False)
    for split in SPLITS:
        assert np.array_equal(getattr(one, split).images, getattr(two, split).images)
        assert np.array_equal(getattr(one, split).labels, getattr(two, split).labels)


def test_cache_is_used_and_a_cut_off_one_is_drawn_again(tmp_path, monkeypatch):
    config = replace(BARE, query=0)
    drawn = []
    draw_chunk = aviary.draw_chunk
    monkeypatch.setattr(aviary, "draw_chunk", lambda *chunk: drawn.append(chunk) or draw_chunk(*chunk))
    first = load_aviary(config, tmp_path, workers=1, progress=False)
    assert [chunk[1] for chunk in drawn] == ["train", "validation", "database"]
    assert len(first.query) == 0
    load_aviary(config, tmp_path, workers=1, progress=False)
    assert len(drawn) == 3
    (folder,) = tmp_path.iterdir()
    images = folder / "train_images.npy"
    images.write_bytes(images.read_bytes()[:-100])
    again = load_aviary(config, tmp_path, workers=1, progress=False)
    assert len(drawn) == 6
    assert np.array_equal(again.train.images, [draw_image(config, "train", i).image for i in range(6)])
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


class TestTheTrainingImagesAsDatabase:
    OWN = replace(BARE, database=None)

    def test_nothing_is_drawn_for_the_database_and_nothing_twice(self, tmp_path, monkeypatch):
        drawn = []
        draw_chunk = aviary.draw_chunk
        monkeypatch.setattr(aviary, "draw_chunk", lambda *chunk: drawn.append(chunk[1:]) or draw_chunk(*chunk))
        splits = load_aviary(self.OWN, tmp_path, workers=1, progress=False)
        assert drawn == [("train", 0, 6), ("validation", 0, 5), ("query", 0, 5)]
        assert splits.database is splits.train
        assert len(splits.database) == 6
        assert not set(splits.database.ids) & set(np.concatenate([splits.query.ids, splits.validation.ids]))
        again = load_aviary(self.OWN, tmp_path, workers=1, progress=False)
        assert len(drawn) == 3
        np.testing.assert_array_equal(again.database.images, splits.train.images)

    def test_the_other_splits_are_those_of_a_database_of_its_own(self, tmp_path):
        own, apart = (load_aviary(config, tmp_path, workers=1, progress=False) for config in (self.OWN, BARE))
        for split in ("train", "validation", "query"):
            np.testing.assert_array_equal(getattr(own, split).images, getattr(apart, split).images)
            np.testing.assert_array_equal(getattr(own, split).ids, getattr(apart, split).ids)
        assert not set(apart.database.ids) & set(apart.train.ids)
        assert len(list(tmp_path.iterdir())) == 2

    def test_scenes_can_have_it_too(self, tmp_path):
        splits = load_aviary(replace(self.OWN, scenes=True), tmp_path, workers=1, progress=False)
        assert splits.database is splits.train
        assert splits.database.labels.shape == (6, 5)

    def test_none_is_no_size_and_survives_json(self):
        assert self.OWN.size_of("database") == 0
        assert Aviary(**json.loads(json.dumps(asdict(self.OWN)))) == self.OWN
        assert replace(BARE, database=0) != self.OWN


def test_data_sets_of_before_are_found_where_they_lay(tmp_path):
    """The folder is named by a hash of every dial: a new one with a default in it would draw all of them again."""
    load_aviary(replace(TINY, train=1, validation=0, query=0, database=0), tmp_path, workers=1, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["aviary-5d8ad8fa0022"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write the data set to .*file.*root="):
        load_aviary(TINY, tmp_path / "file", workers=1, progress=False)


def test_config_survives_json():
    assert Aviary(**json.loads(json.dumps(asdict(TINY)))) == TINY
    assert hash(TINY) == hash(replace(TINY))


def test_portrait_is_whole_and_of_the_size_asked_for():
    portrait = draw_species(species_list(1)[0], size=80)
    assert portrait.shape == (80, 80, 3)
    assert portrait.dtype == np.uint8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_classes": 1}, "n_classes is 1"),
        ({"n_classes": 101, "population": "pretraining"}, "2 to 100"),
        ({"n_classes": 3, "scenes": True}, "choose 4 to 200 for scenes"),
        ({"population": "birds"}, "unknown population 'birds'"),
        ({"image_size": 8}, "image_size is 8"),
        ({"scale": (0.7, 0.3)}, "lowest <= highest"),
        ({"clutter": -1}, "clutter is -1"),
        ({"background_bias": 2}, "background_bias is 2"),
        ({"occlusion": 0.95}, "occlusion is 0.95"),
        ({"train": -1}, "train is -1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_dials_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="unknown split 'test'"):
        draw_image(TINY, "test", 0)
    with pytest.raises(ValueError, match="index is -1"):
        draw_image(TINY, "train", -1)
    with pytest.raises(ValueError, match="unknown background 'moon'"):
        draw_species(species_list(1)[0], background="moon")
    with pytest.raises(ValueError, match="n_classes is 201"):
        species_list(201)

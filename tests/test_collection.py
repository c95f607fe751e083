"""Collections: what is nearest, in which order, never itself; stored codes and codes made on the spot agree."""

from dataclasses import replace

import numpy as np
import pytest
from fake_runs import N_DATABASE, NAMES, make_run, make_splits

from cscelab import collection as module
from cscelab.codes import pack
from cscelab.collection import FOLDER, Collection, Query, check_same_images, collection_of, shipped_collection
from cscelab.datasets import Aviary, Folder
from cscelab.experiment import Experiment
from cscelab.methods.csce import CSCEConfig
from cscelab.neighbours import nearest as nearest_of_run

DATA = Aviary(n_classes=3, train=6, validation=3, query=6, database=12)


@pytest.fixture(scope="module")
def made(tmp_path_factory, splits) -> Collection:
    return collection_of(make_run(tmp_path_factory.mktemp("runs"), splits, 0.2), splits)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def shipped(root) -> Collection:
    return shipped_collection(DATA, root)


def by_hand(codes, ids, code, rows):
    distances = (codes != code).sum(axis=1)
    return sorted(rows, key=lambda row: (distances[row], ids[row])), distances


# --- nearest


def tiny(codes, ids=None, labels=None) -> Collection:
    codes = np.array(codes, np.int8)
    n = len(codes)
    arrays = {"database_codes": codes, "database_ids": np.arange(n) if ids is None else np.array(ids)}
    arrays["database_labels"] = np.zeros(n, int) if labels is None else np.array(labels)
    return Collection("tiny", Experiment("tiny", bits=codes.shape[1]), None, arrays, None)


def test_hand_worked_distances_and_ties_by_id():
    four = tiny([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [-1, -1, -1]], ids=[40, 30, 20, 10], labels=[0, 1, 0, 1])
    code = np.array([1, 1, 1], np.int8)
    assert four.distances(code).tolist() == [0, 1, 1, 3]
    found = four.nearest(code, label=0, k=4)
    assert found.rows.tolist() == [0, 2, 1, 3]  # id 20 comes before id 30
    assert found.distances.tolist() == [0, 1, 1, 3]
    assert found.right.tolist() == [True, True, False, False]
    assert four.nearest(code, label=0, k=2).rows.tolist() == [0, 2]
    assert four.nearest(code, k=4).right.tolist() == [False] * 4
    assert four.nearest(code, k=4, without_id=40).rows.tolist() == [2, 1, 3]
    assert four.nearest(code, k=9, among=np.array([3, 1])).rows.tolist() == [1, 3]
    assert four.nearest(code, k=9, among=np.array([0]), without_id=40).rows.tolist() == []
    assert four.nearest(code, k=9, among=np.array([], int)).rows.tolist() == []


def test_all_equal_distances_rank_by_id_whatever_the_rows():
    ids = np.random.default_rng(0).permutation(200) * 7 + 5
    same = tiny(np.ones((200, 9)), ids=ids)
    assert same.nearest(np.ones(9, np.int8), k=200).rows.tolist() == np.argsort(ids).tolist()
    among = np.array([150, 3, 77])
    assert same.nearest(np.ones(9, np.int8), k=3, among=among).rows.tolist() == sorted(among, key=lambda row: ids[row])


@pytest.mark.parametrize("multilabel", [False, True])
def test_queries_find_what_brute_force_finds(tmp_path, multilabel):
    splits = make_splits(multilabel)
    run = make_run(tmp_path, splits, 0.3, bits=13)
    made = collection_of(run, splits)
    codes, every = made.codes, nearest_of_run(run, 7)
    for row in range(len(splits.query)):
        query = made.query(row)
        expected, distances = by_hand(codes["database_codes"], codes["database_ids"], made.code_of(query)[0], range(40))
        found = made.find(query, 7)
        assert found.rows.tolist() == expected[:7] == every.rows[row].tolist()
        assert found.distances.tolist() == distances[expected[:7]].tolist()
        wanted = [
            bool(np.any(splits.query.labels[row] * splits.database.labels[other]))
            if multilabel
            else splits.query.labels[row] == splits.database.labels[other]
            for other in expected[:7]
        ]
        assert found.right.tolist() == wanted


def test_a_database_image_does_not_find_itself_and_looks_among_a_class(made):
    own = made.of_class(1)
    assert own.tolist() == np.flatnonzero(made.codes["database_labels"] == 1).tolist()
    for row in (0, 1, 39):
        query = made.query(row, "database")
        found = made.find(query, N_DATABASE)
        assert len(found.rows) == N_DATABASE - 1
        assert row not in found.rows
        assert sorted(made.find(query, N_DATABASE, own).rows) == [r for r in own if r != row]


def test_of_class_of_scenes_is_every_image_that_shows_it(tmp_path):
    splits = make_splits(multilabel=True)
    scenes = collection_of(make_run(tmp_path, splits), splits)
    rows = scenes.of_class(2)
    assert splits.database.labels[rows, 2].all()
    assert len(rows) == splits.database.labels[:, 2].sum() > N_DATABASE / len(NAMES)
    row = next(row for row, label in enumerate(splits.query.labels) if label.sum() == 2)
    named = [NAMES[i] for i in np.flatnonzero(splits.query.labels[row])]
    assert scenes.query(row).title == f"query image {row}: {named[0]} + {named[1]}"


def test_impossible_questions_are_one_sentence(made):
    with pytest.raises(ValueError, match=r"row 12 of the query images was asked for; there are rows 0 to 11$"):
        made.query(12)
    with pytest.raises(ValueError, match=r"row -1 of the database images was asked for; there are rows 0 to 39$"):
        made.query(-1, "database")
    with pytest.raises(ValueError, match="the 0 nearest were asked for; choose at least 1"):
        made.find(made.query(0), 0)
    with pytest.raises(ValueError, match=r"a code of shape \(15,\) was given; CSCE-Net has codes of 16 bits"):
        made.nearest(np.ones(15, np.int8))


# --- what a collection knows


def test_queries_carry_image_label_id_and_stored_code(made, splits):
    for origin, images in (("query", splits.query), ("database", splits.database)):
        query = made.query(5, origin)
        assert np.array_equal(query.image, images.images[5])
        assert (query.label, query.id, query.row, query.origin) == (images.labels[5], images.ids[5], 5, origin)
        assert query.title == f"{origin} image 5: {NAMES[images.labels[5]]}"
        code, values = made.code_of(query)
        assert np.array_equal(code, made.codes[f"{origin}_codes"][5])
        assert np.array_equal(values, made.codes[f"{origin}_values"][5])
    assert (made.bits, made.smoke, made.class_names) == (16, False, NAMES)


def test_average_precision_is_the_stored_report_s(made):
    assert made.average_precision == pytest.approx(made.source.metrics["report"]["average_precision"])


def test_packed_codes_are_those_of_the_database(made):
    assert np.array_equal(made.packed, pack(made.codes["database_codes"]))


def test_a_lesser_structure_is_called_by_its_row(tmp_path, splits):
    run = make_run(tmp_path, splits, method=CSCEConfig(structure="baseline"))
    assert collection_of(run, splits).title == "Baseline"
    assert collection_of(run, splits, "mine").title == "mine"


# --- the shipped encoder


def test_the_shipped_encoder_codes_own_images_as_it_coded_stored_ones(shipped):
    """Every path to a code, stored or made now, gives the same."""
    known = shipped.query(3)
    own = Query(known.image, "mine", "own")
    code, values = shipped.code_of(own)
    assert set(np.unique(code)) <= {-1, 1}
    assert np.array_equal(code, shipped.codes["query_codes"][3])
    assert values == pytest.approx(shipped.codes["query_values"][3], abs=1e-3)
    found = shipped.find(own, 5)
    assert np.array_equal(found.rows, shipped.find(known, 5).rows)
    assert not found.right.any()  # nobody knows what is right
    assert shipped.title == "CSCE-Net, shipped"
    assert shipped.codes["query_codes"].shape == (6, shipped.bits)
    assert np.array_equal(shipped.codes["database_labels"], shipped.splits.database.labels)
    assert not shipped.method.training


def test_codes_are_made_once_for_a_data_set(shipped, root, monkeypatch):
    monkeypatch.setattr(module, "encode", lambda *_, **__: pytest.fail("coded again"))
    again = shipped_collection(DATA, root)
    for name, array in shipped.codes.items():
        assert np.array_equal(again.codes[name], array), name
    assert len(list((root / FOLDER).glob("*.npz"))) == 1


def test_a_damaged_file_of_codes_is_made_again(shipped, root):
    (stored,) = [path for path in (root / FOLDER).glob("*.npz") if path.stat().st_size]
    whole = stored.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"no codes"):
        stored.write_bytes(damaged)
        again = shipped_collection(DATA, root)
        assert (again.codes["database_codes"] == shipped.codes["database_codes"]).all()
        assert stored.read_bytes() == whole


def test_other_data_and_changed_files_are_coded_anew(shipped, root, monkeypatch):
    other = shipped_collection(replace(DATA, seed=1), root)
    assert not np.array_equal(other.codes["query_values"], shipped.codes["query_values"])
    assert np.array_equal(shipped_collection(DATA, root).codes["query_values"], shipped.codes["query_values"])
    before = len(list((root / FOLDER).glob("*.npz")))
    monkeypatch.setattr(module, "data_fingerprint", lambda data: "the same settings, other images")
    shipped_collection(DATA, root)
    assert len(list((root / FOLDER).glob("*.npz"))) == before + 1


def test_data_that_is_not_there_is_one_sentence(root):
    with pytest.raises(ValueError, match="no/such/folder does not exist"):
        shipped_collection(Folder("no/such/folder", image_size=112), root)


def test_collections_of_other_images_are_told_apart_though_their_ids_agree(made, splits):
    check_same_images([made, made])
    other = make_splits()
    check_same_images([made, replace(made, splits=other)])  # the same images, loaded again
    database = replace(other.database, images=255 - other.database.images)
    for different in (
        replace(other, database=database),
        replace(other, class_names=("a", "b", "c")),
        replace(other, query=replace(other.query, labels=other.query.labels[::-1])),
    ):
        with pytest.raises(ValueError, match="hold different images; choose methods of one data set"):
            check_same_images([made, replace(made, splits=different)])
    with pytest.raises(ValueError, match="give one or two"):
        check_same_images([])

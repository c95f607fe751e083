"""The shelf: everything stored is found under a name of its own, opened once, and refused in one sentence."""

import json
from dataclasses import replace

import pytest
from fake_runs import make_run, make_splits
from PIL import Image

from cscelab import shelf as module
from cscelab.collection import collection_of, shipped_collection
from cscelab.datasets import Aviary, Folder, ListFiles, data_fingerprint, folder_fingerprint
from cscelab.experiment import Experiment, Run, runs_folder
from cscelab.methods.csq import CSQConfig
from cscelab.profiles import QUICK
from cscelab.recipes import CSCE, PROFILES, TABLE2, TABLE3
from cscelab.shelf import Shelf
from cscelab.titles import data_titles, loss_of, method_titles, usual_titles

SHIPPED = "Shipped encoder (CSCE-Net)"
THREE = "Aviary, 3 species"


@pytest.fixture
def root(tmp_path):
    runs_folder(tmp_path).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def store(root, splits):
    """A function settings -> a run stored as the shelf expects to find it."""
    count = 0

    def make(fingerprint=None, gone=None, images=splits, **settings) -> Run:
        nonlocal count
        count += 1
        run = make_run(runs_folder(root), images, 0.2, **{"name": f"run{count}"} | settings)
        experiment = run.experiment if gone is None else replace(run.experiment, data=gone)
        (run.folder / "experiment.json").write_text(json.dumps(experiment.to_dict()))
        (run.folder / "model.safetensors").write_bytes(b"")
        found = data_fingerprint(Aviary()) if fingerprint is None else fingerprint
        (run.folder / "metrics.json").write_text(json.dumps(run.metrics | {"fingerprint": {"data": found}}))
        return run

    return make


@pytest.fixture
def loads(monkeypatch, splits):
    """Data sets that were loaded, in order; the images are made up."""
    loaded = []
    monkeypatch.setattr(module, "load_data", lambda data, root, progress: loaded.append(data) or splits)
    return loaded


def runs_of(*experiments: Experiment) -> list[Run]:
    return [Run(experiment, None) for experiment in experiments]


def test_an_empty_shelf_holds_the_shipped_encoder(tmp_path):
    shelf = Shelf(tmp_path)
    assert shelf.data_sets() == ["Aviary, 20 species"]
    assert shelf.methods("Aviary, 20 species") == [SHIPPED]
    assert shelf.bits("Aviary, 20 species", SHIPPED) == [32]


def test_runs_stand_under_their_data_method_and_bits(root, store, loads):
    for bits in (64, 16):
        store(bits=bits)
    store(method=CSQConfig())
    store(seed=1, bits=16)
    store(data=Aviary(n_classes=3, query=9), method=TABLE2["Baseline + local"])
    shelf = Shelf(root)
    more = f"{THREE}, 9 query"
    assert shelf.data_sets() == ["Aviary, 20 species", THREE, more]
    assert shelf.methods(THREE) == ["CSCE-Net", "CSQ", "CSCE-Net, seed 1"]
    assert shelf.bits(THREE, "CSCE-Net") == [16, 64]
    assert shelf.bits(THREE, "CSCE-Net, seed 1") == [16]
    assert shelf.methods(more) == ["Baseline + local"]
    assert loads == []  # listing opens nothing


def test_collections_are_opened_once_and_share_their_images(root, store, loads, splits):
    run, other = store(), store(method=CSQConfig())
    shelf = Shelf(root)
    first = shelf.collection(THREE, "CSCE-Net", 16)
    second = shelf.collection(THREE, "CSQ", 16)
    assert first.splits is second.splits is splits
    assert shelf.collection(THREE, "CSCE-Net", 16) is first
    assert loads == [run.experiment.data]
    assert (first.title, second.title) == ("CSCE-Net", "CSQ")
    assert (first.codes["query_codes"] == collection_of(run, splits).codes["query_codes"]).all()
    assert second.source.folder == other.folder


def test_the_shipped_collection_shares_images_with_runs_on_its_data(root, store, monkeypatch):
    small = Aviary(n_classes=3, train=6, validation=3, query=6, database=12)
    monkeypatch.setattr(module, "load_encoder", lambda: (None, Experiment("shipped", data=small, bits=32)))
    monkeypatch.setattr(module, "shipped_collection", lambda root: shipped_collection(small, root))
    store(data=small)
    shelf = Shelf(root)
    assert shelf.methods(THREE) == [SHIPPED, "CSCE-Net"]
    run, shipped = (shelf.collection(THREE, *of) for of in (("CSCE-Net", 16), (SHIPPED, 32)))
    assert run.splits is shipped.splits
    assert len(shipped.splits.database) == 12


def test_smoke_runs_are_shown_only_when_asked_for(root, store):
    store(smoke=True)
    assert Shelf(root).data_sets() == ["Aviary, 20 species"]
    assert Shelf(root, smoke=True).methods(THREE) == ["CSCE-Net"]


def test_unknown_names_are_one_sentence(root, store):
    store()
    shelf = Shelf(root)
    with pytest.raises(ValueError, match=r"^unknown data set 'CIFAR'; choose from 'Aviary, 20 species', "):
        shelf.methods("CIFAR")
    with pytest.raises(ValueError, match=r"^unknown method for Aviary, 3 species 'DOH'; choose from 'CSCE-Net'$"):
        shelf.bits(THREE, "DOH")
    with pytest.raises(ValueError, match=r"^unknown code length of CSCE-Net 17; choose from 16$"):
        shelf.collection(THREE, "CSCE-Net", 17)
    for seed in range(1, 12):
        store(seed=seed)
    with pytest.raises(ValueError, match=r"'CSCE-Net, seed 5' and 4 more$"):
        Shelf(root).bits(THREE, "DOH")


def test_runs_without_their_data_are_listed_and_refused_when_opened(root, store, tmp_path):
    store(gone=Folder(str(tmp_path / "gone.zip"), image_size=32))
    changed = store(fingerprint="another drawing")
    shelf = Shelf(root)
    assert shelf.data_sets() == ["Aviary, 20 species", "gone.zip, 3 classes, 32 px, files absent", THREE]
    with pytest.raises(ValueError, match=r"gone.zip does not exist; give a folder"):
        shelf.collection("gone.zip, 3 classes, 32 px, files absent", "CSCE-Net", 16)
    with pytest.raises(ValueError, match=f"the images of {changed.experiment.name} have changed since it ran; run it"):
        shelf.collection(THREE, "CSCE-Net", 16)


def test_a_relative_folder_is_found_from_the_checkout_too(root, store, loads, tmp_path, monkeypatch):
    write_images(tmp_path / "photographs")
    here = tmp_path / "checkout" / "notebooks"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "checkout" / "data"))
    store(gone=Folder("../photographs", image_size=32), fingerprint=folder_fingerprint(tmp_path / "photographs"))
    shelf = Shelf(root)
    title = "photographs, 3 classes, 32 px"  # no files are absent
    assert shelf.data_sets()[1:] == [title]
    assert shelf.collection(title, "CSCE-Net", 16).bits == 16
    assert [data.path for data in loads] == [str(tmp_path / "photographs")]


def write_images(folder):
    (folder / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "cat" / "1.png")


def test_damaged_runs_leave_the_others_in_place(root, store, loads):
    gone = Folder(str(root / "a.zip"), image_size=32)
    (store(gone=gone).folder / "metrics.json").write_text("{")
    (store(bits=32).folder / "codes.npz").write_bytes(b"no zip")
    (store(method=CSQConfig()).folder / "experiment.json").write_text("{")
    (store(bits=8).folder / "metrics.json").write_text("{")
    store(bits=64)
    shelf = Shelf(root)
    assert shelf.data_sets()[1:] == ["a.zip, 32 px, files absent", THREE]  # how many classes it has nobody can read
    assert shelf.methods(THREE) == ["CSCE-Net"]
    with pytest.raises(ValueError, match=r"metrics.json cannot be read .*; delete its folder and run again"):
        shelf.collection(THREE, "CSCE-Net", 8)
    with pytest.raises(ValueError, match=r"codes.npz cannot be read .*; delete its folder and run again"):
        shelf.collection(THREE, "CSCE-Net", 32)
    assert shelf.collection(THREE, "CSCE-Net", 64).bits == 64


# --- titles


def test_the_recipes_come_first_in_their_order_and_the_others_are_named(root, store):
    for method in (TABLE3["CE"], TABLE2["Baseline"], CSQConfig(), replace(CSCE, feature_norm="none"), CSCE):
        store(method=method)
        store(method=method, seed=1)
    shelf = Shelf(root)
    usual = ["CSCE-Net", "CSQ", "Baseline", "CSCE-Net, CE"]
    assert shelf.methods(THREE)[:4] == usual
    assert sorted(shelf.others(THREE)) == sorted([f"{title}, seed 1" for title in usual] + NORMLESS)
    assert shelf.methods(THREE)[4:] == shelf.others(THREE)
    assert shelf.others("Aviary, 20 species") == []  # the shipped encoder is none of them


NORMLESS = ["CSCE-Net, without norm", "CSCE-Net, without norm, seed 1"]


def test_settings_of_the_study_are_said_in_its_words():
    base = Experiment("a", data=QUICK.data, method=CSCE, training=QUICK.training)
    printed = replace(CSCE, aie_normalize=None, feature_norm="none")
    faster = replace(base.training, new_lr=3.0)
    runs = runs_of(base, replace(base, method=printed), replace(base, training=faster))
    words = ["CSCE-Net, Eq. 3 as printed, without norm", "CSCE-Net, new parts three times as fast"]
    assert method_titles(runs) == ["CSCE-Net", *words]


def test_usual_titles_are_those_of_the_tables_rows():
    usual = usual_titles()
    assert usual[0] == "CSCE-Net"
    assert {"CSQ", "Baseline", "Baseline + local", "CSCE-Net, CE+Qua", "CSCE-Net, CF+DSF learned"} <= set(usual)
    assert len(usual) == len(set(usual))


def test_only_what_is_needed_is_added_to_a_title():
    base = Experiment("a", data=QUICK.data, method=CSCE, training=QUICK.training)
    assert method_titles(runs_of(replace(base, seed=3), replace(base, seed=3, bits=64))) == ["CSCE-Net"] * 2
    losses = [replace(base, method=method) for method in TABLE3.values()]
    assert method_titles(runs_of(*losses)) == ["CSCE-Net" if row == "CF+DSF" else f"CSCE-Net, {row}" for row in TABLE3]
    assert method_titles(runs_of(losses[0])) == ["CSCE-Net"]  # alone, the loss is not needed
    structures = [replace(base, method=method) for method in TABLE2.values()]
    assert method_titles(runs_of(*structures)) == [
        *("Baseline", "Baseline + local", "Baseline + sw2", "Baseline + sw4", "Baseline + sw2+sw4", "CSCE-Net")
    ]
    others = [
        base,
        replace(base, seed=2),
        replace(losses[0], seed=2),
        replace(base, method=replace(CSCE, feature_norm="none")),
        replace(base, training=replace(base.training, epochs=9), seed=1),
        replace(base, training=replace(base.training, epochs=9)),
    ]
    assert method_titles(runs_of(*others)) == [
        "CSCE-Net",
        "CSCE-Net, seed 2",
        "CSCE-Net, CE",
        "CSCE-Net, without norm",
        "CSCE-Net, epochs=9, seed 1",
        "CSCE-Net, epochs=9",
    ]


def test_losses_are_known_by_their_rows():
    assert [loss_of(method) for method in TABLE3.values()] == [row if row != "CF+DSF" else "" for row in TABLE3]
    assert loss_of(CSQConfig()) == ""
    assert loss_of(replace(CSCE, metric="ce", quantization="none")) == ""  # in no row: the sign is dynamic


def test_data_sets_of_one_name_are_told_apart():
    lists = ListFiles(root="/d/imagenet100", train="t", query="q", database="d")
    data = {
        Aviary(): None,
        Aviary(scenes=True): None,
        Aviary(train=9000, database=5000): None,
        Aviary(clutter=3): None,
        PROFILES["standard"].data: None,
        Folder("/a/flowers"): 5,
        Folder("/b/flowers"): 5,
        Folder("/a/flowers", image_size=32): 5,
        lists: 100,
    }
    assert list(data_titles(data).values()) == [
        "Aviary, 20 species",
        "Aviary scenes, 20 species",
        "Aviary, 20 species, 9,000 train, 5,000 database",
        "Aviary, 20 species, clutter=3",
        "Aviary, 20 species, standard profile",
        "flowers, 5 classes, 64 px",
        "flowers, 5 classes, 64 px, path=/b/flowers",
        "flowers, 5 classes, 32 px",
        "imagenet100, 100 classes, 224 px",
    ]


def test_titles_are_unique_for_every_stored_combination():
    base = Experiment("a", data=QUICK.data, method=CSCE, training=QUICK.training)
    methods = {*TABLE2.values(), *TABLE3.values(), CSQConfig(), replace(CSCE, margin=0.3)}
    every = [replace(base, method=method, seed=seed) for method in methods for seed in (0, 1, 2)]
    titles = method_titles(runs_of(*every))
    assert len(set(titles)) == len(every)


def test_multilabel_runs_open_too(root, store, monkeypatch):
    scenes = make_splits(multilabel=True)
    monkeypatch.setattr(module, "load_data", lambda data, root, progress: scenes)
    store(images=scenes, data=Aviary(n_classes=4, scenes=True))
    opened = Shelf(root).collection("Aviary scenes, 4 species", "CSCE-Net", 16)
    assert opened.find(opened.query(0)).right.any()

"""`cscelab index` and `cscelab query`: whose codes are whose, what is replaced, and options that mean nothing."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_runs import make_run, make_splits
from PIL import Image

from cscelab.cli import main
from cscelab.cli.searching import duplicates, index, query
from cscelab.codes import pack
from cscelab.description import Experiment
from cscelab.files import encoder_name
from cscelab.search import CodeIndex

ENCODER = "tiny-csce"


def draw(n: int, bits: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (n, bits)).astype(np.int8) * 2 - 1


def files(tmp_path, **arrays):
    """name.npz for each: plain codes, or (codes, name of their encoder)."""
    for name, given in arrays.items():
        codes, encoder = given if isinstance(given, tuple) else (given, None)
        known = {} if encoder is None else {"encoder": np.array(encoder)}
        np.savez(tmp_path / f"{name}.npz", codes=codes, **known)
    return [(str(tmp_path / f"{name}.npz"),) for name in arrays]


def refused(message: str, call, *arguments, **options):
    with pytest.raises((ValueError, OSError), match=message) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for seed, name in enumerate(("a", "b", "deep/c")):
        pixels = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((112, 112)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def run(tmp_path):
    """A stored run in a folder of its own, with what tells its folder from others."""
    made = make_run(tmp_path, make_splits())
    assert isinstance(made.experiment, Experiment)
    (made.folder / "experiment.json").write_text("{}")
    return made


def test_codes_without_an_encoders_name_join_an_index_with_one_only_where_somebody_vouches(tmp_path, capsys):
    named, nameless, other = files(
        tmp_path, named=(draw(9, 12), "csce"), nameless=draw(4, 12), other=(draw(4, 12), "q")
    )
    path = tmp_path / "index"
    index("build", path, named)
    before = path.read_bytes()
    refused("come without the name .* holds codes of csce; give --method csce", index, "add", path, nameless)
    refused("holds codes of csce, and these are of q", index, "add", path, nameless, method="q")
    refused("holds codes of csce, and these are of q", index, "add", path, other)
    refused("is of the encoder q, but --method csce", index, "add", path, other, method="csce")
    assert path.read_bytes() == before
    index("add", path, nameless, method="csce")
    assert (len(CodeIndex.load(path)), CodeIndex.load(path).method) == (13, "csce")

    bare = tmp_path / "bare"
    index("build", bare, nameless)
    index("add", bare, nameless)
    refused("are of csce, and the index does not say .* give --method csce", index, "add", bare, named)
    index("add", bare, named, method="csce")
    assert (len(CodeIndex.load(bare)), CodeIndex.load(bare).method) == (17, "csce")
    assert capsys.readouterr().err == ""


def test_a_query_with_one_name_missing_goes_on_with_a_note(tmp_path, capsys):
    named, nameless = files(tmp_path, named=(draw(9, 12), "csce"), nameless=draw(4, 12))
    for built, asked, note in (
        (named, nameless, "note: the queries do not say which encoder made the codes, the other side is of csce.\n"),
        (nameless, named, "note: the index does not say which encoder made the codes, the other side is of csce.\n"),
        (named, named, ""),
        (nameless, nameless, ""),
    ):
        index("build", tmp_path / "index", built, replace=True)
        capsys.readouterr()
        query(tmp_path / "index", asked, k=1)
        written = capsys.readouterr()
        assert written.err == note
        assert written.out.startswith("query")
    index("build", tmp_path / "index", named, replace=True)
    query(tmp_path / "index", nameless, method="csce")
    assert capsys.readouterr().err == ""


def test_images_join_an_index_without_a_name_only_where_somebody_vouches(tmp_path, pictures):
    (codes,) = files(tmp_path, codes=draw(5, 32))
    path = tmp_path / "index"
    index("build", path, codes)
    refused(f"are of {ENCODER}, and the index does not say", index, "add", path, (str(pictures),))
    refused(f"encoder {ENCODER}, but --method q", index, "add", path, (str(pictures),), method="q")
    index("add", path, (str(pictures),), method=ENCODER)
    assert CodeIndex.load(path).method == ENCODER
    refused("--method means nothing to images", index, "add", path, (str(pictures),), method=ENCODER)


def test_a_stored_runs_folder_is_its_codes_under_its_name(tmp_path, run, monkeypatch, capsys):
    with np.load(run.folder / "codes.npz") as stored:
        ids, query_ids = stored["database_ids"], stored["query_ids"]
    name = encoder_name(run)
    monkeypatch.chdir(run.folder)
    for place in (str(run.folder), str(run.folder / "codes.npz"), f"{run.folder}/codes.npz:database_codes", ".", "./"):
        index("build", tmp_path / "index", (place,), replace=True)
        built = CodeIndex.load(tmp_path / "index")
        assert (built.method, built.ids.tolist()) == (name, sorted(ids.tolist())), place
    capsys.readouterr()
    query(tmp_path / "index", (str(run.folder),), k=1)
    written = capsys.readouterr()
    assert [int(line.split()[0]) for line in written.out.splitlines()[1:]] == query_ids.tolist()
    assert written.err == ""
    another = shutil.copytree(run.folder, tmp_path / "another")
    refused(f"codes of {name}, but codes of another were expected", query, tmp_path / "index", (str(another),))
    (another / "experiment.json").unlink()  # now a folder of images that happens to hold codes
    refused("holds no images", index, "build", tmp_path / "new", (str(another),))


def test_only_an_index_is_replaced_however_damaged(tmp_path, run):
    (codes,) = files(tmp_path, codes=draw(9, 12))
    from cscelab.shipped import ENCODER as weights

    (tmp_path / "notes.txt").write_text("a year of work")
    (tmp_path / "empty").touch()
    for name in ("notes.txt", "empty", "codes.npz", weights.name):
        precious = tmp_path / name
        if not precious.exists():
            shutil.copy(weights, precious)
        before = precious.read_bytes()
        refused("is there already", index, "build", precious, codes)
        refused("is no code index, and --replace replaces nothing else", index, "build", precious, codes, replace=True)
        assert precious.read_bytes() == before
    for replace in (False, True):
        refused("is a folder; name a file", index, "build", tmp_path, codes, replace=replace)
    path = tmp_path / "index"
    index("build", path, codes, replace=True)
    whole = path.read_bytes()
    for damaged in (whole[:-7], whole[:200], whole.replace(b"flat", b"flit")):
        path.write_bytes(damaged)
        refused("index", index, "info", path)
        index("build", path, codes, replace=True)
        assert path.read_bytes() == whole


def test_options_that_mean_nothing_are_named(tmp_path, pictures):
    (codes,) = files(tmp_path, codes=draw(9, 12))
    images, path = (str(pictures),), tmp_path / "index"
    index("build", path, codes)
    before = path.read_bytes()
    new = tmp_path / "new"
    for message, arguments, options in (
        ("--bits means nothing to images", ("build", new, images), {"bits": 32}),
        ("--method means nothing to images", ("build", new, images), {"method": "x"}),
        ("--run means nothing to codes", ("build", new, codes), {"run": "x"}),
        ("--bits is 0; expected", ("build", new, codes), {"bits": 0}),
        ("--kind means nothing to index add", ("add", path, codes), {"kind": "flat"}),
        ("--replace means nothing to index add", ("add", path, codes), {"replace": True}),
        ("--probes means nothing to index add", ("add", path, codes), {"probes": 3}),
        ("--run means nothing to codes", ("add", path, codes), {"run": "x"}),
        ("ids are int64 \\(1,\\); expected whole numbers \\(9,\\)", ("add", path, codes), {"ids": (70,)}),
        ("index remove takes no images and no codes", ("remove", path, codes), {"ids": (3,)}),
        ("--kind means nothing to index remove", ("remove", path), {"ids": (3,), "kind": "ivf"}),
        ("index info takes no images and no codes", ("info", path, codes), {}),
        ("--ids means nothing to index info", ("info", path), {"ids": (3,)}),
        ("--replace means nothing to index info", ("info", path), {"replace": True}),
        ("--ef is of an index of kind hnsw, and this one is flat", ("build", new, codes), {"ef": 3}),
        ("--nlist is of an index of kind ivf", ("build", new, codes), {"nlist": 3, "kind": "hnsw"}),
        ("probes is 0; expected", ("build", new, codes), {"probes": 0, "kind": "ivf"}),
    ):
        refused(message, index, *arguments, **options)
    for message, inputs, options in (
        ("--k means nothing beside --radius", codes, {"k": 3, "radius": 2}),
        ("--ef means nothing beside --radius", codes, {"ef": 3, "radius": 2}),
        ("--probes is of an index of kind ivf, and this one is flat", codes, {"probes": 3}),
        ("--run means nothing to codes", codes, {"run": "x"}),
        ("--method means nothing to images", images, {"method": ENCODER}),
        ("--bits means nothing to images", images, {"bits": 12}),
        ("k is 0", codes, {"k": 0}),
        ("no images and no codes", (), {}),
    ):
        refused(message, query, path, inputs, **options)
    assert path.read_bytes() == before
    assert not new.exists()


def test_bits_that_the_file_contradicts_are_named(tmp_path):
    np.savez(tmp_path / "encoded.npz", codes=pack(draw(5, 12)), bits=12)
    np.savez(tmp_path / "valued.npz", codes=pack(draw(5, 12)), values=draw(5, 12))
    for name in ("encoded", "valued"):
        given, path = (str(tmp_path / f"{name}.npz"),), tmp_path / name
        refused("holds codes of 12 bits, but --bits 16 was given", index, "build", path, given, bits=16)
        index("build", path, given, bits=12)
        refused("holds codes of 12 bits, but --bits 16 was given", query, path, given, bits=16)
        assert CodeIndex.load(path).bits == 12


def test_matlabs_columns_of_items_are_pointed_out(tmp_path, capsys):
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(tmp_path / "m.mat", {"wide": draw(16, 40), "tall": draw(40, 16), "packed": pack(draw(3, 64))})
    np.save(tmp_path / "m.npy", draw(16, 40))
    wide, note = f"{tmp_path}/m.mat:wide", "note: 16 codes of 40 bits; if they are 40 codes of 16 bits, transpose.\n"
    for given, options, expected in (
        (wide, {}, note),
        (wide, {"bits": 40}, ""),
        (f"{tmp_path}/m.mat:tall", {}, ""),
        (f"{tmp_path}/m.npy", {}, ""),
        (f"{tmp_path}/m.mat:packed", {"bits": 64}, ""),
    ):
        index("build", tmp_path / "index", (given,), replace=True, **options)
        assert capsys.readouterr().err == expected
    index("build", tmp_path / "index", (wide,), replace=True)
    capsys.readouterr()
    query(tmp_path / "index", (wide,), k=1)  # the index's 40 bits confirm the columns
    assert capsys.readouterr().err == ""
    index("build", tmp_path / "tall", (f"{tmp_path}/m.mat:tall",))
    refused("40 columns, but the index holds codes of 16 bits", index, "add", tmp_path / "tall", (wide,))
    assert capsys.readouterr().err == note


def test_an_image_is_indexed_once_however_its_path_is_written(tmp_path, pictures, monkeypatch):
    path = tmp_path / "index"
    monkeypatch.chdir(tmp_path)
    refused("a.png came twice; leave it out", index, "build", path, ("pictures", "pictures/a.png"))
    index("build", path, ("pictures/a.png",))
    before = path.read_bytes()
    for same in ("pictures/a.png", str(pictures / "a.png"), "pictures/deep/../a.png", "pictures"):
        refused(f"{pictures / 'a.png'} is already in the index; leave it out", index, "add", path, (same,))
    assert path.read_bytes() == before
    index("add", path, ("pictures/b.png", "pictures/deep"))
    index("remove", path, ids=(0,))
    index("add", path, ("pictures/a.png",))
    assert [CodeIndex.load(path).path(i) for i in (1, 2, 3)] == [
        str(pictures / f"{n}.png") for n in ("b", "deep/c", "a")
    ]


def test_effort_is_an_option_of_its_kind_and_a_short_answer_says_so(tmp_path, capsys):
    codes, asked = files(tmp_path, codes=draw(600, 16), asked=draw(2, 16, seed=1))
    path = tmp_path / "index"
    index("build", path, codes, kind="ivf", nlist=30, probes=2)
    built = CodeIndex.load(path)
    assert (built.nlist, built.probes) == (30, 2)
    capsys.readouterr()
    built.probes = 1
    for probes, effort in ((1, {"probes": 1}), (2, {}), (30, {"probes": 30})):
        query(path, asked, k=500, **effort)
        lines = capsys.readouterr().out.splitlines()[1:]
        built.probes = probes
        found = (built.search(draw(2, 16, seed=1), 500).ids >= 0).sum(axis=1).tolist()
        short = [f"found {n} of 500; look further with --probes" for n in found if n < 500]
        assert [line.split("-  ")[-1].strip() for line in lines if "found" in line] == short
        assert len(short) == (0 if probes == 30 else 2)
        assert len(lines) == sum(found) + len(short)
    assert CodeIndex.load(path).probes == 2
    index("build", path, codes, kind="hnsw", ef=7, replace=True)
    assert CodeIndex.load(path).ef == 7
    capsys.readouterr()
    query(path, asked, k=3, ef=600)
    distances = [int(line.split()[3]) for line in capsys.readouterr().out.splitlines()[1:]]
    every = (draw(2, 16, seed=1)[:, None] != draw(600, 16)).sum(axis=2)
    assert distances == np.sort(every, axis=1)[:, :3].ravel().tolist()


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "data"))


def test_a_folder_is_indexed_queried_and_searched_for_duplicates(tmp_path, pictures, own_data, capsys):
    shutil.copy(pictures / "a.png", pictures / "deep" / "again.png")
    (pictures / "empty.jpg").touch()
    main(["index", str(pictures), "--report", str(tmp_path / "bad.csv")])
    said = capsys.readouterr().out
    assert said.startswith(f"4 images of {pictures}, by {ENCODER}\n5 new, 0 changed, 0 deleted in ")
    assert "1 cannot be used: 1 empty\n  empty.jpg is empty\n" in said
    with (tmp_path / "bad.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["path", "kind", "why"], ["empty.jpg", "empty", "is empty"]]

    asked = shutil.copy(pictures / "b.png", tmp_path / "elsewhere.png")
    gallery = tmp_path / "found.png"
    main(["query", str(asked), str(pictures / "a.png"), "--k", "2", "--json", "--gallery", str(gallery)])
    written = capsys.readouterr()
    first, second = json.loads(written.out)["queries"]
    assert first["neighbours"][0] == {
        "rank": 1, "distance": 0, "id": 2, "path": "b.png", "file": str(pictures / "b.png"), "itself": False,
        "copy": True,
    }  # fmt: skip
    assert [near["path"] for near in second["neighbours"]] == ["a.png", "deep/again.png"]
    assert [near["itself"] for near in second["neighbours"]] == [True, False]
    assert written.err == f"in {pictures}: 4 images, by {ENCODER}\ndrawn in {gallery}\n"
    assert Image.open(gallery).format == "PNG"
    main(["query", str(pictures / "a.png"), "--others", "--radius", "0", "--index", str(pictures)])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    again = [str(pictures / "a.png"), "1", "0", str(pictures / "deep" / "again.png"), "(the", "same", "bytes)"]
    assert rows[:2] == [["query", "rank", "distance", "path"], again]

    main(["duplicates", str(pictures), "--json"])
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert (group["identical"], [image["path"] for image in group["images"]]) == (True, ["a.png", "deep/again.png"])
    main(["duplicates"])
    assert "group 1: 2 images, all files have the same bytes" in capsys.readouterr().out


def test_words_before_folders_and_index_files_before_images(tmp_path, pictures, own_data, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(pictures, tmp_path / "build")
    refused("index build needs the index file; a folder called build is written ./build", index, "build")
    index("./build")
    assert capsys.readouterr().out.startswith("3 images of ")
    index("build", tmp_path / "own.png", (str(pictures),))  # an index file by an image's name
    capsys.readouterr()
    query(tmp_path / "own.png", (str(pictures / "a.png"),), k=1)
    assert capsys.readouterr().out.splitlines()[0].split() == ["query", "rank", "id", "distance", "path"]
    query(pictures / "a.png", k=1)
    assert capsys.readouterr().out.splitlines()[0].split() == ["query", "rank", "distance", "path"]


def test_what_means_nothing_to_a_folders_index_is_named(tmp_path, pictures, own_data):
    (codes,) = files(tmp_path, codes=draw(9, 12))
    index("build", tmp_path / "index", codes)
    folder, image = str(pictures), pictures / "a.png"
    for message, arguments, options in (
        ("--kind means nothing to the index of a folder", (folder,), {"kind": "flat"}),
        ("--ids means nothing to the index of a folder", (folder,), {"ids": (3,)}),
        ("--replace means nothing to the index of a folder", (folder,), {"replace": True}),
        ("--report means nothing to an index file", ("info", tmp_path / "index"), {"report": tmp_path / "r"}),
        ("came; give one folder, or build, add, remove or info and a file", (folder, pictures), {}),
        ("nowhere is not there; give a folder of images", (str(tmp_path / "nowhere"),), {}),
        ("no stored run is called 'csq'", (folder,), {"run": "csq"}),
    ):
        refused(message, index, *arguments, **options)
    for message, arguments, options in (
        ("no folder has been indexed yet; call cscelab index FOLDER", (image,), {}),
        ("--method means nothing to the index of a folder", (image,), {"method": "x"}),
        ("--k means nothing beside --radius", (image,), {"k": 3, "radius": 2}),
        ("found.jpg; give a name that ends in .png", (image,), {"gallery": tmp_path / "found.jpg"}),
        ("--others means nothing to an index file", (tmp_path / "index", codes), {"others": True}),
        ("--json means nothing to an index file", (tmp_path / "index", codes), {"json": True}),
        ("--gallery means nothing to an index file", (tmp_path / "index", codes), {"gallery": tmp_path / "g.png"}),
    ):
        refused(message, query, *arguments, **options)
    refused("no folder has been indexed yet", duplicates)
    assert not os.path.exists(tmp_path / "data")
    index(folder)
    refused("there is no image at .*missing.jpg; check the path", query, tmp_path / "missing.jpg")
    refused("pictures is a folder; name image files, and what to search as --index", query, pictures)
    refused("pictures is a folder; name image files, and what to search as --index", query, pictures, (str(image),))


def test_where_output_goes_is_checked_before_the_work(tmp_path, pictures, own_data, capsys):
    (tmp_path / "dir.png").mkdir()
    refused("to the folder .*dir.png; name a file with --report", index, str(pictures), report=tmp_path / "dir.png")
    refused(
        "to the folder .*dir.png; name a file with --gallery", query, pictures / "a.png", gallery=tmp_path / "dir.png"
    )
    assert not os.path.exists(tmp_path / "data")
    index(str(pictures))
    capsys.readouterr()
    many = (str(pictures / "b.png"),) * 40
    refused("a gallery of 41 queries was asked for", query, pictures / "a.png", many, gallery=tmp_path / "g.png")
    assert capsys.readouterr().out == ""


def test_one_code_of_many_images_is_said_wherever_it_matters(tmp_path, pictures, own_data, capsys):
    for number in range(57):
        shutil.copy(pictures / "a.png", pictures / f"{number}.png")
    told = re.compile(r"note: (\d+) of 60 images share one code by tiny-csce.* --run NAME$", re.MULTILINE)
    for command in (["index", str(pictures)], ["query", str(pictures / "b.png")], ["duplicates"]):
        main(command)
        assert int(told.search(capsys.readouterr().err)[1]) >= 58
    main(["index", str(pictures)])
    said = capsys.readouterr().err
    assert "knows drawn birds; for photographs name a run that was trained on some with --run\n" in said
    assert "csq-32" not in said
    main(["duplicates", "--json"])
    assert "share one code" in json.loads(capsys.readouterr().out)["notes"][0]


def test_an_image_by_a_suffix_that_is_not_read_is_asked_for_by_what_it_holds(tmp_path, pictures, own_data, capsys):
    index(str(pictures))
    asked = str(shutil.copy(pictures / "b.png", tmp_path / "b.heic"))
    capsys.readouterr()
    query(Path(asked), (str(pictures / "a.png"),), k=1)
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]} == {asked, str(pictures / "a.png")}


def test_ctrl_c_leaves_an_index_to_go_on_with(pictures, own_data, monkeypatch, capsys):
    from cscelab.photoindex import update as updating

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(updating.PhotoStore, "write", stop)
        with pytest.raises(SystemExit) as ended:
            main(["index", str(pictures)])
    assert ended.value.code == 130
    assert "an index of a folder goes on with the same command" in capsys.readouterr().err
    index(str(pictures))
    assert "3 images of" in capsys.readouterr().out

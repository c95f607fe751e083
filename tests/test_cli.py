"""The command line: help a newcomer can follow, one sentence for a mistake, and the right exit code."""

import re
from pathlib import Path

import pytest

from cscelab import cli
from cscelab.cli import COMMANDS, main
from cscelab.profiles import PROFILES


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("neither codes nor an index\n")


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    try:
        main(list(arguments))
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_lists_every_command(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0
    for name in COMMANDS:
        assert name.split()[0] in out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(capsys, name):
    code, out, _ = call(capsys, *name.split(), "--help")
    assert code == 0
    assert (COMMANDS[name].__doc__ or "").strip().split("\n")[0][:30] in " ".join(out.replace("│", " ").split())


def test_the_command_of_table1_is_said(capsys):
    _, out, _ = call(capsys, "figures", "--help")
    assert "`cscelab figures table1 --profile standard`" in " ".join(out.replace("│", " ").split())
    _, out, _ = call(capsys, "figures", "--list")
    assert "table1 " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nothing"], "unknown recipe 'nothing'; choose from"),
        (["train", "csce", "--data", "imagenet"], "unknown data set 'imagenet'"),
        (["train", "csce", "--data", "folder:/no/such/folder"], "/no/such/folder"),
        (["figures", "fig9"], "unknown figure 'fig9'; choose from"),
        (["train", "csce", "--on", "cub"], "profile 'quick' has no benchmark 'cub'; choose from"),
        (["train", "csce", "--on", "scenes", "--data", "scenes"], "--on scenes and --data scenes both name the data"),
        (
            ["train", "csce", "--on", "species40", "--train-images", "9"],
            "sizes were given beside --on species40, whose",
        ),
        (
            ["train", "exchnet", "--profile", "paper", "--bits", "48", "--on", "cub"],
            "cub-200-2011/train.txt; write it from what the publisher gives with cscelab data prepare",
        ),
        (["data", "check", "nowhere"], "nowhere is no folder; give one with train.txt"),
        (["data", "check", ".", "--against", "."], ". has no manifest.json to compare; cscelab data prepare"),
        (["data", "check", ".", "--against", ".", "--no-decode"], "--no-decode means nothing to data check --against"),
        (["data", "list", "--no-decode"], "--no-decode means nothing to data list"),
        (["data", "draw", "--on", "coco"], "profile 'quick' has no benchmark 'coco'; choose from"),
        (["data", "draw", "coco"], "data draw takes no data set, but coco came; name it with --on"),
        (["data", "--on", "scenes"], "--on means nothing to data list; leave it out"),
        (["data", "list", "mnist"], "unknown data set 'mnist'; choose from imagenet100, coco"),
        (["data", "prepare"], "no data set was named; `cscelab data` lists them"),
        (["data", "prepare", "coco"], "name the folder with --root, which holds annotations/instances_train2014.json"),
        (["data", "prepare", "coco", "--root", "."], "lacks COCO's annotations"),
        (["data", "prepare", "cub-200-2011", "--root", "nowhere"], "nowhere does not exist; expected"),
        (["data", "prepare", "coco", "--root", ".", "--seed", "-1"], "seed is -1; choose a whole number from 0"),
        (["data", "check"], "no folder was named"),
        (["data", "check", ".", "--seed", "1"], "--seed means nothing to data check"),
        (["evaluate", "nothing"], "no stored run is called 'nothing'"),
        (["evaluate", "nothing", "--database", "network"], "no stored run is called 'nothing'"),
        (["encode"], "no images were given"),
        (["encode", "missing.jpg"], "there is no image at missing.jpg"),
        (["runs", "compare", "one"], "name two or more"),
        (["train", "csce", "--bits", "0"], "bits"),
        (["score", "missing.npz"], "missing.npz"),
        (["score", "notes.txt"], "notes.txt"),
        (["query", "missing.index", "bird.jpg"], "there is no index file missing.index"),
        (["query", "notes.txt", "bird.jpg"], "notes.txt is no code index"),
        (["index", "add", "notes.txt", "bird.jpg"], "notes.txt is no code index"),
        (["index", "build", "new.index", "missing.jpg"], "there is no image at missing.jpg"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, arguments, message):
    code, _, err = call(capsys, *arguments)
    assert code == 2
    assert err.startswith("cscelab: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(("name", "says"), [("pretrain", "goes on from the last"), ("recipes", "nothing half done")])
def test_ctrl_c_says_whether_it_can_go_on(capsys, monkeypatch, name, says):
    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, name, stopped)
    code, _, err = call(capsys, name)
    assert code == 130
    assert says in err


def test_train_evaluate_list_and_prune(capsys):
    code, out, _ = call(capsys, "train", "csce", "--profile", "smoke")
    assert code == 0
    assert "SMOKE RUN" in out
    assert "retrieved" in out
    code, out, _ = call(capsys, "runs", "list")
    assert "csce-16-" in out
    code, out, _ = call(capsys, "evaluate", "csce-16", "--k", "5")
    assert "mAP@5" in out
    code, out, _ = call(capsys, "runs", "prune", "csce-16")
    assert "1 would be removed" in out
    code, out, _ = call(capsys, "runs", "prune", "csce-16", "--yes")
    assert "removed 1" in out
    code, out, _ = call(capsys, "runs", "list")
    assert "no stored runs" in out


def test_the_data_sets_of_a_profile_can_be_named(capsys):
    _, out, _ = call(capsys, "train", "--help")
    said = " ".join(out.replace("│", " ").split())
    (drawn, photographed, enlarged) = re.search(
        r"--on NAME .*? in place of its own: (.*?); under paper (.*?); under scratch ([^(]*?) \(", said
    ).groups()
    for name, profile in PROFILES.items():
        named = {"paper": photographed, "scratch": enlarged}.get(name, drawn)
        assert named.split(", ") == [*profile.multilabel, *profile.finegrained, *profile.further]
    code, out, _ = call(capsys, "data", "draw", "--profile", "smoke", "--on", "species40")
    assert code == 0
    assert "4 classes, 112 px, single-label" in out
    counts = {line.split()[0]: line.split()[1] for line in out.splitlines()[1:]}
    assert counts == {"train": "64", "validation": "24", "query": "24", "database": "64"}
    code, out, _ = call(capsys, "train", "lsh", "--profile", "smoke", "--on", "species40")
    assert code == 0
    assert "species40-lsh-16-" in out


def test_data_lists_every_data_set_within_120_columns(capsys):
    from cscelab.datasets.catalog import CATALOG

    code, out, _ = call(capsys, "data")
    assert code == 0
    named = [line.split()[0] for line in out.splitlines()[1:-2] if not line.startswith(" ")]
    assert named == list(CATALOG)
    assert max(map(len, out.splitlines())) <= 120
    code, out, _ = call(capsys, "data", "list", "coco")
    assert code == 0
    for words in ("117,218", "instances_train2014.json", "https://cocodataset.org/#termsofuse", "not prepared"):
        assert words in " ".join(out.split())
    _, out, _ = call(capsys, "data", "list", "stanford-cars")
    assert "terms not stated by the publisher" in " ".join(out.split())
    _, out, _ = call(capsys, "data", "list", "nus-wide-81")
    assert "at most 269,648 images" in out


def test_data_prepare_and_check(capsys, monkeypatch, tmp_path):
    """Four images in place of COCO's: what its builder does is tested elsewhere."""
    from dataclasses import replace

    from PIL import Image

    from cscelab.datasets import catalog

    def lists(root, seed, progress):
        rows = [(f"{i}.png", (i % 2,)) for i in range(4)]
        lists = {"train": rows[2:], "query": rows[:2], "database": rows[2:]}
        return catalog.SplitLists("coco", "a protocol", ("a", "b"), lists, multilabel=True, seed=seed)

    images = tmp_path / "images"
    images.mkdir()
    for i in range(4):
        Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(images / f"{i}.png")
    monkeypatch.setitem(catalog.CATALOG, "coco", replace(catalog.CATALOG["coco"], prepare=lists))
    code, out, _ = call(capsys, "data", "prepare", "coco", "--root", "images", "--seed", "3", "--pictures")
    assert code == 0
    assert out.splitlines()[0] == "coco: a protocol; 2 classes"
    written = [line.split()[:2] for line in out.splitlines()[1:4]]
    assert written == [["train.txt", "2"], ["test.txt", "2"], ["database.txt", "2"]]
    assert "next: cscelab train csce --profile paper --on coco" in out
    assert (tmp_path / "data" / "coco" / "database.txt").read_text() == "2.png 1 0\n3.png 0 1\n"
    code, out, _ = call(capsys, "data", "prepare", "coco", "--root", "images", "--out", "elsewhere")
    assert out.endswith("written to elsewhere; next: cscelab train csce --data lists:elsewhere\n")
    code, out, _ = call(capsys, "data", "check", "elsewhere", "--against", "data/coco/manifest.json")
    assert code == 0
    assert out == "The same split: the lists and the names of the classes are the same.\n"
    _, out, _ = call(capsys, "data")
    assert re.search(r"^coco +prepared ", out, re.MULTILINE)
    code, _, _ = call(capsys, "data", "check", "data/coco")
    assert code == 0
    (images / "1.png").write_bytes(b"")
    code, out, _ = call(capsys, "data", "check", "data/coco", "--no-decode")
    assert (code, "were not opened" in out) == (0, True)
    code, out, _ = call(capsys, "data", "check", "data/coco")
    assert (code, "1.png is empty" in out) == (1, True)
    (images / "1.png").unlink()
    code, out, _ = call(capsys, "data", "check", "data/coco")
    assert code == 1
    assert "1.png" in out
    code, out, _ = call(capsys, "data", "check", "data/coco", "--drop", "clean")
    assert code == 0
    assert "query 1" in out
    assert (tmp_path / "clean" / "test.txt").read_text() == "0.png 1 0\n"
    code, out, _ = call(capsys, "data", "check", "data/coco", "--against", "clean")
    assert code == 1
    assert "The query lists differ: 2 images and 1 images." in out
    (tmp_path / "data" / "coco" / "manifest.json").write_text("{")
    code, out, _ = call(capsys, "data", "list", "coco")
    assert code == 0
    assert "manifest.json cannot be read: prepare it again" in " ".join(out.split())
    code, _, _ = call(capsys, "data", "prepare", "coco", "--root", "images")
    assert code == 0


def test_the_next_step_after_cifar10_suits_a_cpu():
    from cscelab.cli.data import _next
    from cscelab.paths import data_root

    assert _next(data_root() / "cifar10", "cifar10") == "cscelab train csce --profile scratch"
    further = _next(data_root() / "cifar10-59000", "cifar10-59000")
    assert further == "cscelab train csce --profile scratch --on cifar10-59000"
    assert _next(Path("mine"), "cifar10") == "cscelab train csce --data lists:mine --image-size 64"
    assert _next(Path("mine"), "coco") == "cscelab train csce --data lists:mine"
    assert _next(data_root() / "cub-200-2011", "cub-200-2011") == "cscelab train exchnet --profile paper --on cub"


def test_encode_prints_a_code_an_image(capsys, tmp_path):
    import numpy as np
    from PIL import Image

    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / "grey.png")
    code, out, _ = call(capsys, "encode", "grey.png")
    assert code == 0
    bits, path = out.split()
    assert set(bits) <= {"0", "1"}
    assert path == "grey.png"
    (tmp_path / "text.jpg").write_text("no image")
    code, _, err = call(capsys, "encode", "text.jpg")
    assert code == 2
    assert "text.jpg is no image of a known kind; give another file" in err


def test_doctor_names_what_is_there(capsys):
    code, out, _ = call(capsys, "doctor")
    assert code == 0
    for word in ("torch", "device", "data", "runs", "trunk", "encoder"):
        assert word in out

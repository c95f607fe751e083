"""The check of a split's lists: each kind of problem on the line it belongs to, and lists without these lines."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bad_images import write_bad_images
from PIL import Image

from cscelab.datasets.listcheck import check_split, drop_problems
from cscelab.datasets.lists import ListFiles, load_lists, read_list
from cscelab.datasets.splitfiles import FILES, SplitLists, write_split

LISTS = {  # three classes; images a to i, of which the training images b and c are in the database
    "train": "a.png 1 0 0\nb.png 0 1 0\nc.png 0 0 1\n",
    "test": "d.png 1 0 0\ne.png 0 1 1\n",
    "database": "b.png 0 1 0\nc.png 0 0 1\nf.png 1 0 0\ng.png 0 1 0\n",
}


def make(folder: Path, **more: str) -> Path:
    """The lists, with lines added to them, and nine images, each of its own colour."""
    folder.mkdir()
    for i, name in enumerate("abcdefghi"):
        Image.new("RGB", (8, 6), (20 * i, 0, 0)).save(folder / f"{name}.png")
    for name, text in LISTS.items():
        (folder / f"{name}.txt").write_text(text + more.get(name, ""))
    return folder


def found(folder: Path, **options) -> list[tuple[str, int, str]]:
    report = check_split(folder, progress=False, **options)
    return [(problem.split, problem.line, problem.kind) for problem in report.problems]


def test_lists_without_a_problem(tmp_path):
    report = check_split(make(tmp_path / "split"), progress=False)
    assert report.ok
    assert report.counts == {}
    assert "train.txt 3, test.txt 2, database.txt 4 images" in report.text()
    assert "No problem was found." in report.text()


@pytest.mark.parametrize(
    ("name", "line", "expected", "said"),
    [
        ("train", "h.png\n", ("train", 4, "no line of a list"), "train.txt:4: 'h.png'; expected"),
        ("train", "h.png 0 2 0\n", ("train", 4, "no line of a list"), "train.txt:4: label 2; expected"),
        ("train", "h.png 0 1\n", ("train", 4, "wrong width"), "train.txt:4: h.png has 2 labels; expected 3"),
        ("test", "h.png 1\n", ("query", 3, "wrong width"), "test.txt:3: h.png has 1 labels; expected 3"),
        ("test", "h.png 0 0 0\n", ("query", 3, "no label"), "test.txt:3: h.png has no label"),
        ("database", "no.png 0 1 0\n", ("database", 5, "missing"), "database.txt:5: no.png is not in "),
        (
            "database",
            "\ng.png 0 1 0\n",
            ("database", 6, "twice in a list"),
            "6: g.png is on line 4 of database.txt",
        ),
        ("database", "./g.png 0 0 1\n", ("database", 5, "twice in a list"), "too, with other labels"),
        (
            "database",
            "a.png 0 1 0\n",
            ("database", 5, "other labels"),
            "a.png has other labels than on line 1 of",
        ),
        ("test", "b.png 0 1 0\n", ("query", 3, "query in training"), "b.png is trained on: line 2 of train.txt"),
        ("database", "d.png 1 0 0\n", ("database", 5, "query in database"), "d.png is a query: line 1 of test.txt"),
    ],
)
def test_each_problem_stands_on_its_line(tmp_path, name, line, expected, said):
    folder = make(tmp_path / "split", **{name: line})
    assert found(folder) == [expected]
    assert found(folder, decode=False) == [expected]
    assert said in check_split(folder, progress=False).text()


def test_nothing_stops_at_the_first_and_examples_are_few(tmp_path):
    folder = make(tmp_path / "split", train="x\n" + "".join(f"no{i}.png 0 0 0\n" for i in range(1500)))
    report = check_split(folder, progress=False)
    assert report.counts == {"no line of a list": 1, "no label": 1500, "missing": 1500}
    text = report.text(examples=2).splitlines()
    assert text.index("  and 1,498 more") == text.index("no label: 1,500") + 3


def test_of_two_lines_the_one_without_another_fault_stays(tmp_path):
    folder = make(tmp_path / "split", database="h.png 0 0 0\nh.png 0 1 0\n")
    assert found(folder) == [("database", 5, "no label"), ("database", 5, "twice in a list")]


def test_the_same_bytes_under_two_names(tmp_path):
    folder = make(tmp_path / "split", train="h.png 0 1 0\n", test="i.png 0 1 0\n")
    copies = {"h": "a", "b": "b", "d": "a", "f": "i", "g": "c"}  # copy: original
    original = {name: (folder / f"{name}.png").read_bytes() for name in set(copies.values())}
    for copy, name in copies.items():
        (folder / f"{copy}.png").write_bytes(original[name])
    # h is a's copy in one list: nothing to leave out. d is queried and trained on as a; f and g are in the database
    # alone, as copies of the query i and of the training image c.
    expected = [("query", 1), ("database", 3), ("database", 4)]
    assert found(folder) == [(*line, "same picture") for line in expected]
    assert "test.txt:1: d.png has the same bytes as a.png, line 1 of train.txt" in check_split(folder).text()
    assert found(folder, decode=False) == []


def test_images_of_every_bad_kind_are_named(tmp_path):
    folder = make(tmp_path / "split")
    outcomes = write_bad_images(folder, 40)
    with (folder / "database.txt").open("a") as file:
        file.writelines(f"{name} 1 0 0\n" for name in outcomes)
    bad = {name for name, outcome in outcomes.items() if outcome != "converted"}
    report = check_split(folder, progress=False)
    assert bad
    assert {problem.path for problem in report.problems if problem.kind == "unreadable"} == bad
    drop_problems(report, tmp_path / "out")
    kept = set(read_list(tmp_path / "out" / "database.txt").paths)
    assert kept.isdisjoint(bad)
    assert {"b.png", "c.png", "f.png", "g.png"} <= kept
    assert check_split(tmp_path / "out", progress=False).ok


def test_a_list_that_was_changed_after_its_manifest(tmp_path):
    images = make(tmp_path / "images")
    rows = {"train": [("a.png", (0,))], "query": [("b.png", (1,))], "database": [("c.png", (1,))]}
    out = tmp_path / "out"
    write_split(SplitLists("s", "p", ("x", "y"), rows), out, images, pictures=True, progress=False)
    assert check_split(out, progress=False).ok
    (out / "test.txt").write_text("b.png 0\n")
    assert found(out) == [("query", 0, "changed")]
    (out / "test.txt").write_text("b.png 2\n")
    assert found(out) == [("query", 0, "changed"), ("query", 1, "no line of a list")]
    (out / "test.txt").write_text("b.png 1\n")
    Image.new("RGB", (8, 6), "white").save(images / "c.png")
    assert found(out) == [("train", 0, "changed")]
    assert "pictures of the lists are not the manifest's" in check_split(out, progress=False).text()
    assert found(out, decode=False) == []


def test_lines_at_fault_are_left_out_and_nothing_else(tmp_path):
    folder = make(
        tmp_path / "split",
        train="h.png\nno.png 1 0 0\n",
        test="b.png 0 1 0\nh.png 0 1 0\n",
        database="a.png 0 1 1\nd.png 1 0 0\ng.png 0 1 0\ni.png 1 1 0\n",
    )
    report = check_split(folder, progress=False)
    manifest = drop_problems(report, tmp_path / "out")
    kept = {name: (tmp_path / "out" / f"{name}.txt").read_text() for name in LISTS}
    expected = {"test": "h.png 0 1 0\n", "database": "i.png 1 1 0\n"}
    assert kept == {name: text + expected.get(name, "") for name, text in LISTS.items()}
    assert manifest["protocol"] == "the lists of split, without 6 lines at fault"
    assert check_split(tmp_path / "out", progress=False).ok
    lists = {split: str(tmp_path / "out" / file) for split, file in FILES.items()}
    splits = load_lists(ListFiles(str(tmp_path / "out"), **lists, validation=1, image_size=8, resize=8), tmp_path)
    assert len(splits.query) == 3
    assert splits.database.labels.tolist()[-1] == [1, 1, 0]


@pytest.mark.parametrize("hot", [True, False])
def test_whatever_is_wrong_dropping_once_is_enough(tmp_path, hot):
    rng = np.random.default_rng(0)
    for trial in range(6):
        folder = make(tmp_path / f"{hot}{trial}")
        (folder / "i.png").write_bytes((folder / "a.png").read_bytes())
        (folder / "h.png").write_bytes((folder / "d.png").read_bytes()[:60])
        labels = ["1 0 0", "0 1 0", "0 0 0", "0 1"] if hot else ["0", "1", "2", "-1"]
        for name in LISTS:
            lines = [f"{rng.choice(list('abcdefghij'))}.png {rng.choice(labels)}\n" for _ in range(14)]
            (folder / f"{name}.txt").write_text("".join(lines))
        # One sound line each, so that no list is left empty.
        for i, name in enumerate(LISTS):
            Image.new("RGB", (8, 8), (0, 0, 9 + i)).save(folder / f"{name}.png")
            with (folder / f"{name}.txt").open("a") as file:
                file.write(f"{name}.png {labels[0]}\n")
        report = check_split(folder, progress=False)
        assert not report.ok
        drop_problems(report, folder / "out")
        again = check_split(folder / "out", progress=False)
        assert again.ok, again.text()


def test_without_a_database_list_the_training_images_are_the_database(tmp_path):
    folder = make(tmp_path / "split", train="no.png 1 0 0\n")
    (folder / "database.txt").unlink()
    report = check_split(folder, progress=False)
    assert report.counts == {"missing": 1}
    assert "There is no database.txt" in report.text()
    drop_problems(report, tmp_path / "out")
    assert (tmp_path / "out" / "database.txt").read_text() == LISTS["train"]


def test_images_in_a_zip_and_text_that_is_not_utf8(tmp_path):
    folder = make(tmp_path / "split")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for image in sorted(folder.glob("*.png")):
            if image.stem != "f":
                archive.write(image, image.name)
            image.unlink()
    with (folder / "test.txt").open("ab") as file:
        file.write("\u00fcber.png 1 0 0\n".encode("latin-1"))
    assert found(folder, images=tmp_path / "images.zip") == [
        ("query", 3, "no line of a list"),
        ("database", 3, "missing"),
    ]


def test_what_cannot_be_checked_or_dropped(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"cannot read the list .*train.txt .*; give a folder with train.txt"):
        check_split(tmp_path / "empty", progress=False)
    with pytest.raises(ValueError, match=r"nowhere is no folder; give one with train.txt"):
        check_split(tmp_path / "nowhere", progress=False)
    folder = make(tmp_path / "split")
    report = check_split(folder, progress=False)
    with pytest.raises(ValueError, match="holds the lists that were checked; name another folder"):
        drop_problems(report, folder)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "test.txt").write_text("mine.jpg 0\n")
    with pytest.raises(ValueError, match="own holds lists that were not written by cscelab data prepare"):
        drop_problems(report, tmp_path / "own")
    assert (tmp_path / "own" / "test.txt").read_text() == "mine.jpg 0\n"
    (folder / "test.txt").write_text("a.png 1 0 0\n")
    with pytest.raises(ValueError, match="no line of .*test.txt is without a problem"):
        drop_problems(check_split(folder, progress=False), tmp_path / "out")
    (folder / "test.txt").write_text("")
    assert found(folder) == [("query", 0, "no line of a list")]
    (folder / "manifest.json").write_text(json.dumps([]))
    with pytest.raises(ValueError, match="manifest.json cannot be read"):
        check_split(folder, progress=False)


def numbered(folder: Path, database: str) -> Path:
    make(folder)
    for name, text in {"train": "a.png 0\nb.png 1\n", "test": "d.png 2\n", "database": database}.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_classes_counted_from_one_or_with_a_gap(tmp_path):
    whole = [("train", 0, "class without images")]
    folder = numbered(tmp_path / "gap", "f.png 1\ng.png 4\n")
    assert found(folder) == whole
    assert (
        "train.txt: no list has an image of 1 of the classes 0 to 4, 3 for one, and line 2 of database.txt is of class "
        "4; expected numbers from 0 without a gap" in check_split(folder, progress=False).text()
    )
    (folder / "train.txt").write_text("a.png 1\nb.png 2\nc.png 3\n")
    assert found(folder) == whole
    assert "1 of the classes 0 to 4, 0 for one, and line 1 of train.txt is of class 1" in check_split(folder).text()
    assert found(numbered(tmp_path / "sound", "f.png 1\ng.png 3\n")) == []


def test_a_class_number_that_is_a_slip_is_one_line_at_fault(tmp_path):
    folder = numbered(tmp_path / "slip", "f.png 1\ng.png 90000000\n")
    assert found(folder) == [("database", 2, "no line of a list")]
    report = check_split(folder, progress=False)
    assert "g.png has class 90000000, and the lists have 5 lines" in report.text()
    assert drop_problems(report, tmp_path / "out")["classes"] == ["class 0", "class 1", "class 2"]
    # A manifest says how many classes there are, of which a part of the lists may show few.
    names = tuple(f"species {i}" for i in range(200))
    lists = {"train": [("a.png", (150,))], "query": [("d.png", (150,))], "database": [("f.png", (7,))]}
    write_split(SplitLists("birds", "p", names, lists), tmp_path / "part", folder)
    assert found(tmp_path / "part") == []


def test_lists_that_came_from_another_machine(tmp_path):
    images = make(tmp_path / "images")
    rows = {"train": [("a.png", (0,))], "query": [("b.png", (1,))], "database": [("c.png", (1,))]}
    theirs = tmp_path / "theirs"
    before = write_split(SplitLists("s", "p", ("x", "y"), rows), theirs, images)
    images.rename(tmp_path / "moved")
    with pytest.raises(
        ValueError, match=r"images does not exist, where .*manifest.json says .* --root PATH --drop OUT"
    ):
        check_split(theirs, progress=False)
    manifest = drop_problems(check_split(theirs, tmp_path / "moved", progress=False), tmp_path / "mine")
    assert manifest["images"] == str((tmp_path / "moved").resolve())
    assert {key: manifest[key] for key in ("lists", "protocol")} == {key: before[key] for key in ("lists", "protocol")}
    assert check_split(tmp_path / "mine", progress=False).ok

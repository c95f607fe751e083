"""The index of a folder: what is found, kept, read again and reported, and that killing it at any time does no harm."""

import csv
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bad_images import CONVERTED, write_bad_images
from fake_encoder import SIDE, FakeEncoder, FakeModel
from filelock import FileLock
from PIL import Image

from cscelab.datasets.decoding import decode
from cscelab.photoindex import encoder as encoders
from cscelab.photoindex import store as storing
from cscelab.photoindex import update as updating
from cscelab.photoindex.answers import answer
from cscelab.photoindex.duplicates import duplicate_groups
from cscelab.photoindex.lookup import find_index
from cscelab.photoindex.notes import crowded, notes
from cscelab.photoindex.store import PhotoStore
from cscelab.photoindex.update import update
from cscelab.photoindex.walk import Walk, shown

ODD = b"caf\xe9.jpg"  # Latin-1, no UTF-8


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """The data folder of a test, and batches of four, so that small folders make several."""
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(updating, "BATCH", 4)
    monkeypatch.setattr(updating, "AHEAD", 8)
    return tmp_path / "data"


def picture(path, seed=0):
    path = Path(os.fsdecode(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")


@pytest.fixture
def photos(tmp_path):
    """Nine in three folders; in the order of their paths their seeds rise."""
    names = ("a.png", "b/1.png", "b/2.png", "b/deep/er/than/four/3.png", "c.png", "c/4.png", "d.jpg", "e.png", "f.webp")
    for seed, name in enumerate(names):
        picture(tmp_path / "photos" / name, seed)
    return tmp_path / "photos"


def rows(folder=None, **columns):
    """Everything that the index holds."""
    with sqlite3.connect(find_index(folder).file) as database:
        return database.execute("SELECT id, path, size, changed, code, kind, why FROM photos ORDER BY id").fetchall()


def ids(folder=None):
    return {os.fsdecode(row[1]): row[0] for row in rows(folder)}


def indexed(folder, **options):
    return update(folder, FakeEncoder(model=FakeModel()), progress=False, **options)


def unchanged(folder):
    """A call that must load no encoder."""
    return update(folder, FakeEncoder(), progress=False)


def found(folder):
    walk = Walk(folder)
    return sorted(item.path for item in walk), walk.unseen


def test_images_are_found_at_any_depth_and_hidden_names_are_not(tmp_path):
    deep = "/".join(str(level) for level in range(40))
    for name in (
        f"{deep}/x.JPG",
        "y.tiff",
        ".hidden.png",
        ".thumbnails/z.png",
        "folder.png/inside.gif",
        "notes.txt.png",
    ):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for ever
    assert found(tmp_path)[0] == sorted(
        [f"{deep}/x.JPG".encode(), b"y.tiff", b"folder.png/inside.gif", b"notes.txt.png"]
    )


def test_links_are_followed_once_and_loops_end(tmp_path):
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    picture(photos / "z" / "real.png")
    picture(elsewhere / "far.png")
    picture(tmp_path / "beside.png")
    (photos / "a").symlink_to(photos / "z")  # sorts before the real name, which counts all the same
    (photos / "z" / "loop").symlink_to(photos)
    (photos / "up").symlink_to("..")
    (photos / "there").symlink_to(elsewhere)
    (photos / "again").symlink_to(elsewhere)
    (photos / "file.png").symlink_to(tmp_path / "beside.png")
    (photos / "self").symlink_to("self")
    paths, unseen = found(photos)
    assert paths == [b"again/far.png", b"file.png", b"z/real.png"]
    assert [problem.path for problem in unseen] == [b"self"]
    (photos / "dangling.png").symlink_to("nowhere")
    paths, unseen = found(photos)
    assert len(paths) == 3
    assert {(problem.path, problem.kind) for problem in unseen} == {
        (b"self", "not readable"),
        (b"dangling.png", "not readable"),
    }


def test_a_folder_that_cannot_be_looked_into_is_reported_and_keeps_its_images(photos, monkeypatch):
    first = indexed(photos)
    before = rows()
    scan = os.scandir

    def refuse(path):
        if os.fsencode(path).endswith(b"photos/b"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (photos / "a.png").unlink()
    done = unchanged(photos)
    assert (first.work, done.work) == ((9, 0, 0), (0, 0, 1))
    assert rows() == before[1:]
    assert [tuple(problem) for problem in done.problems] == [
        (b"b", "not readable", "cannot be read (Permission denied)")
    ]


def test_ids_follow_the_paths_and_codes_are_those_of_the_images(photos):
    done = indexed(photos)
    paths = ["a.png", "b/1.png", "b/2.png", "b/deep/er/than/four/3.png", "c.png", "c/4.png", "d.jpg", "e.png", "f.webp"]
    assert ids() == {path: 1 + row for row, path in enumerate(paths)}
    for _, path, size, changed, code, kind, why in rows():
        file = photos / os.fsdecode(path)
        expected = np.packbits(FakeModel().bits(decode(file.read_bytes(), SIDE, SIDE))).tobytes()
        assert (code, size, changed) == (expected, file.stat().st_size, file.stat().st_mtime_ns)
        assert (kind, why) == (None, None)
    assert (done.images, done.read, done.problems) == (9, 9, ())


def test_a_second_call_reads_nothing(photos, monkeypatch):
    indexed(photos)
    before = rows()
    monkeypatch.setattr(updating, "decode", None)
    assert unchanged(photos).work == (0, 0, 0)
    assert rows() == before


def test_new_changed_and_deleted_files_alone_are_taken_in(photos):
    indexed(photos)
    before = {row[1]: row for row in rows()}
    picture(photos / "b" / "2.png", seed=77)
    os.utime(photos / "c.png", ns=(1, 1))
    shutil.rmtree(photos / "b" / "deep")
    (photos / "e.png").rename(photos / "aa.png")
    (photos / "f.webp").unlink()
    model = FakeModel()
    done = update(photos, FakeEncoder(model=model), progress=False)
    assert done.work == (1, 2, 3)
    assert sum(model.calls) == 3
    after = {row[1]: row for row in rows()}
    assert ids() == {"a.png": 1, "b/1.png": 2, "b/2.png": 3, "c.png": 5, "c/4.png": 6, "d.jpg": 7, "aa.png": 10}
    assert after[b"b/2.png"][4] != before[b"b/2.png"][4]
    assert after[b"c.png"][3:5] == (1, before[b"c.png"][4])
    assert after[b"aa.png"][4] == before[b"e.png"][4]
    for path in (b"a.png", b"b/1.png", b"c/4.png", b"d.jpg"):
        assert after[path] == before[path]
    picture(photos / "g.png")  # no id is given twice, though the last was deleted
    (photos / "aa.png").unlink()
    indexed(photos)
    assert ids()["g.png"] == 11


def test_malformed_files_stop_nothing_and_are_read_again_only_once_they_change(photos, tmp_path):
    expected = write_bad_images(photos / "bad", 100)
    bad = {f"bad/{name}": kind for name, kind in expected.items() if kind != CONVERTED}
    done = indexed(photos)
    assert {os.fsdecode(path): kind for path, kind, _ in done.problems} == bad
    assert done.images == 9 + len(expected) - len(bad)
    assert unchanged(photos).problems == done.problems
    kinds = Counter(bad.values())
    lines = done.text().splitlines()
    head = next(line for line in lines if "cannot be used" in line)
    assert head.startswith(f"{len(bad)} cannot be used: ")
    assert all(f"{count} {kind}" in head for kind, count in kinds.items())
    assert sum(line.startswith("  bad/") for line in lines) == 3

    done.write_report(tmp_path / "new" / "bad.csv")
    with (tmp_path / "new" / "bad.csv").open(newline="") as file:
        written = list(csv.reader(file))
    assert written[0] == ["path", "kind", "why"]
    assert {row[0]: row[1] for row in written[1:]} == bad
    assert all(row[2] for row in written[1:])

    mended = sorted(bad)[0]
    item = ids()[mended]
    picture(photos / mended, seed=5)
    again = indexed(photos)
    assert (again.work, again.images, ids()[mended]) == ((0, 1, 0), done.images + 1, item)


def test_a_file_that_may_not_be_read_is_tried_again_as_a_permission_changes_no_time(photos, monkeypatch, tmp_path):
    closed = {os.fsencode(photos / "c.png")}

    def refuse(path, *arguments, **options):
        if path in closed:
            raise PermissionError(13, "Permission denied")
        return open(path, *arguments, **options)

    monkeypatch.setattr(updating, "open", refuse, raising=False)
    done = indexed(photos)
    assert done.problems == ((b"c.png", "not readable", "cannot be read (Permission denied)"),)
    assert unchanged(photos).problems == done.problems
    closed.clear()
    again = indexed(photos)
    assert (again.work, again.images, again.problems) == ((0, 1, 0), 9, ())


def test_files_that_vanish_while_it_runs_are_left_out(photos, monkeypatch):
    read = updating._read

    def slow(folder, path, *sizes):
        if path == b"c.png":
            (photos / "c.png").unlink()
            shutil.rmtree(photos / "c")
        return read(folder, path, *sizes)

    monkeypatch.setattr(updating, "_read", slow)
    monkeypatch.setattr(updating, "MOST_THREADS", 1)
    done = indexed(photos)
    assert (done.images, done.problems) == (7, ())
    assert not {"c.png", "c/4.png"} & set(ids())
    monkeypatch.setattr(updating, "_read", read)
    assert unchanged(photos).work == (0, 0, 0)


def test_a_file_that_would_fill_the_memory_is_refused_unread(photos, monkeypatch):
    with (photos / "huge.jpg").open("wb") as file:
        file.truncate(updating.MOST_BYTES * 2)
    monkeypatch.setattr(updating, "decode", lambda data, *sizes: decode(data, *sizes) if len(data) < 1e6 else None)
    assert indexed(photos).problems == ((b"huge.jpg", "too large", "has 1,024 MB, more than 512"),)


@pytest.mark.parametrize(("large", "at_once"), [(0, 1), (updating.LARGE, 2)])
def test_large_files_are_read_one_at_a_time_and_others_beside_each_other(photos, monkeypatch, large, at_once):
    inside, most, met = [], [], threading.Event()

    def watched(data, *sizes):
        inside.append(1)
        most.append(len(inside))
        if len(inside) == 2:
            met.set()
        met.wait(20 if at_once == 2 else 0.05)
        inside.pop()
        return decode(data, *sizes)

    monkeypatch.setattr(updating.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(updating, "decode", watched)
    monkeypatch.setattr(updating, "LARGE", large)
    assert indexed(photos).images == len(most) == 9
    assert max(most) == at_once


def test_names_that_are_no_text_are_kept_as_they_are(photos, tmp_path):
    for name in (ODD, b"new\nline.png", b"$5$.png"):
        picture(os.fsencode(photos) + b"/" + name)
    (photos / "empty\udce9.jpg").touch()
    done = indexed(photos)
    assert {ODD, b"new\nline.png", b"$5$.png"} <= {row[1] for row in rows()}
    assert r"  empty\xe9.jpg is empty" in done.text().splitlines()
    assert shown(b"new\nline.png") == r"new\nline.png"
    done.write_report(tmp_path / "bad.csv")
    assert b"empty\xe9.jpg,empty,is empty" in (tmp_path / "bad.csv").read_bytes()
    assert unchanged(photos).work == (0, 0, 0)


def test_it_may_be_killed_at_any_time_and_goes_on_to_the_same_index(tmp_path):
    photos = tmp_path / "photos"
    for seed in range(32):
        picture(photos / f"{seed % 7}" / f"{seed:02}.png", seed)
    write_bad_images(photos / "3" / "bad", 8)
    program = [sys.executable, str(Path(__file__).with_name("fake_encoder.py")), str(photos)]
    environment = {**os.environ, "CSCELAB_DATA": str(tmp_path / "data")}
    n = []
    for batch in (1, 3, 2):  # killed while it encodes this one
        with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(batch):
                assert process.stdout.readline() == "batch\n"
            process.send_signal(signal.SIGKILL)
        n.append(len(rows()))
        assert find_index().unread == 40 - n[-1]
    assert n == sorted(n)
    assert n[0] == 0 < n[1] < n[2] < 40
    assert all(count % 4 == 0 for count in n)
    indexed(photos)
    resumed = rows(photos)
    os.environ["CSCELAB_DATA"] = str(tmp_path / "whole")
    indexed(photos)
    assert resumed == rows(photos)
    assert len(resumed) == 40


def test_indexing_with_an_encoder_that_needs_no_torch_loads_none(photos):
    program = [sys.executable, str(Path(__file__).with_name("fake_encoder.py")), str(photos)]
    said = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.splitlines()[-1] == "False"


class Stopped(Exception):
    pass


def stopped_after(photos, batches):
    """An update that stops as if it were killed, before it encodes another batch."""
    model = FakeModel()

    def stop():
        if len(model.calls) > batches:
            raise Stopped

    model.tell = stop
    with pytest.raises(Stopped):
        update(photos, FakeEncoder(model=model), progress=False)


def test_an_index_that_was_stopped_says_so_until_it_is_finished(photos):
    stopped_after(photos, 0)
    for ask in (lambda: answer(find_index(), [photos / "a.png"]), lambda: duplicate_groups(find_index())):
        with pytest.raises(ValueError, match="was not finished and holds no image yet; go on with .*photos"):
            ask()
    stopped_after(photos, 1)
    (said,) = notes(find_index())
    assert said.startswith("the index is not finished: 4 images are in it, 5 new or changed images not yet; ")
    assert said.endswith("photos goes on")
    indexed(photos)
    assert (find_index().unread, notes(find_index())) == (0, [])
    picture(photos / "c.png", 99)
    stopped_after(photos, 0)  # of a later call too
    assert notes(find_index())[0].startswith("the index is not finished: 9 images are in it, 1 new or changed images")
    indexed(photos)
    with PhotoStore(find_index().file) as store:
        store.note(unread=None)  # killed while the folder was compared
    assert "9 images are in it, some images not yet" in notes(find_index())[0]


def test_one_code_of_many_images_is_said(photos):
    for number in range(50):
        picture(photos / f"{number}.png", 0 if number < 3 else 100 + number)
    assert indexed(photos).alike == 4
    told = (
        "4 of 59 images share one code by fake, which does not tell them apart; train an encoder on such images, then "
    )
    assert notes(find_index()) == [told + "cscelab index FOLDER --run NAME"]
    assert crowded(3, 60, "e") is None
    assert crowded(49, 49, "e") is None
    assert crowded(4, 60, "e").startswith("4 of 60 images share one code by e")


def test_photographs_of_kinds_that_are_not_read_are_reported_and_jfif_is_a_jpeg(photos):
    for name in ("IMG_1.HEIC", "b/x.avif", "y.heif"):
        (photos / name).touch()
    Image.new("RGB", (SIDE, SIDE)).save(photos / "z.jfif", format="JPEG")
    for done in (indexed(photos), unchanged(photos)):
        assert done.images == 10
        assert [tuple(problem) for problem in done.problems] == [
            (path, "of a kind that is not read", f"is of a kind that is not read ({suffix}); convert it to JPEG")
            for path, suffix in ((b"IMG_1.HEIC", ".heic"), (b"b/x.avif", ".avif"), (b"y.heif", ".heif"))
        ]
        assert "3 cannot be used: 3 of a kind that is not read\n  IMG_1.HEIC is of" in done.text()


def test_a_folder_without_images_names_what_may_be_why(tmp_path, photos, monkeypatch):
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "a.heic").touch()
    (tmp_path / "phone" / "b.heic").touch()
    with pytest.raises(ValueError, match=r"read: a.heic \(and 1 more like it\) is of a kind .*; convert it to JPEG$"):
        indexed(tmp_path / "phone")
    scan = os.scandir

    def refuse(path):
        if os.fsencode(path).endswith(b"/b"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for path in [*photos.glob("*.*"), *photos.glob("c/*")]:
        path.unlink()
    with pytest.raises(ValueError, match=r"can be read: b cannot be read \(Permission denied\); give"):
        indexed(photos)


def test_a_report_that_cannot_be_written_leaves_nothing_behind(photos, tmp_path, monkeypatch):
    done = indexed(photos)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="to the folder .*folder; name a file with --report"):
        done.write_report(tmp_path / "folder")

    def fail(*arguments):
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="full"):
        done.write_report(tmp_path / "folder" / "r.csv")
    assert list((tmp_path / "folder").iterdir()) == []


def test_an_index_that_another_process_writes_is_not_called_broken(photos, monkeypatch):
    indexed(photos)
    monkeypatch.setattr(storing, "PATIENCE", 0)
    with sqlite3.connect(find_index().file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with PhotoStore(find_index().file) as store, pytest.raises(OSError, match="another process is writing") as told:
            store.note(x=1)
        other.execute("ROLLBACK")
    assert "delete" not in str(told.value)


def test_the_index_is_that_of_the_folder_an_image_lies_in(photos, tmp_path):
    picture(tmp_path / "other" / "x.png", 3)
    indexed(photos)
    indexed(tmp_path / "other")
    assert find_index().folder == tmp_path / "other"
    (tmp_path / "link").symlink_to(photos)
    for images in ([photos / "a.png"], [tmp_path / "link" / "b" / "1.png", photos / "c.png"]):
        assert find_index(images=images).folder == photos
    for images in ([tmp_path / "else.png"], [photos / "a.png", tmp_path / "other" / "x.png"]):
        assert find_index(images=images).folder == tmp_path / "other"
    assert find_index(tmp_path / "other", images=[photos / "a.png"]).folder == tmp_path / "other"


def test_a_run_that_could_be_two_is_refused(photos):
    for name in ("csq-16", "csq-32"):
        update(photos, FakeEncoder(name, name, run=True, model=FakeModel()), progress=False)
    assert find_index(run="csq-16").encoder == "csq-16"
    assert find_index(photos, run="32").encoder == "csq-32"
    with pytest.raises(ValueError, match="'csq' fits the indexes by csq-16, csq-32; name one of these"):
        find_index(run="csq")


def test_a_batch_that_fails_half_way_leaves_the_index_as_it_was(photos, monkeypatch):
    model = FakeModel()
    encode = model.codes

    def fail_later(pixels):
        if len(model.calls) == 2:
            raise ValueError("the model gives codes that are not finite numbers")
        return encode(pixels)

    model.codes = fail_later
    with pytest.raises(ValueError, match="not finite"):
        update(photos, FakeEncoder(model=model), progress=False)
    assert [row[0] for row in rows()] == list(range(1, 9))
    indexed(photos)
    assert [row[0] for row in rows()] == list(range(1, 10))


def test_two_processes_at_once_wait_for_each_other(photos):
    indexed(photos)
    held, waited, said = threading.Event(), threading.Event(), []

    def other():
        with FileLock(find_index().file.with_name(updating.LOCK)):
            held.set()
            waited.wait(20)

    def wait(text):
        said.append(text)
        waited.set()

    process = threading.Thread(target=other)
    process.start()
    held.wait(20)
    picture(photos / "new.png", 40)
    assert indexed(photos, wait=wait).work == (1, 0, 0)
    process.join()
    assert said == ["another process is indexing this folder; waiting for it to end"]


def test_another_encoder_has_another_index_and_links_to_a_folder_are_that_folder(photos, tmp_path):
    first = indexed(photos)
    second = update(photos, FakeEncoder("fake", "1", model=FakeModel()), progress=False)
    (tmp_path / "link").symlink_to(photos)
    third = unchanged(tmp_path / "link")
    assert first.file != second.file
    assert third.file == first.file
    assert find_index().file == first.file  # the one that was called last
    assert find_index(tmp_path / "link").folder == photos.resolve()
    assert first.file.parent.name.startswith("photos-")


def test_the_shipped_encoders_codes_do_not_depend_on_where_a_batch_begins(photos, tmp_path, monkeypatch):
    from cscelab.files import encode_files
    from cscelab.photoindex.lookup import PhotoIndex
    from cscelab.shipped import ENCODER

    assert encoders.SHIPPED == ENCODER
    for module in (encoders, updating):
        monkeypatch.setattr(module, "BATCH", 8)
    monkeypatch.setattr("cscelab.photoindex.model.BATCH", 8)
    for seed in range(11):
        picture(photos / "more" / f"{seed}.png", 100 + seed)
    encoder = encoders.find_encoder()
    whole = update(photos, encoder, progress=False)
    index = find_index()
    assert isinstance(index, PhotoIndex)
    together = {row[1]: row[4] for row in rows()}
    files = [index.path(item) for item in index.photos]
    codes = encode_files(files).codes
    assert np.array_equal(np.unpackbits(index.packed, axis=1)[:, : index.width] > 0, codes > 0)
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "other"))
    aside = tmp_path / "aside"
    (photos / "more").rename(aside)
    for name in ("b/1.png", "c.png", "e.png"):
        (photos / name).rename(tmp_path / Path(name).name)
    update(photos, encoder, progress=False)
    aside.rename(photos / "more")
    for name in ("b/1.png", "c.png", "e.png"):
        (tmp_path / Path(name).name).rename(photos / name)
    assert update(photos, encoder, progress=False).work == (14, 0, 0)
    assert {row[1]: row[4] for row in rows()} == together
    assert whole.encoder == "tiny-csce"


def test_what_is_missing_is_said_in_one_sentence(photos, tmp_path):
    def refused(message, call, *arguments, kind=ValueError, **options):
        with pytest.raises(kind, match=message) as caught:
            call(*arguments, **options)
        assert "\n" not in str(caught.value)

    refused("no folder has been indexed yet; call cscelab index FOLDER", find_index)
    refused("nowhere is not there; give a folder", indexed, tmp_path / "nowhere")
    refused("a.png is no folder; give a folder", indexed, photos / "a.png")
    (tmp_path / "none").mkdir()
    refused("none holds no images, as .bmp.* files", indexed, tmp_path / "none")
    assert not (tmp_path / "data").exists()
    indexed(photos)
    refused("there is no index of .*none; .* one of those there are: .*photos", find_index, tmp_path / "none")
    refused("there is no index by a run called csq", find_index, run="csq")
    photos.rename(tmp_path / "moved")
    refused("photos is not there; its index stays as it is; give a folder", indexed, photos)
    photos.mkdir()
    refused("holds no images.*; its index stays as it is, delete .*photos-", indexed, photos)
    assert len(rows()) == 9
    file = find_index().file
    file.write_bytes(b"SQLite no more" * 100)
    shutil.rmtree(photos)
    (tmp_path / "moved").rename(photos)
    refused("index.sqlite cannot be used .*; make room, or delete that file", indexed, photos, kind=OSError)


def test_an_index_that_holds_nothing_usable_and_an_encoder_that_is_gone_say_so(tmp_path, photos):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.jpg").write_bytes(b"")
    indexed(tmp_path / "bad")
    picture(tmp_path / "one" / "x.png")
    assert indexed(tmp_path / "one").text().startswith(f"1 image of {tmp_path}/one, by fake\n1 new, ")
    indexed(tmp_path / "bad")
    with pytest.raises(ValueError, match="holds no image that can be used; cscelab index .*bad says why"):
        _ = find_index().photos
    indexed(photos)
    with pytest.raises(ValueError, match="the encoder fake has changed since it made the index; call cscelab index"):
        find_index().load()
    update(photos, FakeEncoder("csq-1", "2", run=True, model=FakeModel()), progress=False)
    with pytest.raises(ValueError, match="the encoder csq-1 of the index is gone .*; train it again, or"):
        find_index(run="csq").load()

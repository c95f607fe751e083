"""A folder of arrays: whole or absent, checked by size, time and checksum, built once by one process at a time."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cscelab.datasets.array_folder import CONTENTS, cached, verify
from cscelab.paths import why, write_text

KEY = {"drawing": 1}
ANOTHER = """
import sys, time
from pathlib import Path
import numpy as np
from cscelab.datasets.array_folder import cached

def build(folder):
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    time.sleep(0.3)
    np.save(folder / "a.npy", np.arange(9))

assert cached(Path(sys.argv[1]), "x", {"drawing": 1}, build)["a"].sum() == 36
"""


def numbers(calls: list[int], value: int = 7, n: int = 9):
    def build(folder: Path) -> None:
        calls.append(1)
        np.save(folder / "a.npy", np.full(n, value))

    return build


def only_folder(root: Path) -> Path:
    (folder,) = root.iterdir()  # nothing is left beside it
    return folder


def test_it_is_built_once_for_each_key(tmp_path):
    calls = []
    for _ in range(2):
        assert cached(tmp_path / "new", "x", KEY, numbers(calls))["a"].tolist() == [7] * 9
    assert len(calls) == 1
    assert only_folder(tmp_path / "new").name.startswith("x-")
    assert cached(tmp_path / "new", "x", {"drawing": 2}, numbers(calls, 8))["a"].tolist() == [8] * 9
    assert len(calls) == 2


def test_large_arrays_are_mapped_to_be_read(tmp_path):
    found = cached(tmp_path, "x", KEY, numbers([], n=200_000))["a"]
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable
    assert not isinstance(cached(tmp_path, "x", {"drawing": 2}, numbers([]))["a"], np.memmap)


def damage_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: damage_bit(folder / "a.npy"),
        lambda folder: os.truncate(folder / "a.npy", 100),
        lambda folder: (folder / "a.npy").unlink(),
        lambda folder: (folder / CONTENTS).unlink(),
        lambda folder: (folder / CONTENTS).write_text("{"),
        lambda folder: (folder / CONTENTS).write_text("[]"),
    ],
)
def test_what_is_damaged_is_built_again(tmp_path, damage):
    calls = []
    cached(tmp_path, "x", KEY, numbers(calls))
    os.utime(only_folder(tmp_path) / "a.npy", (1, 1))
    cached(tmp_path, "x", KEY, numbers(calls))  # another time of change, the same bytes
    assert len(calls) == 1
    damage(only_folder(tmp_path))
    assert cached(tmp_path, "x", KEY, numbers(calls))["a"].tolist() == [7] * 9
    assert len(calls) == 2
    assert verify(only_folder(tmp_path)) == ()


def test_a_bit_flipped_behind_the_file_system_is_found_by_verify_alone(tmp_path):
    calls = []
    cached(tmp_path, "x", KEY, numbers(calls))
    folder = only_folder(tmp_path)
    noted = (folder / "a.npy").stat()
    damage_bit(folder / "a.npy")
    os.utime(folder / "a.npy", ns=(noted.st_atime_ns, noted.st_mtime_ns))
    cached(tmp_path, "x", KEY, numbers(calls))
    assert len(calls) == 1
    assert verify(folder) == ("a.npy",)
    (folder / "a.npy").unlink()
    assert verify(folder) == ("a.npy",)
    with pytest.raises(ValueError, match=f"has no readable {CONTENTS}; give a folder of cached arrays"):
        verify(tmp_path)


def test_a_copy_elsewhere_is_checked_once_and_its_times_noted(tmp_path):
    cached(tmp_path, "x", KEY, numbers([]))
    folder = only_folder(tmp_path)
    os.utime(folder / "a.npy", (1, 1))
    cached(tmp_path, "x", KEY, numbers([]))
    assert json.loads((folder / CONTENTS).read_text())["files"]["a.npy"][1] == 1_000_000_000


def test_after_an_interruption_the_next_build_finds_what_there_is(tmp_path):
    def stopped(folder: Path) -> None:
        (folder / "begun").write_text("half")
        raise KeyboardInterrupt

    def going_on(folder: Path) -> None:
        assert (folder / "begun").read_text() == "half"
        np.save(folder / "a.npy", np.arange(3))

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "x", KEY, stopped)
    assert cached(tmp_path, "x", KEY, going_on)["a"].tolist() == [0, 1, 2]
    assert only_folder(tmp_path).name.startswith("x-")


def test_after_an_error_nothing_is_left(tmp_path):
    def failing(folder: Path) -> None:
        (folder / "begun").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"cannot write the data set to .*x-.* \(No space left on device\); free"):
        cached(tmp_path, "x", KEY, failing)
    assert not list(tmp_path.iterdir())


def test_threads_that_need_the_same_build_it_once(tmp_path):
    calls, found = [], []

    def slow(folder: Path) -> None:
        time.sleep(0.1)
        numbers(calls)(folder)

    threads = [
        threading.Thread(target=lambda: found.append(cached(tmp_path, "x", KEY, slow)["a"].sum())) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(calls), found) == (1, [63] * 3)
    assert only_folder(tmp_path).name.startswith("x-")


def test_processes_that_need_the_same_build_it_once(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", ANOTHER, str(tmp_path / "data"), str(log)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert log.read_text() == "built\n"
    assert only_folder(tmp_path / "data").name.startswith("x-")


def test_a_folder_that_may_only_be_read_is_read(tmp_path, monkeypatch):
    calls = []
    cached(tmp_path, "x", KEY, numbers(calls))
    os.utime(only_folder(tmp_path) / "a.npy", (1, 1))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("write_text", "mkdir", "rename", "replace"):
        monkeypatch.setattr(Path, name, refuse)
    for _ in range(2):
        assert cached(tmp_path, "x", KEY, numbers(calls))["a"].tolist() == [7] * 9
    assert len(calls) == 1
    with pytest.raises(OSError, match="Permission denied.*another folder with root="):
        cached(tmp_path, "x", {"drawing": 2}, numbers(calls))


def test_a_text_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "note.json"
    write_text(path, "première\n")
    assert path.read_bytes() == "première\n".encode()

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "second")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ["première\n".encode()]


def test_an_error_in_one_line():
    assert why(ValueError("first  line\nsecond")) == "first line"
    assert why(ValueError("\n only\tthis\n")) == "only this"
    assert why(MemoryError()) == why(MemoryError(" \n")) == "MemoryError"


def test_a_link_to_a_folder_of_before_gives_way_and_that_folder_stays(tmp_path):
    cached(tmp_path / "old", "x", KEY, numbers([], 5))
    old = only_folder(tmp_path / "old")
    (old / CONTENTS).write_text("{}")  # as another version wrote it
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / old.name).symlink_to(old)
    assert cached(tmp_path / "new", "x", KEY, numbers([]))["a"].tolist() == [7] * 9
    assert not (tmp_path / "new" / old.name).is_symlink()
    assert np.load(old / "a.npy").tolist() == [5] * 9

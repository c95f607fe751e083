"""Work in several processes: from scripts without a main guard, quietly; and who listens hears how far it is."""

import subprocess
import sys
from functools import partial
from operator import mul

import pytest

from cscelab.datasets.processes import listening, unordered

SCRIPT = """
import os, sys
from functools import partial
from cscelab.datasets.processes import unordered

print("main runs")

def own(a):
    return a, os.getpid()

jobs = [(i,) for i in range(6)]
spawned = dict(unordered(partial(pow, 2), jobs, 2))
assert spawned == {(i,): 2**i for i in range(6)}, spawned
pids = {pid for _, (_, pid) in unordered(own, jobs, 2)}
assert pids == {os.getpid()}, "what the script itself defines is run in it"
assert sys.modules["__main__"].__file__ == __file__
"""


@pytest.mark.parametrize("started", ["as a file", "as a module"])
def test_a_script_without_a_main_guard_runs_once_and_quietly(tmp_path, started):
    (tmp_path / "unguarded.py").write_text(SCRIPT)
    command = [sys.executable, *(["unguarded.py"] if started == "as a file" else ["-m", "unguarded"])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "main runs\n"
    assert done.returncode == 0


def test_main_is_as_it_was_after_the_processes_were_started():
    main = sys.modules["__main__"]
    before = dict(vars(main))
    assert sorted(unordered(partial(mul, 3), [(1,), (2,)], 2)) == [((1,), 3), ((2,), 6)]
    assert vars(main) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_who_listens_hears_the_share_that_is_done(workers):
    heard, jobs = [], [(1,), (2,), (3,), (4,)]
    with listening(heard.append):
        assert len(list(unordered(partial(mul, 3), jobs, workers))) == 4
    assert heard == [0.25, 0.5, 0.75, 1.0]
    list(unordered(partial(mul, 3), jobs, 1))
    assert len(heard) == 4


def test_what_a_listener_raises_ends_the_work():
    done = []

    def stop(share):
        raise KeyError(share)

    with listening(stop), pytest.raises(KeyError, match=r"0\.25"):
        done += unordered(partial(mul, 3), [(1,), (2,), (3,), (4,)], 1)
    assert done == [((1,), 3)]

"""A data folder that all test processes share: smoke runs trained once, the embedded data drawn and coded once."""

from pathlib import Path

from filelock import FileLock

from cscelab.collection import shipped_collection
from cscelab.figures.build import BY_DEFAULT, needed
from cscelab.jobs import run_all
from cscelab.paths import data_root


def shared_folder(tmp_path_factory, name: str) -> Path:
    """A temporary folder of this test session: one for all of xdist's workers, whose own lie side by side."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if own.name.startswith("popen-") else own) / name
    folder.mkdir(exist_ok=True)
    return folder


def smoke_data(tmp_path_factory) -> Path:
    """The folder for $CSCELAB_DATA, with the smoke runs of every default figure and table, and of Table 1."""
    data = shared_folder(tmp_path_factory, "data")
    with FileLock(data.with_suffix(".lock")):  # the second worker waits, then finds them
        run_all(needed((*BY_DEFAULT, "table1"), "smoke"), jobs=1, root=data, progress=False)
    return data


def whole_data(tmp_path_factory) -> Path:
    """The same folder, with all of the embedded data and the shipped encoder's codes of it: what widgets start with."""
    data = smoke_data(tmp_path_factory)
    for drawn in data_root().glob("aviary-*"):  # what this checkout has drawn need not be drawn again
        if (drawn / "config.json").is_file() and not (data / drawn.name).exists():
            (data / drawn.name).symlink_to(drawn)
    shipped_collection(root=data)  # has a lock of its own
    return data

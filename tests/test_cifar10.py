"""CIFAR-10's protocols from the archive that people have: counts, classes, who is in which list."""

from collections import Counter
from pathlib import Path

import pytest

from cscelab.datasets.builders.cifar10 import cifar10
from cscelab.datasets.imagecache import ImageStore
from cscelab.datasets.splitfiles import SplitLists

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = {  # of each class: training, queries, database
    "cifar10": (500, 100, 5400),
    "cifar10-59000": (500, 100, 5900),
    "cifar10-50000": (5000, 1000, 5000),
}


@pytest.fixture(scope="module")
def store(shared_file) -> ImageStore:
    archive: Path = shared_file("data/cifar10-jpeg.zip")
    return ImageStore(archive)


def paths(split: SplitLists, name: str) -> set[str]:
    found = [path for path, _ in split.lists[name]]
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize("name", COUNTS)
def test_the_archive_gives_each_protocol(store, name):
    split = cifar10(store, name)
    assert split.classes == CLASSES
    for one, count in zip(("train", "query", "database"), COUNTS[name], strict=True):
        rows = split.lists[one]
        assert Counter(labels for _, labels in rows) == {(label,): count for label in range(10)}
        assert all(path.split("/")[-2] == CLASSES[label] for path, (label,) in rows)
    train, query, database = (paths(split, one) for one in ("train", "query", "database"))
    assert not query & (train | database)
    assert train <= database if name != "cifar10" else not train & database
    assert len(train | query | database) == 60_000
    if name == "cifar10-50000":
        assert all("test/" in path for path in query)
        assert all("train/" in path for path in train)
    assert store.read(min(query)).startswith(b"\xff\xd8")

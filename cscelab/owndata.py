"""Data named on the command line, `--data`: the embedded birds, class folders, photographs without labels, lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cscelab.datasets import DataConfig, ListFiles
from cscelab.datasets.aviary import Aviary
from cscelab.datasets.folder import Folder, find_classes
from cscelab.datasets.imagecache import ImageStore
from cscelab.datasets.splitfiles import FILES
from cscelab.datasets.unlabelled import Unlabelled
from cscelab.experiment import Experiment
from cscelab.profiles import QUICK
from cscelab.recipes import METHODS_BY_RECIPE, UNSUPERVISED, recipe

HELD_OUT = 0.1  # share of a training list for the validation split, where ListFiles' own is more
LEAST_HELD_OUT = 2  # so that each may find another
CROPPED = (256, 224)  # Sec. 4.2 of CSCE-Net: the shorter side, and the square that is kept


def parse_data(
    text: str,
    default: DataConfig,
    image_size: int | None = None,
    train: int | None = None,
    query: int | None = None,
    database: int | None = None,
) -> DataConfig:
    """Data named on the command line: "aviary", "scenes" (several species an image, multi-label), "folder:PATH" with
    class folders, "unlabelled:PATH", or "lists:PATH", a folder of train.txt, test.txt and database.txt (without the
    last the training images are the database).

    Raises ValueError for anything else, and where a folder is not there or has no classes.
    """
    kind, _, path = text.partition(":")
    # Absolute, so that a notebook, which runs in another folder, finds the images of a stored run too.
    whole = str(Path(path).expanduser().resolve())
    if kind == "folder" and path:
        store = ImageStore(whole)
        try:
            find_classes(store.names(), store.path)
        except ValueError as error:
            methods = ", ".join(UNSUPERVISED)
            raise ValueError(f"{error}; or train without labels ({methods}): --data unlabelled:{path}") from None
        return Folder(path=whole, image_size=image_size or 64, train=train, query=query, database=database)
    if kind == "unlabelled" and path:
        if (train, database) != (None, None):
            raise ValueError(
                "without labels the database is all images, and those that are not held out are learned from; leave "
                "--train-images and --database-images out"
            )
        return Unlabelled(path=whole, image_size=image_size or 64, query=query)
    if kind == "lists" and path:
        if (train, query, database) != (None, None, None):
            raise ValueError(
                f"sizes were given beside {text!r}, whose lists say how many images there are; leave out all but "
                "--image-size"
            )
        return split_lists(Path(whole), image_size)
    if text not in ("aviary", "scenes"):
        raise ValueError(
            f"unknown data set {text!r}; give 'aviary', 'scenes' or 'folder:PATH', a folder of class folders, "
            f"'unlabelled:PATH', any folder of images, or 'lists:PATH', a folder of split lists"
        )
    if (image_size, train, query, database) != (None, None, None, None):
        raise ValueError(f"sizes were given for {text!r}, but they are for photographs; give --data folder:PATH too")
    drawn = default if isinstance(default, Aviary) else QUICK.data
    assert isinstance(drawn, Aviary)
    return replace(drawn, scenes=text == "scenes")


def photographs(
    text: str, image_size: int, train: int | None, query: int | None, database: int | None, bits: int, epochs: int
) -> dict[str, Experiment]:
    """CSCE-Net and CSQ on a folder of photographs, by title; the shipped trunk of drawn birds is where both start."""
    data = parse_data(text, QUICK.data, image_size, train, query, database)
    if isinstance(data, Unlabelled):
        raise ValueError(
            f"CSCE-Net and CSQ learn from labels, and {text!r} has none; give folder:PATH, a folder of class folders, "
            f"or train without labels: cscelab train cibhash --data {text}"
        )
    training = replace(QUICK.training, epochs=epochs)
    return {
        METHODS_BY_RECIPE[name].title: replace(
            recipe(name, bits=bits), name=f"photographs/{name}/{bits}", data=data, training=training
        )
        for name in ("csce", "csq")
    }


def split_lists(folder: Path, image_size: int | None = None) -> ListFiles:
    """The lists of a folder; a tenth of the training list, at most ListFiles' 500, is for validation. image_size: no
    margin is cropped then, else CROPPED. Raises ValueError where a list is absent."""
    paths = {split: folder / file for split, file in FILES.items()}
    if not paths["database"].is_file():
        paths["database"] = paths["train"]
    if absent := sorted({path.name for path in paths.values() if not path.is_file()}):
        raise ValueError(f"{folder} has no {' and no '.join(absent)}; give a folder that cscelab data prepare wrote")
    resize, side = CROPPED if image_size is None else (image_size, image_size)
    train, query, database = (str(paths[split]) for split in ("train", "query", "database"))
    n_train = sum(1 for line in paths["train"].read_bytes().splitlines() if line.strip())
    validation = min(ListFiles.validation, max(LEAST_HELD_OUT, int(HELD_OUT * n_train)))
    return ListFiles(str(folder), train, query, database, validation, image_size=side, resize=resize)

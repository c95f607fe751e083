"""Commands that train, and that look at what was trained."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cscelab.cli.arguments import DataArg, Name, Positional, ProfileArg, arg

if TYPE_CHECKING:  # imported by the commands that need them: `cscelab --help` is quick
    from cscelab.datasets import DataConfig
    from cscelab.experiment import Run

MOST_NAMED = 20  # classes whose names are printed

OnArg = Annotated[
    str | None,
    arg(
        metavar="NAME",
        help="data set of the profile in place of its own: scenes, species40; under paper coco, nus-wide, cub, "
        "aircraft, nabirds, vegfru, food101, cifar10, cifar10-59000, cifar10-50000, nus-wide-81, mirflickr, "
        "flowers-102, stanford-cars, oxford-pets; under scratch cifar10-59000, cifar10-50000",
    ),
]


def figures(
    only: Positional[tuple[str, ...]] = (),
    /,
    profile: ProfileArg = "quick",
    out: Path | None = None,
    jobs: int | None = None,
    seeds: int | None = None,
    listing: Annotated[bool, arg(name="list")] = False,
) -> None:
    """Train what is missing, then draw the papers' figures and tables.

    Table 1, every method on single- and multi-label data, is drawn only when it is named. `cscelab figures table1`
    compares at 32 bits with one seed, in half an hour on two cores; `cscelab figures table1 --profile standard` at
    every code length with three seeds, in a night. What was interrupted goes on where the same command finds it.
    `cscelab figures exchnet` trains ExchNet, its ablations, ADSH and HashNet on 40 species, about half an hour more.
    `cscelab figures doh` trains DOH, its ablations and group sizes, CSQ and CSCE-Net.
    `cscelab figures cost` and `search-cost` measure what training and searching cost, best while nothing else runs.

    Args:
        only: figures to draw, as fig5 table2; by default all but table1, cost, study, exchnet, doh and
            search-cost.
        profile: which experiments.
        out: folder for PNG, SVG and CSV; figures/ for quick, figures/PROFILE otherwise.
        jobs: trainings at a time; by default as many as there are cores.
        seeds: of the tables and of ExchNet's and DOH's comparisons, in place of the profile's.
        listing: name the figures and stop.
    """
    from cscelab.figures import build

    if listing:
        for name, title in build.TITLES.items():
            print(f"{name:<{max(map(len, build.TITLES))}} {title}")
        return
    for path in build.build(only, profile, out, jobs, seeds=seeds):
        print(path)


def train(
    recipe: Positional[Name],
    /,
    profile: ProfileArg = "quick",
    bits: int | None = None,
    seed: int = 0,
    on: OnArg = None,
    data: DataArg = None,
    image_size: int | None = None,
    train_images: int | None = None,
    database_images: int | None = None,
    queries: int | None = None,
    epochs: int | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    retrain: bool = False,
) -> None:
    """Train one recipe, or show its stored run.

    Args:
        recipe: a name of `cscelab recipes`, as csce or table2/baseline.
        bits: code length; by default 16, or the next that the method can write.
        seed: of weights, batches and augmentation.
        data: scenes draws several species an image; folder:PATH takes a folder (or zip) of class folders;
            unlabelled:PATH takes any folder of images, for cibhash, cibhash/released-views (made for photographs), itq
            and lsh, and measures whether altered copies of images find their originals; lists:PATH takes a folder of
            train.txt, test.txt and database.txt.
        image_size: side in pixels of photographs. By default 64 for folder and unlabelled data, and for lists 224, cut
            out of 256; where a side is given, all of the shorter side is kept.
        train_images: images to learn from, for folder data.
        database_images: images to search, for folder data.
        queries: images to search with, for folder and unlabelled data.
        epochs: in place of the profile's.
        backbone: a trunk's name in place of the profile's, as resnet50, or timm:NAME, as timm:convnext_tiny.fb_in22k;
            an unknown one is answered with the choices.
        weights: default, none, a name of torchvision's as IMAGENET1K_V2, or a .safetensors, .pth or .pt file.
        retrain: train even where a run is stored.
    """
    from cscelab import owndata, recipes
    from cscelab.datasets import Folder, Unlabelled
    from cscelab.experiment import run
    from cscelab.profiles import SINGLE

    bits = recipes.usual_length(recipe) if bits is None else bits
    experiment = recipes.recipe(recipe, profile, bits, seed, on or SINGLE)
    if on and data:
        raise ValueError(f"--on {on} and --data {data} both name the data set; give one of them")
    sizes = (image_size, train_images, queries, database_images)
    if on and sizes != (None, None, None, None):
        raise ValueError(f"sizes were given beside --on {on}, whose own are fixed; leave them out, or --on")
    if data or sizes != (None, None, None, None):
        experiment = replace(experiment, data=owndata.parse_data(data or "aviary", experiment.data, *sizes))
    if backbone or weights:
        trunk = experiment.method.backbone
        trunk = replace(trunk, name=backbone or trunk.name, weights=weights or "default")
        experiment = replace(experiment, method=replace(experiment.method, backbone=trunk))
    if epochs is not None:
        experiment = replace(experiment, training=replace(experiment.training, epochs=epochs))
    with _notes():
        if isinstance(experiment.data, Folder | Unlabelled):
            _print_splits(experiment.data)
        _print_run(run(experiment, retrain=retrain))


def photographs(
    data: Annotated[str, arg(metavar="folder:PATH")],
    image_size: int = 64,
    train_images: int | None = None,
    database_images: int | None = None,
    queries: int | None = None,
    bits: int = 32,
    epochs: int = 20,
    out: Path = Path("figures"),
    jobs: int | None = None,
) -> None:
    """CSCE-Net and CSQ on your own photographs: mAP, a top-10 gallery and activation maps.

    Args:
        data: a folder (or zip) of class folders, or of train/ and test/ holding class folders.
        image_size: side in pixels; a 4x4 window needs 64 or more.
        train_images: images to learn from; by default a share of what is there, as for the next two.
        database_images: images to search.
        queries: images to search with.
        bits: code length.
        epochs: passes over the training images.
        out: folder for the pictures.
        jobs: trainings at a time.
    """
    from cscelab import owndata
    from cscelab.figures.photographs import photographs as draw

    experiments = owndata.photographs(data, image_size, train_images, queries, database_images, bits, epochs)
    with _notes():
        _print_splits(next(iter(experiments.values())).data)
        for path in draw(experiments, out, jobs):
            print(path)


def evaluate(
    run: Positional[Name], /, k: int | None = None, database: Literal["learned", "network"] | None = None
) -> None:
    """Every measure of a stored run, each under its convention.

    Args:
        run: its name or hash, or as much of it as is unique (`cscelab runs`).
        k: of mAP@k; the run's own by default.
        database: learned, the codes that training learned for the database (ADSH, ExchNet), or network, what the
            network gives for the same images; learned by default where there are any.
    """
    from cscelab.compare import find_stored
    from cscelab.experiment import report

    stored = find_stored(run)
    _say_what_is_measured(stored)
    print(report(stored, k, database).table())


def list_recipes() -> None:
    """The named experiments, with how they differ from the whole method."""
    from cscelab import recipes

    for name, text in recipes.describe().items():
        print(f"{name:<28} {text}")


def runs(
    action: Positional[Literal["list", "compare", "prune"]] = "list",
    names: Positional[tuple[str, ...]] = (),
    /,
    yes: bool = False,
) -> None:
    """List, compare or prune stored runs.

    Args:
        action: list, one run a line; compare, the named runs side by side and the settings in which they differ;
            prune, remove the named runs or, with no name, unfinished and unreadable ones.
        names: stored runs, by as much of name or hash as is unique.
        yes: prune for real; without it, prune only shows what would go.
    """
    from cscelab import listing

    if action == "prune":
        listing.prune_runs(names, yes)
    else:
        {"list": listing.list_runs, "compare": listing.compare_runs}[action](names)


def pretrain(out: Path = Path("cscelab/weights/tiny-trunk.safetensors")) -> None:
    """Train the trunk that is shipped: a classifier of Aviary species outside every benchmark split.

    Args:
        out: the weights file. An interrupted call goes on where it stopped.
    """
    from cscelab.pretrain import pretrain as train_trunk

    for row in train_trunk(out):
        print("  ".join(f"{name} {value:.3f}" for name, value in row.items() if not name.startswith("gradient")))
    print(out)


@contextmanager
def _notes() -> Iterator[None]:
    """Warnings inside the block are a line each, once, without the code they come from."""
    told: set[str] = set()

    def tell(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in told:
            told.add(str(message))
            print(f"note: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = tell
        yield


def _print_splits(data: DataConfig) -> None:
    from cscelab.datasets import Unlabelled, load_data

    splits = load_data(data)
    sizes = ", ".join(f"{len(getattr(splits, name)):,} {name}" for name in ("train", "validation", "query", "database"))
    print(f"images of {splits.image_size} px: {sizes}")
    if isinstance(data, Unlabelled):
        print("classes: none, the images have no labels")
    else:
        named = ", ".join(f"{number} {name}" for number, name in enumerate(splits.class_names[:MOST_NAMED]))
        more = splits.n_classes - MOST_NAMED
        print(f"classes: {named}" + (f" and {more} more" if more > 0 else ""))
    print()


def _say_what_is_measured(run: Run) -> None:
    from cscelab.datasets import Unlabelled
    from cscelab.datasets.unlabelled import MEASURED

    if isinstance(run.experiment.data, Unlabelled):
        print(MEASURED)


def _print_run(run: Run) -> None:
    from cscelab.experiment import report

    if run.experiment.smoke:
        print("SMOKE RUN: its numbers mean nothing")
    _say_what_is_measured(run)
    print(report(run).table())
    if network := run.metrics.get("network"):
        print("\nThe database by the codes that training learned for it.", end=" ")
        print(f"By the network's: mAP {network['map']:.4f} (cscelab evaluate {run.experiment.hash} --database network)")
    print(f"\nstored in {run.folder}")

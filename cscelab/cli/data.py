"""The command about data sets: list them, write their lists, check lists, draw a profile's own."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Annotated, Literal

from cscelab.cli.arguments import Positional, ProfileArg, arg

WIDTH = 118
NameArg = Annotated[str | None, arg(metavar="NAME|FOLDER")]
OnArg = Annotated[str | None, arg(metavar="NAME", help="of draw: data set of the profile in place of its own")]


def data(
    action: Positional[Literal["list", "prepare", "check", "draw"]] = "list",
    what: Positional[NameArg] = None,
    /,
    root: Path | None = None,
    out: Path | None = None,
    seed: int = 0,
    download: bool = True,
    pictures: bool = False,
    drop: Path | None = None,
    decode: bool = True,
    against: Path | None = None,
    profile: ProfileArg = "quick",
    on: OnArg = None,
) -> None:
    """List the data sets; write one's lists, check lists, or draw a profile's data.

    `cscelab data` lists them, and `cscelab data list coco` tells one's whole story. `cscelab data prepare coco --root
    PATH` writes train.txt, test.txt, database.txt and a manifest with checksums from what the publisher gives.

    Args:
        action: list; prepare, write the lists of a data set; check the lists in a folder, line by line; draw, make a
            profile's data now.
        what: the data set to list or prepare; the folder to check.
        root: of prepare: where the data set was unpacked; of check: where the images are, in place of the manifest's.
        out: of prepare: folder for the lists, in place of data/NAME, where profiles read them.
        seed: of prepare: of what is drawn.
        download: of prepare: download, where torchvision can and root is empty.
        pictures: of prepare: read every image for a checksum of them all.
        drop: of check: write lists without the lines at fault into this folder.
        decode: of check: open every image; else they need only be there.
        against: of check: compare manifests alone, with that of this folder (or a manifest.json): the same split?
        profile: of draw: whose data.
    """
    if action != "prepare":
        _refuse(f"to data {action}", out=out, seed=seed, pictures=pictures, no_download=not download)
    if action != "check":
        _refuse(f"to data {action}", drop=drop, against=against, no_decode=not decode)
    if action != "draw":
        _refuse(f"to data {action}", on=on, profile=profile != "quick")
    if action in ("list", "draw"):
        _refuse(f"to data {action}", root=root)
    if action == "list":
        print(_table() if what is None else _story(what))
    elif action == "prepare":
        _prepare(what, root, out, seed, download, pictures)
    elif action == "check":
        _check(what, root, drop, decode, against)
    else:
        if what is not None:
            raise ValueError(f"data draw takes no data set, but {what} came; name it with --on")
        _draw(profile, on)


def _table() -> str:
    """Two lines a data set, of at most 120 characters where addresses allow."""
    from cscelab.datasets.catalog import CATALOG, state

    row = "{:<19}{:<10} {:>8} {:>9}  {:>25}  {}"
    lines = [row.format("name", "here", "images", "download", "train / queries / database", "title")]
    for name, one in CATALOG.items():
        counts = " / ".join("rest" if count is None else f"{count:,}" for count in one.counts)
        images = f"{'<' if one.counts[2] is None else ''}{one.images:,}"
        lines.append(row.format(name, state(name) or "-", images, one.size or "?", counts, one.title))
        lines += _wrapped(f"{one.how} {one.home}")
    lines += ["", "cscelab data list NAME tells more; cscelab data prepare NAME --root PATH writes the lists."]
    return "\n".join(lines)


def _story(name: str) -> str:
    from cscelab.datasets.catalog import find, prepared_folder, state
    from cscelab.datasets.splitfiles import MANIFEST, read_manifest

    one = find(name)
    folder = prepared_folder(name)
    train, queries, database = one.counts
    images = f"{'at most ' if database is None else ''}{one.images:,} images"
    lines = [f"{one.title} ({name}), {images}, {one.size or 'size not published'}"]
    size = "the rest" if database is None else f"{database:,}"
    lines += _wrapped(f"{train:,} training images, {queries:,} queries, a database of {size} where all is there.")
    for title, text in {
        "protocol": one.protocol,
        "get it": one.how,
        "home": one.home,
        "terms": one.licence_page or "not stated by the publisher",
        "layout": f"--root holds {one.layout}.",
        "command": f"cscelab data prepare {name} --root PATH",
    }.items():
        lines += [title, *_wrapped(text)]
    here = {
        "": "not prepared",
        "own lists": f"lists of your own in {folder}, without a manifest",
        "unreadable": f"{folder / MANIFEST} cannot be read: prepare it again",
    }
    found = state(name)
    lines += ["here", *_wrapped(here.get(found, f"prepared in {folder}"))]
    if found != "unreadable" and (manifest := read_manifest(folder)):
        where = manifest["images"] + ("" if Path(manifest["images"]).exists() else ", which is gone: prepare it again")
        lines += _wrapped(f"{manifest['protocol']}; seed {manifest['seed']}; images in {where}")
    return "\n".join(lines)


def _prepare(name: str | None, root: Path | None, out: Path | None, seed: int, download: bool, pictures: bool) -> None:
    from cscelab.datasets.catalog import find, prepare, prepared_folder

    if name is None:
        raise ValueError(
            "no data set was named; `cscelab data` lists them, as in: cscelab data prepare coco --root PATH"
        )
    one = find(name)
    if root is None:
        raise ValueError(f"name the folder with --root, which holds {one.layout}")
    folder = prepared_folder(name) if out is None else out
    manifest = prepare(name, root, out, seed, download, pictures=pictures)
    print(f"{manifest['name']}: {manifest['protocol']}; {len(manifest['classes'])} classes")
    for entry in manifest["lists"].values():
        print(f"{entry['file']:<13}{entry['images']:>8,} images   sha256 {entry['sha256'][:16]}")
    print(f"written to {folder}; next: {_next(folder, name)}")


def _next(folder: Path, name: str) -> str:
    """The command that trains on these lists; the profile that a CPU can run comes first."""
    from cscelab.datasets import ListFiles
    from cscelab.datasets.builders.cifar10 import PROTOCOLS
    from cscelab.paths import data_root
    from cscelab.profiles import PROFILES, SCRATCH, SINGLE

    for profile, one in {SCRATCH: PROFILES[SCRATCH], **PROFILES}.items():
        for on, benchmark in {**one.benchmarks, **one.finegrained, **one.further}.items():
            if isinstance(benchmark.data, ListFiles) and data_root() / Path(benchmark.data.root).name == folder:
                recipe = "exchnet" if on in one.finegrained else "csce"
                return f"cscelab train {recipe} --profile {profile}" + ("" if on == SINGLE else f" --on {on}")
    small = PROFILES[SCRATCH].data
    enlarged = f" --image-size {small.image_size}" if name in PROTOCOLS and isinstance(small, ListFiles) else ""
    return f"cscelab train csce --data lists:{folder}{enlarged}"


def _check(folder: str | None, images: Path | None, drop: Path | None, decode: bool, against: Path | None) -> None:
    """Exit code 1 where lines are at fault and nothing was written without them, or where two splits differ."""
    from cscelab.datasets.listcheck import check_split, drop_problems

    if folder is None:
        raise ValueError("no folder was named; give one of train.txt, test.txt and database.txt")
    if against is not None:
        _refuse("to data check --against, which compares manifests alone", root=images, drop=drop, no_decode=not decode)
        _compare(Path(folder), against)
        return
    report = check_split(Path(folder), images, decode)
    print(report.text())
    if drop is not None:
        manifest = drop_problems(report, drop)
        kept = ", ".join(f"{split} {entry['images']:,}" for split, entry in manifest["lists"].items())
        print(f"written to {drop} without them: {kept}")
    elif not report.ok:
        sys.exit(1)


def _compare(folder: Path, other: Path) -> None:
    """Exit code 1 where the two manifests are not of the same split."""
    from cscelab.datasets.splitfiles import compare_manifests, read_manifest

    manifests = []
    for place in (folder.expanduser(), other.expanduser()):
        manifest = read_manifest(place)
        if manifest is None:
            raise ValueError(
                f"{place} has no manifest.json to compare; cscelab data prepare, or data check --drop, writes one"
            )
        manifests.append(manifest)
    if differences := compare_manifests(*manifests):
        print("\n".join(differences))
        sys.exit(1)
    both = all("pictures" in manifest for manifest in manifests)
    print(f"The same split: the lists{', the pictures' if both else ''} and the names of the classes are the same.")


def _draw(profile: str, on: str | None) -> None:
    from cscelab.datasets import load_data
    from cscelab.profiles import SINGLE, find_profile

    splits = load_data(find_profile(profile).find(on or SINGLE, profile).data)
    print(f"{splits.n_classes} classes, {splits.image_size} px, {'multi' if splits.multilabel else 'single'}-label")
    for name in ("train", "validation", "query", "database"):
        print(f"{name:<11}{len(getattr(splits, name)):>7,} images")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _refuse(why: str, **given: object) -> None:
    """Raises ValueError for the first option that was given: not None, False or 0."""
    for name, value in given.items():
        if value:
            raise ValueError(f"--{name.replace('_', '-')} means nothing {why}; leave it out")

"""Commands that keep an index of codes, or of a folder of photographs, and search it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cscelab.cli.arguments import Positional, arg

if TYPE_CHECKING:
    from cscelab.photoindex.lookup import PhotoIndex

InputArg = Annotated[tuple[str, ...], arg(metavar="IMAGE|FOLDER|FILE[:NAME] ...")]
RunArg = Annotated[str | None, arg(metavar="NAME")]


ACTIONS = ("build", "add", "remove", "info")


def index(
    action: Positional[Annotated[str, arg(metavar="FOLDER|build|add|remove|info")]],
    path: Positional[Annotated[Path | None, arg(metavar="FILE")]] = None,
    inputs: Positional[InputArg] = (),
    /,
    run: RunArg = None,
    method: RunArg = None,
    kind: Literal["flat", "ivf", "hnsw"] | None = None,
    bits: int | None = None,
    ids: tuple[int, ...] = (),
    probes: int | None = None,
    nlist: int | None = None,
    ef: int | None = None,
    replace: bool = False,
    report: Annotated[Path | None, arg(metavar="FILE.csv")] = None,
) -> None:
    """Index a folder of images, or keep an index of codes in one file.

    cscelab index FOLDER indexes all images below a folder, for cscelab query and duplicates; called again, it takes in
    what is new, changed or deleted. Stopped at any time, the same command goes on where it was. With build, add, remove
    or info, the index is the file that is named; a call that fails, as at the first image that cannot be read, leaves
    it as it was.

    Args:
        action: a folder of images (one with such a name as ./build); or build, a new index file; add to one; remove
            items by --ids; info, say what it holds.
        path: the index file.
        inputs: images, folders of images, one file of codes (as `cscelab encode --out` writes), or a run's folder.
        run: encode images by this stored run; the shipped encoder by default.
        method: name of the encoder that made a file of codes. Codes without a name are added to an index with one, and
            the other way round, only where this is given; an index without a name then takes it.
        kind: of a new index: flat (the default) is exact, ivf and hnsw are quicker for millions of codes and may miss
            some.
        bits: code length, for packed codes whose file does not tell; of symbols what they tell, as 32 for 16 of 4.
        ids: of the items to remove, or to add; when adding, by default from the file, or the next numbers.
        probes: of a new ivf index: lists that a search looks into.
        nlist: of a new ivf index: number of lists; by default about the square root of the number of codes.
        ef: of a new hnsw index: candidates that a search keeps.
        replace: build over an index that is there.
        report: of a folder: write every image that cannot be used, and why, to this file.
    """
    if action not in ACTIONS:
        _refuse(
            "to the index of a folder", method=method, kind=kind, bits=bits, probes=probes, nlist=nlist, ef=ef,
            replace=replace, ids=ids,
        )  # fmt: skip
        if path is not None:
            raise ValueError(f"{action} and {path} came; give one folder, or build, add, remove or info and a file")
        _index_folder(Path(action), run, report)
        return
    _refuse("to an index file", report=report)
    if path is None:
        raise ValueError(f"index {action} needs the index file; a folder called {action} is written ./{action}")
    from cscelab import indexing
    from cscelab.compare import find_stored
    from cscelab.search import CodeIndex

    if action in ("info", "remove"):
        if inputs:
            raise ValueError(f"index {action} takes no images and no codes, but {inputs[0]} came; leave it out")
        _refuse(
            f"to index {action}", run=run, method=method, kind=kind, bits=bits, probes=probes, nlist=nlist, ef=ef,
            replace=replace, ids=ids if action == "info" else (),
        )  # fmt: skip
        stored = CodeIndex.load(path)
        if action == "remove":
            if not ids:
                raise ValueError("nothing to remove: give ids, as --ids 3 17")
            print(f"removed {stored.remove(ids)}")
            stored.save(path)
        print(stored, f"{path}, {path.stat().st_size:,} bytes", sep="\n")
        return
    are_codes = indexing.is_codes_file(inputs)
    _refuse_of_inputs(are_codes, run, bits)
    if action == "add":
        _refuse("to index add", kind=kind, probes=probes, nlist=nlist, ef=ef, replace=replace)
        stored = CodeIndex.load(path)
    else:
        settings = indexing.settings_of(kind or "flat", probes=probes, nlist=nlist, ef=ef)
        indexing.check_target(path, replace)
    if not are_codes and (action == "build" or stored.method):
        _refuse("to images: their encoder has its own name", method=method)
    encoder = None if run is None else find_stored(run)
    name = indexing.method_of(encoder, method, inputs)
    if action == "add":
        indexing.join_methods(stored, name, vouched=bool(method))
    source = indexing.read_source(inputs, encoder, bits, index=stored if action == "add" else None)
    _note(source.note)
    layout = source.layout
    if action == "build":
        stored = CodeIndex(source.bits, kind or "flat", name, **settings)
    indexing.check_bits(source, stored)
    stored.add(source.codes, ids or source.ids, source.paths)
    stored.save(path)
    print(f"added {len(source.codes)}", stored, f"{path}, {path.stat().st_size:,} bytes", sep="\n")
    if layout.arity is not None:
        print(indexing.storage(layout))


def _index_folder(folder: Path, run: str | None, report: Path | None) -> None:
    from cscelab.photoindex.encoder import find_encoder
    from cscelab.photoindex.notes import crowded
    from cscelab.photoindex.update import check_report, update

    if report is not None:
        check_report(report)
    done = update(folder, find_encoder(run), wait=_note)
    print(done.text())
    if run is None:
        _note("the shipped encoder knows drawn birds; for photographs name a run that was trained on some with --run")
    _note(crowded(done.alike, done.images, done.encoder))
    if report is not None:
        done.write_report(report)


def query(
    path: Positional[Annotated[Path, arg(metavar="IMAGE|INDEX-FILE")]],
    inputs: Positional[InputArg] = (),
    /,
    index: Annotated[Path | None, arg(metavar="FOLDER")] = None,
    k: int | None = None,
    radius: int | None = None,
    run: RunArg = None,
    method: RunArg = None,
    bits: int | None = None,
    probes: int | None = None,
    ef: int | None = None,
    others: bool = False,
    json: bool = False,
    gallery: Annotated[Path | None, arg(metavar="OUT.png")] = None,
) -> None:
    """The nearest images of a folder that was indexed, or of an index file: query, rank, distance and path.

    cscelab query IMAGE ... searches the index of a folder, and says of which. With an index file first, images or codes
    behind it are searched in that. Distances and radius are in bits, of ordinal codes in symbols.

    Args:
        path: an image, or an index file.
        inputs: further images; to an index file: images, folders of images, one file of codes, or a run's folder.
        index: whose index to search: a folder; by default the one that the images lie in, else the one that was indexed
            last.
        k: neighbours of each query, 10 by default.
        radius: everything within that distance in place of the k nearest.
        run: to an index file: encode images by this stored run; the shipped encoder by default. Of a folder: its index
            by this run.
        method: name of the encoder that made a file of codes.
        bits: code length, for packed codes whose file does not tell; of symbols what they tell, as 32 for 16 of 4.
        probes: of an ivf index: lists to look into, in place of what the index was built with.
        ef: of an hnsw index: candidates to keep, in place of what the index was built with.
        others: of a folder: leave the query itself out where it is in the index.
        json: of a folder: print JSON instead of a table.
        gallery: of a folder: draw each query and its ten nearest images into this file.
    """
    from cscelab.datasets.decoding import SUFFIXES
    from cscelab.indexes.file import is_index
    from cscelab.photoindex.walk import UNREAD

    pictures = path.suffix.lower() in SUFFIXES | UNREAD or not inputs or path.is_dir()
    if index is not None or (pictures and not (path.is_file() and is_index(path))):
        _refuse("to the index of a folder", method=method, bits=bits, probes=probes, ef=ef)
        if radius is not None:
            _refuse("beside --radius, which finds everything within it", k=k)
        _query_folder((path, *map(Path, inputs)), index, run, 10 if k is None else k, radius, others, json, gallery)
        return
    _refuse("to an index file", others=others, json=json, gallery=gallery)
    from cscelab import indexing
    from cscelab.compare import find_stored
    from cscelab.search import CodeIndex

    are_codes = indexing.is_codes_file(inputs)
    _refuse_of_inputs(are_codes, run, bits)
    if not are_codes:
        _refuse("to images: their encoder has its own name", method=method)
    if radius is not None:
        _refuse("beside --radius, which finds everything within it", k=k, probes=probes, ef=ef)
    encoder = None if run is None else find_stored(run)
    name = indexing.method_of(encoder, method, inputs)
    stored = CodeIndex.load(path, method=name or None)
    for setting, value in indexing.settings_of(stored.kind, probes=probes, ef=ef).items():
        setattr(stored, setting, value)
    _note(indexing.method_note(stored, name))
    source = indexing.read_source(inputs, encoder, bits, side="query", index=stored)
    _note(source.note)
    print(indexing.answers(stored, source, 10 if k is None else k, radius))


def _query_folder(
    images: tuple[Path, ...], folder: Path | None, run: str | None, k: int, radius: int | None,
    others: bool, json: bool, gallery: Path | None,
) -> None:  # fmt: skip
    from cscelab.photoindex import answers
    from cscelab.photoindex.lookup import find_index

    if gallery is not None:
        from cscelab.figures import nearest

        nearest.check_png(gallery)
        nearest.check_queries(len(images))
    found = find_index(folder, run, images)
    _searched(found)
    given = answers.answer(found, images, k, radius, others)
    print(answers.as_json(found, given) if json else answers.table(found, given, radius))
    if gallery is not None:
        nearest.save_png(nearest.nearest_gallery(found, given), gallery)
        print(f"drawn in {gallery}", file=sys.stderr)


def duplicates(
    folder: Positional[Annotated[Path | None, arg(metavar="FOLDER")]] = None,
    /,
    radius: int = 0,
    run: RunArg = None,
    json: bool = False,
) -> None:
    """Near-duplicates in a folder that was indexed: groups of images whose codes differ little, the largest first.

    Equal codes are not equal pictures; files with the same bytes are said to be so.

    Args:
        folder: one that was indexed; by default the last.
        radius: an image joins a group where its code is at most so many bits, of ordinal codes symbols, from the
            group's first, which is the one with most images that close.
        run: the folder's index by this stored run.
        json: print JSON instead of text.
    """
    from cscelab.photoindex import duplicates as near
    from cscelab.photoindex.lookup import find_index

    found = find_index(folder, run)
    _searched(found)
    groups = near.duplicate_groups(found, radius)
    print(near.as_json(found, groups, radius) if json else near.text(found, groups, radius))


def _searched(index: PhotoIndex) -> None:
    """To stderr: where is searched, and what to know of it. Raises ValueError where that is empty."""
    from cscelab.photoindex.notes import notes
    from cscelab.photoindex.walk import shown

    said = notes(index)
    print(f"in {shown(str(index.folder))}: {len(index.photos):,} images, by {index.encoder}", file=sys.stderr)
    for note in said:
        _note(note)


def _refuse(why: str, **given: object) -> None:
    """Raises ValueError for the first option that was given: not None, empty or False."""
    for name, value in given.items():
        if value is not None and value is not False and value != ():
            raise ValueError(f"--{name} means nothing {why}; leave it out")


def _refuse_of_inputs(are_codes: bool, run: str | None, bits: int | None) -> None:
    if are_codes:
        _refuse("to codes, which are made already", run=run)
    else:
        _refuse("to images, whose encoder decides it", bits=bits)


def _note(text: str | None) -> None:
    """To stderr: what a command prints can go on into another."""
    if text:
        print(f"note: {text}", file=sys.stderr)

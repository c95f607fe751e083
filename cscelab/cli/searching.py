"""Commands that keep an index of codes, and search it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cscelab.cli.arguments import Positional, arg

InputArg = Annotated[tuple[str, ...], arg(metavar="IMAGE|FOLDER|FILE[:NAME] ...")]
RunArg = Annotated[str | None, arg(metavar="NAME")]


def index(
    action: Positional[Literal["build", "add", "remove", "info"]],
    path: Positional[Path],
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
) -> None:
    """Keep an index of codes in one file. A call that fails leaves the file as it was.

    Args:
        action: build a new index; add to one; remove items by --ids; info, say what it holds.
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
    """
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


def query(
    path: Positional[Path],
    inputs: Positional[InputArg],
    /,
    k: int | None = None,
    radius: int | None = None,
    run: RunArg = None,
    method: RunArg = None,
    bits: int | None = None,
    probes: int | None = None,
    ef: int | None = None,
) -> None:
    """Search an index with images or codes: query, rank, id, distance in bits, of ordinal codes in symbols, and path.

    Args:
        path: the index file.
        inputs: images, folders of images, one file of codes, or a run's folder.
        k: neighbours of each query, 10 by default.
        radius: everything within that many bits, of ordinal codes symbols, in place of the k nearest.
        run: encode images by this stored run; the shipped encoder by default.
        method: name of the encoder that made a file of codes.
        bits: code length, for packed codes whose file does not tell; of symbols what they tell, as 32 for 16 of 4.
        probes: of an ivf index: lists to look into, in place of what the index was built with.
        ef: of an hnsw index: candidates to keep, in place of what the index was built with.
    """
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

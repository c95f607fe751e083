"""Commands that keep an index of codes, and search it."""

from __future__ import annotations

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
    kind: Literal["flat", "ivf", "hnsw"] = "flat",
    bits: int | None = None,
    ids: tuple[int, ...] = (),
    replace: bool = False,
) -> None:
    """Keep an index of codes in one file. A call that fails leaves the file as it was.

    Args:
        action: build a new index; add to one; remove items by --ids; info, say what it holds.
        path: the index file.
        inputs: images, folders of images, or one file of codes (as `cscelab encode --out` writes).
        run: encode images by this stored run; the shipped encoder by default.
        method: name of the encoder that made a file of codes.
        kind: of a new index: flat is exact, ivf and hnsw are quicker for millions of codes and may miss some.
        bits: code length, for packed codes whose file does not tell.
        ids: of the items to remove, or to add; when adding, by default from the file, or the next numbers.
        replace: build over an index that is there.
    """
    from cscelab import indexing
    from cscelab.compare import find_stored
    from cscelab.search import CodeIndex

    if action in ("info", "remove"):
        stored = CodeIndex.load(path)
        if action == "remove":
            if not ids:
                raise ValueError("nothing to remove: give ids, as --ids 3 17")
            print(f"removed {stored.remove(ids)}")
            stored.save(path)
        print(stored, f"{path}, {path.stat().st_size:,} bytes", sep="\n")
        return
    encoder = None if run is None else find_stored(run)
    name = indexing.method_of(encoder, method, inputs)
    if action == "add":
        stored = CodeIndex.load(path, method=name)
    elif path.exists() and not replace:
        raise ValueError(f"{path} is there already; add to it, name another file or build over it with --replace")
    source = indexing.read_source(inputs, encoder, bits or (stored.bits if action == "add" else None))
    if action == "build":
        stored = CodeIndex(source.bits, kind, name or "")
    indexing.check_bits(source, stored)
    stored.add(source.codes, ids or source.ids, source.paths)
    stored.save(path)
    print(f"added {len(source.codes)}", stored, f"{path}, {path.stat().st_size:,} bytes", sep="\n")


def query(
    path: Positional[Path],
    inputs: Positional[InputArg],
    /,
    k: int = 10,
    radius: int | None = None,
    run: RunArg = None,
    method: RunArg = None,
    bits: int | None = None,
) -> None:
    """Search an index with images or codes: query, rank, id, distance in bits and path.

    Args:
        path: the index file.
        inputs: images, folders of images, or one file of codes.
        k: neighbours of each query.
        radius: everything within that many bits, in place of the k nearest.
        run: encode images by this stored run; the shipped encoder by default.
        method: name of the encoder that made a file of codes.
        bits: code length, for packed codes whose file does not tell.
    """
    from cscelab import indexing
    from cscelab.compare import find_stored
    from cscelab.search import CodeIndex

    encoder = None if run is None else find_stored(run)
    stored = CodeIndex.load(path, method=indexing.method_of(encoder, method, inputs))
    source = indexing.read_source(inputs, encoder, bits or stored.bits, side="query")
    print(indexing.answers(stored, source, k, radius))

"""What `cscelab index` and `cscelab query` do: images or files of codes into an index, and answers out of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cscelab.arrayfiles import OPENERS, UNNAMED, ArrayFile, open_arrays, split_name
from cscelab.codes import unpack
from cscelab.datasets.decoding import SUFFIXES
from cscelab.experiment import Run
from cscelab.files import encode_files, encoder_name
from cscelab.indexes.file import is_index
from cscelab.indexes.inputs import check_codes
from cscelab.layout import CodeLayout
from cscelab.ordinal import read_one_hot
from cscelab.records import encoder_of, is_run, known_arity, known_bits
from cscelab.retrieval.inputs import code_layout, whole_number
from cscelab.search import CodeIndex

SETTINGS = {"flat": (), "ivf": ("probes", "nlist"), "hnsw": ("ef",)}  # of each kind, on the command line


@dataclass(frozen=True, eq=False)
class Source:
    """Codes (N, K) or packed (N, ceil(K / 8)) of `bits` as stored; ids (N,) and paths (N,) where they are known.

    note: a sentence where the codes may not be what they seem; arity: k where the bits are known to be one-hot symbols,
    whose distances are then counted in symbols.
    """

    codes: np.ndarray
    bits: int
    ids: np.ndarray | None = None
    paths: tuple[str, ...] | None = None
    note: str | None = None
    arity: int | None = None

    @property
    def layout(self) -> CodeLayout:
        """How the codes are written. Raises ValueError where the bits are no whole number of symbols."""
        return code_layout(self.bits, self.arity)

    def names(self) -> list[str]:
        """What to call each row: its path, else its id, else its number."""
        if self.paths is not None:
            return list(self.paths)
        return [str(i) for i in (range(len(self.codes)) if self.ids is None else self.ids)]


def is_codes_file(inputs: Sequence[str]) -> bool:
    """Whether the inputs are codes and not images: one file, as codes.npz or results.mat:B_test, or a run's folder.

    Raises ValueError where there are no inputs.
    """
    if not inputs:
        raise ValueError("no images and no codes were given; name image files, a folder or a file of codes")
    path = split_name(inputs[0])[0]
    return len(inputs) == 1 and (path.suffix.lower() in OPENERS or is_run(path))


def method_of(run: Run | None, method: str | None, inputs: Sequence[str]) -> str:
    """Name of the encoder of the inputs, empty where nobody says: of images `run`'s, else what the file records.

    A stored run's codes.npz is of that run. Raises ValueError where `method` is given and another is known.
    """
    if is_codes_file(inputs):
        path, array = split_name(inputs[0])
        known = encoder_of(open_arrays(path), array)
    else:
        known = encoder_name(run)
    if method and known and method != known:
        raise ValueError(f"{inputs[0]} is of the encoder {known}, but --method {method} was given; leave it out")
    return method or known or ""


def join_methods(index: CodeIndex, name: str, vouched: bool) -> None:
    """Let codes of the encoder `name` (empty: unknown) into the index, or raise ValueError.

    Where only one of the two has a name, somebody has to vouch for it; an index without a name then takes it.
    """
    if index.method and name and index.method != name:
        raise ValueError(f"the index holds codes of {index.method}, and these are of {name}; use one encoder")
    if index.method and not name:
        raise ValueError(
            f"the codes come without the name of their encoder, and the index holds codes of {index.method}; "
            f"give --method {index.method} if it made them"
        )
    if name and not index.method:
        if not vouched:
            raise ValueError(
                f"the codes are of {name}, and the index does not say which encoder made its own; "
                f"give --method {name} if it made those, too"
            )
        index.method = name


def method_note(index: CodeIndex, name: str) -> str | None:
    """A sentence where only one of index and queries has an encoder's name, so that nobody can compare the two."""
    if bool(index.method) == bool(name):
        return None
    nameless = "the index does" if name else "the queries do"
    return f"{nameless} not say which encoder made the codes, the other side is of {name or index.method}."


def check_target(path: Path, replace: bool) -> None:
    """Raises ValueError or OSError where a new index may not be written to `path`; only an index is replaced."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file for the index")
    if path.exists() and not replace:
        raise ValueError(f"{path} is there already; add to it, name another file or build over it with --replace")
    if path.exists() and not is_index(path):
        raise ValueError(f"{path} is no code index, and --replace replaces nothing else; name another file")


def settings_of(kind: str, **given: int | None) -> dict[str, int]:
    """The settings that were given (not None), by name. Raises ValueError for one that the kind does not have."""
    settings = {name: value for name, value in given.items() if value is not None}
    for name in settings:
        if name not in SETTINGS[kind]:
            kinds = " or ".join(other for other, names in SETTINGS.items() if name in names)
            raise ValueError(f"--{name} is of an index of kind {kinds}, and this one is {kind}; leave it out")
    return settings


def read_source(
    inputs: Sequence[str], run: Run | None = None, bits: int | None = None, side: str = "database",
    index: CodeIndex | None = None,
) -> Source:  # fmt: skip
    """Codes of image files and folders, encoded now, or of a file of codes.

    Args:
        inputs: images and folders of images, or one FILE, FILE:NAME or stored run's folder of codes.
        run: the encoder of images; the shipped one by default.
        bits: of packed codes whose file does not tell, of symbols R log2(k); by default the index's.
        side: database or query: which codes of a stored run's codes.npz.
        index: what the codes are for; it must not hold images of the database side already.

    Raises:
        ValueError, OSError: no inputs, no images, an image twice, a file without codes, or of other bits than given.
    """
    if is_codes_file(inputs):
        path, name = split_name(inputs[0])
        bits = None if bits is None else whole_number("--bits", bits)
        return _read_codes(open_arrays(path), name, bits, side, index.bits if index else None)
    images = [image for given in inputs for image in _images(Path(given))]
    paths = tuple(os.path.abspath(image) for image in images)
    if side == "database":
        _refuse_twice(paths, index)
    encoded = encode_files(images, run)
    return Source(encoded.codes, encoded.codes.shape[1], paths=paths, arity=encoded.arity)


def check_bits(source: Source, index: CodeIndex) -> None:
    """Raises ValueError where the codes are not of the index's bits."""
    if source.bits != index.bits:
        raise ValueError(
            f"codes of {source.bits} bits came, but the index holds codes of {index.bits} bits; use one encoder"
        )


def storage(layout: CodeLayout) -> str:
    """What the bits of ordinal codes in an index are and what they take, in words."""
    one_hot, bare = layout.stored_bytes, layout.packed_bytes
    return f"{layout.width} bits one-hot of {layout}, {one_hot} bytes a code in the index, {bare} as bare symbols"


def answers(index: CodeIndex, source: Source, k: int, radius: int | None = None) -> str:
    """A table with a row for each neighbour: query, rank from 1, id, distance in bits, and the path where known.

    Of ordinal queries distances and the radius are in symbols, and the column says so. A query for which fewer come
    back than there are says so in a row of its own. Raises ValueError where such queries find what is no symbols.
    """
    check_bits(source, index)
    layout = source.layout
    step = layout.hamming_per_unit
    lists: list[tuple[np.ndarray, np.ndarray]]
    if radius is None:
        lists = [(d[i >= 0], i[i >= 0]) for d, i in zip(*index.search(source.codes, k), strict=True)]
    else:
        near = index.search_radius(source.codes, step * whole_number("radius", radius, least=0))
        cuts = near.lims[1:-1]
        lists = list(zip(np.split(near.distances, cuts), np.split(near.ids, cuts), strict=True))
    if layout.arity is not None:
        _check_symbols(index, np.unique(np.concatenate([ids for _, ids in lists])), layout.arity)
    rows = [("query", "rank", "id", "distance" if layout.arity is None else f"distance_in_{layout.unit}", "path")]
    wanted = min(k, len(index)) if radius is None else 0
    for name, (distances, ids) in zip(source.names(), lists, strict=True):
        ranked = zip((distances // step).tolist(), ids.tolist(), strict=True)
        rows += [(name, str(r), str(i), str(d), index.path(i) or "") for r, (d, i) in enumerate(ranked, 1)]
        if len(ids) < wanted:
            further = f"found {len(ids)} of {wanted}; look further with --{'probes' if index.kind == 'ivf' else 'ef'}"
            rows.append((name, "-", "-", "-", further))
        elif not len(ids):
            rows.append((name, "-", "-", "-", f"nothing within {radius} {layout.unit}"))
    query, rank, item, distance, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{q:<{query}}  {r:>{rank}}  {i:>{item}}  {d:>{distance}}  {p}".rstrip() for q, r, i, d, p in rows)


def _check_symbols(index: CodeIndex, ids: np.ndarray, arity: int) -> None:
    """Raises ValueError unless these items of the index are symbols: distances of others are no numbers of them."""
    try:
        if len(ids):
            read_one_hot(index.reconstruct(ids), arity)
    except ValueError:
        raise ValueError(
            f"the queries are symbols of {arity}, and the index holds codes that are not; use one encoder"
        ) from None


def _check_told(who: str, codes: np.ndarray, arity: int, width: int) -> None:
    """Raises ValueError where codes that `who` calls symbols are none."""
    try:
        read_one_hot(unpack(check_codes("codes", codes, width), width), arity)
    except ValueError as error:
        raise ValueError(f"{who} are symbols of {arity}, but {error}") from None


def _refuse_twice(paths: Sequence[str], index: CodeIndex | None) -> None:
    """Raises ValueError for an absolute path that is in the index, or comes twice."""
    known = [index.path(item) for item in index.ids] if index else []
    held = {os.path.abspath(path) for path in known if path is not None}
    seen: set[str] = set()
    for path in paths:
        if path in held or path in seen:
            raise ValueError(f"{path} {'is already in the index' if path in held else 'came twice'}; leave it out")
        seen.add(path)


def _images(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise ValueError(f"the folder {path} holds no images; expected {', '.join(sorted(SUFFIXES))} files")
    return found


def _read_codes(file: ArrayFile, name: str | None, bits: int | None, side: str, index_bits: int | None) -> Source:
    """From what `cscelab encode --out` wrote (codes, bits, paths), a stored run's codes.npz, or one plain array."""
    names = file.names
    if name is None:
        known = [n for n in ("codes", f"{side}_codes") if n in names] or (list(names) if len(names) == 1 else [])
        if not known:
            raise ValueError(
                f"{file.path} has no array called codes or {side}_codes; it holds {file.contents()}: "
                f"name one, as {file.path}:NAME"
            )
        name = known[0]
    codes = file.read(name)
    ids = name.replace("codes", "ids")
    own = name != UNNAMED and "codes" in name
    stated, arity = known_bits(file, name), known_arity(file, name)
    if bits is not None and stated is not None and code_layout(stated, arity).bits != bits:
        held = code_layout(stated, arity)
        raise ValueError(f"{file.path} holds codes of {held}, but --bits {bits} was given; leave it out")
    expected = index_bits if bits is None else CodeLayout(bits, arity).width
    packed = codes.dtype == np.uint8 and codes.size > 0 and codes.max() > 1
    if stated is None and expected is None and packed:
        raise ValueError(f"{file.path} holds packed codes and not how many bits they have; give it with --bits")
    columns = codes.shape[-1] if codes.ndim else 0
    paths = file.load("paths") if name == "codes" and "paths" in names else None
    note = None
    # MATLAB's users often keep a column an item; where the expected bits confirm the columns, there is no doubt.
    if file.path.suffix.lower() == ".mat" and codes.ndim == 2 and not packed and len(codes) < columns != expected:
        n_rows = len(codes)
        note = f"{n_rows} codes of {columns} bits; if they are {columns} codes of {n_rows} bits, transpose."
    width = next(known for known in (stated, expected, columns) if known is not None)
    if arity is not None:
        _check_told(f"{file.path} says that {name}", codes, arity, code_layout(width, arity).width)
    return Source(
        codes,
        width,
        file.read(ids) if own and ids in names else None,
        None if paths is None or paths.dtype.kind != "U" else tuple(paths.tolist()),
        note,
        arity,
    )

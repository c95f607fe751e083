"""What `cscelab index` and `cscelab query` do: images or files of codes into an index, and answers out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cscelab.arrayfiles import OPENERS, UNNAMED, ArrayFile, open_arrays, split_name
from cscelab.datasets.imagecache import SUFFIXES
from cscelab.experiment import Run
from cscelab.files import encode_files, encoder_name
from cscelab.search import CodeIndex


@dataclass(frozen=True, eq=False)
class Source:
    """Codes (N, K) or packed (N, ceil(K / 8)) of `bits`; ids (N,) and paths (N,) where they are known."""

    codes: np.ndarray
    bits: int
    ids: np.ndarray | None = None
    paths: tuple[str, ...] | None = None

    def names(self) -> list[str]:
        """What to call each row: its path, else its id, else its number."""
        if self.paths is not None:
            return list(self.paths)
        return [str(i) for i in (range(len(self.codes)) if self.ids is None else self.ids)]


def method_of(run: Run | None, method: str | None, inputs: Sequence[str]) -> str | None:
    """What the index records: `method` where it is given, else the encoder of images, or what a file of codes says."""
    if method is not None:
        return method
    return _recorded(*split_name(inputs[0])) if is_codes_file(inputs) else encoder_name(run)


def is_codes_file(inputs: Sequence[str]) -> bool:
    """Whether the inputs are one file of codes, as codes.npz, codes.npy or results.mat:B_test, and not images."""
    return len(inputs) == 1 and split_name(inputs[0])[0].suffix.lower() in OPENERS


def read_source(
    inputs: Sequence[str], run: Run | None = None, bits: int | None = None, side: str = "database"
) -> Source:
    """Codes of image files and folders, encoded now, or of a file of codes.

    Args:
        inputs: images and folders of images, or one FILE or FILE:NAME of codes.
        run: the encoder of images; the shipped one by default.
        bits: of packed codes whose file does not tell.
        side: database or query: which codes of a stored run's codes.npz.

    Raises:
        ValueError, OSError: no inputs, no images, or a file without codes.
    """
    if not inputs:
        raise ValueError("no images and no codes were given; name image files, a folder or a file of codes")
    if is_codes_file(inputs):
        path, name = split_name(inputs[0])
        return _read_codes(open_arrays(path), name, bits, side)
    images = [image for given in inputs for image in _images(Path(given))]
    encoded = encode_files(images, run)
    paths = tuple(str(path.absolute()) for path in encoded.paths)
    return Source(encoded.codes, encoded.codes.shape[1], paths=paths)


def check_bits(source: Source, index: CodeIndex) -> None:
    """Raises ValueError where the codes are not of the index's bits."""
    if source.bits != index.bits:
        raise ValueError(
            f"codes of {source.bits} bits came, but the index holds codes of {index.bits} bits; use one encoder"
        )


def answers(index: CodeIndex, source: Source, k: int, radius: int | None = None) -> str:
    """A table with a row for each neighbour: query, rank from 1, id, distance in bits, and the path where known."""
    check_bits(source, index)
    lists: list[tuple[np.ndarray, np.ndarray]]
    if radius is None:
        lists = [(d[i >= 0], i[i >= 0]) for d, i in zip(*index.search(source.codes, k), strict=True)]
    else:
        near = index.search_radius(source.codes, radius)
        cuts = near.lims[1:-1]
        lists = list(zip(np.split(near.distances, cuts), np.split(near.ids, cuts), strict=True))
    rows = [("query", "rank", "id", "distance", "path")]
    for name, (distances, ids) in zip(source.names(), lists, strict=True):
        ranked = zip(distances.tolist(), ids.tolist(), strict=True)
        rows += [(name, str(r), str(i), str(d), index.path(i) or "") for r, (d, i) in enumerate(ranked, 1)]
        if not len(ids):
            rows.append((name, "-", "-", "-", f"nothing within {radius} bits" if radius is not None else "nothing"))
    query, rank, item, distance, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{q:<{query}}  {r:>{rank}}  {i:>{item}}  {d:>{distance}}  {p}".rstrip() for q, r, i, d, p in rows)


def _recorded(path: Path, name: str | None) -> str | None:
    """The encoder's name in what `cscelab encode --out` wrote; None for other files of codes."""
    file = open_arrays(path)
    if name not in (None, "codes") or "encoder" not in file.names:
        return None
    recorded = file.load("encoder")
    return str(recorded) if recorded.dtype.kind == "U" and recorded.ndim == 0 else None


def _images(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise ValueError(f"the folder {path} holds no images; expected {', '.join(sorted(SUFFIXES))} files")
    return found


def _read_codes(file: ArrayFile, name: str | None, bits: int | None, side: str) -> Source:
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
    ids, values = (name.replace("codes", other) for other in ("ids", "values"))
    own = name != UNNAMED and "codes" in name
    if "bits" in names and file.read("bits").size == 1:
        bits = int(file.read("bits").item())
    elif own and values in names:
        bits = file.read(values).shape[-1]
    elif bits is None and codes.dtype == np.uint8 and codes.size and codes.max() > 1:
        raise ValueError(f"{file.path} holds packed codes and not how many bits they have; give it with --bits")
    elif bits is None:
        bits = codes.shape[-1] if codes.ndim else 0
    paths = file.load("paths") if name == "codes" and "paths" in names else None
    return Source(
        codes,
        bits,
        file.read(ids) if own and ids in names else None,
        None if paths is None or paths.dtype.kind != "U" else tuple(paths.tolist()),
    )

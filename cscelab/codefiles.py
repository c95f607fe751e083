"""Codes and labels in anyone's files: which array is which, by the names in common use, and which way it lies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cscelab.arrayfiles import UNNAMED, ArrayFile, open_arrays, split_name
from cscelab.records import known_arity, packed_bits, shared_arity
from cscelab.retrieval.inputs import code_layout

# An array's name is a word for the side and one for the kind, in either order: qB, B_test, tst_binary, codes_query.
# The sides' words come in ranks: train_codes are the database only where nothing is called database_codes.
SIDES = {
    "query": (("query", "queries", "q"), ("test", "tst", "te"), ("val", "valid", "validation")),
    "database": (
        ("database", "db", "retrieval", "ret", "re", "r", "gallery", "base"),
        ("train", "trn", "tr"),
    ),
}
KINDS = {
    "codes": ("codes", "code", "binary", "binarycodes", "hash", "hashes", "hashcode", "hashcodes", "b", "bhash", "h"),
    "labels": ("labels", "label", "targets", "target", "onehot", "multihot", "gt", "l", "y"),
    "ids": ("ids",),
}
EXACT = 2**53  # from here on floats skip whole numbers


@dataclass(frozen=True, eq=False)
class CodeData:
    """What `read_codes` found, as `cscelab.score.score` and `cscelab.evaluate.evaluate` take it.

    Codes (N, K) of {-1, +1} or {0, 1}, or packed uint8 (N, ceil(K/8)); bits: K of packed codes, of symbols R log2(k);
    arity: k of one-hot symbols; labels (N,) or multi-hot (N, C); ids int64 (N,) or None; notes: a sentence for
    everything that was guessed or turned; sources: "query codes" and the like -> the FILE or FILE:NAME they came from.
    """

    query_codes: np.ndarray
    query_labels: np.ndarray
    database_codes: np.ndarray
    database_labels: np.ndarray
    query_ids: np.ndarray | None = None
    database_ids: np.ndarray | None = None
    bits: int | None = None
    arity: int | None = None
    notes: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    def located(self, message: str) -> str:
        """A message about these codes, labels or ids behind the files that it is about, where it is about any."""
        about = [place for name, place in self.sources.items() if name in message]
        for word, kind in ((r"\d+ bits", "codes"), ("labels", "labels"), ("ids", "ids")):
            if not about and re.search(rf"\b{word}\b", message):
                about = [place for name, place in self.sources.items() if name.endswith(kind)]
        return ", ".join(dict.fromkeys(about)) + ": " + message if about else message


@dataclass(frozen=True)
class _Found:
    """An array, and where it was: `file` and the name in it."""

    file: ArrayFile
    name: str
    array: np.ndarray

    def __str__(self) -> str:
        return f"{self.file.path}:{self.name}" if self.name else str(self.file.path)


@dataclass
class _Reader:
    bits: int | None
    arity: int | None
    binarise: bool
    width: int | None = None  # of packed codes, where the file tells
    known: list[int | None] = field(default_factory=list)  # of each side the arity, where the file tells
    notes: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)

    def side(
        self, side: str, codes_at: str, labels_at: str | None, ids_at: str | None, own: bool, single: bool
    ) -> list[np.ndarray]:
        """[codes, labels, ids where there are any] of one side; `own` and `single` as `_find` has them."""
        path, name = split_name(codes_at)
        file = open_arrays(path)
        codes = _find(file, name, side, "codes", own, single)
        labels = _named(labels_at, side, "labels") if labels_at else _find(file, None, side, "labels", own)
        for kind, found in (("codes", codes), ("labels", labels)):
            self.sources[f"{side} {kind}"] = str(found)
            if found.name:
                self.notes.append(f"{side} {kind}: {found}.")
        self.known.append(known_arity(codes.file, codes.name))
        code_rows, label_rows = self._oriented(side, codes, labels)
        arrays = [self._binary(side, codes, code_rows), label_rows]
        if ids_at or f"{side}_ids" in file.names:
            name = f"{side}_ids"
            ids = _named(ids_at, side, "ids") if ids_at else _Found(file, name, file.read(name))
            self.sources[f"{side} ids"] = str(ids)
            arrays.append(_whole(side, ids))
        return arrays

    def settle(self) -> None:
        """The arity that the files tell where none was given, and the bits of packed codes."""
        if self.arity is None and (shared := shared_arity(*self.known)):
            self.arity = shared
            self.notes.append(f"query and database codes are symbols of {self.arity}, one-hot.")
        if self.width is not None:
            self.bits = code_layout(self.width, self.arity).bits

    def upright(self, sides: list[list[np.ndarray]]) -> None:
        """Turns both sides where they lie a column an item with as many bits as classes, so that their rows agreed.

        Only then do the widths of both sides differ. Where they do not, the shapes leave it open: it is noted, and an
        error where fewer rows than columns make it likely.
        """
        (q_codes, q_labels, *_), (d_codes, d_labels, *_) = sides
        if q_codes.shape != q_labels.shape or d_codes.shape != d_labels.shape or len(q_codes) != len(d_codes):
            return
        n_rows, width = q_codes.shape
        if width != d_codes.shape[1]:
            for side in sides:
                side[:2] = [array.T for array in side[:2]]
            self.notes.append(
                "codes and labels of both sides look transposed, stored a column an item, and are turned: "
                f"{width} queries and {d_codes.shape[1]} database items."
            )
            return
        shape = f"{self.sources['query codes']}: codes and labels of both sides are all of shape {q_codes.shape}"
        if n_rows <= width:
            raise ValueError(
                f"{shape}; these look transposed, a column an item: transpose them, or where a row is an item, add a "
                "column of zeros to the labels of both sides"
            )
        self.notes.append(f"{shape}, read as {n_rows} items, a row each: transpose them if a column is an item.")

    def _oriented(self, side: str, codes: _Found, labels: _Found) -> tuple[np.ndarray, np.ndarray]:
        """Codes and labels a row an item: columns become rows where the two agree in no other way, and it is noted."""
        rows, targets = codes.array, labels.array
        if rows.ndim != 2:
            raise ValueError(f"{codes} has shape {rows.shape}; expected {side} codes (N, K), a row of K bits an item")
        if targets.ndim == 2 and 1 in targets.shape and not (len(rows) == len(targets) == 1 < targets.shape[1]):
            targets = _vector(targets)
        if targets.ndim not in (1, 2) or len(targets) == len(rows):
            return rows, targets
        choices = {"codes": (rows.T, targets)}
        if targets.ndim == 2:
            choices |= {"labels": (rows, targets.T), "codes and labels": (rows.T, targets.T)}
        fits = {turned: pair for turned, pair in choices.items() if len(pair[0]) == len(pair[1])}
        if len(fits) != 1:
            raise ValueError(
                f"{side} codes {codes} {codes.array.shape} and labels {labels} {labels.array.shape} are of different "
                "numbers of items; expected a row of codes and a label for each"
                + (": transpose what lies on its side" if fits else "")
            )
        ((turned, pair),) = fits.items()
        n_items = len(pair[0])
        self.notes.append(f"{side} {turned} were stored a column an item and are transposed: {n_items} items.")
        return pair

    def _binary(self, side: str, found: _Found, codes: np.ndarray) -> np.ndarray:
        """The codes as they are where binary, their signs where `binarise`; `width` from the file where packed."""
        if codes.dtype.kind in "bu":
            if codes.dtype == np.uint8 and self.bits is None and self.width is None:
                self.width = packed_bits(found.file, found.name, codes)
                if self.width:
                    self.notes.append(f"{side} codes are packed, {self.width} bits each.")
            return codes
        is_bit = (codes == 1) | (codes == -1) | (codes == 0)
        if is_bit.all() and not ((codes == 0).any() and (codes == -1).any() and self.binarise):
            return codes
        if not np.isfinite(codes).all():
            raise ValueError(f"{found} has NaN or infinity at {_first(~np.isfinite(codes))}; expected codes: mend it")
        if not self.binarise:
            place = _first(~is_bit)
            value = codes[~is_bit][0]
            raise ValueError(
                f"{found} has the value {value:g} at {place}; expected {side} codes of -1 / +1 or 0 / 1: "
                "give codes, or take the signs of continuous values with --binarise (binarise=True)"
            )
        if (codes == 0).any():
            raise ValueError(f"{found} has a 0 at {_first(codes == 0)}, which has no sign; decide its bit first")
        self.notes.append(f"{side} codes are the signs of {found}.")
        return codes > 0


def read_codes(
    query: str, database: str | None = None, query_labels: str | None = None, database_labels: str | None = None,
    query_ids: str | None = None, database_ids: str | None = None, bits: int | None = None, binarise: bool = False,
    arity: int | None = None,
) -> CodeData:  # fmt: skip
    """Codes and labels of both sides from files, each FILE or FILE:NAME; one file may hold everything.

    What is not given is looked for by the usual names, labels beside their codes and the database beside the queries.
    bits: K of packed uint8 codes, of symbols R log2(k); arity: k where codes are one-hot symbols; both are read from
    the files where `cscelab` wrote them. binarise: take signs of real values.
    Raises OSError for files that cannot be read and ValueError for arrays that cannot be told or do not fit.
    """
    reader = _Reader(bits, arity, binarise)
    own = database is not None and split_name(database)[0] != split_name(query)[0]
    beside = database if database is not None else str(split_name(query)[0])
    sides = [
        reader.side("query", query, query_labels, query_ids, own, single=True),
        reader.side("database", beside, database_labels, database_ids, own, single=database is not None),
    ]
    reader.upright(sides)
    reader.settle()
    (q_codes, q_labels, *q_ids), (d_codes, d_labels, *d_ids) = sides
    # Ids found on one side only are no use; ids asked for on one side only are a mistake, which the evaluator names.
    found = (q_ids and d_ids) or query_ids or database_ids
    return CodeData(
        q_codes, q_labels, d_codes, d_labels,
        query_ids=q_ids[0] if found and q_ids else None,
        database_ids=d_ids[0] if found and d_ids else None,
        bits=reader.bits, arity=reader.arity, notes=tuple(reader.notes), sources=reader.sources,
    )  # fmt: skip


def _named(given: str, side: str, kind: str) -> _Found:
    path, name = split_name(given)
    return _find(open_arrays(path), name, side, kind, own=True, single=True)


def _find(file: ArrayFile, name: str | None, side: str, kind: str, own: bool, single: bool = False) -> _Found:
    """The array of that name, or else the one that is called as such arrays are.

    own: names without a side, as "codes" or "labels", will do, for the queries' codes always; single: and so will a
    file's only array.
    """
    if name is not None:
        return _Found(file, name, file.read(name))
    where = "after the queries'" if kind == "codes" else f"with --{side}-{kind}"
    if file.names == (UNNAMED,) and not single:
        taken = "query" if kind == "codes" else side
        raise ValueError(f"{file.path} holds one array, the {taken} codes; name a file of the {side} {kind} {where}")
    ranks = _ranks(side, kind)
    if own or (side, kind) == ("query", "codes"):
        ranks.append(KINDS[kind])
    for rank in ranks:
        fitting = [n for n in file.names if _plain(n) in rank]
        if len(fitting) > 1:
            raise ValueError(
                f"{file.path}: the {side} {kind} may be {' or '.join(fitting)}; it holds {file.contents()}: "
                f"name one, as {file.path}:{fitting[0]}"
            )
        if fitting:
            return _Found(file, fitting[0], file.read(fitting[0]))
    if file.names == (UNNAMED,):
        return _Found(file, UNNAMED, file.read(UNNAMED))
    numbers = [n for n in file.names if file.is_numbers(n)] if own and single else []
    if len(numbers) == 1:
        return _Found(file, numbers[0], file.read(numbers[0]))
    usual = {name for either in SIDES for rank in _ranks(either, kind) for name in rank}.union(KINDS[kind])
    if kind == "labels" and not usual & {_plain(name) for name in file.names}:
        raise ValueError(
            f"{file.path} has no labels by any usual name; it holds {file.contents()}: "
            "name files of labels with --query-labels and --database-labels"
        )
    how = "in place of the file" if kind == "codes" and single else where
    raise ValueError(
        f"{file.path} has no array called as {side} {kind} usually are, like {side}_{kind}; "
        f"it holds {file.contents()}: give {file.path}:NAME {how}"
    )


def _ranks(side: str, kind: str) -> list[tuple[str, ...]]:
    """The usual names, without signs between the words, the likelier ones first."""
    kinds = KINDS[kind]
    return [tuple(s + k for s in words for k in kinds) + tuple(k + s for s in words for k in kinds)
            for words in SIDES[side]]  # fmt: skip


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _whole(side: str, found: _Found) -> np.ndarray:
    """Ids (N,) or (1, N) as a vector, int64 where they came as float64, as tables and MATLAB hold all numbers."""
    ids = _vector(found.array) if found.array.ndim == 2 else found.array
    if ids.dtype.kind != "f":
        return ids
    wrong = ~np.isfinite(ids) | (ids != np.round(ids)) | (np.abs(ids) >= EXACT)
    if wrong.any():
        raise ValueError(
            f"{found} has the value {ids[wrong][0]:g}; expected {side} ids, whole numbers below 2**53 where stored as "
            "floats: mend it, or store integers"
        )
    return ids.astype(np.int64)


def _vector(array: np.ndarray) -> np.ndarray:
    """(N, 1) or (1, N) -> (N,)."""
    return array.reshape(-1) if 1 in array.shape else array


def _first(where: np.ndarray) -> str:
    return "row {}, column {}".format(*np.argwhere(where)[0])

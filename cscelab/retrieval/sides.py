"""The two sides of a retrieval run: queries held whole, and a database that streams past them in pieces.

A database is arrays (in memory or memory-mapped) or an iterable of chunks. Whatever it is, it comes out as pieces of a
few megabytes, packed and checked, so that memory does not grow with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from cscelab.layout import CodeLayout
from cscelab.retrieval import inputs
from cscelab.retrieval.bitplanes import (
    WORD,
    bit_planes,
    counted_rows,
    full_mask,
    query_masks,
    set_bits,
    tile_width,
    words_of,
)
from cscelab.retrieval.counting import Asked, Itself, Tiles
from cscelab.retrieval.inputs import Array

_PIECE_BYTES = 2**23  # of codes and labels as they come, read and checked at once
_BLOCK_BYTES = 2**24  # of bit planes and label planes, counted at once
_BLOCK_ITEMS = 2**17
_BLOCK_STEP = 8 * WORD


class Piece(NamedTuple):
    """Some items of the database: packed (n, ceil(K/8)) uint8; labels (n,) or bool (n, C); ids (n,) or None."""

    packed: np.ndarray
    labels: np.ndarray
    ids: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Queries:
    """packed (Q, ceil(K/8)) uint8 of `bits` bits; labels int64 (Q,) or bool (Q, C); ids int64 (Q,) or None."""

    packed: np.ndarray
    bits: int
    labels: np.ndarray
    ids: np.ndarray | None
    device: torch.device

    def __len__(self) -> int:
        return len(self.packed)

    @cached_property
    def columns(self) -> np.ndarray:
        """The classes that queries have: ids, or columns of the multi-hot labels. Others are relevant to none."""
        return np.unique(self.labels) if self.labels.ndim == 1 else np.flatnonzero(self.labels.any(axis=0))

    @cached_property
    def digest(self) -> str:
        """The same for queries with the same labels and ids in the same order, whatever their codes."""
        return _digest(self.labels, *(() if self.ids is None else (self.ids,)))

    @property
    def codes_digest(self) -> str:
        """The same for the same queries with the same codes."""
        return self.digest + _digest(self.packed)

    @property
    def most_labels(self) -> int:
        """Labels of the query that has most, at least 1."""
        return 1 if self.labels.ndim == 1 else max(1, int(self.labels.sum(axis=1).max()))

    @cached_property
    def asked(self) -> Asked:
        """As the kernels take them: the label planes of a block are `columns`, in that order."""
        words = words_of(self.packed)
        if self.labels.ndim == 1:
            starts, rows = np.arange(len(self) + 1), np.searchsorted(self.columns, self.labels)
        else:
            query, rows = np.nonzero(self.labels[:, self.columns])
            starts = _starts(query, len(self))
        return Asked(query_masks(words, counted_rows(self.bits)), words, starts.astype(np.int64), rows.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Database:
    """Arrays `codes`, `labels` and perhaps `ids`; or `codes` alone, an iterable of chunks (codes, labels[, ids]).

    stated: how the codes are written, which has to be known where packed bytes are given.
    """

    codes: Any
    labels: Any
    ids: Any
    stated: CodeLayout | None

    @property
    def chunked(self) -> bool:
        return self.labels is None

    @property
    def again(self) -> bool:
        """Whether it can be read more than once: not so for a generator."""
        return not self.chunked or iter(self.codes) is not self.codes

    @property
    def device(self) -> torch.device:
        """Where the codes are, as far as can be told before they are read."""
        return self.codes.device if isinstance(self.codes, torch.Tensor) else torch.device("cpu")

    def chunks(self) -> Iterator[tuple[Any, Any, Any]]:
        """(codes, labels, ids or None) as they were given. Raises ValueError for what is no chunk."""
        if not self.chunked:
            yield self.codes, self.labels, self.ids
            return
        for chunk in self.codes:
            if not isinstance(chunk, tuple | list) or len(chunk) not in (2, 3):
                raise ValueError(
                    f"a chunk of the database is a {type(chunk).__name__}; expected (codes, labels) or (codes, labels, "
                    "ids): without database_labels, database_codes is read as an iterable of such chunks"
                )
            yield chunk[0], chunk[1], (chunk[2] if len(chunk) == 3 else None)

    def slices(self, queries: Queries) -> Iterator[tuple[Array, bool, Array, np.ndarray | None]]:
        """(codes, whether packed, labels, ids) of consecutive items, as they were given, a few megabytes at once.

        Raises ValueError where they do not fit the queries or each other.
        """
        for codes, labels, ids in self.chunks():
            codes, labels = _array("database codes", codes), _array("database labels", labels)
            bits, packed = inputs.code_bits("database", codes, self.stated)
            inputs.same_width("bits", queries.bits, bits)
            if labels.ndim not in (1, 2) or len(labels) != len(codes):
                inputs.checked_labels("database", labels, len(codes))  # says what is wrong
            inputs.checked_labels("database", labels[:1], len(labels[:1]))
            inputs.same_kind(queries.labels, labels)
            inputs.both_ids(queries.ids, ids)
            ids = None if ids is None else inputs.checked_ids("database", ids, len(codes))
            step = max(_BLOCK_STEP, _PIECE_BYTES // (_row_bytes(codes) + _row_bytes(labels)))
            for start in range(0, len(codes), step):
                rows = slice(start, start + step)
                yield codes[rows], packed, labels[rows], None if ids is None else ids[rows]

    def pieces(self, queries: Queries) -> Iterator[Piece]:
        """Packed and checked, in database order."""
        zeros: set[int] = set()
        for codes, packed, labels, ids in self.slices(queries):
            yield Piece(
                inputs.packed_codes("database", codes, queries.bits, packed, zeros),
                inputs.checked_labels("database", labels, len(codes)),
                ids,
            )

    def batches(self, queries: Queries) -> Iterator[Piece]:
        """Pieces gathered into what is counted at once."""
        n_labels = len(queries.columns) if queries.labels.ndim == 1 else queries.labels.shape[1]
        row_bits = counted_rows(queries.bits) + n_labels + WORD
        size = min(_BLOCK_ITEMS, 8 * _BLOCK_BYTES // row_bits) // _BLOCK_STEP * _BLOCK_STEP
        return _gathered(self.pieces(queries), max(size, _BLOCK_STEP))


def tiles_of(piece: Piece, queries: Queries, in_order: bool = False) -> tuple[Tiles, Itself]:
    """As the kernels take a piece; in_order keeps its order, for what depends on it."""
    if not in_order and piece.labels.ndim == 1:
        # Items of a class lie together, so that most tiles hold nothing relevant and near codes.
        piece = _taken(piece, np.argsort(piece.labels))
    rows = counted_rows(queries.bits)
    width = tile_width(len(piece.packed), rows)
    words = words_of(piece.packed)
    labels = _label_planes(piece.labels, queries.columns, width)
    tiles = Tiles(bit_planes(words, rows, width), labels, full_mask(len(words), width), words)
    return tiles, _self_matches(queries.ids, piece.ids, len(queries))


def two_sides(
    query_codes: Any, query_labels: Any, database_codes: Any, database_labels: Any,
    bits: int | None, query_ids: Any, database_ids: Any, may_be_empty: bool = False,
    arity: int | None = None,
) -> tuple[Queries, Database]:  # fmt: skip
    """Checks the queries wholly, and of the database what can be seen without reading it.

    may_be_empty: as a shard may; bits: of packed codes, with an arity what their symbols tell. Raises ValueError with
    one sentence for what does not fit.
    """
    stated = inputs.stated_layout(bits, arity)
    codes = _array("query codes", query_codes)
    _not_empty("query", codes)
    n_bits, packed = inputs.code_bits("query", codes, stated)
    queries = Queries(
        np.ascontiguousarray(inputs.packed_codes("query", codes, n_bits, packed)),
        n_bits,
        inputs.checked_labels("query", query_labels, len(codes)),
        None if query_ids is None else inputs.checked_ids("query", query_ids, len(codes)),
        codes.device if isinstance(codes, torch.Tensor) else torch.device("cpu"),
    )
    if database_labels is not None:
        database = Database(
            _array("database codes", database_codes), _array("database labels", database_labels), database_ids, stated
        )
        if not may_be_empty:
            _not_empty("database", database.codes)
        next(database.slices(queries), None)
        return queries, database
    if isinstance(database_codes, np.ndarray | torch.Tensor) or not isinstance(database_codes, Iterable):
        raise ValueError(
            f"database_labels are missing beside database codes of type {type(database_codes).__name__}; give them, "
            "or an iterable of chunks (codes, labels) in place of both"
        )
    if database_ids is not None:
        raise ValueError("database_ids came beside chunks; give them in the chunks, as (codes, labels, ids)")
    return queries, Database(database_codes, None, None, stated)


def _array(name: str, array: Any) -> Array:
    return array if isinstance(array, np.ndarray | torch.Tensor) else inputs.as_numpy(name, array)


def _not_empty(side: str, codes: Array) -> None:
    if codes.shape[:1] == (0,):
        raise ValueError(f"{side} codes are empty, of shape {tuple(codes.shape)}; give at least one row")


def _row_bytes(array: Array) -> int:
    itemsize = array.element_size() if isinstance(array, torch.Tensor) else array.itemsize
    return max(1, int(np.prod(array.shape[1:], dtype=np.int64)) * itemsize)


def _taken(piece: Piece, rows: Any) -> Piece:
    return Piece(*(None if part is None else part[rows] for part in piece))  # type: ignore[arg-type]


def _gathered(pieces: Iterator[Piece], size: int) -> Iterator[Piece]:
    """The same items in pieces of `size`; what is left over comes last."""
    held: list[Piece] = []
    n_held = 0
    for piece in pieces:
        held.append(piece)
        n_held += len(piece.packed)
        if n_held < size:
            continue
        joined = _joined(held)
        whole = n_held // size * size
        for start in range(0, whole, size):
            yield _taken(joined, slice(start, start + size))
        n_held -= whole
        held = [_taken(joined, slice(whole, None))] if n_held else []
    if n_held:
        yield _joined(held)


def _joined(held: list[Piece]) -> Piece:
    if len(held) == 1:
        return held[0]
    return Piece(*(None if parts[0] is None else np.concatenate(parts) for parts in zip(*held, strict=True)))  # type: ignore[arg-type]


def _label_planes(labels: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
    """(T, len(columns), width): a set bit for each item that has the label."""
    if labels.ndim == 2:
        words = words_of(np.packbits(labels, axis=1, bitorder="little"))
        return np.ascontiguousarray(bit_planes(words, labels.shape[1], width)[:, columns])
    rows = np.minimum(np.searchsorted(columns, labels), len(columns) - 1)
    planes = np.zeros((-(-len(labels) // (WORD * width)), len(columns), width), np.uint64)
    set_bits(planes, np.where(columns[rows] == labels, rows, -1))
    return planes


def _self_matches(query_ids: np.ndarray | None, ids: np.ndarray | None, n_queries: int) -> Itself:
    if query_ids is None or ids is None:
        return Itself(np.zeros(n_queries + 1, np.int64), np.empty(0, np.int64))
    by_id = np.argsort(query_ids, kind="stable")
    first, last = (np.searchsorted(query_ids[by_id], ids, side) for side in ("left", "right"))
    counts = last - first
    item = np.repeat(np.arange(len(ids)), counts)
    query = by_id[np.arange(len(item)) + np.repeat(first - (np.cumsum(counts) - counts), counts)]
    order = np.argsort(query, kind="stable")
    return Itself(_starts(query, n_queries).astype(np.int64), item[order].astype(np.int64))


def _starts(groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Where each group begins in a list sorted by group, and at the end its length: (n_groups + 1,)."""
    return np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=n_groups))])


def _digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()

"""Codes turned on their side: one bit of 64 items a word, so that a few instructions count for hundreds of items.

Packed codes (N, bytes) become bit planes (tiles, rows, width): bit i of planes[t, r, w] is bit r of the code of item
64 (t width + w) + i. Rows run over the bits of the packed bytes, the lowest bit of each byte first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

WORD = 64  # bits
ROWS = 16  # planes are counted in groups of so many; the last group is filled up with empty planes
_CACHE_BYTES = 2**17  # planes of one tile: small beside a core's second-level cache
_WIDEST, _NARROWEST = 256, 8  # words


def _popcount(typingctx: Any, word: Any) -> Any:
    """Number of set bits of a uint64: the processor's own instruction, which LLVM also knows for vectors."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), codegen


popcount: Any = intrinsic(_popcount)


def words_of(packed: np.ndarray) -> np.ndarray:
    """(N, bytes) uint8 as (N, ceil(bytes / 8)) uint64, filled up with zero bytes; lowest byte first."""
    n_bytes = packed.shape[1]
    padded = packed
    if n_bytes % 8 or not (packed.flags.c_contiguous and packed.flags.writeable and packed.flags.aligned):
        padded = np.zeros((len(packed), -(-n_bytes // 8) * 8), np.uint8)
        padded[:, :n_bytes] = packed
    return padded.view("<u8")


def tile_width(n_items: int, rows: int) -> int:
    """Words of a tile: as wide as the planes' rows leave room in the cache, no wider than the items need."""
    fitting = _CACHE_BYTES // (8 * max(rows, 1))
    needed = -(-n_items // WORD)
    return max(_NARROWEST, min(_WIDEST, fitting, needed) // _NARROWEST * _NARROWEST)


def bit_planes(words: np.ndarray, rows: int, width: int) -> np.ndarray:
    """(N, W) uint64 -> (ceil(N / (64 width)), rows, width) uint64: the first `rows` bits of each item's words."""
    n_tiles = -(-len(words) // (WORD * width))
    planes = np.zeros((n_tiles, rows, width), np.uint64)
    _fill_planes(words, planes)
    return planes


def counted_rows(bits: int) -> int:
    """Rows that hold `bits` bits: a whole number of groups."""
    return -(-bits // ROWS) * ROWS


def query_masks(words: np.ndarray, rows: int) -> np.ndarray:
    """(Q, W) uint64 -> (Q, rows) uint64: all ones where the query's bit is set, so that XOR with a plane compares."""
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :rows]
    return np.where(bits, np.uint64(2**64 - 1), np.uint64(0))


def full_mask(n_items: int, width: int) -> np.ndarray:
    """(tiles, width) uint64 with a bit set for each of n_items."""
    n_tiles = -(-n_items // (WORD * width))
    bits = np.arange(n_tiles * width * WORD) < n_items
    return np.packbits(bits, bitorder="little").view("<u8").reshape(n_tiles, width)


@njit(nogil=True, cache=True)
def _fill_planes(words, planes):  # type: ignore[no-untyped-def]
    n_items, n_words = words.shape
    n_tiles, rows, width = planes.shape
    square = np.empty(64, np.uint64)
    for tile in range(n_tiles):
        for w in range(width):
            first = (tile * width + w) * 64
            if first >= n_items:
                break
            for column in range(n_words):
                for i in range(64):
                    square[i] = words[first + i, column] if first + i < n_items else np.uint64(0)
                _transpose(square)
                for i in range(min(64, rows - 64 * column)):
                    planes[tile, 64 * column + i, w] = square[i]


@njit(nogil=True, cache=True)
def set_bits(planes, rows):  # type: ignore[no-untyped-def]
    """Sets the bit of item i in row rows[i] of planes (tiles, rows, width); a row of -1 sets none."""
    width = planes.shape[2]
    for item in range(rows.size):
        if rows[item] >= 0:
            tile, word = divmod(item // 64, width)
            planes[tile, rows[item], word] |= np.uint64(1) << np.uint64(item % 64)


@njit(nogil=True, cache=True)
def _transpose(square):  # type: ignore[no-untyped-def]
    """64 x 64 bits in place: quarters change places, then quarters of quarters (Warren, Hacker's Delight, 7-3)."""
    step, low = 32, np.uint64(0xFFFFFFFF)
    while step:
        row = 0
        while row < 64:
            shift = np.uint64(step)
            swapped = ((square[row] >> shift) ^ square[row + step]) & low
            square[row] ^= swapped << shift
            square[row + step] ^= swapped
            row = (row + step + 1) & ~step
        step >>= 1
        low ^= low << np.uint64(step)

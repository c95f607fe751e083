"""Histograms of Hamming distances from bit planes: full adders over planes count, no pair is ever looked at alone.

For one query and one tile, XOR with the query leaves planes of differing bits. A chain of full adders sums them into
the planes of a binary number, the distance of each item (Harley and Seal's population count, laid on its side).
Splitting the items by the high planes of that number, then by its three lowest, leaves one mask a distance, whose
population count is the histogram. Empty masks are not split further: the nearer to each other the codes of a tile, the
faster. Starting from a mask of relevant items instead of all items gives the histogram of the relevant ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from cscelab.retrieval.bitplanes import popcount
from cscelab.retrieval.threads import over_threads

LEAVES = 8  # distances told apart by the three lowest planes


class Tiles(NamedTuple):
    """A block of N items: planes (T, rows, W) of codes and (T, labels, W) of labels, words (N, code words).

    valid (T, W): a set bit for each item that is there, the last tile being filled up.
    """

    planes: np.ndarray
    labels: np.ndarray
    valid: np.ndarray
    words: np.ndarray


class Asked(NamedTuple):
    """The queries: masks (Q, rows), words (Q, code words); query q has the label planes rows[starts[q]:starts[q+1]]."""

    masks: np.ndarray
    words: np.ndarray
    starts: np.ndarray
    rows: np.ndarray


class Itself(NamedTuple):
    """Self-matches in a block: query q leaves out the items positions[starts[q]:starts[q+1]]."""

    starts: np.ndarray
    positions: np.ndarray


def bins(bits: int) -> int:
    """Columns of the kernels' histograms: distances 0..K, filled up to whole groups of leaves."""
    return (bits // LEAVES + 1) * LEAVES


def count(tiles: Tiles, asked: Asked, itself: Itself, items: np.ndarray, graded: np.ndarray) -> None:
    """Adds a block to items (Q, bins) and graded (G, Q, bins), int64.

    graded[g-1]: items that share exactly g labels with the query; with G = 1, at least one. Grades that do not occur
    are not touched, so that their zeros take no memory.
    """

    def part(first: int, last: int) -> None:
        _count(*tiles[:3], asked.masks, asked.starts, asked.rows, *itself, items, graded, first, last)

    over_threads(part, len(asked.masks))


@njit(nogil=True, cache=True)
def _count(planes, labels, valid, masks, starts, rows, self_starts, self_items, items, graded, first, last):  # type: ignore[no-untyped-def]
    n_tiles, n_rows, width = planes.shape
    n_grades = graded.shape[0]
    n_planes = 4
    while (1 << n_planes) <= n_rows:
        n_planes += 1
    counter = np.zeros((n_planes + 1, width), np.uint64)
    stack = np.zeros((n_planes - 2, width), np.uint64)
    n_bits = 1
    while (1 << n_bits) <= n_grades:
        n_bits += 1
    shared = np.zeros((n_bits, width), np.uint64)
    carry, present, relevant = np.zeros(width, np.uint64), np.zeros(width, np.uint64), np.zeros(width, np.uint64)
    for tile in range(n_tiles):
        for q in range(first, last):
            wanted = rows[starts[q] : starts[q + 1]]
            keep(valid[tile], tile, self_items[self_starts[q] : self_starts[q + 1]], present)
            _sum_planes(planes[tile], masks[q], counter, carry)
            _split(counter, n_planes - 3, present, stack, items[q])
            if n_grades == 1:
                any_label(labels[tile], wanted, present, relevant)
                _split(counter, n_planes - 3, relevant, stack, graded[0, q])
            else:
                n_bits = sum_labels(labels[tile], wanted, shared, carry)
                for grade in range(1, wanted.size + 1):
                    _exactly(shared, n_bits, grade, present, relevant)
                    _split(counter, n_planes - 3, relevant, stack, graded[grade - 1, q])


@njit(nogil=True, cache=True)
def keep(valid, tile, left_out, present):  # type: ignore[no-untyped-def]
    """present: the items of the tile but for those left out."""
    width = valid.size
    for w in range(width):
        present[w] = valid[w]
    for item in left_out:
        w = item // 64 - tile * width
        if 0 <= w < width:
            present[w] &= ~(np.uint64(1) << np.uint64(item % 64))


@njit(nogil=True, cache=True)
def any_label(labels, wanted, present, relevant):  # type: ignore[no-untyped-def]
    relevant[:] = 0
    for row in wanted:
        for w in range(present.size):
            relevant[w] |= labels[row, w]
    for w in range(present.size):
        relevant[w] &= present[w]


@njit(nogil=True, cache=True)
def sum_labels(labels, wanted, shared, carry):  # type: ignore[no-untyped-def]
    """The number of wanted labels of each item, as planes; returns how many planes it took."""
    n_bits = 0
    while (1 << n_bits) <= wanted.size:
        n_bits += 1
    shared[:n_bits] = 0
    for row in wanted:
        for w in range(carry.size):
            carry[w] = labels[row, w]
        for p in range(n_bits):
            for w in range(carry.size):
                both = shared[p, w] & carry[w]
                shared[p, w] ^= carry[w]
                carry[w] = both
    return n_bits


@njit(nogil=True, cache=True)
def _exactly(shared, n_bits, grade, present, relevant):  # type: ignore[no-untyped-def]
    for w in range(present.size):
        relevant[w] = present[w]
    for p in range(n_bits):
        flip = np.uint64(0) if (grade >> p) & 1 else ~np.uint64(0)
        for w in range(present.size):
            relevant[w] &= shared[p, w] ^ flip


@njit(nogil=True, cache=True, inline="always")
def _add(a, b, c):  # type: ignore[no-untyped-def]
    """A full adder for 64 items: sum and carry of three bits, three instructions where there is a ternary logic one."""
    return (a ^ b) ^ c, (a & b) | (c & (a | b))


@njit(nogil=True, cache=True)
def _sum_planes(planes, masks, counter, carry):  # type: ignore[no-untyped-def]
    """counter (planes of the distance, W): how many of the rows differ from the query, 16 rows at a time."""
    width = carry.size
    counter[:] = 0
    for first in range(0, planes.shape[0], 16):
        x, m = planes[first : first + 16], masks[first : first + 16]
        m0, m1, m2, m3, m4, m5, m6, m7 = m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]
        m8, m9, m10, m11, m12, m13, m14, m15 = m[8], m[9], m[10], m[11], m[12], m[13], m[14], m[15]
        for w in range(width):
            one, a = _add(x[0, w] ^ m0, x[1, w] ^ m1, counter[0, w])
            one, b = _add(x[2, w] ^ m2, x[3, w] ^ m3, one)
            two, c = _add(a, b, counter[1, w])
            one, a = _add(x[4, w] ^ m4, x[5, w] ^ m5, one)
            one, b = _add(x[6, w] ^ m6, x[7, w] ^ m7, one)
            two, d = _add(a, b, two)
            four, e = _add(c, d, counter[2, w])
            one, a = _add(x[8, w] ^ m8, x[9, w] ^ m9, one)
            one, b = _add(x[10, w] ^ m10, x[11, w] ^ m11, one)
            two, c = _add(a, b, two)
            one, a = _add(x[12, w] ^ m12, x[13, w] ^ m13, one)
            one, b = _add(x[14, w] ^ m14, x[15, w] ^ m15, one)
            two, d = _add(a, b, two)
            four, f = _add(c, d, four)
            eight, carry[w] = _add(e, f, counter[3, w])
            counter[0, w], counter[1, w], counter[2, w], counter[3, w] = one, two, four, eight
        plane, reach = 4, first // 16 + 1
        while reach > 0:  # sixteens so far: the carry goes no further than their number's length
            for w in range(width):
                both = counter[plane, w] & carry[w]
                counter[plane, w] ^= carry[w]
                carry[w] = both
            plane, reach = plane + 1, reach >> 1


@njit(nogil=True, cache=True)
def _split(counter, n_high, mask, stack, histogram):  # type: ignore[no-untyped-def]
    """Adds the items of mask to histogram (bins,): a walk through the tree of high planes, empty branches left out.

    stack[level]: the items whose `level` highest planes agree with those bits of the group's number.
    """
    width = mask.size
    for w in range(width):
        stack[0, w] = mask[w]
    group, level = 0, 0
    while group < (1 << n_high):
        while level < n_high:
            plane = n_high - 1 - level
            flip = np.uint64(0) if (group >> plane) & 1 else ~np.uint64(0)
            found = np.uint64(0)
            for w in range(width):
                left = stack[level, w] & (counter[plane + 3, w] ^ flip)
                stack[level + 1, w] = left
                found |= left
            if found == 0:
                break
            level += 1
        if level == n_high:
            _leaves(counter, stack[n_high], histogram[8 * group : 8 * group + 8])
            group += 1
        else:  # nothing below this branch: on to the next one
            plane = n_high - 1 - level
            group = ((group >> plane) + 1) << plane
        trailing = 0
        while trailing < n_high and (group >> trailing) & 1 == 0:
            trailing += 1
        level = max(0, n_high - 1 - trailing)


@njit(nogil=True, cache=True)
def _leaves(counter, mask, histogram):  # type: ignore[no-untyped-def]
    """Adds the items of mask to eight bins by the three lowest planes."""
    n0 = n1 = n2 = n3 = n4 = n5 = n6 = n7 = np.uint64(0)
    for w in range(mask.size):
        ones, twos, fours = counter[0, w], counter[1, w], counter[2, w]
        high, low = mask[w] & fours, mask[w] & ~fours
        a, b, c, d = high & twos, high & ~twos, low & twos, low & ~twos
        n7 += popcount(a & ones)
        n6 += popcount(a & ~ones)
        n5 += popcount(b & ones)
        n4 += popcount(b & ~ones)
        n3 += popcount(c & ones)
        n2 += popcount(c & ~ones)
        n1 += popcount(d & ones)
        n0 += popcount(d & ~ones)
    histogram[0] += n0
    histogram[1] += n1
    histogram[2] += n2
    histogram[3] += n3
    histogram[4] += n4
    histogram[5] += n5
    histogram[6] += n6
    histogram[7] += n7

"""Error-correcting codes: what coding theory knows about words that lie far apart, and how far they can.

Words are rows of uint8 0 / 1. A `Code` carries the minimum distance that theory promises; nothing downstream
trusts it: `centers.center_report` counts, and the tests count every code below.

Sources: MacWilliams and Sloane, "The Theory of Error-Correcting Codes", 1977 (BCH, Golay, shortening,
puncturing, bounds); Hammons et al., "The Z4-linearity of Kerdock, Preparata, Goethals, and related codes",
1994 (Kerdock and Nordstrom-Robinson codes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import comb

import numpy as np

from cscelab.hadamard import hadamard, hadamard_name


@dataclass(frozen=True)
class Code:
    """A binary code: `size` words of `bits` bits that differ pairwise in at least `distance` of them."""

    name: str
    bits: int
    size: int
    distance: int
    # words(n) gives at least n distinct words, (>= n, bits) uint8 of 0 / 1, for any n up to `size`.
    words: Callable[[int], np.ndarray]


def hadamard_code(order: int) -> Code:
    """Rows of [H; -H], each beside its negative: 2n words at distance n / 2; RM(1, m) at n = 2^m."""
    name = hadamard_name(order)
    also = f", Reed-Muller RM(1,{order.bit_length() - 1})" if name == "Sylvester" and order > 1 else ""

    def words(n: int) -> np.ndarray:
        rows = hadamard(order)
        return (np.stack([rows, -rows], axis=1).reshape(-1, order) < 0).astype(np.uint8)

    return Code(f"Hadamard [H; -H] ({name}{also})", order, 2 * order, max(order // 2, 1), words)


def linear_code(name: str, generator: Callable[[], np.ndarray], bits: int, dimension: int, distance: int) -> Code:
    """All sums of the (k, K) generator's rows; for few words, all sums of a few groups of rows."""

    def words(n: int) -> np.ndarray:
        rows, n_groups = generator(), max(n - 1, 1).bit_length() - 1
        # The first row stays as it is (often the word of ones); the others are grouped, not left out, which
        # could leave bits that never change.
        groups = [rows[1 + i :: n_groups].sum(axis=0, dtype=np.uint8) % 2 for i in range(n_groups)]
        found = np.zeros((1, bits), dtype=np.uint8)
        for row in [rows[0], *groups]:
            found = np.stack([found, found ^ row], axis=1).reshape(-1, bits)
        return found

    return Code(f"{name} [{bits},{dimension},{distance}]", bits, 2**dimension, distance, words)


@cache
def extended_bch(m: int) -> tuple[Code, ...]:
    """Extended BCH codes of 2^m bits: for each dimension the largest designed distance."""
    n, codes = 2**m - 1, dict[int, Code]()
    for designed in range(3, n, 2):
        roots = frozenset(i * 2**j % n for i in range(1, designed) for j in range(m))
        k = n - len(roots)
        if k > 1:
            codes[k] = linear_code("extended BCH", partial(_bch_generator, m, roots), n + 1, k, designed + 1)
    return tuple(codes.values())


# One primitive polynomial for each field GF(2^m), as bits.
_PRIMITIVE = {
    3: 0b1011,
    4: 0b10011,
    5: 0b100101,
    6: 0b1000011,
    7: 0b10001001,
    8: 0b100011101,
    9: 0b1000010001,
}


@cache
def _bch_generator(m: int, roots: frozenset[int]) -> np.ndarray:
    """(k, 2^m): the polynomial whose zeros are alpha^i for i in `roots`, shifted, with a parity bit."""
    n = 2**m - 1
    power = [1]
    for _ in range(n - 1):
        doubled = power[-1] << 1
        power.append(doubled ^ (_PRIMITIVE[m] if doubled >> m else 0))
    log = {value: i for i, value in enumerate(power)}
    polynomial = [1]  # coefficients in GF(2^m), lowest first; the finished product has only 0 and 1
    for i in roots:
        scaled = [power[(log[c] + i) % n] if c else 0 for c in polynomial]
        polynomial = [a ^ b for a, b in zip([0, *polynomial], [*scaled, 0], strict=True)]
    return _cyclic_generator(polynomial, n)


def _cyclic_generator(polynomial: list[int], n: int) -> np.ndarray:
    """(k, n + 1) of an extended cyclic code that contains the word of ones; that word comes first."""
    dimension = n - len(polynomial) + 1
    rows = np.zeros((dimension, n + 1), dtype=np.uint8)
    rows[0] = 1  # first, so that few words still come in complementary pairs
    for i in range(dimension - 1):
        rows[i + 1, i : i + len(polynomial)] = polynomial
        rows[i + 1, n] = sum(polynomial) % 2
    return rows


def kerdock(m: int) -> Code:
    """Kerdock code of 2^(m+1) bits, m odd: Gray image of a code over Z4 (m = 3: Nordstrom-Robinson)."""
    bits = 2 ** (m + 1)
    name = "Nordstrom-Robinson" if m == 3 else "Kerdock"
    size, distance = 4 ** (m + 1), 2**m - 2 ** ((m - 1) // 2)
    return Code(f"{name} ({bits},{size},{distance})", bits, size, distance, partial(_kerdock_words, m))


def _kerdock_words(m: int, n: int) -> np.ndarray:
    binary = np.array([_PRIMITIVE[m] >> i & 1 for i in range(m + 1)])
    even, odd = binary * (np.arange(m + 1) % 2 == 0), binary * (np.arange(m + 1) % 2)
    # Graeffe's method lifts the primitive polynomial h to Z4: H(x^2) = +-(even(x)^2 - odd(x)^2).
    lifted = (np.convolve(even, even) - np.convolve(odd, odd))[::2] % 4
    lifted = lifted * lifted[m] % 4  # monic
    sequences = np.zeros((m, 2**m - 1), dtype=int)
    sequences[:, :m] = np.eye(m, dtype=int)
    for t in range(m, 2**m - 1):
        sequences[:, t] = -(sequences[:, t - m : t] @ lifted[:m]) % 4
    generator = np.concatenate([np.ones((1, 2**m), dtype=int), np.pad(sequences, ((0, 0), (1, 0)))])
    n_rows = next(r for r in range(1, m + 2) if 4**r >= n)
    digits = np.arange(4**n_rows)[:, None] // 4 ** np.arange(n_rows) % 4
    quaternary = (digits @ generator[:n_rows]) % 4  # (words, 2^m) over Z4
    # Gray map 0 1 2 3 -> 00 01 11 10 keeps distances; adding 2 becomes the complement.
    return np.concatenate([quaternary >= 2, (quaternary == 1) | (quaternary == 2)], axis=1).astype(np.uint8)


# (bits, dimension, distance): (circulant size, one first row for each circulant), found by random search.
_QUASI_CYCLIC: dict[tuple[int, int, int], tuple[int, tuple[int, ...]]] = {
    (24, 7, 10): (8, (0x6C, 0xD4, 0x3A)),
    (32, 7, 14): (8, (0xFA, 0x4E, 0x09, 0xF3)),
    (36, 7, 16): (9, (0x150, 0x1BE, 0xF2, 0x1A5)),
    (40, 10, 16): (10, (0x15B, 0x74, 0x114, 0x3DA)),
    (48, 8, 22): (12, (0xDA7, 0x48C, 0xD1C, 0x198)),
    (48, 10, 20): (12, (0x98E, 0x96A, 0x757, 0x852)),
}


def quasi_cyclic(bits: int, dimension: int, distance: int) -> Code:
    """Circulant blocks side by side; the first k rows of the first rows' shifts generate the code."""
    size, first_rows = _QUASI_CYCLIC[bits, dimension, distance]

    def generator() -> np.ndarray:
        blocks = np.array([[row >> i & 1 for i in range(size)] for row in first_rows], dtype=np.uint8)
        return np.stack([np.roll(blocks, shift, axis=1).reshape(-1) for shift in range(dimension)])

    return linear_code("quasi-cyclic", generator, bits, dimension, distance)


# x^11 + x^9 + x^7 + x^6 + x^5 + x + 1 divides x^23 - 1 and generates the binary Golay code.
_GOLAY = [int(bit) for bit in "110001110101"]


@cache
def known_codes(max_bits: int) -> tuple[Code, ...]:
    """Every code above of at most `max_bits` bits, those of the table first."""
    hadamards = [hadamard_code(n) for n in range(1, max_bits + 1) if hadamard_name(n)]
    kerdocks = [kerdock(m) for m in (3, 5, 7)]
    golay = linear_code("extended Golay", lambda: _cyclic_generator(_GOLAY, 23), 24, 12, 8)
    cyclics = [quasi_cyclic(*key) for key in _QUASI_CYCLIC]
    bch = [code for m in _PRIMITIVE if 2**m <= max_bits for code in extended_bch(m)]
    plain = [code for bits in range(1, max_bits + 1) for code in _plain(bits)]
    everything = [*hadamards, *kerdocks, golay, *cyclics, *bch, *plain]
    return tuple(code for code in everything if code.bits <= max_bits)


@cache
def _plain(bits: int) -> tuple[Code, ...]:
    """Two words, all of even weight, all there are: what serves two classes, or nearly 2^K."""
    single, ones = np.eye(bits, dtype=np.uint8), np.ones((1, bits), dtype=np.uint8)
    pairs = single[:-1] | single[1:]
    repetition = linear_code("repetition", lambda: ones, bits, 1, bits)
    even = linear_code("even weight", lambda: pairs, bits, bits - 1, 2)
    every = linear_code("all words", lambda: single, bits, bits, 1)
    return (every,) if bits == 1 else (repetition, even, every)


# Shortening builds this many words at most before it keeps a part of them.
_MOST_WORDS = 1 << 17


def fitted(code: Code, bits: int, size: int) -> Code | None:
    """Cut a code down to `bits` bits keeping `size` words: shorten (keeps d), then puncture (d - 1 a bit).

    None where no positive distance is left.
    """
    surplus = code.bits - bits
    shorten = 0
    while shorten < surplus and size << (shorten + 1) <= min(code.size, _MOST_WORDS):
        shorten += 1
    distance = code.distance - (surplus - shorten)
    if surplus < 0 or code.size < size or distance < 1:
        return None

    def words(n: int) -> np.ndarray:
        full = code.words(n << shorten)
        # The commonest beginning is shared by at least n of n * 2^s words; cutting it off costs no distance.
        beginning = full[:, :shorten] @ (1 << np.arange(shorten))
        kept = full[beginning == np.bincount(beginning).argmax()] if shorten else full
        return kept[:, code.bits - bits :]

    cuts = [f"shortened by {shorten}"] * (shorten > 0) + [f"punctured by {surplus - shorten}"] * (surplus > shorten)
    return Code(" ".join([code.name, *cuts]), bits, code.size >> shorten, distance, words)


def side_by_side(left: Code, right: Code) -> Code:
    """Words of two codes joined one to one: their distances add."""

    def words(n: int) -> np.ndarray:
        return np.concatenate([left.words(n)[:n], right.words(n)[:n]], axis=1)

    size = min(left.size, right.size)
    name = f"{left.name} | {right.name}"
    return Code(name, left.bits + right.bits, size, left.distance + right.distance, words)


@cache
def best_code(size: int, bits: int) -> Code:
    """The code of `bits` bits and at least `size` words with the largest promised distance.

    Where a Hadamard matrix serves (size <= 2 * bits), its rows are taken, as in the paper.
    """
    if size <= 2 * bits and hadamard_name(bits):
        return hadamard_code(bits)
    found = [fitted(code, bits, size) for code in known_codes(2 * bits + 8) if code.bits >= bits]
    for part in (8, 12, 16, 20, 24, 32, 36, 40, 48, 64, 128, 256, 512):
        rest = bits - part
        if rest >= 1 and size <= 2 ** min(part, rest):
            found.append(side_by_side(best_code(size, part), best_code(size, rest)))
    return max((code for code in found if code), key=lambda code: code.distance)


@cache
def distance_upper_bound(n_classes: int, bits: int) -> int:
    """The largest d at which no bound here rules out C words of K bits; K for one word, 0 past 2^K words."""
    if n_classes == 1:
        return bits
    return next((d for d in range(bits, 0, -1) if _may_exist(n_classes, bits, d)), 0)


def _may_exist(size: int, bits: int, distance: int) -> bool:
    """Whether `size` words at pairwise `distance` pass the Singleton, Plotkin and Hamming bounds."""
    # A parity bit makes an odd distance even without loss: A(n, d) = A(n + 1, d + 1).
    n, d = (bits + 1, distance + 1) if distance % 2 else (bits, distance)
    # Each bit dropped at most halves a code, which leads a long code to n = 2d, where 4d words may be.
    plotkin = 2 * (d // (2 * d - n)) if 2 * d > n else 4 * d * 2 ** (n - 2 * d)
    if size > min(plotkin, 2 ** (n - d + 1)):
        return False
    # Balls of radius (d - 2) / 2 around words at distance d - 1 are disjoint in n - 1 bits.
    return size * sum(comb(n - 1, i) for i in range((d - 2) // 2 + 1)) <= 2 ** (n - 1)

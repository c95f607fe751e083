"""How a method writes its codes: as so many bits, or as symbols of k values, each one-hot."""

from __future__ import annotations

from dataclasses import dataclass

from cscelab.codes import BITS_PER_BYTE

HAMMING_PER_SYMBOL = 2  # one-hot codes differ in two bits where their symbols differ


def bits_of_symbol(arity: int | None) -> int:
    """log2(k); 1 for None, plain bits. Raises ValueError for a k that is no power of two."""
    if arity is None:
        return 1
    if arity < 2 or arity & (arity - 1):
        raise ValueError(f"groups of {arity} values were asked for; give a power of two, as 2, 4, 8 or 16")
    return arity.bit_length() - 1


@dataclass(frozen=True)
class CodeLayout:
    """How a method writes a code of q bits: as so many signs, or, with an arity, as one-hot symbols.

    arity: k, a power of two; None for plain bits. Raises ValueError for less than one bit, another k, and where q bits
    are no whole number of symbols.
    """

    bits: int  # q: a code can tell 2^q items apart
    arity: int | None = None

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise ValueError(f"{self.bits} bits were asked for; give at least 1")
        if self.bits % self.symbol_bits:
            n = self.symbol_bits
            raise ValueError(
                f"{self.bits} bits are no whole number of symbols of {n} bits (groups of {self.arity}); give a "
                f"multiple of {n}, as {max(1, self.bits // n) * n}, or another arity"
            )

    @property
    def symbol_bits(self) -> int:
        """log2(k): what a symbol tells; 1 for plain bits."""
        return bits_of_symbol(self.arity)

    @property
    def n_symbols(self) -> int:
        """R, or q for plain bits: the largest distance of two codes, in `unit`s."""
        return self.bits // self.symbol_bits

    @property
    def width(self) -> int:
        """Bits of a code as it is stored and compared: R k one-hot, or q."""
        return self.bits if self.arity is None else self.n_symbols * self.arity

    @property
    def unit(self) -> str:
        """What distances are counted in: "bits" or "symbols"."""
        return "bits" if self.arity is None else "symbols"

    @property
    def hamming_per_unit(self) -> int:
        """Hamming distance of two stored codes that differ in one unit."""
        return 1 if self.arity is None else HAMMING_PER_SYMBOL

    @property
    def stored_bytes(self) -> int:
        """Of a code in a file or an index: `width` bits."""
        return -(-self.width // BITS_PER_BYTE)

    @property
    def packed_bytes(self) -> int:
        """Of a code at its smallest, see `pack_symbols`: `bits` bits."""
        return -(-self.bits // BITS_PER_BYTE)

    def __str__(self) -> str:
        if self.arity is None:
            return f"{self.bits} bits"
        return f"{self.bits} bits ({self.n_symbols} symbols of {self.arity})"

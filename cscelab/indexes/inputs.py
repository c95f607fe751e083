"""What a code index is given: settings, ids and codes in any accepted form, each checked with one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from cscelab.codes import BITS_PER_BYTE, as_signs, pack
from cscelab.retrieval.inputs import as_numpy, is_packed, whole_number

LARGEST_ID = int(np.iinfo(np.int64).max) - 1  # the number after it still fits
LARGEST_SETTING = 2**31 - 1  # faiss counts in int


class Setting:
    """A whole number, kept as a plain int and checked whenever it is set.

    Args:
        least, most: what is allowed.
        optional: whether None is, too.
    """

    def __init__(self, least: int = 1, most: int = LARGEST_SETTING, optional: bool = False) -> None:
        self._least, self._most, self._optional = least, most, optional

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else instance.__dict__[self._name]

    def __set__(self, instance: Any, value: Any) -> None:
        if value is not None or not self._optional:
            value = whole_number(self._name, value, self._least)
            if value > self._most:
                raise ValueError(f"{self._name} is {value}; expected at most {self._most}")
        instance.__dict__[self._name] = value


class Text:
    """A name, checked whenever it is set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else instance.__dict__[self._name]

    def __set__(self, instance: Any, value: Any) -> None:
        if not isinstance(value, str):
            raise ValueError(f"{self._name} is {value!r}; expected a name as text, empty for none")
        instance.__dict__[self._name] = str(value)


def check_ids(ids: Any, n_rows: int | None = None, unique: bool = True, name: str = "ids") -> np.ndarray:
    """int64 (N,) from whole numbers of at least 0; N is `n_rows` where that is given. Raises ValueError."""
    array = as_numpy(name, ids)
    if array.size == 0 and n_rows is None:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (n_rows is not None and len(array) != n_rows):
        raise ValueError(f"{name} are {array.dtype} {array.shape}; expected whole numbers ({n_rows or 'N'},)")
    if array.min() < 0 or array.max() > LARGEST_ID:
        raise ValueError(f"{name} run from {array.min()} to {array.max()}; expected 0 to {LARGEST_ID}")
    values, counts = np.unique(array, return_counts=True)
    if unique and len(values) < len(array):
        times = f"{counts[counts > 1][0]} times" + ("" if name == "ids" else f" in {name}")
        raise ValueError(f"id {values[counts > 1][0]} came {times}; expected every id once")
    return array.astype(np.int64)


def check_codes(name: str, codes: Any, bits: int) -> np.ndarray:
    """Packed codes, contiguous and nobody else's, uint8 (N, ceil(bits / 8)).

    Args:
        name: what messages call them.
        codes: (N, bits) as `cscelab.codes.as_signs` takes them, or packed uint8 (N, ceil(bits / 8)).
        bits: K.

    Raises:
        ValueError: no rows, another number of bits, NaN, a 0 beside a -1, filling bits that are set.
    """
    array, width = as_numpy(name, codes), -(-bits // BITS_PER_BYTE)
    if array.size == 0:
        raise ValueError(f"{name} are empty, of shape {array.shape}; give at least one row")
    if is_packed(array, bits):
        filling = width * BITS_PER_BYTE - bits
        if (array[:, -1] & ((1 << filling) - 1)).any():
            raise ValueError(f"packed {name} have bits set past bit {bits}; expected zeros, as codes.pack leaves them")
        return np.array(array, order="C")
    expected = f"give (N, {bits}), or packed uint8 (N, {width})"
    if array.ndim == 2 and array.shape[1] != bits:
        raise ValueError(f"{name} have {array.shape[1]} columns, but the index holds codes of {bits} bits; {expected}")
    try:
        return pack(as_signs(array))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from None

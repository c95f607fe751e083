"""What evaluation accepts: codes, labels and ids in any usual writing, checked, and told apart in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch

from cscelab.codes import BITS_PER_BYTE, as_signs, pack, unpack
from cscelab.layout import CodeLayout, bits_of_symbol
from cscelab.ordinal import read_one_hot

Array = np.ndarray | torch.Tensor


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}; choose from {', '.join(choices)}")
    return str(value)


def whole_number(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) < 2**62:
        return int(value)
    shown = " ".join(repr(value).split())
    limit = " and below 2**62" if isinstance(value, Integral) and int(value) >= 2**62 else ""
    raise ValueError(f"{name} is {shown[:60]}; expected a whole number of at least {least}{limit}")


def several(values: Any) -> list[Any]:
    """One value or a sequence of them as a list."""
    if values is None or isinstance(values, str | Integral | float) or np.ndim(values) == 0:
        return [values]
    return list(values)


def depth(name: str, value: Any) -> int | None:
    """A depth of the ranking, None for the whole of it."""
    return None if value is None else whole_number(name, value)


def as_numpy(name: str, array: Any) -> np.ndarray:
    """Numbers as a NumPy array, not copied where they are one (a memory-mapped file stays on disk)."""
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        whole = not array.dtype.is_floating_point or array.dtype in (torch.float16, torch.float32, torch.float64)
        array = (array if whole else array.float()).numpy()  # NumPy knows no bfloat16 and no 8-bit floats
    try:
        array = np.asarray(array)
    except ValueError:
        raise ValueError(f"{name} are rows of different lengths; expected an array of numbers") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} are of type {array.dtype}; expected an array of numbers: convert them")
    return array


def is_packed(codes: Any, bits: int) -> bool:
    """Whether codes are packed bytes, uint8 (N, ceil(bits / 8)), and not bits written out."""
    if codes.ndim != 2 or not str(codes.dtype).endswith("uint8") or codes.shape[1] != -(-bits // BITS_PER_BYTE):
        return False
    # One uint8 column of 0 and 1 with bits=1 is a code written out: packed, its bit would be 128.
    return codes.shape[1] != bits or bool(len(codes) > 0 and codes[:].max() > 1)


def stated_layout(bits: Any, arity: Any) -> CodeLayout | None:
    """What was said of packed codes: their K bits, or with an arity k the R log2(k) bits that their symbols tell."""
    if bits is None:
        return None
    return CodeLayout(whole_number("bits", bits), None if arity is None else whole_number("arity", arity, least=2))


def code_bits(side: str, codes: Any, stated: CodeLayout | None) -> tuple[int, bool]:
    """(K, whether these are packed bytes) of codes (N, K), or packed uint8 (N, ceil(K/8)) where K is `stated`."""
    shape = tuple(codes.shape)
    if len(shape) != 2 or shape[1] == 0:
        raise ValueError(
            f"{side} codes: codes of shape {shape}; expected (N, K), a row of K >= 1 bits each: reshape them"
        )
    if stated is None:
        return shape[1], False
    bits, packed = stated.bits, is_packed(codes, stated.width)
    if not packed and shape[1] != stated.width:
        came = f"{side} codes have {shape[1]} columns, but bits={bits}"
        if stated.arity is None:
            raise ValueError(f"{came}; give codes of {bits} bits")
        raise ValueError(
            f"{came}, with arity={stated.arity} {stated.width} columns one-hot or {stated.stored_bytes} packed; "
            f"give the bits that the symbols tell, {stated.symbol_bits} a symbol"
        )
    return stated.width, packed


def code_layout(width: int, arity: Any) -> CodeLayout:
    """How codes of `width` stored bits are written: as signs, or with an arity as one-hot symbols."""
    if arity is None:
        return CodeLayout(width)
    arity = whole_number("arity", arity, least=2)
    symbol_bits = bits_of_symbol(arity)
    if width % arity:
        raise ValueError(
            f"arity={arity} came with codes of {width} bits, which are no whole number of symbols; give one-hot codes, "
            f"{arity} bits a symbol, or leave the arity out for codes of plain bits"
        )
    return CodeLayout(width // arity * symbol_bits, arity)


def one_hot_layout(packed: np.ndarray, width: int, arity: Any) -> CodeLayout:
    """How packed queries are written. Raises ValueError where they are not one-hot symbols of the arity given."""
    layout = code_layout(width, arity)
    if layout.arity is not None:
        try:
            read_one_hot(unpack(packed, width), layout.arity)
        except ValueError as error:
            raise ValueError(f"query codes: {error}, or leave the arity out for codes of plain bits") from None
    return layout


def packed_codes(side: str, codes: Array, bits: int, packed: bool, zeros: set[int] | None = None) -> np.ndarray:
    """uint8 (n, ceil(K/8)) from a piece of a side's codes, checked; packed on the device where they are.

    zeros: what has stood for the lower bit in earlier pieces, 0 or -1; one side's codes hold one of them.
    """
    array: Any = codes
    if packed or not isinstance(codes, torch.Tensor) or codes.device.type == "cpu":
        array = as_numpy(f"{side} codes", codes)
    try:
        if packed:
            filling = array.shape[1] * 8 - bits
            if filling and (array[:, -1] & ((1 << filling) - 1)).any():
                unpack(array, bits)  # says what is wrong
            return array
        lower = _lower(array)
        if lower is not None and zeros is not None:
            zeros.add(lower)
            if len(zeros) > 1:
                raise ValueError("some rows are written in -1 and +1 and others in 0 and 1; expected one of the two")
        return pack(array).cpu().numpy() if isinstance(array, torch.Tensor) else np.packbits(array == 1, axis=1)
    except (ValueError, TypeError) as error:
        hint = "; packed uint8 codes need bits=, their number of bits" if "uint8" in str(codes.dtype) else ""
        raise ValueError(f"{side} codes: {error}{hint if not packed else ''}") from None


def _lower(codes: Any) -> int | None:
    """What stands for the lower bit, -1 or 0, None where every bit is up. Raises ValueError for any other value."""

    def n_of(value: int) -> int:
        found = codes == value
        return int(found.sum()) if isinstance(found, torch.Tensor) else int(np.count_nonzero(found))

    n_cells, up = int(np.prod(codes.shape)), n_of(1)
    if up == n_cells:
        return None
    signed = "uint" not in str(codes.dtype) and "bool" not in str(codes.dtype)
    for lower in (-1, 0) if signed else (0,):
        n_lower = n_of(lower)
        if n_lower and up + n_lower == n_cells:
            return lower
    as_signs(codes)  # says what is wrong
    return None


def checked_labels(side: str, labels: Array, n_rows: int) -> np.ndarray:
    """Class ids int64 (n,) or multi-hot bool (n, C)."""
    array = as_numpy(f"{side} labels", labels)
    if array.ndim not in (1, 2) or len(array) != n_rows:
        expected = f"{n_rows} class ids ({n_rows},) or multi-hot ({n_rows}, C), one row for each item"
        raise ValueError(f"{side} labels have shape {array.shape}; expected {expected}")
    if array.ndim == 2:
        multi_hot = array.astype(bool, copy=False)
        if array.dtype.kind != "b" and not (array == multi_hot).all():
            raise ValueError(
                f"{side} labels (N, C) hold other values than 0 and 1; give class ids as (N,) or multi-hot"
            )
        return multi_hot
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.round(array))).all():
        raise ValueError(f"{side} labels hold NaN or fractions; expected whole class ids (N,)")
    return _as_int64(f"{side} labels", array)


def _as_int64(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "fu" and array.size and (array.max() >= 2**63 or array.min() < -(2**63)):
        raise ValueError(f"{name} run from {array.min()} to {array.max()}; expected whole numbers of 64 bits")
    return array.astype(np.int64, copy=False)


def checked_ids(side: str, ids: Array, n_rows: int) -> np.ndarray:
    array = as_numpy(f"{side} ids", ids)
    if array.shape != (n_rows,) or array.dtype.kind not in "iu":
        raise ValueError(f"{side} ids are {array.dtype} {array.shape}; expected whole numbers ({n_rows},)")
    return _as_int64(f"{side} ids", array)


def both_ids(query_ids: Any, database_ids: Any) -> None:
    """Ids leave out self-matches, so one side's alone are a mistake."""
    if (query_ids is None) != (database_ids is None):
        raise ValueError("ids came for one side only; give both query_ids and database_ids, or neither")


def rows_alike(side: str, values: Array | None, n_codes: int) -> Array:
    """The values, where there is one row for each code."""
    if values is None:
        raise ValueError(f"{side}_values are missing; give the values of both queries and database, or neither")
    if np.shape(values)[:1] != (n_codes,):
        n_rows = (np.shape(values) or (1,))[0]
        raise ValueError(f"{n_rows} {side} values came with {n_codes} codes; give one row for each")
    return values


def checked_values(side: str, values: Any) -> np.ndarray:
    """Real values float64 (n, D), finite."""
    array = as_numpy(f"{side} values", values)
    if array.ndim != 2 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{side} values of shape {array.shape}; expected finite numbers (N, K), no NaN or infinity")
    return array.astype(np.float64)


def same_kind(query_labels: Array, database_labels: Array) -> None:
    shapes = tuple(query_labels.shape), tuple(database_labels.shape)
    if shapes[0][1:] != shapes[1][1:]:
        raise ValueError(
            f"query labels {shapes[0]} and database labels {shapes[1]} differ in kind; "
            "expected class ids (N,) for both or multi-hot (N, C) of the same classes for both"
        )


def same_width(unit: str, query: int, database: int) -> None:
    if query != database:
        raise ValueError(
            f"queries have {query} {unit} and the database {database} {unit}; expected the same for both: "
            "encode both with one model"
        )

"""Binary hash codes: check them, pack eight bits a byte, count the bits in which two codes differ.

A code is a row of K bits written as {-1, +1} (the networks' way) or {0, 1} (the disks' way; 0 stands for -1).
Every function takes a NumPy array or a torch tensor and answers in kind, on the same device.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
import torch

# ndarray in, ndarray out; tensor in, tensor out.
Array = TypeVar("Array", np.ndarray, torch.Tensor)

BITS_PER_BYTE = 8
# Packed distances compare this many byte pairs at a time: about 16 MB of workspace whatever the database.
_BLOCK_BYTES = 1 << 24
_POPCOUNT = np.bitwise_count(np.arange(256, dtype=np.uint8))


def as_signs(codes: Array) -> Array:
    """Check codes and write them as int8 -1 / +1.

    Args:
        codes: (N, K) values, all of {-1, +1} or all of {0, 1}, of any real or boolean type.

    Returns:
        (N, K) int8, of the input's family (NumPy or torch) and on its device.

    Raises:
        TypeError: not an array, or complex values.
        ValueError: not two axes, no bits, NaN, a 0 beside a -1, or any other value.
    """
    return cast(Array, _to_array(_signs(_to_tensor(codes)), codes))


def pack(codes: Array) -> Array:
    """Pack codes eight bits a byte, first bit highest, as `numpy.packbits` does; +1 is a set bit.

    Args:
        codes: (N, K) as for `as_signs`.

    Returns:
        (N, ceil(K / 8)) uint8; the last byte is filled up with zero bits.
    """
    signs = _signs(_to_tensor(codes))
    n_codes, bits = signs.shape
    n_bytes = -(-bits // BITS_PER_BYTE)
    padded = torch.zeros(n_codes, n_bytes * BITS_PER_BYTE, dtype=torch.uint8, device=signs.device)
    padded[:, :bits] = signs > 0
    grouped = padded.view(n_codes, n_bytes, BITS_PER_BYTE)  # (N, K) -> (N, bytes, 8)
    return cast(Array, _to_array((grouped << _shifts(signs.device)).sum(dim=2, dtype=torch.uint8), codes))


def unpack(packed: Array, bits: int) -> Array:
    """Undo `pack`: (N, ceil(K / 8)) uint8 -> (N, K) int8 of -1 / +1, where K = `bits`.

    Raises:
        ValueError: `packed` is not uint8 of ceil(K / 8) columns, or a filling bit past K is set.
    """
    data = _packed(packed, bits)
    ones = (data.unsqueeze(2) >> _shifts(data.device)) & 1  # (N, bytes) -> (N, bytes, 8)
    signs = ones.flatten(1)[:, :bits].to(torch.int8) * 2 - 1
    return cast(Array, _to_array(signs, packed))


def hamming_distance(a: Array, b: Array, bits: int | None = None) -> Array:
    """Number of differing bits between every code of `a` and every code of `b`.

    Args:
        a: (Na, K) codes as for `as_signs`, or (Na, ceil(K / 8)) packed bytes where `bits` is given.
        b: (Nb, K), likewise; same family and device as `a`.
        bits: K, when the codes are packed.

    Returns:
        (Na, Nb) int32, between 0 and K.

    Raises:
        TypeError: `a` and `b` are of different families (NumPy and torch).
        ValueError: malformed codes, or different bit counts.
    """
    if isinstance(a, torch.Tensor) != isinstance(b, torch.Tensor):
        raise TypeError(
            f"codes of two families, {type(a).__name__} and {type(b).__name__}; "
            "expected both NumPy arrays or both torch tensors: convert one of them"
        )
    if bits is not None:
        return cast(Array, _packed_distance(_packed(a, bits), _packed(b, bits), like=a))
    left, right = _signs(_to_tensor(a)), _signs(_to_tensor(b))
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"codes of {left.shape[1]} and {right.shape[1]} bits cannot be compared; "
            "expected the same number of bits on both sides: encode both with one model"
        )
    # Each equal bit adds 1 to the inner product and each differing bit -1: distance = (K - <a, b>) / 2.
    # Exact in float32, but not in the half precision that an enclosing autocast would choose.
    with torch.autocast(left.device.type, enabled=False):
        inner = left.float() @ right.float().T
    return cast(Array, _to_array(((left.shape[1] - inner) / 2).round().to(torch.int32), a))


def _packed_distance(a: torch.Tensor, b: torch.Tensor, like: Any) -> Any:
    """Population count of XOR, in blocks of rows of `a` so that memory stays small."""
    out = torch.empty(len(a), len(b), dtype=torch.int32, device=a.device)
    rows = max(1, _BLOCK_BYTES // max(1, b.numel()))
    table = torch.from_numpy(_POPCOUNT).to(a.device)
    on_cpu = a.device.type == "cpu"
    for start in range(0, len(a), rows):
        differing = a[start : start + rows, None, :] ^ b[None, :, :]  # (rows, Nb, bytes)
        # NumPy's instruction is several times faster than a table; a GPU has only the table.
        counts = torch.from_numpy(np.bitwise_count(differing.numpy())) if on_cpu else table[differing.int()]
        out[start : start + rows] = counts.sum(dim=2, dtype=torch.int32)
    return _to_array(out, like)


def _signs(values: torch.Tensor) -> torch.Tensor:
    """(N, K) int8 of -1 / +1 from a tensor of either alphabet; the checks of `as_signs`."""
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(
            f"codes of shape {tuple(values.shape)}; expected (N, K), a row of K >= 1 bits each: reshape them"
        )
    if values.dtype == torch.bool:
        return values.to(torch.int8) * 2 - 1
    one, zero = values == 1, values == 0
    # To torch an unsigned 255 equals -1.
    minus = values == -1 if values.dtype.is_signed else torch.zeros_like(one)
    other = ~(one | zero | minus)
    if other.any():
        row, column = (int(i) for i in other.nonzero()[0])
        raise ValueError(
            f"code value {values[row, column].item()!r} at row {row}, bit {column}; "
            "expected -1 / +1 or 0 / 1: binarise the outputs with cscelab.dsf.sign first"
        )
    if minus.any() and zero.any():
        row, column = (int(i) for i in zero.nonzero()[0])
        raise ValueError(
            f"a code value of 0 is half a bit beside -1 (row {row}, bit {column}); "
            "expected -1 / +1 or 0 / 1: settle zeros with cscelab.dsf.sign, which gives 0 one sign"
        )
    return one.to(torch.int8) * 2 - 1


def _packed(packed: Any, bits: int) -> torch.Tensor:
    """Check packed codes: (N, ceil(bits / 8)) uint8 whose filling bits are zero."""
    data = _to_tensor(packed)
    if bits < 1:
        raise ValueError(f"bits={bits}; expected the code length K >= 1: pass the length that was packed")
    expected = -(-bits // BITS_PER_BYTE)
    if data.dtype != torch.uint8 or data.ndim != 2 or data.shape[1] != expected:
        raise ValueError(
            f"packed codes of shape {tuple(data.shape)} of {data.dtype}; expected (N, {expected}) uint8 "
            f"for {bits} bits: pass what pack() returned and the same number of bits"
        )
    filling = expected * BITS_PER_BYTE - bits
    if filling and bool((data[:, -1] & ((1 << filling) - 1)).any()):
        raise ValueError(f"packed codes have bits set past bit {bits}; expected zeros: pass the bits that were packed")
    return data


def _shifts(device: torch.device) -> torch.Tensor:
    return torch.arange(BITS_PER_BYTE - 1, -1, -1, dtype=torch.uint8, device=device)


def _to_tensor(values: Any) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        tensor = values.detach()
    elif isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        # Torch lacks long double, reads no byte-swapped and no negative-stride array.
        plain = values.astype(np.float64) if values.dtype.itemsize > 8 else values
        plain = np.ascontiguousarray(plain.astype(plain.dtype.newbyteorder("="), copy=False))
        tensor = torch.from_numpy(plain if plain.flags.writeable else plain.copy())
    else:
        kind = f"{type(values).__name__}" + (f" of {values.dtype}" if isinstance(values, np.ndarray) else "")
        raise TypeError(f"codes are a {kind}; expected a numeric NumPy array or torch tensor: convert them")
    if tensor.is_complex():
        raise TypeError(f"codes are {tensor.dtype}; expected real numbers: binarise them first")
    return tensor


def _to_array(tensor: torch.Tensor, like: Any) -> Any:
    """Answer in the family of the question."""
    return tensor if isinstance(like, torch.Tensor) else tensor.numpy()

"""Ordinal codes: a code is R symbols, each the place of the largest of its group's k values, no bit a sign.

Yagnik et al. (ICCV 2011) rank random projections so, Jin et al. (Deep Ordinal Hashing, arXiv 1805.02459) learned ones.
Written one-hot, k bits a symbol, a code is searched as any other: the Hamming distance of two such codes is twice the
number of symbols in which they differ. What a code tells is R log2(k) bits, and as bare symbols it takes no more.

Shapes: B images, R groups of k values. k = 2 is the sign of a difference: symbol 0 where h_1 > h_2, else 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cscelab.codes import Array, as_signs, pack, unpack
from cscelab.layout import CodeLayout, bits_of_symbol


def symbols_of(values: Tensor, arity: int) -> Tensor:
    """b^r = argmax(h^r), int64 (B, R), 0 to k - 1. values h (B, R k).

    Of several largest values the last counts, so that k = 2 is the sign of a difference of 0 too (-1, symbol 1).
    """
    return arity - 1 - grouped(values, arity).flip(2).argmax(dim=2)


def one_hot_codes(symbols: Tensor, arity: int) -> Tensor:
    """Symbols (B, R) -> codes (B, R k) int8 of -1 / +1, one +1 in each group. Raises ValueError for other symbols."""
    _check_symbols(symbols, arity)
    choices = torch.arange(arity, device=symbols.device)
    return ((symbols.unsqueeze(2) == choices).to(torch.int8) * 2 - 1).flatten(1)


def read_one_hot(codes: Array, arity: int) -> Tensor:
    """Undo `one_hot_codes`: codes (N, R k) as for `codes.as_signs` -> int64 (N, R).

    Raises ValueError for codes of another width, and where a group has not exactly one +1.
    """
    signs = torch.as_tensor(as_signs(codes))
    if signs.shape[1] % arity:
        raise ValueError(f"codes of shape {tuple(signs.shape)}; expected (N, R * {arity}), groups of {arity}")
    chosen = grouped(signs, arity) > 0
    n_chosen = chosen.sum(dim=2)
    if (n_chosen != 1).any():
        row, group = (int(i) for i in (n_chosen != 1).nonzero()[0])
        raise ValueError(
            f"code {row} has {int(n_chosen[row, group])} bits of +1 in group {group} of {arity}; expected exactly one: "
            "give one-hot codes of this arity"
        )
    return chosen.to(torch.uint8).argmax(dim=2)


def pack_symbols(symbols: Tensor, arity: int) -> Tensor:
    """Symbols (N, R) -> uint8 (N, ceil(R log2(k) / 8)), the highest bit of the first symbol first: the smallest form.

    For keeping, not for searching: the Hamming distance of these bytes counts no symbols. Raises ValueError for
    symbols that are not below k, and for a k that is no power of two.
    """
    _check_symbols(symbols, arity)
    places = torch.arange(bits_of_symbol(arity) - 1, -1, -1, device=symbols.device)
    return pack(((symbols.unsqueeze(2) >> places) & 1).to(torch.uint8).flatten(1))


def unpack_symbols(packed: Tensor, layout: CodeLayout) -> Tensor:
    """Undo `pack_symbols`: int64 (N, R). Raises ValueError for bytes that are not of this layout."""
    if layout.arity is None:
        raise ValueError("the layout has no arity: plain bits are no symbols; use codes.unpack")
    ones = (unpack(packed, layout.bits) > 0).unflatten(1, (layout.n_symbols, layout.symbol_bits))
    places = torch.arange(layout.symbol_bits - 1, -1, -1, device=packed.device)
    return (ones.long() << places).sum(dim=2)


def differing_symbols(a: Tensor, b: Tensor) -> Tensor:
    """Number of groups in which symbols (Na, R) and (Nb, R) differ, int64 (Na, Nb)."""
    return (a[:, None] != b[None]).sum(dim=2)


def grouped(values: Tensor, arity: int) -> Tensor:
    """(B, R k) -> (B, R, k). Raises ValueError where the columns are no whole number of groups."""
    if values.ndim != 2 or values.shape[1] % arity:
        raise ValueError(f"values of shape {tuple(values.shape)}; expected (B, R * {arity}), groups of {arity}")
    return values.unflatten(1, (-1, arity))


def centred(values: Tensor, arity: int) -> Tensor:
    """Values (B, R k) less the mean of their group: what is added to all of a group changes no ranking in it. In
    float32 at least."""
    groups = _single(grouped(values, arity))
    return (groups - groups.mean(dim=2, keepdim=True)).flatten(1)


def relaxed(values: Tensor, arity: int, beta: float) -> Tensor:
    """softmax(beta h^r) in each group, (B, R k): the one-hot symbol as beta grows. In float32 at least."""
    groups = _single(grouped(values, arity))
    return (beta * groups).softmax(dim=2).flatten(1)


def agreement(codes: Tensor, relaxed_codes: Tensor, arity: int) -> Tensor:
    """(1 / R) sum_r <b_i^r, p_j^r>, (A, B): the share of groups in which two images agree, 0 to 1.

    codes: one-hot -1 / +1 (A, R k); relaxed_codes p (B, R k), see `relaxed`. Of two codes it is exact.
    """
    return (codes > 0).to(relaxed_codes) @ relaxed_codes.T / (codes.shape[1] // arity)


def sign_agreement(codes: Tensor, squashed: Tensor) -> Tensor:
    """The same of plain bits, (A, B): (1 + <b_i, t_j> / K) / 2. codes b -1 / +1 (A, K); squashed t (B, K) in [-1, 1].

    With t = tanh(beta v) it is `agreement` for k = 2 of the values (v, -v): softmax of a pair is a sigmoid.
    """
    return (1 + codes.to(squashed) @ squashed.T / codes.shape[1]) / 2


def _single(values: Tensor) -> Tensor:
    """In float32 at least: half precision would round different values to the same."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _check_symbols(symbols: Tensor, arity: int) -> None:
    if symbols.ndim != 2 or symbols.dtype.is_floating_point or ((symbols < 0) | (symbols >= arity)).any():
        raise ValueError(
            f"symbols of shape {tuple(symbols.shape)} of {symbols.dtype}; expected whole numbers (N, R) from 0 to "
            f"{arity - 1}: check the arity"
        )

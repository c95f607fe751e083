"""Codes: packing, unpacking and Hamming distances against hand-worked values and a bit-by-bit count."""

import numpy as np
import pytest
import torch

from cscelab.codes import as_signs, hamming_distance, pack, unpack

torch.set_num_threads(1)

LENGTHS = [1, 2, 7, 8, 9, 12, 16, 24, 31, 48, 64, 100]


def random_signs(n, bits, seed=0):
    return np.random.default_rng(seed).integers(2, size=(n, bits)).astype(np.int8) * 2 - 1


def counted(a, b):
    """Bit by bit, pair by pair."""
    return np.array([[sum(int(x != y) for x, y in zip(u, v, strict=True)) for v in b] for u in a])


def test_pack_worked_by_hand():
    codes = np.array([[1, -1, -1, -1, -1, -1, -1, 1, 1, -1], [-1] * 9 + [1]])
    np.testing.assert_array_equal(pack(codes), [[0b10000001, 0b10000000], [0, 0b01000000]])


def test_distance_worked_by_hand():
    a = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1]])
    b = torch.tensor([[1, 1, 1, 1], [-1, -1, -1, -1], [-1, -1, 1, -1]])
    assert hamming_distance(a, b).tolist() == [[0, 4, 3], [2, 2, 1]]


@pytest.mark.parametrize("bits", LENGTHS)
def test_pack_agrees_with_numpy_and_unpack_undoes_it(bits):
    signs = random_signs(13, bits)
    packed = pack(signs)
    assert packed.shape == (13, -(-bits // 8))
    np.testing.assert_array_equal(packed, np.packbits(signs > 0, axis=1))
    unpacked = unpack(packed, bits)
    assert unpacked.dtype == np.int8
    np.testing.assert_array_equal(unpacked, signs)


@pytest.mark.parametrize("bits", LENGTHS)
def test_distance_counts_differing_bits_packed_or_not(bits):
    a, b = random_signs(6, bits, seed=1), random_signs(9, bits, seed=2)
    expected = counted(a, b)
    np.testing.assert_array_equal(hamming_distance(a, b), expected)
    np.testing.assert_array_equal(hamming_distance(pack(a), pack(b), bits=bits), expected)
    tensors = torch.from_numpy(a), torch.from_numpy(b)
    np.testing.assert_array_equal(hamming_distance(*tensors).numpy(), expected)
    np.testing.assert_array_equal(hamming_distance(*map(pack, tensors), bits=bits).numpy(), expected)


def test_packed_distance_in_blocks_equals_the_whole(monkeypatch):
    a, b = pack(random_signs(23, 24, seed=3)), pack(random_signs(17, 24, seed=4))
    whole = hamming_distance(a, b, bits=24)
    monkeypatch.setattr("cscelab.codes._BLOCK_BYTES", 150)  # two rows at a time, and a last block of one
    np.testing.assert_array_equal(hamming_distance(a, b, bits=24), whole)


def test_distance_is_a_metric():
    codes = random_signs(20, 12, seed=5)
    distance = hamming_distance(codes, codes).astype(int)
    assert (np.diag(distance) == 0).all()
    np.testing.assert_array_equal(distance, distance.T)
    assert (distance[:, None, :] <= distance[:, :, None] + distance[None, :, :]).all()
    np.testing.assert_array_equal(hamming_distance(codes, -codes), 12 - distance)


def test_distance_is_exact_inside_autocast():
    a, b = torch.ones(1, 1000), torch.ones(1, 1000)
    b[0, 0] = -1  # <a, b> = 998 is not a bfloat16 number
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert hamming_distance(a, b).item() == 1


ALPHABETS = [
    *(np.dtype(t) for t in ("bool", "u1", "u2", "u8", "i1", "i8", "f2", "f4", "f8", ">f4", "longdouble")),
    *(torch.bool, torch.uint8, torch.int8, torch.int64, torch.float16, torch.bfloat16, torch.float64),
]


@pytest.mark.parametrize("dtype", ALPHABETS, ids=str)
def test_any_type_and_both_alphabets_give_the_same_signs(dtype):
    signs = random_signs(5, 12)
    zeros_and_ones = (signs + 1) // 2
    if isinstance(dtype, np.dtype):
        written = [zeros_and_ones.astype(dtype)] + ([signs.astype(dtype)] if dtype.kind in "if" else [])
        family = np.ndarray
    else:
        signed = dtype.is_signed and dtype != torch.bool
        written = [torch.from_numpy(c).to(dtype) for c in [zeros_and_ones] + ([signs] if signed else [])]
        family = torch.Tensor
    for codes in written:
        for result in (as_signs(codes), pack(codes), unpack(pack(codes), 12), hamming_distance(codes, codes)):
            assert isinstance(result, family)
        np.testing.assert_array_equal(np.asarray(as_signs(codes)), signs)


def test_views_and_read_only_arrays_are_read_and_left_alone():
    signs = random_signs(4, 10)
    view = signs[::-1, ::2]
    view.flags.writeable = False
    before = signs.copy()
    np.testing.assert_array_equal(as_signs(view), before[::-1, ::2])
    as_signs(signs)[:] = 0
    np.testing.assert_array_equal(signs, before)


def test_no_codes_have_no_distances():
    assert hamming_distance(np.ones((0, 8)), np.ones((3, 8))).shape == (0, 3)
    assert hamming_distance(torch.ones(3, 1).byte(), torch.ones(0, 1).byte(), bits=8).shape == (3, 0)
    assert pack(np.ones((0, 12))).shape == (0, 2)


@pytest.mark.parametrize("function", [as_signs, pack, lambda codes: hamming_distance(codes, codes)])
@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([[1.0, 0.0], [1.0, -1.0]], r"a code value of 0 is half a bit beside -1 \(row 0, bit 1\)"),
        ([[1.0, float("nan")]], "code value nan at row 0, bit 1"),
        ([[1.0, 0.5]], "code value 0.5 at row 0, bit 1"),
        ([[1.0, -2.0]], "code value -2.0 at row 0, bit 1"),
        ([[1.0, float("inf")]], "code value inf"),
        ([1.0, -1.0], r"shape \(2,\); expected \(N, K\)"),
        ([[[1.0]]], r"shape \(1, 1, 1\); expected \(N, K\)"),
        ([[], []], r"shape \(2, 0\); expected \(N, K\)"),
    ],
)
def test_malformed_codes_are_named(function, codes, message):
    for made in (np.array(codes), torch.tensor(codes)):
        with pytest.raises(ValueError, match=message):
            function(made)


def test_an_unsigned_255_is_not_minus_one():
    for codes in (np.array([[1, 255]], dtype=np.uint8), torch.tensor([[1, 255]], dtype=torch.uint8)):
        with pytest.raises(ValueError, match="code value 255"):
            as_signs(codes)


def test_codes_of_different_lengths_cannot_be_compared():
    with pytest.raises(ValueError, match="codes of 16 and 32 bits"):
        hamming_distance(np.ones((2, 16)), np.ones((2, 32)))
    with pytest.raises(ValueError, match=r"expected \(N, 2\) uint8 for 16 bits"):
        hamming_distance(np.ones((2, 2), np.uint8), np.ones((2, 4), np.uint8), bits=16)


def test_packed_codes_are_checked():
    with pytest.raises(ValueError, match=r"expected \(N, 2\) uint8 for 12 bits"):
        unpack(np.ones((2, 2), dtype=np.int64), 12)
    with pytest.raises(ValueError, match="bits set past bit 12"):
        unpack(np.full((1, 2), 255, dtype=np.uint8), 12)
    with pytest.raises(ValueError, match=r"bits=0; expected the code length"):
        unpack(np.ones((1, 0), dtype=np.uint8), 0)


def test_families_and_types_that_are_no_codes():
    with pytest.raises(TypeError, match="two families, ndarray and Tensor"):
        hamming_distance(np.ones((1, 4)), torch.ones(1, 4))
    for codes in ([[1, -1]], np.array([["+", "-"]]), np.ones((1, 2), dtype=complex), torch.ones(1, 2) + 0j):
        with pytest.raises(TypeError, match="codes are"):
            as_signs(codes)

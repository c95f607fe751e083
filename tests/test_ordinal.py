"""Ordinal codes: k = 2 is a sign, distances count symbols, packing, relaxation, and what is refused."""

import numpy as np
import pytest
import torch

from cscelab.codes import hamming_distance, pack
from cscelab.dsf import sign
from cscelab.evaluate import mean_average_precision
from cscelab.layout import HAMMING_PER_SYMBOL, CodeLayout
from cscelab.ordinal import (
    agreement,
    centred,
    differing_symbols,
    grouped,
    one_hot_codes,
    pack_symbols,
    read_one_hot,
    relaxed,
    sign_agreement,
    symbols_of,
    unpack_symbols,
)

ARITIES = (2, 4, 8, 16)
of_arities = pytest.mark.parametrize("arity", ARITIES)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_values(n: int, n_groups: int, arity: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, n_groups * arity, generator=seeded(seed))


def random_symbols(n: int, n_groups: int, arity: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(arity, (n, n_groups), generator=seeded(seed))


def counted(a: torch.Tensor, b: torch.Tensor) -> list[list[int]]:
    """Differing symbols, pair by pair and symbol by symbol."""
    return [[sum(x != y for x, y in zip(u, v, strict=True)) for v in b.tolist()] for u in a.tolist()]


class TestSymbols:
    def test_by_hand(self):
        values = torch.tensor([[0.1, 0.9, -3.0, 0.2, -1.0, -2.0, -0.5, -4.0]])
        assert symbols_of(values, 4).tolist() == [[1, 2]]
        assert one_hot_codes(symbols_of(values, 4), 4).tolist() == [[-1, 1, -1, -1, -1, -1, 1, -1]]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
    def test_two_values_are_the_sign_of_their_difference_and_ties_too(self, dtype):
        drawn = random_values(300, 16, 2).mul(4).round().div(4).to(dtype)  # quarters: one pair in six is a tie
        groups = grouped(drawn, 2)
        assert 300 < (groups[..., 0] == groups[..., 1]).sum() < 1500
        expected = sign(groups[..., 0] - groups[..., 1])
        symbols = symbols_of(drawn, 2)
        assert torch.equal(1 - 2 * symbols, expected.long())  # symbol 0 is +1, symbol 1 is -1
        assert torch.equal(symbols == 0, expected > 0)
        codes = one_hot_codes(symbols, 2).unflatten(1, (16, 2))
        assert torch.equal(codes[..., 0], expected.to(torch.int8))
        assert torch.equal(codes[..., 1], -expected.to(torch.int8))

    def test_two_values_one_step_of_float_apart_and_signed_zeros(self):
        a = torch.tensor([1.0, 1e-40, -7.5, 3e38])  # 1e-40 is subnormal
        above = torch.nextafter(a, torch.full_like(a, torch.inf))
        values = torch.stack([torch.cat([above, a]), torch.cat([a, above])], dim=1)
        values = torch.cat([values, torch.tensor([[0.0, -0.0], [-0.0, 0.0]])])
        expected = [0] * 4 + [1] * 4 + [1, 1]
        assert symbols_of(values, 2).flatten().tolist() == expected
        assert symbols_of(centred(values[[0, 1, 2, 4, 5, 6, 8, 9]], 2), 2).flatten().tolist() == [
            0,
            0,
            0,
            1,
            1,
            1,
            1,
            1,
        ]

    def test_distances_of_pairs_are_those_of_signs(self):
        values = random_values(20, 12, 2)
        groups = grouped(values, 2)
        plain = hamming_distance(*[sign(groups[..., 0] - groups[..., 1])] * 2)
        codes = one_hot_codes(symbols_of(values, 2), 2)
        assert torch.equal(hamming_distance(codes, codes), 2 * plain)

    def test_of_several_largest_the_last_counts(self):
        values = torch.tensor([[1.0, 5.0, 5.0, 2.0, 0.0, 0.0, 0.0, 0.0]])
        assert symbols_of(values, 4).tolist() == [[2, 3]]

    @of_arities
    def test_other_scales_and_added_numbers_change_no_symbol(self, arity):
        values = random_values(50, 6, arity).double()
        expected = values.view(50, 6, arity).argmax(dim=2)
        assert torch.equal(symbols_of(values, arity), expected)
        assert torch.equal(symbols_of(values.exp(), arity), expected)  # any rising function
        shifts = random_values(50, 6, 1, 1).double().repeat_interleave(arity, dim=1)
        assert torch.equal(symbols_of(7 * values + shifts, arity), expected)

    @of_arities
    def test_permuting_the_values_of_a_group_changes_no_distance_and_no_ranking(self, arity):
        values, labels = random_values(60, 7, arity), random_symbols(60, 1, 4, 1).flatten().numpy()
        orders = torch.stack([torch.randperm(arity, generator=seeded(group)) for group in range(7)])
        permuted = grouped(values, arity).gather(2, orders.expand(60, -1, -1)).flatten(1)
        plain, other = (one_hot_codes(symbols_of(each, arity), arity).numpy() for each in (values, permuted))
        assert (plain != other).any()
        before, after = (hamming_distance(codes[:10], codes[10:]) for codes in (plain, other))
        np.testing.assert_array_equal(before, after)
        assert len(np.unique(before)) > 2
        maps = [
            mean_average_precision(codes[:10], labels[:10], codes[10:], labels[10:], ties=ties)
            for codes in (plain, other)
            for ties in ("expected", "index")
        ]
        assert maps[:2] == maps[2:]
        assert 0 < maps[0] < 1

    def test_bad_shapes_and_symbols_are_refused(self):
        for values in (torch.zeros(2, 6), torch.zeros(8), torch.zeros(2, 2, 4)):
            with pytest.raises(ValueError, match=r"values of shape .*; expected \(B, R \* 4\), groups of 4"):
                symbols_of(values, 4)
        for symbols in (torch.tensor([[0, 4]]), torch.tensor([[-1, 0]]), torch.zeros(1, 2), torch.tensor([1, 2])):
            for function in (one_hot_codes, pack_symbols):
                with pytest.raises(
                    ValueError, match=r"symbols of shape .*; expected whole numbers \(N, R\) from 0 to 3"
                ):
                    function(symbols, 4)


class TestDistances:
    @of_arities
    @pytest.mark.parametrize("n_groups", [1, 5, 16])
    def test_hamming_distance_is_twice_the_differing_symbols(self, arity, n_groups):
        a, b = random_symbols(9, n_groups, arity), random_symbols(11, n_groups, arity, 1)
        expected = counted(a, b)
        assert differing_symbols(a, b).tolist() == expected
        assert max(map(max, expected)) > 0
        doubled = HAMMING_PER_SYMBOL * np.array(expected)
        codes, width = [one_hot_codes(side, arity) for side in (a, b)], n_groups * arity
        arrays = [side.numpy() for side in codes]
        np.testing.assert_array_equal(hamming_distance(*codes).numpy(), doubled)
        np.testing.assert_array_equal(hamming_distance(*map(pack, codes), bits=width).numpy(), doubled)
        np.testing.assert_array_equal(hamming_distance(*arrays), doubled)
        np.testing.assert_array_equal(hamming_distance(*map(pack, arrays), bits=width), doubled)

    @of_arities
    def test_agreement_of_two_codes_is_the_share_of_equal_symbols(self, arity):
        a, b = random_symbols(9, 6, arity), random_symbols(11, 6, arity, 1)
        hard = (one_hot_codes(b, arity) > 0).double()
        found = agreement(one_hot_codes(a, arity), hard, arity)
        torch.testing.assert_close(found, 1 - torch.tensor(counted(a, b), dtype=torch.float64) / 6, atol=1e-15, rtol=0)


class TestOneHot:
    @of_arities
    @pytest.mark.parametrize("n", [0, 7])
    def test_reading_undoes_writing_in_either_alphabet_and_family(self, arity, n):
        symbols = random_symbols(n, 5, arity)
        codes = one_hot_codes(symbols, arity)
        assert codes.dtype == torch.int8
        assert codes.shape == (n, 5 * arity)
        for written in (codes, codes.float(), codes > 0, (codes > 0).to(torch.uint8), codes.numpy()):
            assert torch.equal(read_one_hot(written, arity), symbols)

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (
                [-1, -1, -1, -1],
                "code 1 has 0 bits of .1 in group 1 of 4; expected exactly one: give one-hot codes of",
            ),
            ([1, -1, 1, -1], "code 1 has 2 bits of .1 in group 1 of 4; expected exactly one"),
            ([1, 1, 1, 1], "code 1 has 4 bits of .1 in group 1 of 4; expected exactly one"),
            ([1, 0, 0, 0], "a code value of 0 is half a bit beside -1"),
            ([1, 2, -1, -1], "code value 2.*expected -1 / .1"),
            ([1, float("nan"), -1, -1], "code value nan"),
        ],
    )
    def test_codes_that_are_not_one_hot_are_refused(self, code, message):
        codes = torch.tensor([[1, -1, -1, -1, -1, 1, -1, -1], [-1, 1, -1, -1, *code]])
        for each in (codes, codes.numpy()):
            with pytest.raises(ValueError, match=message):
                read_one_hot(each, 4)

    def test_codes_of_another_width_or_arity_are_refused(self):
        codes = one_hot_codes(random_symbols(5, 3, 4), 4)
        with pytest.raises(ValueError, match=r"codes of shape \(5, 11\); expected \(N, R \* 4\), groups of 4"):
            read_one_hot(codes[:, :11], 4)
        with pytest.raises(ValueError, match=r"codes of shape \(12,\); expected \(N, K\)"):
            read_one_hot(codes[0], 4)
        with pytest.raises(ValueError, match="expected exactly one"):
            read_one_hot(codes, 2)  # of a group of four, one pair has no +1


class TestPacking:
    def test_by_hand(self):
        # 3 is 11, 0 is 00, 2 is 10, 1 is 01; a byte, then the second filled with zeros.
        assert pack_symbols(torch.tensor([[3, 0, 2, 1, 2]]), 4).tolist() == [[0b11001001, 0b10000000]]
        assert pack_symbols(torch.tensor([[5, 6, 1]]), 8).tolist() == [[0b10111000, 0b10000000]]

    @of_arities
    @pytest.mark.parametrize("n_groups", [1, 2, 3, 5, 8, 13, 16])
    @pytest.mark.parametrize("n", [0, 6])
    def test_unpacking_undoes_it_in_the_fewest_bytes(self, arity, n_groups, n):
        symbols = random_symbols(n, n_groups, arity)
        layout = CodeLayout(n_groups * (arity.bit_length() - 1), arity)
        packed = pack_symbols(symbols, arity)
        assert packed.dtype == torch.uint8
        assert packed.shape == (n, layout.packed_bytes)
        assert layout.packed_bytes == int(np.ceil(n_groups * np.log2(arity) / 8))
        assert layout.stored_bytes == pack(one_hot_codes(symbols, arity)).shape[1]
        assert torch.equal(unpack_symbols(packed, layout), symbols)

    def test_every_symbol_is_told_apart(self):
        for arity in ARITIES:
            packed = pack_symbols(torch.arange(arity)[:, None], arity)
            assert len(packed.unique(dim=0)) == arity

    @pytest.mark.parametrize("arity", [1, 3, 6])
    def test_groups_that_fill_no_whole_number_of_bits_are_refused(self, arity):
        with pytest.raises(ValueError, match=f"groups of {arity} values were asked for; give a power of two"):
            pack_symbols(torch.zeros(2, 4, dtype=torch.int64), arity)

    def test_bytes_of_another_layout_are_refused(self):
        packed = pack_symbols(random_symbols(3, 5, 4), 4)
        with pytest.raises(ValueError, match=r"packed codes of shape \(3, 2\).*expected \(N, 3\) uint8 for 20 bits"):
            unpack_symbols(packed, CodeLayout(20, 4))
        with pytest.raises(ValueError, match="the layout has no arity: plain bits are no symbols; use codes.unpack"):
            unpack_symbols(packed, CodeLayout(10))


class TestLayout:
    @pytest.mark.parametrize(
        ("bits", "arity", "n_symbols", "width", "stored", "packed", "text"),
        [
            (32, 4, 16, 64, 8, 4, "32 bits (16 symbols of 4)"),
            (32, 2, 32, 64, 8, 4, "32 bits (32 symbols of 2)"),
            (24, 8, 8, 64, 8, 3, "24 bits (8 symbols of 8)"),
            (48, 8, 16, 128, 16, 6, "48 bits (16 symbols of 8)"),
            (32, 16, 8, 128, 16, 4, "32 bits (8 symbols of 16)"),
            (12, 8, 4, 32, 4, 2, "12 bits (4 symbols of 8)"),
            (6, 4, 3, 12, 2, 1, "6 bits (3 symbols of 4)"),
        ],
    )
    def test_by_hand(self, bits, arity, n_symbols, width, stored, packed, text):
        layout = CodeLayout(bits, arity)
        assert (layout.bits, layout.n_symbols, layout.width) == (bits, n_symbols, width)
        assert (layout.stored_bytes, layout.packed_bytes) == (stored, packed)
        assert (layout.unit, layout.hamming_per_unit, str(layout)) == ("symbols", 2, text)

    @pytest.mark.parametrize(("bits", "n_bytes"), [(12, 2), (16, 2), (33, 5)])
    def test_plain_bits_are_as_wide_as_they_are(self, bits, n_bytes):
        layout = CodeLayout(bits)
        assert (layout.bits, layout.n_symbols, layout.width, layout.symbol_bits) == (bits, bits, bits, 1)
        assert (layout.stored_bytes, layout.packed_bytes) == (n_bytes, n_bytes)
        assert (layout.unit, layout.hamming_per_unit, str(layout)) == ("bits", 1, f"{bits} bits")

    @pytest.mark.parametrize(
        ("bits", "arity", "n", "instead"),
        [(32, 8, 3, 30), (16, 8, 3, 15), (64, 8, 3, 63), (33, 4, 2, 32), (1, 8, 3, 3)],
    )
    def test_bits_that_are_no_whole_number_of_symbols_are_refused(self, bits, arity, n, instead):
        message = (
            rf"^{bits} bits are no whole number of symbols of {n} bits \(groups of {arity}\); give a multiple of {n}, "
            f"as {instead}, or another arity$"
        )
        with pytest.raises(ValueError, match=message):
            CodeLayout(bits, arity)
        assert CodeLayout(instead, arity).bits == instead

    @pytest.mark.parametrize("arity", [-4, 0, 1, 3, 6, 12])
    def test_groups_of_no_power_of_two_are_refused(self, arity):
        with pytest.raises(ValueError, match=f"^groups of {arity} values were asked for; give a power of two, as 2, 4"):
            CodeLayout(24, arity)


class TestRelaxation:
    @of_arities
    def test_it_is_the_softmax_of_each_group(self, arity):
        values = random_values(5, 3, arity).double()
        found = relaxed(values, arity, 2.5).view(5, 3, arity)
        for image in range(5):
            for group in range(3):
                own = np.exp(2.5 * values[image, group * arity : (group + 1) * arity].numpy())
                np.testing.assert_allclose(found[image, group], own / own.sum(), rtol=1e-12)

    @of_arities
    def test_it_becomes_the_one_hot_code_as_beta_grows(self, arity):
        values = random_values(40, 6, arity).double()
        hard = (one_hot_codes(symbols_of(values, arity), arity) > 0).double()
        gaps = [float((relaxed(values, arity, beta) - hard).abs().mean()) for beta in (0.1, 1, 10, 100, 1e4)]
        assert gaps == sorted(gaps, reverse=True)
        assert gaps[0] > 5 * gaps[2] > 0
        torch.testing.assert_close(relaxed(values, arity, 1e7), hard)

    @of_arities
    def test_centring_changes_no_symbol_and_no_relaxed_value(self, arity):
        values = random_values(40, 6, arity).double() + 3
        found = centred(values, arity)
        groups = values.view(40, 6, arity)
        torch.testing.assert_close(found.view(40, 6, arity), groups - groups.sum(dim=2, keepdim=True) / arity)
        torch.testing.assert_close(grouped(found, arity).sum(dim=2), torch.zeros(40, 6).double(), atol=1e-12, rtol=0)
        assert not torch.allclose(found, values)
        assert torch.equal(symbols_of(found, arity), symbols_of(values, arity))
        torch.testing.assert_close(relaxed(found, arity, 3.0), relaxed(values, arity, 3.0), atol=1e-13, rtol=0)

    def test_half_precision_is_relaxed_in_single(self):
        values = random_values(20, 4, 4).bfloat16()
        found = relaxed(values, 4, 10.0)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, relaxed(values.float(), 4, 10.0))
        assert relaxed(values.double(), 4, 10.0).dtype == torch.float64
        torch.testing.assert_close(grouped(found, 4).sum(dim=2), torch.ones(20, 4))

    def test_large_values_stay_finite(self):
        values = torch.tensor([[3e4, -3e4, 0.0, 3e4]]).requires_grad_()
        found = relaxed(values, 4, 10.0)
        assert found.tolist() == [[0.5, 0, 0, 0.5]]
        found[0, 0].backward()
        assert values.grad.isfinite().all()

    def test_autocast_rounds_neither_symbols_nor_agreement_of_codes(self):
        """Shares of 1 / R are not all numbers of bfloat16, but counts up to 256 are."""
        symbols = random_symbols(30, 64, 4)
        codes = one_hot_codes(symbols, 4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            counts = 64 * agreement(codes, (codes > 0).float(), 4)
            assert torch.equal(symbols_of(codes.float(), 4), symbols)
            assert relaxed(codes.float(), 4, 2.0).dtype == torch.float32
        assert torch.equal(counts.long(), 64 - differing_symbols(symbols, symbols))


class TestAgreement:
    @of_arities
    def test_it_is_the_mean_over_groups_of_the_chosen_relaxed_value(self, arity):
        values = random_values(7, 5, arity).double()
        symbols, soft = symbols_of(values, arity), relaxed(values, arity, 1.5)
        found = agreement(one_hot_codes(symbols, arity), soft, arity)
        for i in range(7):
            for j in range(7):
                chosen = [float(soft[j, group * arity + int(symbols[i, group])]) for group in range(5)]
                assert float(found[i, j]) == pytest.approx(sum(chosen) / 5, rel=1e-12)
        assert not torch.allclose(found, found.T)

    @pytest.mark.parametrize("beta", [0.3, 1.0, 10.0])
    def test_signs_are_pairs_of_a_value_and_its_negative(self, beta):
        """Value and gradient; softmax of (v, -v) at beta is the sigmoid of 2 beta v, and tanh is 2 sigmoid - 1."""
        drawn, wanted = random_values(8, 12, 1), torch.rand(8, 8, generator=seeded(4))
        found, gradients = [], []
        for as_pairs in (True, False):
            values = drawn.clone().requires_grad_()
            if as_pairs:
                pairs = torch.stack([values, -values], dim=2).flatten(1)
                codes = one_hot_codes(symbols_of(pairs.detach(), 2), 2)
                agreements = agreement(codes, relaxed(pairs, 2, beta), 2)
            else:
                agreements = sign_agreement(sign(values.detach()), (beta * values).tanh())
            (agreements - wanted).square().sum().backward()
            found.append(agreements.detach())
            gradients.append(values.grad)
        torch.testing.assert_close(*found, atol=1e-6, rtol=0)
        torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-5)
        assert gradients[0].abs().max() > 0.01

    def test_of_two_sign_codes_it_is_the_share_of_equal_bits(self):
        a, b = (sign(random_values(n, 12, 1, n)) for n in (4, 6))
        expected = 1 - hamming_distance(a, b).double() / 12
        torch.testing.assert_close(sign_agreement(a, b.double()), expected)
        torch.testing.assert_close(sign_agreement(a.to(torch.int8), b), expected.float())

"""The asymmetric objective and its code step: by hand, by naive loops, and never rising, for any U, S and V.

Values are multiples of 1/8 where a test says "never": sums of these are exact in float64, so no tolerance is needed.
"""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import alike
from torch import Tensor

from cscelab import asymmetric
from cscelab.asymmetric import (
    code_objective,
    code_step,
    count_pairs,
    label_pull,
    label_pull_by_blocks,
    negative_weight,
    pair_errors,
    targets,
)

SEEDS = st.integers(0, 10**6)
KINDS = pytest.mark.parametrize("kind", ["class ids", "multi-hot"])


def draw_codes(n: int, bits: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.randint(0, 2, (n, bits), generator=generator).double() - 1


def draw_eighths(*shape: int, most: int, generator: torch.Generator) -> Tensor:
    """Multiples of 1/8 from -most to most, a third of them 0."""
    values = torch.randint(-8 * most, 8 * most + 1, shape, generator=generator).double() / 8
    return values * (torch.rand(shape, generator=generator) > 1 / 3)


def draw_labels(kind: str, n: int, generator: torch.Generator, n_classes: int = 4) -> Tensor:
    """Class ids, or multi-hot labels among which are images of no class."""
    if kind == "class ids":
        return torch.randint(0, n_classes, (n,), generator=generator)
    return (torch.rand(n, n_classes, generator=generator) < 0.3).to(torch.uint8)


def exact_problem(seed: int, n: int, m: int, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """V, U and a pull that need come from no labels."""
    generator = torch.Generator().manual_seed(seed)
    values = draw_eighths(m, bits, most=1, generator=generator)
    return draw_codes(n, bits, generator), values, draw_eighths(n, bits, most=4 * m, generator=generator)


def looped_counts(labels: Tensor, database_labels: Tensor) -> tuple[int, int]:
    both = torch.cat([labels, database_labels])
    pairs = [alike(both, i, len(labels) + j) for i in range(len(labels)) for j in range(len(database_labels))]
    return sum(pairs), len(pairs) - sum(pairs)


def looped_targets(labels: Tensor, database_labels: Tensor, weight: float) -> Tensor:
    both, m = torch.cat([labels, database_labels]), len(labels)
    rows = [[1.0 if alike(both, i, m + j) else -weight for j in range(len(database_labels))] for i in range(m)]
    return torch.tensor(rows, dtype=torch.float64)


def looped_errors(values: Tensor, codes: Tensor, wanted: Tensor) -> list[list[float]]:
    """(u_i . v_j - K S_ij)^2, one product at a time."""
    bits = values.shape[1]
    return [
        [
            (sum(u * v for u, v in zip(value, code, strict=True)) - bits * float(wanted[i, j])) ** 2
            for j, code in enumerate(codes.tolist())
        ]
        for i, value in enumerate(values.tolist())
    ]


def looped_sum(values: Tensor, codes: Tensor, wanted: Tensor) -> float:
    return sum(map(sum, looped_errors(values, codes, wanted)))


class TestSmallMatrix:
    """Two images of classes 0 and 1, three of the database of classes 0, 1, 0, two bits."""

    U = torch.tensor([[1.0, 0.5], [0.0, 1.0]])
    V = torch.tensor([[-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    LABELS, DATABASE = torch.tensor([0, 1]), torch.tensor([0, 1, 0])
    S = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])  # three alike, three not: r = 1
    PULL = torch.tensor([[2.0, -1.0], [-2.0, 1.0], [2.0, -1.0]])  # 2 (u_0 - u_1), and the reverse

    def test_targets_and_pull(self):
        assert count_pairs(self.LABELS, self.DATABASE) == (3, 3)
        assert negative_weight(self.LABELS, self.DATABASE) == 1
        assert targets(self.LABELS, self.DATABASE, 1.0).equal(self.S)
        assert label_pull(self.U, self.LABELS, self.DATABASE, 1.0).equal(self.PULL)

    def test_errors_and_objective(self):
        # u_0 . v = -.5, 1.5, .5 against 2, -2, 2; u_1 . v = 1, 1, -1 against -2, 2, -2.
        assert pair_errors(self.U, self.V, self.S).tolist() == [[6.25, 12.25, 2.25], [9, 1, 1]]
        assert code_objective(self.V, self.U, self.PULL).item() == 31.75 - 4 * 6  # less K^2 |S|^2

    def test_step(self):
        # u's columns have the product 1/2. Bit 1: 2 - .5, -2 - .5, 2 + .5. Bit 2, by the new bit 1: -1 - .5, 1 + .5,
        # -1 - .5.
        solved = code_step(self.V, self.U, self.PULL)
        assert solved.tolist() == [[1, -1], [-1, 1], [1, -1]]
        assert pair_errors(self.U, solved, self.S).sum().item() == 9.75
        assert code_objective(solved, self.U, self.PULL).item() == 9.75 - 24

    def test_printed_equation_raises_it(self):
        printed = code_step(self.V, self.U, self.PULL, printed=True)
        assert printed.tolist() == [[-1, 1], [1, -1], [-1, 1]]
        assert pair_errors(self.U, printed, self.S).sum().item() == 45.75  # from 31.75; the step gives 9.75

    def test_a_sign_of_zero_keeps_the_old_bit(self):
        nothing = torch.zeros(3, 2)
        assert code_step(self.V, torch.zeros(2, 2), nothing).equal(self.V)
        assert code_step(self.V, torch.zeros(2, 2), nothing, printed=True).equal(self.V)
        # Bit 1 is undecided: its pull 1/2 is what the others hold against it. Bit 2 then follows its own pull.
        pull = torch.tensor([[0.5, 3.0]] * 2)
        codes = torch.tensor([[-1.0, 1.0], [1.0, 1.0]])
        assert code_step(codes, self.U, pull).equal(codes)

    def test_nothing_is_changed_in_place(self):
        before = self.V.clone(), self.U.clone(), self.PULL.clone()
        code_step(self.V, self.U, self.PULL)
        assert all(new.equal(old) for new, old in zip((self.V, self.U, self.PULL), before, strict=True))


class TestCodeStep:
    @settings(max_examples=100, deadline=None)
    @given(SEEDS, st.integers(1, 12), st.integers(1, 9), st.integers(1, 16))
    def test_it_never_raises_the_objective_and_the_printed_equation_never_lowers_it(self, seed, n, m, bits):
        codes, values, pull = exact_problem(seed, n, m, bits)
        before = code_objective(codes, values, pull)
        solved = code_step(codes, values, pull)
        reversed_ = code_step(codes, values, pull, printed=True)
        assert code_objective(solved, values, pull) <= before <= code_objective(reversed_, values, pull)
        # A bit is changed only for a gain, so whatever changes makes the difference strict.
        assert (code_objective(solved, values, pull) < before) == (not solved.equal(codes))
        assert (code_objective(reversed_, values, pull) > before) == (not reversed_.equal(codes))
        assert set(solved.unique().tolist()) <= {-1, 1}

    @settings(max_examples=50, deadline=None)
    @given(SEEDS, st.sampled_from(["class ids", "multi-hot"]), st.integers(1, 7), st.integers(1, 6), st.integers(1, 8))
    def test_the_sum_over_pairs_never_rises(self, seed, kind, n, m, bits):
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(m, bits, generator=generator, dtype=torch.float64).tanh()
        values *= torch.rand(m, bits, generator=generator) > 0.2
        labels, database_labels = draw_labels(kind, m, generator), draw_labels(kind, n, generator)
        codes = draw_codes(n, bits, generator)
        weight = negative_weight(labels, database_labels)
        wanted = targets(labels, database_labels, weight).double()
        pull = label_pull(values, labels, database_labels, weight)
        solved = code_step(codes, values, pull)
        before, after = looped_sum(values, codes, wanted), looped_sum(values, solved, wanted)
        assert after <= before + 1e-9 * (1 + before)  # rounding
        printed = looped_sum(values, code_step(codes, values, pull, printed=True), wanted)
        assert printed >= before - 1e-9 * (1 + before)
        # What the step lowers is that sum but for a constant.
        constant = bits**2 * float(wanted.square().sum())
        assert float(code_objective(codes, values, pull)) + constant == pytest.approx(before)
        assert float(code_objective(solved, values, pull)) + constant == pytest.approx(after)

    @settings(max_examples=60, deadline=None)
    @given(SEEDS, st.integers(1, 6), st.integers(1, 8))
    def test_each_bit_is_the_best_given_the_others(self, seed, m, bits):
        """One image: after each bit of the sweep no flip of that bit is better, and on a tie the old one stands. Of
        the printed equation each bit is the worst."""
        codes, values, pull = exact_problem(seed, 1, m, bits)
        for printed, better in ((False, torch.lt), (True, torch.gt)):
            solved = code_step(codes, values, pull, printed)
            state = codes.clone()
            for bit in range(bits):
                chosen, other = state.clone(), state.clone()
                chosen[0, bit], other[0, bit] = solved[0, bit], -solved[0, bit]
                ours, flipped = (code_objective(each, values, pull) for each in (chosen, other))
                assert better(ours, flipped) or (ours == flipped and solved[0, bit] == codes[0, bit])
                state = chosen
            assert state.equal(solved)

    @pytest.mark.parametrize("seed", range(5))
    def test_repeated_it_ends_where_no_flip_helps(self, seed):
        codes, values, pull = exact_problem(seed, 1, 5, 8)
        states = [codes]
        for _ in range(20):
            states.append(code_step(states[-1], values, pull))
        assert states[-1].equal(states[-2])
        objectives = [float(code_objective(each, values, pull)) for each in states]
        assert objectives == sorted(objectives, reverse=True)
        flips = states[-1] * (1 - 2 * torch.eye(8, dtype=torch.float64))  # (8, 8): each with one bit flipped
        assert all(float(code_objective(flip[None], values, pull)) >= objectives[-1] for flip in flips)
        every = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=8)), dtype=torch.float64)
        assert objectives[-1] >= min(float(code_objective(each[None], values, pull)) for each in every)

    @pytest.mark.parametrize("bits", [1, 12, 24, 32, 48])
    def test_printed_equation_strictly_raises_what_the_step_has_solved(self, bits):
        """Fifty problems of each code length, none without a bit that matters."""
        for seed in range(50):
            codes, values, pull = exact_problem(seed, 4, 6, bits)
            pull[0, 0] = 1000  # more than 6 values of at most 1 on 48 bits can hold against it: no tie
            solved = code_step(codes, values, pull)
            printed = code_step(solved, values, pull, printed=True)
            assert code_objective(printed, values, pull) > code_objective(solved, values, pull)

    def test_images_do_not_depend_on_each_other(self):
        codes, values, pull = exact_problem(0, 20, 6, 12)
        solved = code_step(codes, values, pull)
        order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
        assert code_step(codes[order], values, pull[order]).equal(solved[order])
        assert code_step(codes[3:4], values, pull[3:4]).equal(solved[3:4])

    def test_it_recovers_the_codes_that_the_values_were_made_from(self):
        """Two classes, their values opposite corners: every image of the database takes its class's corner."""
        corner = draw_codes(1, 12, torch.Generator().manual_seed(0))
        labels, database_labels = torch.tensor([0, 1]), torch.tensor([1, 0, 0, 1])
        values = torch.cat([corner, -corner])
        start = draw_codes(4, 12, torch.Generator().manual_seed(1))
        solved = code_step(start, values, label_pull(values, labels, database_labels, 1.0))
        assert solved.equal(torch.cat([-corner, corner, corner, -corner]))

    @pytest.mark.parametrize(
        ("codes", "values", "pull"), [((3, 4), (2, 4), (1, 4)), ((3, 4), (2, 5), (3, 4)), ((3, 4), (2, 4), (4, 3))]
    )
    def test_shapes_that_do_not_fit_are_refused(self, codes, values, pull):
        with pytest.raises(ValueError, match=r"codes \(3, 4\), values .* and pull .* do not fit; give codes and pull"):
            code_step(torch.ones(codes), torch.ones(values), torch.ones(pull))


class TestAgainstLoops:
    @KINDS
    @pytest.mark.parametrize("pairs", [1, 30, 2**24])
    def test_counts_targets_and_pull(self, kind, pairs, monkeypatch):
        monkeypatch.setattr(asymmetric, "MOST_PAIRS", pairs)
        generator = torch.Generator().manual_seed(0)
        labels, database_labels = draw_labels(kind, 7, generator), draw_labels(kind, 11, generator)
        alike_, others = looped_counts(labels, database_labels)
        assert alike_ > 0 < others
        assert count_pairs(labels, database_labels) == (alike_, others)
        weight = negative_weight(labels, database_labels)
        assert weight == alike_ / others
        wanted = looped_targets(labels, database_labels, weight)
        torch.testing.assert_close(targets(labels, database_labels, weight).double(), wanted, rtol=0, atol=1e-7)
        values = torch.randn(7, 5, generator=generator, dtype=torch.float64)
        by_hand = [[5 * sum(float(wanted[i, j] * values[i, k]) for i in range(7)) for k in range(5)] for j in range(11)]
        for way in (label_pull, label_pull_by_blocks):
            pull = way(values, labels, database_labels, weight)
            torch.testing.assert_close(pull, torch.tensor(by_hand, dtype=torch.float64), rtol=1e-6, atol=1e-6)
            assert pull.dtype == torch.float64

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_class_sums_are_the_matrix_but_for_the_order_of_a_sum(self, dtype):
        """Ids with gaps, below 0, and of one side alone; targets as rounded as the matrix has them."""
        generator = torch.Generator().manual_seed(3)
        ids = torch.tensor([-7, 0, 3, 1000])
        labels = ids[torch.randint(0, 3, (40,), generator=generator)]
        database_labels = ids[torch.randint(1, 4, (60,), generator=generator)]
        values = torch.randn(40, 12, generator=generator).to(dtype)
        assert count_pairs(labels, database_labels) == looped_counts(labels, database_labels)
        by_sums, by_blocks = (
            way(values, labels, database_labels, 1 / 39) for way in (label_pull, label_pull_by_blocks)
        )
        close = 1e-12 if dtype == torch.float64 else 1e-4
        torch.testing.assert_close(by_sums, by_blocks, rtol=0, atol=close)

    def test_class_ids_need_no_matrix_and_multi_hot_labels_a_block_of_it_at_a_time(self, monkeypatch):
        sizes, similarity = [], asymmetric.similarity
        monkeypatch.setattr(asymmetric, "similarity", lambda *sides: sizes.append(sides) or similarity(*sides))
        monkeypatch.setattr(asymmetric, "MOST_PAIRS", 300)
        generator = torch.Generator().manual_seed(4)
        for kind in ("class ids", "multi-hot"):
            sizes.clear()
            labels, database_labels = draw_labels(kind, 30, generator), draw_labels(kind, 101, generator)
            count_pairs(labels, database_labels)
            label_pull(draw_codes(30, 4, generator), labels, database_labels, 0.5)
            largest = max((len(ours) * len(theirs) for ours, theirs in sizes), default=0)
            assert largest <= (2 if kind == "class ids" else 300)

    def test_labels_of_two_kinds_are_refused(self):
        several, values = torch.eye(3, dtype=torch.uint8), torch.ones(3, 4)
        with pytest.raises(ValueError, match="cannot be compared; give class ids"):
            count_pairs(torch.arange(3), several)
        with pytest.raises(ValueError, match="cannot be compared; give class ids"):
            label_pull(values, several, torch.arange(3), 0.5)

    @KINDS
    def test_blocks_change_nothing(self, kind, monkeypatch):
        generator = torch.Generator().manual_seed(1)
        labels, database_labels = draw_labels(kind, 30, generator), draw_labels(kind, 100, generator)
        values = draw_eighths(30, 6, most=1, generator=generator)
        whole = label_pull_by_blocks(values, labels, database_labels, 0.25)
        monkeypatch.setattr(asymmetric, "MOST_PAIRS", 7 * 30)
        assert label_pull_by_blocks(values, labels, database_labels, 0.25).equal(whole)
        assert label_pull(values, labels, database_labels, 0.25).equal(whole)  # r = 1/4: no rounding

    @KINDS
    def test_errors(self, kind):
        generator = torch.Generator().manual_seed(2)
        labels, database_labels = draw_labels(kind, 5, generator), draw_labels(kind, 8, generator)
        values, codes = torch.randn(5, 12, generator=generator, dtype=torch.float64), draw_codes(8, 12, generator)
        wanted = targets(labels, database_labels, 0.3).double()
        found = pair_errors(values, codes, wanted)
        torch.testing.assert_close(found, torch.tensor(looped_errors(values, codes, wanted), dtype=torch.float64))

    def test_one_kind_of_pair_alone(self):
        same, values = torch.zeros(3, dtype=torch.int64), torch.tensor([[1.0, 0.5], [0.0, 0.25], [-0.5, 0.0]])
        assert negative_weight(same, same) == 0.0  # no pair to weigh, and no division by 0
        assert targets(same, same, 0.0).equal(torch.ones(3, 3))
        assert label_pull(values, same, same, 0.0).tolist() == [[1.0, 1.5]] * 3  # 2 (sum of all u)
        # The pull 1, 1.5 against gram -> .5: every image ends at (1, 1), wherever it began.
        assert code_step(draw_codes(3, 2, torch.Generator()).float(), values, torch.tensor([[1.0, 1.5]] * 3)).min() == 1
        others = torch.tensor([1, 2, 3])
        assert count_pairs(same, others) == (0, 9)
        assert negative_weight(same, others) == 0.0
        assert not label_pull(values, same, others, 0.0).any()

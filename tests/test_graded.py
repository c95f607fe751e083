"""Graded measures: brute force over the orders of tied items, a hand-worked example, invariances, 20 million items."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from graded_sorting import graded_by_sorting

from cscelab.evaluate import evaluate
from cscelab.retrieval import ranking
from cscelab.retrieval.discounts import TABLED, discount_between
from cscelab.retrieval.graded import average_cumulative_gain, ndcg, weighted_average_precision
from cscelab.retrieval.ranking import DENOMINATORS, TIES, Histograms

CLOSED_TIES = ("expected", "best", "worst")
GAIN = {"exponential": lambda grade: 2.0**grade - 1, "linear": float}


def histograms(distances, grades, bits, n_grades=None):
    """Histograms of distances (Q, N) and grades (Q, N), one item at a time."""
    distances, grades = np.atleast_2d(distances), np.atleast_2d(grades)
    graded = np.zeros((len(distances), n_grades or max(1, int(grades.max())), bits + 1), np.int64)
    items = np.zeros((len(distances), bits + 1), np.int64)
    for query, (row, row_grades) in enumerate(zip(distances, grades, strict=True)):
        for distance, grade in zip(row, row_grades, strict=True):
            items[query, distance] += 1
            if grade:
                graded[query, grade - 1, distance] += 1
    return Histograms(items, graded.sum(axis=1), graded)


def from_counts(per_grade):
    """Histograms of one query from counts [distance][grade], grade 0 first."""
    counts = np.array(per_grade, np.int64).T  # (G+1, D)
    return Histograms(counts.sum(axis=0)[None], counts[1:].sum(axis=0)[None], counts[None, 1:])


def plain_acg(grades, n):
    return sum(grades[:n]) / n


def plain_ndcg(grades, n, gain):
    def dcg(order):
        return math.fsum(GAIN[gain](grade) / math.log2(1 + j) for j, grade in enumerate(order[:n], start=1))

    return dcg(grades) / dcg(sorted(grades, reverse=True)) if any(grades) else 0.0


def plain_weighted_ap(grades, k, denominator):
    total = math.fsum(plain_acg(grades, j) for j in range(1, min(k, len(grades)) + 1) if grades[j - 1])
    n_relevant = sum(grade > 0 for grade in grades)
    hits = sum(grade > 0 for grade in grades[:k])
    divisor = {"retrieved": hits, "capped": min(k, n_relevant), "relevant": n_relevant}[denominator]
    return total / divisor if divisor else 0.0


def all_orders(distances, grades):
    """The different lists of grades that orders of the tied items give; each comes from equally many orders."""
    buckets = [[g for d, g in zip(distances, grades, strict=True) if d == at] for at in sorted(set(distances))]
    for order in itertools.product(*(sorted(set(itertools.permutations(bucket))) for bucket in buckets)):
        yield [g for bucket in order for g in bucket]


def by_index(distances, grades):
    return [g for _, g in sorted(zip(distances, grades, strict=True), key=lambda pair: pair[0])]


def random_case(seed):
    rng = np.random.default_rng(seed)
    n, bits = int(rng.integers(1, 8)), int(rng.integers(1, 4))
    distances = rng.integers(0, bits + 1, n).tolist()
    return distances, rng.integers(0, rng.integers(2, 5), n).tolist(), bits


def policies(values):
    return {"expected": math.fsum(values) / len(values), "best": max(values), "worst": min(values)}


@pytest.mark.parametrize("seed", range(40))
def test_every_measure_equals_brute_force_over_all_orders(seed):
    distances, grades, bits = random_case(seed)
    counts, orders = histograms(distances, grades, bits), list(all_orders(distances, grades))
    indexed = by_index(distances, grades)
    length = len(grades)
    for depth in [*range(1, length + 3), None]:
        plain = depth or length
        by_sorting = {
            gain: graded_by_sorting(np.array([distances]), np.array([grades]), depth, depth, gain, bits)
            for gain in GAIN
        }  # fmt: skip
        for ties, value in policies([plain_acg(order, plain) for order in orders]).items():
            got = average_cumulative_gain(counts, plain, ties)
            assert got == pytest.approx(value, abs=1e-12), (depth, ties)
        got = by_sorting["linear"].average_cumulative_gain
        assert got == pytest.approx(plain_acg(indexed, plain), abs=1e-12)
        for gain in GAIN:
            for ties, value in policies([plain_ndcg(order, plain, gain) for order in orders]).items():
                assert ndcg(counts, depth, ties, gain) == pytest.approx(value, abs=1e-12), (depth, gain, ties)
            got = by_sorting[gain].ndcg
            assert got == pytest.approx(plain_ndcg(indexed, plain, gain), abs=1e-12), (depth, gain)
        for name in DENOMINATORS:
            for ties, value in policies([plain_weighted_ap(order, plain, name) for order in orders]).items():
                got = weighted_average_precision(counts, depth, ties, name)
                assert got == pytest.approx(value, abs=1e-12), (depth, name, ties)
            got = by_sorting["linear"].weighted_average_precision[name]
            assert got == pytest.approx(plain_weighted_ap(indexed, plain, name), abs=1e-12), (depth, name)


@pytest.mark.parametrize(
    "grades", [(0, 0, 0, 1, 1, 2, 3), (0, 1, 1, 2, 2, 2, 3), (0, 0, 0, 0, 0, 1, 3), (1, 2, 2, 3, 3)]
)
def test_one_tied_bucket_behind_good_or_bad_items_equals_brute_force_at_every_cut(grades):
    for nearer in [(), (3, 3), (0, 0, 1), (1, 3, 0)]:
        distances, all_grades = [*range(len(nearer)), *[5] * len(grades)], [*nearer, *grades]
        counts, orders = histograms(distances, all_grades, 5), list(all_orders(distances, all_grades))
        for k, name in itertools.product(range(1, len(all_grades) + 1), DENOMINATORS):
            for ties, value in policies([plain_weighted_ap(order, k, name) for order in orders]).items():
                got = weighted_average_precision(counts, k, ties, name)
                assert got == pytest.approx(value, abs=1e-12), (nearer, k, name, ties)


def test_worked_example():
    # Grade 1 alone at distance 0, then grades 0 and 2 tied: the order is 1 0 2 or 1 2 0, whose ACG@1..3 are
    # 1, 1/2, 1 and 1, 3/2, 1. Weighted AP is (1 + 1) / 2 = 1 or (1 + 3/2) / 2 = 5/4.
    counts = histograms([0, 1, 1], [1, 0, 2], bits=1)
    assert [average_cumulative_gain(counts, 2, ties)[0] for ties in CLOSED_TIES] == [1.0, 1.5, 0.5]
    whole = [weighted_average_precision(counts, None, ties)[0] for ties in CLOSED_TIES]
    assert whole == pytest.approx([9 / 8, 5 / 4, 1.0], abs=1e-14)
    # Cut after two, 1 0 has one relevant item and 1 2 has two.
    cut = {name: [weighted_average_precision(counts, 2, t, name)[0] for t in CLOSED_TIES] for name in DENOMINATORS}
    assert cut["retrieved"] == pytest.approx([9 / 8, 5 / 4, 1.0], abs=1e-14)
    assert cut["capped"] == cut["relevant"] == pytest.approx([7 / 8, 5 / 4, 1 / 2], abs=1e-14)
    # Gains 1, 0, 3 over 1, log2(3), 2; the ideal order is 2 1 0.
    log3 = math.log2(3)
    best, worst = (1 + 3 / log3) / (3 + 1 / log3), (1 + 3 / 2) / (3 + 1 / log3)
    got = [ndcg(counts, None, ties)[0] for ties in CLOSED_TIES]
    assert got == pytest.approx([(best + worst) / 2, best, worst], abs=1e-14)
    assert ndcg(counts, 1, gain="linear")[0] == pytest.approx(1 / 2, abs=1e-14)


def large_case(seed=0, n_query=40, n_item=300, bits=6, n_grades=4):
    rng = np.random.default_rng(seed)
    distances = rng.binomial(bits, 0.5, (n_query, n_item))
    return distances, rng.binomial(n_grades, 0.15, (n_query, n_item)), bits


def test_with_grades_zero_and_one_the_measures_are_precision_and_average_precision():
    distances, grades, bits = large_case()
    counts = histograms(distances, np.minimum(grades, 1), bits)
    for k, ties, name in itertools.product([1, 7, 50, 299, None], CLOSED_TIES, DENOMINATORS):
        expected = ranking.average_precision(counts, k, ties, name)
        assert weighted_average_precision(counts, k, ties, name) == pytest.approx(expected, abs=1e-12), (k, ties, name)
    assert average_cumulative_gain(counts, 50) == pytest.approx(ranking.expected_hits(counts, 50) / 50, abs=1e-12)


@pytest.mark.parametrize("depth", [1, 20, 137, 300, None])
def test_the_order_by_index_lies_between_worst_and_best(depth):
    distances, grades, bits = large_case(1)
    counts, sorting = histograms(distances, grades, bits), graded_by_sorting(distances, grades, depth, depth)
    pairs = [(sorting.ndcg, lambda ties: ndcg(counts, depth, ties))]
    pairs += [(sorting.average_cumulative_gain, lambda ties: average_cumulative_gain(counts, depth or 300, ties))]
    for name, value in sorting.weighted_average_precision.items():
        pairs += [(value, lambda ties, name=name: weighted_average_precision(counts, depth, ties, name))]
    for index, measure in pairs:
        worst, best = measure("worst"), measure("best")
        assert np.all(worst <= index + 1e-12)
        assert np.all(index <= best + 1e-12)
        if depth == 20:
            assert np.all(worst < best)


def test_expected_is_the_mean_over_random_orders():
    distances, grades, bits = large_case(2, n_query=1)
    rng, n_orders, depth = np.random.default_rng(0), 4000, 100
    order = rng.permuted(np.tile(np.arange(300), (n_orders, 1)), axis=1)
    sampled = graded_by_sorting(distances[0][order], grades[0][order], depth, depth)
    counts = histograms(distances, grades, bits)
    pairs = [
        (average_cumulative_gain(counts, depth), sampled.average_cumulative_gain),
        (ndcg(counts, depth), sampled.ndcg),
    ]
    for name in DENOMINATORS:
        pairs += [
            (weighted_average_precision(counts, depth, "expected", name), sampled.weighted_average_precision[name])
        ]
    for exact, values in pairs:
        assert values.std() > 0
        assert abs(exact[0] - values.mean()) < 4 * values.std() / math.sqrt(n_orders)


def test_the_mean_over_hits_of_a_long_cut_bucket_equals_the_whole_hypergeometric_sum():
    # 5 items of grade 2 lie nearer; of 2000 tied items 900 are relevant (500 of grade 1, 400 of grade 3), 800 are kept.
    counts = from_counts([[0, 0, 5, 0], [1100, 500, 0, 400]])
    n, r, t, mean_grade = 2000, 900, 800, 1700 / 900
    harmonic = math.fsum(1 / j for j in range(6, 806))
    rest = math.fsum((i - 1) / (5 + i) for i in range(1, 801))
    value = 0.0
    for m in range(t + 1):
        # Given m the kept bucket has, at place i, E[rel] = m/t and E[rel_i grade_j] = m(m-1)/(t(t-1)) x mean grade.
        term = m / t * (10 + mean_grade) * harmonic + m * (m - 1) / (t * (t - 1)) * mean_grade * rest
        value += math.comb(r, m) * math.comb(n - r, t - m) / math.comb(n, t) * (10 + term) / (5 + m)
    assert weighted_average_precision(counts, 805)[0] == pytest.approx(value, rel=1e-12)


def test_doubling_every_grade_doubles_gains_and_leaves_linear_ndcg():
    distances, grades, bits = large_case(3)
    once, twice = histograms(distances, grades, bits, 4), histograms(distances, 2 * grades, bits, 8)
    for ties in CLOSED_TIES:
        for measure in (average_cumulative_gain, weighted_average_precision):
            assert measure(twice, 60, ties) == pytest.approx(2 * measure(once, 60, ties), rel=1e-12)
        assert ndcg(twice, 60, ties, "linear") == pytest.approx(ndcg(once, 60, ties, "linear"), rel=1e-12)
        assert np.abs(ndcg(twice, 60, ties) - ndcg(once, 60, ties)).max() > 0.01


def test_empty_distances_and_unused_grades_change_nothing_and_a_perfect_ranking_has_ndcg_one():
    near, far = (
        histograms([0, 0, 1, 1, 2], [3, 3, 2, 2, 0], 2),
        histograms([1, 1, 5, 5, 7], [3, 3, 2, 2, 0], 8, n_grades=6),
    )
    for ties, depth in itertools.product(CLOSED_TIES, [1, 2, 3, 5]):
        assert ndcg(near, depth, ties) == pytest.approx([1.0], abs=1e-14)
        for measure in (average_cumulative_gain, ndcg, weighted_average_precision):
            assert measure(near, depth, ties) == pytest.approx(measure(far, depth, ties), abs=1e-14)


def test_queries_are_independent_whatever_the_block(monkeypatch):
    distances, grades, bits = large_case(4)
    counts, sorting = histograms(distances, grades, bits), graded_by_sorting(distances, grades, 30, 30)
    measures = [
        lambda ties: average_cumulative_gain(counts, 30, ties), lambda ties: ndcg(counts, None, ties),
        lambda ties: weighted_average_precision(counts, 30, ties),
    ]  # fmt: skip
    whole = [measure(ties) for measure in measures for ties in CLOSED_TIES]
    monkeypatch.setattr(ranking, "_BLOCK_CELLS", 3 * (bits + 1))  # three queries a block, and one where rows are long
    blocked = [measure(ties) for measure in measures for ties in CLOSED_TIES]
    np.testing.assert_allclose(blocked, whole, rtol=1e-14)
    again = graded_by_sorting(distances, grades, 30, 30)
    np.testing.assert_array_equal(again.ndcg, sorting.ndcg)
    for name in DENOMINATORS:
        np.testing.assert_array_equal(again.weighted_average_precision[name], sorting.weighted_average_precision[name])


def test_an_item_farther_than_the_bits_is_left_out_of_the_sorted_ranking():
    distances, grades, bits = large_case(5, n_item=40)
    distances[:, 17] = bits + 1
    without = graded_by_sorting(np.delete(distances, 17, axis=1), np.delete(grades, 17, axis=1))
    marked = graded_by_sorting(distances, grades, bits=bits)
    assert marked.average_cumulative_gain == pytest.approx(without.average_cumulative_gain, abs=1e-14)
    assert marked.ndcg == pytest.approx(without.ndcg, abs=1e-14)
    for name, value in without.weighted_average_precision.items():
        assert marked.weighted_average_precision[name] == pytest.approx(value, abs=1e-14)
    assert np.abs(graded_by_sorting(distances, grades).ndcg - without.ndcg).max() > 1e-4


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32])
def test_sorting_small_integer_types_changes_nothing(dtype):
    distances, grades, bits = large_case(6, n_query=5, n_grades=40)
    wide, narrow = (graded_by_sorting(distances.astype(d), grades.astype(d), 50, 50) for d in (np.int64, dtype))
    assert grades.max() > 11  # 2^g - 1 is beyond float16, which NumPy takes for powers of bytes
    np.testing.assert_array_equal(narrow.ndcg, wide.ndcg)
    np.testing.assert_array_equal(narrow.average_cumulative_gain, wide.average_cumulative_gain)
    np.testing.assert_array_equal(
        narrow.weighted_average_precision["retrieved"], wide.weighted_average_precision["retrieved"]
    )
    assert ndcg(histograms(distances, grades, bits), 50, "best") == pytest.approx(
        [plain_ndcg(max_order(d, g), 50, "exponential") for d, g in zip(distances, grades, strict=True)], rel=1e-12
    )


def max_order(distances, grades):
    """Grades by distance, the highest first among tied items."""
    return [g for _, g in sorted(zip(distances.tolist(), grades.tolist(), strict=True), key=lambda p: (p[0], -p[1]))]


def test_a_query_with_nothing_relevant_counts_as_zero():
    counts = histograms([[0, 1, 1], [0, 1, 1]], [[0, 0, 0], [0, 0, 1]], 1)
    for ties in CLOSED_TIES:
        for values in (average_cumulative_gain(counts, 3, ties), ndcg(counts, 3, ties)):
            assert values[0] == 0
            assert values[1] > 0
        for name in DENOMINATORS:
            assert weighted_average_precision(counts, 2, ties, name)[0] == 0


# Counts [distance][grade] of 20 million items.
HUGE = [[2, 0, 1, 0], [2_000_000, 7_000, 300, 2], [0, 5, 0, 0], [14_992_000, 40, 600, 50], [2_994_000, 5_000, 999, 1]]


def test_sums_over_ranks_equal_plain_sums_from_one_to_twenty_million():
    longest = 20_000_000
    ranks = np.arange(1, longest + 1)
    rng = np.random.default_rng(0)
    starts = [0, 0, 1, TABLED - 1, TABLED, TABLED + 1, 100_000, longest - 1, *rng.integers(0, longest - 1, 8)]
    takens = [longest, TABLED, 1, 2, 1, 7, 3_000_000, 1, *(rng.integers(1, longest - s) for s in starts[8:])]
    for terms, between in ((1 / ranks, ranking.harmonic_between), (1 / np.log2(1 + ranks), discount_between)):
        got = between(np.array(starts), np.array(takens))
        plain = [terms[s : s + t].sum() for s, t in zip(starts, takens, strict=True)]  # pairwise summation
        np.testing.assert_allclose(got, plain, rtol=1e-12)
        singles = np.arange(3 * TABLED)
        np.testing.assert_allclose(between(singles, np.ones_like(singles)), terms[: 3 * TABLED], rtol=1e-12)
        assert between(np.array([0, 5, longest]), np.array([0, 0, 0])).tolist() == [0, 0, 0]


@pytest.mark.parametrize("ties", ["best", "worst"])
def test_extremes_of_twenty_million_items_equal_their_plain_sums(ties):
    counts, k = from_counts(HUGE), 19_000_000
    down = [3, 2, 1, 0]
    order = np.concatenate([
        np.repeat(down, bucket[::-1])[:: 1 if ties == "best" else -1] for bucket in HUGE
    ]).astype(np.int8)  # fmt: skip
    relevant = np.flatnonzero(order)  # positions counted from 0
    running = np.cumsum(order[relevant], dtype=np.int64) / (relevant + 1)
    kept = relevant < k
    for depth, chosen in ((None, slice(None)), (k, kept)):
        value = running[chosen].sum()
        got = weighted_average_precision(counts, depth, ties, "relevant")[0]
        assert got == pytest.approx(value / len(relevant), rel=1e-12)
        gains, discounts = np.exp2(order[relevant]) - 1, 1 / np.log2(2 + relevant)
        ideal = np.sort(gains)[::-1] / np.log2(2 + np.arange(len(gains)))
        assert ndcg(counts, depth, ties)[0] == pytest.approx((gains * discounts)[chosen].sum() / ideal.sum(), rel=1e-12)
    assert average_cumulative_gain(counts, k, ties)[0] == pytest.approx(order[:k].sum(dtype=np.int64) / k, rel=1e-12)


def test_expectations_of_twenty_million_items_equal_their_plain_sums():
    counts = from_counts(HUGE)
    dcg = total = held = 0.0
    before = 0
    for bucket in HUGE:
        n, r, mass = sum(bucket), sum(bucket[1:]), sum(g * c for g, c in enumerate(bucket))
        ranks = np.arange(before + 1, before + n + 1)
        dcg += sum((2**g - 1) * c for g, c in enumerate(bucket)) / n * (1 / np.log2(1 + ranks)).sum()
        pairs = (ranks - before - 1) * ((r - 1) * mass / (n * (n - 1)))
        total += ((r / n * held + mass / n + pairs) / ranks).sum()
        before, held = before + n, held + mass
    totals = np.sum(HUGE, axis=0)
    gains = np.repeat([7.0, 3.0, 1.0], totals[:0:-1])
    ideal = (gains / np.log2(2 + np.arange(len(gains)))).sum()
    assert ndcg(counts)[0] == pytest.approx(dcg / ideal, rel=1e-12)
    for name in DENOMINATORS:
        assert weighted_average_precision(counts, None, "expected", name)[0] == pytest.approx(
            total / totals[1:].sum(), rel=1e-12
        )


def test_memory_does_not_grow_with_the_database():
    # Half of a bucket of 20 million is kept, and any number up to 3 million of them can be relevant.
    counts = from_counts([[17_000_000, 1_000_000, 1_500_000, 500_000]])
    tracemalloc.start()
    values = {ties: weighted_average_precision(counts, 10_000_000, ties)[0] for ties in CLOSED_TIES}
    scores = {ties: ndcg(counts, 10_000_000, ties)[0] for ties in CLOSED_TIES}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6  # one float64 an item would be 160 MB
    for found in (values, scores):
        assert np.isfinite(list(found.values())).all()
        assert found["worst"] < found["expected"] < found["best"]


COUNTS = histograms([0, 1], [1, 2], 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average_cumulative_gain(COUNTS, 2, "index"), "ties='index' cannot be had from histograms"),
        (lambda: ndcg(COUNTS, 2, "random"), "choose from expected, best, worst"),
        (lambda: average_cumulative_gain(COUNTS, 0), "n=0 ranks nothing; expected an integer of at least 1"),
        (lambda: ndcg(COUNTS, -1), "n=-1 ranks nothing"),
        (lambda: weighted_average_precision(COUNTS, 0), "k=0 ranks nothing"),
        (lambda: ndcg(COUNTS, 2, gain="cubic"), "unknown gain 'cubic'; choose from exponential, linear"),
        (lambda: weighted_average_precision(COUNTS, denominator="all"), "unknown denominator 'all'; choose from retr"),
        (lambda: ndcg(Histograms(COUNTS.items, COUNTS.relevant, None), 2), "have no grades; count them from multi-hot"),
        (lambda: graded_by_sorting(np.zeros((2, 3)), np.zeros((2, 4))), "must both be"),
        (lambda: graded_by_sorting(np.zeros((2, 3)), np.zeros((2, 3)), k=0), "k=0 ranks nothing"),
        (lambda: graded_by_sorting(np.zeros((2, 3)), np.zeros((2, 3)), gain="cubic"), "unknown gain"),
    ],
)
def test_errors_say_what_came_and_what_to_do(call, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        call()


@pytest.mark.parametrize("k", [None, 40])
def test_a_report_has_every_graded_measure_and_ties_by_index_equal_sorting(k):
    rng = np.random.default_rng(11)
    query, database = rng.integers(0, 2, (9, 7)), rng.integers(0, 2, (160, 7))
    labels, their_labels = rng.random((9, 6)) < 0.5, rng.random((160, 6)) < 0.4
    ids = rng.permutation(160)[:9], np.arange(160)
    known = {"query_ids": ids[0], "database_ids": ids[1]}
    report = evaluate(query, labels, database, their_labels, k=k, precision_at=(5, 50), **known)
    distances = (query[:, None] != database[None]).sum(axis=2)
    distances[ids[0][:, None] == ids[1]] = 8
    grades = labels.astype(int) @ their_labels.T.astype(int)
    for n in (5, 50):
        sorted_ones = graded_by_sorting(distances, grades, n=n, k=k, bits=7)
        acg, gain = report.measure(f"ACG@{n}", "index"), report.measure(f"NDCG@{n}", "index")
        assert acg.per_query == pytest.approx(sorted_ones.average_cumulative_gain, abs=1e-12)
        assert gain.per_query == pytest.approx(sorted_ones.ndcg, abs=1e-12)
    for denominator in DENOMINATORS:
        name = f"weighted mAP@{k or 'all'}"
        found = {ties: report.measure(name, ties, denominator).per_query for ties in TIES}
        assert found["index"] == pytest.approx(sorted_ones.weighted_average_precision[denominator], abs=1e-11)
        assert (found["worst"] <= found["index"]).all()
        assert (found["index"] <= found["best"]).all()
        assert report.graded["index"][f"{name}, {denominator}"] == found["index"].mean()
    assert report.graded["expected"]["NDCG@all"] == pytest.approx(ndcg(report.histograms).mean())
    assert evaluate(query, labels[:, 0], database, their_labels[:, 0]).graded == {}


def test_ndcg_of_more_labels_than_a_float_has_powers_of_two():
    rng = np.random.default_rng(4)
    labels, their_labels = rng.random((2, 1500)) < 0.99, rng.random((40, 1500)) < 0.99
    codes, their_codes = rng.integers(0, 2, (2, 8)), rng.integers(0, 2, (40, 8))
    report = evaluate(codes, labels, their_codes, their_labels, precision_at=(5,))
    for ties in TIES:
        values = report.measure("NDCG@5", ties).per_query
        assert np.isfinite(values).all()
        assert ((values > 0) & (values <= 1 + 1e-12)).all()
    assert (report.measure("NDCG@5", "worst").per_query < report.measure("NDCG@5", "best").per_query).any()

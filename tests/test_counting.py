"""Bit planes and the counting kernels against comparing every pair, for every width of codes and labels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cscelab.evaluate import evaluate, mean_average_precision
from cscelab.retrieval import sides
from cscelab.retrieval.bitplanes import bit_planes, full_mask, popcount, query_masks, tile_width, words_of
from cscelab.retrieval.countingtorch import DeviceCounter
from cscelab.retrieval.diagnostics import CodeStatistics
from cscelab.retrieval.ranking import Histograms
from cscelab.retrieval.sides import two_sides
from cscelab.retrieval.tally import tally


def naive(query, query_labels, database, database_labels, query_ids=None, database_ids=None):
    """items, relevant and graded histograms by looking at every pair."""
    n_grades = 1 if query_labels.ndim == 1 else max(1, int(query_labels.sum(axis=1).max()))
    items = np.zeros((len(query), query.shape[1] + 1), np.int64)
    graded = np.zeros((len(query), n_grades, query.shape[1] + 1), np.int64)
    for i in range(len(query)):
        for j in range(len(database)):
            if query_ids is not None and query_ids[i] == database_ids[j]:
                continue
            if query_labels.ndim == 1:
                grade = int(query_labels[i] == database_labels[j])
            else:
                grade = int((query_labels[i] * database_labels[j]).sum())
            distance = int((query[i] != database[j]).sum())
            items[i, distance] += 1
            if grade:
                graded[i, grade - 1, distance] += 1
    return items, graded.sum(axis=1), graded


def retrieval(seed, bits, n_query=4, n_items=150, n_labels=0, spread=0.5):
    rng = np.random.default_rng(seed)
    center = rng.integers(0, 2, bits)
    codes = (center ^ (rng.random((n_query + n_items, bits)) < spread)) * 2 - 1
    if n_labels:
        labels = (rng.random((n_query + n_items, n_labels)) < min(0.5, 4 / n_labels)).astype(np.int64)
    else:
        labels = rng.integers(0, 3, n_query + n_items)
    return codes[:n_query], labels[:n_query], codes[n_query:], labels[n_query:]


def counted(case, ids=(None, None), graded=True, device=None):
    queries, database = two_sides(*case, None, *ids)
    if device is not None:
        counter = DeviceCounter(queries, queries.most_labels, device)
        for piece in database.batches(queries):
            counter.add(piece)
        items, by_grade = counter.totals()
        return Histograms(items, by_grade.sum(axis=0), by_grade.transpose(1, 0, 2))
    return tally(queries, database, graded)


@pytest.mark.parametrize("bits", [1, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128, 255, 256, 1000, 1024])
@pytest.mark.parametrize("device", [None, torch.device("cpu")], ids=["planes", "products"])
def test_histograms_equal_looking_at_every_pair(bits, device):
    for n_labels, spread in ((0, 0.5), (5, 0.05), (70, 0.5)):
        case = retrieval(bits, bits, n_labels=n_labels, spread=spread)
        found = counted(case, device=device)
        for got, expected in zip((found.items, found.relevant, found.graded), naive(*case), strict=True):
            assert np.array_equal(got, expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 70), st.integers(1, 700), st.integers(0, 6))
def test_histograms_of_any_small_case_with_self_matches(seed, bits, n_items, n_labels):
    case = retrieval(seed, bits, 3, n_items, n_labels, spread=0.3)
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, n_items, 3), rng.integers(0, n_items, n_items)  # ids may repeat on either side
    expected = naive(*case, *ids)
    for found in (counted(case, ids), counted(case, ids, device=torch.device("cpu"))):
        assert np.array_equal(found.items, expected[0])
        assert np.array_equal(found.graded, expected[2])


def test_many_tiles_blocks_and_threads_change_nothing(monkeypatch):
    case = retrieval(5, 40, n_query=7, n_items=5000, n_labels=9)
    ids = np.arange(7) * 100, np.arange(5000)
    whole = counted(case, ids)
    by_index = mean_average_precision(*case, ties="index", k=300, query_ids=ids[0], database_ids=ids[1])
    monkeypatch.setattr(sides, "_BLOCK_ITEMS", 512)
    monkeypatch.setattr(sides, "_PIECE_BYTES", 700)
    torch.set_num_threads(3)
    try:
        small = counted(case, ids)
        assert mean_average_precision(*case, ties="index", k=300, query_ids=ids[0], database_ids=ids[1]) == by_index
    finally:
        torch.set_num_threads(1)
    assert np.array_equal(small.items, whole.items)
    assert np.array_equal(small.graded, whole.graded)
    assert whole.items.sum() == 7 * 4999


def test_bit_planes_hold_every_bit_where_they_say():
    rng = np.random.default_rng(0)
    packed = rng.integers(0, 256, (333, 11), dtype=np.uint8)
    width = tile_width(333, 88)
    planes = bit_planes(words_of(packed), 88, width)
    bits = np.unpackbits(planes.view(np.uint8), axis=2, bitorder="little")  # (tiles, rows, items of a tile)
    bits = bits.transpose(0, 2, 1).reshape(-1, 88)
    assert np.array_equal(bits[:333], np.unpackbits(packed, axis=1, bitorder="little"))
    assert not bits[333:].any()
    present = np.unpackbits(full_mask(333, width).view(np.uint8), bitorder="little")
    assert present[:333].all()
    assert not present[333:].any()
    masks = query_masks(words_of(packed[:2]), 96)
    assert np.array_equal(masks[:, :88] != 0, np.unpackbits(packed[:2], axis=1, bitorder="little"))
    assert set(np.unique(masks)) == {0, 2**64 - 1}


def test_popcount_counts():
    from numba import njit

    @njit
    def call(word):
        return popcount(word)

    for word in (0, 1, 2**64 - 1, 0x8000000000000001, 0x5555555555555555):
        assert call(np.uint64(word)) == word.bit_count()


def test_diagnostics_equal_their_definitions():
    query, query_labels, database, database_labels = case = retrieval(8, 21, n_query=9, n_items=400, spread=0.2)
    database[:, 3] = 1  # a bit that never changes correlates with nothing
    database[:, 5] = -database[:, 4]
    values = database * np.random.default_rng(1).random(database.shape)
    report = evaluate(*case, query_values=query, database_values=values)
    codes = report.codes
    assert codes.bit_balance == pytest.approx((database > 0).mean(axis=0))
    varying = np.arange(21) != 3
    expected = np.corrcoef(database[:, varying].T)
    assert codes.bit_correlation[np.ix_(varying, varying)] == pytest.approx(expected, abs=1e-12)
    assert not codes.bit_correlation[3, varying].any()
    assert codes.bit_correlation[4, 5] == pytest.approx(-1)
    off = ~np.eye(21, dtype=bool)
    assert codes.mean_correlation == pytest.approx(np.abs(codes.bit_correlation[off]).mean())
    assert codes.distinct_codes == len({tuple(code) for code in database})
    assert codes.distinct_counted
    distances = (query[:, None] != database[None]).sum(axis=2)
    relevant = query_labels[:, None] == database_labels[None]
    assert np.array_equal(codes.within_histogram, np.bincount(distances[relevant], minlength=22))
    assert np.array_equal(codes.between_histogram, np.bincount(distances[~relevant], minlength=22))
    assert codes.quantization_error == pytest.approx(((values - database) ** 2).mean())
    assert evaluate(*case).codes.quantization_error is None


def test_distinct_codes_beyond_the_memory_bound_are_a_lower_bound(monkeypatch):
    from cscelab.retrieval import diagnostics

    case = retrieval(2, 80, n_items=3000)
    assert evaluate(*case).codes.distinct_codes == 3000
    monkeypatch.setattr(diagnostics, "_MOST_DISTINCT_BYTES", 16_000)
    monkeypatch.setattr(sides, "_BLOCK_ITEMS", 512)
    report = evaluate(*case)
    assert not report.codes.distinct_counted
    assert 1000 <= report.codes.distinct_codes < 3000
    assert f"at least {report.codes.distinct_codes} distinct" in report.table()


def test_statistics_of_no_item_can_still_be_joined():
    statistics = CodeStatistics(12)
    statistics.settle()
    assert statistics.distinct is None


@pytest.mark.parametrize("labels", ["class", "multi-hot"])
def test_a_query_has_the_same_bits_on_any_number_of_threads_and_among_any_others(labels):
    query, query_labels, codes, their_labels = retrieval(3, 64, 9, 8000, 0 if labels == "class" else 20)
    ties = ("expected", "index", "best", "worst")
    reports = {}
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)
        try:
            reports[n_threads] = evaluate(query, query_labels, codes, their_labels, k=(777, None, 5000), ties=ties)
        finally:
            torch.set_num_threads(1)
    some = [7, 2, 5]
    alone = evaluate(query[some], query_labels[some], codes, their_labels, k=(777, None, 5000), ties=ties)
    others = {(m.name, m.ties, m.divided_by): m.per_query for m in alone.measures}
    for one, two, three in zip(*(reports[n].measures for n in (1, 2, 3)), strict=True):
        assert np.array_equal(one.per_query, two.per_query), one.name
        assert np.array_equal(one.per_query, three.per_query), one.name
        if "class" not in one.name:
            assert np.array_equal(one.per_query[some], others[one.name, one.ties, one.divided_by]), one.name


def test_a_gpu_counts_a_generator_that_is_read_once_and_its_statistics(monkeypatch):
    """Simulated: the device that codes claim to be on is the only thing that is not of this machine."""
    from cscelab.retrieval import tally as module

    class Claims:
        type = "cuda"

    case = retrieval(4, 30, n_items=90, n_labels=6)
    whole = evaluate(*case)
    monkeypatch.setattr(
        module, "DeviceCounter", lambda queries, n, device: DeviceCounter(queries, n, torch.device("cpu"))
    )
    monkeypatch.setattr(sides.Database, "device", Claims)
    query, query_labels, codes, labels = case
    report = evaluate(query, query_labels, iter([(codes[:50], labels[:50]), (codes[50:], labels[50:])]))
    for got, expected in ((report, whole), (evaluate(*case), whole)):
        assert np.array_equal(got.histograms.items, expected.histograms.items)
        assert np.array_equal(got.histograms.graded, expected.histograms.graded)
        assert got.codes.distinct_codes == expected.codes.distinct_codes
    assert report.map["expected"] == whole.map["expected"]

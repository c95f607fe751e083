"""A database as arrays, as a file on disk and as chunks: the same numbers, or one sentence why not."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cscelab.codes import pack
from cscelab.evaluate import evaluate, mean_average_precision
from cscelab.retrieval.ranking import DENOMINATORS, TIES


def retrieval(n_query=10, n_items=300, bits=20, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.choice([-1, 1], (n_query + n_items, bits)).astype(np.int8)
    labels = rng.integers(0, n_classes, n_query + n_items)
    return codes[:n_query], labels[:n_query], codes[n_query:], labels[n_query:]


def chunks(codes, labels, *ids, size=37):
    for start in range(0, len(codes), size):
        yield tuple(part[start : start + size] for part in (codes, labels, *ids))


def comparable(report):
    """Every number of every query, but for the ties by index that one-shot chunks cannot give."""
    return {
        (m.name, m.ties, m.divided_by): m.per_query.tolist()
        for m in report.measures
        if (m.name[:3], m.ties) != ("mAP", "index")
    }


@pytest.mark.parametrize("kind", ["generator", "list", "packed", "tensors", "with empty chunks", "memory map"])
def test_every_kind_of_database_gives_the_same_numbers(kind, tmp_path):
    query, query_labels, codes, labels = retrieval()
    whole = evaluate(query, query_labels, codes, labels, k=(None, 50))
    bits = None
    if kind == "generator":
        database = (chunks(codes, labels),)
    elif kind == "list":
        database = (list(chunks(codes, labels)),)
    elif kind == "packed":
        database, bits, query = (chunks(pack(codes), labels),), 20, pack(query)
    elif kind == "tensors":
        database = (chunks(torch.from_numpy(codes), torch.from_numpy(labels)),)
    elif kind == "with empty chunks":
        database = (iter([(codes[:0], labels[:0]), (codes, labels), (codes[:0], labels[:0])]),)
    else:
        for name, array in (("codes", codes.astype(np.float32)), ("labels", labels)):
            np.save(tmp_path / f"{name}.npy", array)
        database = tuple(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("codes", "labels"))
    report = evaluate(query, query_labels, *database, k=(None, 50), bits=bits)
    assert comparable(report) == comparable(whole)
    assert report.n_database == 300
    assert report.codes.distinct_codes == whole.codes.distinct_codes
    if kind in ("list", "memory map"):
        assert report.map_at == whole.map_at
    elif kind == "generator":
        assert "index" not in report.map
        assert report.map["expected"] == whole.map["expected"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 90), st.integers(1, 200))
def test_any_cut_into_chunks_and_any_order_of_them_gives_the_same_bits(seed, size, n_items):
    query, query_labels, codes, labels = retrieval(3, n_items, 6, seed=seed)
    parts = list(chunks(codes, labels, size=size))
    np.random.default_rng(seed).shuffle(parts)
    for ties, denominator in itertools.product(("expected", "best", "worst"), DENOMINATORS):
        options = {"k": 1 + seed % 50, "ties": ties, "denominator": denominator}
        streamed = mean_average_precision(query, query_labels, parts, **options)
        assert streamed == mean_average_precision(query, query_labels, codes, labels, **options)


def test_chunks_carry_ids():
    codes, labels = retrieval()[2:]
    ids = np.arange(300)
    own = codes[:10], labels[:10]
    for ties in TIES:
        streamed = mean_average_precision(*own, list(chunks(codes, labels, ids)), ties=ties, query_ids=ids[:10])
        options = {"ties": ties, "query_ids": ids[:10], "database_ids": ids}
        assert streamed == mean_average_precision(*own, codes, labels, **options)
    with pytest.raises(ValueError, match="ids came for one side only"):
        mean_average_precision(*own, chunks(codes, labels), query_ids=ids[:10])
    with pytest.raises(ValueError, match="give them in the chunks"):
        mean_average_precision(*own, chunks(codes, labels, ids), query_ids=ids[:10], database_ids=ids)


def test_ties_by_index_refuse_what_can_be_read_only_once():
    query, query_labels, codes, labels = retrieval()
    with pytest.raises(ValueError, match="a generator can be read only once; give arrays"):
        mean_average_precision(query, query_labels, chunks(codes, labels), ties="index")
    report = evaluate(query, query_labels, chunks(codes, labels))
    assert list(report.map) == ["expected", "best", "worst"]


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ([(np.ones((2, 20)),)], r"a chunk of the database is a tuple; expected \(codes, labels\)"),
        ([np.ones((2, 20))], "a chunk of the database is a ndarray"),
        ([(np.ones((2, 19)), np.zeros(2))], "queries have 20 bits and the database 19"),
        ([(np.ones((2, 20)), np.zeros(3))], r"database labels have shape \(3,\); expected 2 class ids"),
        ([(np.ones((2, 20)), np.zeros((2, 4)))], "differ in kind"),
        ([(np.full((2, 20), 0.5), np.zeros(2))], "database codes: code value 0.5"),
        ([(np.ones((2, 20)), np.array([0, np.nan]))], "database labels hold NaN"),
        ([(-np.ones((2, 20)), np.zeros(2)), (np.zeros((2, 20)), np.zeros(2))], "others in 0 and 1"),
        ([], "the database is empty"),
        (np.ones((2, 20)), "database_labels are missing beside database codes of type ndarray"),
        (7, "database_labels are missing beside database codes of type int"),
    ],
)
def test_bad_chunks_are_refused_in_one_sentence(database, message):
    query, query_labels, _, _ = retrieval()
    for function in (mean_average_precision, evaluate):
        with pytest.raises(ValueError, match=message) as error:
            function(query, query_labels, database)
        assert "\n" not in str(error.value)


def test_values_of_a_streamed_database_are_refused():
    query, query_labels, codes, labels = retrieval()
    with pytest.raises(ValueError, match="leave query_values and database_values out"):
        evaluate(query, query_labels, chunks(codes, labels), query_values=query, database_values=codes)


def test_memory_does_not_grow_with_the_database(monkeypatch):
    import tracemalloc

    from cscelab.retrieval import diagnostics

    monkeypatch.setattr(diagnostics, "_MOST_DISTINCT_BYTES", 2**20)  # reached by both
    rng = np.random.default_rng(0)
    query, query_labels = rng.integers(0, 2, (20, 64)), rng.integers(0, 2, (20, 80))

    def peak(n_chunks):
        def stream():
            for _ in range(n_chunks):
                yield rng.integers(0, 256, (50_000, 8), dtype=np.uint8), rng.integers(0, 2, (50_000, 80), np.uint8)

        tracemalloc.start()
        evaluate(np.packbits(query, axis=1), query_labels, stream(), bits=64)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    few, many = peak(10), peak(40)
    assert many < 1.1 * few
    assert many < 200e6


def test_an_empty_chunk_of_one_bit_codes_is_nothing():
    query, labels = np.array([[1], [0]], np.uint8), np.array([0, 1])
    chunks_of = [(np.zeros((0, 1), np.uint8), np.zeros(0, int)), (query, labels)]
    assert mean_average_precision(query, labels, chunks_of, bits=1) == 1.0


@pytest.mark.parametrize(
    "write",
    [
        lambda a, path: np.asfortranarray(a),
        lambda a, path: a.astype(a.dtype.newbyteorder(">")),
        lambda a, path: a[::-1].copy()[::-1],
        lambda a, path: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),  # read-only
        lambda a, path: (np.save(path, a), np.load(path, mmap_mode="r"))[1],
    ],
    ids=["Fortran order", "big-endian", "negative strides", "read-only", "memory map"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_any_layout_of_the_same_array_gives_the_same_bits(write, packed, tmp_path):
    query, query_labels, codes, labels = retrieval()
    given, bits = (pack(codes), 20) if packed else (codes.astype(np.int16), None)
    asked = pack(query) if packed else query
    stored = write(given, tmp_path / "codes.npy"), write(labels, tmp_path / "labels.npy")
    for ties in ("expected", "index"):
        found = mean_average_precision(asked, query_labels, *stored, ties=ties, bits=bits)
        assert found == mean_average_precision(query, query_labels, codes, labels, ties=ties)

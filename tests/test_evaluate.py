"""Evaluation: every convention against brute force over the orders of tied items, invariances, and clear refusals."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from cscelab import evaluate as evaluation
from cscelab.codes import pack
from cscelab.evaluate import cosine_average_precision, evaluate, mean_average_precision
from cscelab.retrieval import ranking
from cscelab.retrieval.ranking import DENOMINATORS, TIES, Histograms
from cscelab.retrieval.sides import two_sides
from cscelab.retrieval.tally import tally


def exact_ap(relevant, k, denominator):
    """AP@k of one list of 0 / 1 in rank order, as a fraction: the definition, one rank at a time."""
    hits, total = 0, Fraction(0)
    for rank, is_relevant in enumerate(relevant[:k], start=1):
        hits += is_relevant
        total += Fraction(hits, rank) * is_relevant
    divisor = {"retrieved": hits, "capped": min(k, sum(relevant)), "relevant": sum(relevant)}[denominator]
    return total / divisor if divisor else Fraction(0)


def all_orders(distances, relevant):
    """Relevance lists of every order of the tied items; the first is the order of the database."""
    buckets = [[g for d, g in zip(distances, relevant, strict=True) if d == at] for at in sorted(set(distances))]
    for order in itertools.product(*(itertools.permutations(bucket) for bucket in buckets)):
        yield [g for bucket in order for g in bucket]


def random_case(seed, n_query=30, n_database=80, bits=6, n_classes=4):
    rng = np.random.default_rng(seed)
    codes = rng.choice([-1, 1], (n_query + n_database, bits)).astype(np.int8)
    labels = rng.integers(0, n_classes, n_query + n_database)
    return codes[:n_query], labels[:n_query], codes[n_query:], labels[n_query:]


def one_hot(labels, n_classes):
    return np.eye(n_classes, dtype=np.int64)[labels]


def collapsed_case(distances, relevant, bits):
    """One query of class 1, and items at the given distances from it."""
    query = np.ones((1, bits), np.int8)
    database = np.array([[-1] * d + [1] * (bits - d) for d in distances], np.int8)
    return query, np.array([1]), database, np.array(relevant)


@pytest.mark.parametrize("seed", range(25))
def test_every_policy_equals_brute_force_over_all_orders(seed):
    rng = np.random.default_rng(seed)
    n, bits = int(rng.integers(1, 8)), int(rng.integers(1, 4))
    distances = rng.integers(0, bits + 1, n).tolist()
    relevant = rng.integers(0, 2, n).tolist()
    case = collapsed_case(distances, relevant, bits)
    orders = list(all_orders(distances, relevant))
    for denominator, k in itertools.product(DENOMINATORS, [*range(1, n + 2), None]):
        values = [exact_ap(order, k or n, denominator) for order in orders]
        oracle = {
            "expected": sum(values) / len(values), "index": values[0], "best": max(values), "worst": min(values),
        }  # fmt: skip
        for ties in TIES:
            got = mean_average_precision(*case, k=k, ties=ties, denominator=denominator)
            assert got == pytest.approx(float(oracle[ties]), abs=1e-13), (ties, denominator, k)


def test_brute_force_on_one_tied_bucket_of_eight_cut_at_every_k():
    for n_relevant, k in itertools.product(range(9), range(1, 9)):
        sets = [[int(i in chosen) for i in range(8)] for chosen in itertools.combinations(range(8), n_relevant)]
        case = collapsed_case([2] * 8, [1] * n_relevant + [0] * (8 - n_relevant), bits=3)
        for denominator in DENOMINATORS:
            values = [exact_ap(order, k, denominator) for order in sets]
            for ties, value in {"expected": sum(values) / len(sets), "best": max(values), "worst": min(values)}.items():
                got = mean_average_precision(*case, k=k, ties=ties, denominator=denominator)
                assert got == pytest.approx(float(value), abs=1e-13), (n_relevant, k, denominator, ties)


def test_hand_worked_example():
    # Distance 0: one relevant. Distance 1: one relevant, one not. Orders: 1 1 0 and 1 0 1.
    case = collapsed_case([0, 1, 1], [1, 0, 1], bits=2)
    assert mean_average_precision(*case, ties="best") == pytest.approx((1 + 1) / 2)
    assert mean_average_precision(*case, ties="worst") == pytest.approx((1 + 2 / 3) / 2)
    assert mean_average_precision(*case, ties="index") == pytest.approx((1 + 2 / 3) / 2)
    assert mean_average_precision(*case) == pytest.approx((1 + 5 / 6) / 2)
    # At k = 2 half of the orders retrieve the second relevant item: 1/1 or 2/2 retrieved, 1/2 or 2/2 of min(k, N).
    assert mean_average_precision(*case, k=2) == pytest.approx(1.0)
    assert mean_average_precision(*case, k=2, denominator="capped") == pytest.approx(0.75)


def test_retrieved_rewards_missing_relevant_items_and_its_best_order_is_not_relevant_first():
    # One relevant item first, nine others, then a bucket of one relevant and one not, cut by k = 11.
    case = collapsed_case([0] + [1] * 9 + [2, 2], [1] + [0] * 9 + [1, 0], bits=3)
    found, missed = (1 + 2 / 11) / 2, 1.0
    assert mean_average_precision(*case, k=11, ties="best") == pytest.approx(missed)
    assert mean_average_precision(*case, k=11, ties="worst") == pytest.approx(found)
    assert mean_average_precision(*case, k=11, ties="best", denominator="capped") == pytest.approx((1 + 2 / 11) / 2)


@pytest.mark.parametrize("k", [None, 7, 40])
def test_any_order_of_the_database_gives_the_same_bits(k):
    query, query_labels, database, database_labels = random_case(1)
    shuffled = np.random.default_rng(5).permutation(len(database))
    for denominator, ties in itertools.product(DENOMINATORS, ("expected", "best", "worst")):
        options = {"k": k, "ties": ties, "denominator": denominator}
        first = mean_average_precision(query, query_labels, database, database_labels, **options)
        other = mean_average_precision(query, query_labels, database[shuffled], database_labels[shuffled], **options)
        assert first == other
    assert mean_average_precision(
        query, query_labels, database, database_labels, k=7, ties="index"
    ) != mean_average_precision(query, query_labels, database[shuffled], database_labels[shuffled], k=7, ties="index")


@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("k", [None, 1, 13, 80, 500])
def test_index_equals_a_naive_sort_and_lies_between_worst_and_best(k, denominator):
    case = random_case(2)
    query, query_labels, database, database_labels = case
    naive = []
    for code, label in zip(query, query_labels, strict=True):
        order = sorted(range(len(database)), key=lambda j: (int((database[j] != code).sum()), j))
        naive.append(float(exact_ap([int(database_labels[j] == label) for j in order], k or 80, denominator)))
    score = {ties: mean_average_precision(*case, k=k, ties=ties, denominator=denominator) for ties in TIES}
    assert score["index"] == pytest.approx(np.mean(naive), abs=1e-12)
    assert score["worst"] <= score["index"] <= score["best"]
    assert score["worst"] < score["expected"] < score["best"]


def test_expected_is_the_mean_over_random_orders_of_a_larger_database():
    query, query_labels, database, database_labels = random_case(3, n_query=5, n_database=2000, bits=4)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(400):
        shuffled = rng.permutation(len(database))
        draws.append(
            mean_average_precision(
                query, query_labels, database[shuffled], database_labels[shuffled], k=300, ties="index"
            )
        )
    expected = mean_average_precision(query, query_labels, database, database_labels, k=300)
    assert abs(np.mean(draws) - expected) < 4 * np.std(draws) / math.sqrt(len(draws))


def test_large_cut_bucket_agrees_with_exact_integers():
    # 3,000 items tied, 1,100 relevant, k = 700: the hypergeometric mean again, with exact binomials and plain sums.
    n, r, k = 3000, 1100, 700
    counts = Histograms(np.array([[0, n]]), np.array([[0, r]]))
    mean = 0.0
    for m in range(1, k + 1):
        weight = Fraction(math.comb(r, m) * math.comb(n - r, k - m), math.comb(n, k))
        total = math.fsum((1 + (i - 1) * (m - 1) / (k - 1)) / i for i in range(1, k + 1)) * m / k
        mean += float(weight) * total / m
    assert ranking.average_precision(counts, k)[0] == pytest.approx(mean, abs=1e-12)


def test_denominators_agree_when_everything_is_ranked():
    case = random_case(4)
    for ties in TIES:
        scores = [mean_average_precision(*case, ties=ties, denominator=name) for name in DENOMINATORS]
        assert scores == pytest.approx([scores[0]] * 3, abs=1e-13)


def counted(query, query_labels, database, database_labels, graded=False):
    return tally(*two_sides(query, query_labels, database, database_labels, None, None, None), graded)


def test_histograms_of_two_parts_add_up_to_the_whole():
    query, query_labels, database, database_labels = random_case(6)
    first, second = (
        counted(query, query_labels, database[part], database_labels[part]) for part in (slice(0, 33), slice(33, None))
    )
    whole, added = counted(query, query_labels, database, database_labels), first + second
    assert (whole.items == added.items).all()
    assert (whole.relevant == added.relevant).all()
    assert (whole.items.sum(axis=1) == 80).all()


def test_blocks_of_queries_change_nothing(monkeypatch):
    case = random_case(7)
    whole = [mean_average_precision(*case, k=9, ties=ties) for ties in TIES]
    monkeypatch.setattr(ranking, "_BLOCK_CELLS", 17)
    assert [mean_average_precision(*case, k=9, ties=ties) for ties in TIES] == whole


def test_multi_hot_with_one_label_equals_class_ids_and_any_shared_label_counts():
    query, query_labels, database, database_labels = case = random_case(8)
    multi_hot = query, one_hot(query_labels, 4), database, torch.from_numpy(one_hot(database_labels, 4)).bool()
    for ties in TIES:
        assert mean_average_precision(*multi_hot, k=20, ties=ties) == mean_average_precision(*case, k=20, ties=ties)
    code = np.ones((1, 2))
    shares_one = mean_average_precision(code, np.array([[1, 1, 0]]), code, np.array([[0, 1, 1]]))
    shares_none = mean_average_precision(code, np.array([[1, 1, 0]]), code, np.array([[0, 0, 1]]))
    assert (shares_one, shares_none) == (1.0, 0.0)


@pytest.mark.parametrize(
    "write",
    [
        lambda c: c.astype(np.float64),
        lambda c: (c > 0).astype(np.uint8),
        lambda c: c > 0,
        lambda c: torch.from_numpy(c).bfloat16(),
        lambda c: torch.from_numpy(c.astype(np.float32)).requires_grad_(),
    ],
)
def test_codes_are_taken_in_any_writing(write):
    query, query_labels, database, database_labels = case = random_case(9, bits=11)
    written = mean_average_precision(
        write(query), torch.from_numpy(query_labels), write(database), database_labels, bits=11
    )
    packed = mean_average_precision(
        pack(query), query_labels, pack(torch.from_numpy(database)), database_labels, bits=11
    )
    assert written == packed == mean_average_precision(*case)


def test_one_bit_codes_packed_or_written_out_are_the_same():
    query, query_labels, database, database_labels = case = random_case(10, bits=1)
    written = (query > 0).astype(np.uint8), query_labels, (database > 0).astype(np.uint8), database_labels
    packed = pack(query), query_labels, pack(database), database_labels
    assert mean_average_precision(*written, bits=1) == mean_average_precision(*packed, bits=1)
    assert mean_average_precision(*written, bits=1) == mean_average_precision(*case)


@pytest.mark.parametrize("ties", TIES)
def test_an_item_never_retrieves_itself(ties):
    codes, labels = random_case(11)[2:]
    ids = np.random.default_rng(0).permutation(len(codes)) * 10
    together = mean_average_precision(
        codes, labels, codes, labels, k=15, ties=ties, query_ids=ids, database_ids=torch.from_numpy(ids)
    )
    apart = []
    for i in range(len(codes)):
        rest = np.arange(len(codes)) != i
        apart.append(mean_average_precision(codes[[i]], labels[[i]], codes[rest], labels[rest], k=15, ties=ties))
    assert together == pytest.approx(np.mean(apart), abs=1e-13)
    assert together != mean_average_precision(codes, labels, codes, labels, k=15, ties=ties)


def test_queries_without_a_relevant_item_count_zero_or_are_dropped():
    query, query_labels, database, database_labels = random_case(12)
    unknown = query_labels.copy()
    unknown[:10] = 99
    kept = mean_average_precision(query[10:], query_labels[10:], database, database_labels)
    zero = mean_average_precision(query, unknown, database, database_labels)
    assert zero == pytest.approx(kept * 20 / 30)
    assert mean_average_precision(query, unknown, database, database_labels, empty="drop") == pytest.approx(kept)
    assert evaluate(query, unknown, database, database_labels).n_empty == 10
    with pytest.raises(ValueError, match="leaves none to average"):
        mean_average_precision(query, query_labels + 50, database, database_labels, empty="drop")


def test_a_query_with_relevant_items_but_no_hit_is_not_dropped():
    case = collapsed_case([0, 2], [0, 1], bits=2)
    assert mean_average_precision(*case, k=1, empty="drop") == 0.0


def test_released_map_lies_between_worst_and_best(shared_file):
    reference = np.load(shared_file("reference/released-code-values.npz"))
    case = [reference[f"rank_{name}"] for name in ("query", "query_labels", "database", "database_labels")]
    for k in (10, 100, 500):
        released = float(reference[f"rank_map_at_{k}_unstable_argsort"])
        worst, best = (mean_average_precision(*case, k=k, ties=ties) for ties in ("worst", "best"))
        assert worst <= released <= best
        assert worst < mean_average_precision(*case, k=k) < best


def test_cosine_ranking_refuses_ids_of_one_side():
    values = np.eye(2)
    with pytest.raises(ValueError, match="ids came for one side only"):
        cosine_average_precision(values, np.arange(2), values, np.arange(2), query_ids=np.arange(2))


def test_cosine_ranking_equals_a_naive_loop():
    rng = np.random.default_rng(13)
    query, database = rng.normal(size=(12, 5)), rng.normal(size=(50, 5))
    query_labels, database_labels = rng.integers(0, 3, 12), rng.integers(0, 3, 50)
    ids = np.arange(12), np.arange(6, 56)
    for denominator, k in itertools.product(DENOMINATORS, (None, 10)):
        got = cosine_average_precision(
            torch.from_numpy(query), query_labels, database, database_labels, k, denominator, *ids
        )
        for i in range(12):
            cosine = database @ query[i] / np.linalg.norm(database, axis=1)
            order = [j for j in np.argsort(-cosine) if ids[1][j] != ids[0][i]]
            relevant = [int(database_labels[j] == query_labels[i]) for j in order]
            assert got[i] == pytest.approx(float(exact_ap(relevant, k or 50, denominator)), abs=1e-12)


def test_report_agrees_with_the_definitions_one_query_at_a_time():
    query, query_labels, database, database_labels = case = random_case(14)
    report = evaluate(*case, k=25, precision_at=(1, 10, 80, 1000), radius=(0, 1, 99))
    distances = (query[:, None] != database[None]).sum(axis=2)
    relevant = query_labels[:, None] == database_labels[None]
    for ties, denominator in itertools.product(("expected", "index"), DENOMINATORS):
        alone = mean_average_precision(*case, k=25, ties=ties, denominator=denominator)
        assert report.map[ties][denominator] == alone
    rng = np.random.default_rng(0)
    draws = np.argsort(distances + rng.random((400, *distances.shape)), axis=2)[:, :, :10]
    precision = np.take_along_axis(np.broadcast_to(relevant, (400, *relevant.shape)), draws, axis=2).mean(axis=(1, 2))
    assert abs(report.precision_at[10] - precision.mean()) < 4 * precision.std() / 20
    assert report.precision_at[80] == pytest.approx(relevant.mean())
    assert report.recall_at[80] == pytest.approx(1.0)
    assert set(report.precision_at) == {1, 10, 80}, "a depth that no ranking reaches has no precision"
    for r in (0, 1, 99):
        near = distances <= r
        hits, found = (near & relevant).sum(axis=1), near.sum(axis=1)
        assert report.radius_precision[r] == pytest.approx((hits / np.maximum(found, 1)).mean())
        assert report.radius_recall[r] == pytest.approx((hits / relevant.sum(axis=1)).mean())
        assert report.radius_nothing[r] == (found == 0).sum()
    assert report.radius_nothing[0] > 0, "the case should hold queries that retrieve nothing"
    assert report.pr_curve.precision[1] == pytest.approx(report.radius_precision[1], abs=1e-15)
    assert report.pr_curve.recall[-1] == pytest.approx(1.0)
    for label, value in report.map_per_class.items():
        assert value == pytest.approx(report.average_precision[query_labels == label].mean())
    assert report.codes.within_distance == pytest.approx(distances[relevant].mean())
    assert report.codes.between_distance == pytest.approx(distances[~relevant].mean())
    assert report.codes.collisions == ((distances == 0) & ~relevant).sum()
    assert report.codes.colliding_queries == ((distances == 0) & ~relevant).any(axis=1).sum()
    assert report.codes.distinct_codes == len({tuple(code) for code in database})
    assert report.codes.bit_balance == pytest.approx((database > 0).mean(axis=0))


def test_map_per_class_counts_a_multi_label_query_for_each_of_its_labels():
    codes = np.array([[1, 1], [-1, 1]])
    report = evaluate(codes, np.array([[1, 1, 0], [0, 1, 0]]), codes, np.array([[1, 0, 0], [0, 1, 0]]), k=1)
    # The first query shares a label with the item at distance 0, and so does the second.
    assert report.map_per_class == {0: 1.0, 1: 1.0}
    swapped = evaluate(codes, np.array([[1, 1, 0], [1, 0, 0]]), codes, np.array([[1, 0, 0], [0, 1, 0]]), k=1)
    assert swapped.map_per_class == {0: 0.5, 1: 1.0}


def test_continuous_map_is_what_binarising_costs():
    query, query_labels, database, database_labels = random_case(15, bits=8)
    rng = np.random.default_rng(1)
    query_values = query * rng.random(query.shape)
    database_values = database * rng.random(database.shape)
    report = evaluate(
        query, query_labels, database, database_labels, k=20, query_values=query_values, database_values=database_values
    )
    for denominator in DENOMINATORS:
        alone = cosine_average_precision(query_values, query_labels, database_values, database_labels, 20, denominator)
        assert report.continuous_map[denominator] == pytest.approx(alone.mean())
    # Values that are the codes themselves rank as the codes do.
    same = evaluate(query, query_labels, database, database_labels, query_values=query, database_values=database)
    assert same.continuous_map == pytest.approx(same.map["index"])
    assert evaluate(query, query_labels, database, database_labels).continuous_map is None


def test_report_can_be_read_and_stored():
    query, query_labels, database, database_labels = random_case(16)
    query_labels[0] = 77
    report = evaluate(
        query, query_labels, database, database_labels, k=30, query_values=query, database_values=database
    )
    table = report.table()
    for text in (
        "mAP@30",
        "finding fewer can raise it",
        "1 queries have no relevant item",
        "ties expected",
        "by cosine",
    ):
        assert text in table
    stored = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert stored["map"]["expected"]["capped"] == report.map["expected"]["capped"]
    assert stored["average_precision"] == report.average_precision.tolist()
    assert stored["pr_curve"]["recall"] == report.pr_curve.recall.tolist()
    assert stored["codes"]["bit_balance"] == report.codes.bit_balance.tolist()
    assert stored["map_per_class"]["77"] == 0.0
    frame = pytest.importorskip("pandas") and report.to_frame()
    row = frame[(frame.measure == "mAP@30") & (frame.ties == "index") & (frame.divided_by == "relevant")]
    assert row.value.item() == report.map["index"]["relevant"]
    no_pairs = evaluate(query, query_labels + 100, database, database_labels)
    assert json.loads(json.dumps(no_pairs.to_dict(), allow_nan=False))["codes"]["within_distance"] is None
    assert "within classes - bits" in no_pairs.table()


def test_evaluating_needs_no_pandas_or_scipy():
    import subprocess
    import sys

    check = """
import sys
sys.modules |= dict.fromkeys(("pandas", "scipy", "matplotlib", "faiss", "h5py"))  # as if they were not installed
import numpy as np
from cscelab.evaluate import evaluate
print(evaluate(np.eye(2), np.arange(2), np.eye(2), np.arange(2)).map["expected"]["retrieved"])
"""
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1.0"


GOOD = {
    "query_codes": np.array([[1, -1, 1], [1, 1, 1]]), "query_labels": np.array([0, 1]),
    "database_codes": np.array([[1, -1, -1], [1, 1, 1]]), "database_labels": np.array([0, 1]),
}  # fmt: skip
BAD = [
    ({"k": 0}, "k is 0; expected a whole number of at least 1"),
    ({"k": 2.5}, "k is 2.5"),
    ({"k": True}, "k is True"),
    ({"bits": 4}, "query codes have 3 columns, but bits=4"),
    ({"database_codes": np.ones((2, 5))}, "queries have 3 bits and the database 5"),
    ({"query_codes": np.array([[1, 0, -1], [1, 1, 1]])}, "query codes: a code value of 0"),
    ({"query_codes": np.array([[1, np.nan, -1], [1, 1, 1]])}, "query codes: code value nan"),
    ({"database_codes": np.array([[200, 3, 1], [1, 1, 1]], np.uint8)}, "packed uint8 codes need bits="),
    ({"query_codes": np.ones(3)}, r"query codes: codes of shape \(3,\)"),
    ({"query_codes": np.array([["a", "b"]])}, "query codes are of type <U1"),
    ({"query_codes": np.ones((0, 3)), "query_labels": np.ones(0, int)}, "query codes are empty"),
    ({"database_codes": np.ones((0, 3)), "database_labels": np.ones(0, int)}, "database codes are empty"),
    ({"query_labels": np.array([0, 1, 2])}, r"query labels have shape \(3,\); expected 2 class ids"),
    ({"query_labels": np.zeros((2, 2, 2))}, r"query labels have shape \(2, 2, 2\)"),
    ({"query_labels": np.array([0, np.nan])}, "query labels hold NaN or fractions"),
    ({"query_labels": np.array([0, 0.5])}, "query labels hold NaN or fractions"),
    (
        {"query_labels": np.eye(2), "database_labels": np.array([[0, 1], [5, 0]])},
        "database labels .* other values than 0 and 1",
    ),
    ({"query_labels": np.eye(2)}, "differ in kind"),
    ({"query_labels": np.eye(2), "database_labels": np.ones((2, 3))}, "differ in kind"),
    ({"query_ids": np.arange(2)}, "ids came for one side only"),
    ({"k": 2**63}, "k is 9223372036854775808; expected a whole number"),
    ({"query_codes": [[1, -1, 1], [1]]}, "query codes are rows of different lengths"),
    ({"query_codes": np.array([[1j, 1, 1], [1, 1, 1]])}, "^query codes are of type complex128"),
    (
        {"query_labels": np.array([0, 1e300])},
        r"query labels run from 0.0 to 1e\+300; expected whole",
    ),
    ({"query_ids": np.arange(3), "database_ids": np.arange(2)}, "query ids are int64"),
    ({"query_ids": np.arange(2), "database_ids": np.array([0.0, np.nan])}, "database ids are float64"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
@pytest.mark.parametrize("function", [mean_average_precision, evaluate])
def test_bad_input_is_refused_in_one_sentence(function, change, message):
    with pytest.raises(ValueError, match=message) as error:
        function(**{**GOOD, **change})
    assert "\n" not in str(error.value)


def test_unknown_conventions_are_refused_with_the_choices():
    for change in ({"ties": "random"}, {"denominator": "all"}, {"empty": "skip"}):
        with pytest.raises(ValueError, match="choose from"):
            mean_average_precision(**GOOD, **change)
    with pytest.raises(ValueError, match="cannot be had from histograms"):
        ranking.average_precision(Histograms(np.ones((1, 2), int), np.ones((1, 2), int)), ties="index")


def test_bad_options_of_the_report_are_refused():
    values = np.ones((2, 4))
    for change, message in [
        ({"precision_at": (0,)}, "precision_at is 0"),
        ({"precision_at": 0}, "precision_at is 0"),
        ({"precision_at": None}, "precision_at is None"),
        ({"k": ()}, "k is an empty list"),
        ({"k": "all"}, "k is 'all'; expected a whole number"),
        ({"ties": "any"}, "unknown ties 'any'"),
        ({"query_values": np.array(1.0), "database_values": values}, "1 query values came with 2 codes"),
        ({"radius": (-1,)}, "radius is -1; expected a whole number of at least 0"),
        ({"query_values": values}, "database_values are missing"),
        ({"query_values": values, "database_values": np.ones((3, 4))}, "3 database values came with 2 codes"),
        ({"query_values": values, "database_values": np.ones((2, 5))}, "queries have 4 columns and the database 5"),
        ({"query_values": values, "database_values": values * np.inf}, "no NaN or infinity"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate(**GOOD, **change)


def test_every_row_of_a_report_can_be_asked_for_by_its_name():
    case = random_case(21, bits=8)
    multi_hot = case[0], one_hot(case[1], 4), case[2], one_hot(case[3], 4)
    report = evaluate(*multi_hot, k=(None, 20), query_values=case[0], database_values=case[2])
    for row in report.rows():
        found = report.measure(row["measure"], row["ties"], row["divided_by"])
        assert found.value == row["value"]
        assert report.measure(row["measure"]).name == row["measure"]
        assert row["low"] <= row["value"] <= row["high"]
    with pytest.raises(ValueError, match="no measure 'mAP@7'; it has mAP@all, mAP@20"):
        report.measure("mAP@7")
    with pytest.raises(ValueError, match=r"no measure 'precision@1', 'worst'; it has precision@1 \(expected, n\)"):
        report.measure("precision@1", "worst")


def test_a_difference_of_reports_is_paired_and_refuses_other_queries():
    query, query_labels, database, database_labels = case = random_case(22)
    report = evaluate(*case)
    other = evaluate(-query, query_labels, database, database_labels)
    found = report.difference(other, "mAP@all")
    assert found.value == pytest.approx(report.map["expected"]["retrieved"] - other.map["expected"]["retrieved"])
    assert found.low < found.value < found.high
    assert report.difference(report, "precision within 2").high == 0
    with pytest.raises(ValueError, match="cannot be paired"):
        report.difference(evaluate(query, query_labels[::-1], database, database_labels), "mAP@all")


def test_average_precision_of_millions_equals_plain_sums():
    items, relevant = np.array([3, 1_000_000, 2_000_000, 0, 7]), np.array([1, 200_000, 0, 0, 7])
    precise, before, hits, total = [], 0, 0, 0.0
    for n, r in zip(items, relevant, strict=True):
        i = np.arange(1, n + 1, dtype=np.longdouble)
        share = (r - 1) / np.longdouble(n - 1) if n > 1 else np.longdouble(0)
        precise.append(np.sum(r / np.longdouble(max(n, 1)) * (hits + 1 + (i - 1) * share) / (before + i)))
        before, hits = before + n, hits + r
    total = float(np.sum(precise) / hits)
    found = ranking.average_precision(Histograms(items[None], relevant[None]))[0]
    assert found == pytest.approx(total, rel=1e-12)


def test_public_names_are_those_that_others_rely_on():
    signature = evaluation.mean_average_precision.__annotations__
    assert list(signature)[:11] == [
        "query_codes", "query_labels", "database_codes", "database_labels", "k", "ties", "denominator", "empty", "bits",
        "query_ids", "database_ids",
    ]  # fmt: skip

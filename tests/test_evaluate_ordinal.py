"""Evaluation of ordinal codes: mAP that of the one-hot codes to the last bit, distances in symbols, errors named."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from cscelab.codes import pack
from cscelab.datasets.aviary import Aviary
from cscelab.encode import Encoded
from cscelab.evaluate import evaluate, mean_average_precision
from cscelab.experiment import Experiment, Run
from cscelab.figures.conventions import conventions
from cscelab.figures.curves import precision_recall
from cscelab.figures.ranks import rank_figure, rank_query
from cscelab.methods.csq import CSQConfig
from cscelab.methods.doh import DOHConfig
from cscelab.ordinal import one_hot_codes
from cscelab.retrieval.ranking import DENOMINATORS, TIES
from cscelab.score import score
from cscelab.stored import measure, report


def one_hot(symbols, arity=4):
    return one_hot_codes(torch.as_tensor(symbols), arity).numpy()


def random_symbols(seed=0, n_query=20, n_database=90, n_symbols=5, arity=4, n_classes=3, noise=0.5):
    """Symbols of a class's own, of which a share is drawn anew: near codes, ties, and all symbols."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n_query + n_database)
    own = rng.integers(0, arity, (n_classes, n_symbols))[labels]
    symbols = np.where(rng.random(own.shape) < noise, rng.integers(0, arity, own.shape), own)
    return symbols[:n_query], labels[:n_query], symbols[n_query:], labels[n_query:]


def as_codes(case, arity=4):
    return one_hot(case[0], arity), case[1], one_hot(case[2], arity), case[3]


def in_classes(labels, n_classes=3):
    """Multi-hot: each class with a second one for every third item."""
    found = np.eye(n_classes, dtype=bool)[labels]
    found[::3] |= np.eye(n_classes, dtype=bool)[(labels[::3] + 1) % n_classes]
    return found


def by_name(found):
    return {f"{one.name} {one.ties} {one.divided_by}": one.per_query.tolist() for one in found.measures}


def naive_ap(relevant, k, denominator):
    """AP@k of one list of 0 / 1 in rank order, a rank at a time."""
    hits, total = 0, 0.0
    for rank, is_relevant in enumerate(relevant[:k], start=1):
        hits += is_relevant
        total += is_relevant * hits / rank
    n_relevant = sum(relevant)
    divisor = {"retrieved": hits, "capped": min(k, n_relevant), "relevant": n_relevant}[denominator]
    return total / divisor if divisor else 0.0


def naive_distances(query, database):
    return [[sum(a != b for a, b in zip(q, d, strict=True)) for d in database] for q in query]


def test_a_case_worked_by_hand():
    query, labels = one_hot([[0, 1]]), np.array([7])
    database = one_hot([[0, 1], [0, 2], [3, 1], [2, 2]])  # 0, 1, 1 and 2 symbols away
    found = evaluate(query, labels, database, np.array([7, 0, 7, 7]), radius=(0, 1, 2, 9), arity=4)
    assert (found.bits, found.arity, found.unit, str(found.layout)) == (4, 4, "symbols", "4 bits (2 symbols of 4)")
    assert found.histograms.items.tolist() == [[1, 2, 1]]
    assert found.histograms.relevant.tolist() == [[1, 1, 1]]
    assert found.radius_precision == pytest.approx({0: 1, 1: 2 / 3, 2: 3 / 4, 9: 3 / 4})
    assert found.radius_recall == pytest.approx({0: 1 / 3, 1: 2 / 3, 2: 1, 9: 1})
    assert found.pr_curve.precision == pytest.approx([1, 2 / 3, 3 / 4])
    # 1/1, then 2/2 or 2/3, then 3/4
    assert found.map["best"]["relevant"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert found.map["worst"]["relevant"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert found.map["expected"]["relevant"] == pytest.approx((1 + 5 / 6 + 3 / 4) / 3)
    codes = found.codes
    assert codes.bit_balance.tolist() == [0.5, 0, 0.25, 0.25, 0, 0.5, 0.5, 0]
    assert (codes.within_distance, codes.between_distance) == (1.0, 1.0)
    assert codes.within_histogram.tolist() == [1, 1, 1]
    assert codes.between_histogram.tolist() == [0, 1, 0]
    assert codes.distinct_codes == 4


@pytest.mark.parametrize(("seed", "arity"), [(0, 2), (1, 4), (2, 4), (3, 8)])
def test_every_tie_policy_and_radius_equals_a_naive_loop_over_symbols(seed, arity):
    case = random_symbols(seed, n_query=3, n_database=6, n_symbols=3, arity=arity)
    found = evaluate(*as_codes(case, arity), k=(None, 4), radius=range(4), arity=arity)
    distances = naive_distances(case[0], case[2])
    relevant = [[int(d == q) for d in case[3]] for q in case[1]]
    for k, denominator in itertools.product((None, 4), DENOMINATORS):
        sums = dict.fromkeys(TIES, 0.0)
        for away, good in zip(distances, relevant, strict=True):
            blocks = [[g for d, g in zip(away, good, strict=True) if d == at] for at in sorted(set(away))]
            orders = itertools.product(*(itertools.permutations(block) for block in blocks))
            values = [naive_ap([g for block in order for g in block], k or 6, denominator) for order in orders]
            of_query = {"expected": np.mean(values), "index": values[0], "best": max(values), "worst": min(values)}
            sums = {ties: sums[ties] + of_query[ties] for ties in TIES}
        for ties in TIES:
            assert found.map_at[k][ties][denominator] == pytest.approx(sums[ties] / 3, abs=1e-12), (k, ties)
    near = np.array(distances)[:, :, None] <= np.arange(4)  # (Q, N, R+1)
    hits = (near & (np.array(relevant) == 1)[:, :, None]).sum(axis=1)
    n_near, n_relevant = near.sum(axis=1), np.array(relevant).sum(axis=1, keepdims=True)
    assert found.pr_curve.precision == pytest.approx((hits / np.maximum(n_near, 1)).mean(axis=0))
    assert found.pr_curve.recall == pytest.approx((hits / np.maximum(n_relevant, 1)).mean(axis=0))
    assert list(found.radius_precision.values()) == pytest.approx(found.pr_curve.precision)
    assert list(found.radius_nothing.values()) == (n_near == 0).sum(axis=0).tolist()


@pytest.mark.parametrize("arity", [2, 4, 16])
@pytest.mark.parametrize("multi_hot", [False, True])
def test_what_goes_by_rank_is_to_the_last_bit_that_of_the_one_hot_codes(arity, multi_hot):
    query, query_labels, database, database_labels = as_codes(random_symbols(4, arity=arity), arity)
    if multi_hot:
        query_labels, database_labels = in_classes(query_labels), in_classes(database_labels)
    options = {"k": (None, 20), "query_ids": np.arange(20), "database_ids": np.arange(10, 100)}
    case = (query, query_labels, database, database_labels)
    plain, found = evaluate(*case, **options), evaluate(*case, **options, arity=arity)
    by_rank = {name: values for name, values in by_name(plain).items() if "within" not in name}
    assert {name for name in by_name(found) if "within" in name} == set(by_name(plain)) - set(by_rank)
    assert {name: by_name(found)[name] for name in by_rank} == by_rank
    assert found.map_at == plain.map_at
    assert found.graded == plain.graded
    alone = mean_average_precision(
        *case, k=20, ties="index", query_ids=options["query_ids"], database_ids=options["database_ids"]
    )
    assert found.map_at[20]["index"]["retrieved"] == alone
    for mine, theirs in zip(vars(found.histograms).values(), vars(plain.histograms).values(), strict=True):
        assert (mine is None) == (theirs is None) == (not multi_hot and mine is None)
        if mine is not None:
            assert mine.shape[-1] == 5 + 1
            assert np.array_equal(mine, theirs[..., : 2 * 5 + 1 : 2])
            assert theirs.sum() == mine.sum()
    assert found.codes.within_distance == plain.codes.within_distance / 2
    assert found.codes.between_distance == plain.codes.between_distance / 2
    assert found.codes.distinct_codes == plain.codes.distinct_codes
    assert found.codes.collisions == plain.codes.collisions
    assert found.codes.bit_balance.tolist() == plain.codes.bit_balance.tolist()


def test_two_values_a_symbol_are_the_plain_bits_of_their_sign():
    values = np.random.default_rng(5).normal(size=(110, 9, 2))
    bits = np.where(values[:, :, 0] > values[:, :, 1], 1, -1)
    labels = np.random.default_rng(6).integers(0, 3, 110)
    codes = one_hot(values.argmax(axis=2), 2)
    plain, found = (
        evaluate(c[:20], labels[:20], c[20:], labels[20:], k=30, radius=(0, 2, 4), **options)
        for c, options in ((bits, {}), (codes, {"arity": 2}))
    )
    assert (found.bits, plain.bits, found.unit) == (9, 9, "symbols")
    assert by_name(found) == by_name(plain)
    for name in ("map_at", "radius_precision", "radius_recall", "radius_nothing", "map_per_class"):
        assert getattr(found, name) == getattr(plain, name), name
    assert np.array_equal(found.pr_curve, plain.pr_curve)
    assert np.array_equal(found.histograms.items, plain.histograms.items)
    assert found.codes.within_distance == plain.codes.within_distance
    # Both bits of a symbol are its bit or the opposite, so that the correlation of two is the plain bits' or minus it.
    assert found.codes.mean_correlation == pytest.approx(plain.codes.mean_correlation)


def test_permuting_the_values_of_a_group_in_all_images_changes_no_number():
    query, query_labels, database, database_labels = random_symbols(7)
    renamed = np.array([np.random.default_rng(8 + r).permutation(4) for r in range(5)])  # (R, k)
    found, other = (
        evaluate(*as_codes((q, query_labels, d, database_labels)), k=(None, 20), arity=4)
        for q, d in (
            (query, database),
            (renamed[np.arange(5), query], renamed[np.arange(5), database]),
        )
    )
    assert other.rows() == found.rows()
    assert by_name(other) == by_name(found)
    assert np.array_equal(other.histograms.items, found.histograms.items)
    shares = [one.codes.bit_balance.reshape(5, 4) for one in (found, other)]
    assert not np.array_equal(*shares)
    assert np.array_equal(*np.sort(shares, axis=2))
    assert other.codes.mean_correlation == pytest.approx(found.codes.mean_correlation)


def test_correlation_is_told_of_bits_of_different_groups():
    case = random_symbols(9, noise=0.7)
    found = evaluate(*as_codes(case), arity=4)
    chosen = (one_hot(case[2]) > 0).astype(float)
    expected = np.corrcoef(chosen.T)  # (R k, R k)
    assert found.codes.bit_correlation == pytest.approx(expected)
    pairs = [(i, j) for i in range(20) for j in range(20) if i // 4 != j // 4]
    assert found.codes.mean_correlation == pytest.approx(np.mean([abs(expected[i, j]) for i, j in pairs]))
    alone = as_codes(random_symbols(9, n_symbols=1))
    assert evaluate(*alone, arity=4).codes.mean_correlation == 0.0


def test_chunks_packed_codes_and_tensors_give_the_same_report():
    query, query_labels, database, database_labels = as_codes(random_symbols(10, n_symbols=3))  # 12 bits: 4 are filling
    whole = evaluate(query, query_labels, database, database_labels, arity=4).to_dict()
    packed = evaluate(pack(query), query_labels, pack(database), database_labels, bits=6, arity=4)
    assert packed.bits == 6
    written = evaluate(torch.from_numpy(query).float(), query_labels, database > 0, database_labels, arity=4)
    chunks = [(database[i : i + 7], database_labels[i : i + 7]) for i in range(0, 90, 7)]
    assert packed.to_dict() == written.to_dict() == evaluate(query, query_labels, chunks, arity=4).to_dict() == whole
    once = evaluate(query, query_labels, iter(chunks), arity=4)
    assert set(once.map) == {"expected", "best", "worst"}
    assert once.map["expected"] == whole["map"]["expected"]


def test_the_report_speaks_of_symbols_and_that_of_plain_bits_is_as_it_was():
    case = as_codes(random_symbols(11))
    values = {"query_values": case[0] * 0.3, "database_values": case[2] * 0.3}
    plain, found = evaluate(*case, **values), evaluate(*case, **values, arity=4)
    lines = found.table().splitlines()
    assert lines[0] == "10 bits (5 symbols of 4), 20 queries against 90 items"
    assert "Radii and distances count the symbols that differ." in lines
    low, high = found.codes.bit_balance.min(), found.codes.bit_balance.max()
    assert f"A symbol of a group stands in {low:.2f} to {high:.2f} of the database, 0.25 if all are used" in lines[-2]
    within, between = found.codes.within_distance, found.codes.between_distance
    assert lines[-1] == f"Mean distance within classes {within:.2f} symbols, between classes {between:.2f} symbols."
    assert found.codes.quantization_error is None
    assert plain.codes.quantization_error == pytest.approx(0.49)
    assert found.continuous_map == plain.continuous_map
    stored, before = (json.loads(json.dumps(one.to_dict(), allow_nan=False)) for one in (found, plain))
    assert (stored["bits"], stored["arity"], stored["unit"]) == (10, 4, "symbols")
    assert (before["bits"], before["arity"], before["unit"]) == (20, None, "bits")
    assert len(stored["pr_curve"]["recall"]) == 6
    lines = plain.table().splitlines()
    assert lines[0] == "20 bits, 20 queries against 90 items"
    assert "symbol" not in plain.table()
    assert lines[-3].startswith("A bit is +1 in ")
    assert "mean absolute correlation of two bits" in lines[-3]


def changed(codes, row, group, bits):
    codes = codes.copy()
    codes[row, 4 * group : 4 * group + 4] = bits
    return codes


GOOD = dict(
    zip(("query_codes", "query_labels", "database_codes", "database_labels"), as_codes(random_symbols(12)), strict=True)
)
TWO_AND_NONE = changed(changed(GOOD["database_codes"], 40, 3, [1, -1, 1, -1]), 41, 3, [-1] * 4)
ONE_HOT = "expected exactly one: give one-hot codes of this arity, or leave the arity out for codes of plain bits"
BAD = [
    ({"query_codes": changed(GOOD["query_codes"], 6, 2, [1, 1, -1, 1])},
     "query codes: code 6 has 3 bits of +1 in group 2 of 4; " + ONE_HOT),
    ({"query_codes": changed(GOOD["query_codes"], 0, 4, [-1] * 4)}, "query codes: code 0 has 0 bits of +1 in group 4"),
    ({"database_codes": changed(GOOD["database_codes"], 89, 1, [1, -1, -1, 1])},
     "database codes: some have several bits of +1 in group 1, of 4 bits; " + ONE_HOT),
    ({"database_codes": changed(GOOD["database_codes"], 0, 0, [-1] * 4)}, "database codes: some have no bit of +1 in "
     "group 0"),
    # As many set bits as items in the group, of which one has two and one has none.
    ({"database_codes": TWO_AND_NONE}, "database codes: some have several bits of +1 in group 3"),
    ({"arity": 8}, "arity=8 came with codes of 20 bits, which are no whole number of symbols; give one-hot codes, 8 "),
    ({"arity": 2}, "query codes: code 0 has "),
    ({"arity": 3}, "groups of 3 values were asked for; give a power of two"),
    ({"arity": 1}, "arity is 1; expected a whole number of at least 2"),
    ({"bits": 20}, "query codes have 20 columns, but bits=20, with arity=4 40 columns one-hot or 5 packed; give the "
     "bits that the symbols tell, 2 a symbol"),
    ({"query_codes": pack(GOOD["query_codes"]), "bits": 20}, "query codes have 3 columns, but bits=20, with arity=4 "),
    ({"bits": 11}, "11 bits are no whole number of symbols of 2 bits"),
    ({"bits": 20, "arity": 1}, "arity is 1; expected a whole number of at least 2"),
    ({"arity": 4.0}, "arity is 4.0; expected a whole number of at least 2"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), BAD)
@pytest.mark.parametrize("function", [evaluate, score])
def test_codes_that_are_not_one_hot_of_the_arity_are_refused_in_one_sentence(function, change, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the sentence is compared below)
        function(**{**GOOD, "arity": 4, **change})
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_wrong_code_is_found_in_the_last_of_many_packed_chunks():
    codes = pack(TWO_AND_NONE)
    chunks = [(codes[i : i + 10], GOOD["database_labels"][i : i + 10]) for i in range(0, 90, 10)][::-1]
    with pytest.raises(ValueError, match="database codes: some have several bits"):
        evaluate(pack(GOOD["query_codes"]), GOOD["query_labels"], iter(chunks), bits=10, arity=4)
    sound = [pair for i, pair in enumerate(chunks) if i != 4]
    assert evaluate(pack(GOOD["query_codes"]), GOOD["query_labels"], sound, bits=10, arity=4).n_database == 80


# --- stored runs and pictures


def stored_run(folder, method, codes, name):
    """A run of these codes (query codes, labels, database codes, labels), as `experiment.run` stores it."""
    experiment = Experiment(name, Aviary(n_classes=3), method, bits=10)
    arrays, sides = {}, []
    for split, first in (("query", 0), ("database", 2)):
        rows, labels = codes[first], codes[first + 1]
        ids = np.arange(len(rows)) + 1000 * first
        values = (rows * np.random.default_rng(first).random(rows.shape)).astype(np.float32)
        sides.append(Encoded(pack(rows), values, None, labels, ids, experiment.layout))
        arrays |= {f"{split}_codes": pack(rows), f"{split}_values": values, f"{split}_labels": labels}
        arrays |= {f"{split}_ids": ids}
    found = Run(experiment, folder / name)
    found.folder.mkdir()
    (found.folder / "metrics.json").write_text(json.dumps(measure(experiment, *sides) | {"n_classes": 3}))
    np.savez(found.folder / "codes.npz", **arrays)
    return found


@pytest.fixture
def runs(tmp_path):
    rng = np.random.default_rng(13)
    case = random_symbols(14)
    bits = [rng.choice([-1, 1], (n, 10)).astype(np.int8) for n in (20, 90)]
    return {
        "DOH": stored_run(tmp_path, DOHConfig(arity=4), as_codes(case), "ordinal"),
        "CSQ": stored_run(tmp_path, CSQConfig(), (bits[0], case[1], bits[1], case[3]), "plain"),
    }


def test_a_stored_run_is_measured_and_reported_in_its_own_units(runs):
    for name, arity, unit, longest in (("DOH", 4, "symbols", 5), ("CSQ", None, "bits", 10)):
        stored, again = runs[name].metrics["report"], report(runs[name])
        assert (again.bits, again.arity, again.unit) == (10, arity, unit)
        assert stored == json.loads(json.dumps(again.to_dict()))
        assert len(stored["pr_curve"]["recall"]) == longest + 1
        assert stored["continuous_map"]["retrieved"] == runs[name].metrics["continuous_map"]


@pytest.mark.parametrize(("names", "said"), [
    (("CSQ",), ""), (("DOH",), "; radii in symbols"), (("DOH", "CSQ"), "; radii in bits (DOH: in symbols)"),
])  # fmt: skip
def test_curves_by_radius_say_what_a_radius_counts(runs, names, said):
    figure = precision_recall({name: runs[name] for name in names})
    (axes,) = figure.axes
    assert axes.get_xlabel().endswith(said)
    assert ("radii in" in axes.get_xlabel()) == ("radii in" in figure.alt) == bool(said)
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1]  # a ring is one point
    for line, name in zip(lines, names, strict=True):
        assert list(line.get_xdata()) == runs[name].metrics["report"]["pr_curve"]["recall"]
    figure.draw_without_rendering()
    box = axes.xaxis.label.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_the_ranking_of_a_query_is_drawn_over_symbols():
    codes = as_codes(random_symbols(15))
    ranking = rank_query(*codes, row=3, arity=4)
    assert (ranking.unit, len(ranking.items), ranking.n_items) == ("symbols", 6, 90)
    assert "Hamming distance (symbols)" in [axes.get_xlabel() for axes in rank_figure(ranking).axes]
    plain = rank_query(*codes, row=3)
    assert plain.at == ranking.at
    assert "Hamming distance (bits)" in [axes.get_xlabel() for axes in rank_figure(plain).axes]
    assert replace(ranking, unit="bits").block_of(90) * 2 == plain.block_of(90)


def test_scores_of_ordinal_codes_name_the_symbols_and_change_no_map(tmp_path):
    plain, found = (score(**GOOD, ks=(None, 20), orders=3, arity=arity) for arity in (None, 4))
    assert found.rows() == plain.rows()
    assert found.table().startswith("mAP@k of 10 bits (5 symbols of 4), 20 queries against 90 items\n")
    assert plain.table().startswith("mAP@k of 20 bits, 20 queries against 90 items\n")
    stored = json.loads(found.save(tmp_path)[1].read_text())["report"]
    assert stored["radius_precision"]["1"] == plain.report.pr_curve.precision[2]
    assert "10 bits (5 symbols of 4), 20 queries" in conventions(found).axes[0].get_xlabel()

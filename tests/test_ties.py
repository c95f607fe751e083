"""Ties: sorts against naive loops, the exact value under every arrangement, and the pictures that show both."""

import numpy as np
import pytest
from fake_runs import texts

from cscelab.codes import pack
from cscelab.evaluate import evaluate, mean_average_precision
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.tie_lessons import (
    by_hand,
    denominators_figure,
    forget,
    gain_by_losing,
    orders_table,
    tie_sizes,
    tie_sizes_figure,
    tie_table,
)
from cscelab.figures.ties import LONGEST_TRAIL, Arrangement, Trail, exact_sentence, measured, ties_figure
from cscelab.retrieval.ranking import DENOMINATORS, average_precision
from cscelab.retrieval.sorters import (
    ARRANGEMENTS,
    EVALUATORS,
    SORTS,
    collapsed_codes,
    histograms,
    pair_up,
    published_map,
    rearranged,
    sorted_average_precision,
    sorted_map,
)

SIDES = ("query_codes", "query_labels", "database_codes", "database_labels")


def drawn(seed=0, n_query=7, n_database=40, bits=5, n_classes=3):
    rng = np.random.default_rng(seed)
    codes, labels = rng.choice([-1, 1], (n_query + n_database, bits)), rng.integers(0, n_classes, n_query + n_database)
    parts = codes[:n_query], labels[:n_query], codes[n_query:], labels[n_query:]
    return dict(zip(SIDES, parts, strict=True))


def naive_ap(relevant, n_relevant, denominator):
    """AP of one list of 0 / 1 in rank order, as the definition reads."""
    hits, total = 0, 0.0
    for rank, is_relevant in enumerate(relevant, start=1):
        if is_relevant:
            hits += 1
            total += hits / rank
    divisor = {"retrieved": hits, "capped": min(len(relevant), n_relevant), "relevant": n_relevant}[denominator]
    return total / divisor if divisor else 0.0


def curve(axes, name):
    """Heights of the curve of that name."""
    return next(np.asarray(line.get_ydata()) for line in axes.lines if line.get_label() == name)


def test_pairs_hold_distances_and_shared_labels():
    codes = drawn()
    pairs = pair_up(**codes)
    for i, j in ((0, 0), (3, 39), (6, 20)):
        assert pairs.distances[i, j] == sum(codes["query_codes"][i] != codes["database_codes"][j])
        assert pairs.relevant[i, j] == (codes["query_labels"][i] == codes["database_labels"][j])
    assert pairs.distances.dtype == np.float32
    several = pair_up(np.ones((1, 2)), np.array([[1, 1, 0]]), np.ones((2, 2)), np.array([[0, 1, 1], [0, 0, 1]]))
    assert several.relevant.tolist() == [[True, False]]


def test_histograms_count_every_pair_once():
    pairs = pair_up(**drawn())
    counts = histograms(pairs)
    for query in range(7):
        for distance in range(6):
            at = pairs.distances[query] == distance
            assert counts.items[query, distance] == at.sum()
            assert counts.relevant[query, distance] == (at & pairs.relevant[query]).sum()


@pytest.mark.parametrize("k", [None, 1, 9, 400])
@pytest.mark.parametrize("sort", SORTS)
def test_every_sort_equals_a_naive_loop_over_its_own_order(sort, k):
    pairs = pair_up(**drawn(1))
    depth = min(k or 40, 40)
    order = SORTS[sort](pairs.distances, depth)
    for query in range(7):
        ranked = pairs.distances[query, order[query]]
        assert sorted(set(order[query])) == sorted(order[query])  # no item twice
        assert ranked.tolist() == sorted(pairs.distances[query])[:depth]
    for denominator in DENOMINATORS:
        found = [pairs.relevant[query, order[query]] for query in range(7)]
        naive = [naive_ap(row, n, denominator) for row, n in zip(found, pairs.relevant.sum(axis=1), strict=True)]
        assert sorted_map(pairs, sort, k, denominator) == pytest.approx(np.mean(naive), abs=1e-12)


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_sorts_lie_between_worst_and_best_and_the_stable_one_is_ties_by_index(denominator):
    codes = drawn(2)
    score = {
        ties: mean_average_precision(**codes, k=11, ties=ties, denominator=denominator)
        for ties in ("index", "worst", "best")
    }
    by_sort = {sort: sorted_map(pair_up(**codes), sort, 11, denominator) for sort in SORTS}
    assert by_sort["np.argsort, stable"] == pytest.approx(score["index"], abs=1e-12)
    assert all(score["worst"] <= value <= score["best"] for value in by_sort.values())


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_evaluators_on_released_values_lie_between_worst_and_best(evaluator, shared_file):
    reference = np.load(shared_file("reference/released-code-values.npz"))
    codes = {side: reference[f"rank_{name}"] for side, name in zip(
        SIDES, ("query", "query_labels", "database", "database_labels"), strict=True)}  # fmt: skip
    pairs = pair_up(**codes)
    for k in (100, 500):
        worst, best = (mean_average_precision(**codes, k=k, ties=ties) for ties in ("worst", "best"))
        assert worst <= published_map(pairs, evaluator, k) <= best
    # Which order an unstable sort leaves depends on the processor; how much it moves the number hardly does.
    released = float(reference["rank_map_at_500_unstable_argsort"])
    assert published_map(pairs, evaluator, 500) == pytest.approx(released, abs=0.005)


def test_hashnet_drops_the_queries_without_a_hit():
    # The first query finds its item at rank 2, the second only at rank 3.
    queries, items = [[1, 1], [-1, -1]], [[1, 1], [1, -1], [-1, 1]]
    codes = dict(zip(SIDES, map(np.array, (queries, [5, 6], items, [6, 5, 7])), strict=True))
    pairs = pair_up(**codes)
    assert published_map(pairs, "CSQ, DeepHash-pytorch, CSCE-Net", 2) == (0.5 + 0) / 2
    assert published_map(pairs, "HashNet", 2) == 0.5
    lost = pair_up(**(codes | {"query_labels": np.array([8, 9])}))
    assert np.isnan(published_map(lost, "HashNet", 2))
    assert published_map(lost, "torchmetrics", 2) == 0


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_an_arrangement_keeps_every_pair_and_every_exact_value(arrangement):
    codes = drawn(3)
    pairs = pair_up(**codes)
    moved = rearranged(pairs, arrangement, seed=4)
    for query in range(7):
        before, after = ([*zip(p.distances[query], p.relevant[query], strict=True)] for p in (pairs, moved))
        assert sorted(before) == sorted(after)
    for denominator in DENOMINATORS:
        result = measured(pairs, Arrangement(arrangement, 4), 11, denominator)
        for ties in ("expected", "best", "worst"):
            exact = mean_average_precision(**codes, k=11, ties=ties, denominator=denominator)
            assert getattr(result, ties) == exact  # to the last bit
        assert result.by_sort == {sort: sorted_map(moved, sort, 11, denominator) for sort in SORTS}


def test_the_exact_value_is_computed_from_the_rearranged_rows(monkeypatch):
    # Standing still means something only if nothing is carried over: other rows must give another value.
    other = drawn(30)
    monkeypatch.setattr("cscelab.figures.ties.rearranged", lambda *_: pair_up(**other))
    result = measured(pair_up(**drawn(3)), Arrangement("shuffled", 1), 11, "capped")
    assert result.expected == mean_average_precision(**other, k=11, denominator="capped")


def test_arrangements_are_what_they_are_called():
    codes = drawn(4)
    pairs = pair_up(**codes)
    assert rearranged(pairs, "as stored") is pairs
    by_label = rearranged(pairs, "by label").database_labels
    assert by_label.tolist() == sorted(codes["database_labels"])
    assert rearranged(pairs, "by label, reversed").database_labels.tolist() == by_label[::-1].tolist()
    first, last = (rearranged(pairs, f"relevant {where}").relevant.astype(int) for where in ("first", "last"))
    assert (np.diff(first, axis=1) <= 0).all()
    assert (np.diff(last, axis=1) >= 0).all()
    assert (rearranged(pairs, "shuffled", 1).distances != rearranged(pairs, "shuffled", 2).distances).any()
    assert (rearranged(pairs, "shuffled", 1).distances == rearranged(pairs, "shuffled", 1).distances).all()
    labels = np.array([[0, 1, 0], [1, 0, 0], [1, 1, 0]])
    several = pair_up(np.ones((1, 2)), labels[:1], np.ones((3, 2)), labels)
    assert rearranged(several, "by label").database_labels.tolist() == [[1, 1, 0], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("denominator", ["capped", "relevant"])
def test_a_stable_sort_of_relevant_first_and_last_attains_best_and_worst(denominator):
    codes = drawn(5)
    for ties, where in (("best", "first"), ("worst", "last")):
        attained = sorted_map(rearranged(pair_up(**codes), f"relevant {where}"), "np.argsort, stable", 11, denominator)
        assert attained == pytest.approx(
            mean_average_precision(**codes, k=11, ties=ties, denominator=denominator), abs=1e-12
        )


def test_collapsed_codes_score_wildly_by_the_order_of_the_list_alone():
    codes = collapsed_codes()
    assert len(np.unique(np.concatenate([codes["query_codes"], codes["database_codes"]]), axis=0)) == 1
    pairs = pair_up(**codes)
    score = {name: sorted_map(rearranged(pairs, name), "np.argsort, stable") for name in ARRANGEMENTS}
    assert round(score["by label, reversed"], 2) == 0.47  # the two numbers of notebook 08's question
    assert round(score["by label"], 2) == 0.83
    assert score["relevant first"] == 1
    assert len(np.unique(collapsed_codes(n_codes=4)["database_codes"], axis=0)) == 4
    assert len(np.unique(collapsed_codes(n_codes=4, flips=0.1)["database_codes"], axis=0)) > 4


def test_a_trail_takes_steps_keeps_the_last_ones_and_ignores_repetitions():
    trail = Trail(k=5)
    assert trail.then(Arrangement()) is trail
    for _ in range(LONGEST_TRAIL + 3):
        trail = trail.shuffled()
    assert [a.seed for a in trail.arrangements] == list(range(4, LONGEST_TRAIL + 4))
    assert trail.k == 5
    assert str(trail.now) == f"shuffled {LONGEST_TRAIL + 3}"
    assert str(trail.then(Arrangement("by label", 9)).now) == "by label"


def test_picture_draws_the_sorts_of_every_step_and_one_exact_line():
    codes = drawn(6)
    trail = Trail(k=11, denominator="capped").shuffled().shuffled().then(Arrangement("by label"))
    pairs = pair_up(**codes)
    figure = ties_figure(pairs, trail)
    for sort in SORTS:
        values = [sorted_map(rearranged(pairs, a.name, a.seed), sort, 11, "capped") for a in trail.arrangements]
        assert curve(figure.axes[1], sort).tolist() == values
    exact = evaluate(**codes, k=11).map["expected"]["capped"]
    assert curve(figure.axes[1], "expected").tolist() == [exact, exact]
    assert f"{exact:.17f}" in figure.axes[1].get_xlabel()
    assert "the same bits in all 4 arrangements" in exact_sentence(pairs, trail)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == [
        "as stored", "shuffled 1", "shuffled 2", "by label",
    ]  # fmt: skip
    assert "one arrangement so far" in exact_sentence(pairs, Trail())
    assert SMOKE_MARK not in texts(figure)
    assert SMOKE_MARK in texts(ties_figure(pairs, smoke=True))


def test_picture_says_so_if_the_exact_value_ever_moved(monkeypatch):
    # A closed form that depends on the order of rows, as a sort does, must not be called exact.
    rng = np.random.default_rng(0)
    monkeypatch.setattr("cscelab.figures.ties.average_precision", lambda *_: np.array([rng.random()]))
    assert "NOT the same bits: 3 values" in exact_sentence(pair_up(**drawn(7)), Trail().shuffled().shuffled())


def test_tie_sizes_count_the_items_that_share_the_distance_at_a_rank():
    pairs = by_hand([0, 2, 2, 2, 5], [1, 0, 1, 0, 0])
    assert [int(tie_sizes(pairs, rank)[0]) for rank in range(1, 6)] == [1, 3, 3, 3, 1]
    with pytest.raises(ValueError, match="rank 6 in a database of 5 items"):
        tie_sizes(pairs, 6)
    table = tie_table({"hand": pairs}, ranks=(1, 3, 10))
    assert table.loc["hand"].to_dict() == {
        "items": 5, "distances met (median)": 3, "tied at rank 1": 1, "tied at rank 3": 3,
    }  # fmt: skip


def test_tie_figure_has_a_row_a_case_whose_bars_add_up_to_the_database():
    cases = {"drawn": pair_up(**drawn(8)), "other": pair_up(**drawn(9))}
    figure = tie_sizes_figure(cases)
    assert len(figure.axes) == 4
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == pytest.approx(40)
    assert SMOKE_MARK in texts(tie_sizes_figure(cases, smoke=True))


def test_orders_by_hand_average_to_the_expected_value():
    # One relevant item first, then one of two: orders a b c and a c b.
    table = orders_table([0, 1, 1], [1, 0, 1])
    assert table.index.tolist() == ["a✓ b c✓", "a✓ c✓ b", "mean", "max", "min"]
    assert table["retrieved"].tolist() == pytest.approx([5 / 6, 1, 11 / 12, 1, 5 / 6])
    cut = orders_table([0, 1, 1], [1, 0, 1], k=2)
    assert cut.loc["mean"].tolist() == pytest.approx([1, 0.75, 0.75])
    for distances, relevant, k in (([3, 3, 3, 3], [1, 0, 0, 1], 2), ([1, 0, 1, 1, 2, 2], [0, 1, 1, 0, 1, 0], 4)):
        table, counts = orders_table(distances, relevant, k), histograms(by_hand(distances, relevant))
        for row, ties in (("mean", "expected"), ("max", "best"), ("min", "worst")):
            exact = [average_precision(counts, k, ties, name)[0] for name in DENOMINATORS]
            assert table.loc[row].tolist() == pytest.approx(exact, abs=1e-12)


def test_forgotten_items_lie_at_the_far_end():
    counts = histograms(by_hand([0, 1, 1, 2, 3], [1, 1, 0, 1, 0], bits=4))
    fewer = forget(counts, 0)
    assert fewer.relevant.tolist() == [[1, 0, 0, 0, 2]]
    assert fewer.items.tolist() == [[1, 1, 0, 1, 2]]
    assert (forget(counts, 4).items == counts.items).all()


def test_losing_relevant_items_can_raise_retrieved_and_never_the_others():
    # Hits at ranks 1 and 5; without the second the mean precision at hits is 1.
    gain = {name: gain_by_losing([1, 0, 0, 0, 1], 5, name) for name in DENOMINATORS}
    assert gain["retrieved"] == pytest.approx(1 - (1 + 2 / 5) / 2)
    assert gain["capped"] == gain["relevant"] == pytest.approx(-2 / 5 / 2)
    assert gain_by_losing([1, 1, 1], 2) == 0  # beyond k nobody looks
    assert gain_by_losing([0, 1, 1], 3) < 0


def test_denominators_figure_ends_where_all_agree():
    codes = drawn(10)
    over_k, lost = denominators_figure(pair_up(**codes), 11).axes
    everything = mean_average_precision(**codes)
    for name in DENOMINATORS:
        by_k, by_radius = (curve(axes, name) for axes in (over_k, lost))
        assert by_k[-1] == pytest.approx(everything)
        assert by_radius[-1] == pytest.approx(mean_average_precision(**codes, k=11, denominator=name))


def test_refusals_name_what_came():
    codes = drawn()
    pairs = pair_up(**codes)
    for call, message in (
        (lambda: pair_up(**(codes | {"query_labels": np.arange(3)})), "7 query codes came with 3 labels"),
        (lambda: pair_up(**(codes | {"query_codes": codes["query_codes"][:, :4]})), "the same number of bits"),
        (lambda: pair_up(**(codes | {"query_codes": pack(codes["query_codes"])})), "expected -1 / \\+1 or 0 / 1"),
        (lambda: rearranged(pairs, "by colour"), "unknown arrangement 'by colour'; choose from as stored"),
        (lambda: sorted_map(pairs, "quicksort"), "sort 'quicksort' divided by 'retrieved'; choose from np.argsort"),
        (lambda: sorted_average_precision(pairs, "torch.topk", 5, "half"), "divided by 'half'"),
        (lambda: sorted_map(pairs, "torch.topk", 0), "k is 0; expected a whole number"),
        (lambda: published_map(pairs, "mine"), "unknown evaluator 'mine'; choose from CSQ"),
        (lambda: by_hand([0, 1], [1, 2]), "as many of 0 to 16 as of 0 and 1"),
        (lambda: orders_table([0] * 8, [1] * 8), "give at most 7"),
    ):
        with pytest.raises(ValueError, match=message):
            call()

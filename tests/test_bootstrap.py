"""Bootstrap over queries: against every resample there is, and that its intervals cover what they say."""

from itertools import product

import numpy as np
import pytest

from cscelab.retrieval.bootstrap import difference, interval, require_same_queries


def every_resample(values, counted, level):
    """Exact percentile limits: all Q^Q equally likely resamples, those that count nothing left out; one measure."""
    rows = np.array(list(product(range(len(values)), repeat=len(values))))
    rows = rows[counted[rows].any(axis=1)]
    means = [values[row[counted[row]]].mean() for row in rows]
    return np.quantile(means, [(1 - level) / 2, (1 + level) / 2])


@pytest.mark.parametrize("counted", [[True] * 4, [True, False, True, True], [False, True, True, False]])
def test_limits_are_those_of_all_resamples(counted):
    values, counted = np.array([0.0, 0.2, 0.4, 1.0]), np.array(counted)
    level = 0.68  # both limits lie ten standard errors inside an atom of each of the three distributions
    found = interval(values, counted, level=level, n_resamples=40_000)
    assert found.value == pytest.approx(values[counted].mean())
    assert [found.low, found.high] == pytest.approx(every_resample(values, counted, level))


def test_intervals_cover_the_true_mean_as_often_as_they_say():
    rng = np.random.default_rng(1)
    experiments = rng.beta(2, 1, (200, 2000))  # 200 queries, 2,000 times over; true mean 2/3
    for level, slack in ((0.95, 0.015), (0.8, 0.025)):  # three standard errors of the count
        found = interval(experiments, level=level)
        assert abs(np.mean((found.low <= 2 / 3) & (found.high >= 2 / 3)) - level) < slack


def test_half_the_width_is_two_standard_errors():
    values = np.random.default_rng(2).random(1000)
    found = interval(values)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / 1000**0.5, rel=0.05)


def test_a_paired_difference_is_far_narrower_than_an_unpaired_one():
    rng = np.random.default_rng(3)
    hardness = rng.random(300)
    first, second = (hardness + rng.normal(0, 0.03, 300) for _ in range(2))
    paired, one, two = difference(first + 0.02, second), interval(first), interval(second)
    unpaired = np.hypot(one.high - one.low, two.high - two.low)
    assert paired.high - paired.low < unpaired / 5
    assert paired.value == pytest.approx(first.mean() + 0.02 - second.mean())
    assert paired.low > 0
    turned = difference(second, first + 0.02)
    assert [turned.low, turned.high] == pytest.approx([-paired.high, -paired.low], abs=2e-4)


def test_a_run_differs_from_itself_by_nothing_and_from_a_shifted_copy_by_the_shift():
    values = np.random.default_rng(4).random((50, 3))
    assert not np.any(difference(values, values))
    assert np.ravel(difference(values + 0.25, values)) == pytest.approx(np.full(9, 0.25))


def test_a_seed_gives_the_same_numbers_and_another_seed_others():
    values = np.random.default_rng(5).random((700, 4))  # several blocks of resamples
    again = [np.array(interval(values, seed=seed)) for seed in (7, 7, 8)]
    assert np.array_equal(again[0], again[1])
    assert not np.array_equal(again[0][1:], again[2][1:])
    assert np.abs(again[0] - again[2]).max() < 0.005  # yet nearly the same


def test_measures_do_not_touch_each_other():
    rng = np.random.default_rng(6)
    values, counted = rng.random((60, 5)), rng.random((60, 5)) < 0.5
    together, order = interval(values, counted), [3, 0, 4, 1, 2]
    for name, part in interval(values[:, order], counted[:, order])._asdict().items():
        assert part == pytest.approx(getattr(together, name)[order], abs=1e-12)
    for column in range(5):
        alone = interval(values[:, column], counted[:, column])
        assert np.shape(alone.low) == ()
        assert list(alone) == pytest.approx([part[column] for part in together], abs=1e-12)


def test_mean_per_class_against_a_plain_loop():
    rng = np.random.default_rng(7)
    values, labels = rng.random(30), np.arange(30) % 3
    counted = labels[:, None] == np.arange(3)
    found = interval(np.repeat(values[:, None], 3, axis=1), counted, n_resamples=500, seed=9)
    drawn = np.random.default_rng(9).integers(30, size=(500, 30))
    for label in range(3):
        means = [values[row][labels[row] == label].mean() for row in drawn if (labels[row] == label).any()]
        assert found.value[label] == pytest.approx(values[labels == label].mean())
        assert [found.low[label], found.high[label]] == pytest.approx(np.quantile(means, [0.025, 0.975]))


def test_what_is_not_counted_is_never_read():
    values, counted = np.array([0.2, np.nan, 0.6, np.inf]), np.array([True, False, True, False])
    found = interval(values, counted)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.2, 0.6))


def test_one_query_has_no_spread():
    assert list(interval([0.7])) == [0.7, 0.7, 0.7]
    alone = interval(np.full((40, 1), 0.7), np.arange(40)[:, None] == 3)  # a class of one query, often not drawn
    assert [float(part[0]) for part in alone] == [0.7, 0.7, 0.7]


def test_only_the_same_queries_are_paired():
    ids, labels = np.array([5, 2, 9]), np.array([0, 1, 1])
    require_same_queries(ids, labels, ids.copy(), labels.copy())
    with pytest.raises(ValueError, match="3 queries cannot be paired with 2; give runs on the same queries"):
        require_same_queries(ids, labels, ids[:2], labels[:2])
    with pytest.raises(ValueError, match="of 3 queries only 2 have an id in both"):
        require_same_queries(ids, labels, np.array([5, 2, 8]), labels)
    with pytest.raises(ValueError, match="the same in another order; sort both by id"):
        require_same_queries(ids, labels, ids[::-1], labels[::-1])
    with pytest.raises(ValueError, match="the same ids and other labels"):
        require_same_queries(ids, labels, ids, np.array([0, 1, 2]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_query": np.zeros((0, 3))}, r"shape \(0, 3\) came; expected \(queries,\) or \(queries, measures\)"),
        ({"per_query": 0.5}, r"shape \(\) came"),
        ({"per_query": [0.1, np.nan, 0.2]}, "1 results are NaN or infinite; mark them as not counted"),
        ({"per_query": [0.1, 0.2], "counted": [1, 1]}, "`counted` is int64 of shape"),
        ({"per_query": [0.1, 0.2], "counted": [True]}, r"expected bool of shape \(2,\)"),
        ({"per_query": np.eye(2), "counted": np.array([[True, False]] * 2)}, "measure 1 counts no query; leave it out"),
        (
            {"per_query": [0.1, 0.2], "level": 95},
            "an interval of level 95 was asked for; give a number between 0 and 1",
        ),
        ({"per_query": [0.1, 0.2], "n_resamples": 10}, "10 resamples were asked for; give at least 100"),
    ],
)
def test_errors_say_what_came_and_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        interval(**arguments)


def test_runs_of_other_sizes_have_no_paired_difference():
    with pytest.raises(ValueError, match=r"results of shape \(3,\) came with results of shape \(2,\); a paired"):
        difference(np.ones(3), np.ones(2))

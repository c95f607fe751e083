"""What searching costs: precision against a loop, bytes by hand, ratios that neither load nor order moves, a run."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_runs import image_set, make_run, make_splits, texts, unwrapped

from cscelab import searchcost, searchways
from cscelab.datasets.loader import as_tensor
from cscelab.experiment import report, run
from cscelab.figures import search_costs
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.style import alt_text
from cscelab.indexes.scan import import_faiss, threads
from cscelab.methods.base import HashOutput
from cscelab.recipes import recipe
from cscelab.search import MISSING, CodeIndex
from cscelab.searchcost import SearchCost, SearchSetting, measure_search_costs
from cscelab.searchways import LINEAR


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A smoke run of ExchNet at 12 bits and what searching it costs, on 200 rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSCELAB_DATA", str(tmp_path_factory.mktemp("data")))
        stored = run(recipe("exchnet", "smoke", bits=12, on="species40"), progress=False)
        with threads(2) as faiss:
            costs = measure_search_costs(stored, database_size=200, repeats=2)
            assert faiss.omp_get_max_threads() == 2  # as it was
        yield stored, costs


def naive(rows, queries, database, k):
    """Precision@k in a loop."""
    total = 0
    for query, found in enumerate(rows):
        others = [row for row in found if row == MISSING or database.ids[row] != queries.ids[query]][:k]
        for row in others:
            own, theirs = queries.labels[query], database.labels[row]
            total += row != MISSING and (bool((own & theirs).any()) if np.ndim(own) else own == theirs)
    return total / (k * len(rows))


@pytest.mark.parametrize("multilabel", [False, True])
def test_precision_is_that_of_a_loop(multilabel):
    splits = make_splits(multilabel)
    rng = np.random.default_rng(0)
    database = splits.database
    rows = np.stack([rng.permutation(len(database))[:6] for _ in range(len(splits.query))])
    rows[3, 2:], rows[5, :] = MISSING, MISSING
    assert searchcost.precision_at(rows, splits.query, database, 5) == pytest.approx(
        naive(rows, splits.query, database, 5)
    )
    some = image_set(12, 0, 2, multilabel)  # ids 0 to 11 are in the database, too
    rows[:, 0] = [np.flatnonzero(database.ids == item)[0] for item in some.ids]
    own = searchcost.precision_at(rows, some, database, 5)
    assert own == pytest.approx(naive(rows, some, database, 5))
    assert own != pytest.approx(searchcost.precision_at(rows, replace(some, ids=some.ids + 500), database, 5))


def test_precision_by_hand():
    database = replace(image_set(4, 0, 0), labels=np.array([1, 0, 1, 1]), ids=np.array([7, 8, 9, 10]))
    queries = replace(image_set(2, 0, 0), labels=np.array([1, 0]), ids=np.array([7, 99]))
    rows = np.array([[0, 1, 2], [1, MISSING, MISSING]])  # the first finds itself, which leaves a wrong and a right one
    assert searchcost.precision_at(rows, queries, database, 2) == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_floats_are_searched_as_in_float64_and_exact_product_quantisation_finds_the_same():
    rng = np.random.default_rng(1)
    database, query = (rng.normal(size=(n, 13)).astype(np.float32) for n in (64, 9))
    linear, quantised = searchways.float_ways(query, database, 3)  # 32 bytes are more than 13 numbers have
    assert (linear.name, linear.index.d) == (LINEAR, 13)
    distances = ((query[:, None].astype(float) - database.astype(float)) ** 2).sum(axis=2)
    nearest = np.argsort(distances, axis=1)[:, :11]
    assert (linear.index.search(linear.queries, 11)[1] == nearest).all()
    # 64 centroids for 64 rows: every sub-vector is its own centroid, and two zeros behind 13 numbers change nothing.
    assert (quantised.index.d, quantised.index.pq.nbits) == (15, 6)
    assert (quantised.index.search(quantised.queries, 11)[1] == nearest).all()


def test_bytes_by_hand():
    rng = np.random.default_rng(2)
    database, query = (rng.normal(size=(n, 40)).astype(np.float32) for n in (300, 4))
    linear, small, large = searchways.float_ways(query, database, 3)
    assert [way.name for way in (small, large)] == ["product quantisation, 3 bytes", "product quantisation, 32 bytes"]
    assert searchways.payload(linear.index) == (40 * 4, 0)
    assert searchways.payload(small.index) == (3, 256 * 42 * 4)  # 40 numbers are padded to 3 x 14
    assert searchways.payload(large.index) == (32, 256 * 64 * 4)
    codes = rng.integers(0, 256, (300, 3), dtype=np.uint8)
    assert searchways.payload(searchways.binary_flat("", codes, codes, 0.0).index) == (3, 0)
    index = CodeIndex(24)
    index.add(codes)
    assert searchways.payload(index) == (8 + 3, 0)  # an id of 64 bits


def test_an_index_grows_by_the_same_rows():
    database = np.arange(12, dtype=np.uint8).reshape(6, 2)
    faiss_index, index = searchways.binary_flat("", database, database, 0.0).index, CodeIndex(16)
    index.add(database)
    for one in (faiss_index, index):
        searchways.grow(one, database, 15)
    held = import_faiss().vector_to_array(faiss_index.xb).reshape(-1, 2)
    assert (held == np.resize(database, (15, 2))).all()
    assert len(index) == 15
    assert (index.search(database[:1], 3).ids == [0, 6, 12]).all()


@pytest.mark.parametrize("names", [("slow", "fast", "middle"), ("middle", "fast", "slow")])
def test_ratios_depend_on_neither_the_order_nor_the_load(names, monkeypatch):
    """Each round the machine is half as fast as in the one before; the first, a warm-up, is out of proportion."""
    clock, calls, cost = [0.0], [], {"slow": 8.0, "middle": 4.0, "fast": 1.0}
    monkeypatch.setattr(searchcost, "seconds", lambda device: clock[0])

    def search(name):
        n_round = calls.count(name)
        calls.append(name)
        clock[0] += cost[name] * 2.0**n_round + (100 if n_round == 0 else 0)

    taken = searchcost.take_turns({name: lambda name=name: search(name) for name in names}, 3)
    assert calls == list(names) * 4
    assert taken["middle"].tolist() == [8, 16, 32]
    ratios = searchcost.speed_ups(taken, "slow")
    assert {name: found.tolist() for name, found in ratios.items()} == {
        "slow": [1, 1, 1], "middle": [2, 2, 2], "fast": [8, 8, 8],
    }  # fmt: skip


def test_the_validation_split_decides_on_length():
    """Classes lie in directions; lengths differ, so that the nearest by L2 are short ones of any class."""
    angles = np.array([0.0, 2.1, 4.2])
    rng = np.random.default_rng(3)

    def features(images):
        near = np.stack([np.cos(angles[images.labels]), np.sin(angles[images.labels])], axis=1)
        return (near * rng.uniform(0.01, 5, (len(images), 1))).astype(np.float32)

    splits = make_splits()
    assert searchcost.cosine_finds_more(
        features(splits.query), splits.query, features(splits.database), splits.database
    )
    one_hot = np.eye(3, dtype=np.float32)
    sides = one_hot[splits.query.labels], splits.query, one_hot[splits.database.labels], splits.database
    assert not searchcost.cosine_finds_more(*sides)  # as good without
    lengths = np.linalg.norm(searchcost.of_unit_length(features(splits.query)), axis=1)
    assert lengths == pytest.approx(np.ones(len(splits.query)), abs=1e-6)
    assert (searchcost.of_unit_length(np.zeros((1, 2), np.float32)) == 0).all()


def test_codes_that_are_padded_are_found_alike(tmp_path, splits):
    stored = make_run(tmp_path, splits, bits=24)
    asked = np.arange(len(splits.query))
    ways = {way.name: way for way in searchways.binary_ways(stored, asked)}
    plain, padded = ways["binary codes, faiss"], ways["binary codes padded to 4 bytes, faiss"]
    found = [way.index.search(way.queries, 10)[0] for way in (plain, padded)]
    assert (found[0] == found[1]).all()
    assert plain.expected == padded.expected == report(stored).precision_at[10]
    assert not any("network" in name for name in ways)  # nothing was learned: they are the database's own
    assert ways["binary codes, CodeIndex ivf, 1 of 6 lists"].expected is None
    assert not any("padded" in way.name for way in searchways.binary_ways(make_run(tmp_path, splits, bits=32), asked))


def test_no_more_queries_are_asked_than_said(tmp_path, splits):
    """The seed draws them; both precisions are then of the same ones."""
    assert searchcost.drawn_rows(5, seed=0, most=5).tolist() == [0, 1, 2, 3, 4]
    asked, again, other = (searchcost.drawn_rows(5000, seed) for seed in (0, 0, 1))
    assert len(asked) == len(set(asked.tolist())) == 1000
    assert (np.diff(asked) > 0).all()
    assert asked[-1] < 5000
    assert (asked == again).all()
    assert (asked != other).any()
    stored = make_run(tmp_path, splits, bits=24)
    precision = []
    for row in range(len(splits.query)):
        way = next(searchways.binary_ways(stored, np.array([row])))
        assert len(way.queries) == 1
        precision.append(way.expected)
    assert np.mean(precision) == pytest.approx(report(stored).precision_at[10])
    assert len(set(precision)) > 1


def test_features_are_those_of_every_batch_on_the_methods_device(monkeypatch, splits):
    seen = []

    class Sums(torch.nn.Linear):
        def forward(self, images):
            seen.append((images.device.type, len(images)))
            if images.device.type == "meta":
                return HashOutput(images, images, features=torch.zeros(len(images), 2))
            sums = images.float().sum(dim=(1, 2, 3))
            return HashOutput(sums, sums, features=torch.stack([sums, -sums], dim=1).double())

    loader = searchcost.encoding_loader
    monkeypatch.setattr(searchcost, "encoding_loader", lambda images: loader(images, 7))
    found = searchcost.features_of(Sums(1, 1), splits.database)
    sums = splits.database.images.reshape(len(splits.database), -1).sum(axis=1, dtype=np.float32)
    assert found.dtype == np.float32
    assert (found == np.stack([sums, -sums], axis=1)).all()
    assert seen == [("cpu", 7)] * 5 + [("cpu", 5)]
    searchcost.features_of(Sums(1, 1, device="meta"), splits.query)  # stands in for an accelerator
    assert seen[-1][0] == "meta"


def test_nothing_is_copied_that_is_not_padded_and_few_queries_are_kept_for_the_clock():
    rows = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert searchways.padded(rows, 0) is rows
    assert searchways.padded(rows, 1).tolist() == [[0, 1, 2, 0], [3, 4, 5, 0]]
    asked = []

    class Index:
        def search(self, queries, k):
            asked.append((queries, k))

    many = np.arange(400, dtype=np.uint8).reshape(200, 2)
    searchcost.timed(searchways.Way("", Index(), many, many))()
    searchcost.timed(searchways.Way("", Index(), rows, rows))()
    (some, k), (repeated, _) = asked
    assert (some == many[:50]).all()
    assert some.base is None or some.base.nbytes == some.nbytes  # no view of all queries
    assert k == 10
    assert (repeated == rows[np.arange(50) % 2]).all()


def test_what_cannot_be_measured_is_said(tmp_path, splits, monkeypatch):
    stored = make_run(tmp_path, splits)
    with pytest.raises(ValueError, match="database_size is 39; give at least the 40 images of the database"):
        measure_search_costs(stored, 39)
    with pytest.raises(ValueError, match="repeats is 0; expected a whole number of at least 1"):
        measure_search_costs(stored, repeats=0)
    few = make_run(tmp_path, replace(splits, database=image_set(9, 0, 4)), seed=1)
    with pytest.raises(ValueError, match="the database holds 9 images, but precision@10 needs 10; give a run with"):
        measure_search_costs(few)

    class Bare(torch.nn.Linear):
        config = stored.experiment.method

        def forward(self, images):
            return HashOutput(torch.zeros(len(images), 4), torch.ones(len(images), 4))

    with pytest.raises(ValueError, match="gives no features beside its codes, so there is no float search to compare"):
        searchcost.features_of(Bare(1, 1), splits.query)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ValueError, match="needs faiss, which is not installed; pip install faiss-cpu"):
        measure_search_costs(stored)


def test_a_run_is_measured_every_way(measured):
    stored, costs = measured
    found = {cost.name: cost for cost in costs}
    assert list(found) == [
        LINEAR,
        "product quantisation, 2 bytes",
        "product quantisation, 24 bytes",  # 32 codes of 6 bits: 64 rows have no more centroids
        "binary codes, faiss",
        "binary codes padded to 4 bytes, faiss",
        "the network's binary codes, faiss",
        "binary codes, CodeIndex flat",
        "binary codes, CodeIndex ivf, 1 of 8 lists",
    ]
    assert [found[name].bytes_per_image for name in list(found)[:7]] == [5 * 128 * 4, 2, 24, 2, 4, 2, 8 + 2]
    setting = costs[0].setting
    assert (setting.bits, setting.n_asked, setting.n_queries) == (12, 24, 24)
    assert (setting.n_database, setting.n_rows) == (64, 200)
    assert (setting.n_features, setting.learned) == (640, True)
    for cost in costs:
        assert cost.speed_ups.shape == (2,)
        assert (cost.speed_ups > 0).all()
        assert 0 <= cost.precision <= 1
    assert (found[LINEAR].speed_ups == 1).all()
    assert found["binary codes, faiss"].expected == report(stored).precision_at[10]
    assert found["the network's binary codes, faiss"].expected == report(stored, database="network").precision_at[10]
    # CodeIndex gives ties to the lowest row.
    distance = (stored.codes["query_codes"][:, None] != stored.codes["database_codes"]).sum(axis=2)
    rows = np.argsort(distance, axis=1, kind="stable")[:, :10]
    relevant = stored.codes["database_labels"][rows] == stored.codes["query_labels"][:, None]
    assert found["binary codes, CodeIndex flat"].precision == pytest.approx(relevant.mean())


def test_float_search_is_that_of_the_features_of_the_network(measured):
    stored, costs = measured
    splits, method = stored.data(), stored.model()
    with torch.inference_mode():
        query, database = (
            torch.cat([method(as_tensor(part.images[i : i + 8])).features
                       for i in range(0, len(part), 8)]).double()
            for part in (splits.query, splits.database)
        )  # fmt: skip
    if costs[0].setting.unit_length:
        query, database = (torch.nn.functional.normalize(one, dim=1) for one in (query, database))
    rows = torch.cdist(query, database).argsort(dim=1)[:, :10].numpy()
    assert costs[0].precision == pytest.approx(naive(rows, splits.query, splits.database, 10))


def made_up(learned=True, unit_length=True, n_queries=500):
    setting = SearchSetting("run", 24, 500, n_queries, 3000, 100_000, 640, unit_length, learned)
    return [
        SearchCost(LINEAR, 0.6, None, 2560.0, 0, np.ones(3), 20.0, setting),
        SearchCost("product quantisation, 3 bytes", 0.5, None, 3.0, 655_360, np.array([0.5, 0.4, 0.8]), 40.0, setting),
        SearchCost("binary codes, faiss", 0.7, 0.65, 3.0, 0, np.array([90.0, 120.0, 100.0]), 0.2, setting),
        SearchCost("binary codes, CodeIndex ivf, 1 of 8 lists", 0.7, None, 22.0, 0, np.full(3, 400.0), 0.05, setting),
    ]  # fmt: skip


def test_the_table_has_medians_of_ratios():
    frame = search_costs.search_cost_table(made_up(), smoke=False)
    row = frame.loc["binary codes, faiss"]
    assert row[[search_costs.SPEED, search_costs.SLOWER, search_costs.FASTER]].tolist() == [100, 95, 110]
    assert row[[search_costs.PRECISION, search_costs.EXPECTED, search_costs.BYTES]].tolist() == [0.7, 0.65, 3]
    assert frame[["queries", "database", "timed"]].drop_duplicates().to_numpy().tolist() == [[500, 3000, 100_000]]
    assert "remark" not in frame
    assert set(search_costs.search_cost_table(made_up(), smoke=True)["remark"]) == {SMOKE_MARK}
    with pytest.raises(ValueError, match="no search costs came; give what measure_search_costs returned"):
        search_costs.search_cost_table([], smoke=False)


def test_the_picture_says_what_it_is_of():
    frame = search_costs.search_cost_table(made_up(), smoke=False)
    figure = search_costs.search_cost_figure(frame, "quick profile; ExchNet, 24 bits")
    found, speed, size = figure.axes
    assert [label.get_text() for label in found.get_yticklabels()] == list(frame.index)
    assert [text.get_text() for text in found.texts] == ["0.600", "0.500", "0.700", "0.700"]
    assert [text.get_text() for text in speed.texts] == ["1 ×", "0.5 ×", "100 ×", "400 ×"]
    assert [text.get_text() for text in size.texts] == ["2,560", "3", "3", "22"]
    bars = speed.containers[-1]
    assert [bar.get_x() + bar.get_width() for bar in bars] == pytest.approx([1, 0.5, 100, 400])
    rings, dots = (line.get_xdata() for line in found.lines[:2])
    assert (rings[2], dots[2], np.isnan(rings).sum()) == (0.65, 0.7, 3)
    words = unwrapped(figure.get_supxlabel())
    for part in (
        "500 queries among the 3,000 images of the run's database",
        "CPU time on one thread, 50 queries at once, database repeated to 100,000 rows",
        "median and quartiles of 3 rounds. That of ivf depends on the codes.",
        "640 numbers that the hash layer sees, scaled to length 1 (by cosine)",
        "codebooks, 0.66 MB",
        "Binary codes of the database are the learned ones",
        "quick profile; ExchNet, 24 bits",
    ):
        assert part in words
    assert "binary codes, faiss 0.700, 100 ×, 3;" in alt_text(figure)
    assert SMOKE_MARK not in [unwrapped(text) for text in texts(figure)]
    some = search_costs.caption(search_costs.search_cost_table(made_up(n_queries=12_345), smoke=False))
    assert some[0].startswith("Precision: 500 of 12,345 queries, drawn by the seed, among the 3,000 images")
    plain = search_costs.caption(search_costs.search_cost_table(made_up(learned=False, unit_length=False)[:2], False))
    assert "as they are (by L2)" in plain[2]
    assert not any(word in " ".join(plain) for word in ("learned", "ivf", "CodeIndex"))


def test_smoke_numbers_are_marked(measured):
    frame = search_costs.search_cost_table(measured[1], smoke=True)
    figure = search_costs.search_cost_figure(frame, "")
    assert SMOKE_MARK in [unwrapped(text) for text in texts(figure)]
    assert len(figure.axes[0].texts) == len(measured[1])

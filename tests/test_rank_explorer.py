"""RankExplorer: blocks and AP by hand, what the picture shows, and controls that redraw once each."""

import numpy as np
import pytest
from fake_runs import make_run, make_splits

from cscelab.collection import collection_of
from cscelab.evaluate import mean_average_precision
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.ranks import LOOKS, cut_sentence, depth_steps, rank_figure, rank_query
from cscelab.figures.style import alt_text, new_figure
from cscelab.retrieval.ranking import DENOMINATORS, TIES
from cscelab.widgets import RankExplorer, checked, outputs_in
from cscelab.widgets import ranks as module

CODE = np.ones((1, 4), int)
ITEMS = np.array([[1, 1, 1, 1], [1, 1, 1, -1], [1, 1, 1, -1], [1, 1, 1, -1], [-1, -1, 1, 1], [-1, -1, -1, 1]])
RELEVANT = np.array([1, 0, 1, 0, 1, 0])  # distances 0, 1, 1, 1, 2, 3


@pytest.fixture
def small():
    return rank_query(CODE, np.array([1]), ITEMS, RELEVANT, title="by hand")


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    splits = make_splits()
    return collection_of(make_run(tmp_path_factory.mktemp("runs"), splits, noise=0.3, bits=16, smoke=True), splits)


@pytest.fixture(scope="module")
def own(collection):
    return {name: collection.codes[name] for name in module.SIDES[:4]}


@pytest.fixture
def drawn(monkeypatch):
    """(title, k) of what was drawn, in order, without the cost of drawing."""
    calls = []

    def draw(ranking, k):
        calls.append((ranking.title, k))
        return new_figure(1, 1)

    monkeypatch.setattr(module, "rank_figure", draw)
    return calls


def boxes(axes, gid):
    """(left, width, bottom, height) of each box of one kind."""
    (found,) = (c for c in axes.collections if c.get_gid() == gid)
    corners = np.array([(path.vertices.min(axis=0), path.vertices.max(axis=0)) for path in found.get_paths()])
    low, high = corners[:, 0], corners[:, 1]
    return np.column_stack([low[:, 0], high[:, 0] - low[:, 0], low[:, 1], high[:, 1] - low[:, 1]]).round(3).tolist()


def words(figure):
    return "\n".join(text.get_text() for part in (figure, *figure.axes) for text in part.texts)


class TestRanking:
    def test_blocks_by_hand(self, small):
        assert small.items.tolist() == [1, 3, 1, 1, 0]
        assert small.relevant.tolist() == [1, 1, 1, 0, 0]
        assert small.before.tolist() == [0, 1, 4, 5, 6]
        assert [small.block_of(k) for k in (1, 2, 4, 5, 6, 99)] == [0, 1, 1, 2, 3, 3]

    def test_ap_by_hand(self, small):
        at = small.at[2]  # rank 2 is one of three, of which one is relevant
        assert at["best"]["capped"] == pytest.approx(1.0)
        assert at["worst"]["capped"] == pytest.approx(0.5)
        assert at["expected"]["capped"] == pytest.approx(0.5 + 0.5 / 3)
        assert at["index"]["capped"] == pytest.approx(0.5)  # the first of the tied three is not relevant
        assert at["expected"]["retrieved"] == pytest.approx(1.0)
        assert at["expected"]["relevant"] == pytest.approx((1 + 1 / 3) / 3)

    def test_every_convention_is_the_evaluator_s(self, collection, own):
        ranking = rank_query(**own, row=5)
        one = own | {name: own[name][5:6] for name in ("query_codes", "query_labels")}
        for k in (1, 7, 40):
            for ties in TIES:
                for denominator in DENOMINATORS:
                    expected = mean_average_precision(**one, k=k, ties=ties, denominator=denominator)
                    assert ranking.at[k][ties][denominator] == pytest.approx(expected)
        assert ranking.at[40]["expected"]["retrieved"] == pytest.approx(collection.average_precision[5])

    def test_an_image_never_finds_itself(self, own):
        codes, labels = own["database_codes"], own["database_labels"]
        ids = np.arange(len(codes))
        ranking = rank_query(codes, labels, codes, labels, 3, ids, ids)
        assert ranking.n_items == len(codes) - 1
        figure = rank_figure(ranking)  # k = 40 of 39: the end of the ranking
        assert "cuts no tie" in words(figure)

    def test_depths(self):
        assert depth_steps(60) == (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 60)
        assert depth_steps(1) == (1,)
        with pytest.raises(ValueError, match="number of database images is 0; expected a whole number of at least 1"):
            depth_steps(0)

    def test_rows_and_depths_that_are_not_there(self, small, own):
        with pytest.raises(ValueError, match="row 12 of the queries was asked for; there are rows 0 to 11"):
            rank_query(**own, row=12)
        with pytest.raises(ValueError, match="AP@4 was not measured; choose k from 1, 2, 3, 5, 6"):
            rank_figure(small, 4)


class TestFigure:
    def test_histogram_stacks_the_relevant_below_the_others(self, small):
        histogram = rank_figure(small, 2).axes[0]
        assert boxes(histogram, "relevant") == [[round(d - 0.42, 2), 0.84, 0, h] for d, h in enumerate((1, 1, 1, 0))]
        assert boxes(histogram, "other") == [[-0.42, 0.84, 1, 0], [0.58, 0.84, 1, 2], [1.58, 0.84, 1, 0],
                                             [2.58, 0.84, 0, 1]]  # fmt: skip
        (mark,) = (line for line in histogram.lines if line.get_gid() == "k")
        assert mark.get_xdata() == [1]

    def test_blocks_are_as_wide_as_their_images_and_filled_by_the_relevant(self, small):
        strip = rank_figure(small, 3).axes[1]
        assert [box[:2] for box in boxes(strip, "block")] == [[0, 1], [1, 3], [4, 1], [5, 1]]
        assert [box[3] for box in boxes(strip, "relevant")] == [1, 0.333, 1, 0]
        assert boxes(strip, "cut") == [[1, 3, 0, 1]]
        assert strip.lines[0].get_xdata() == [3, 3]

    def test_the_cut_is_said(self, small):
        assert cut_sentence(small, 3) == (
            "k = 3 takes 2 of the 3 images tied at distance 1; 1 of the 3 are relevant"
        )  # fmt: skip
        assert cut_sentence(small, 5) == "k = 5 ends with the block at distance 2: it cuts no tie"
        figure = rank_figure(small, 5)
        assert cut_sentence(small, 5) in words(figure)
        assert not [c for c in figure.axes[1].collections if c.get_gid() == "cut"]

    def test_curves_hold_ap_by_ties_and_denominator_and_values_stand_below(self, small):
        figure = rank_figure(small, 2)
        curves = {line.get_label(): line for line in figure.axes[2].lines}
        assert set(curves) == set(TIES)
        assert len({line.get_linestyle() for line in curves.values()}) == len(
            {look["marker"] for look in LOOKS.values()}
        )
        for ties, line in curves.items():
            values = [value for value in line.get_ydata() if not np.isnan(value)]
            assert values == [small.at[k][ties][d] for d in DENOMINATORS for k in small.at]
        said = words(figure)
        assert "best 1.000   expected 0.667\nindex 0.500   worst 0.500" in said  # capped
        assert "capped: / min(k, relevant items)" in said
        assert "divided by capped: best 1.000, expected 0.667, index 0.500, worst 0.500" in alt_text(figure)

    def test_image_and_smoke_mark(self, collection):
        ranking = rank_query(CODE, np.array([1]), ITEMS, RELEVANT, image=collection.query(0).image, smoke=True)
        figure = rank_figure(ranking)
        np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), collection.query(0).image)
        assert SMOKE_MARK in words(figure)


class TestWidget:
    def test_it_shows_the_tested_function_s_picture(self, collection):
        widget = checked(RankExplorer(collection, row=4, k=6))
        (output,) = outputs_in(widget)
        assert widget.k.value == 7  # the next that is measured
        query = collection.query(4)
        ranking = rank_query(**{name: collection.codes[name] for name in module.SIDES}, row=4, title=query.title)
        assert output.outputs[0]["data"]["text/plain"] == alt_text(rank_figure(ranking, 7))
        assert widget.ranking.smoke

    def test_every_control_redraws_once_and_k_counts_nothing_again(self, collection, drawn, monkeypatch):
        widget = checked(RankExplorer(collection))
        counted = []
        real = module.rank_query
        monkeypatch.setattr(module, "rank_query", lambda **named: counted.append(named["row"]) or real(**named))
        widget.k.value = 40
        widget.picker.index.value = 3
        widget.picker.kind.value = 1
        widget.picker.hardest.click()
        of_class = np.flatnonzero(collection.codes["query_labels"] == 1)
        hardest = int(of_class[collection.average_precision[of_class].argmin()])
        rows = [0, 0, 3, int(of_class[0])] + ([hardest] if hardest != of_class[0] else [])
        assert [title for title, _ in drawn] == [collection.query(row).title for row in rows]
        assert [k for _, k in drawn] == [20] + [40] * (len(rows) - 1)
        assert counted == rows[2:]

    def test_codes_of_one_s_own(self, own, collection):
        widget = checked(RankExplorer(**own, k=1000))
        assert widget.k.value == 40
        assert widget.ranking.title == "query 0"
        np.testing.assert_allclose(widget.average_precision, collection.average_precision)
        widget.picker.hardest.click()
        assert widget.picker.row == int(collection.average_precision.argmin())

    def test_what_is_missing_is_said(self, collection, own):
        with pytest.raises(ValueError, match="query_codes were given; give a collection, or query_codes, query_labels"):
            RankExplorer(query_codes=own["query_codes"])
        with pytest.raises(ValueError, match="a collection and query_codes"):
            RankExplorer(collection, **own)

    def test_a_mistake_in_the_codes_is_a_sentence_and_a_fault_is_raised(self, own, monkeypatch):
        widget = checked(RankExplorer(**own | {"database_labels": own["database_labels"][:-1]}))
        assert "39" in widget.output.outputs[0]["data"]["text/plain"]
        widget = RankExplorer(**own)
        monkeypatch.setattr(module, "rank_figure", lambda *_: 1 / 0)
        widget.k.index = 0
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            checked(widget)

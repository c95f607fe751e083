"""Methods side by side: measures by hand, what the pictures show, losses of a pair, and what the notebook claims."""

import ast
import math
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from fake_runs import make_run, make_splits, texts

from cscelab.collection import collection_of
from cscelab.evaluate import evaluate
from cscelab.experiment import Run
from cscelab.figures import side_by_side as module
from cscelab.figures.pair_losses import LOOKS, pair_costs, pair_losses_figure
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.side_by_side import (
    DRAWN_TO_ONE,
    MOST,
    SIDES,
    Choice,
    Coded,
    check_comparable,
    codes_table,
    curves_figure,
    disagreement,
    missing,
    score_table,
    stored_codes,
)
from cscelab.figures.side_codes import codes_figure
from cscelab.figures.side_gallery import gallery_figure
from cscelab.figures.style import alt_text
from cscelab.methods import METHODS
from cscelab.methods.csq import CSQConfig
from cscelab.methods.dsh import DSHConfig
from cscelab.methods.hashnet import HashNetConfig
from cscelab.methods.lsh import LSHConfig
from cscelab.retrieval.bootstrap import difference, interval

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def coded(tmp_path_factory, splits):
    """Three methods of 16 bits, from good to bad, and the first again at 32 bits."""
    folder = tmp_path_factory.mktemp("runs")
    found = [
        Coded(collection_of(make_run(folder, splits, noise, seed), splits, title))
        for seed, (title, noise) in enumerate({"Good": 0.1, "Fair": 0.3, "Bad": 0.45}.items())
    ]
    return [*found, Coded(collection_of(make_run(folder, splits, 0.1, 4, bits=32), splits, "Good"))]


def smoke(one: Coded) -> Coded:
    collection = one.collection
    return Coded(replace(collection, experiment=replace(collection.experiment, smoke=True)))


def by_gid(figure, gid):
    return [artist for axes in figure.axes for artist in axes.get_children() if artist.get_gid() == gid]


class TestCoded:
    def test_it_measures_what_the_evaluator_does_and_names_the_codes(self, coded):
        codes = coded[0].collection.codes
        expected = evaluate(**{side: codes[side] for side in SIDES}, precision_at=(1, 2, 5, 10, 20))
        np.testing.assert_array_equal(coded[0].average_precision, expected.average_precision)
        assert coded[0].report.precision_at == expected.precision_at
        assert [one.name for one in coded] == ["Good, 16 bits", "Fair, 16 bits", "Bad, 16 bits", "Good, 32 bits"]

    def test_quantisation_error_by_hand(self, coded):
        codes = {"database_codes": np.array([[1, -1]], np.int8), "database_values": np.array([[0.5, -3.0]], np.float16)}
        one = Coded(replace(coded[0].collection, codes=codes))
        assert one.quantization_error == pytest.approx((0.5**2 + 2**2) / 2)

    def test_quantisation_error_is_left_out_where_values_may_have_any_size(self, coded):
        for config, drawn in ((DSHConfig, True), (CSQConfig, False), (LSHConfig, False)):
            collection = coded[0].collection
            one = Coded(replace(collection, experiment=replace(collection.experiment, method=config())))
            assert (one.quantization_error is not None) == drawn
            assert np.isfinite(codes_table([one])["quantisation error"].iloc[0]) == drawn
            assert any("quantisation error" in text for text in texts(codes_figure([one]))) == drawn
        assert set(DRAWN_TO_ONE) < set(METHODS)

    def test_what_cannot_be_compared_is_said(self, coded, tmp_path):
        with pytest.raises(ValueError, match="no codes were chosen; choose at least one method"):
            curves_figure([])
        with pytest.raises(ValueError, match=f"{MOST + 1} sets of codes were chosen; choose at most {MOST}"):
            check_comparable([coded[0]] * (MOST + 1))
        assert len(score_table([coded[0]] * (MOST + 1))) == MOST + 1  # a table has room
        other = make_splits(multilabel=True)
        elsewhere = Coded(collection_of(make_run(tmp_path, other), other, "Elsewhere"))
        for draw in (curves_figure, codes_figure, gallery_figure, score_table, codes_table):
            with pytest.raises(ValueError, match="Good and Elsewhere hold different images"):
                draw([coded[0], elsewhere])

    def test_a_choice_puts_its_reference_first_and_knows_its_views(self):
        choice = Choice("birds", ("a", "b", "c"), (16,), reference="b")
        assert choice.in_order == ("b", "a", "c")
        assert Choice("birds", ("a", "b"), (16,)).in_order == ("a", "b")
        with pytest.raises(ValueError, match=r"unknown view 'map'; choose from \['curves', 'gallery', 'codes', "):
            Choice("birds", (), (), view="map")


class TestStored:
    def test_only_what_is_stored_is_there_and_images_are_shared(self, tmp_path, splits, monkeypatch):
        stored = make_run(tmp_path, splits, bits=16), make_run(tmp_path, splits, 0.3, 1, bits=16)
        runs = {"csce": stored[0], "lsh": stored[1]}
        asked = []

        def find(experiment):
            asked.append(experiment.name)
            return runs.get(experiment.method.name)

        monkeypatch.setattr(module, "find_run", find)
        monkeypatch.setattr(Run, "data", lambda self: splits)
        found = stored_codes(["lsh", "csq", "csce"], "smoke", 16, on="scenes")
        assert list(found) == ["LSH", "CSCE-Net"]
        assert [one.method for one in found.values()] == ["LSH", "CSCE-Net"]
        assert found["LSH"].collection.splits is found["CSCE-Net"].collection.splits is splits
        assert asked == ["scenes/lsh/16", "scenes/csq/16", "scenes/csce/16"]
        assert missing(["lsh", "csq"], "quick", 32) == "no stored run of csq; `cscelab figures table1` trains them"
        assert missing(["csq"], "standard", 32).endswith("`cscelab figures table1 --profile standard` trains them")
        assert missing(["lsh", "csce"], "quick", 32) == ""
        assert stored_codes(["csq"], "quick", 32) == {}


class TestTables:
    def test_scores_and_paired_differences_are_the_bootstrap_s(self, coded):
        table = score_table(coded[:3])
        for one in coded[:3]:
            expected = interval(one.average_precision)
            assert table.loc[one.name, ["mAP@all", "low", "high"]].tolist() == pytest.approx(list(expected))
        expected = difference(coded[2].average_precision, coded[0].average_precision)
        gap = table.loc["Bad, 16 bits", ["minus Good, 16 bits", "from", "to"]]
        assert gap.tolist() == pytest.approx(list(expected))
        assert table.loc["Bad, 16 bits", "on other queries"] == "lower"
        assert table.iloc[0, 3:].isna().all()
        assert score_table([coded[2], coded[0]]).loc["Good, 16 bits", "on other queries"] == "higher"
        assert score_table([coded[0], coded[0]])["on other queries"].tolist()[1:] == ["open"]

    def test_codes_are_described_by_the_evaluator_s_report(self, coded):
        table = codes_table(coded)
        report = coded[1].report.codes
        row = table.loc["Fair, 16 bits"]
        assert row["collisions"] == report.collisions
        assert row["distinct codes"] == len(np.unique(coded[1].collection.codes["database_codes"], axis=0))
        assert row["recall within radius 2"] == coded[1].report.pr_curve.recall[2]
        assert row["farthest bit from balance"] == pytest.approx(np.abs(report.bit_balance - 0.5).max())
        assert list(table.index) == [one.name for one in coded]

    def test_smoke_numbers_are_marked(self, coded):
        assert "note" not in score_table(coded)
        for table in (score_table([smoke(coded[0]), coded[1]]), codes_table([smoke(coded[0])])):
            assert set(table["note"]) == {SMOKE_MARK}
        for draw in (curves_figure, codes_figure, gallery_figure):
            assert SMOKE_MARK in texts(draw([smoke(coded[0])]))
            assert SMOKE_MARK not in texts(draw([coded[0]]))

    def test_disagreement_is_the_range_of_ap(self, coded):
        ap = np.stack([one.average_precision for one in coded[:3]])
        np.testing.assert_array_equal(disagreement(coded[:3]), ap.max(axis=0) - ap.min(axis=0))
        assert not disagreement(coded[:1]).any()


class TestCurves:
    def test_curves_hold_the_report_s_numbers(self, coded):
        figure = curves_figure(coded)
        radius, first = figure.axes
        curves = [line for line in radius.lines if line.get_label().startswith(("Good", "Fair", "Bad"))]
        for one, line in zip(coded, curves, strict=True):
            assert line.get_label() == f"{one.name}: mAP {one.average_precision.mean():.3f}"
            np.testing.assert_array_equal(line.get_xdata(), one.report.pr_curve.recall)
            np.testing.assert_array_equal(line.get_ydata(), one.report.pr_curve.precision)
        depths = first.lines[0]
        assert depths.get_xdata().tolist() == [1, 2, 5, 10, 20]
        assert depths.get_ydata().tolist() == list(coded[0].report.precision_at.values())
        looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in curves}
        assert len(looks) == len({look[1:] for look in looks}) == len(coded)  # told apart without colours
        at_ten = coded[0].report.precision_at[10]
        assert f"Good, 16 bits: mAP {coded[0].average_precision.mean():.3f}" in alt_text(figure)
        assert f"{at_ten:.3f}" in alt_text(figure)


class TestGallery:
    def test_every_method_s_nearest_are_drawn_and_judged(self, coded):
        row = int(coded[2].average_precision.argmin())
        figure = gallery_figure(coded[:3], row, k=4)
        strips = by_gid(figure, "strip")
        assert len(strips) == 3
        said = texts(figure)
        for one, strip in zip(coded, strips, strict=False):
            found = one.collection.find(one.collection.query(row), 4)
            images = one.collection.splits.database.images[found.rows]
            side = images.shape[2]
            pixels = np.asarray(strip.get_array())
            np.testing.assert_array_equal(pixels[:, :side], images[0])
            np.testing.assert_array_equal(pixels[:, -side:], images[-1])
            assert f"{one.bits} bits\nAP {one.average_precision[row]:.3f}" in said
            assert f"{one.name}: AP {one.average_precision[row]:.3f}, {found.right.sum()} of 4" in alt_text(figure)
        marks = [text for text in said if re.fullmatch("[✓✗] d=[0-9]+", text)]
        expected = [
            f"{'✓' if right else '✗'} d={distance}"
            for one in coded[:3]
            for distance, right in zip(*one.collection.find(one.collection.query(row), 4)[1:], strict=True)
        ]
        assert marks == expected
        frames = sum(len(c.get_segments()) for c in figure.axes[0].collections)
        assert frames == 12

    def test_only_wrong_images_are_named(self, coded):
        best = int(coded[0].average_precision.argmax())
        found = coded[0].collection.find(coded[0].collection.query(best), 2)
        assert found.right.all()
        assert "wrong" not in alt_text(gallery_figure(coded[:1], best, k=2))

    def test_rows_that_are_not_there(self, coded):
        with pytest.raises(ValueError, match="row 12 of the query images was asked for; there are rows 0 to 11"):
            gallery_figure(coded, 12)


class TestCodes:
    def test_bits_distances_and_correlations_are_the_report_s(self, coded):
        two = [coded[0], coded[3]]  # 16 and 32 bits
        figure = codes_figure(two)
        (bits,) = by_gid(figure, "bits")
        expected = np.concatenate([one.report.codes.bit_balance for one in two])
        np.testing.assert_array_equal(bits.get_xdata(), expected)
        assert len(bits.get_ydata()) == 48
        (within,), (between,) = by_gid(figure, "within"), by_gid(figure, "between")
        for row, one in enumerate(two):
            shares = [h / h.sum() for h in (one.report.codes.within_histogram, one.report.codes.between_histogram)]
            tops = [0.9 - part.get_paths()[row].vertices[:, 1].min() + row for part in (within, between)]
            assert tops[0] / tops[1] == pytest.approx(shares[0].max() / shares[1].max())
            assert max(tops) == pytest.approx(0.8)
        picture = np.ma.filled(figure.axes[3].images[0].get_array(), np.nan)
        half = len(picture) // 2
        assert np.nanmax(np.abs(picture[:half])) == pytest.approx(
            np.abs(two[0].report.codes.bit_correlation[~np.eye(16, dtype=bool)]).max()
        )
        said = "\n".join(texts(figure))
        assert f"{two[0].report.codes.collisions:,} pairs collide" in said
        assert f"bits are +1 in {two[0].report.codes.bit_balance.min():.2f} to" in alt_text(figure)


class TestPairLosses:
    def test_costs_by_hand(self):
        costs = pair_costs(16)
        assert set(costs) == set(LOOKS)
        d, theta = 6, (16 - 12) / 2
        assert costs["DHN"][:, d] == pytest.approx(
            [math.log1p(math.exp(-theta)), math.log1p(math.exp(theta))], rel=1e-4
        )
        scaled = (HashNetConfig().inner_scale or 10 / 16) * (16 - 12)
        assert costs["HashNet"][:, d] == pytest.approx(
            [math.log1p(math.exp(-scaled)), math.log1p(math.exp(scaled))], rel=1e-4
        )
        assert costs["DSH, m = 2 K"][:, d] == pytest.approx([4 * d / 2, (32 - 4 * d) / 2])
        assert costs["DSH, m = K"][:, 3] == pytest.approx([4 * 3 / 2, (16 - 4 * 3) / 2])
        assert DSHConfig().margin == 1  # which the name of the curve says
        assert costs["DCH"][1, 0] == np.inf
        assert costs["DCH"][:, d] == pytest.approx([math.log1p(d / 20), math.log1p(20 / (d + 0.01))], rel=1e-4)

    def test_distance_helps_the_unlike_and_hurts_the_alike(self):
        for alike, unlike in pair_costs(32).values():
            assert (np.diff(alike) > -1e-6).all()
            assert (np.diff(unlike) < 1e-6).all()

    def test_curves_are_shares_of_their_largest_value(self):
        figure = pair_losses_figure(8)
        for axes, row in zip(figure.axes, (0, 1), strict=True):
            for name, line in zip(LOOKS, axes.lines, strict=False):
                costs = pair_costs(8)[name][row]
                drawn = costs[1:] if name == "DCH" and row else costs  # infinite at 0
                np.testing.assert_allclose(line.get_ydata()[-len(drawn) :], drawn / drawn.max())
        assert np.isnan(figure.axes[1].lines[list(LOOKS).index("DCH")].get_ydata()[0])
        assert "DSH, m = 2 K: at 4 bits 0.50 if alike, 0.00 if unlike" in alt_text(figure)
        assert "DSH, m = K: at 4 bits 0.50 if alike, 0.00 if unlike; at 1 bit 0.12 and 0.50" in alt_text(figure)
        assert alt_text(figure).count("infinite at 0 bits if unlike") == 1
        with pytest.raises(ValueError, match="codes of 0 bits were asked for; give at least 1"):
            pair_costs(0)


@pytest.fixture(scope="module")
def printed():
    """The notebook up to its first training: its names, and what each cell shows, by cell."""
    notebook = nbformat.read(ROOT / "notebooks" / "10_compared_methods.ipynb", as_version=4)
    names, found = {}, {}
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        if "run_all(" in cell.source:
            return names, found
        *body, last = ast.parse(cell.source).body
        exec(compile(ast.Module(body, []), cell.id, "exec"), names)
        shown = ast.Expression(last.value) if isinstance(last, ast.Expr) else None
        found[cell.id] = eval(compile(shown, cell.id, "eval"), names) if shown else None
    raise AssertionError("no cell trains")


class TestNotebook:
    def test_each_loss_prefers_images_near_their_class(self, printed):
        """Cells whose result has "together" and "astray": each loss of the first is less."""
        pairs = []
        for shown in printed[1].values():
            if isinstance(shown, pd.DataFrame) and {"together", "astray"} <= set(shown):
                pairs += list(zip(shown["together"], shown["astray"], strict=True))
            elif isinstance(shown, dict) and set(shown) == {"together", "astray"}:
                pairs.append((shown["together"], shown["astray"]))
        assert len(pairs) == 9  # DNNH, DHN, DSH twice, DCH, GreedyHash, CSQ, OrthoHash, CSCE-Net
        assert all(near < far for near, far in pairs)

    def test_one_code_for_two_images_costs_cibhash_more(self, printed):
        names, shown = printed
        costs = (cell for cell in shown.values() if isinstance(cell, dict) and "a code an image, views agree" in cell)
        own, mixed, shared = next(costs).values()
        assert own < shared < mixed
        differs = (names["class_codes"] != names["own_codes"]).any(dim=1)
        assert differs.tolist() == [False, True, True, True]

    def test_turning_never_makes_the_signs_fit_worse_and_cnnh_finds_centers(self, printed):
        names = printed[0]
        assert (np.diff(list(names["errors"].values())) < 0).all()
        assert (np.diff(names["objective"]) <= 0).all()
        assert len(names["found"].unique(dim=0)) < 40  # of 1,000 images: "nearly one code a class"
        assert names["apart"].min() > 8
        assert names["apart"].mean() == pytest.approx(16, abs=2)

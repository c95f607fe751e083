"""DOH's figures: what they show is what the runs hold, and the attention is measured as a plain loop measures it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fake_runs import make_run, make_splits, texts, unwrapped
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cscelab.datasets.loader import as_tensor
from cscelab.experiment import fresh_method
from cscelab.explain import OwnAndOthers, mass_inside
from cscelab.figures import arity, attention_lesson, attention_maps, build, doh, doh_group
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.jobs import distinct
from cscelab.methods.csce import CSCEConfig
from cscelab.methods.csq import CSQConfig
from cscelab.methods.doh import DOHConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.recipes import ARITY_SWEEP, DOH_ROWS, PROFILES, recipe
from cscelab.retrieval.bootstrap import difference, interval

UNTRAINED = BackboneConfig(weights="none")
WHOLE = DOHConfig(UNTRAINED, attention_scale=100.0)  # so that untrained attention is not all but flat
METHODS = {
    "Global view only": (replace(WHOLE, views="global"), 0.3),
    "Both views without attention": (replace(WHOLE, attention="none"), 0.25),
    doh.WHOLE: (WHOLE, 0.2),
    "Both, tanh and sign": (replace(WHOLE, head="sign"), 0.15),
    "CSQ": (CSQConfig(UNTRAINED), 0.1),
}


def stored(folder, splits, noise, seed, **settings):
    """A run of made-up codes whose model is untrained and whose data are the splits."""
    run = make_run(folder, splits, noise, seed, **settings)
    run.__dict__["data"] = lambda: splits
    run.__dict__["model"] = lambda: fresh_method(run.experiment, 3).eval()
    return run


@pytest.fixture(scope="module")
def rows(tmp_path_factory, splits):
    """Two seeds a row at 12 bits."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        row: [stored(folder, splits, noise, seed, method=method, bits=12) for seed in (0, 1)]
        for row, (method, noise) in METHODS.items()
    }


@pytest.fixture(scope="module")
def frame(rows):
    return doh.doh_table(rows)


def untrained(method, splits, training, folder, seed, *_):
    """In the place of `fit`: the network as drawn."""
    method.start_training(splits.train, torch.Generator().manual_seed(seed))
    return [{"epoch": 1.0, "validation_map": 0.5}]


# --- attention


def test_attention_sums_to_one_and_is_flat_where_it_is_off(splits):
    images = splits.query.images
    for attention in ("spatial", "none"):
        method = replace(WHOLE, attention=attention, image_size=24).build(3, 12)
        method.train()
        maps = attention_maps.attention_maps(method, images)
        assert method.training
        assert maps.shape[0] == len(images)
        assert maps.sum(axis=(1, 2)) == pytest.approx(np.ones(len(images)))
        flat = np.ptp(maps, axis=(1, 2)) < 1e-7
        assert flat.all() if attention == "none" else not flat.any()


def test_the_attention_drawn_is_the_networks_in_evaluation(splits):
    method = replace(WHOLE, image_size=24).build(3, 12).eval()
    with torch.no_grad():
        expected = method(as_tensor(splits.query.images)).seen.local.attention.numpy()
    assert attention_maps.attention_maps(method, splits.query.images) == pytest.approx(expected)
    large = attention_maps.attention_over(method, splits.query.images)
    assert large.shape == splits.query.images.shape[:3]
    assert large.max(axis=(1, 2)) == pytest.approx(np.ones(len(large)))


@pytest.mark.parametrize("config", [CSQConfig(UNTRAINED), replace(WHOLE, views="global")])
def test_methods_without_a_local_view_have_no_attention(config, splits):
    method = replace(config, image_size=24).build(3, 12)
    with pytest.raises(
        ValueError, match=f"{config.title} has no local view; give a run of DOH whose views are both or"
    ):
        attention_maps.attention_maps(method, splits.query.images)
    assert not attention_maps.looks_locally(config)


def test_numbers_of_maps_are_means_over_runs_and_then_over_visible_targets():
    masks = np.zeros((3, 4, 4), np.uint8)
    masks[0, :2], masks[1, 0, 0] = 1, 1  # shares 1/2 and 1/16; of the third image nothing is visible
    first = OwnAndOthers(np.array([2.0, 8.0, np.nan]), np.array([1.0, 3.0, np.nan]))
    second = OwnAndOthers(np.array([1.0, 4.0, np.nan]), np.array([1.0, 1.0, np.nan]))
    found = attention_maps.target_numbers([first, second], masks)
    own = np.array([1.5, 6.0])
    assert found["attention on target"] == own.mean()
    assert (found["attention on target, low"], found["attention on target, high"]) == interval(own)[1:]
    assert found["attention on target, others"] == 1.5
    assert found["attention inside"] == pytest.approx((1.5 / 2 + 6 / 16) / 2)
    assert found["target"] == pytest.approx((1 / 2 + 1 / 16) / 2)
    unseen = OwnAndOthers(*[np.full(3, np.nan)] * 2)
    assert np.isnan(list(attention_maps.target_numbers([unseen], np.zeros((3, 4, 4))).values())).all()


# --- the table


def test_the_tables_attention_is_what_a_plain_loop_finds_and_one_where_it_is_off(rows, frame, splits):
    queries = splits.query
    means = []
    for run in rows[doh.WHOLE]:
        maps = attention_maps.attention_over(run.model(), queries.images).astype(np.float64)
        ratios = []
        for image_map, mask in zip(maps, queries.masks > 0, strict=True):
            on_target = sum(image_map[y, x] for y, x in zip(*np.nonzero(mask), strict=True))
            ratios.append(on_target / image_map.sum() / (mask.sum() / mask.size))
        means.append(np.mean(ratios))
    ours = frame["attention on target"]
    assert ours[doh.WHOLE] == pytest.approx(np.mean(means))
    assert ours[doh.WHOLE] != pytest.approx(1, abs=1e-3)
    off = frame.loc["Both views without attention", ["attention on target", "attention on target, others"]]
    assert off.tolist() == pytest.approx([1, 1], abs=1e-6)
    assert list(ours.index[ours.isna()]) == ["Global view only", "CSQ"]


def test_the_table_holds_means_deviations_and_paired_differences(rows, frame):
    assert list(frame.index) == list(METHODS)
    found = [run.mean_average_precision for run in rows[doh.WHOLE]]
    assert frame.loc[doh.WHOLE, ["seed 0", "seed 1"]].tolist() == pytest.approx(found)
    assert frame.loc[doh.WHOLE, "mAP"] == pytest.approx(np.mean(found))
    assert frame.loc[doh.WHOLE, "deviation"] == pytest.approx(np.std(found, ddof=1))
    assert frame["seeds"].tolist() == [2] * len(frame)

    def ap(row):
        return np.mean([run.metrics["report"]["average_precision"] for run in rows[row]], axis=0)

    for other, row in (("CSQ", "CSQ"), ("DOH", doh.WHOLE)):
        columns = [f"difference to {other}{limit}" for limit in ("", ", low", ", high")]
        assert frame.loc[row, columns].isna().all()
        expected = difference(ap("Both, tanh and sign"), ap(row))
        assert frame.loc["Both, tanh and sign", columns].tolist() == pytest.approx(list(map(float, expected)))
    assert not [name for name in frame.columns if "published" in name]
    rebuilt = frame["paper"].str.endswith("reconstruction")
    assert list(rebuilt.index[~rebuilt]) == ["CSQ"]


def test_the_table_says_what_a_code_takes(frame):
    columns = ["symbols", "arity", "stored bytes", "packed bytes"]
    assert frame.loc[doh.WHOLE, columns].tolist() == [6, 4, 3, 2]  # 12 bits: 6 symbols of 4, 24 bits one-hot
    assert frame.loc["CSQ", columns[2:]].tolist() == [2, 2]
    assert frame.loc[["CSQ", "Both, tanh and sign"], columns[:2]].isna().all(axis=None)
    assert frame.attrs["layout"] == "12 bits (6 symbols of 4)"


def test_one_seed_has_no_deviation_and_queries_without_masks_no_attention(rows, splits):
    one = {row: [replace_data(seeds[0], splits)] for row, seeds in rows.items()}
    frame = doh.doh_table(one)
    assert frame["deviation"].isna().all()
    assert not [name for name in frame.columns if "attention" in name or "target" in name]
    figure = doh.doh_figure(frame)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["mAP (axis cut)", "Difference in mAP"]
    assert "Its attention" not in doh.goals(frame)
    assert "seed by seed" not in doh.goals(frame)


def replace_data(run, splits):
    """The run, its queries without masks."""
    bare = replace(splits, query=replace(splits.query, masks=None))
    other = type(run)(run.experiment, run.folder)
    other.__dict__["data"], other.__dict__["model"] = lambda: bare, run.model
    return other


def test_tables_that_cannot_be_compared_are_refused(rows, tmp_path, splits):
    with pytest.raises(ValueError, match="the table has no run of 'CSQ' to compare with; its rows are"):
        doh.doh_table({doh.WHOLE: rows[doh.WHOLE]})
    with pytest.raises(ValueError, match="row 'more' has no run; give at least one seed, or leave it out"):
        doh.doh_table({**rows, "more": []})
    longer = make_run(tmp_path, splits, 0.1, method=CSQConfig(UNTRAINED), bits=16)
    with pytest.raises(ValueError, match="runs of 12, 16 bits came; compare at one code length"):
        doh.doh_table({**rows, "longer": [longer]})


@pytest.mark.parametrize(
    ("gap", "low", "high", "said"),
    [
        (-0.02, -0.029, -0.01, "less 0.03: yes (−0.020 [−0.029, −0.010], the interval agrees)"),
        (-0.02, -0.04, 0.0, "less 0.03: yes (−0.020 [−0.040, +0.000], the interval cannot tell)"),
        (-0.05, -0.07, -0.02, "less 0.03: no (−0.050 [−0.070, −0.020], the interval cannot tell)"),
        (-0.05, -0.07, -0.04, "less 0.03: no (−0.050 [−0.070, −0.040], the interval agrees)"),
    ],
)
def test_whether_the_goals_are_reached_is_said_from_the_numbers(frame, gap, low, high, said):
    changed = frame.copy()
    changed.loc[doh.WHOLE, [f"difference to CSQ{end}" for end in ("", ", low", ", high")]] = gap, low, high
    changed.loc[doh.WHOLE, ["seed 0", "seed 1"]] = 0.5, 0.75
    changed.loc["CSQ", ["seed 0", "seed 1"]] = 0.625, 0.5
    changed.loc[doh.WHOLE, "attention on target"] = 1.99
    text = doh.goals(changed)
    assert said in text
    assert "; seed by seed −0.125, +0.250. " in text
    assert "at least 2 times a uniform map's: no (1.99; " in text
    changed.loc[doh.WHOLE, ["attention on target", "attention on target, others"]] = 2.0, 1.6
    assert doh.goals(changed).endswith(
        "yes (2.00; other images' maps, which know nothing of the image, have 1.60: its own have 1.2 times that)."
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "+0.000"), (-0.0003, "−0.0003"), (0.00004, "+0.00004"), (-0.0005, "−0.001"), (0.0104, "+0.010")],
)
def test_differences_never_hide_on_which_side_of_0_they_are(frame, value, said):
    changed = frame.copy()
    changed.loc[doh.WHOLE, [f"difference to CSQ{end}" for end in ("", ", low", ", high")]] = 0.1, value, 0.2
    assert f"(+0.100 [{said}, +0.200], the interval agrees)" in doh.goals(changed)


def test_the_picture_of_the_table_shows_its_numbers(frame):
    figure = doh.doh_figure(frame)
    precision, differences, attention = figure.axes
    assert [label.get_text() for label in precision.get_yticklabels()] == list(frame.index)
    assert {f"{m:.3f} ± {s:.3f}" for m, s in zip(frame["mAP"], frame["deviation"], strict=True)} <= set(texts(figure))
    marks = {bar.get_label(): bar.lines[0] for bar in precision.containers + differences.containers}
    assert marks["mean over seeds"].get_xdata().tolist() == frame["mAP"].tolist()
    for label, name in (("to CSQ", "difference to CSQ"), ("to the whole DOH", "difference to DOH")):
        assert np.array_equal(np.asarray(marks[label].get_xdata(), float), frame[name], equal_nan=True)
    assert marks["to CSQ"].get_marker() != marks["to the whole DOH"].get_marker()
    seeds = next(line for line in precision.lines if line.get_label() == "a seed")
    assert sorted(seeds.get_xdata()) == sorted(frame[["seed 0", "seed 1"]].to_numpy().ravel())
    assert [text.get_text() for text in attention.texts].count("no local view") == 2
    legends = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes]
    assert legends[0] == ["mean over seeds", "a seed", "CSQ less 0.03"]
    assert legends[2] == ["own image's map", "other images' maps", "a uniform map", "2 times that"]
    goal = next(line for line in precision.lines if line.get_label() == "CSQ less 0.03")
    assert goal.get_xdata()[0] == pytest.approx(frame.loc["CSQ", "mAP"] - 0.03)
    below = figure.get_supxlabel().replace("\n", " ")
    assert doh.RECONSTRUCTION in below
    assert doh.goals(frame) in below
    assert f"{doh.WHOLE} {frame.loc[doh.WHOLE, 'mAP']:.3f}" in figure.alt
    FigureCanvasAgg(figure).draw()
    inside = figure.get_window_extent()
    assert figure._supxlabel.get_window_extent().x1 <= inside.x1
    for axes in figure.axes:
        assert inside.contains(*axes.get_tightbbox().min)
        assert inside.contains(*axes.get_tightbbox().max)


# --- arities, curves


def test_the_sweep_over_arities_counts_symbols_and_bytes(tmp_path, splits):
    runs = {
        bits: {
            k: [stored(tmp_path, splits, 0.1 + k / 50, 0, method=replace(WHOLE, arity=k), bits=bits)]
            for k in (16, 2, 4, 8)
        }
        for bits in (24, 12)
    }
    frame = arity.arity_table(runs)
    assert frame.index.tolist() == [(bits, k) for bits in (12, 24) for k in (2, 4, 8, 16)]
    columns = ["symbols", "stored bits", "stored bytes", "packed bytes"]
    assert frame.loc[(24, 16), columns].tolist() == [6, 96, 12, 3]
    assert frame.loc[(24, 8), columns].tolist() == [8, 64, 8, 3]
    assert frame.loc[(12, 2), columns].tolist() == [12, 24, 3, 2]
    assert frame.loc[(24, 4), "mAP"] == runs[24][4][0].mean_average_precision
    assert set(frame["paper"]) == {WHOLE.paper}
    figure = arity.arity_figure(frame)
    (axes,) = figure.axes
    lines = {bar.get_label(): bar.lines[0] for bar in axes.containers}
    assert list(lines) == ["12 bits", "24 bits"]
    for bits in (12, 24):
        assert lines[f"{bits} bits"].get_ydata().tolist() == frame.loc[bits, "mAP"].tolist()
    assert len({(line.get_marker(), line.get_linestyle()) for line in lines.values()}) == 2
    assert axes.get_xticklabels()[3].get_text() == "k = 16\n12 bits: R = 3\n24 bits: R = 6"
    assert {f"{value:.3f}" for value in frame["mAP"]} == set(texts(figure))
    assert "one seed a point" in axes.get_xlabel()
    assert doh.RECONSTRUCTION in axes.get_xlabel()
    assert f"24 bits: {frame.loc[(24, 2), 'mAP']:.3f} (k = 2)" in figure.alt
    with pytest.raises(ValueError, match=r"a run of 24 bits \(12 symbols of 4\) came for 24 bits in groups of 8"):
        arity.arity_table({24: {8: runs[24][4]}})
    with pytest.raises(ValueError, match="a sweep of no runs was asked for"):
        arity.arity_table({24: {}})


def test_dohs_curve_has_a_point_for_each_number_of_symbols(rows, tmp_path, splits):
    csce = make_run(tmp_path, splits, 0.2, method=CSCEConfig(UNTRAINED), bits=12)
    figure = doh.precision_recall_figure({"DOH": rows[doh.WHOLE][0], "CSCE-Net": csce, "CSQ": rows["CSQ"][0]})
    (axes,) = figure.axes
    curves = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    points = {label: len(line.get_xdata()) for label, line in curves.items()}
    assert points == {"DOH, 12 bits (6 symbols of 4)": 7, "CSCE-Net, 12 bits": 13, "CSQ, 12 bits": 13}
    report = rows[doh.WHOLE][0].metrics["report"]["pr_curve"]
    assert curves["DOH, 12 bits (6 symbols of 4)"].get_ydata().tolist() == report["precision"]
    assert "; radii in bits (DOH: in symbols)" in axes.get_xlabel()
    rings = [line.get_xydata()[0].tolist() for line in axes.lines if line.get_markersize() == 12]
    plain = [run.metrics["report"]["pr_curve"] for run in (csce, rows["CSQ"][0])]
    assert rings == [[curve["recall"][2], curve["precision"][2]] for curve in plain]  # 2 symbols are not 2 bits
    assert "(ring: 2 bits)" in axes.get_title("left")
    alone = doh.precision_recall_figure({"DOH": rows[doh.WHOLE][0]}).axes[0]
    assert len([line for line in alone.lines if line.get_markersize() == 12]) == 1
    assert "(ring: radius 2)" in alone.get_title("left")
    assert "; radii in symbols" in alone.get_xlabel()
    assert axes.get_xlabel().endswith(f"seed 0. {doh.RECONSTRUCTION}")


# --- the picture of the attention


def test_attention_is_drawn_over_the_first_of_each_class_with_its_numbers(rows, splits):
    shown = {
        "attention": (rows[doh.WHOLE][0], attention_maps.ATTENTION),
        "off": (rows["Both views without attention"][0], attention_maps.ATTENTION),
        "GradCAM": (rows[doh.WHOLE][0], "GradCAM"),
    }
    frame = attention_maps.attention_table(shown, splits.query)
    assert frame.loc["off", "attention on target"] == pytest.approx(1, abs=1e-6)
    figure = attention_maps.attention_figure(shown, splits.query, splits.class_names, frame)
    first = [int(np.flatnonzero(splits.query.labels == label)[0]) for label in range(3)]
    drawn = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    assert np.array_equal(drawn[:3], splits.query.images[first])
    assert len(drawn) == 3 * (1 + len(shown))
    maps = attention_maps.attention_over(rows[doh.WHOLE][0].model(), splits.query.images[first])
    ratios = [f"{ratio:.1f} × uniform" for ratio in mass_inside(maps, splits.query.masks[first])]
    said = texts(figure)
    begin = said.index(ratios[0])
    assert said[begin : begin + 3] == ratios
    assert said.count("1.0 × uniform") >= 3
    note = unwrapped(said[-1])
    assert "the first query of each of the first 3 species to come up" in note
    values = frame.loc["attention"]
    assert f"attention: {values['attention on target']:.2f} [" in note
    assert f"targets take {values['target']:.1%} of their image" in note
    assert frame["queries"].tolist() == [len(splits.query)] * 3
    assert set(frame["paper"]) == {WHOLE.paper}
    further = attention_maps.attention_figure(shown, splits.query, splits.class_names, frame, also=frame.loc[["off"]])
    values = frame.loc["off"]
    assert "Not drawn, off: 1.00 [1.00, 1.00], other queries' maps 1.00; of its mass" in unwrapped(texts(further)[-1])
    assert f"{values['attention inside']:.1%} lie on targets" in unwrapped(texts(further)[-1])
    bare = attention_maps.attention_figure(shown, replace(splits.query, masks=None), splits.class_names)
    assert attention_maps.attention_table(shown, replace(splits.query, masks=None)) is None
    assert not [text for text in texts(bare) if "uniform" in text]


def test_images_with_several_labels_are_the_first_and_said_to_be(tmp_path):
    scenes = make_splits(multilabel=True)
    run = stored(tmp_path, scenes, 0.2, 0, method=WHOLE, bits=12)
    figure = attention_maps.attention_figure(
        {"DOH": (run, attention_maps.ATTENTION)}, scenes.query, scenes.class_names, n=4
    )
    drawn = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    assert np.array_equal(drawn[:4], scenes.query.images[:4])
    note = unwrapped(texts(figure)[-1])
    assert note.startswith("Images: the first 4 queries, without choosing.")
    assert "species to come up" not in note


def test_the_lesson_shows_the_networks_own_weights_and_its_scale(rows, splits):
    run = rows[doh.WHOLE][0]
    steps = attention_lesson.attention_steps(run, 1)
    view = next(attention_maps.local_views(run.model(), splits.query.images[1:2]))
    assert steps.weights == pytest.approx(view.class_weights[0].numpy())
    assert steps.evidence == pytest.approx(view.evidence[0].numpy())
    alpha = np.exp(100 * (steps.evidence - steps.evidence.max()).astype(float))
    assert steps.attention == pytest.approx(alpha / alpha.sum(), rel=1e-3)
    assert "attention: softmax of 100 m\nover the places" in texts(attention_lesson.attention_steps_figure(run, 1))
    flat = rows["Both views without attention"][0]
    with pytest.raises(ValueError, match='weighs every place the same; give a run of DOH whose attention is "spatial"'):
        attention_lesson.attention_steps_figure(flat)


# --- the group


def test_the_group_needs_all_seeds_in_the_table_alone():
    experiments = build.needed(["doh"], "quick")
    rows, sweep = len(DOH_ROWS) + 1, len(ARITY_SWEEP) * 2
    assert len(distinct(experiments)) == len(experiments) == rows + 2 + sweep
    assert recipe("doh", "quick", 32, on="scenes") in experiments
    assert not [one for one in build.needed(["doh"], "paper") if "scenes/" in one.name]
    assert {one.bits for one in experiments} == {24, 32, 48}
    further = set(build.needed(["doh"], "quick", seeds=3)) - set(experiments)
    assert len(further) == 2 * rows
    assert {(one.bits, one.seed) for one in further} == {(32, 1), (32, 2)}
    assert recipe("csce", "quick", 32) in experiments
    assert "doh" not in build.BY_DEFAULT


def test_the_group_is_written_and_nothing_is_trained_twice(tmp_path, monkeypatch):
    smoke = PROFILES["smoke"]
    data = replace(smoke.data, train=12, validation=4, query=8, database=12, image_size=64)
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(PROFILES, "smoke", replace(smoke, data=data, compared=(12,)))
    monkeypatch.setattr("cscelab.experiment.fit", untrained)
    paths = build.build(["doh"], "smoke", out=tmp_path, jobs=1, seeds=1)
    pictures = ("doh-1seeds", "doh-map-by-arity", "doh-precision-recall", "doh-attention")
    tables = ("doh-1seeds", "doh-map-by-arity", "doh-attention")
    assert sorted(path.name for path in paths) == sorted(
        [f"{stem}.{suffix}" for stem in pictures for suffix in ("png", "svg")] + [f"{stem}.csv" for stem in tables]
    )
    for stem in tables:
        assert set(pd.read_csv(tmp_path / f"{stem}.csv")["remark"]) == {SMOKE_MARK}
    assert pd.read_csv(tmp_path / "doh-1seeds.csv")["row"].tolist() == list(doh_group.ROWS)
    assert pd.read_csv(tmp_path / "doh-map-by-arity.csv")["symbols"].tolist() == [12, 6, 4, 3]
    monkeypatch.setattr("cscelab.experiment.fit", lambda *_: pytest.fail("trained again"))
    stored_again = build.run_all(build.needed(["doh"], "smoke"), jobs=1, progress=False)
    assert len({run.folder for run in stored_again}) == len(DOH_ROWS) + 3 + len(ARITY_SWEEP) - 1  # DOH is in both
    assert pd.read_csv(tmp_path / "doh-attention.csv")["map"].tolist()[-1] == "attention of DOH, several birds an image"

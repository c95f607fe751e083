"""Tables, maps, sheets and curves: that what they show is what the runs hold, and that they say what it is."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_runs import NAMES, make_run, make_splits, texts, unwrapped
from matplotlib.backends.backend_agg import FigureCanvasAgg
from safetensors.torch import save_file

from cscelab.compare import paired_difference
from cscelab.datasets.aviary import Aviary
from cscelab.datasets.base import ImageSet, Splits
from cscelab.datasets.lists import ListFiles
from cscelab.datasets.loader import as_tensor
from cscelab.experiment import Experiment, Run, fresh_method
from cscelab.explain import code_cams, mass_inside, own_and_others
from cscelab.figures import cams, comparison, curves, galleries, sheets, study, tables
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.style import GREY
from cscelab.methods.csce import CSCEConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.published import LENGTHS, TABLE2, TABLE3
from cscelab.retrieval import bootstrap
from cscelab.train import weights_of


@pytest.mark.parametrize("smoke", [True, False])
def test_smoke_runs_are_marked_in_every_figure(tmp_path, splits, smoke):
    runs = [make_run(tmp_path, splits, 0.2, seed, smoke=smoke) for seed in (1, 2)]
    table = comparison.structure_table({"Baseline": {16: runs}})
    figures = [
        galleries.top10_gallery([galleries.gallery_entry(*runs, "hardest", splits.query)], splits),
        galleries.two_cases(*runs, splits),
        tables.table_figure(table, "Table 2"),
        curves.training_curves({"a": runs[0]}),
        curves.precision_recall({"a": runs[0]}),
        curves.map_by_code_length({"a": {16: runs}}),
    ]
    assert [SMOKE_MARK in texts(figure) for figure in figures] == [smoke] * len(figures)
    assert (SMOKE_MARK in table.to_csv()) == smoke


# --- tables


@pytest.fixture
def by_row(tmp_path, splits) -> dict[str, dict[int, list[Run]]]:
    def seeds(first, noise, bits):
        return [make_run(tmp_path, splits, noise, first + i, bits=bits) for i in range(3)]

    rows = {"Baseline": 0.35, "Baseline + AIE": 0.1}
    return {row: {b: seeds(10 * i + b, noise, b) for b in (16, 32)} for i, (row, noise) in enumerate(rows.items())}


def test_table_holds_means_deviations_and_seeds_of_the_runs(by_row):
    frame = comparison.structure_table(by_row)
    assert list(frame.index) == ["Baseline", "Baseline + AIE"]
    for row, found in by_row.items():
        for bits, runs in found.items():
            maps = [run.metrics["map"] for run in runs]
            mean, continuous = sum(maps) / 3, [run.metrics["continuous_map"] for run in runs]
            deviation = (sum((m - mean) ** 2 for m in maps) / 2) ** 0.5  # n - 1
            assert frame.loc[row, f"{bits} bits: mAP"] == pytest.approx(mean)
            assert frame.loc[row, f"{bits} bits: deviation"] == pytest.approx(deviation)
            assert frame.loc[row, f"{bits} bits: seeds"] == 3
            assert frame.loc[row, f"{bits} bits: continuous mAP"] == pytest.approx(np.mean(continuous))


def test_published_columns_are_labelled_and_equal_published(by_row):
    frame = comparison.structure_table(by_row)
    theirs = [name for name in frame.columns if "published" in name]
    assert len(theirs) == 6
    for row in frame.index:
        for data_set, depth in (("ImageNet100", "mAP@1000"), ("MS COCO", "mAP@5000")):
            for bits in LENGTHS:
                name = f"published, {data_set} {depth}, ResNet50, {bits} bits"
                assert frame.loc[row, name] == TABLE2.value(row, data_set, bits)
    ours_only = comparison.loss_table({"CF+DSF learned": by_row["Baseline"], "CF": by_row["Baseline"]})
    label = f"{TABLE3.label('ImageNet100')}, 16 bits"
    assert np.isnan(ours_only.loc["CF+DSF learned", label])
    assert ours_only.loc["CF", label] == TABLE3.value("CF", "ImageNet100", 16)


def test_one_seed_has_no_deviation_and_no_winner(by_row):
    single = {row: {16: found[16][:1]} for row, found in by_row.items()}
    frame = comparison.structure_table(single)
    assert frame["16 bits: deviation"].isna().all()
    figure = tables.table_figure(frame, "Table 2", "1 seed: small differences are noise.")
    numbers = [t for t in figure.axes[0].texts if t.get_text().startswith("0.")]
    assert not [t for t in numbers if t.get_weight() == "bold"]
    words = " ".join(texts(figure))
    assert "±" not in words
    assert "1 seed: small differences are noise." in words.replace("\n", " ")


def test_table_picture_shows_ours_upright_and_theirs_apart(by_row):
    frame = comparison.structure_table(by_row)
    figure = tables.table_figure(frame, "Table 2")
    grey = [t for t in figure.axes[0].texts if t.get_color() == GREY and not t.get_text().startswith("[")]
    numbers = [t.get_text() for t in grey if t.get_text().startswith("0.")]
    expected = [TABLE2.value(row, d, b) for row in by_row for d in TABLE2.data_sets for b in LENGTHS]
    assert numbers == [f"{value:.3f}" for value in expected]
    assert all(t.get_style() == "italic" for t in grey)
    head = " ".join(t.get_text() for t in grey).replace("\n", " ")
    assert "printed by Xue et al. – other data, other backbone: not ours" in head
    ours = [t.get_text() for t in figure.axes[0].texts if "±" in t.get_text() and t.get_text()[0] == "0"]
    columns = [(row, b) for row in by_row for b in (16, 32)]
    assert ours == [
        f"{frame.loc[r, f'{b} bits: mAP']:.3f} ± {frame.loc[r, f'{b} bits: deviation']:.3f}" for r, b in columns
    ]
    rights = {t.get_text(): t.get_position()[0] for t in figure.axes[0].texts}
    assert all(rights[text] < min(t.get_position()[0] for t in grey if t.get_text() in numbers) for text in ours)


def test_intervals_are_those_of_the_queries_after_averaging_seeds(by_row):
    frame = comparison.structure_table(by_row)
    assert frame.attrs["reference"] == "Baseline"
    for bits in (16, 32):
        ap = {
            row: np.mean([run.metrics["report"]["average_precision"] for run in found[bits]], axis=0)
            for row, found in by_row.items()
        }
        for row, per_query in ap.items():
            cells = frame.loc[row, [f"{bits} bits: {name}" for name in ("mAP", "low", "high")]]
            assert list(cells) == pytest.approx(list(bootstrap.interval(per_query)))
        names = [f"{bits} bits: difference{end}" for end in ("", " low", " high")]
        paired = bootstrap.interval(ap["Baseline + AIE"] - ap["Baseline"])
        assert list(frame.loc["Baseline + AIE", names]) == pytest.approx(list(paired))
        assert frame.loc["Baseline", names].isna().all()  # the reference itself


def test_another_row_can_be_the_reference(by_row):
    first = comparison.comparison_table(by_row, TABLE2)
    turned = comparison.comparison_table(by_row, TABLE2, reference="Baseline + AIE")
    name = "16 bits: difference"
    assert turned.loc["Baseline", name] == pytest.approx(-first.loc["Baseline + AIE", name])
    assert (
        turned.loc["Baseline", f"{name} low"] <= turned.loc["Baseline", name] <= turned.loc["Baseline", f"{name} high"]
    )
    assert "difference\nto Baseline + AIE" in texts(tables.table_figure(turned, "Table 2"))
    with pytest.raises(ValueError, match="no row 'CE' to compare with; choose from"):
        comparison.comparison_table(by_row, TABLE2, reference="CE")


def test_table_picture_writes_intervals_small_under_their_numbers(by_row):
    frame = comparison.structure_table(by_row)
    figure = tables.table_figure(frame, "Table 2")
    shown = {t.get_text(): t for t in figure.axes[0].texts}
    small = [text for text in shown if text.startswith("[") and not text.startswith("[ ]")]
    expected = []
    for row in frame.index:
        for bits in (16, 32):
            cell = frame.loc[row].filter(like=f"{bits} bits: ").rename(lambda name: name.split(": ")[1])
            expected.append(f"[{cell['low']:.3f}, {cell['high']:.3f}]")
            if row != "Baseline":
                expected.append(f"[{cell['difference low']:+.3f}, {cell['difference high']:+.3f}]".replace("-", "−"))
                assert f"{cell['difference']:+.3f}".replace("-", "−") in shown
    assert small == expected
    means = [t for t in shown.values() if "±" in t.get_text() and t.get_text()[0] == "0"]
    assert all(shown[text].get_size() < means[0].get_size() for text in small)
    words = " ".join(shown).replace("\n", " ")
    assert "covers which queries were drawn, not training seeds, nor the database" in words


def test_columns_of_a_table_do_not_overlap(by_row):
    figure = tables.table_figure(comparison.structure_table(by_row), "Table 2")
    FigureCanvasAgg(figure).draw()
    boxes = [(t.get_text(), t.get_window_extent()) for t in figure.axes[0].texts]
    hits = [
        (one, two)
        for i, (one, box) in enumerate(boxes)
        for two, other in boxes[i + 1 :]
        if min(box.x1, other.x1) - max(box.x0, other.x0) > 1 and min(box.y1, other.y1) - max(box.y0, other.y0) > 3
    ]
    assert not hits
    assert [text for text, box in boxes if box.x0 < 0 or box.x1 > figure.bbox.x1 or box.y0 < 0] == []


def test_rows_on_other_queries_are_never_paired(by_row, tmp_path):
    other = replace(make_splits(), query=replace(make_splits().query, ids=np.arange(12)))
    rows = {"Baseline": by_row["Baseline"], "Baseline + AIE": {16: [make_run(tmp_path, other, seed=50)]}}
    with pytest.raises(ValueError, match="of 12 queries only 0 have an id in both"):
        comparison.structure_table(rows)


def test_study_shows_intervals_and_differences_to_the_baseline(by_row):
    runs = {"Baseline + AIE": by_row["Baseline + AIE"][16], "Baseline": by_row["Baseline"][16]}
    for run in [run for found in runs.values() for run in found]:
        run.metrics["validation_map"] = 0.5
    frame = study.study_table(runs)
    names = ["difference to Baseline", "difference, low", "difference, high"]
    assert list(frame.loc["Baseline + AIE", names]) == pytest.approx(list(paired_difference(*runs.values())))
    assert frame.loc["Baseline", names].isna().all()
    assert (frame["mAP, low"] < frame["mAP"]).all()
    assert (frame["mAP"] < frame["mAP, high"]).all()
    assert "difference to Baseline + AIE" in study.study_table({"Baseline + AIE": runs["Baseline + AIE"]})


@pytest.mark.parametrize(
    ("backbone", "published_lists", "remark"),
    [
        ("tiny", False, " – other data, other backbone"),
        ("resnet50", False, " – other data"),
        ("tiny", True, " – other backbone"),
        ("resnet50", True, ""),
    ],
)
def test_published_numbers_say_in_what_ours_differ(tmp_path, splits, backbone, published_lists, remark):
    method = CSCEConfig(backbone=BackboneConfig(backbone))
    data = ListFiles("imagenet100", "train.txt", "test.txt", "database.txt") if published_lists else Aviary(n_classes=3)
    run = make_run(tmp_path, splits, method=method, data=data)
    figure = tables.table_figure(comparison.structure_table({"Baseline": {16: [run]}}), "Table 2")
    head = " ".join(t.get_text() for t in figure.axes[0].texts if t.get_color() == GREY).replace("\n", " ")
    assert f"printed by Xue et al.{remark}: not ours" in head


def test_bold_are_the_best_and_those_within_a_deviation_of_it(by_row):
    frame = comparison.structure_table({**by_row, "twin": by_row["Baseline + AIE"]})
    figure = tables.table_figure(frame, "Table 2")
    bold = [t.get_text() for t in figure.axes[0].texts if "±" in t.get_text() and t.get_weight() == "bold"]
    best = [f"{frame.loc['twin', f'{b} bits: mAP']:.3f}" for b in (16, 32)]
    assert [text[:5] for text in bold] == best * 2  # the row and its twin, and never the far worse baseline


def test_a_missing_length_is_blank_and_no_runs_are_refused(by_row):
    partly = {"Baseline": by_row["Baseline"], "Baseline + local": {16: by_row["Baseline"][16]}}
    frame = comparison.structure_table(partly)
    assert np.isnan(frame.loc["Baseline + local", "32 bits: mAP"])
    assert frame.loc["Baseline + local", "32 bits: seeds"] == 0
    assert "–" in texts(tables.table_figure(frame, "Table 2"))
    with pytest.raises(ValueError, match="a table of no runs"):
        comparison.structure_table({"Baseline": {}})


# --- class activation maps


@pytest.fixture(scope="module")
def birds() -> ImageSet:
    rng = np.random.default_rng(5)
    masks = np.zeros((3, 112, 112), np.uint8)
    masks[0, 10:50, 10:50], masks[1, 60:100, 30:90] = 1, 2  # the third has no visible target
    return ImageSet(rng.integers(0, 256, (3, 112, 112, 3), dtype=np.uint8), np.arange(3), np.arange(3), masks)


def untrained(**settings):
    experiment = Experiment("untrained", Aviary(n_classes=3), CSCEConfig(**settings))
    return experiment, fresh_method(experiment, 3, weights="none").eval()


def test_cam_figure_writes_the_measured_number_under_each_map(birds):
    methods = {name: untrained(structure=name)[1] for name in ("baseline", "aie")}
    figure = cams.cam_figure(methods, birds.images, birds.masks, NAMES)
    expected = []
    for method in methods.values():
        ratios = mass_inside(code_cams(method, as_tensor(birds.images)), birds.masks)
        expected += [f"{ratio:.1f} × uniform" for ratio in ratios[:2]] + ["no target"]
    shown = [t for t in texts(figure) if t.endswith("× uniform") or t == "no target"]
    assert shown == expected
    assert {"baseline", "aie", "image"} <= set(texts(figure))
    bold = [
        t.get_text().replace("-\n", "-").replace("\n", " ") for t in figure.axes[0].texts if t.get_weight() == "bold"
    ]
    assert bold[-3:] == list(NAMES)  # the class names, as in the paper
    assert len(figure.axes[0].images) == 3 + 2 * 3  # images, and for each method those under its maps
    assert figure.axes[1].get_ylabel().startswith("activation")  # the colour bar says what it is


def test_the_noise_of_smooth_maps_is_the_same_at_every_call_and_torch_s_generator_untouched(birds):
    _, method = untrained()
    state = torch.get_rng_state()
    once, again = (code_cams(method, as_tensor(birds.images), extractor="SmoothGradCAMpp") for _ in range(2))
    assert torch.equal(once, again)
    assert once.std() > 0
    assert torch.equal(torch.get_rng_state(), state)


def test_a_cell_and_a_callback_may_explain_with_one_network_at_once(birds):
    _, method = untrained()
    images = as_tensor(birds.images)
    alone, others, stop = code_cams(method, images), images.flip(0)[:2], threading.Event()

    def callback() -> None:
        while not stop.is_set():
            code_cams(method, others)

    thread = threading.Thread(target=callback)
    thread.start()
    try:
        maps = [code_cams(method, images) for _ in range(15)]
    finally:
        stop.set()
        thread.join()
    assert all(torch.allclose(found, alone, atol=1e-5) for found in maps)


def test_cam_figure_of_one_method_without_masks(birds):
    figure = cams.cam_figure(untrained()[1], birds.images)
    assert "CSCE-Net" in texts(figure)
    assert not [t for t in texts(figure) if "uniform" in t]
    assert not figure.axes[0].collections


def test_cam_figure_says_what_the_other_images_maps_have(birds):
    methods = {name: untrained(structure=name)[1] for name in ("baseline", "aie")}
    found = [own_and_others(code_cams(m, as_tensor(birds.images)), birds.masks) for m in methods.values()]
    means = [f"{np.nanmean(each.others):.1f}" for each in found]
    (note,) = (unwrapped(t) for t in texts(cams.cam_figure(methods, birds.images, birds.masks)) if "Under each" in t)
    assert note.endswith(f"the other images drawn here have {means[0]} (baseline), {means[1]} (aie) on average.")
    (alone,) = (t for t in texts(cams.cam_figure(methods["aie"], birds.images[:1], birds.masks[:1])) if "Under" in t)
    assert unwrapped(alone).endswith("a uniform map has 1.")
    hidden = cams.cam_figure(methods["aie"], birds.images, np.zeros_like(birds.masks))
    assert [unwrapped(t)[-20:] for t in texts(hidden) if "Under" in t] == ["a uniform map has 1."]


def test_cam_numbers_are_means_over_queries_whose_target_shows(birds, tmp_path, monkeypatch):
    experiment, method = untrained()
    save_file(weights_of(method), tmp_path / "model.safetensors")
    (tmp_path / "metrics.json").write_text('{"n_classes": 3}')
    run = Run(experiment, tmp_path)
    monkeypatch.setattr(Run, "data", lambda self: Splits(birds, birds, birds, birds, NAMES))
    numbers = cams.cam_numbers(run)
    assert (numbers["structure"], numbers["n"]) == ("aie", 2)
    for layer in ("stage4", "local"):
        ratios = mass_inside(code_cams(method, as_tensor(birds.images), layer), birds.masks)
        assert numbers[layer] == pytest.approx(np.nanmean(ratios), rel=1e-5)
        control = np.nanmean(own_and_others(code_cams(method, as_tensor(birds.images), layer), birds.masks).others)
        assert numbers[f"{layer} others"] == pytest.approx(control)
        over = f"{layer} own over others"
        assert numbers[over] == pytest.approx(numbers[layer] / control)
        assert numbers[f"{over} low"] < numbers[over] < numbers[f"{over} high"]
    baseline = cams.cam_numbers(untrained(structure="baseline")[1], queries=birds)
    columns = ("stage4", "stage4 others", "stage4 own over others")  # no local branch
    assert list(baseline) == ["structure", "n"] + [c + end for c in columns for end in ("", " low", " high")]
    assert baseline["stage4 low"] <= baseline["stage4"] <= baseline["stage4 high"]


def test_cams_need_masks_and_data(birds):
    method = untrained()[1]
    with pytest.raises(ValueError, match="a method alone does not know its data"):
        cams.cam_numbers(method)
    with pytest.raises(ValueError, match="no target masks, so that maps cannot be measured"):
        cams.cam_numbers(method, queries=replace(birds, masks=None))


def test_the_interval_of_a_ratio_resamples_both_means_together():
    own = np.array([1.0, 2.0, 4.0])
    assert cams._ratio_of_means(own, own / 2) == pytest.approx((2, 2, 2))  # paired: the ratio never varies
    value, low, high = cams._ratio_of_means(own, np.array([1.0, 1.0, 2.0]))
    assert value == pytest.approx(7 / 4)
    assert (low, high) == pytest.approx((1, 2))  # nothing but the first query, or none of it


def test_a_map_is_measured_against_the_other_images_maps():
    masks = np.zeros((3, 4, 4), np.uint8)
    masks[0, 0, 0], masks[1, :2, :2], masks[2, 3] = 1, 1, 1
    cams = np.zeros((3, 4, 4))
    cams[0, 0, 0], cams[1, 0, 0], cams[1, 0, 1], cams[2] = 0.5, 0.3, 0.1, 1
    own, others = own_and_others(cams, masks)
    assert own == pytest.approx([16, 4, 1])  # all of the mass over 1/16 and 1/4 of the area; a uniform map
    assert others == pytest.approx([(0.75 * 16 + 1) / 2, (4 + 1) / 2, 0])


def test_the_control_is_every_other_map_on_this_mask(birds):
    maps = np.random.default_rng(0).random((3, 112, 112))
    own, others = own_and_others(maps, birds.masks)
    np.testing.assert_allclose(own, mass_inside(maps, birds.masks))
    by_hand = [np.mean([mass_inside(maps[[i]], birds.masks[[j]])[0] for i in range(3) if i != j]) for j in range(3)]
    np.testing.assert_allclose(others, by_hand)  # NaN for the third, whose target is hidden
    np.testing.assert_allclose(own_and_others(maps * [[[2]], [[5]], [[0.1]]], birds.masks).others, others)  # any scale
    maps[0] = 0  # an empty map says nothing about the others
    own, others = own_and_others(maps, birds.masks)
    assert np.isnan(own[0])
    np.testing.assert_allclose(others[1], mass_inside(maps[[2]], birds.masks[[1]])[0])
    maps[2] = 0
    assert np.isnan(own_and_others(maps, birds.masks).others[1])  # no other map is left


def test_a_blob_in_the_middle_beats_a_uniform_map_and_not_its_control():
    masks = np.zeros((4, 9, 9))
    for i in range(4):
        masks[i, 3 : 5 + i % 2, 3 : 5 + i // 2] = 1  # targets near the middle
    blob = np.repeat(np.exp(-((np.indices((9, 9)) - 4) ** 2).sum(axis=0) / 4)[None], 4, axis=0)
    own, others = own_and_others(blob, masks)
    assert own.min() > 2
    np.testing.assert_allclose(own, others)


def test_one_map_has_no_control():
    with pytest.raises(ValueError, match="1 map came, and the control is made of other images' maps; give at least 2"):
        own_and_others(np.ones((1, 4, 4)), np.ones((1, 4, 4)))


# --- sheets and curves


def test_contact_sheet_names_every_image_and_outlines_on_request(splits):
    figure = sheets.contact_sheet(splits, n=9, columns=3, outlined=True, title="Birds")
    names = [unwrapped(t) for t in texts(figure)]
    assert names == ["Birds"] + [NAMES[label] for label in splits.train.labels[:9]]
    assert len(figure.axes[0].images) == 9
    assert len(figure.axes[0].collections) == 2 * 9  # white on black
    assert not sheets.contact_sheet(splits, n=9).axes[0].collections
    rows = np.array([7, 3])
    shown = sheets.contact_sheet(splits.query, NAMES, rows=rows).axes[0].images
    assert np.array_equal(shown[1].get_array(), splits.query.images[3])


def test_contact_sheet_says_what_it_lacks(splits):
    with pytest.raises(ValueError, match="give class_names="):
        sheets.contact_sheet(splits.query)
    with pytest.raises(ValueError, match="no target masks; leave outlined=False"):
        sheets.contact_sheet(replace(splits.query, masks=None), NAMES, outlined=True)


def test_species_sheet_shows_every_species_once():
    figure = sheets.species_sheet(10, size=48)
    names = [unwrapped(t) for t in texts(figure)]
    assert names == list(Aviary(n_classes=10).class_names)
    pictures = [image.get_array() for image in figure.axes[0].images]
    assert len({np.asarray(p).tobytes() for p in pictures}) == 10


def test_training_curves_draw_the_history(pair):
    figure = curves.training_curves({"CSCE-Net": pair[0], "CSQ": pair[1]})
    loss, validation = figure.axes
    assert loss.lines[0].get_ydata().tolist() == [4, 2.5, 1.25]
    assert loss.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert validation.lines[0].get_ydata().tolist() == [0.5, 0.75, 0.6]
    assert np.ravel(validation.lines[1].get_xdata()).tolist() == [2]  # the epoch that was kept
    assert loss.lines[0].get_linestyle() != loss.lines[1].get_linestyle()
    assert loss.lines[0].get_marker() != loss.lines[1].get_marker()
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["CSCE-Net: 0.750", "CSQ: 0.750"]


def test_precision_recall_draws_the_report_and_rings_radius_two(pair):
    curve, ring = curves.precision_recall({"CSCE-Net": pair[0]}).axes[0].lines
    stored = pair[0].metrics["report"]
    assert list(curve.get_xdata()) == stored["pr_curve"]["recall"]
    assert list(curve.get_ydata()) == stored["pr_curve"]["precision"]
    assert np.ravel(ring.get_xdata()) == stored["radius_recall"]["2"]
    assert np.ravel(ring.get_ydata()) == stored["radius_precision"]["2"]


def test_map_by_code_length_draws_means_and_sample_deviations(by_row):
    axes = curves.map_by_code_length(by_row).axes[0]
    maps = [[run.metrics["map"] for run in by_row["Baseline"][bits]] for bits in (16, 32)]
    container = axes.containers[0]
    assert container.lines[0].get_ydata() == pytest.approx(np.mean(maps, axis=1))
    bars = np.array(container.lines[2][0].get_segments())[:, :, 1]
    assert (bars[:, 1] - bars[:, 0]) / 2 == pytest.approx(np.std(maps, axis=1, ddof=1))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["16", "32"]
    assert "seeds: 3; bars: one standard deviation" in axes.get_xlabel()

"""ExchNet's figures: what they show is what the runs hold, and what is measured is what a plain loop measures."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fake_runs import make_run, texts, unwrapped
from matplotlib.backends.backend_agg import FigureCanvasAgg
from safetensors.torch import save_file

from cscelab.codes import pack
from cscelab.datasets.aviary import Aviary
from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import as_tensor
from cscelab.encode import Encoded
from cscelab.experiment import Run, fresh_method, measure
from cscelab.figures import exchnet, part_exchange, part_maps
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.methods.adsh import ADSHConfig
from cscelab.methods.exchnet import ExchNetConfig, class_anchors
from cscelab.methods.hashnet import HashNetConfig
from cscelab.published import EXCHNET
from cscelab.retrieval.bootstrap import difference
from cscelab.train import weights_of

BITS, SIDE, CLASSES = 12, 32, 7  # two genera: five species and two
HISTORY = """epoch,validation_map,objective_before,objective,codes_changed
1,0.5,0.9,0.6,0.5
2,0.75,0.7,0.4,0.25
3,0.6,0.45,0.35,0.1
4,0.6,0.3,0.28,0.05
"""


def images_of(n: int, seed: int, genus: bool = True) -> ImageSet:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    return ImageSet(
        rng.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8),
        labels,
        100 * seed + np.arange(n),
        (rng.random((n, SIDE, SIDE)) < 0.3).astype(np.uint8),
        {"genus": labels // 5} if genus else {},
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, splits) -> Run:
    """ExchNet as it is drawn from its seed, with statistics of a few images, stored."""
    data = Aviary(n_classes=CLASSES, image_size=SIDE)
    stored = make_run(tmp_path_factory.mktemp("runs"), splits, method=ExchNetConfig(n_parts=3), bits=BITS, data=data)
    method = fresh_method(stored.experiment, CLASSES)
    method.train()
    with torch.no_grad():
        method(as_tensor(images_of(14, 5).images))
    save_file(weights_of(method), stored.folder / "model.safetensors")
    (stored.folder / "metrics.json").write_text(json.dumps(stored.metrics | {"n_classes": CLASSES, "best_epoch": 2.0}))
    (stored.folder / "history.csv").write_text(HISTORY)
    return Run(stored.experiment, stored.folder)


def with_learned(run: Run, splits, noise: float) -> Run:
    """The run, its database's codes taken as the network's, beside learned ones of which a share `noise` is flipped."""
    codes = dict(np.load(run.folder / "codes.npz"))
    centers = np.random.default_rng(99).choice([-1, 1], (3, run.experiment.bits))
    flips = np.random.default_rng(7).random((len(splits.database), run.experiment.bits)) < noise
    learned = centers[splits.database.labels] * np.where(flips, -1, 1)
    query, network = (
        Encoded(
            codes[f"{s}_codes"],
            codes[f"{s}_values"],
            None,
            codes[f"{s}_labels"],
            codes[f"{s}_ids"],
            run.experiment.layout,
        )
        for s in ("query", "database")
    )
    by_learned = replace(network, codes=pack(learned.astype(np.int8)), values=learned.astype(np.float32))
    metrics = run.metrics | measure(run.experiment, query, by_learned)
    metrics["network"] = measure(run.experiment, query, network)
    (run.folder / "metrics.json").write_text(json.dumps(metrics))
    return Run(run.experiment, run.folder)


@pytest.fixture
def rows(tmp_path, splits) -> dict[str, dict[int, list[Run]]]:
    """Three seeds at 24 bits, one at 12, of a method with learned codes, of ADSH, and of HashNet, which learns none."""
    methods = {"ExchNet": (ExchNetConfig(), 0.1), "ADSH": (ADSHConfig(), 0.25), "HashNet": (HashNetConfig(), 0.3)}
    found = {}
    for row, (method, noise) in methods.items():
        found[row] = {}
        for bits, seeds in ((12, [0]), (24, [0, 1, 2])):
            runs = [make_run(tmp_path, splits, noise, seed, bits=bits, method=method) for seed in seeds]
            found[row][bits] = runs if row == "HashNet" else [with_learned(one, splits, noise / 2) for one in runs]
    return found


# --- the table


def test_the_table_holds_both_databases_and_paired_differences_to_adsh(rows):
    frame = exchnet.exchnet_table(rows)
    assert list(frame.index) == ["ExchNet", "ADSH", "HashNet"]
    ours, adsh, hashnet = (rows[row][24] for row in frame.index)
    learned = [run.metrics["map"] for run in ours]
    network = [run.metrics["network"]["map"] for run in ours]
    assert frame.loc["ExchNet", "24 bits: learned mAP"] == pytest.approx(np.mean(learned))
    assert frame.loc["ExchNet", "24 bits: learned deviation"] == pytest.approx(np.std(learned, ddof=1))
    assert frame.loc["ExchNet", "24 bits: network mAP"] == pytest.approx(np.mean(network)) != np.mean(learned)
    assert frame["24 bits: seeds"].tolist() == [3, 3, 3]
    assert frame["12 bits: seeds"].tolist() == [1, 1, 1]
    assert frame[["12 bits: learned deviation", "12 bits: network deviation"]].isna().all(axis=None)

    def ap(runs, by):
        reports = [
            (run.metrics if by == "learned" else run.metrics.get("network", run.metrics))["report"] for run in runs
        ]
        return np.mean([report["average_precision"] for report in reports], axis=0)

    for name, by, other in (("difference", "learned", ap(hashnet, "network")), ("network difference", "network", None)):
        expected = difference(ap(ours, by), ap(adsh, by))
        columns = [f"24 bits: {name}{limit}" for limit in ("", " low", " high")]
        assert frame.loc["ExchNet", columns].tolist() == pytest.approx(list(map(float, expected)))
        assert frame.loc["ADSH", columns].isna().all()
        theirs = difference(ap(hashnet, "network") if other is None else other, ap(adsh, by))
        assert frame.loc["HashNet", columns].tolist() == pytest.approx(list(map(float, theirs)))


def test_hashnet_has_no_learned_codes_and_published_numbers_are_marked(rows):
    frame = exchnet.exchnet_table(rows, ("CUB-200-2011", "NABirds"))
    assert np.isnan(frame.loc["HashNet", "24 bits: learned mAP"])
    hashnet = np.mean([run.metrics["map"] for run in rows["HashNet"][24]])
    assert frame.loc["HashNet", "24 bits: network mAP"] == pytest.approx(hashnet)
    published = [name for name in frame.columns if name.startswith("published, ")]
    assert len(published) == 8
    assert frame.loc["ADSH", "published, CUB-200-2011 mAP@all, 48 bits"] == EXCHNET.value("ADSH", "CUB-200-2011", 48)
    assert np.isnan(frame.loc["HashNet", "published, NABirds mAP@all, 12 bits"])
    assert "remark" not in frame
    assert "ECCV 2020" in frame.attrs["published"]


def test_tables_without_runs_or_without_adsh_are_refused(rows):
    with pytest.raises(ValueError, match="no row 'ADSH' to compare with; its rows are \\['ExchNet'\\]: add it"):
        exchnet.exchnet_table({"ExchNet": rows["ExchNet"]})
    with pytest.raises(ValueError, match="a table of no runs was asked for"):
        exchnet.exchnet_table({"ExchNet": {}, "ADSH": {}})


# --- curves


def test_learned_codes_are_solid_and_the_networks_dashed_with_bars_where_seeds_are_several(rows):
    figure = exchnet.code_length_figure(rows)
    (axes,) = figure.axes
    bound = {container.get_label(): container for container in axes.containers}
    assert list(bound) == [
        "ExchNet, learned database codes", "ExchNet, the network's codes",
        "ADSH, learned database codes", "ADSH, the network's codes",
        "HashNet, the network's codes",
    ]  # fmt: skip
    for label, container in bound.items():
        line, _, (bars,) = container.lines
        row, _, by = label.partition(", ")
        by_learned = by.startswith("learned")
        assert (line.get_linestyle(), line.get_markerfacecolor() == "white") == (
            ("-", False) if by_learned else ("--", True)
        )
        maps = [
            [run.metrics["map"] if by_learned or row == "HashNet" else run.metrics["network"]["map"] for run in runs]
            for runs in rows[row].values()
        ]
        assert line.get_ydata() == pytest.approx([np.mean(found) for found in maps])
        (low, high) = bars.get_segments()[-1][:, 1]
        assert high - low == pytest.approx(2 * np.std(maps[1], ddof=1))
    markers = {container.lines[0].get_marker() for container in bound.values()}
    assert len(markers) == 3  # rows are not told apart by their colours alone
    assert "one seed a point, 3 at 24 bits (bars: one standard deviation)" in axes.get_xlabel()
    assert "HashNet, the network's codes: " in figure.alt


def test_the_sweep_has_the_overlap_of_the_maps_beside_map(rows, monkeypatch):
    measured = {2: (0.1, 0.0), 4: (0.3, 0.25)}
    monkeypatch.setattr(
        exchnet, "overlap_and_empty", lambda run: measured[2] if run.experiment.bits == 12 else measured[4]
    )
    runs = {4: rows["ExchNet"][24], 2: rows["ExchNet"][12]}
    frame = exchnet.part_sweep_table(runs)
    assert frame.index.tolist() == [2, 4]
    assert frame["overlap"].tolist() == pytest.approx([0.1, 0.3])
    assert frame["empty maps"].tolist() == [0, 0.25]
    assert frame.loc[4, "learned mAP"] == pytest.approx(np.mean([run.metrics["map"] for run in runs[4]]))
    assert frame["seeds"].tolist() == [1, 3]
    assert frame.loc[4, "published, CUB-200-2011 mAP@all, 24 bits"] == EXCHNET.value("ExchNet", "CUB-200-2011", 24)
    precision, overlap = exchnet.part_sweep_figure(runs, frame).axes
    assert precision.containers[0].lines[0].get_ydata() == pytest.approx(frame["learned mAP"].tolist())
    assert precision.containers[1].lines[0].get_ydata() == pytest.approx(frame["network mAP"].tolist())
    assert [text.get_text() for text in overlap.texts] == ["0.10", "0.30"]


# --- the objective


def test_the_objective_zigzags_between_the_networks_steps_and_the_code_step(run):
    epochs = len(run.history)
    trained = replace(run.experiment, training=replace(run.experiment.training, epochs=epochs))
    never = replace(trained, method=replace(trained.method, exchange_from=1.0))
    runs = {"with": Run(trained, run.folder), "never": Run(never, run.folder)}
    figure = exchnet.objective_figure(runs)
    upper, without, lower, _ = figure.axes
    drawn = [line for line in upper.lines if line.get_gid() != "exchange"]
    heights = {"-": [], "--": []}
    for line in drawn:
        heights[line.get_linestyle()].append(line.get_ydata().tolist())
    assert heights["--"] == [[0.9, 0.6], [0.7, 0.4], [0.45, 0.35], [0.3, 0.28]]
    assert heights["-"] == [[0.6, 0.7], [0.4, 0.45], [0.35, 0.3]]
    assert [bar.get_height() for bar in lower.containers[0]] == [0.5, 0.25, 0.1, 0.05]
    assert lower.get_ylim()[1] > 0.5
    marks = [[line for line in axes.lines if line.get_gid() == "exchange"] for axes in (upper, without)]
    assert [len(found) for found in marks] == [1, 0]
    assert 2 < marks[0][0].get_xdata()[0] < 3 - exchnet.STEP  # after half of four, before the third's code step
    assert "over K²" in figure.get_supxlabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(exchnet.STEPS)


def test_a_run_without_a_code_step_has_no_objective(pair):
    with pytest.raises(ValueError, match="has no code step in its history; give runs of ExchNet or ADSH"):
        exchnet.objective_figure({"CSCE-Net": pair[0]})


# --- maps


def test_maps_are_the_networks_attention_image_by_image(run, monkeypatch):
    monkeypatch.setattr(part_maps, "BATCH", 3)
    method, images = run.model(), images_of(7, 3).images
    method.train()
    maps = part_maps.attention_maps(method, images)
    assert method.training
    method.eval()
    assert maps.shape == (7, 3, *maps.shape[2:])
    with torch.no_grad():
        for row in range(7):
            alone = method(as_tensor(images[row : row + 1])).parts.attention[0].numpy()
            assert maps[row] == pytest.approx(alone, abs=1e-5)
    shares = maps.astype(np.float64)
    for row, overlap in enumerate(part_maps.part_overlaps(method, images)):
        parts = [part / part.sum() if part.sum() else np.full(part.shape, 1 / part.size) for part in shares[row]]
        pairs = [np.minimum(parts[a], parts[b]).sum() for a, b in ((0, 1), (0, 2), (1, 2))]
        assert overlap == pytest.approx(np.mean(pairs))


def test_a_method_without_parts_is_refused(pair, splits):
    method = fresh_method(replace(pair[1].experiment, data=Aviary(n_classes=3, image_size=32)), 3)
    with pytest.raises(ValueError, match="CSQ finds no parts; give a method that does"):
        part_maps.attention_maps(method, splits.query.images)


def test_enlarged_maps_reach_one_and_empty_ones_stay_empty():
    maps = np.zeros((1, 2, 2, 2), np.float32)
    maps[0, 0] = [[4, 0], [0, 0]]
    large = part_maps.enlarged(maps, 8)
    assert large.shape == (1, 2, 8, 8)
    assert large[0, 0].max() == large[0, 0, 0, 0] == 1
    assert not large[0, 1].any()


def test_the_first_image_of_each_of_the_first_species_is_shown():
    queries = images_of(9, 1)
    shuffled = replace(queries, labels=np.array([3, 3, 0, 5, 0, 1, 6, 2, 4]))
    assert part_maps.first_of_each(shuffled, 4).tolist() == [0, 2, 3, 5]
    assert part_maps.first_of_each(shuffled).tolist() == [0, 2, 3, 5, 6, 7]


def test_every_map_is_laid_over_its_image_with_overlap_and_mass_on_the_target(run):
    queries = images_of(2, 4)
    names = ["ruddy heron", "masked owl"]
    figure = part_maps.part_maps_figure({"a": run, "b": run}, queries.images, queries.masks, names, "First two.")
    assert len(figure.axes[0].images) == 2 * (1 + 2 * 3)
    words = [unwrapped(text) for text in texts(figure)]
    overlaps = part_maps.part_overlaps(run.model(), queries.images)
    assert [word for word in words if word.startswith("overlap ")] == 2 * [f"overlap {x:.2f}" for x in overlaps]
    large = part_maps.enlarged(part_maps.attention_maps(run.model(), queries.images), SIDE)
    expected = []
    for part in range(3):
        for row in range(2):
            weights, inside = large[row, part].astype(np.float64), queries.masks[row] > 0
            ratio = weights[inside].sum() / weights.sum() / inside.mean() if weights.any() else None
            expected.append("empty" if ratio is None else f"{ratio:.1f} ×")
    assert [word for word in words if word == "empty" or word.endswith(" ×")] == 2 * expected
    assert any(word.startswith("First two. Aviary, 7 classes") for word in words)
    bare = part_maps.part_maps_figure({"a": run}, queries.images, None, names)
    assert not [text for text in texts(bare) if text.endswith(" ×")]


def test_no_words_run_off_a_sheet_of_few_maps(run):
    queries = images_of(2, 4)
    figure = part_maps.part_maps_figure({"a": run}, queries.images, queries.masks, ["ruddy heron", "masked owl"])
    renderer = FigureCanvasAgg(figure).get_renderer()
    ends = {text.get_text(): text.get_window_extent(renderer).x1 for text in figure.axes[0].texts}
    assert part_maps.KEY in ends
    assert not {words: end for words, end in ends.items() if end > figure.bbox.x1 - 4}


# --- exchange


def test_a_code_moves_by_the_bits_that_a_plain_loop_counts(run):
    method, images, train = run.model(), images_of(9, 1), images_of(21, 2)
    frame = part_exchange.code_movement(method, images, train)
    whose = part_exchange.anchor_classes(images, train, CLASSES, np.random.default_rng(0))
    anchors = class_anchors(method, train)
    assert len(frame) == 9 * 3 * 3
    with torch.no_grad():
        parts = method(as_tensor(images.images)).parts
        before = method.network.values(parts.joined()) >= 0
        for row in range(9):
            for part in range(3):
                for kind, classes in whose.items():
                    local = parts.local[row : row + 1].clone()
                    local[0, part] = anchors[classes[row], part]
                    features = torch.cat([local.flatten(1), parts.whole[row : row + 1]], dim=1)
                    flipped = ((method.network.values(features) >= 0)[0] != before[row]).sum()
                    found = frame[
                        (frame["id"] == images.ids[row]) & (frame["part"] == part + 1) & (frame["anchor"] == kind)
                    ]
                    assert found["bits"].tolist() == [int(flipped)]
    assert frame["bits"].max() > 0


def test_a_part_that_is_its_own_anchor_moves_nothing(run):
    images = images_of(CLASSES, 1)  # one image a class: its parts are the means of its class
    frame = part_exchange.code_movement(run.model(), images, images)
    assert not frame.loc[frame["anchor"] == "own class", "bits"].any()
    assert frame.loc[frame["anchor"] == "another genus", "bits"].any()


def test_anchors_are_of_the_kinds_they_are_said_to_be():
    images, train = images_of(40, 1), images_of(21, 2)
    whose = part_exchange.anchor_classes(images, train, CLASSES, np.random.default_rng(3))
    genus = np.arange(CLASSES) // 5
    assert (whose["own class"] == images.labels).all()
    assert (genus[whose["same genus"]] == genus[images.labels]).all()
    assert (whose["same genus"] != images.labels).all()
    assert (genus[whose["another genus"]] != genus[images.labels]).all()
    assert len(set(whose["another genus"][images.labels == 6])) > 1  # drawn for each image
    plain = images_of(21, 2, genus=False)
    kinds = part_exchange.anchor_classes(images, plain, CLASSES, np.random.default_rng(3))
    assert list(kinds) == ["own class", "another class"]
    assert (kinds["another class"] != images.labels).all()
    one = ImageSet(train.images, train.labels % 5, train.ids, None, {"genus": np.zeros(21, int)})
    assert list(part_exchange.anchor_classes(one, one, 5, np.random.default_rng(0))) == ["own class", "same genus"]


def test_images_of_several_classes_have_no_class_of_their_own(run):
    many = replace(images_of(4, 1), labels=np.eye(CLASSES, dtype=np.uint8)[:4])
    with pytest.raises(ValueError, match="these images have several labels, so that no class is their own"):
        part_exchange.code_movement(run.model(), many, many)


def test_movement_is_drawn_as_means_over_images_with_their_middle_half(run):
    bits = {"own class": [0, 0, 1, 3], "another class": [2, 4, 6, 8]}
    movement = pd.DataFrame(
        [
            {"id": i, "part": part, "anchor": kind, "bits": part * flipped}
            for kind, found in bits.items()
            for part in (1, 2)
            for i, flipped in enumerate(found)
        ]
    )
    frame = part_exchange.movement_table({"with": movement, "alone": movement}, smoke=True)
    assert set(frame["remark"]) == {SMOKE_MARK}
    row = frame.loc[("with", 1, "own class")]
    assert (row["bits that flip"], row["share of images that flip any"], row["images"]) == (1.0, 0.5, 4)
    assert row["deviation"] == pytest.approx(np.std(bits["own class"], ddof=1))
    assert frame.loc[("alone", 2, "another class"), ["lower quartile", "upper quartile"]].tolist() == [7, 13]
    figure = part_exchange.exchange_figure(frame, {"with": run, "alone": run})
    first, second = figure.axes
    assert [line.get_ydata().tolist() for line in first.lines] == [[1, 2], [5, 10]]
    assert len({line.get_marker() for line in first.lines}) == 2
    ends = first.collections[1].get_segments()[1][:, 1]
    assert ends.tolist() == [7, 13]
    assert second.get_title(loc="left") == "alone"
    assert "(iteration 2 of " in second.get_xlabel()
    assert "with, another class: mean 5.0, 10.0" in figure.alt

"""CamExplorer: which code a map explains, the numbers under it, and the controls that choose it."""

import numpy as np
import pytest
import torch
from fake_runs import make_run, make_splits

from cscelab.collection import Collection
from cscelab.datasets.aviary import Aviary
from cscelab.datasets.loader import as_tensor
from cscelab.experiment import Experiment, Run
from cscelab.explain import code_cams, mass_inside
from cscelab.figures.explained import control_of, draw_explained, explain_query, explained_figure, layers_of
from cscelab.figures.overlay import overlaid
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.methods.csce import CSCEConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.widgets import CamExplorer, checked, outputs_in
from cscelab.widgets import cams as module

SIDE, BITS = 24, 16  # of fake_runs' images: too small for windows, large enough for stage 4


def collection(structure="local", title="first", seed=0, smoke=False, splits=None):
    """Noise images as an untrained network codes them."""
    splits = make_splits() if splits is None else splits
    torch.manual_seed(seed)
    config = CSCEConfig(BackboneConfig("tiny", "none"), SIDE, structure=structure, sign="plain")
    method = config.build(len(splits.class_names), BITS).eval()
    codes = {}
    for name in ("query", "database"):
        part = getattr(splits, name)
        with torch.no_grad():
            output = method(as_tensor(part.images))
        codes |= {f"{name}_codes": output.codes.numpy().astype(np.int8), f"{name}_values": output.values.numpy()}
        codes |= {f"{name}_labels": part.labels, f"{name}_ids": part.ids}
    experiment = Experiment(name=title, method=config, bits=BITS, data=Aviary(n_classes=3), smoke=smoke)
    made = Collection(title, experiment, splits, codes, None)
    made.__dict__["method"] = method
    return made


@pytest.fixture(scope="module")
def shown():
    return collection()


@pytest.fixture
def widget(shown):
    return checked(CamExplorer(shown))


@pytest.fixture
def asked(monkeypatch):
    """The maps that were computed, in order: row, target, class, layer, extractor."""
    calls = []

    def note(collection, *what):
        calls.append(what[:-1])  # the last is the control
        return explain_query(collection, *what)

    monkeypatch.setattr(module, "explain_query", note)
    return calls


def words(figure):
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def alt(widget):
    (output,) = outputs_in(widget)
    return output.outputs[0]["data"]["text/plain"]


def test_its_own_code(shown):
    explained = explain_query(shown, 4)
    image = as_tensor(shown.splits.query.images[[4]])
    np.testing.assert_allclose(explained.cam, code_cams(shown.method, image)[0].numpy(), atol=1e-6)
    assert explained.agreement == pytest.approx(np.abs(shown.codes["query_values"][4]).mean(), rel=1e-5)
    assert explained.ratio == pytest.approx(mass_inside(explained.cam[None], shown.splits.query.masks[[4]])[0])
    assert (explained.words, explained.other) == ("its own code", None)


def test_the_control_is_other_queries_maps_on_its_target(shown):
    queries, row = shown.splits.query, 4
    control = control_of(shown, "stage3", "LayerCAM")
    assert len(control.rows) == min(40, len(queries))
    cams = code_cams(shown.method, as_tensor(queries.images[control.rows]), "stage3", "LayerCAM").numpy()
    np.testing.assert_allclose(control.cams, cams, atol=1e-6)
    assert row in control.rows  # and left out of its own control
    ratios = [
        mass_inside(c[None], queries.masks[[row]])[0] for c, r in zip(cams, control.rows, strict=True) if r != row
    ]
    made, given = (explain_query(shown, row, "own", 0, "stage3", "LayerCAM", one).others for one in (None, control))
    assert made == given == pytest.approx(np.nanmean(ratios), rel=1e-5)


def test_the_nearest_images_code(shown):
    explained = explain_query(shown, 4, "nearest")
    found = shown.find(shown.query(4), 1)
    row = int(found.rows[0])
    assert (explained.other == shown.splits.database.images[row]).all()
    by_hand = (shown.codes["query_values"][4] * shown.codes["database_codes"][row]).mean()
    assert explained.agreement == pytest.approx(by_hand, rel=1e-5)
    assert f"database image {row}" in explained.words
    assert explained.words.endswith(f"at distance {found.distances[0]}")


def test_a_classs_center(shown):
    explained = explain_query(shown, 4, "center", 2)
    centers = shown.method.centers.numpy()
    assert explained.agreement == pytest.approx((shown.codes["query_values"][4] * centers[2]).mean(), rel=1e-5)
    assert explained.words == f"the center of {shown.class_names[2]}"
    image, codes = as_tensor(shown.splits.query.images[[4]]), torch.from_numpy(centers[[2]])
    np.testing.assert_allclose(explained.cam, code_cams(shown.method, image, codes=codes)[0].numpy(), atol=1e-6)


def test_errors_are_sentences(shown, monkeypatch):
    with pytest.raises(ValueError, match=r"unknown target 'other'; choose from \['center', 'nearest', 'own'\]"):
        explain_query(shown, 0, "other")
    with pytest.raises(ValueError, match="class 3 was asked for; there are classes 0 to 2"):
        explain_query(shown, 0, "center", 3)
    with pytest.raises(ValueError, match="an opacity of 2 was asked for; choose one from 0 to 1"):
        explained_figure(shown, opacity=2)
    with pytest.raises(ValueError, match="no collection was given"):
        explained_figure({})
    monkeypatch.delattr(shown.method, "centers")
    with pytest.raises(ValueError, match="first has no hash centers; explain its own code or the nearest image's"):
        explain_query(shown, 0, "center")


def test_methods_must_share_their_queries(shown):
    splits = make_splits()
    other = type(splits)(splits.train, splits.validation, splits.database, splits.query, splits.class_names)
    with pytest.raises(ValueError, match="first and other hold different images; choose methods of one data set"):
        explained_figure({"a": shown, "b": collection(title="other", splits=other)})


def test_the_picture_says_its_numbers(shown):
    figure = explained_figure(shown, 4, "nearest")
    explained = explain_query(shown, 4, "nearest")
    said = words(figure)
    unbroken = " ".join(said.split())
    assert "Where in the image the bits come from: GradCAM, stage4" in said
    assert (
        f"{explained.ratio:.1f} × uniform on the target (other queries' maps: {explained.others:.1f} × uniform)"
        in unbroken
    )
    assert f"agreement {explained.agreement:+.2f} with the code of" in unbroken
    assert "nearest image" in said
    assert (
        f"{explained.ratio:.1f} × uniform on the target (other queries' maps: {explained.others:.1f} × uniform)"
        in figure.alt
    )
    covered = overlaid(shown.query(4).image[None], explained.cam[None])[0]
    drawn = [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]
    assert sum(array.shape == covered.shape and np.array_equal(array, covered) for array in drawn) == 1


def test_hidden_targets_and_missing_masks_are_said(shown):
    explained = explain_query(shown, 4)
    for ratio, said in ((float("nan"), "target hidden or map empty"), (None, "no mask to measure it by")):
        one = type(explained)(explained.cam, explained.words, explained.agreement, ratio)
        assert said in words(draw_explained({"first": shown}, 4, {"first": one}, "title"))


def test_smoke_is_marked():
    figure = explained_figure(collection(smoke=True))
    assert SMOKE_MARK in "".join(text.get_text() for text in figure.texts)


def test_every_control_asks_for_its_map_once(widget, asked, shown):
    assert alt(widget).startswith("Activation maps of query image 0")
    widget.query.index.value = 3
    widget.layer.value = "stage3"
    widget.extractor.value = "LayerCAM"
    widget.target.value = "nearest"
    assert widget.number.disabled
    widget.target.value = "center"
    assert not widget.number.disabled
    widget.number.value = 1
    assert asked == [
        (3, "own", 0, "stage4", "GradCAM"),
        (3, "own", 0, "stage3", "GradCAM"),
        (3, "own", 0, "stage3", "LayerCAM"),
        (3, "nearest", 0, "stage3", "LayerCAM"),
        (3, "center", 0, "stage3", "LayerCAM"),
        (3, "center", 1, "stage3", "LayerCAM"),
    ]
    assert f"the center of {shown.class_names[1]}" in alt(checked(widget))


def test_the_control_is_made_once_a_layer_and_extractor(widget, monkeypatch):
    made = []
    monkeypatch.setattr(module, "control_of", lambda *given: made.append(given[1:]) or control_of(*given))
    widget.query.index.value = 3
    widget.target.value = "nearest"
    widget.layer.value = "stage3"
    widget.query.index.value = 4
    widget.layer.value = "stage4"
    assert made == [("stage3", "GradCAM")]


def test_opacity_redraws_without_another_map(widget, asked, monkeypatch):
    drawn = []
    monkeypatch.setattr(module, "draw_explained", lambda *given: drawn.append(given[-1]) or draw_explained(*given))
    widget.opacity.value = 0.2
    widget.opacity.value = 0.9
    assert drawn == [0.2, 0.9]
    assert asked == []


def test_methods_stand_side_by_side_and_share_their_layers(shown):
    baseline = collection("baseline", "baseline", seed=1)
    assert layers_of(baseline) == ["stage4", "stage3"]
    assert "local" in CamExplorer(shown).layer.options
    widget = checked(CamExplorer({"ours": shown, "plain": baseline}))
    assert widget.layer.options == ("stage4", "stage3")
    assert "ours: " in alt(widget)
    assert "plain: " in alt(widget)


def test_runs_on_the_same_data_load_it_once(tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(Run, "data", lambda run: loaded.append(run) or make_splits())
    first, second = (make_run(tmp_path, make_splits(), seed=seed) for seed in (0, 1))
    given = module.collections_of({"one": first, "two": second})
    assert list(given) == ["one", "two"]
    assert loaded == [first]
    assert given["two"].source is second
    assert list(module.collections_of(first)) == [module.collection_of(first).title]


def test_a_users_mistake_is_a_sentence_and_anything_else_is_raised(shown, monkeypatch):
    widget = checked(CamExplorer(shown))
    with monkeypatch.context() as patch:
        patch.delattr(shown.method, "centers")
        widget.target.value = "center"
        assert "has no hash centers" in alt(checked(widget))
    monkeypatch.setattr(module, "draw_explained", lambda *_: 1 / 0)
    widget.target.value = "own"
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        checked(widget)

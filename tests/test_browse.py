"""The browser's pictures and table: every result with its mark, distance and class; the bits that differ."""

import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from fake_runs import N_DATABASE, NAMES, make_run, make_splits, marks, texts, unwrapped
from PIL import Image

from cscelab.collection import Collection, Query, collection_of, shipped_collection
from cscelab.datasets import Aviary
from cscelab.explain import code_cams
from cscelab.figures import browse
from cscelab.figures.browse import bits_figure, browse_figure, gallery_png, overlaid, ranking, speaking_maps
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.style import RIGHT, WRONG, alt_text
from cscelab.methods.csq import CSQConfig


@pytest.fixture(scope="module")
def both(tmp_path_factory, splits) -> list[Collection]:
    """A good method and a worse one."""
    folder = tmp_path_factory.mktemp("runs")
    good, worse = make_run(folder, splits, 0.12, 1), make_run(folder, splits, 0.3, 2, method=CSQConfig())
    return [collection_of(run, splits) for run in (good, worse)]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Collection:
    data = Aviary(n_classes=3, train=6, validation=3, query=6, database=12)
    return shipped_collection(data, tmp_path_factory.mktemp("data"))


@pytest.fixture
def own(both) -> Query:
    """An image of one's own that a method codes as the second query."""
    return Query(both[0].query(1).image, "holiday.jpg", "own")


@pytest.fixture
def as_query(monkeypatch, both):
    """Makes own images have the second query's code, for made-up runs have no network."""
    row = both[0].codes["query_codes"][1], both[0].codes["query_values"][1]
    monkeypatch.setattr(Collection, "code_of", lambda self, query: row)


def frames(figure) -> list:
    return [line for line in figure.axes[0].lines if line.get_gid() == "frame"]


def pictures(figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in figure.axes[0].images]


def words(figure) -> str:
    return " ".join(unwrapped(text) for text in texts(figure))


# --- the gallery


def test_two_methods_are_two_rows_of_what_each_found(both, splits):
    query = both[0].query(4)
    figure = browse_figure(both, query, k=6)
    found = [collection.find(query, 6) for collection in both]
    right = np.concatenate([each.right for each in found])
    assert 0 < right.sum() < 12  # both kinds are there
    expected = [f"{'✓' if ok else '✗'} d={d}" for f in found for ok, d in zip(f.right, f.distances, strict=True)]
    assert [t for t in texts(figure) if re.match("[✓✗] d=", t)] == expected
    shown = pictures(figure)
    assert np.array_equal(shown[0], query.image)
    rows = np.concatenate([each.rows for each in found])
    assert all(np.array_equal(s, splits.database.images[row]) for s, row in zip(shown[1:], rows, strict=True))
    results = frames(figure)[1:]  # the first is the query's
    assert [line.get_color() for line in results] == [RIGHT if ok else WRONG for ok in right]
    assert [line.get_linestyle() for line in results] == ["-" if ok else "--" for ok in right]
    names = [name for name in map(unwrapped, texts(figure)) if name in NAMES]
    assert names == [NAMES[splits.database.labels[row]] for row in rows]
    for collection in both:
        ap = collection.average_precision[4]
        assert f"{collection.title}, 16 bits, AP of this query over the whole database {ap:.3f}" in texts(figure)
    assert f"query image 4: {NAMES[splits.query.labels[4]]}" in words(figure)
    assert "of 40 database images" in words(figure)


def test_ten_stand_in_a_line_and_fifty_in_five(both, splits):
    query = both[0].query(0)
    ten, most = (browse_figure(both[:1], query, k=k) for k in (10, 35))
    assert len(pictures(most)) == 36
    tops = {round(float(line.get_ydata()[0]), 3) for line in frames(most)[1:]}
    assert len(tops) == 4
    assert most.get_figheight() > 2 * ten.get_figheight()
    right_edge = max(float(np.max(line.get_xdata())) for line in frames(most))
    assert right_edge < most.get_figwidth()
    inside = [text.get_position()[1] for text in most.axes[0].texts]
    assert max(inside) < most.get_figheight()
    assert len(pictures(browse_figure(both[:1], query, k=500))) == 1 + N_DATABASE


def test_one_class_only_and_nothing_to_choose_from(both, splits):
    query = both[0].query(0)
    among = both[0].of_class(2)
    figure = browse_figure(both[:1], query, k=5, among=among)
    assert [unwrapped(text) for text in texts(figure) if unwrapped(text) in NAMES] == [NAMES[2]] * 5
    assert f"of {len(among)} chosen of 40 database images" in words(figure)
    empty = browse_figure(both[:1], query, among=np.array([], int))
    assert len(pictures(empty)) == 1
    assert "No other image to choose from." in texts(empty)


def test_an_image_of_ones_own_has_no_marks(both, own, as_query):
    figure = browse_figure(both, own, k=5)
    assert not marks(figure, "✓")
    assert not marks(figure, "✗")
    assert len(marks(figure, "d=")) == 10
    assert "No label, so no marks." in words(figure)
    assert "holiday.jpg" in texts(figure)
    assert "AP" not in words(figure)
    assert {line.get_linestyle() for line in frames(figure)[1:]} == {":"}
    assert not re.search("right|wrong", alt_text(figure))


def test_a_database_image_is_a_query_without_ap(both, splits):
    query = both[0].query(7, "database")
    figure = browse_figure(both[:1], query, k=3)
    assert "AP" not in words(figure)
    assert len(marks(figure, "✓")) + len(marks(figure, "✗")) == 3
    assert not any(np.array_equal(picture, splits.database.images[7]) for picture in pictures(figure)[1:])


def test_the_alt_text_says_what_was_found(both):
    query = both[1].query(4)
    found, said = both[1].find(query, 3), alt_text(browse_figure(both[1:], query, k=3))
    assert f"3 nearest, {found.right.sum()} right: " in said
    for ok, d in zip(found.right, found.distances, strict=True):
        assert re.search(rf"{'right' if ok else 'wrong'} [a-z -]+ at {d}\b", said)


def test_scenes_name_all_their_classes(tmp_path):
    splits = make_splits(multilabel=True)
    scenes = collection_of(make_run(tmp_path, splits), splits)
    figure = browse_figure([scenes], scenes.query(0), k=10)
    assert any("\n+ " in text for text in texts(figure))
    table = ranking([scenes], scenes.query(0), 10)
    assert any(" + " in name for name in table["class"])
    assert not table["class"].str.contains("\n").any()


def test_smoke_is_marked_and_other_images_are_refused(tmp_path, both, splits):
    smoke = collection_of(make_run(tmp_path, splits, smoke=True), splits)
    assert SMOKE_MARK in texts(browse_figure([smoke], smoke.query(0)))
    assert SMOKE_MARK in texts(bits_figure(smoke, smoke.query(0), 1))
    assert SMOKE_MARK not in texts(browse_figure(both, both[0].query(0)))
    fewer = replace(splits, database=splits.database.subset(np.arange(30)))
    other = replace(both[0], splits=fewer, title="Other")
    with pytest.raises(ValueError, match="CSCE-Net and Other hold different images; choose methods of one data set"):
        browse_figure([both[0], other], both[0].query(0))
    with pytest.raises(ValueError, match="no collection was given"):
        ranking([], both[0].query(0))


# --- maps


def test_maps_are_of_the_query_s_code_for_the_query_and_for_results(shipped):
    query, rows = shipped.query(2), np.array([4, 0])
    maps = speaking_maps(shipped, query, rows)
    assert maps.shape == (3, 112, 112)
    assert 0 <= maps.min() < maps.max() <= 1
    tensor = browse.as_tensor(np.concatenate([query.image[None], shipped.splits.database.images[rows]]))
    own = code_cams(shipped.method, tensor).numpy()
    assert maps[0] == pytest.approx(own[0], abs=1e-5)  # of its own code
    differ = (shipped.codes["database_codes"][rows] != shipped.code_of(query)[0]).any(axis=1)
    assert differ.any()
    for i in np.flatnonzero(differ):
        assert abs(maps[1 + i] - own[1 + i]).max() > 0.01  # not of theirs


def test_the_gallery_with_maps_shows_the_query_s_own_first(shipped):
    query = shipped.query(2)
    plain, mapped = (browse_figure([shipped], query, k=4, cams=cams) for cams in (False, True))
    assert (len(pictures(plain)), len(pictures(mapped))) == (5, 6)
    assert np.array_equal(pictures(mapped)[0], query.image)
    rows = shipped.find(query, 4).rows
    images = np.concatenate([query.image[None], shipped.splits.database.images[rows]])
    maps = speaking_maps(shipped, query, rows)
    for picture, expected in zip(pictures(mapped)[1:], overlaid(images, maps), strict=True):
        assert np.array_equal(picture, expected)
    assert "what speaks for the query's code" in words(mapped)
    assert "what speaks for the query's code" not in words(plain)


# --- the table


def test_the_table_is_the_ranking_and_survives_csv(both, splits, tmp_path):
    query = both[0].query(4)
    table = ranking(both, query)
    assert len(table) == 2 * N_DATABASE
    assert list(table) == ["method", "bits", "rank", "distance", "database row", "id", "class", "right"]
    for collection, part in zip(both, (table[:N_DATABASE], table[N_DATABASE:]), strict=True):
        assert part["rank"].tolist() == list(range(1, N_DATABASE + 1))
        assert set(part["method"]) == {collection.title}
        assert part["distance"].is_monotonic_increasing
        assert sorted(part["database row"]) == list(range(N_DATABASE))
        assert (part["right"] == (part["class"] == NAMES[query.label])).all()
        assert (part["id"] == splits.database.ids[part["database row"]]).all()
        # AP by hand, ties in the order of ids, is that of the table.
        precision = part["right"].cumsum() / part["rank"]
        assert 0 < precision[part["right"]].mean() <= 1
    table.to_csv(tmp_path / "ranking.csv", index=False)
    again = pd.read_csv(tmp_path / "ranking.csv")
    assert again.equals(table.astype({"right": bool}))


def test_the_table_names_the_files_where_the_data_set_does(both, splits):
    database = splits.database
    paths = np.array([f"birds/{row}.jpg" for row in range(N_DATABASE)])
    known = replace(splits, database=replace(database, attributes=database.attributes | {"path": paths}))
    table = ranking([replace(both[0], splits=known)], both[0].query(4), k=5)
    assert list(table)[-1] == "path"
    assert table["path"].tolist() == [f"birds/{row}.jpg" for row in table["database row"]]


def test_a_saved_gallery_has_twice_the_pixels_and_the_same_bytes_again(both):
    figure = browse_figure(both[:1], both[0].query(0), k=3)
    (width, height), saved = figure.get_size_inches(), gallery_png(figure)
    with Image.open(BytesIO(saved)) as image:
        assert image.size == pytest.approx((200 * width, 200 * height), abs=1)
        assert image.width == 2000
    assert gallery_png(browse_figure(both[:1], both[0].query(0), k=3)) == saved


def test_the_table_of_few_of_one_class_and_of_an_own_image(both, own, as_query, tmp_path):
    short = ranking(both, both[0].query(4), k=3, among=both[0].of_class(0))
    assert len(short) == 6
    assert set(short["class"]) == {NAMES[0]}
    table = ranking(both[:1], own, k=5)
    assert table["right"].isna().all()
    table.to_csv(tmp_path / "own.csv", index=False)
    assert (tmp_path / "own.csv").read_text().splitlines()[1].endswith(",")


# --- the bits of a pair


def test_bits_that_differ_are_marked_and_values_are_the_bars(both, splits):
    made, query, row = both[1], both[1].query(3), 9
    figure = bits_figure(made, query, row)
    code, other = made.codes["query_codes"][3], made.codes["database_codes"][row]
    differing = np.flatnonzero(code != other) + 1
    assert 0 < len(differing) < 16
    *images, signs, values = figure.axes
    assert [np.asarray(axes.images[0].get_array()).tobytes() for axes in images] == [
        query.image.tobytes(),
        splits.database.images[row].tobytes(),
    ]
    marked = next(line for line in signs.lines if line.get_marker() == r"$\neq$")
    assert marked.get_xdata().tolist() == differing.tolist()
    for height, each in ((1, code), (0, other)):
        at = {line.get_marker(): line.get_xdata() for line in signs.lines if (line.get_ydata() == height).all()}
        assert at["+"].tolist() == (np.flatnonzero(each == 1) + 1).tolist()
        assert at["_"].tolist() == (np.flatnonzero(each == -1) + 1).tolist()
    heights = [[bar.get_height() for bar in container] for container in values.containers]
    assert heights[0] == pytest.approx(made.codes["query_values"][3].astype(float))
    assert heights[1] == pytest.approx(made.codes["database_values"][row].astype(float))
    assert f"{len(differing)} of 16 bits differ: CSQ" in texts(figure)
    assert alt_text(figure).endswith(f"bits differ, those numbered {', '.join(map(str, differing))}.")
    assert (values.get_xlabel(), values.get_ylabel()) == ("bit", "continuous value")


def test_a_pair_of_one_image_differs_nowhere_and_an_absent_row_is_refused(both):
    query = both[0].query(5, "database")
    figure = bits_figure(both[0], query, 5)
    assert "0 of 16 bits differ: CSCE-Net" in texts(figure)
    assert alt_text(figure).endswith("those numbered none.")
    with pytest.raises(ValueError, match="row 40 of the database images was asked for"):
        bits_figure(both[0], query, 40)

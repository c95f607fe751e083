"""Retrieved images: their order, the rules by which queries are chosen, and the pictures of them."""

from dataclasses import replace

import numpy as np
import pytest
from fake_runs import N_DATABASE, N_QUERY, NAMES, make_run, make_splits, marks, texts, unwrapped
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cscelab import neighbours
from cscelab.datasets.base import ImageSet
from cscelab.figures import choices, galleries
from cscelab.figures.mosaic import wrap
from cscelab.figures.style import RIGHT, WRONG, new_figure, save

# --- neighbours


@pytest.mark.parametrize("multilabel", [False, True])
def test_nearest_are_ordered_by_distance_then_database_id(tmp_path, multilabel):
    splits = make_splits(multilabel)
    run = make_run(tmp_path, splits, 0.3)
    codes = run.codes
    found = neighbours.nearest(run, 10)
    for query in range(N_QUERY):
        distances = (codes["query_codes"][query] != codes["database_codes"]).sum(axis=1)
        expected = sorted(range(N_DATABASE), key=lambda row: (distances[row], codes["database_ids"][row]))[:10]
        assert found.rows[query].tolist() == expected
        assert found.distances[query].tolist() == [distances[row] for row in expected]
        for row, is_right in zip(expected, found.right[query], strict=True):
            a, b = splits.query.labels[query], splits.database.labels[row]
            assert is_right == bool(set(np.flatnonzero(a)) & set(np.flatnonzero(b)) if multilabel else a == b)
        one = neighbours.retrieve(run, query, 10)
        assert one.rows.tolist() == expected
        assert one.right.tolist() == found.right[query].tolist()


def test_an_image_never_finds_itself(tmp_path, splits):
    same = replace(splits, query=splits.database)
    found = neighbours.nearest(make_run(tmp_path, same), 10)
    assert not (found.rows == np.arange(N_DATABASE)[:, None]).any()


def test_impossible_retrievals_are_refused(pair):
    with pytest.raises(ValueError, match="query row 12 was asked for; .* has rows 0 to 11"):
        neighbours.retrieve(pair[0], 12)
    with pytest.raises(ValueError, match="the 41 nearest were asked for; choose 1 to 40"):
        neighbours.retrieve(pair[0], 0, 41)


# --- choices


def test_small_target_is_the_smallest_of_those_that_differ_whoever_is_better(pair, splits):
    run, other = pair
    hits, other_hits = (neighbours.nearest(r).right.sum(axis=1) for r in pair)
    differing = [row for row in range(N_QUERY) if hits[row] != other_hits[row]]
    sizes = (splits.query.masks > 0).sum(axis=(1, 2))
    choice = choices.pick_query(run, other, "small target", splits.query)
    assert choice.row == min(differing, key=lambda row: sizes[row])
    assert choices.pick_query(other, run, "small target", splits.query).row == choice.row
    for n, name in (((hits > other_hits).sum(), "CSCE-Net"), ((hits < other_hits).sum(), "CSQ")):
        assert f"{name} has more right in the top 10 for {n}" in choice.reason or f"{name} for {n}." in choice.reason
    assert f"of the {len(differing)} of 12 queries" in choice.reason


def test_small_target_of_two_equal_runs_is_the_smallest_of_all(pair, splits):
    choice = choices.pick_query(pair[0], pair[0], "small target", splits.query)
    assert choice.row == (splits.query.masks > 0).sum(axis=(1, 2)).argmin()
    assert "of all 12 queries" in choice.reason


def test_rules_by_average_precision(pair, splits):
    run, other = pair
    ap, other_ap = (np.array(r.metrics["report"]["average_precision"]) for r in pair)
    rows = {rule: choices.pick_query(run, other, rule, splits.query).row for rule in choices.RULES}
    assert rows["hardest"] == (ap + other_ap).argmin()
    assert (ap + other_ap)[rows["easiest"]] == (ap + other_ap).max()
    assert (ap + other_ap)[rows["median"]] == np.sort(ap + other_ap)[6]
    assert rows["AP difference"] == (ap - other_ap).argmax()
    blind = replace(splits.query, masks=None)
    unknown = choices.pick_query(run, other, "small target", blind)
    assert unknown.row == rows["hardest"]
    assert unknown.reason.startswith("Targets are not known here")
    with pytest.raises(ValueError, match="unknown rule 'prettiest'; choose from"):
        choices.pick_query(run, other, "prettiest", splits.query)


def test_runs_on_other_queries_cannot_be_compared(pair, splits, tmp_path):
    fewer = replace(splits, query=splits.query.subset(np.arange(5)))
    with pytest.raises(ValueError, match="have different queries; compare runs on the same data"):
        choices.pick_query(pair[0], make_run(tmp_path, fewer, 0.5), "hardest", splits.query)


def test_the_two_cases_are_of_their_kind_and_counted_in_both_directions(pair, splits):
    run, other = pair
    whole, other_whole = (neighbours.nearest(r, 5).right.all(axis=1) for r in pair)
    shares = (splits.query.masks > 0).mean(axis=(1, 2))
    small = shares < np.median(shares)
    cases = choices.pick_cases(run, other, splits.query)
    assert [case.title[:6] for case in cases] == ["Case 1", "Case 2"]
    for case, kind in zip(cases, (small, ~small), strict=True):
        better, worse = (whole & ~other_whole & kind), (~whole & other_whole & kind)
        assert better[case.row]
        assert f"CSCE-Net has the whole top 5 right and CSQ has not for {better.sum()};" in case.reason
        assert f"the reverse holds for {worse.sum()}." in case.reason
        assert case.reason.startswith("Of the 6 queries with targets ")
    better_small = np.flatnonzero(whole & ~other_whole & small)
    assert cases[0].row == better_small[shares[better_small].argmin()]


def test_where_no_case_speaks_for_the_method_the_caption_says_so(pair, splits):
    for case in choices.pick_cases(pair[0], pair[0], splits.query):
        assert "has not for 0; the reverse holds for 0. Shown, as there is none:" in case.reason
    blind = choices.pick_cases(*pair, replace(splits.query, masks=None))
    gain = np.subtract(*(r.metrics["report"]["average_precision"] for r in pair))
    assert [case.row for case in blind] == np.argsort(-gain, kind="stable")[:2].tolist()
    assert all("Targets are not known" in case.reason for case in blind)


def test_background_detail_looks_outside_the_target_only():
    images, masks = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.uint8)
    images[0, :, ::2] = 200  # stripes everywhere
    images[1, 2:4, 2:4] = 200  # an edge only on and around the target
    masks[:, 1:5, 1:5] = 1
    detail = choices.background_detail(ImageSet(images, np.zeros(2, int), np.arange(2), masks))
    assert detail[0] > 0
    assert detail[1] == 0


# --- galleries


def test_gallery_shows_every_result_with_its_mark_distance_class_and_frame(pair, splits):
    entry = galleries.gallery_entry(*pair, "hardest", splits.query)
    figure = galleries.top10_gallery([entry], splits)
    found = [neighbours.retrieve(run, entry.query.row) for run in pair]
    right = np.concatenate([f.right for f in found])
    assert 0 < right.sum() < 20  # both kinds are there
    assert (len(marks(figure, "✓")), len(marks(figure, "✗"))) == (right.sum(), (~right).sum())
    expected = [f"{'✓' if ok else '✗'} d={d}" for f in found for ok, d in zip(f.right, f.distances, strict=True)]
    shown = [t for t in texts(figure) if t[0] in "✓✗"]
    assert shown == expected
    frames = [line for line in figure.axes[0].lines if line.get_gid() == "frame"][1:]  # the first is the query's
    assert [line.get_color() for line in frames] == [RIGHT if ok else WRONG for ok in right]
    assert [line.get_linestyle() for line in frames] == ["-" if ok else "--" for ok in right]
    pictures = [image.get_array() for image in figure.axes[0].images]
    rows = [row for f in found for row in f.rows]
    assert np.array_equal(pictures[0], splits.query.images[entry.query.row])
    assert all(np.array_equal(p, splits.database.images[row]) for p, row in zip(pictures[1:], rows, strict=True))
    names = [unwrapped(t) for t in texts(figure)]
    shown_names = [name for name in names if name in NAMES]
    assert shown_names == [NAMES[splits.query.labels[entry.query.row]]] + [
        NAMES[splits.database.labels[r]] for r in rows
    ]
    assert entry.query.reason[:30] in " ".join(names)
    assert "16 bits: query" in names


def test_gallery_is_the_same_picture_every_time(pair, splits, tmp_path):
    entry = galleries.gallery_entry(*pair, "median", splits.query)
    for name in "ab":
        save(galleries.top10_gallery([entry], splits), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_gallery_of_several_lengths_and_of_scenes(tmp_path):
    splits = make_splits(multilabel=True)
    entries = []
    for bits in (16, 32):
        runs = [make_run(tmp_path, splits, noise, seed, bits=bits) for seed, noise in ((3, 0.1), (4, 0.4))]
        entries.append(galleries.gallery_entry(*runs, "easiest", splits.query))
    figure = galleries.top10_gallery(entries, splits, k=4)
    assert len(marks(figure, "✓")) + len(marks(figure, "✗")) == 2 * 2 * 4
    assert {"16 bits: query", "32 bits: query"} <= set(texts(figure))
    assert any("\n+ " in text for text in texts(figure))  # several classes in one image
    with pytest.raises(ValueError, match="16 and 32 bits in one entry"):
        galleries.gallery_entry(entries[0].runs[0], entries[1].runs[0])


def test_two_cases_figure_holds_counts_and_both_methods(pair, splits):
    figure = galleries.two_cases(*pair, splits)
    words = unwrapped(" ".join(texts(figure)))
    for case in choices.pick_cases(*pair, splits.query):
        assert case.title in words
        assert case.reason in words
    assert len(marks(figure, "✓")) + len(marks(figure, "✗")) == 20
    assert [texts(figure).count(unwrapped(name)) for name in ("CSQ", "CSCE-Net")] == [2, 2]
    assert figure.axes[0].collections  # the outlines of the targets


@pytest.mark.parametrize("dpi", [100, 150])
def test_no_words_run_off_the_sheet_on_screen_or_in_the_file(pair, splits, dpi):
    entry = galleries.gallery_entry(*pair, "hardest", splits.query)
    for figure in (galleries.two_cases(*pair, splits), galleries.top10_gallery([entry], splits)):
        figure.dpi = dpi
        renderer = FigureCanvasAgg(figure).get_renderer()
        width = figure.get_size_inches()[0] * dpi
        ends = {text.get_text(): text.get_window_extent(renderer).x1 for text in figure.axes[0].texts}
        assert not {words: end / width for words, end in ends.items() if end > width - 4}
        assert max(ends.values()) > 0.8 * width  # the room is used


@pytest.mark.parametrize("dpi", [100, 150])
@pytest.mark.parametrize("size", [7.5, 8.5, 9, 10, 12])
def test_wrapped_lines_fit_as_they_are_drawn(dpi, size):
    words = "Of the 249 queries with targets below the median of 6.8% of the image, CSCE-Net has all right; " * 3
    figure = new_figure(5, 5, dpi=dpi)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for line in wrap(words, 4.0, size):
        drawn = figure.text(0, 0, line, fontsize=size)
        assert drawn.get_window_extent(renderer).width <= 4.0 * dpi

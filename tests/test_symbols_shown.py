"""Codes of symbols where people look at them: distances by a naive loop, what texts and axes say, index files."""

import json
import shutil

import numpy as np
import pytest
from fake_runs import make_run, texts, unwrapped
from PIL import Image
from safetensors.torch import save_file

from cscelab import compare, neighbours
from cscelab.cli.scoring import score
from cscelab.cli.searching import index, query
from cscelab.codes import pack
from cscelab.collection import Collection, collection_of
from cscelab.datasets.base import ImageSet, Splits
from cscelab.experiment import Run
from cscelab.figures import browse, galleries, tour
from cscelab.figures.pairs import explained_pairs
from cscelab.figures.side_by_side import Coded, codes_table, curves_figure
from cscelab.figures.side_codes import codes_figure
from cscelab.figures.side_gallery import gallery_figure
from cscelab.figures.style import alt_text
from cscelab.files import encode_files
from cscelab.layout import CodeLayout
from cscelab.methods.csq import CSQConfig
from cscelab.methods.doh import DOHConfig
from cscelab.search import CodeIndex
from cscelab.searchways import binary_ways
from cscelab.stored import fresh_method
from cscelab.widgets import MethodComparer, checked
from cscelab.widgets.browser_state import Given, first_state
from cscelab.widgets.browser_view import differing, view, written

ARITY = 4
STORAGE = "64 bits one-hot of 32 bits (16 symbols of 4), 8 bytes a code in the index, 4 as bare symbols\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, splits) -> tuple[Run, Run]:
    """DOH at 16 symbols of 4 and CSQ, 32 bits each."""
    folder = tmp_path_factory.mktemp("runs")
    ordinal = make_run(folder, splits, 0.5, 1, bits=32, method=DOHConfig(arity=ARITY))
    return ordinal, make_run(folder, splits, 0.3, 2, bits=32, method=CSQConfig())


@pytest.fixture(scope="module")
def both(runs, splits) -> list[Collection]:
    return [collection_of(run, splits) for run in runs]


def symbols(code) -> list[int]:
    return [int(np.argmax(code[start : start + ARITY])) for start in range(0, len(code), ARITY)]


def naive(code, other) -> int:
    return sum(a != b for a, b in zip(symbols(code), symbols(other), strict=True))


def words(figure) -> str:
    return " ".join(map(unwrapped, texts(figure)))


# --- distances


def test_distances_are_the_symbols_that_differ(runs, both):
    made, codes = both[0], both[0].codes
    assert (made.bits, made.layout.width, codes["query_codes"].shape[1]) == (32, 64, 64)
    every = neighbours.nearest(runs[0], 40)
    for row in range(4):
        code = codes["query_codes"][row]
        expected = [naive(code, other) for other in codes["database_codes"]]
        assert made.distances(code).tolist() == expected
        order = sorted(range(40), key=lambda item: (expected[item], codes["database_ids"][item]))
        found = made.find(made.query(row), 40)
        assert found.rows.tolist() == order == every.rows[row].tolist()
        assert found.distances.tolist() == [expected[item] for item in order] == every.distances[row].tolist()
    with pytest.raises(
        ValueError, match=r"shape \(32,\) was given; DOH has codes of 32 bits \(16 symbols of 4\), stored"
    ):
        made.distances(code[:32])


def test_the_unit_of_several():
    plain, ordinal = CodeLayout(8), CodeLayout(8, 4)
    assert neighbours.unit_of([plain, plain]) == "bits"
    assert neighbours.unit_of([ordinal]) == "symbols"
    assert neighbours.unit_of([ordinal, plain, ordinal]) == "bits or symbols"
    titles = ["DOH", "CSQ", "DOH"]
    assert neighbours.unit_of([ordinal, plain, ordinal], titles) == "bits (DOH: in symbols)"
    assert neighbours.unit_of([ordinal, ordinal], titles) == "symbols"


# --- pictures


def test_a_gallery_and_a_ranking_say_the_unit(both):
    asked = both[0].query(1)
    alone, beside = browse.browse_figure(both[:1], asked, 4), browse.browse_figure(both, asked, 4)
    assert "Hamming distance d in symbols, class" in words(alone)
    assert "Hamming distance d in bits or symbols, class" in words(beside)
    assert "DOH, 32 bits (16 symbols of 4), AP of this query" in words(beside)
    nearest = both[0].find(asked, 4).distances
    assert [text.split("d=")[1] for text in texts(alone) if "d=" in text] == [str(d) for d in nearest]
    table = browse.ranking(both, asked, 4)
    assert table["unit"].tolist() == ["symbols"] * 4 + ["bits"] * 4
    assert table["distance"].tolist()[:4] == nearest.tolist()
    assert set(table["bits"]) == {32}
    assert "unit" not in browse.ranking(both[1:], asked, 4)


def test_a_pair_is_drawn_symbol_by_symbol(both):
    made, row = both[0], 5
    figure = browse.bits_figure(made, made.query(3), row)
    code, other = made.codes["query_codes"][3], made.codes["database_codes"][row]
    apart = [i for i, (a, b) in enumerate(zip(symbols(code), symbols(other), strict=True)) if a != b]
    assert 0 < len(apart) < 16
    *_, above, values = figure.axes
    middles = [ARITY * i + (1 + ARITY) / 2 for i in range(16)]
    for height, each in ((1, code), (0, other)):
        said = [t for t in above.texts if t.get_position()[1] == height]
        assert [int(t.get_text()) for t in said] == symbols(each)
        assert [t.get_position()[0] for t in said] == middles
    marked = next(line for line in above.lines if line.get_marker() == r"$\neq$")
    assert marked.get_xdata().tolist() == [middles[i] for i in apart]
    assert [len(container) for container in values.containers] == [64, 64]
    assert [label.get_text() for label in values.get_xticklabels()] == [str(1 + i) for i in range(16)]
    assert "which of its 4 values is largest, counted from 0" in values.get_xlabel()
    assert f"{len(apart)} of 16 symbols differ: DOH" in texts(figure)
    assert alt_text(figure).endswith(f"symbols differ, those numbered {', '.join(str(1 + i) for i in apart)}.")


def test_the_tour_of_an_ordinal_code(both):
    made = both[0]
    asked = made.query(2)
    figure = tour.code_figure(made, asked)
    _, bars, strip = figure.axes
    code = made.codes["query_codes"][2]
    assert [label.get_text() for label in strip.get_xticklabels()] == list(map(str, symbols(code)))
    assert len(bars.patches) == 64
    assert bars.get_title("left") == "2. Its 64 continuous values, 4 for each of 16 symbols"
    assert strip.get_title("left") == "3. Its code: the place of the largest of each 4"
    assert alt_text(figure).endswith(f"the largest of each 4, 16 symbols: {', '.join(map(str, symbols(code)))}.")
    (axes,) = tour.distances_figure(made, asked).axes
    assert axes.get_xlim() == (-0.6, 16.6)
    assert axes.get_xlabel() == "Hamming distance to the query (symbols)"
    heights = [bar.get_height() for bar in axes.patches]
    expected = np.bincount([naive(code, other) for other in made.codes["database_codes"]], minlength=17)
    assert (np.add(heights[:17], heights[17:]) == expected).all()
    assert "symbols away in the median" in axes.figure.alt
    assert "bits" not in axes.figure.alt


def test_galleries_name_whose_distances_are_symbols(runs, splits):
    ordinal, plain = runs
    figure = galleries.top10_gallery([galleries.gallery_entry(*runs, queries=splits.query)], splits)
    assert "Hamming distance d in bits (DOH: in symbols), class." in words(figure)
    assert "symbols away; CSQ finds" in alt_text(figure)
    assert alt_text(figure).endswith("bits away.")
    pair = galleries.two_cases(ordinal, make_other(ordinal, plain, splits), splits)
    assert "Hamming distance d in symbols, class. 32 bits." in words(pair)
    assert "bits away" not in alt_text(pair)


def make_other(ordinal, plain, splits) -> Run:
    """A worse run of symbols."""
    return make_run(plain.folder.parent, splits, 0.8, 7, bits=32, method=DOHConfig(arity=ARITY, views="global"))


# --- side by side


@pytest.fixture(scope="module")
def coded(both) -> list[Coded]:
    return [Coded(collection) for collection in reversed(both)]


def test_measures_of_codes_of_two_units(coded):
    plain, ordinal = coded
    assert [one.name for one in coded] == ["CSQ, 32 bits", "DOH, 32 bits (16 symbols of 4)"]
    codes = ordinal.collection.codes
    between = np.array([[naive(a, b) for b in codes["database_codes"]] for a in codes["query_codes"]])
    same = codes["query_labels"][:, None] == codes["database_labels"]
    table = codes_table(coded)
    row = table.loc[ordinal.name]
    within = "share of the largest distance within classes"
    assert row[within] == pytest.approx(between[same].mean() / 16)
    assert row["between classes"] == pytest.approx(between[~same].mean() / 16)
    assert table.loc[plain.name, within] == pytest.approx(plain.report.codes.within_distance / 32)
    assert not [name for name in table if "radius" in name]
    assert table["farthest bit from balance"].isna().tolist() == [False, True]
    alone = codes_table([ordinal]).loc[ordinal.name]
    assert alone["symbols apart within classes"] == pytest.approx(between[same].mean())
    near = [(same & (between <= 2))[i].sum() / same[i].sum() for i in range(len(same))]
    assert alone["recall within radius 2 in symbols"] == pytest.approx(np.mean(near))
    assert alone["farthest bit from balance"] == pytest.approx(np.abs(ordinal.report.codes.bit_balance - 0.25).max())
    assert list(codes_table([plain]))[2] == "bits apart within classes"
    assert "recall within radius 2" in codes_table([plain])


def test_curves_reach_from_no_symbol_to_all(coded):
    figure = curves_figure(coded)
    radius = figure.axes[0]
    lengths = [len(line.get_xdata()) for line in radius.lines if len(line.get_xdata()) > 1]
    assert lengths == [33, 17]
    assert radius.get_xlabel().endswith("; radii in bits (DOH: in symbols)")
    assert curves_figure(coded[:1]).axes[0].get_xlabel() == "recall: share of the relevant images"
    assert "each Hamming radius (ring: 2 bits) and" in alt_text(figure)
    rings = [line.get_xydata()[0].tolist() for line in radius.lines if len(line.get_xdata()) == 1]
    curve = coded[0].report.pr_curve
    assert rings == [[curve.recall[2], curve.precision[2]]]  # of the bits alone
    assert [len(curves_figure([one]).axes[0].lines) for one in coded] == [2, 2]


def test_codes_of_two_widths_share_a_picture(coded):
    figure = codes_figure(coded)
    by_gid = {artist.get_gid(): artist for axes in figure.axes for artist in axes.get_children() if artist.get_gid()}
    assert len(by_gid["bits"].get_xdata()) == 32 + 64
    (_, within), axes = (p.vertices for p in by_gid["within"].get_paths()), by_gid["within"].axes
    assert (within[:, 0].min(), within[:, 0].max()) == pytest.approx((-0.5 / 16, 16.5 / 16))
    left, right = axes.get_xlim()
    assert left <= -0.5 / 16
    assert right >= 16.5 / 16
    assert axes.get_xlabel() == "distance in bits or symbols / its largest value"
    assert codes_figure(coded[:1]).axes[2].get_xlabel() == "Hamming distance / code length"
    assert "symbols 0, 1, 2, 3 are +1 in" in alt_text(figure)
    assert "symbols from its class" in alt_text(figure)
    balanced = [segment[0, 0] for lines in figure.axes[1].collections for segment in lines.get_segments()]
    assert {0.5, 0.25} <= set(balanced)
    gallery = gallery_figure(coded, 1, 3)
    assert "d: bits or symbols that differ" in words(gallery)
    assert "32 bits (16 symbols of 4) AP" in words(gallery)


def test_the_comparer_takes_both_and_says_which_has_no_such_length(runs, splits, tmp_path):
    eight = make_run(tmp_path, splits, 0.4, 3, bits=24, method=DOHConfig(arity=8))
    given = {"DOH": runs[0], "CSQ": runs[1], "8-ary": eight}
    given = {name: collection_of(run, splits) for name, run in given.items()}
    comparer = MethodComparer(given, methods=tuple(given), bits=32)
    assert [one.name for one in comparer.coded] == ["DOH, 32 bits (16 symbols of 4)", "CSQ, 32 bits"]
    assert comparer.note.outputs[0]["data"]["text/plain"] == "8-ary has no codes of 32 bits."
    for shown in ("codes", "gallery", "table"):
        comparer.view.value = shown
        checked(comparer)


# --- the browser


def test_tiles_show_symbols(both):
    given = Given({"DOH": both[0], "CSQ": both[1]})
    state = first_state(given, given.data_sets()[0], 5)
    assert state.methods == ("DOH", "CSQ")
    shown = view(both, state)
    ordinal, plain = shown["rows"]
    codes = both[0].codes
    assert ordinal["title"] == "DOH, 32 bits (16 symbols of 4)"
    assert ordinal["bits"] == list(map(str, symbols(codes["query_codes"][0])))
    for tile in ordinal["tiles"]:
        assert tile["bits"] == list(map(str, symbols(codes["database_codes"][tile["row"]])))
        assert tile["distance"] == naive(codes["query_codes"][0], codes["database_codes"][tile["row"]])
        assert tile["differing"].startswith(f"{tile['distance']} of 16 symbols differ: ")
    assert set(plain["bits"]) == {"+", "-"}
    assert "compare its bits or symbols with the query's" in shown["hint"]
    assert "d: bits or symbols that differ." in shown["hint"]
    only = view(both[1:], state)["hint"]
    assert "compare its bits with the query's" in only
    assert only.endswith("d: bits that differ.")


def test_symbols_of_two_digits_stay_apart():
    layout = CodeLayout(8, 16)
    code, other = np.full((2, 32), -1)
    code[[11, 16]] = other[[11, 17]] = 1
    assert written(code, layout) == ["11", "0"]
    assert differing(code, other, layout) == "1 of 2 symbols differ: 2"


# --- files and indexes


@pytest.fixture(scope="module")
def trained(tmp_path_factory, splits) -> Run:
    """A run whose folder also holds a network, untrained but for its trunk."""
    made = make_run(tmp_path_factory.mktemp("run"), splits, 0.3, bits=32, method=DOHConfig(arity=ARITY))
    save_file(fresh_method(made.experiment, 3).state_dict(), made.folder / "model.safetensors")
    (made.folder / "experiment.json").write_text(json.dumps(made.experiment.to_dict()))
    return made


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for seed, side in enumerate((1, 2, 5, 40)):
        pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((112, 112), Image.Resampling.NEAREST).save(folder / f"{seed}.png")
    return folder


def rows_of(capsys) -> list[list[str]]:
    written = capsys.readouterr()
    assert written.err == ""
    return [line.split() for line in written.out.splitlines()]


def test_a_folder_is_encoded_indexed_and_found(trained, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare, "find_stored", lambda text: trained)
    paths = sorted(pictures.iterdir())
    encoded = encode_files(paths, trained)
    distances = np.array([[naive(a, b) for b in encoded.codes] for a in encoded.codes])
    assert distances.max() > 1
    assert encoded.text().splitlines()[0] == f"{','.join(map(str, symbols(encoded.codes[0])))}  {paths[0]}"
    saved = str(encoded.save(tmp_path / "codes.npz"))

    path = tmp_path / "index"
    for inputs, options in (((str(pictures),), {"run": "doh"}), ((saved,), {})):
        index("build", path, inputs, replace=True, **options)
        assert capsys.readouterr().out.count(STORAGE) == 1
        assert CodeIndex.load(path).bits == 64
        query(path, inputs, k=4, **options)
        header, *rows = rows_of(capsys)
        assert header == ["query", "rank", "id", "distance_in_symbols", "path"]
        assert [int(row[3]) for row in rows] == np.sort(distances, axis=1).ravel().tolist()
        radius = int(np.sort(distances, axis=1)[:, 1].min())
        query(path, inputs, radius=radius, **options)
        assert len(rows_of(capsys)[1:]) == (distances <= radius).sum()
    index("info", path)
    assert "symbols" not in capsys.readouterr().out
    with pytest.raises(ValueError, match="radius is -1"):
        query(path, (saved,), radius=-1)


def test_a_runs_folder_of_symbols_is_searched_in_symbols(trained, tmp_path, capsys):
    path = tmp_path / "index"
    index("build", path, (str(trained.folder),))
    assert STORAGE in capsys.readouterr().out
    query(path, (str(trained.folder),), k=2)
    header, *rows = rows_of(capsys)
    found = neighbours.nearest(trained, 2)
    assert header[3] == "distance_in_symbols"
    assert [int(row[3]) for row in rows] == found.distances.ravel().tolist()


def test_an_arity_that_does_not_fit_leaves_no_index(tmp_path):
    path = tmp_path / "index"
    np.savez(tmp_path / "codes.npz", codes=np.ones((2, 10), np.int8), bits=10, arity=4)
    with pytest.raises(ValueError, match="arity=4 came with codes of 10 bits, which are no whole number of symbols"):
        index("build", path, (str(tmp_path / "codes.npz"),))
    np.savez(tmp_path / "codes.npz", codes=np.ones((2, 8), np.int8), bits=8, arity=4)
    with pytest.raises(
        ValueError, match=r"codes are symbols of 4, but code 0 has 4 bits of \+1 in group 0 of 4; expected"
    ):
        index("build", path, (str(tmp_path / "codes.npz"),))
    assert not (tmp_path / "index").exists()


def test_bits_of_a_file_of_symbols_are_what_they_tell(trained, tmp_path, capsys):
    path, codes = tmp_path / "index", pack(trained.codes["query_codes"])
    np.savez(tmp_path / "codes.npz", codes=codes, arity=ARITY)
    with pytest.raises(ValueError, match="not how many bits they have; give it with --bits"):
        index("build", path, (str(tmp_path / "codes.npz"),))
    index("build", path, (str(tmp_path / "codes.npz"),), bits=32)
    assert CodeIndex.load(path).bits == 64
    np.savez(tmp_path / "codes.npz", codes=codes, arity=ARITY, bits=64)
    index("build", path, (str(tmp_path / "codes.npz"),), bits=32, replace=True)
    assert capsys.readouterr().out.count(STORAGE) == 2
    with pytest.raises(ValueError, match=r"holds codes of 32 bits \(16 symbols of 4\), but --bits 64 was given"):
        index("build", path, (str(tmp_path / "codes.npz"),), bits=64, replace=True)


@pytest.mark.parametrize("how", [{"k": 3}, {"radius": 32}])
@pytest.mark.parametrize("other", ["plain", "8-ary"])
def test_symbols_that_find_other_codes_are_refused(trained, tmp_path, other, how):
    # 8-ary codes of the same width are at even distances of 4-ary ones.
    rng, path = np.random.default_rng(0), tmp_path / "index"
    plain = rng.choice([-1, 1], (20, 64))
    held = plain if other == "plain" else np.eye(8)[rng.integers(0, 8, (20, 8))].reshape(20, 64) * 2 - 1
    kept = CodeIndex(64)
    kept.add(held)
    kept.save(path)
    np.savez(tmp_path / "codes.npz", codes=trained.codes["query_codes"][:3], arity=ARITY)
    with pytest.raises(ValueError, match="the queries are symbols of 4, and the index holds codes that are not"):
        query(path, (str(tmp_path / "codes.npz"),), **how)


def test_a_run_of_an_unknown_method_is_searched_and_scored_in_symbols(trained, tmp_path, capsys):
    folder = shutil.copytree(trained.folder, tmp_path / "run")
    described = json.loads((folder / "experiment.json").read_text())
    described["method"]["name"] = "from elsewhere"
    (folder / "experiment.json").write_text(json.dumps(described))
    index("build", tmp_path / "index", (str(folder),))
    assert STORAGE in capsys.readouterr().out
    query(tmp_path / "index", (str(folder),), k=2)
    header, *rows = rows_of(capsys)
    assert header[3] == "distance_in_symbols"
    assert [int(row[3]) for row in rows] == neighbours.nearest(trained, 2).distances.ravel().tolist()
    score(str(folder / "codes.npz"), orders=0)
    assert "mAP@k of 32 bits (16 symbols of 4)," in capsys.readouterr().out
    (folder / "metrics.json").write_text("{")
    with pytest.raises(ValueError, match=r"metrics.json cannot be read .*; delete its folder and run again"):
        query(tmp_path / "index", (str(folder),), k=2)


def test_ways_to_search_hold_one_hot_codes(runs):
    pytest.importorskip("faiss")
    run, asked = runs[0], np.arange(3)
    ways = {way.name: way for way in binary_ways(run, asked)}
    for name in ("binary codes, faiss", "binary codes, CodeIndex flat"):
        way = ways[name]
        assert way.database.shape == (40, CodeLayout(32, ARITY).stored_bytes)
        distances, rows = way.index.search(way.queries, 5)
        codes = run.codes
        for q, (of_query, found) in enumerate(zip(distances, rows, strict=True)):
            expected = [2 * naive(codes["query_codes"][q], codes["database_codes"][row]) for row in found]
            assert of_query.tolist() == expected == sorted(expected)


def test_explained_pairs_count_symbols(trained, tmp_path):
    rng = np.random.default_rng(0)
    sets = [ImageSet(rng.integers(0, 256, (n, 112, 112, 3), np.uint8), np.arange(n) % 3, np.arange(n)) for n in (2, 3)]
    figure = explained_pairs(trained, 1, [0, 2], Splits(sets[1], sets[0], sets[0], sets[1], ("a", "b", "c")))
    codes = trained.codes
    for row in (0, 2):
        assert f"d={naive(codes['query_codes'][1], codes['database_codes'][row])} symbols" in words(figure)

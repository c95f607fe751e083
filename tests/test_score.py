"""Scores under every convention: by hand, by brute force over every order, as files, figure and command."""

import csv
import json
import re
from itertools import permutations

import numpy as np
import pytest

from cscelab.cli.scoring import score as command
from cscelab.figures.conventions import LOOKS, conventions
from cscelab.figures.speed import speed
from cscelab.retrieval.ranking import DENOMINATORS, TIES
from cscelab.score import score

# One query 00. At distance 0 a relevant and another item, at distance 1 a relevant one, at 2 another.
TINY = {
    "query_codes": [[0, 0]],
    "query_labels": [7],
    "database_codes": [[0, 0], [0, 0], [0, 1], [1, 1]],
    "database_labels": [3, 7, 7, 3],
}
# S_2 and relevant items in the top 2: (1/1, 1) in the best order and (1/2, 1) in the worst, which is the files'.
# Of the whole: 1/1 + 2/3 and 1/2 + 2/3, over 2.
BEST, WORST = (1 + 2 / 3) / 2, (1 / 2 + 2 / 3) / 2
BY_HAND = {
    ("all", "best"): dict.fromkeys(DENOMINATORS, BEST),
    ("all", "worst"): dict.fromkeys(DENOMINATORS, WORST),
    ("all", "index"): dict.fromkeys(DENOMINATORS, WORST),
    ("all", "expected"): dict.fromkeys(DENOMINATORS, (BEST + WORST) / 2),
    ("2", "best"): {"retrieved": 1, "capped": 1 / 2, "relevant": 1 / 2},
    ("2", "worst"): {"retrieved": 1 / 2, "capped": 1 / 4, "relevant": 1 / 4},
    ("2", "index"): {"retrieved": 1 / 2, "capped": 1 / 4, "relevant": 1 / 4},
    ("2", "expected"): {"retrieved": 3 / 4, "capped": 3 / 8, "relevant": 3 / 8},
}


def as_arrays(lists):
    return {name: np.array(values) for name, values in lists.items()}


def random_codes(n_query=30, n_database=200, bits=8, n_classes=4, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.choice([-1, 1], (n_classes, bits))
    labels = rng.integers(0, n_classes, n_query), np.sort(rng.integers(0, n_classes, n_database))
    q, d = (centers[y] * np.where(rng.random((len(y), bits)) < noise, -1, 1) for y in labels)
    return {"query_codes": q, "query_labels": labels[0], "database_codes": d, "database_labels": labels[1]}


def sorted_ap(relevant, k, denominator) -> float:
    """AP@k of one ranking, as a loop."""
    hits, total = 0, 0.0
    for rank, good in enumerate(relevant[:k], start=1):
        hits += good
        total += good * hits / rank
    k, n_relevant = min(k or len(relevant), len(relevant)), sum(relevant)
    largest = {"retrieved": hits, "capped": min(k, n_relevant), "relevant": n_relevant}[denominator]
    return total / largest if largest else 0.0


def brute_maps(query_codes, query_labels, database_codes, database_labels, k, denominator):
    """mAP for every order of the database by a stable sort, and each query's lowest and highest AP."""
    by_order = []
    for order in permutations(range(len(database_codes))):
        codes, labels = database_codes[list(order)], database_labels[list(order)]
        ranked = [np.argsort((codes != q).sum(axis=1), kind="stable") for q in query_codes]
        by_order.append(
            [sorted_ap(list(labels[r] == y), k, denominator) for r, y in zip(ranked, query_labels, strict=True)]
        )
    ap = np.array(by_order)  # (orders, Q)
    return ap.mean(axis=1), ap.min(axis=0).mean(), ap.max(axis=0).mean()


def by_key(scores):
    return {(row["k"], row["ties"], row["denominator"]): row["map"] for row in scores.rows()}


def test_every_convention_of_a_tiny_case_is_as_worked_by_hand():
    found = by_key(score(**as_arrays(TINY), ks=(None, 2), orders=0))
    assert len(found) == 2 * len(TIES) * len(DENOMINATORS)
    for (k, ties), expected in BY_HAND.items():
        for denominator, value in expected.items():
            assert found[k, ties, denominator] == pytest.approx(value), (k, ties, denominator)


@pytest.mark.parametrize("k", [None, 3])
def test_spread_and_random_orders_are_those_of_brute_force(k):
    data = random_codes(n_query=4, n_database=6, bits=2, n_classes=2)
    scores = score(**data, ks=(k,), orders=200)
    lowest, highest = 1.0, 0.0
    for denominator in DENOMINATORS:
        of_orders, worst, best = brute_maps(**data, k=k, denominator=denominator)
        at = {ties: scores.map_at[k][ties][denominator] for ties in TIES}
        assert at["expected"] == pytest.approx(of_orders.mean())
        assert (at["worst"], at["best"]) == (pytest.approx(worst), pytest.approx(best))
        drawn = scores.orders[k][denominator]
        nearest = np.abs(drawn[:, None] - of_orders[None]).min(axis=1)
        assert (nearest < 1e-12).all()  # each is the score of one order of the database
        assert drawn.mean() == pytest.approx(of_orders.mean(), abs=4 * of_orders.std() / 200**0.5)
        assert len(np.unique(drawn.round(9))) >= 3
        lowest, highest = min(lowest, worst), max(highest, best)
    assert scores.spread(k) == (pytest.approx(lowest), pytest.approx(highest))
    name = "all" if k is None else k
    words = f"The same codes score {lowest:.4f} to {highest:.4f} at k={name} depending on ties and denominators alone."
    assert scores.statement(k) == words
    assert words in scores.table()


def test_codes_without_ties_have_no_spread_at_full_depth():
    data = {"query_codes": np.zeros((1, 4)), "query_labels": np.array([1]),
            "database_codes": np.tri(4, 4), "database_labels": np.array([0, 1, 0, 1])}  # fmt: skip
    scores = score(**data, ks=(None,), orders=3)
    value = (1 / 2 + 2 / 4) / 2  # distances 1, 2, 3, 4
    assert scores.spread(None) == (pytest.approx(value), pytest.approx(value))
    assert scores.statement(None) == f"The same codes score {value:.4f} at k=all under all ties and denominators."
    assert scores.orders[None]["retrieved"] == pytest.approx([value] * 3)


def test_default_depths_are_those_that_the_database_reaches():
    assert score(**random_codes(n_database=150), orders=0).ks == (None, 100)
    assert score(**random_codes(n_database=100), orders=0).ks == (None,)


def test_random_orders_are_repeatable_and_differ_by_seed():
    data = random_codes()
    first, again, other = (score(**data, ks=(10,), orders=4, seed=seed).orders[10]["retrieved"] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_random_orders_show_their_progress_once_they_take_long(monkeypatch):
    shown = []

    def bar(orders, title, **options):
        shown.append((len(orders), title, options))
        return orders

    monkeypatch.setattr("cscelab.score.tqdm", bar)
    score(**random_codes(), ks=(5,), orders=3)
    assert shown == [(3, "random orders", {"delay": 2, "leave": False})]


def test_a_sample_of_the_queries_says_so_and_stays_around_the_expected_value():
    data = random_codes(n_query=60)
    whole = score(**data, ks=(20,), orders=6)
    sampled = score(**data, ks=(20,), orders=6, order_pairs=6 * 200 * 15)
    assert (whole.order_queries, sampled.order_queries) == (60, 15)
    assert "measured on 15 of the 60 queries" in sampled.table()
    assert "Random orders were measured" not in whole.table()
    assert sampled.map_at == whole.map_at
    expected = whole.map_at[20]["expected"]["retrieved"]
    assert abs(sampled.orders[20]["retrieved"].mean() - expected) < 0.05
    assert score(**data, ks=(20,), orders=0).orders == {}


def test_queries_without_a_relevant_item_count_or_are_dropped():
    data = random_codes()
    kept = {n: a[:20] if n.startswith("query") else a for n, a in data.items()}
    data["query_labels"] = np.concatenate([data["query_labels"][:20], np.full(10, 99)])
    dropped, counted = (score(**data, ks=(None, 10), orders=3, empty=empty) for empty in ("drop", "zero"))
    without = score(**kept, ks=(None, 10), orders=3)
    for key, value in by_key(without).items():
        if "random" not in key[1]:
            assert by_key(dropped)[key] == pytest.approx(value)
            assert by_key(counted)[key] == pytest.approx(value * 20 / 30)
    for denominator in DENOMINATORS:
        assert dropped.orders[10][denominator] == pytest.approx(without.orders[10][denominator])
    assert "10 queries have no relevant item and are left out" in dropped.table()
    assert "10 queries have no relevant item and are counted as 0" in counted.table()


def test_a_query_never_finds_itself_where_ids_are_given():
    data = random_codes(n_query=25, n_database=25)
    data |= {"query_codes": data["database_codes"], "query_labels": data["database_labels"]}
    ids = np.random.default_rng(0).permutation(25)
    scores = score(**data, query_ids=ids, database_ids=ids, ks=(None,), orders=2)
    alone = []
    for i in range(25):
        one = {n: a[[i]] if n.startswith("query") else np.delete(a, i, axis=0) for n, a in data.items()}
        alone.append(score(**one, ks=(None,), orders=0).map_at[None]["expected"]["retrieved"])
    assert scores.map_at[None]["expected"]["retrieved"] == pytest.approx(np.mean(alone))
    best, worst = (scores.map_at[None][ties]["retrieved"] for ties in ("best", "worst"))
    assert ((scores.orders[None]["retrieved"] >= worst) & (scores.orders[None]["retrieved"] <= best)).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"empty": "keep"}, "unknown empty 'keep'; choose from zero, drop"),
        ({"orders": -1}, "orders is -1; expected"),
        ({"orders": 2.5}, "orders is 2.5; expected a whole number of at least 0"),
        ({"order_pairs": "a"}, "order_pairs is 'a'; expected a whole number"),
        ({"order_pairs": -5}, "order_pairs is -5; expected a whole number"),
        ({"seed": -1}, "seed is -1; expected a whole number of at least 0"),
        ({"ks": ()}, "k is an empty list; give at least one"),
        ({"ks": 10**23}, "k is 10{23}; expected a whole number"),
        ({"ks": (5, "five")}, "k is 'five'; expected a whole number"),
        ({"query_codes": 3}, "query codes are a single number; expected an array"),
        ({"database_labels": None}, "database labels are of type object; expected an array of numbers"),
        ({"ks": (0,)}, "k is 0; expected a whole number of at least 1"),
        ({"query_ids": np.arange(30)}, "ids came for one side only"),
        ({"query_labels": np.full(30, 99), "empty": "drop"}, "no query has a relevant item"),
        ({"query_codes": np.ones((30, 9))}, "queries have 9 bits and the database 8"),
    ],
)
def test_mistakes_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        score(**random_codes() | options)


def test_lists_and_a_single_depth_will_do():
    data = random_codes()
    lists = {name: array.tolist() for name, array in data.items()}
    ids = {"query_ids": list(range(30)), "database_ids": list(range(200))}
    as_lists, as_arrays_ = score(**lists, **ids, ks=5, orders=2), score(**data, **as_arrays(ids), ks=(5,), orders=2)
    assert as_lists.ks == (5,)
    assert as_lists.rows() == as_arrays_.rows()
    assert score(**lists, **ids, ks=np.int64(5), orders=2).rows() == as_arrays_.rows()


def test_a_depth_beyond_the_database_is_shown_as_given_and_ranks_all():
    scores = score(**random_codes(), ks=(None, 10**17), orders=2)
    assert scores.map_at[10**17] == scores.map_at[None]
    lines = [line for line in scores.table().splitlines() if " retrieved " in line]
    assert [line.split()[0] for line in lines] == ["all", str(10**17)]
    assert len({line.index("retrieved") for line in lines}) == 1  # columns stay one below the other
    header = next(line for line in scores.table().splitlines() if line.startswith("k "))
    assert header.index("divided by") == lines[0].index("retrieved")


def test_files_that_cannot_be_written_are_named_and_leave_nothing_half_done(tmp_path):
    scores = score(**random_codes(), ks=(5,), orders=0)
    (tmp_path / "score.json").mkdir()
    with pytest.raises(OSError, match=r"^cannot write .*score.json \(.*\); name another folder with --out$"):
        scores.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["score.csv", "score.json"]


def test_files_hold_what_the_scores_hold(tmp_path):
    scores = score(**random_codes(), ks=(None, 10), orders=3)
    table, everything = scores.save(tmp_path / "new")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(r["k"], r["ties"], r["denominator"]): float(r["map"]) for r in rows} == by_key(scores)
    stored = json.loads(everything.read_text())
    assert [row["k"] for row in stored["rows"][:1]] == [None]
    assert stored["spread"][1] == {"k": 10, "lowest": scores.spread(10)[0], "highest": scores.spread(10)[1]}
    assert stored["report"]["n_query"] == 30
    assert len(stored["random_orders"]) == 2 * len(DENOMINATORS)


# --- the figure

COLLAPSED = random_codes() | {"query_codes": np.ones((30, 8)), "database_codes": np.ones((200, 8))}


@pytest.mark.parametrize("ks", [(None,), (1, 5), (None, 5, 50), (None, 2, 10, 50, 1000)])
@pytest.mark.parametrize(
    "data", [random_codes(), random_codes(noise=0), COLLAPSED], ids=["usual", "perfect", "collapsed"]
)
def test_the_figure_shows_every_value_and_no_text_lies_on_another(data, ks):
    scores = score(**data, ks=ks, orders=2)
    figure = conventions(scores)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    points = {(line.get_color(), line.get_marker()): [] for line in axes.lines}
    for line in axes.lines:
        points[line.get_color(), line.get_marker()].append(line.get_ydata()[0])
    for denominator, look in LOOKS.items():
        assert points[look] == [scores.map_at[k]["expected"][denominator] for k in ks]
    bars = [(p.get_y(), p.get_y() + p.get_height()) for p in axes.patches[::2]]
    spans = [(scores.map_at[k]["worst"][d], scores.map_at[k]["best"][d]) for k in ks for d in DENOMINATORS]
    assert np.allclose(bars, spans)
    words = [t for t in axes.get_xticklabels(which="both") + axes.get_yticklabels() if t.get_text()]
    words += [axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title, *figure.legends[0].get_texts()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in words if t.get_text()]
    assert len(boxes) >= 4 * len(ks) + 6 + 3 + 6
    for i, (text, box) in enumerate(boxes):
        assert figure.bbox.padded(1).fully_contains(box.x0, box.y0), text
        assert figure.bbox.padded(1).fully_contains(box.x1, box.y1), text
        for other, other_box in boxes[i + 1 :]:
            assert not box.padded(-1).overlaps(other_box.padded(-1)), f"{text!r} lies on {other!r}"


def test_the_figure_leaves_out_orders_that_were_not_tried():
    legends = [
        [text.get_text() for text in conventions(score(**random_codes(), ks=(5,), orders=n)).legends[0].get_texts()]
        for n in (0, 2)
    ]
    assert [any("random orders" in text for text in legend) for legend in legends] == [False, True]


def test_the_figure_says_when_random_orders_were_measured_on_a_sample():
    scores = score(**random_codes(), ks=(5,), orders=2, order_pairs=2 * 200 * 7)
    texts = [text.get_text() for text in conventions(scores).legends[0].get_texts()]
    assert "2 random orders (7 of 30 queries)" in texts
    assert "The band from a sample is wider than that of all queries." in scores.table()


def test_the_figure_of_speed_names_what_was_measured():
    pandas = pytest.importorskip("pandas")
    rows = [("random", "class ids", way, rate, rate / 1e8, 47.0)
            for way, rate in (("argsort loop", 1e8), ("whole report", 5e8))]  # fmt: skip
    names = ["codes", "labels", "way", "pairs per second", "ratio to the loop", "MB above the inputs"]
    table = pandas.DataFrame(rows, columns=names)
    caption = "64 bits, 5,000 queries, database of 100,000, 1 thread"
    plain, captioned = (speed(table, *extra) for extra in ((), (caption,)))
    assert plain.axes[-1].get_xlabel() + "\n" + caption == captioned.axes[-1].get_xlabel()
    captioned.draw_without_rendering()
    box = captioned.axes[-1].xaxis.label.get_window_extent()
    assert captioned.bbox.padded(1).fully_contains(box.x0, box.y0)
    assert not any(box.overlaps(label.get_window_extent()) for label in captioned.axes[-1].get_xticklabels())


# --- the command


def test_the_command_scores_a_hand_worked_table_and_writes_its_files(tmp_path, capsys):
    for name, values in as_arrays(TINY).items():
        np.savetxt(tmp_path / f"{name}.csv", values, fmt="%d", delimiter=",")
    paths = {name: str(tmp_path / f"{name}.csv") for name in TINY}
    labels = {name: paths[name] for name in ("query_labels", "database_labels")}
    command(paths["query_codes"], paths["database_codes"], **labels, k=("all", 2), out=tmp_path / "out")
    lines = capsys.readouterr().out.splitlines()
    numbers = next(line for line in lines if line.startswith("2      retrieved")).split()[2:6]
    assert numbers == ["0.7500", "0.5000", "0.5000", "1.0000"]  # expected, index, worst, best
    assert "The same codes score 0.2500 to 1.0000 at k=2 depending on ties and denominators alone." in lines
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["score.csv", "score.json", "score.png", "score.svg"]
    assert all((tmp_path / "out" / name).stat().st_size > 100 for name in written)


def test_the_command_counts_the_radii_of_ordinal_codes_in_symbols(tmp_path, capsys):
    rng = np.random.default_rng(0)
    symbols = {"query_codes": rng.integers(0, 4, (30, 3)), "database_codes": rng.integers(0, 4, (200, 3))}
    codes = {name: np.packbits(np.eye(4, dtype=bool)[each].reshape(-1, 12), axis=1) for name, each in symbols.items()}
    np.savez(tmp_path / "results.npz", **random_codes() | codes)
    command(str(tmp_path / "results.npz"), bits=6, arity=4, orders=1, out=tmp_path / "out")
    assert "mAP@k of 6 bits (3 symbols of 4), 30 queries against 200 items\n" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "score.json").read_text())["report"]
    nearest = (symbols["query_codes"][:, None] != symbols["database_codes"]).sum(axis=2).min(axis=1)
    assert found["radius_nothing"] == {str(r): (nearest > r).sum() for r in range(3)}
    assert found["unit"] == "symbols"


def test_the_command_finds_out_first_whether_it_can_write(tmp_path, monkeypatch):
    np.savez(tmp_path / "results.npz", **random_codes())
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr("cscelab.score.score", lambda *_, **__: pytest.fail("computed before looking at --out"))
    with pytest.raises(OSError, match="^cannot write to .*taken .*; name another folder with --out$"):
        command(str(tmp_path / "results.npz"), out=tmp_path / "taken")


def test_the_command_says_in_one_sentence_that_its_figure_cannot_be_written(tmp_path):
    np.savez(tmp_path / "results.npz", **random_codes())
    (tmp_path / "out" / "score.png").mkdir(parents=True)
    with pytest.raises(OSError, match=r"^cannot write the figure to .*out \(.*\); name another folder with --out$"):
        command(str(tmp_path / "results.npz"), orders=1, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"query_labels": np.full(30, 0.5)}, {}, "{path}:query_labels: query labels hold NaN or fractions"),
        ({"query_labels": np.eye(30)}, {}, "{path}:query_labels, {path}:database_labels: query labels (30, 30) and"),
        ({"query_codes": np.ones((30, 9))}, {}, "{path}:query_codes, {path}:database_codes: queries have 9 bits"),
        ({"query_labels": np.full(30, 99)}, {"empty": "drop"}, "no query has a relevant item and --empty drop leaves"),
        ({}, {"bits": 9}, "{path}:query_codes: query codes have 8 columns, but --bits 9; give codes of 9 bits"),
        ({"database_codes": np.full((200, 8), 7, np.uint8)}, {}, "packed uint8 codes need --bits, their number"),
        ({"database_codes": np.full((200, 8), 0.3)}, {}, "take the signs of continuous values with --binarise"),
        ({}, {"k": (0,)}, "--k is 0; expected"),
        ({}, {"orders": -1}, "--orders is -1; expected"),
        ({}, {"arity": 1}, "--arity is 1; expected"),
        ({}, {"arity": 4}, "{path}:query_codes: query codes: code 0 has 3 bits of +1 in group 0 of 4; expected"),
        ({}, {"arity": 4}, "give one-hot codes of this --arity, or leave --arity out for codes of plain bits"),
        ({}, {"bits": 8, "arity": 4}, "columns, but --bits 8, with --arity 4 16 columns one-hot or 2 packed; give the"),
        ({}, {"arity": 16}, "--arity 16 came with codes of 8 bits"),
        (
            {"query_codes": np.arange(240).reshape(30, 8) % 4},
            {"arity": 4},
            "{path}:query_codes has the value 2 at row 0, column 2; expected query codes of -1 / +1 or 0 / 1: "
            "write each symbol as --arity bits, one of them up",
        ),
        ({"query_codes": np.full((30, 8), 3, np.uint8)}, {"arity": 4}, "or 0 / 1: write each symbol as --arity bits"),
    ],
)
def test_the_command_names_files_and_its_own_options(tmp_path, change, options, said):
    path = tmp_path / "results.npz"
    np.savez(path, **random_codes() | change)
    with pytest.raises(ValueError, match=re.escape(said.format(path=path))) as caught:
        command(str(path), **options)
    assert "=" not in str(caught.value)


def test_the_command_parses_its_arguments(tmp_path, capsys):
    tyro = pytest.importorskip("tyro")
    np.savez(tmp_path / "results.npz", **random_codes())

    def call(*arguments):
        commands = {"score": command, "other": lambda: None}
        tyro.extras.subcommand_cli_from_dict(commands, prog="cscelab", args=["score", *arguments])
        return capsys.readouterr().out

    said = call(str(tmp_path / "results.npz"), "--k", "all", "7", "--orders", "2", "--empty", "drop")
    assert [line.split()[0] for line in said.splitlines() if " retrieved " in line][:2] == ["all", "7"]
    assert "2 random orders" in said
    with pytest.raises(FileNotFoundError, match="there is no file"):
        call(str(tmp_path / "results.mat"))

"""The index against brute force and against a dictionary, its file against damage, and the commands around it."""

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from PIL import Image

from cscelab.cli import searching
from cscelab.codes import pack, unpack
from cscelab.indexes import file as indexfile
from cscelab.indexes import scan as indexscan
from cscelab.indexes.inputs import LARGEST_ID
from cscelab.search import MISSING, CodeIndex, rerank

LENGTHS = (1, 4, 12, 16, 64, 100, 1024)


def draw(rng: np.random.Generator, n: int, bits: int) -> np.ndarray:
    return rng.integers(0, 2, (n, bits)).astype(np.int8) * 2 - 1


def brute(queries: np.ndarray, codes: np.ndarray, ids: np.ndarray) -> list[list[tuple[int, int]]]:
    """Every item as (distance, id), in order, for each query."""
    return [sorted(zip((codes != q).sum(axis=1).tolist(), ids.tolist(), strict=True)) for q in queries]


def pairs(found) -> list[list[tuple[int, int]]]:
    return [list(zip(d.tolist(), i.tolist(), strict=True)) for d, i in zip(found.distances, found.ids, strict=True)]


def scattered(rng: np.random.Generator, n: int) -> np.ndarray:
    """Ids in no order, some beyond 32 bits."""
    return rng.choice(10 * n, n, replace=False) * 2**33


@pytest.mark.parametrize("bits", LENGTHS)
@pytest.mark.parametrize("distinct", [1, 3, 400])
def test_flat_is_brute_force_with_ties_to_the_smaller_id(bits, distinct):
    rng = np.random.default_rng(bits + distinct)
    codes = draw(rng, distinct, bits)[rng.integers(0, distinct, 400)]
    ids, queries = scattered(rng, 400), np.concatenate([codes[:3], draw(rng, 4, bits)])
    index = CodeIndex(bits)
    index.add(codes, ids)
    expected = brute(queries, codes, ids)
    for k in (1, 7, 50, 399, 400, 1000):
        found = index.search(queries, k)
        assert pairs(found) == [row[:k] for row in expected]
        assert (found.distances.dtype, found.ids.dtype) == (np.int32, np.int64)
    for radius in (0, 1, bits // 2, bits, bits + 5):
        near = index.search_radius(queries, radius)
        assert near.lims[0] == 0
        assert near.lims[-1] == len(near.ids)
        for q, row in enumerate(expected):
            part = slice(near.lims[q], near.lims[q + 1])
            listed = list(zip(near.distances[part].tolist(), near.ids[part].tolist(), strict=True))
            assert listed == [pair for pair in row if pair[0] <= radius]


@pytest.mark.parametrize("kind", ["flat", "ivf", "hnsw"])
def test_the_order_and_the_batches_of_insertion_change_nothing(kind):
    rng = np.random.default_rng(1)
    codes = draw(rng, 40, 16)[rng.integers(0, 40, 900)]
    ids, queries = scattered(rng, 900), draw(rng, 30, 16)
    results = []
    for batches in (1, 7):
        order = rng.permutation(900)
        index = CodeIndex(16, kind)
        for part in np.array_split(order, batches):
            index.add(codes[part], ids[part])
        results.append(index.search(queries, 10))
    assert np.array_equal(results[0].distances, results[1].distances)
    assert np.array_equal(results[0].ids, results[1].ids)


def test_ties_that_begin_late_or_fill_the_whole_database_are_cut_at_the_smallest_rows(monkeypatch):
    # Small blocks, so that the search for tied rows crosses several and growing ones.
    monkeypatch.setattr(indexscan, "_FIRST_BLOCK", 8)
    monkeypatch.setattr(indexscan, "_LARGEST_BLOCK", 32)
    monkeypatch.setattr(indexscan, "_QUERIES_AT_ONCE", 3)
    monkeypatch.setattr(indexscan, "_RESULTS_AT_ONCE", 100)
    rng = np.random.default_rng(2)
    for start in (0, 5, 150, 290):
        codes = draw(rng, 300, 24)
        codes[start:] = codes[-1]
        index = CodeIndex(24)
        index.add(codes)
        queries = np.concatenate([codes[-1:], draw(rng, 10, 24), -codes[-1:]])
        expected = brute(queries, codes, np.arange(300))
        for k in (1, 9, 60):
            assert pairs(index.search(queries, k)) == [row[:k] for row in expected]


def test_faiss_may_return_any_of_the_tied_rows(monkeypatch):
    """The smallest ids win even if the kernel returns the largest."""
    faiss = indexscan.import_faiss()
    kernel = faiss.knn_hamming

    def from_the_end(queries, database, k):
        distances, rows = kernel(queries, np.ascontiguousarray(database[::-1]), k)
        return distances, len(database) - 1 - rows

    monkeypatch.setattr(faiss, "knn_hamming", from_the_end)
    codes = draw(np.random.default_rng(3), 5, 16)[np.arange(500) % 5]
    index = CodeIndex(16)
    index.add(codes)
    expected = brute(codes[:5], codes, np.arange(500))
    for k in (1, 10, 110, 250):
        assert pairs(index.search(codes[:5], k)) == [row[:k] for row in expected]


@pytest.mark.parametrize("kind", ["flat", "ivf", "hnsw"])
@pytest.mark.parametrize("seed", range(4))
def test_random_calls_agree_with_a_dictionary(kind, seed, tmp_path):
    """Full probes and a large ef make the approximate kinds exact."""
    rng = np.random.default_rng(seed)
    bits = (12, 64)[seed % 2]
    index = CodeIndex(bits, kind, probes=10**6, ef=2000)
    model: dict[int, np.ndarray] = {}
    for step in range(40):
        action = rng.choice(["add", "add", "add ids", "remove", "again", "search", "reload"])
        if action.startswith("add") or not model:
            codes = draw(rng, int(rng.integers(1, 40)), bits)
            free = np.setdiff1d(np.arange(3000), list(model))
            ids = rng.choice(free, len(codes), replace=False) if action == "add ids" else None
            first = index._next_id
            index.add(codes, ids)
            model |= dict(zip((range(first, first + len(codes)) if ids is None else ids.tolist()), codes, strict=True))
        elif action == "remove":
            gone = rng.choice(sorted(model), int(rng.integers(1, max(2, len(model) // 2))), replace=False)
            assert index.remove(gone) == len(gone)
            for item in gone:
                del model[item]
        elif action == "again":
            item = int(rng.choice(sorted(model)))
            index.remove([item])
            model[item] = draw(rng, 1, bits)[0]
            index.add(model[item][None], [item])
        elif action == "reload":
            index.save(tmp_path / "index")
            index = CodeIndex.load(tmp_path / "index", bits=bits)
        assert len(index) == len(model)
        if not model:
            continue
        ids = np.array(sorted(model))
        codes = np.array([model[i] for i in ids])
        assert np.array_equal(index.ids, ids)
        assert np.array_equal(index.reconstruct(ids), codes)
        queries, k = draw(rng, 3, bits), int(rng.integers(1, 30))
        found, expected = index.search(queries, k), brute(queries, codes, ids)
        assert found.distances.tolist() == [[d for d, _ in row[:k]] for row in expected], (step, action)
        for row, whole in zip(pairs(found), expected, strict=True):
            assert row == sorted(row)
            assert set(row) <= set(whole)
            last = row[-1][0]  # which of the tied items come last is free only for the approximate kinds
            assert [p for p in row if p[0] < last or kind == "flat"] == [
                p for p in whole[: len(row)] if p[0] < last or kind == "flat"
            ]


def test_every_form_of_the_same_codes_gives_the_same_index():
    rng = np.random.default_rng(4)
    signs = draw(rng, 50, 12)
    forms = [
        signs, (signs > 0).astype(np.uint8), signs > 0, signs.astype(np.float64), torch.from_numpy(signs).bfloat16(),
        pack(signs), torch.from_numpy(pack(signs)), signs.tolist(), np.asfortranarray(signs),
    ]  # fmt: skip
    for form in forms:
        index = CodeIndex(12)
        index.add(form)
        assert np.array_equal(index.reconstruct(range(50)), signs)
        assert (index.search(form, 1).distances == 0).all()


def test_one_bit_bytes_are_written_out_and_not_packed_unless_above_1():
    index = CodeIndex(1)
    index.add(np.array([[0], [1]], np.uint8))
    assert index.reconstruct([0, 1]).ravel().tolist() == [-1, 1]
    index.add(np.array([[0], [128]], np.uint8))
    assert index.reconstruct([2, 3]).ravel().tolist() == [-1, 1]


def test_the_index_keeps_no_view_of_the_callers_array():
    packed = pack(draw(np.random.default_rng(5), 4, 16))
    index, before = CodeIndex(16), unpack(packed, 16)
    index.add(packed)
    packed[:] = 0
    assert np.array_equal(index.reconstruct([0, 1, 2, 3]), before)


def test_default_ids_go_on_after_the_largest_ever_used(tmp_path):
    index = CodeIndex(4)
    index.add(draw(np.random.default_rng(0), 3, 4), [7, 3, 5])
    index.remove([7])
    index.save(tmp_path / "index")
    index = CodeIndex.load(tmp_path / "index")
    index.add(draw(np.random.default_rng(0), 2, 4))
    assert index.ids.tolist() == [3, 5, 8, 9]


def test_ids_end_where_64_bits_end_and_never_wrap(tmp_path):
    index, codes = CodeIndex(4), draw(np.random.default_rng(0), 2, 4)
    index.add(codes, [LARGEST_ID - 2, 0])
    for _ in range(2):
        with pytest.raises(ValueError, match=f"largest id ever used is {LARGEST_ID - 2} .* give 3 free ids"):
            index.add(np.ones((3, 4)))
        index.remove([LARGEST_ID - 2])
        index = CodeIndex.load(index.save(tmp_path / "index"))
        index.add(codes[:1], [LARGEST_ID - 2])
    index.add(codes)
    assert index.ids.tolist() == [0, LARGEST_ID - 2, LARGEST_ID - 1, LARGEST_ID]
    assert index.search(codes[1:], 4).ids.dtype == np.int64
    index.remove([LARGEST_ID])
    index = CodeIndex.load(index.save(tmp_path / "index"))
    with pytest.raises(ValueError, match="give 1 free ids"):
        index.add(codes[:1])
    with pytest.raises(ValueError, match="expected 0 to"):
        index.add(codes[:1], [LARGEST_ID + 1])
    index.add(codes[:1], [LARGEST_ID])
    assert index.search_radius(codes[:1], 0).ids[-1] == LARGEST_ID


def test_settings_are_checked_whenever_they_are_set(tmp_path):
    index = CodeIndex(16, "hnsw")
    index.add(draw(np.random.default_rng(18), 50, 16))
    for name in ("bits", "probes", "nlist", "m", "ef", "ef_construction"):
        before = getattr(index, name)
        for value, message in (("a", "is 'a'"), (0, "is 0"), (2.0, "is 2.0"), (True, "is True"), (2**31, "at most")):
            with pytest.raises(ValueError, match=f"^{name} .*{message}"):
                setattr(index, name, value)
        assert getattr(index, name) == before
    with pytest.raises(ValueError, match="method is 5; expected a name as text"):
        index.method = 5
    with pytest.raises(ValueError, match="method is None"):
        CodeIndex(8, method=None)
    index.ef, index.m, index.nlist = np.int64(2**31 - 1), np.uint8(6), None
    assert len(index.search(np.ones((1, 16)), 50).ids[0]) == 50  # no memory is set aside for 2**31 candidates
    again = CodeIndex.load(index.save(tmp_path / "index"))
    assert (again.ef, again.m, again.nlist) == (2**31 - 1, 6, None)


@pytest.mark.parametrize(("kind", "effort"), [("ivf", "probes"), ("hnsw", "ef")])
def test_more_effort_finds_more_and_what_is_missing_is_marked(kind, effort):
    rng = np.random.default_rng(6)
    codes, queries = draw(rng, 4000, 64), draw(rng, 50, 64)
    index, flat = CodeIndex(64, kind, m=4), CodeIndex(64)
    index.add(codes)
    flat.add(codes)
    exact = flat.search(queries, 10).distances
    recalls = []
    for value in (1, 8, 4000):
        setattr(index, effort, value)
        recalls.append((index.search(queries, 10).distances <= exact[:, -1:]).mean())
    assert recalls[0] < recalls[1] < recalls[2]
    assert recalls[2] > 0.99
    if kind == "ivf":
        index.probes = 1
        found = index.search(queries, 1000)
        missing = found.ids == MISSING
        assert missing.any()
        assert (found.distances[missing] == 65).all()
        assert (np.diff(missing.astype(int), axis=1) >= 0).all()  # they come last


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_building_is_repeatable_bit_for_bit(kind, tmp_path):
    codes = draw(np.random.default_rng(7), 3000, 32)
    for name in ("a", "b"):
        index = CodeIndex(32, kind)
        index.add(codes)
        index.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_approximate_kinds_are_built_anew_when_they_are_worn():
    rng = np.random.default_rng(8)
    graph, lists = CodeIndex(16, "hnsw"), CodeIndex(16, "ivf")
    for index in (graph, lists):
        index.add(draw(rng, 400, 16))
        index.build()
    before = graph._structure
    graph.remove(range(150))
    graph.build()
    assert graph._structure is before  # tombstones
    graph.remove(range(150, 250))
    graph.build()
    assert graph._structure is not before
    before = lists._structure
    lists.add(draw(rng, 1199, 16))
    lists.build()
    assert lists._structure is before
    lists.add(draw(rng, 1, 16))
    lists.build()
    assert lists._structure is not before
    before = lists._structure  # of 1600 codes
    lists.remove(range(1199))
    lists.build()
    assert lists._structure is before
    lists.remove([1199])
    lists.build()
    assert lists._structure is not before


def test_a_shrunken_ivf_finds_again_what_it_found_when_it_was_new():
    rng = np.random.default_rng(17)
    codes, queries = draw(rng, 6000, 32), draw(rng, 40, 32)
    worn, new = CodeIndex(32, "ivf", probes=8), CodeIndex(32, "ivf", probes=8)
    worn.add(codes)
    worn.build()
    worn.remove(range(400, 6000))
    new.add(codes[:400])
    assert pairs(worn.search(queries, 80)) == pairs(new.search(queries, 80))
    assert (worn.search(queries, 80).ids != MISSING).all()


@pytest.mark.parametrize("kind", ["flat", "ivf", "hnsw"])
def test_a_file_gives_back_the_same_index(kind, tmp_path):
    rng = np.random.default_rng(9)
    index = CodeIndex(20, kind, "csce-abc", probes=3, ef=33, nlist=9, m=6)
    index.add(draw(rng, 500, 20), scattered(rng, 500), paths=[f"ü/{i}.jpg" for i in range(500)])
    path = index.save(tmp_path / "new folder" / "index")
    again = CodeIndex.load(path, bits=20, method="csce-abc")
    queries = draw(rng, 9, 20)
    assert pairs(again.search(queries, 20)) == pairs(index.search(queries, 20))
    assert np.array_equal(again.ids, index.ids)
    assert [again.path(i) for i in again.ids] == [index.path(i) for i in index.ids]
    names = ("bits", "kind", "method", "probes", "nlist", "m", "ef", "ef_construction", "n_bytes")
    assert [getattr(again, n) for n in names] == [getattr(index, n) for n in names]
    assert again.save(tmp_path / "again").read_bytes() == path.read_bytes()
    again.remove(again.ids[:1])
    again.add(draw(rng, 1, 20))
    assert len(again.search(queries, 500).ids[0]) == 500


def test_an_empty_index_can_be_saved(tmp_path):
    index = CodeIndex.load(CodeIndex(8, "hnsw").save(tmp_path / "index"))
    assert (len(index), index.bits, index.kind) == (0, 8, "hnsw")


@pytest.fixture
def saved(tmp_path):
    index = CodeIndex(16, "ivf", "csce-abc")
    index.add(draw(np.random.default_rng(10), 60, 16))
    return index.save(tmp_path / "index")


def test_a_file_cut_anywhere_or_with_a_changed_byte_is_refused(saved):
    whole = saved.read_bytes()
    for length in [*range(0, len(whole), 37), 1, 7, 8, 9, len(whole) - 1]:
        saved.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="index"):
            CodeIndex.load(saved)
    for position in range(3, len(whole), 61):
        broken = bytearray(whole)
        broken[position] ^= 4
        saved.write_bytes(broken)
        with pytest.raises(ValueError, match="index"):
            CodeIndex.load(saved)
    saved.write_bytes(whole)
    assert len(CodeIndex.load(saved)) == 60


def test_wrong_files_are_refused_in_one_sentence(saved, tmp_path, monkeypatch):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("not an index\n" * 50)
    np.savez(tmp_path / "a.npz", codes=np.zeros(3))
    for name in ("a.png", "a.txt", "a.npz"):
        with pytest.raises(ValueError, match="is no code index, or is cut short") as caught:
            CodeIndex.load(tmp_path / name)
        assert "\n" not in str(caught.value)
    from cscelab.shipped import ENCODER

    with pytest.raises(ValueError, match="no code index"):
        CodeIndex.load(ENCODER)
    for absent in (tmp_path / "absent", tmp_path / "a.txt" / "below"):
        with pytest.raises(FileNotFoundError, match="no index file"):
            CodeIndex.load(absent)
    with pytest.raises(IsADirectoryError, match="is a folder; name an index file"):
        CodeIndex.load(tmp_path)
    monkeypatch.setattr(indexfile, "VERSION", 2)
    with pytest.raises(ValueError, match="is of format 1, but this cscelab reads 2"):
        CodeIndex.load(saved)


def test_other_bits_and_other_encoders_are_refused_by_name(saved):
    with pytest.raises(ValueError, match="holds codes of 16 bits, but codes of 32 bits were expected"):
        CodeIndex.load(saved, bits=32)
    with pytest.raises(ValueError, match="holds codes of csce-abc, but codes of csq-xyz were expected"):
        CodeIndex.load(saved, method="csq-xyz")


def test_a_file_that_may_not_be_read_is_not_called_damaged(saved, monkeypatch):
    def refuse(self, *arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(saved), "open", refuse)
    for call in (CodeIndex.load, indexfile.is_index):
        with pytest.raises(OSError, match="index cannot be read \\(Permission denied\\); check the file"):
            call(saved)


@pytest.mark.parametrize("place", ["save_file", "fsync", "replace"])
def test_a_failing_save_leaves_the_old_file_and_nothing_else(saved, monkeypatch, place):
    whole, index = saved.read_bytes(), CodeIndex.load(saved)
    index.add(draw(np.random.default_rng(0), 5, 16))

    def fail(*arguments):
        if place == "save_file":
            arguments[1].write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(indexfile if place == "save_file" else indexfile.os, place, fail)
    with pytest.raises(OSError, match="No space left on device"):
        index.save(saved)
    assert saved.read_bytes() == whole
    assert [p.name for p in saved.parent.iterdir()] == ["index"]


GOOD = np.ones((2, 16), np.int8)
BAD_CALLS = {
    "columns": (lambda i: i.add(np.ones((2, 12))), "12 columns, but the index holds codes of 16 bits"),
    "query columns": (lambda i: i.search(np.ones((2, 3), np.uint8), 1), "3 columns, but the index"),
    "NaN": (lambda i: i.add(np.full((1, 16), np.nan)), "code value nan"),
    "a zero": (lambda i: i.add(np.array([[0, -1] * 8])), "half a bit beside -1"),
    "one axis": (lambda i: i.add(np.ones(16)), "expected \\(N, K\\)"),
    "text": (lambda i: i.add(np.array([["a"] * 16])), "expected an array of numbers"),
    "ragged": (lambda i: i.add([[1, -1], [1]]), "different lengths"),
    "no rows": (lambda i: i.add(np.ones((0, 16))), "are empty"),
    "no queries": (lambda i: i.search(np.ones((0, 16)), 3), "query codes are empty"),
    "k 0": (lambda i: i.search(GOOD, 0), "k is 0; expected a whole number of at least 1"),
    "k real": (lambda i: i.search(GOOD, 2.5), "k is 2.5"),
    "radius": (lambda i: i.search_radius(GOOD, -1), "radius is -1; expected a whole number of at least 0"),
    "id there": (lambda i: i.add(GOOD, [50, 3]), "id 3 is already in the index"),
    "id twice": (lambda i: i.add(GOOD, [50, 50]), "id 50 came 2 times"),
    "id real": (lambda i: i.add(GOOD, [50.0, 51.0]), "ids are float64"),
    "ids few": (lambda i: i.add(GOOD, [50]), "expected whole numbers \\(2,\\)"),
    "ids deep": (lambda i: i.add(GOOD, [[50, 51]]), "expected whole numbers \\(2,\\)"),
    "id below 0": (lambda i: i.add(GOOD, [-1, 5]), "expected 0 to"),
    "id too large": (lambda i: i.add(GOOD, np.array([1, 2**63], np.uint64)), "expected 0 to"),
    "paths": (lambda i: i.add(GOOD, paths=["a"]), "1 paths came with 2 codes"),
    "remove unknown": (lambda i: i.remove([3, 99]), "id 99 is not among the 20"),
    "remove twice": (lambda i: i.remove([3, 3]), "id 3 came 2 times"),
    "reconstruct": (lambda i: i.reconstruct([98, 99]), "id 98 and 1 more are not among"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_bad_call_is_one_sentence_and_changes_nothing(name, kind, tmp_path):
    call, message = BAD_CALLS[name]
    index = CodeIndex(16, kind)
    index.add(draw(np.random.default_rng(11), 20, 16))
    before = index.save(tmp_path / "before").read_bytes()
    with pytest.raises(ValueError, match=message) as caught:
        call(index)
    assert "\n" not in str(caught.value)
    assert index.save(tmp_path / "after").read_bytes() == before


def test_filling_bits_empty_indexes_and_bad_settings():
    index = CodeIndex(12)
    with pytest.raises(ValueError, match="bits set past bit 12"):
        index.add(np.full((1, 2), 255, np.uint8))
    for call in (lambda: index.search(np.ones((1, 12)), 1), lambda: index.search_radius(np.ones((1, 12)), 1)):
        with pytest.raises(ValueError, match="the index is empty"):
            call()
    assert index.remove([]) == 0
    for settings, message in (({"bits": 0}, "bits is 0"), ({"kind": "tree"}, "choose from flat, ivf, hnsw"),
                              ({"probes": 0}, "probes is 0"), ({"m": 1}, "m is 1")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            CodeIndex(**{"bits": 8, **settings})


def test_without_faiss_one_sentence_says_so(monkeypatch):
    index = CodeIndex(8)
    index.add(np.ones((2, 8)))
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(ValueError, match="needs faiss, which is not installed; pip install faiss-cpu"):
        index.search(np.ones((1, 8)), 1)


def test_reranking_orders_by_cosine_then_distance_then_id():
    distances, ids = np.array([[0, 1, 1, 2, 9]]), np.array([[40, 10, 20, 30, MISSING]])
    features = np.array([[3.0, 4.0], [0.0, 5.0], [6.0, 8.0], [0.0, 0.0]])  # cosines with (3, 4): 1, 0.8, 1, 0
    best = rerank(distances, ids, [[3.0, 4.0]], features, feature_ids=[20, 40, 10, 30], k=5)
    assert best.ids.tolist() == [[10, 20, 40, 30, MISSING]]
    assert best.cosines[0, :4] == pytest.approx([1, 1, 0.8, 0])
    assert best.distances.tolist() == [[1, 1, 0, 2, 9]]
    assert rerank(distances, ids, [[3.0, 4.0]], features, [20, 40, 10, 30], k=2).ids.tolist() == [[10, 20]]


def test_reranking_a_whole_list_is_search_by_features():
    rng = np.random.default_rng(12)
    values, query = rng.normal(size=(200, 8)), rng.normal(size=(300, 8))
    index = CodeIndex(8)
    index.add(values > 0)
    best = rerank(*index.search(query > 0, 200), torch.from_numpy(query), values)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    assert np.array_equal(best.ids, np.argsort(-(query @ unit.T), axis=1))


def test_reranking_refuses_what_does_not_fit():
    d, i, q, f = np.zeros((1, 2), int), np.array([[0, 1]]), np.ones((1, 3)), np.ones((2, 3))
    for arguments, message in (
        ((d[:, :1], i, q, f), "differ"),
        ((d, i, q[:, :2], f), "same D"),
        ((d, i, q, f, [5, 6]), "id 0 has no row in feature_ids"),
        ((d, i, q, f, [5]), "feature_ids are int64 \\(1,\\); expected whole numbers \\(2,\\)"),
        ((d, i, q, f, [5, 5]), "id 5 came 2 times in feature_ids"),
        ((d, i, q, f, [0.0, 1.0]), "feature_ids are float64"),
        ((d, i.astype(float), q, f), "ids are float64; expected whole numbers"),
        ((d, i, q, f, None, 1.5), "k is 1.5; expected a whole number"),
        ((d, i, q, f, None, 0), "k is 0; expected a whole number"),
        ((d, i, q, f * np.nan), "NaN or infinity"),
        ((d, i, q, f, None, 3), "search for more"),
    ):
        with pytest.raises(ValueError, match=message):
            rerank(*arguments)


def output(call, *arguments, **options) -> str:
    with redirect_stdout(io.StringIO()) as written:
        call(*arguments, **options)
    return written.getvalue()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of six drawings, one of them a folder deeper, and a file that is no image."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "deep").mkdir()
    rng = np.random.default_rng(13)
    for name in ("a", "b", "c", "d", "e", "deep/f"):
        small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        small.resize((112, 112)).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_commands_index_a_folder_of_images_and_give_file_names_back(pictures, tmp_path):
    path = tmp_path / "birds.index"
    assert "6 codes" in output(searching.index, "build", path, (str(pictures),))
    with pytest.raises(ValueError, match="is there already"):
        searching.index("build", path, (str(pictures),))
    lines = output(searching.query, path, (str(pictures / "c.png"),), k=2).splitlines()
    assert lines[0].split() == ["query", "rank", "id", "distance", "path"]
    name = str(pictures / "c.png")
    assert len(lines) == 3
    assert [name, "0"] in [[line.split()[-1], line.split()[3]] for line in lines[1:]]
    assert len(output(searching.query, path, (name,), radius=64).splitlines()) == 7
    output(searching.index, "remove", path, ids=(0, 1))
    assert "4 codes of 32 bits of tiny-csce, flat" in output(searching.index, "info", path)
    gone = [str(pictures / f"{n}.png") for n in "ab"]
    listed = [line.split()[-1] for line in output(searching.query, path, (name,), k=9).splitlines()[1:]]
    assert len(listed) == 4
    assert not set(listed) & set(gone)
    output(searching.index, "add", path, (str(pictures / "a.png"),))
    assert CodeIndex.load(path).ids.tolist() == [2, 3, 4, 5, 6]
    before = path.read_bytes()
    np.save(tmp_path / "x.npy", np.ones((2, 32)))
    for arguments, options, message in (
        (("remove", path), {}, "nothing to remove"),
        (("remove", path), {"ids": (2, 99)}, "id 99 is not among"),
        (("add", path, (str(pictures / "notes.png"),)), {}, "there is no image"),
        (("add", path, (str(pictures / "deep" / "none"),)), {}, "there is no image"),
        (("add", path), {}, "no images and no codes"),
        (
            ("add", path, (str(tmp_path / "x.npy"),)),
            {"method": "other"},
            "codes of tiny-csce, and these are of other",
        ),
        (("add", path, (str(pictures),)), {"run": "no-such-run"}, "no stored run is called"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            searching.index(*arguments, **options)
    assert path.read_bytes() == before


def test_commands_take_files_of_codes(tmp_path):
    rng = np.random.default_rng(14)
    codes = draw(rng, 30, 12)
    np.savez(tmp_path / "encoded.npz", codes=pack(codes), bits=12, paths=[f"{i}.jpg" for i in range(30)], values=codes)
    np.savez(tmp_path / "run.npz", database_codes=pack(codes), database_values=codes, database_ids=np.arange(30) + 100,
             query_codes=pack(codes[:2]), query_values=codes[:2], query_ids=[7, 8])  # fmt: skip
    np.save(tmp_path / "signs.npy", codes)
    np.save(tmp_path / "packed.npy", pack(codes))
    np.save(tmp_path / "long.npy", draw(rng, 3, 16))
    for name, ids in (("encoded.npz", 0), ("run.npz", 100), ("signs.npy", 0)):
        searching.index("build", tmp_path / f"{name}.index", (str(tmp_path / name),), method="mine")
        index = CodeIndex.load(tmp_path / f"{name}.index", bits=12, method="mine")
        assert index.ids.tolist() == list(range(ids, ids + 30))
        assert np.array_equal(index.reconstruct(index.ids), codes)
    assert CodeIndex.load(tmp_path / "encoded.npz.index").path(3) == "3.jpg"
    with pytest.raises(ValueError, match="--bits"):
        searching.index("build", tmp_path / "p.index", (str(tmp_path / "packed.npy"),))
    searching.index("build", tmp_path / "p.index", (str(tmp_path / "packed.npy"),), bits=12)
    rows = output(searching.query, tmp_path / "run.npz.index", (str(tmp_path / "run.npz"),), k=1).splitlines()
    assert [row.split() for row in rows[1:]] == [["7", "1", "100", "0"], ["8", "1", "101", "0"]]
    with pytest.raises(ValueError, match="16 columns, but the index holds codes of 12 bits"):
        searching.query(tmp_path / "p.index", (str(tmp_path / "long.npy"),))
    with pytest.raises(ValueError, match="codes of mine, but codes of theirs were expected"):
        searching.query(tmp_path / "run.npz.index", (str(tmp_path / "run.npz"),), method="theirs")

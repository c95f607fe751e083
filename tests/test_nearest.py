"""Answers out of the index of a folder and near-duplicates in it, against naive loops; the gallery's picture."""

import json
import os
import shutil

import numpy as np
import pytest
from fake_encoder import FakeEncoder, FakeModel
from fake_runs import texts
from PIL import Image

from cscelab.figures.alt import alt_text
from cscelab.figures.mosaic import width_of
from cscelab.figures.nearest import COLUMNS, PIXELS, SIDE, SMALL, fitted, nearest_gallery, save_png
from cscelab.photoindex import answers as answering
from cscelab.photoindex import duplicates as doubling
from cscelab.photoindex.answers import answer, as_json, table
from cscelab.photoindex.duplicates import duplicate_groups, seeds_of
from cscelab.photoindex.lookup import PhotoIndex, find_index
from cscelab.photoindex.notes import notes
from cscelab.photoindex.store import PhotoStore
from cscelab.photoindex.update import update

N = 60


def draw(path, blocks, shift=0):
    """A picture whose 4 x 4 blocks are bright where `blocks` (16,) say so; shift: other pixels, the same code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bright = np.where(np.asarray(blocks).reshape(4, 4) > 0, 200 + shift, 50)
    Image.fromarray(bright.repeat(2, 0).repeat(2, 1).astype(np.uint8)).save(path, format="PNG")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """N pictures of random codes, one and two bits from a few of which others are."""
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "data"))
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, (N, 16))
    codes[40:] = codes[rng.integers(0, 8, N - 40)]
    codes[50:, 3] ^= 1
    for row, code in enumerate(codes):
        draw(tmp_path / "photos" / f"{row % 5}" / f"{row:02}.png", code, shift=row % 9)
    return tmp_path / "photos"


@pytest.fixture
def own_encoder(monkeypatch):
    """`PhotoIndex.load` gives the fake encoder; True once it was asked for."""
    asked = []
    monkeypatch.setattr(PhotoIndex, "load", lambda index: asked.append(1) or FakeModel(index.arity))
    return asked


def indexed(photos, arity=None):
    update(photos, FakeEncoder(digest=str(arity), model=FakeModel(arity)), progress=False)
    return find_index(photos)


def bits(index):
    return np.unpackbits(index.packed, axis=1)[:, : index.width]


def test_the_nearest_are_those_of_a_naive_loop_with_ties_by_id(photos, tmp_path, own_encoder):
    index = indexed(photos)
    code = np.random.default_rng(5).integers(0, 2, 16)
    draw(tmp_path / "new.png", code)
    (found,) = answer(index, [tmp_path / "new.png"], k=7)
    asked = FakeModel().bits(np.asarray(Image.open(tmp_path / "new.png").convert("RGB")))
    every = sorted(
        (sum(int(a) != int(b) for a, b in zip(asked, own, strict=True)), item)
        for own, item in zip(bits(index), index.photos, strict=True)
    )
    assert [(hit.distance, hit.id) for hit in found.hits] == every[:7]
    assert [photos / hit.path for hit in found.hits] == [index.path(i) for _, i in every[:7]]
    assert not any(hit.itself for hit in found.hits)
    (within,) = answer(index, [tmp_path / "new.png"], radius=6)
    assert [(hit.distance, hit.id) for hit in within.hits] == [pair for pair in every if pair[0] <= 6]
    assert own_encoder == [1, 1]
    (all_of_them,) = answer(index, [tmp_path / "new.png"], k=1000)
    assert len(all_of_them.hits) == N


def test_symbols_are_compared_in_symbols(photos, tmp_path, own_encoder):
    index = indexed(photos, arity=4)
    draw(tmp_path / "new.png", np.random.default_rng(5).integers(0, 2, 16))
    (found,) = answer(index, [tmp_path / "new.png"], k=N)
    pixels = np.asarray(Image.open(tmp_path / "new.png").convert("RGB"))
    asked = FakeModel(4).bits(pixels).reshape(4, 4).argmax(axis=1)
    symbols = bits(index).reshape(-1, 4, 4).argmax(axis=2)
    naive = sorted((int((asked != own).sum()), i) for own, i in zip(symbols, index.photos, strict=True))
    assert [(hit.distance, hit.id) for hit in found.hits] == naive
    (within,) = answer(index, [tmp_path / "new.png"], radius=2)
    assert len(within.hits) == sum(distance <= 2 for distance, _ in naive)
    assert table(index, [found]).splitlines()[0].split() == ["query", "rank", "distance_in_symbols", "path"]
    for group in duplicate_groups(index, 1, progress=False):
        rows = [list(index.photos).index(member.id) for member in group.members]
        assert [member.distance for member in group.members] == (symbols[rows] != symbols[rows[0]]).sum(1).tolist()


def test_a_query_of_the_folder_is_found_first_and_without_its_encoder(photos, tmp_path, own_encoder, monkeypatch):
    index = indexed(photos)
    twin = next(g for g in duplicate_groups(index, progress=False) if len(g.members) > 2).members[2]
    (tmp_path / "link").symlink_to(photos)
    for way in (index.path(twin.id), tmp_path / "link" / twin.path):
        (found,) = answer(index, [way], k=2)
        assert (found.hits[0].id, found.hits[0].distance, found.hits[0].itself) == (twin.id, 0, True)
        assert (found.hits[1].distance, found.hits[1].itself) == (0, False)
        (without,) = answer(index, [way], k=N, others=True)
        assert twin.id not in {hit.id for hit in without.hits}
        assert len(without.hits) == N - 1
    assert own_encoder == []
    assert table(index, [found]).splitlines()[1].endswith(f"1         0  {photos / twin.path}  (the query itself)")
    monkeypatch.chdir(tmp_path)
    assert table(index, [found]).splitlines()[1].endswith(f"1         0  photos/{twin.path}  (the query itself)")
    draw(index.path(twin.id), np.ones(16))  # changed since: another picture under its name
    (found,) = answer(index, [index.path(twin.id)], k=1)
    assert not found.hits[0].itself
    assert own_encoder == [1]


def test_json_has_what_the_table_has(photos, tmp_path, own_encoder):
    index = indexed(photos)
    draw(tmp_path / "a b.png", np.random.default_rng(6).integers(0, 2, 16))
    given = answer(index, [tmp_path / "a b.png", index.path(3)], k=4)
    plain = json.loads(as_json(index, given))
    assert (plain["folder"], plain["encoder"], plain["unit"]) == (str(photos.resolve()), "fake", "bits")
    assert [plain[name] for name in ("images", "unread", "notes")] == [N, 0, notes(index)]
    lines = [line for line in table(index, given).splitlines()[1:] if "more at this distance" not in line]
    assert len(lines) == 8
    for line, (query, near) in zip(
        lines, [(q["query"], n) for q in plain["queries"] for n in q["neighbours"]], strict=True
    ):
        rank, distance, path = line.removeprefix(query).split(maxsplit=2)
        assert (int(rank), int(distance)) == (near["rank"], near["distance"])
        assert path == near["file"] + ("  (the query itself)" if near["itself"] else "")
        assert near["file"] == str(photos / near["path"])
        assert os.fsdecode(index.photos[near["id"]].path) == near["path"]


def test_nothing_within_the_radius_is_said(photos, tmp_path, own_encoder):
    index = indexed(photos)
    draw(tmp_path / "new.png", [1, 0] * 8)
    given = answer(index, [tmp_path / "new.png"], radius=0)
    assert given[0].hits == ()
    assert table(index, given, 0).splitlines()[1].split(maxsplit=3)[1:] == ["-", "-", "nothing within 0 bits"]
    for message, image, options in (
        ("there is no image at .*missing.png; check the path", "missing.png", {}),
        ("photos is a folder; name image files, and what to search as --index FOLDER", "photos", {}),
        ("k is 0; give at least 1", "new.png", {"k": 0}),
        ("the radius is -1; give", "new.png", {"radius": -1}),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            answer(index, [tmp_path / image], **options)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match="empty.png is empty; give another file"):
        answer(index, [tmp_path / "empty.png"])


def greedy(codes, images, radius):
    """Naive: from the code with most images within the radius to the one with fewest, each takes what is free."""
    near = (codes[:, None] != codes[None]).sum(axis=2) <= radius
    seeds = [None] * len(codes)
    for row in sorted(range(len(codes)), key=lambda row: (-sum(images[near[row]]), -images[row], row)):
        if seeds[row] is None:
            for other in np.flatnonzero(near[row]):
                seeds[other] = row if seeds[other] is None else seeds[other]
    return seeds


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5])
def test_groups_are_the_naive_loops_whatever_the_chunks(radius, monkeypatch):
    rng = np.random.default_rng(radius)
    codes = np.unique(rng.integers(0, 2, (120, 12)), axis=0)
    codes = codes[rng.permutation(len(codes))]
    images = rng.integers(1, 4, len(codes))
    for at_once in (1 << 22, 700, 1):
        monkeypatch.setattr(doubling, "PAIRS_AT_ONCE", at_once)
        found = seeds_of(np.packbits(codes, axis=1), images, 12, radius)
        assert found.tolist() == greedy(codes, images, radius)
        assert ((codes != codes[found]).sum(axis=1) <= radius).all()


def test_a_chain_is_cut_where_it_leads_too_far():
    chain = np.tril(np.ones((7, 7), int), -1)  # each a bit from the next, the ends six bits apart
    packed, one = np.packbits(chain, axis=1), np.ones(7, int)
    assert seeds_of(packed, one, 7, 1).tolist() == [1, 1, 1, 3, 3, 5, 5]
    assert seeds_of(packed, np.array([1, 1, 1, 9, 1, 1, 1]), 7, 1).tolist() == [1, 1, 3, 3, 3, 5, 5]
    assert seeds_of(packed, one, 7, 0).tolist() == list(range(7))


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_duplicates_are_grouped_largest_first_and_the_nearest_to_the_first_of_a_group_first(photos, radius):
    index = indexed(photos)
    codes = bits(index)
    groups = duplicate_groups(index, radius, progress=False)
    sizes = [len(group.members) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > 1
    rows = {item: row for row, item in enumerate(index.photos)}
    ids = [member.id for group in groups for member in group.members]
    assert len(ids) == len(set(ids))
    for group in groups:
        first = codes[rows[group.members[0].id]]
        away = [int((codes[rows[member.id]] != first).sum()) for member in group.members]
        assert [member.distance for member in group.members] == away
        assert max(away) <= radius
        keys = [(member.distance, member.path) for member in group.members]
        assert keys == sorted(keys)
    alone = [row for item, row in rows.items() if item not in ids]
    apart = (codes[alone][:, None] != codes[alone][None]).sum(axis=2)
    assert (apart[~np.eye(len(alone), dtype=bool)] > radius).all()


def test_ties_are_counted_and_copies_come_first_among_them(photos, tmp_path, own_encoder):
    for number in range(4):
        draw(photos / "tied" / f"{number}.png", [1] * 3 + [0] * 13, shift=number)
    shutil.copy(photos / "tied" / "0.png", photos / "tied" / "9.png")
    index = indexed(photos)
    asked = shutil.copy(photos / "tied" / "2.png", tmp_path / "asked.png")
    (found,) = answer(index, [asked], k=3)
    assert [(hit.path, hit.copy) for hit in found.hits] == [
        ("tied/2.png", True), ("tied/0.png", False), ("tied/1.png", False),
    ]  # fmt: skip
    assert found.tied == 2
    lines = [line.removeprefix(str(asked)).split() for line in table(index, [found]).splitlines()]
    assert lines[1][2:] == [str(photos / "tied" / "2.png"), "(the", "same", "bytes)"]
    assert lines[4] == ["-", "0", "2", "more", "at", "this", "distance"]
    (plain,) = json.loads(as_json(index, [found]))["queries"]
    assert (plain["tied"], [near["copy"] for near in plain["neighbours"]]) == (2, [True, False, False])
    assert [text.split("\n")[-1] for text in texts(nearest_gallery(index, [found])) if "more at" in text] == [
        "2 more at d=0"
    ]
    (own,) = answer(index, [photos / "tied" / "9.png"], k=2)
    assert [(hit.path, hit.itself, hit.copy) for hit in own.hits] == [
        ("tied/9.png", True, False), ("tied/0.png", False, True),
    ]  # fmt: skip
    assert own.tied == 3
    assert answer(index, [photos / "tied" / "9.png"], k=4, others=True)[0].tied == 0
    assert answer(index, [asked], radius=0)[0].tied == 0


def test_what_is_wrong_with_an_index_stands_under_its_gallery(photos, own_encoder):
    index = indexed(photos)
    given = answer(index, [index.path(1)])
    (said,) = [text.replace("\n", "") for text in texts(nearest_gallery(index, given)) if "share one code" in text]
    assert "the encoder sees.4 of 60 images share one code by fake, which" in said
    with PhotoStore(index.file) as store:
        store.note(unread=7)
    figure = nearest_gallery(find_index(), given)
    assert any("The index is not finished: 60 images are in it, 7 new" in text for text in texts(figure))


def test_files_of_the_same_bytes_are_marked_and_equal_codes_are_not_called_so(tmp_path, monkeypatch):
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "data"))
    rng, photos = np.random.default_rng(1), tmp_path / "photos"
    first, second, third = (rng.permutation([1] * 8 + [0] * 8) for _ in range(3))
    draw(photos / "a.png", first)
    shutil.copy(photos / "a.png", photos / "b.png")
    draw(photos / "c.png", first, shift=9)  # the same code, other pixels
    shutil.copy(photos / "c.png", photos / "d.png")
    draw(photos / "x.png", second)
    shutil.copy(photos / "x.png", photos / "y.png")
    draw(photos / "z.png", third)
    index = indexed(photos)
    large, small = duplicate_groups(index, progress=False)
    assert [(member.path, member.same_as) for member in large.members] == [
        ("a.png", None), ("b.png", "a.png"), ("c.png", None), ("d.png", "c.png"),
    ]  # fmt: skip
    assert [(member.path, member.same_as) for member in small.members] == [("x.png", None), ("y.png", "x.png")]
    assert (large.identical, small.identical) == (False, True)
    said = doubling.text(index, [large, small], 0)
    assert f"2 groups of 6 images, out of 7 images of {photos}: by fake, within 0 bits of a group's first" in said
    assert "Equal codes are not equal pictures" in said
    rows = ["a.png", "b.png  (same bytes as a.png)", "c.png", "d.png  (same bytes as c.png)"]
    assert "\n".join(["group 1: 4 images", *(f"   0  {photos}/{row}" for row in rows)]) in said
    assert f"group 2: 2 images, all files have the same bytes\n   0  {photos}/x.png\n   0  {photos}/y.png" in said
    assert doubling.text(index, [small], 0).startswith("1 group of 2 images, out of 7 images")
    plain = json.loads(doubling.as_json(index, [large, small], 0))
    assert [(group["size"], group["identical"]) for group in plain["groups"]] == [(4, False), (2, True)]
    assert plain["groups"][0]["images"][1] == {
        "path": "b.png", "file": str(photos / "b.png"), "id": 2, "distance": 0, "same_as": "a.png",
    }  # fmt: skip
    assert "Equal codes are not equal pictures" in plain["caution"]
    (photos / "y.png").unlink()  # gone since: nothing is known of it
    assert not duplicate_groups(index, progress=False)[1].identical
    assert doubling.text(index, [], 3).startswith("no two of 7 images of")
    with pytest.raises(ValueError, match="the radius is -1; give at least 0"):
        duplicate_groups(index, -1)


def test_the_gallery_shows_pictures_distances_and_names(photos, tmp_path, own_encoder):
    (photos / "4" / "59.png").rename(photos / "4" / "price $5$.png")
    index = indexed(photos)
    draw(tmp_path / "new.png", np.random.default_rng(5).integers(0, 2, 16))
    given = answer(index, [tmp_path / "new.png", index.path(60)], k=12)
    missing = given[0].hits[1]
    index.path(missing.id).unlink()
    figure = nearest_gallery(index, given)
    pictures = figure.axes[0].images
    assert len(pictures) == 22  # two queries with the nearest ten
    assert [picture.get_array().shape[0] for picture in pictures].count(PIXELS) == 21
    said = texts(figure)
    assert said.count("file is gone") == 1
    distances = [
        f"d={hit.distance}" + " itself" * hit.itself + " same bytes" * hit.copy
        for found in given
        for hit in found.hits[:10]
    ]
    assert [text for text in said if text.startswith("d=")] == distances
    shown = {text.partition("\n\n")[0].replace("\n", "") for text in said}
    assert {hit.path for found in given for hit in found.hits[:10]} <= shown
    assert "4/price $5$.png" in shown
    assert str(tmp_path / "new.png") in shown or any(text.startswith("…") for text in shown)
    lefts = sorted({round(picture.get_extent()[0], 3) for picture in pictures})
    assert len(lefts) == 1 + COLUMNS
    assert sum(text.endswith("first 10 of 12 found") for text in said) == 2
    nearest = given[0].hits[0]
    assert alt_text(figure).startswith(f"Query new.png: {os.path.basename(nearest.path)} at {nearest.distance} bits; ")
    assert save_png(figure, tmp_path / "new" / "g.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["g.png"]
    with pytest.raises(ValueError, match="g.jpg; give a name that ends in .png"):
        save_png(figure, tmp_path / "g.jpg")
    (tmp_path / "dir.png").mkdir()
    with pytest.raises(ValueError, match="to the folder .*dir.png; name a file with --gallery"):
        save_png(figure, tmp_path / "dir.png")
    with pytest.raises(ValueError, match="a gallery of 41 queries was asked for; give 1 to 40"):
        nearest_gallery(index, given[:1] * 41)
    empty = nearest_gallery(index, [answering.Answer(tmp_path / "new.png", ())])
    assert "nothing was found" in texts(empty)


@pytest.mark.parametrize(
    "name", ["x", "holidays/2019/IMG_20190823_142355.jpg", "W" * 90, "…/é " * 40, "a b c d e f g h i j"]
)
def test_names_fit_their_pictures_and_keep_their_ends(name):
    lines = fitted(name, SIDE, SMALL, 3)
    assert 1 <= len(lines) <= 3
    assert all(width_of(line, SMALL) <= SIDE for line in lines)
    joined = "".join(lines)
    assert joined == name or (joined[0] == "…" and name.endswith(joined[1:]) and len(joined) > 12)

"""Split lists: parsing, one label or several, ids shared over lists, errors with file and line; decoding."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cscelab.datasets import imagecache
from cscelab.datasets.decoding import decode
from cscelab.datasets.lists import ListFiles, RowsOf, load_lists, parse_line, read_list

# Image i shows grey 20 i, so that a decoded image tells which one it is.
ONE_HOT = {0: "1 0 0", 1: "0 1 0", 2: "0 0 1", 3: "1 0 0", 4: "0 1 0", 5: "0 0 1", 6: "1 0 0", 7: "0 1 0"}
SEVERAL = ONE_HOT | {0: "1 1 0", 5: "1 1 1"}
NUMBERS = {0: "0", 1: "1", 2: "2", 3: "0", 4: "1", 5: "2", 6: "0", 7: "1"}
MEMBERS = {"train": (3, 0, 4, 5), "query": (1, 2), "database": (7, 0, 6, 3, 4, 5)}


def make(folder: Path, labels: dict[int, str], **options) -> ListFiles:
    """Eight images in folder/images and the three lists of MEMBERS, the training images inside the database."""
    (folder / "images").mkdir(parents=True)
    for i in range(8):
        Image.new("L", (12, 10), 20 * i).save(folder / "images" / f"{i}.png")
    files = {}
    for split, members in MEMBERS.items():
        files[split] = folder / f"{split}.txt"
        files[split].write_text("".join(f"images/{i}.png {labels[i]}\n" for i in members))
    given = {split: str(file) for split, file in files.items()}
    return ListFiles(str(folder), **given, **{"validation": 1, "image_size": 8, "resize": 10, **options})


def numbers_of(image_set) -> list[int]:
    return [int(path.removeprefix("images/").removesuffix(".png")) for path in image_set.attributes["path"]]


def test_one_hot_lists_give_class_ids(tmp_path):
    splits = load_lists(make(tmp_path, ONE_HOT), tmp_path)
    assert not splits.multilabel
    assert splits.n_classes == 3
    assert splits.class_names == ("class 0", "class 1", "class 2")
    assert splits.query.labels.tolist() == [1, 2]
    assert splits.database.labels.tolist() == [1, 0, 0, 0, 1, 2]
    assert splits.query.labels.dtype == np.int64


def test_one_image_with_two_labels_makes_all_lists_multi_hot(tmp_path):
    splits = load_lists(make(tmp_path, SEVERAL), tmp_path)
    assert splits.multilabel
    assert splits.query.labels.tolist() == [[0, 1, 0], [0, 0, 1]]  # one label each, and multi-hot nevertheless
    assert splits.database.labels.tolist()[1] == [1, 1, 0]
    assert splits.query.labels.dtype == np.uint8


def test_class_numbers_give_the_same_as_one_hot(tmp_path):
    one_hot = load_lists(make(tmp_path / "a", ONE_HOT), tmp_path)
    numbers = load_lists(make(tmp_path / "b", NUMBERS), tmp_path)
    assert numbers.n_classes == 3
    for split in ("train", "validation", "query", "database"):
        assert getattr(numbers, split).labels.tolist() == getattr(one_hot, split).labels.tolist()


def test_images_paths_and_the_order_of_the_lists(tmp_path):
    splits = load_lists(make(tmp_path, ONE_HOT), tmp_path)
    assert tuple(numbers_of(splits.query)) == MEMBERS["query"]
    assert tuple(numbers_of(splits.database)) == MEMBERS["database"]
    for split in (splits.train, splits.validation, splits.query, splits.database):
        assert split.images.shape == (len(split), 8, 8, 3)
        assert split.images[:, 0, 0, 0].tolist() == [20 * i for i in numbers_of(split)]


@pytest.mark.parametrize("same", ["the file", "the paths"])
def test_a_database_that_is_the_training_list_is_decoded_and_stored_once(tmp_path, monkeypatch, same):
    """Ids and labels are those of lists that are stored apart, of a database that has one image more."""
    config = make(tmp_path, NUMBERS, validation=2)
    lines = Path(config.train).read_text()
    Path(config.database).write_text(lines + "images/1.png 1\n")  # a query, so that as many images are known
    apart = load_lists(config, tmp_path)
    if same == "the file":
        config = dataclasses.replace(config, database=config.train)
    else:
        Path(config.database).write_text(lines)
    read = []
    original = imagecache.ImageStore.read
    monkeypatch.setattr(imagecache.ImageStore, "read", lambda self, name: read.append(name) or original(self, name))
    splits = load_lists(config, tmp_path / "again")
    assert sorted(read) == sorted(f"images/{i}.png" for i in MEMBERS["train"] + MEMBERS["query"])
    assert len(list((tmp_path / "again" / "images").glob("*/images.npy"))) == 2
    for split in ("train", "validation", "database"):
        one = getattr(splits, split)
        assert one.images[:, 0, 0, 0].tolist() == [20 * i for i in numbers_of(one)]
        for name in ("ids", "labels"):
            assert (getattr(one, name) == getattr(getattr(apart, split), name)[: len(one)]).all()
    assert tuple(numbers_of(splits.database)) == MEMBERS["train"]


def test_a_database_that_is_the_training_list_in_another_order_keeps_its_own(tmp_path):
    config = make(tmp_path, NUMBERS)
    lines = Path(config.train).read_text().splitlines()
    Path(config.database).write_text("\n".join(lines[::-1]))
    splits = load_lists(config, tmp_path)
    assert tuple(numbers_of(splits.database)) == MEMBERS["train"][::-1]
    assert splits.database.images[:, 0, 0, 0].tolist() == [20 * i for i in numbers_of(splits.database)]


def test_rows_of_a_stored_array_are_read_as_an_array_is():
    stored = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    rows = np.array([7, 2, 5, 0])
    lazy, plain = RowsOf(stored, rows), stored[rows]
    assert (lazy.shape, lazy.ndim, lazy.dtype, len(lazy)) == (plain.shape, plain.ndim, plain.dtype, len(plain))
    some = plain[:, 0, 0, 0] > plain[0, 0, 0, 0]
    for index in (2, -1, slice(1, 3), [3, 0], np.array([1, 1]), some, (1, 2), (slice(2), 0, slice(1, 3)), (..., 0)):
        assert np.array_equal(lazy[index], plain[index]), index
    assert np.array_equal(np.array(lazy), plain)
    assert all(np.array_equal(one, other) for one, other in zip(lazy, plain, strict=True))
    with pytest.raises(IndexError):
        lazy[4]


def test_paper_sizes_resize_then_crop(tmp_path):
    config = make(tmp_path, ONE_HOT)
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "images" / "1.png")
    splits = load_lists(dataclasses.replace(config, image_size=224, resize=256), tmp_path)
    expected = decode((tmp_path / "images" / "1.png").read_bytes(), 224, 256)
    assert (splits.query.images[0] == expected).all()


def test_an_image_has_one_id_in_every_list(tmp_path):
    splits = load_lists(make(tmp_path, ONE_HOT), tmp_path)
    ids = {}
    for split in (splits.train, splits.validation, splits.query, splits.database):
        for number, own_id in zip(numbers_of(split), split.ids.tolist(), strict=True):
            assert ids.setdefault(number, own_id) == own_id
    assert sorted(ids.values()) == list(range(8))


def test_a_query_inside_the_database_and_other_spellings_of_a_path(tmp_path):
    config = make(tmp_path, ONE_HOT)
    with Path(config.database).open("a") as file:
        file.write("./images//1.png 0 1 0\n")
    splits = load_lists(config, tmp_path)
    assert splits.database.ids[-1] == splits.query.ids[0]


def test_validation_is_taken_out_of_train_by_the_seed(tmp_path):
    config = make(tmp_path, ONE_HOT, validation=2)
    splits = load_lists(config, tmp_path)
    train, validation = numbers_of(splits.train), numbers_of(splits.validation)
    assert sorted(train + validation) == [0, 3, 4, 5]
    assert len(validation) == 2
    assert train == [i for i in MEMBERS["train"] if i in train]  # the list's order
    assert numbers_of(load_lists(config, tmp_path / "again").validation) == validation
    drawn = {tuple(numbers_of(load_lists(dataclasses.replace(config, seed=s), tmp_path).validation)) for s in range(8)}
    assert len(drawn) > 1


def test_paths_with_spaces_and_digits_tabs_and_blank_lines(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("a b 1.jpg 0 1\n\n  c/2 3.jpg\t1  0 \r\n", encoding="utf-8-sig")
    found = read_list(file)
    assert found.paths == ("a b 1.jpg", "c/2 3.jpg")
    assert found.values.tolist() == [[0, 1], [1, 0]]


def test_names_and_json(tmp_path):
    config = make(tmp_path, ONE_HOT, names=("cat", "dog", "emu"))
    assert load_lists(config, tmp_path).class_names == ("cat", "dog", "emu")
    assert ListFiles(**json.loads(json.dumps(dataclasses.asdict(config)))) == config
    with pytest.raises(ValueError, match="2 names came for 3 classes"):
        load_lists(dataclasses.replace(config, names=("cat", "dog")), tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg 0 1\nb.jpg\n", "list.txt:2: 'b.jpg'; expected 'relative/path.jpg 0 0 1 0'"),
        ("a.jpg 0 1\n\nb.jpg 0 1 0\n", "list.txt:3: 3 labels; expected 2 as on the lines before it"),
        ("a.jpg 0 2\n", "list.txt:1: label 2; expected"),
        ("a.jpg 0 -1\n", "list.txt:1: label -1; expected"),
        ("a.jpg -1\n", "list.txt:1: label -1; expected"),
        ("a.jpg 0 1\na.jpg 1 0\n", "list.txt:2: a.jpg is on line 1 already"),
        ("a.jpg 0 1\nb.jpg 0 0\nc.jpg 0 0\n", "2 of 3 lines of .*list.txt have no label, the first is line 2"),
        ("\n", "list.txt has no images; expected"),
    ],
)
def test_lines_that_are_refused(tmp_path, text, message):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(ValueError, match=message) as refused:
        read_list(tmp_path / "list.txt")
    assert "\n" not in str(refused.value)


def test_class_number_zero_is_a_label(tmp_path):
    (tmp_path / "list.txt").write_text("a.jpg 0\nb.jpg 7\n")
    assert read_list(tmp_path / "list.txt").values.tolist() == [[0], [7]]


def test_lists_that_do_not_go_together(tmp_path):
    config = make(tmp_path, ONE_HOT)
    query, original = Path(config.query), Path(config.query).read_text()
    query.write_text("images/1.png 0 1\n")
    with pytest.raises(ValueError, match=r"query.txt has 2 labels a line and .*train.txt has 3"):
        load_lists(config, tmp_path)
    query.write_text("images/7.png 1 0 0\n")
    with pytest.raises(ValueError, match=r"images/7.png has other labels in .*database.txt than in .*query.txt"):
        load_lists(config, tmp_path)
    query.write_text(original + "images/3.png 1 0 0\n")
    with pytest.raises(ValueError, match=r"1 images of .*query.txt are in .*train.txt too, images/3.png for one"):
        load_lists(config, tmp_path)


def test_what_is_absent_is_named(tmp_path):
    config = make(tmp_path, ONE_HOT)
    with pytest.raises(ValueError, match=r"cannot read the list .*no.txt \(No such file or directory\)"):
        load_lists(dataclasses.replace(config, query=str(tmp_path / "no.txt")), tmp_path)
    with pytest.raises(ValueError, match="nowhere does not exist"):
        load_lists(dataclasses.replace(config, root=str(tmp_path / "nowhere")), tmp_path)
    (tmp_path / "images" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 2 images are not in .*: images/1.png; add them"):
        load_lists(config, tmp_path)


def test_lists_that_were_never_written_name_the_command_that_writes_them(tmp_path, monkeypatch):
    """By the data set's name in the data folder, where profiles look for them; the check would find nothing."""
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path / "data"))
    for folder, name in ((tmp_path / "data" / "cifar10", "cifar10"), (tmp_path / "mine", "NAME")):
        config = ListFiles(str(folder), *(str(folder / file) for file in ("train.txt", "test.txt", "database.txt")))
        with pytest.raises(ValueError, match="there is no list") as refused:
            load_lists(config, tmp_path)
        said = str(refused.value)
        assert f"{folder / 'train.txt'}; write it" in said
        assert said.endswith(f"cscelab data prepare {name} --root PATH")
        assert "data check" not in said
        assert "\n" not in said


def test_images_that_the_manifest_says_are_elsewhere(tmp_path):
    config = make(tmp_path, ONE_HOT)
    (tmp_path / "manifest.json").write_text(json.dumps({"images": "/home/ann/birds.zip", "lists": {}}))
    with pytest.raises(ValueError, match=r"/home/ann/birds.zip does not exist, where .*manifest.json says") as refused:
        load_lists(config, tmp_path)
    assert f"cscelab data check {tmp_path} --root PATH --drop OUT" in str(refused.value)


def test_a_class_number_that_is_a_slip_makes_no_millions_of_classes(tmp_path):
    config = make(tmp_path, NUMBERS | {7: "90000000"})  # image 7 is in the database alone
    with pytest.raises(ValueError, match=r"database.txt has class 90000000, and the lists have 12 lines; number"):
        load_lists(config, tmp_path)
    Path(config.database).write_text("images/7.png 6\n")  # seven lines: classes without images are allowed
    assert load_lists(config, tmp_path).n_classes == 7


@pytest.mark.parametrize("validation", [0, 4])
def test_validation_must_leave_something_on_either_side(tmp_path, validation):
    with pytest.raises(ValueError, match="for a train list of 4 images; choose 1 to 3"):
        load_lists(make(tmp_path, ONE_HOT, validation=validation), tmp_path)


def picture(seed: int, size: tuple[int, int]) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_decode_keeps_proportions_and_crops_the_centre():
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = (200, 100, 50)  # the middle third is what a square crop leaves
    image = decode(encoded(Image.fromarray(wide)), image_size=10, resize=10)
    assert (image == (200, 100, 50)).all()
    tall = decode(encoded(Image.fromarray(wide.transpose(1, 0, 2))), 10, 10)
    assert (tall == (200, 100, 50)).all()


def test_resize_256_crop_224_leaves_sixteen_pixels_each_side():
    original = picture(3, (256, 256))
    assert (decode(encoded(original), 224, 256) == np.asarray(original)[16:240, 16:240]).all()


def test_upsampling_is_bicubic_and_downsampling_averages():
    original = picture(1, (16, 16))
    expected = np.asarray(original.resize((64, 64), Image.Resampling.BICUBIC))
    assert (decode(encoded(original), 64, 64) == expected).all()
    # A chequerboard of single pixels becomes grey where the filter is widened, and stays black and white where not.
    board = np.where(np.indices((64, 64)).sum(0) % 2, 255, 0).astype(np.uint8)
    small = decode(encoded(Image.fromarray(board)), 8, 8)
    assert abs(small.astype(int) - 127).max() < 30


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "PNG"), ("CMYK", "JPEG"), ("RGBA", "PNG"), ("P", "PNG"), ("1", "PNG")]
)
def test_every_colour_mode_becomes_rgb(mode, kind):
    data = encoded(Image.new("RGB", (12, 12), (255, 255, 255)).convert(mode), kind)
    image = decode(data, 12, 12)
    assert image.shape == (12, 12, 3)
    assert image.dtype == np.uint8
    assert image.min() >= 250


def test_sixteen_bit_greys_are_scaled_not_cut_off():
    greys = np.full((8, 8), 128 * 256, dtype=np.uint16)
    assert (decode(encoded(Image.fromarray(greys)), 8, 8) == 128).all()


def test_exif_orientation_turns_the_image_upright():
    original = picture(5, (16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    turned = decode(encoded(original, exif=exif), 16, 16)
    assert (turned == np.rot90(np.asarray(original), -1)).all()


@pytest.mark.parametrize(
    ("line", "path", "labels"),
    [
        ("a.jpg 0 1 0", "a.jpg", "0 1 0"),
        ("a.jpg 7", "a.jpg", "7"),
        ("a.jpg 007\n", "a.jpg", "7"),
        ("./b//a 1.jpg\t0  1", "b/a 1.jpg", "0 1"),
        ("photo-12 0 1", "photo-12", "0 1"),
        ("photo 1 0 1", "photo", "1 0 1"),
        ("a.jpg +1 00", "a.jpg", "1 0"),
        ("20240131235959 1", "20240131235959", "1"),
    ],
)
def test_a_line_by_either_way_of_reading_it(line, path, labels):
    assert parse_line(line) == (path, labels)


@pytest.mark.parametrize("line", ["a.jpg", "a.jpg 99999999999", "1 0 x", "0", "a.jpg 0,1"])
def test_a_line_without_labels(line):
    with pytest.raises(ValueError, match="expected 'relative/path.jpg 0 0 1 0'"):
        parse_line(line)


def test_errors_name_the_command_that_finds_every_fault(tmp_path):
    config = make(tmp_path, ONE_HOT)
    Path(config.query).rename(tmp_path / "test.txt")
    config = dataclasses.replace(config, query=str(tmp_path / "test.txt"))
    pointer = f"; cscelab data check {tmp_path} finds every such line"

    def refused() -> str:
        with pytest.raises(ValueError, match=".") as error:
            load_lists(config, tmp_path, progress=False)
        assert "\n" not in str(error.value)
        return str(error.value)

    (tmp_path / "images" / "1.png").write_bytes(b"")
    assert "1.png is empty" in refused()
    assert refused().endswith(pointer)
    (tmp_path / "images" / "1.png").unlink()
    assert "1 of 2 images are not in" in refused()
    assert refused().endswith(pointer)
    (tmp_path / "test.txt").write_text("images/1.png\n")
    assert refused().endswith(pointer)
    (tmp_path / "test.txt").write_text("images/3.png 1 0 0\n")
    assert "1 images of" in refused()
    assert refused().endswith(pointer)
    (tmp_path / "test.txt").write_text("images/1.png 0 1 0\n")
    config = dataclasses.replace(config, resize=4)  # no fault of the lists
    assert "image_size is 8 and resize 4" in refused()
    assert pointer not in refused()

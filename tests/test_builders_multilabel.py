"""ImageNet100, COCO, NUS-WIDE and MIRFlickr: tiny copies of what each publisher gives, and the lists made from them."""

import json
from pathlib import Path

import numpy as np
import pytest

from cscelab.datasets.builders.coco import coco
from cscelab.datasets.builders.drawing import draw_any, find_file
from cscelab.datasets.builders.imagenet100 import imagenet100
from cscelab.datasets.builders.mirflickr import mirflickr
from cscelab.datasets.builders.nuswide import nuswide
from cscelab.datasets.lists import read_list
from cscelab.datasets.splitfiles import FILES, write_split

SYNSETS = [f"n{10_000_000 + 37 * i}" for i in range(100)]


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def paths_of(split, name):
    return [path for path, _ in split.lists[name]]


class TestDrawing:
    def test_the_database_is_all_but_the_queries_and_training_images_are_in_it(self):
        rows = [(f"{i}.jpg", (i % 3,)) for i in range(30)]
        lists = draw_any(rows, 4, 9, np.random.default_rng(0))
        query, train, database = (set(lists[name]) for name in ("query", "train", "database"))
        assert [len(lists[name]) for name in ("query", "train", "database")] == [4, 9, 26]
        assert database == set(rows) - query
        assert train < database
        with pytest.raises(ValueError, match="13 images with a label are there, too few for 4 queries and 9 training"):
            draw_any(rows[:13], 4, 9, np.random.default_rng(0))

    def test_a_file_is_found_in_any_capitals_nearest_to_the_root_first(self, tmp_path):
        touch(tmp_path, "a/b/c/d/deep.txt", "z/ImageList.txt", "a/b/Imagelist.txt", ".hidden/only.txt")
        assert find_file(tmp_path, "Imagelist.txt") == tmp_path / "z" / "ImageList.txt"
        assert find_file(tmp_path, "deep.txt") is None
        assert find_file(tmp_path, "only.txt") is None


class TestCOCO:
    def write(self, root, year=2014, images="", absent=()):
        """Six images in train, five in val; number 3 and 105 have no category; ids of categories 1, 3, 90."""
        categories = [{"id": 90, "name": "brush"}, {"id": 1, "name": "person"}, {"id": 3, "name": "car"}]
        ids = {"train": [5, 1, 2, 3, 4, 6], "val": [101, 102, 103, 104, 105]}
        shown = {1: [1, 90, 1], 2: [3], 4: [90], 5: [1], 6: [3], 101: [3, 1], 102: [1], 103: [90], 104: [1]}
        for part, numbers in ids.items():
            names = {i: f"COCO_{part}{year}_{i:012d}.jpg" if year == 2014 else f"{i:012d}.jpg" for i in numbers}
            content = {
                "info": {"year": year},
                "images": [{"id": i, "file_name": names[i], "license": 3} for i in numbers],
                "annotations": [
                    {"id": 7, "image_id": i, "category_id": c, "segmentation": [[0.5, 1.5]], "iscrowd": 0}
                    for i in numbers
                    for c in shown.get(i, ())
                ],
                "categories": categories,
            }
            write(root, {f"annotations/instances_{part}{year}.json": json.dumps(content)})
            touch(root, *[f"{images}{part}{year}/{name}" for i, name in names.items() if i not in absent])

    def test_train_and_val_are_one_images_without_a_category_left_out(self, tmp_path):
        self.write(tmp_path)
        split = coco(tmp_path, seed=0, queries=2, train=3)
        assert split.classes == ("person", "car", "brush")  # ids 1, 3, 90
        everything = dict(split.lists["query"] + split.lists["database"])
        assert {len(split.lists[name]) for name in ("query", "train")} == {2, 3}
        assert everything == {
            "train2014/COCO_train2014_000000000001.jpg": (0, 2),
            "train2014/COCO_train2014_000000000002.jpg": (1,),
            "train2014/COCO_train2014_000000000004.jpg": (2,),
            "train2014/COCO_train2014_000000000005.jpg": (0,),
            "train2014/COCO_train2014_000000000006.jpg": (1,),
            "val2014/COCO_val2014_000000000101.jpg": (0, 1),
            "val2014/COCO_val2014_000000000102.jpg": (0,),
            "val2014/COCO_val2014_000000000103.jpg": (2,),
            "val2014/COCO_val2014_000000000104.jpg": (0,),
        }
        assert set(split.lists["train"]) < set(split.lists["database"])
        assert "database of all but the queries: 7" in split.protocol
        assert "2 images without a category left out" in split.protocol

    def test_the_seed_decides_and_the_lists_can_be_read(self, tmp_path):
        self.write(tmp_path)
        splits = [coco(tmp_path, seed, queries=3, train=3) for seed in (0, 0, 1)]
        assert splits[0] == splits[1]
        assert splits[0].lists != splits[2].lists
        write_split(splits[0], tmp_path / "out", tmp_path)
        rows = {}
        for file in ("test.txt", "database.txt"):
            read = read_list(tmp_path / "out" / file)
            rows |= dict(zip(read.paths, read.values.tolist(), strict=True))
        assert len(rows) == 9
        assert rows["val2014/COCO_val2014_000000000101.jpg"] == [1, 1, 0]
        assert rows["train2014/COCO_train2014_000000000004.jpg"] == [0, 0, 1]

    def test_2017_and_a_folder_of_images_do_as_well(self, tmp_path):
        self.write(tmp_path, 2017, images="images/")
        split = coco(tmp_path, queries=2, train=3)
        assert {path.rpartition("/")[0] for path in paths_of(split, "database")} <= {
            "images/train2017",
            "images/val2017",
        }
        assert "images/train2017/000000000002.jpg" in paths_of(split, "query") + paths_of(split, "database")

    def test_what_is_missing_is_one_sentence(self, tmp_path):
        with pytest.raises(
            ValueError, match="lacks COCO's annotations .*instances_train2014.json and instances_val2014"
        ):
            coco(tmp_path)
        self.write(tmp_path, absent={2, 104})
        with pytest.raises(ValueError, match=r"2 of 9 images are not in .*, train2014/COCO_train2014_000000000002.jpg"):
            coco(tmp_path, queries=2, train=3)
        write(tmp_path, {"annotations/instances_val2014.json": '{"images": []}'})
        with pytest.raises(ValueError, match="instances_val2014.json is no annotation file of COCO"):
            coco(tmp_path, queries=2, train=3)
        with pytest.raises(ValueError, match="nowhere is no folder"):
            coco(tmp_path / "nowhere")


class TestNUSWide:
    """24 concepts, eight images to each and the first of the next one's; but three concepts have one image alone."""

    concepts = tuple(sorted(f"concept{chr(97 + i)}" for i in range(24)))

    def write(self, root, place="Flickr/", flat=False, absent=0):
        labels = np.zeros((300, 24), dtype=int)
        for concept in range(24):
            if concept not in (3, 9, 17):  # these three are in one image each, which shows nothing else
                labels[10 * concept : 10 * concept + 8, concept] = 1
                labels[10 * concept, (concept + 1) % 24 if (concept + 1) % 24 not in (3, 9, 17) else 0] = 1
        for row, concept in {250: 3, 251: 9, 252: 17}.items():
            labels[row, concept] = 1
        paths = [f"actor{i % 3}\\{i:04d}_{1000 + i}.jpg" for i in range(300)]
        files = {f"Groundtruth/AllLabels/Labels_{c}.txt": "\r\n".join(map(str, labels[:, i])) + "\r\n" for i, c in
                 enumerate(self.concepts)}  # fmt: skip
        write(root, files | {"ConceptsList/Concepts81.txt": "\n".join(self.concepts) + "\n"})
        write(root, {"ImageList/ImageList.txt": "".join(f"{path} \r\n" for path in paths)})
        plain = [path.replace("\\", "/") for path in paths]
        touch(root, *[place + (path.rpartition("/")[2] if flat else path) for path in plain[absent:]])
        return labels, plain

    def test_the_21_most_frequent_concepts_and_as_many_images_of_each(self, tmp_path):
        labels, paths = self.write(tmp_path)
        split = nuswide(tmp_path, queries=1, train=3)
        kept = [c for i, c in enumerate(self.concepts) if i not in (3, 9, 17)]
        assert split.classes == tuple(kept)
        assert [len(split.lists[name]) for name in ("query", "train", "database")] == [21, 63, 8 * 21 - 21]
        query, train, database = (set(paths_of(split, name)) for name in ("query", "train", "database"))
        assert train < database
        assert not query & database
        columns = [self.concepts.index(c) for c in kept]
        for path, own in split.lists["query"] + split.lists["database"]:
            row = paths.index(path.removeprefix("Flickr/"))
            assert own == tuple(np.flatnonzero(labels[row, columns]))
            assert row not in (250, 251, 252)
        each = np.zeros((2, 21), dtype=int)
        for i, name in enumerate(("query", "train")):
            for _, own in split.lists[name]:
                each[i, list(own)] += 1
        assert (each[0] >= 1).all()
        assert (each[1] >= 3).all()
        assert nuswide(tmp_path, queries=1, train=3) == split
        assert nuswide(tmp_path, 1, queries=1, train=3).lists != split.lists

    def test_all_concepts_and_images_without_folders(self, tmp_path):
        self.write(tmp_path, place="images/", flat=True)
        split = nuswide(tmp_path, name="nus-wide-81", queries=10, train=20)
        assert split.classes == self.concepts
        assert len(split.lists["database"]) == 8 * 21 + 3 - 10
        assert all(path.startswith("images/0") for path in paths_of(split, "database"))

    def test_images_that_are_not_there_are_left_out_and_counted(self, tmp_path):
        self.write(tmp_path, absent=2)
        split = nuswide(tmp_path, name="nus-wide-81", queries=10, train=20)
        assert len(split.lists["database"]) == 8 * 21 + 3 - 10 - 2
        assert split.protocol.endswith("and 2 of 171 that were not there")
        with pytest.raises(ValueError, match="6 images of 'concepta' are left, too few for 2 queries and 5 training"):
            nuswide(tmp_path, queries=2, train=5)

    def test_what_is_missing_is_one_sentence(self, tmp_path):
        with pytest.raises(ValueError, match=r"has no Concepts81.txt; expected ImageList/Imagelist.txt"):
            nuswide(tmp_path)
        self.write(tmp_path, place="elsewhere/")
        with pytest.raises(ValueError, match="none of the 168 images are in"):
            nuswide(tmp_path)
        labels = tmp_path / "Groundtruth" / "AllLabels" / "Labels_conceptb.txt"
        labels.write_text("0\n1\n")
        with pytest.raises(ValueError, match=r"Labels_conceptb.txt has 2 labels and Imagelist.txt 300 images"):
            nuswide(tmp_path)
        labels.unlink()
        with pytest.raises(ValueError, match="has no Labels_conceptb.txt"):
            nuswide(tmp_path)


class TestMIRFlickr:
    topics = (
        "animals", "baby", "bird", "car", "clouds", "dog", "female", "flower", "food", "indoor", "lake", "male",
        "night", "people", "plant_life", "portrait", "river", "sea", "sky", "structures", "sunset", "transport", "tree",
        "water",
    )  # fmt: skip

    def write(self, root):
        """Image i (1 to 48) shows topic i % 24, and 24 + j of the first ten topic 0 too; 49 and 50 nothing."""
        files = {}
        for i, topic in enumerate(self.topics):
            numbers = [n for n in range(1, 49) if n % 24 == i or (i == 0 and 24 < n <= 34)]
            files[f"mirflickr25k_annotations_v080/{topic}.txt"] = "".join(f"{n}\r\n" for n in numbers)
        files["mirflickr25k_annotations_v080/baby_r1.txt"] = "49\n"
        files["mirflickr25k_annotations_v080/README.txt"] = "read me"
        files["mirflickr/doc/common_tags.txt"] = "nikon 900\nsky 845\n"
        files |= {f"mirflickr/meta/tags/tags{n}.txt": "sky\nmine\n" if n % 2 else "nikond80\n" for n in range(1, 51)}
        write(root, files)
        touch(root, *[f"mirflickr/im{n}.jpg" for n in range(1, 51)])

    def test_24_potential_labels_and_no_image_without_one(self, tmp_path):
        self.write(tmp_path)
        split = mirflickr(tmp_path, queries=5, train=10)
        assert split.classes == self.topics
        assert [len(split.lists[name]) for name in ("query", "train", "database")] == [5, 10, 43]
        everything = dict(split.lists["query"] + split.lists["database"])
        assert everything["mirflickr/im25.jpg"] == (0, 1)
        assert everything["mirflickr/im24.jpg"] == (0,)
        assert everything["mirflickr/im47.jpg"] == (23,)
        assert not {"mirflickr/im49.jpg", "mirflickr/im50.jpg"} & everything.keys()
        assert set(split.lists["train"]) < set(split.lists["database"])
        assert mirflickr(tmp_path, 1, queries=5, train=10).lists != split.lists

    def test_images_with_a_common_tag_alone(self, tmp_path):
        self.write(tmp_path)
        (tmp_path / "mirflickr" / "meta" / "tags" / "tags7.txt").unlink()
        split = mirflickr(tmp_path, name="mirflickr25k-20015", queries=5, train=10)
        numbers = {
            int(path[len("mirflickr/im") : -4]) for path in paths_of(split, "query") + paths_of(split, "database")
        }
        assert numbers == set(range(1, 49, 2)) - {7}
        assert "used 20 times or more" in split.protocol

    def test_annotations_and_images_may_lie_in_one_folder(self, tmp_path):
        self.write(tmp_path)
        for file in (tmp_path / "mirflickr25k_annotations_v080").iterdir():
            file.rename(tmp_path / "mirflickr" / file.name)
        split = mirflickr(tmp_path / "mirflickr", queries=5, train=10)
        assert all(path.startswith("im") for path in paths_of(split, "database"))

    def test_what_is_missing_is_one_sentence(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"has no plant_life.txt, one of the annotations; expected mirflickr25k_anno"
        ):
            mirflickr(tmp_path)
        self.write(tmp_path)
        (tmp_path / "mirflickr" / "im5.jpg").unlink()
        with pytest.raises(ValueError, match=r"1 of 48 images are not in .*, mirflickr/im5.jpg for one"):
            mirflickr(tmp_path, queries=5, train=10)
        (tmp_path / "mirflickr" / "doc" / "common_tags.txt").unlink()
        with pytest.raises(ValueError, match=r"common_tags.txt is not there, which mirflickr25k-20015 needs"):
            mirflickr(tmp_path, name="mirflickr25k-20015")
        (tmp_path / "mirflickr25k_annotations_v080" / "sky.txt").unlink()
        with pytest.raises(ValueError, match="has 23 files of potential labels, expected 24"):
            mirflickr(tmp_path)


class TestImageNet100:
    """Three training images and one validation image of each class."""

    images = tuple((f"{synset}_{k}.JPEG", label) for label, synset in enumerate(SYNSETS) for k in (1, 20, 300))
    held_out = tuple((f"ILSVRC2012_val_{label + 1:08d}.JPEG", label) for label in range(100))

    def lists(self, prefix="./data/imagenet/"):
        def text(folder, rows):
            eye = np.eye(100, dtype=int)
            return "".join(f"{prefix}{folder}/{name} {' '.join(map(str, eye[label]))}\n" for name, label in rows)

        return {
            "train.txt": text("image", self.images[1::3]),
            "test.txt": text("val_image", self.held_out),
            "database.txt": text("image", self.images),
        }

    def write(self, root, train, val, names=None):
        touch(root, *[f"{train.format(SYNSETS[label])}/{name}" for name, label in self.images])
        touch(root, *[f"{val.format(SYNSETS[label])}/{name}" for name, label in self.held_out])

    @pytest.mark.parametrize(
        ("train", "val"),
        [
            ("train/{}", "val"),
            ("train/{}", "val/{}"),
            ("ILSVRC/Data/CLS-LOC/train/{}", "ILSVRC/Data/CLS-LOC/val"),
            ("image", "val_image"),
        ],
    )
    def test_the_published_lists_are_followed_wherever_the_images_lie(self, tmp_path, train, val):
        self.write(tmp_path, train, val)
        write(tmp_path / "lists", self.lists())
        split = imagenet100(tmp_path)
        assert split.classes == tuple(SYNSETS)
        assert split.seed is None
        assert not split.multilabel
        assert [len(split.lists[name]) for name in ("train", "query", "database")] == [100, 100, 300]
        assert split.lists["train"][7] == (f"{train.format(SYNSETS[7])}/{SYNSETS[7]}_20.JPEG", (7,))
        assert split.lists["query"][41] == (f"{val.format(SYNSETS[41])}/ILSVRC2012_val_00000042.JPEG", (41,))
        assert "train 100, query 100, database 300" in split.protocol
        write_split(split, tmp_path / "out", tmp_path)
        assert read_list(tmp_path / "out" / "train.txt").values[:3, 0].tolist() == [0, 1, 2]

    def test_lists_of_class_numbers_and_beside_the_images_do_as_well(self, tmp_path):
        self.write(tmp_path, "train/{}", "val")
        eye = {" ".join(map(str, row)): i for i, row in enumerate(np.eye(100, dtype=int).tolist())}
        numbered = {
            file: "".join(f"{line.split()[0]} {eye[line.split(maxsplit=1)[1]]}\n" for line in text.splitlines())
            for file, text in self.lists().items()
        }
        write(tmp_path, self.lists())
        expected = imagenet100(tmp_path)
        write(tmp_path, numbered)
        assert imagenet100(tmp_path) == expected

    def test_with_the_classes_alone_as_many_of_each_are_drawn(self, tmp_path):
        self.write(tmp_path, "train/{}", "val/{}")
        write(tmp_path, {"synsets.txt": "".join(f"{synset} a bird, say\n" for synset in reversed(SYNSETS))})
        split = imagenet100(tmp_path, train=2, queries=1)
        assert split.classes == tuple(reversed(SYNSETS))
        assert split.seed == 0
        assert [len(split.lists[name]) for name in ("train", "query", "database")] == [200, 100, 300]
        for path, (label,) in split.lists["train"]:
            assert path.startswith(f"train/{SYNSETS[99 - label]}/")
        assert set(split.lists["train"]) < set(split.lists["database"])
        assert sorted(label for _, (label,) in split.lists["train"]) == sorted(2 * list(range(100)))
        assert imagenet100(tmp_path, 1, train=2, queries=1).lists != split.lists
        (tmp_path / "synsets.txt").unlink()
        write(tmp_path, {"lists/train.txt": self.lists()["train.txt"]})  # a published list names the classes too
        assert imagenet100(tmp_path, train=2, queries=1).classes == tuple(SYNSETS)

    def test_lists_that_were_drawn_here_are_not_taken_for_the_published_ones(self, tmp_path):
        self.write(tmp_path, "train/{}", "val/{}")
        write(tmp_path, {"synsets.txt": "\n".join(SYNSETS)})
        first, second = (imagenet100(tmp_path, seed, train=1, queries=1) for seed in (0, 1))
        write_split(first, tmp_path, tmp_path)
        assert all((tmp_path / file).is_file() for file in FILES.values())
        assert imagenet100(tmp_path, 1, train=1, queries=1) == second

    def test_what_is_missing_is_one_sentence(self, tmp_path):
        with pytest.raises(ValueError, match="says nowhere which 100 classes are meant; put the published train.txt"):
            imagenet100(tmp_path)
        self.write(tmp_path, "train/{}", "val")
        write(tmp_path, self.lists())
        (tmp_path / "train" / SYNSETS[3] / f"{SYNSETS[3]}_20.JPEG").unlink()
        with pytest.raises(
            ValueError, match=rf"2 of 500 lines name images .*, {SYNSETS[3]}_20.JPEG for one; expected tr"
        ):
            imagenet100(tmp_path)
        (tmp_path / "test.txt").unlink()
        with pytest.raises(ValueError, match=f"{SYNSETS[0]} has 3 training and 0 validation images"):
            imagenet100(tmp_path, train=1, queries=1)
        write(tmp_path, {"synsets.txt": "n01440764\n"})
        with pytest.raises(ValueError, match="synsets.txt has 1 different ones; expected 100 synsets"):
            imagenet100(tmp_path)
        write(tmp_path, {"synsets.txt": "goldfish\n"})
        with pytest.raises(ValueError, match="synsets.txt has 'goldfish'; expected 100 synsets as n01440764"):
            imagenet100(tmp_path)

    def test_a_list_at_fault_is_named_with_its_line(self, tmp_path):
        lists = self.lists()
        first, rest = lists["train.txt"].split("\n", 1)
        write(tmp_path, lists | {"train.txt": f"{first[:-1]}1\n{rest}"})
        with pytest.raises(ValueError, match=r"train.txt:1: expected a path and one class"):
            imagenet100(tmp_path)
        write(tmp_path, {"train.txt": rest})
        with pytest.raises(ValueError, match="has 99 pairs of a class and a synset"):
            imagenet100(tmp_path)

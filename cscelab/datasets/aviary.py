"""Aviary, the embedded data: drawn birds with dials for size, clutter, bias and cover, and an exact mask for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from os import cpu_count
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cscelab.datasets.array_folder import cached
from cscelab.datasets.base import ImageSet, Splits
from cscelab.datasets.pictures import Target, background_of, picture, quadrants
from cscelab.datasets.processes import unordered
from cscelab.datasets.scenery import BACKGROUNDS
from cscelab.datasets.species import PARTS, POPULATIONS, SPECIES_PER_GENUS, Species, species_list

SPLITS = ("train", "validation", "query", "database")
DRAWING = 2  # raised whenever the same configuration would look different, so that old caches are left alone
IDS_PER_SPLIT = 10_000_000
SCENE_SCALE = 0.6  # birds of a scene are this much smaller
CHUNK = 100  # images a worker draws at a time
FEW = 400  # images drawn in this process: sooner done than a pool is started


@dataclass(frozen=True)
class Aviary:
    """The dials of the data set. An image depends on all of them but the sizes of the splits.

    scale: longer side of the target as a share of the image's, from lowest to highest (0.6 of that in scenes);
    clutter: number of distracting shapes; background_bias: share of training images whose background goes with the
    class; occlusion: share of the target hidden by leaves, on average; scenes: 2 to 4 species in an image, multi-hot.
    database: None for the training images themselves, as fine-grained retrieval has it (ExchNet Sec. 4.1).
    """

    n_classes: int = 20
    image_size: int = 112
    scale: tuple[float, float] = (0.35, 0.8)
    clutter: int = 12
    background_bias: float = 0.0
    occlusion: float = 0.1
    scenes: bool = False
    population: str = "benchmark"
    train: int = 4000
    validation: int = 400
    query: int = 500
    database: int | None = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(self.scale))  # a list, as JSON has it, becomes hashable
        least = 4 if self.scenes else 2
        if self.population not in POPULATIONS:
            raise ValueError(f"unknown population {self.population!r}; choose from {sorted(POPULATIONS)}")
        if not least <= self.n_classes <= POPULATIONS[self.population]:
            raise ValueError(
                f"n_classes is {self.n_classes}; choose {least} to {POPULATIONS[self.population]} "
                f"for {'scenes of ' if self.scenes else ''}the {self.population} population"
            )
        if not 32 <= self.image_size <= 1024:
            raise ValueError(f"image_size is {self.image_size}; choose 32 to 1024 pixels")
        if len(self.scale) != 2 or not 0.1 <= self.scale[0] <= self.scale[1] <= 0.95:
            raise ValueError(f"scale is {self.scale}; give (lowest, highest) with 0.1 <= lowest <= highest <= 0.95")
        if not 0 <= self.clutter <= 500:
            raise ValueError(f"clutter is {self.clutter}; choose 0 to 500 shapes")
        if not 0 <= self.background_bias <= 1:
            raise ValueError(f"background_bias is {self.background_bias}; choose 0 (none) to 1 (always)")
        if not 0 <= self.occlusion <= 0.8:
            raise ValueError(f"occlusion is {self.occlusion}; choose 0 (none) to 0.8 of the target hidden")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; choose a whole number from 0")
        for split in SPLITS:
            if not 0 <= self.size_of(split) < IDS_PER_SPLIT:
                raise ValueError(f"{split} is {self.size_of(split)}; choose 0 to {IDS_PER_SPLIT - 1} images")

    def size_of(self, split: str) -> int:
        """Images that are drawn for a split: none for a database that is the training images."""
        return getattr(self, split) or 0

    @property
    def species(self) -> tuple[Species, ...]:
        """The species of class 0, 1, ..."""
        return species_list(self.n_classes, self.population)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(species.name for species in self.species)


@dataclass(frozen=True)
class Drawing:
    """One image of an Aviary.

    image: uint8 (S, S, 3); mask: uint8 (S, S), class + 1 where a target shows and 0 elsewhere;
    labels: the classes in it, the first one drawn first; attributes: scale, visible (means over a scene's targets),
    background, targets (their number).
    """

    image: np.ndarray
    mask: np.ndarray
    labels: tuple[int, ...]
    attributes: dict[str, float | int | str]

    @property
    def label(self) -> int:
        """The class of a single-label image."""
        return self.labels[0]


def draw_image(config: Aviary, split: str, index: int) -> Drawing:
    """Image `index` of a split: always the same, however many others are drawn and wherever.

    Changing one dial keeps the rest of the picture: `draw_image(replace(config, clutter=40), "query", 7)` is the same
    bird in the same place among more clutter. Raises ValueError for an unknown split or a negative index.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose from {SPLITS}")
    if not 0 <= index < IDS_PER_SPLIT:
        raise ValueError(f"index is {index}; choose 0 to {IDS_PER_SPLIT - 1}")
    stream = SPLITS.index(split) + len(SPLITS) * list(POPULATIONS).index(config.population)
    rng = np.random.default_rng([config.seed, stream, index])
    others, choice = rng.spawn(2)
    label = _balanced_label(config.n_classes, config.seed, stream, index)
    labels = _scene_labels(label, config.n_classes, others) if config.scenes else (label,)

    biased, kind_at = choice.random(2)
    kind = list(BACKGROUNDS)[int(kind_at * len(BACKGROUNDS))]
    if split == "train" and biased < config.background_bias:
        kind = background_of(label)
    low, high = config.scale
    scales = (low + (high - low) * choice.random(len(labels))) * (SCENE_SCALE if config.scenes else 1)
    frames = choice.permutation(quadrants())[: len(labels)].tolist() if config.scenes else [None]
    targets = []
    for target_label, scale, frame in zip(labels, scales, frames, strict=True):
        target = Target(config.species[target_label], target_label + 1, float(scale))
        targets.append(Target(target.species, target.value, target.scale, tuple(frame)) if frame else target)
    drawn = picture(targets, config.image_size, kind, config.clutter, config.occlusion, rng)
    attributes: dict[str, float | int | str] = {
        "scale": float(np.mean(scales)),
        "visible": float(np.mean(drawn.visible)),
        "background": kind,
        "targets": len(labels),
    }
    return Drawing(drawn.image, drawn.mask, labels, attributes)


def draw_species(
    species: Species, size: int = 112, background: str | None = None, seed: int = 0, scale: float = 0.8
) -> np.ndarray:
    """A portrait, uint8 (size, size, 3): the bird level and whole, on a plain backdrop unless one is named."""
    if background is not None and background not in BACKGROUNDS:
        raise ValueError(f"unknown background {background!r}; choose from {list(BACKGROUNDS)}")
    target = Target(species, 1, scale)
    return picture([target], size, background, 0, 0.0, np.random.default_rng(seed), posed=False).image


def load_aviary(
    config: Aviary | None = None, root: str | Path = "data", workers: int | None = None, progress: bool = True
) -> Splits:
    """The four splits, drawn once by `workers` processes (all cores unless given) and then mapped from `root`.

    Only what is missing is drawn: a split of no images costs nothing. Raises OSError where `root` cannot be written.
    """
    config = config or Aviary()
    key = {"drawing": DRAWING, **asdict(config)}

    def draw(folder: Path) -> None:
        arrays = {(split, name): array for split in SPLITS for name, array in _empty(config, split, folder).items()}
        for split, start, part in _draw_chunks(config, workers, progress):
            for name, values in part.items():
                arrays[split, name][start : start + len(values)] = values
        for (split, name), array in arrays.items():
            if not isinstance(array, np.memmap):
                np.save(folder / f"{split}_{name}.npy", array)

    arrays = cached(Path(root), "aviary", key, draw)
    train, validation, query, database = (_image_set(config, split, arrays) for split in SPLITS)
    if config.database is None:
        database = train
    return Splits(train, validation, query, database, config.class_names)


def _scene_labels(first: int, n_classes: int, rng: np.random.Generator) -> tuple[int, ...]:
    """2 to 4 different classes, `first` among them."""
    rest = [label for label in rng.permutation(n_classes).tolist() if label != first]
    return (first, *rest[: int(rng.integers(1, 4))])


@lru_cache(maxsize=256)
def _block(n_classes: int, seed: int, stream: int, block: int) -> np.ndarray:
    return np.random.default_rng([seed, stream, block, n_classes]).permutation(n_classes)


def _balanced_label(n_classes: int, seed: int, stream: int, index: int) -> int:
    """Every block of n_classes images has each class once, in an order of its own."""
    return int(_block(n_classes, seed, stream, index // n_classes)[index % n_classes])


def _empty(config: Aviary, split: str, folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a split, to be filled; the large ones on disk already."""
    n, side = config.size_of(split), config.image_size

    def on_disk(name: str, shape: tuple[int, ...]) -> np.ndarray:
        path = folder / f"{split}_{name}.npy"
        return np.lib.format.open_memmap(path, "w+", np.uint8, shape) if n else np.zeros(shape, np.uint8)

    return {
        "images": on_disk("images", (n, side, side, 3)),
        "masks": on_disk("masks", (n, side, side)),
        "labels": np.zeros((n, config.n_classes), np.uint8) if config.scenes else np.zeros(n, np.int64),
        "scale": np.zeros(n, np.float32),
        "visible": np.zeros(n, np.float32),
        "background": np.zeros(n, "U8"),
        "targets": np.zeros(n, np.int64),
    }


def draw_chunk(config: Aviary, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
    """Images start to stop of a split as arrays; what a worker process does."""
    drawings = [draw_image(config, split, index) for index in range(start, stop)]
    if config.scenes:
        labels = np.zeros((len(drawings), config.n_classes), np.uint8)
        for row, drawing in zip(labels, drawings, strict=True):
            row[list(drawing.labels)] = 1
    else:
        labels = np.array([drawing.label for drawing in drawings])
    return {
        "images": np.stack([drawing.image for drawing in drawings]),
        "masks": np.stack([drawing.mask for drawing in drawings]),
        "labels": labels,
        **{name: np.array([d.attributes[name] for d in drawings]) for name in drawings[0].attributes},
    }


def _draw_chunks(
    config: Aviary, workers: int | None, progress: bool
) -> Iterator[tuple[str, int, dict[str, np.ndarray]]]:
    """Every chunk of every split, (split, first index, arrays), in whatever order they are ready."""
    chunks = [
        (split, start, min(start + CHUNK, config.size_of(split)))
        for split in SPLITS
        for start in range(0, config.size_of(split), CHUNK)
    ]
    total = sum(config.size_of(split) for split in SPLITS)
    with tqdm(total=total, desc="drawing birds", unit="image", disable=not progress or total < FEW) as bar:
        for (split, start, stop), arrays in unordered(
            partial(draw_chunk, config), chunks, 1 if total < FEW else workers or cpu_count() or 1
        ):
            bar.update(stop - start)
            yield split, start, arrays


def _image_set(config: Aviary, split: str, arrays: dict[str, np.ndarray]) -> ImageSet:
    mine = {name.removeprefix(f"{split}_"): a for name, a in arrays.items() if name.startswith(f"{split}_")}
    labels = mine["labels"]
    attributes = {name: mine[name] for name in ("scale", "visible", "background", "targets")}
    if not config.scenes:
        attributes["genus"] = labels // SPECIES_PER_GENUS
        for part in ("silhouette", "palette", *PARTS):
            attributes[part] = np.array([species.parts[part] for species in config.species])[labels]
    ids = SPLITS.index(split) * IDS_PER_SPLIT + np.arange(len(labels))
    return ImageSet(mine["images"], labels, ids, mine["masks"], attributes)

"""Small data and runs made up on the spot, for tests of pictures: stored as `experiment.run` stores them."""

import json

import numpy as np

from cscelab.codes import pack
from cscelab.datasets.aviary import Aviary
from cscelab.datasets.base import ImageSet, Splits
from cscelab.encode import Encoded
from cscelab.experiment import Experiment, Run, measure

NAMES = ("ruddy heron", "masked owl", "flame-crested moss finch")
N_QUERY, N_DATABASE, SIDE = 12, 40, 24


def image_set(n: int, first_id: int, seed: int, multilabel: bool = False) -> ImageSet:
    """Noise images with a square target of a size that differs from image to image; ids in no order."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(NAMES)
    masks = np.zeros((n, SIDE, SIDE), np.uint8)
    for row, side in enumerate(rng.permutation(np.linspace(3, 20, n).astype(int))):
        masks[row, 2 : 2 + side, 2 : 2 + side] = labels[row] + 1
    images = rng.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
    if multilabel:
        labels = np.eye(3, dtype=np.uint8)[labels] | np.eye(3, dtype=np.uint8)[rng.integers(0, 3, n)]
    return ImageSet(images, labels, first_id + rng.permutation(n), masks)


def make_splits(multilabel: bool = False) -> Splits:
    query, database = image_set(N_QUERY, 1000, 1, multilabel), image_set(N_DATABASE, 0, 2, multilabel)
    return Splits(database, query, query, database, NAMES)


def make_run(folder, splits, noise=0.2, seed=0, **settings) -> Run:
    """A run as `experiment.run` stores it, of codes that are class codes with a share `noise` of bits flipped, or of
    symbols changed where the method puts out symbols."""
    rng = np.random.default_rng(seed)
    experiment = Experiment(**{"name": f"run{seed}", "seed": seed, "data": Aviary(n_classes=3)} | settings)
    layout = experiment.layout
    centers = np.random.default_rng(99).choice([-1, 1], (3, experiment.bits))
    arrays, encoded = {}, {}
    for split in ("query", "database"):
        part = getattr(splits, split)
        if layout.arity is None:
            own = np.sign((part.labels @ centers) * 2 - 1) if splits.multilabel else centers[part.labels]
            codes = (own * np.where(rng.random(own.shape) < noise, -1, 1)).astype(np.int8)
            values = codes * rng.random(own.shape)
        else:
            codes, values = ordinal_codes(part.labels, layout, noise, rng)
        encoded[split] = Encoded(pack(codes), values, None, part.labels, part.ids, layout)
        arrays |= {f"{split}_codes": pack(codes), f"{split}_values": values.astype(np.float16)}
        arrays |= {f"{split}_labels": part.labels, f"{split}_ids": part.ids}
    metrics = measure(experiment, **encoded) | {"n_classes": 3}
    folder = folder / f"{experiment.folder_name}-{seed}-{noise}"
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "history.csv").write_text("epoch,validation_map,loss_a,loss_b\n1,0.5,3,1\n2,0.75,2,0.5\n3,0.6,1,0.25\n")
    np.savez_compressed(folder / "codes.npz", **arrays)
    return Run(experiment, folder)


def ordinal_codes(labels, layout, noise, rng) -> tuple[np.ndarray, np.ndarray]:
    """One-hot codes and values, centred in each group, of classes (N,), or of the first class of each row (N, C)."""
    classes = labels.argmax(axis=1) if labels.ndim == 2 else labels
    own = np.random.default_rng(99).integers(0, layout.arity, (3, layout.n_symbols))[classes]
    changes = rng.integers(1, layout.arity, own.shape) * (rng.random(own.shape) < noise)
    chosen = np.eye(layout.arity)[(own + changes) % layout.arity]  # (N, R, k)
    values = rng.random(chosen.shape) + chosen
    values -= values.mean(axis=2, keepdims=True)
    return (2 * chosen - 1).astype(np.int8).reshape(len(own), -1), values.reshape(len(own), -1)


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.texts] + [t.get_text() for axes in figure.axes for t in axes.texts]


def unwrapped(text: str) -> str:
    return text.replace("-\n", "-").replace("\n", " ")


def marks(figure, mark) -> list:
    return [text for text in figure.axes[0].texts if text.get_text().startswith(mark)]

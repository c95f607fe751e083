"""What every data set is: uint8 images with labels, in four splits that never overlap."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class ImageSet:
    """Images of one split, decoded once.

    images: uint8 (N, H, W, 3), an array or a memory map; labels: int64 class ids (N,) or uint8 multi-hot (N, C);
    ids: int64 (N,), unique over all splits of a data set, so that an image never retrieves itself;
    masks: uint8 (N, H, W) or None, 0 where there is background and class + 1 on a target;
    attributes: name -> array (N,) of further facts about each image (genus, scale, path, ...).
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    masks: np.ndarray | None = None
    attributes: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.ndim != 4 or self.images.shape[-1] != 3 or self.images.dtype != np.uint8:
            raise ValueError(
                f"images are {self.images.dtype} of shape {self.images.shape}; expected uint8 (N, H, W, 3)"
            )
        for name, array in {"labels": self.labels, "ids": self.ids, "masks": self.masks, **self.attributes}.items():
            if array is not None and len(array) != n:
                raise ValueError(f"{len(array)} {name} came with {n} images; give one for each image")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_size(self) -> int:
        """Side of the (square) images in pixels."""
        return int(self.images.shape[1])

    @property
    def multilabel(self) -> bool:
        return self.labels.ndim == 2

    def subset(self, rows: np.ndarray) -> ImageSet:
        """The images at these row numbers, in that order."""
        return ImageSet(
            self.images[rows],
            self.labels[rows],
            self.ids[rows],
            None if self.masks is None else self.masks[rows],
            {name: array[rows] for name, array in self.attributes.items()},
        )


@dataclass(frozen=True)
class Splits:
    """A data set under one protocol: learn on train, choose on validation, report query against database once."""

    train: ImageSet
    validation: ImageSet
    query: ImageSet
    database: ImageSet
    class_names: tuple[str, ...]

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_size(self) -> int:
        return self.train.image_size

    @property
    def multilabel(self) -> bool:
        return self.train.multilabel

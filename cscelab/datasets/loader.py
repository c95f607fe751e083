"""Batches: uint8 images gathered whole, shuffled from a seed, augmented on the training device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cscelab.datasets.base import ImageSet


class Batch(NamedTuple):
    """images uint8 (B, 3, H, W); labels (B,) or (B, C); ids int64 (B,), by which code banks know an image."""

    images: Tensor
    labels: Tensor
    ids: Tensor


class Batches(Dataset):
    """An ImageSet as a torch data set whose items are fetched a batch at a time, with no per-image Python."""

    def __init__(self, images: ImageSet):
        self.images = images
        self.labels = torch.from_numpy(np.ascontiguousarray(images.labels))
        self.ids = torch.from_numpy(np.ascontiguousarray(images.ids))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Batch:
        return Batch(*(part[0] for part in self.__getitems__([row])))

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        index = np.asarray(rows)
        images = torch.from_numpy(self.images.images[index]).permute(0, 3, 1, 2)  # channels-last in memory
        return Batch(images, self.labels[index], self.ids[index])


def _as_is(batch: Any) -> Any:
    return batch


EpochRows = Callable[[int, int, np.random.Generator], np.ndarray]  # (n images, epoch, generator) -> row numbers


def every_row(n: int, epoch: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(n)


class SeededShuffle(Sampler[int]):
    """Rows of an epoch, by default all n shuffled, from (seed, epoch) alone: a resumed run sees the same batches."""

    def __init__(self, n: int, seed: int, rows: EpochRows = every_row):
        self.n, self.seed, self.epoch, self.rows = n, seed, 0, rows
        self.length = len(self._draw())

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        return iter(self._draw().tolist())

    def _draw(self) -> np.ndarray:
        return self.rows(self.n, self.epoch, np.random.default_rng([self.seed, self.epoch]))


def training_loader(images: ImageSet, batch_size: int, seed: int, rows: EpochRows = every_row) -> DataLoader:
    """Shuffled batches; the last, smaller one is dropped unless it is the only one."""
    sampler = SeededShuffle(len(images), seed, rows)
    return DataLoader(
        Batches(images), batch_size, sampler=sampler, drop_last=len(sampler) >= batch_size, collate_fn=_as_is
    )


def encoding_loader(images: ImageSet, batch_size: int = 256) -> DataLoader:
    """Batches in order."""
    return DataLoader(Batches(images), batch_size, collate_fn=_as_is)


def augment(images: Tensor, generator: torch.Generator, flip: bool = True, shift: int = 4) -> Tensor:
    """Mirrors each image with probability 1/2 and moves it by up to `shift` pixels, edges repeated.

    images (B, 3, H, W), any type -> the same. Own draws for every image; torchvision's transforms draw once a batch.
    """
    n, _, height, width = images.shape
    device = images.device
    if flip:
        mirrored = torch.rand(n, generator=generator, device=device) < 0.5
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
    if shift:
        dy, dx = torch.randint(-shift, shift + 1, (2, n, 1), generator=generator, device=device)
        rows = (torch.arange(height, device=device) + dy).clamp(0, height - 1)  # (B, H)
        columns = (torch.arange(width, device=device) + dx).clamp(0, width - 1)  # (B, W)
        picks = torch.arange(n, device=device).view(-1, 1, 1)
        moved = images.permute(0, 2, 3, 1)[picks, rows[:, :, None], columns[:, None, :]]  # (B, H, W, 3)
        images = moved.permute(0, 3, 1, 2)
    return images


def as_tensor(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) -> uint8 (N, 3, H, W)."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)

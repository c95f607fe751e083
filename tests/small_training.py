"""A few images to train a method with for a step or some epochs: what tests of methods share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cscelab.datasets.base import ImageSet, Splits
from cscelab.methods import HashMethod, HashOutput, MethodConfig, build
from cscelab.model.backbone import BackboneConfig
from cscelab.train import Training, fit
from cscelab.watch import Progress, TrainingStopped

SCRATCH = BackboneConfig("tiny", "none")
IMAGES = torch.rand(6, 3, 112, 112, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])
MULTI = torch.eye(5, dtype=torch.uint8)[LABELS] | torch.eye(5, dtype=torch.uint8)[(LABELS + 2) % 5]
IDS = torch.tensor([31, 4, 15, 92, 65, 35])


def alike(labels: torch.Tensor, i: int, j: int) -> bool:
    """Whether two images share a label; labels: class ids (B,) or multi-hot (B, C)."""
    return bool(labels[i] == labels[j]) if labels.ndim == 1 else bool((labels[i] & labels[j]).any())


def train_set(labels: torch.Tensor = LABELS, order: tuple[int, ...] = (0, 1, 2, 3, 4, 5)) -> ImageSet:
    """The images above as a training split, in an order."""
    images = (255 * IMAGES).byte().permute(0, 2, 3, 1).numpy()
    return ImageSet(images, labels.numpy(), IDS.numpy()).subset(np.array(order))


def made(
    config: MethodConfig, n_classes: int = 5, bits: int = 16, labels: torch.Tensor = LABELS, seed: int = 0
) -> HashMethod:
    """A fresh method on a trunk without weights, its training started with the images above."""
    torch.manual_seed(seed)
    method = build(replace(config, backbone=SCRATCH), n_classes, bits)
    method.start_training(train_set(labels), torch.Generator().manual_seed(seed))
    return method


def step(
    method: HashMethod, labels: torch.Tensor = LABELS, seed: int = 0
) -> tuple[HashOutput, dict[str, torch.Tensor]]:
    """One forward and backward pass of all six images, by the views the method asks for."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.cat([method.view(IMAGES, generator) for _ in range(method.views)])
    output = method(images)
    terms = method.losses(
        output, labels.repeat(method.views, *[1] * (labels.ndim - 1)), generator, IDS.repeat(method.views)
    )
    sum(terms.values()).backward()
    return output, terms


def trained(
    config: MethodConfig, folder: Path, stop_after: int | None = None, bits: int = 8, seed: int = 0, **settings: object
) -> tuple[HashMethod, list[dict[str, float]]]:
    """A fresh method and its history: two epochs of batches of two with the images above as all splits, by `fit`.

    stop_after: a watch ends the training in the middle of the epoch after so many; the same call goes on from there.
    settings: of `Training`.
    """
    train, history = train_set(), []

    def watch(progress: Progress) -> None:
        history[:] = progress.history
        if stop_after and len(progress.history) == stop_after and progress.step == 1:
            raise TrainingStopped

    torch.manual_seed(0)
    method = build(replace(config, backbone=SCRATCH), 5, bits)
    training = Training(**{"epochs": 2, "batch_size": 2} | settings)
    try:
        history = fit(method, Splits(*[train] * 4, tuple("abcde")), training, folder, seed, progress=False, watch=watch)
    except TrainingStopped:
        assert stop_after
    else:
        assert not stop_after, "the training was to be stopped, but ended"
    return method, history

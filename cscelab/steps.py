"""A training step: the settings of a training, and a HashMethod as Lightning sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from cscelab.datasets.augmentation import augment_more, check_augmentation
from cscelab.datasets.loader import Batch, augment
from cscelab.methods.base import HashMethod, check_terms

OPTIMIZERS = ("adam", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine", "steps")
STEPS = (0.6, 0.8)  # after which shares of the training the rate falls to a tenth (ExchNet Sec. 4.1)
BETWEEN = "kept_between_steps"  # in Lightning's checkpoint: code banks and the like


@dataclass(frozen=True)
class Training:
    """How long and how fast. lr is that of the trunk; new parts learn `new_lr` times as fast.

    schedule: "constant", "cosine" (to zero over the epochs) or "steps" (a tenth after 60% of the epochs and
    again after 80%); flip, shift: mirroring, and moving by up to so many pixels; augmentation: what follows them,
    "none" or of `datasets.augmentation`, as "crop+colour";
    threads: CPU threads, part of the experiment because sums in another order give other bits.
    """

    epochs: int = 4
    batch_size: int = 64
    optimizer: str = "adam"
    lr: float = 1e-3
    new_lr: float = 1.0
    weight_decay: float = 1e-5
    schedule: str = "cosine"
    flip: bool = True
    shift: int = 4
    precision: str = "32-true"
    threads: int = 1
    augmentation: str = "none"

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer {self.optimizer!r}; choose from {OPTIMIZERS}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"unknown schedule {self.schedule!r}; choose from {SCHEDULES}")
        check_augmentation(self.augmentation)
        for name in ("epochs", "batch_size", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")


class NotFiniteLossError(ValueError):
    """The loss became NaN or infinite; the message names the step and the checkpoint that was kept."""


class LightningHash(L.LightningModule):
    """A HashMethod as Lightning sees it: one step, one optimiser, per-epoch sums for the history."""

    def __init__(self, method: HashMethod, training: Training, seed: int):
        super().__init__()
        self.method, self.training_config, self.seed = method, training, seed
        self.sums: dict[str, float] = {}
        self.steps = 0

    def configure_optimizers(self) -> Any:
        config = self.training_config
        trunk = list(self.method.network.backbone.parameters())
        in_trunk = {id(p) for p in trunk}
        new = [p for p in self.method.parameters() if id(p) not in in_trunk]
        groups = [{"params": trunk, "lr": config.lr}, {"params": new, "lr": config.lr * config.new_lr}]
        optimizer: torch.optim.Optimizer
        if config.optimizer == "adam":
            optimizer = torch.optim.Adam(groups, weight_decay=config.weight_decay)
        elif config.optimizer == "rmsprop":
            optimizer = torch.optim.RMSprop(groups, weight_decay=config.weight_decay)
        else:
            optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=config.weight_decay)
        if config.schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler: torch.optim.lr_scheduler.LRScheduler
        if config.schedule == "cosine":
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        else:
            at = [max(1, int(share * steps)) for share in STEPS]  # the first step takes the whole rate
            scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, at)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    def on_train_epoch_start(self) -> None:
        self.sums, self.steps = {}, 0
        self.method.start_epoch(self.current_epoch, self.training_config.epochs)

    def training_step(self, batch: Batch, index: int) -> dict[str, Any]:
        images, labels, ids = batch
        method = self.method
        generator = torch.Generator(images.device)
        generator.manual_seed(hash((self.seed, self.current_epoch, index)) % 2**63)
        views = [method.view(self._augmented(images, generator), generator) for _ in range(method.views)]
        if method.views > 1:
            labels, ids = torch.cat([labels] * method.views), torch.cat([ids] * method.views)
        output = method(torch.cat(views))
        if output.values.shape[1:] != (method.layout.width,):
            raise ValueError(
                f"{type(method).__name__} gave values {tuple(output.values.shape)} for {method.layout}; give its head "
                f"{method.layout.width} outputs"
            )
        terms = method.losses(output, labels, generator, ids)
        check_terms(terms, f"{type(method).__name__}.losses")
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            size = ", ".join(f"{name} {float(term.detach()):.3g}" for name, term in terms.items())
            raise NotFiniteLossError(
                f"the loss became {float(loss.detach())} at epoch {self.current_epoch + 1}, step {index + 1} ({size})"
            )
        told = {name: float(term.detach()) for name, term in terms.items()}
        for name, value in told.items():
            self._add(f"loss_{name}", value)
        return {"loss": loss, "terms": told}

    def _augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        config = self.training_config
        return augment_more(augment(images, generator, config.flip, config.shift), generator, config.augmentation)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[BETWEEN] = kept_between_steps(self.method)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        stored = checkpoint.get(BETWEEN, {})  # checkpoints of before have none, nor had methods anything to keep
        for name, tensor in kept_between_steps(self.method).items():
            if name in stored:
                tensor.copy_(stored[name])

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        for name, part in self.method.network.parts().items():
            squares = [p.grad.square().sum() for p in part.parameters() if p.grad is not None]
            self._add(f"gradient_{name}", float(torch.stack(squares).sum().sqrt()) if squares else 0.0)

    def on_train_batch_end(self, *_: Any) -> None:
        self.steps += 1

    def _add(self, name: str, value: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value

    def epoch_means(self) -> dict[str, float]:
        return {name: total / max(1, self.steps) for name, total in self.sums.items()}


def kept_between_steps(method: nn.Module) -> dict[str, Tensor]:
    """Buffers that are no part of the weights: what a method keeps between steps, as a bank of codes."""
    weights = method.state_dict()
    return {name: buffer for name, buffer in method.named_buffers() if name not in weights}

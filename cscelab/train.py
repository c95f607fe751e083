"""Training: Lightning runs the loop; the model is chosen on the validation split, never on queries."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Sized
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cscelab.datasets.base import Splits
from cscelab.datasets.loader import Batches, training_loader
from cscelab.encode import best_device, encode
from cscelab.evaluate import mean_average_precision
from cscelab.methods.base import HashMethod
from cscelab.steps import LightningHash, NotFiniteLossError, Training
from cscelab.watch import TellWatch, Watch

BEST = "best.safetensors"  # weights of the epoch with the best validation mAP
LAST = "last.ckpt"  # Lightning's checkpoint, to resume from


class ValidateAndKeepBest(Callback):
    """After each epoch: mAP of the validation images among themselves, a history row, the best weights so far."""

    def __init__(self, splits: Splits, folder: Path, n_diagnosed: int = 128):
        self.splits, self.folder = splits, folder
        self.history: list[dict[str, float]] = []
        self.best = -math.inf
        self.started = 0.0
        self.n_diagnosed = min(n_diagnosed, len(splits.validation))

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, LightningHash)
        told = module.method.end_epoch(module.current_epoch, module.training_config.epochs)
        row = {"seconds": time.perf_counter() - self.started} | module.epoch_means()
        self.record(module.method, module.current_epoch + 1, row | further(told, row, "end_epoch"))
        module.log("validation_map", self.history[-1]["validation_map"], prog_bar=True, sync_dist=False)

    def record(self, method: HashMethod, epoch: int, numbers: dict[str, float]) -> None:
        """A history row of these numbers, and the weights where no epoch was better."""
        validation = self.splits.validation
        try:
            encoded = encode(method, validation)
        except ValueError as error:
            raise NotFiniteLossError(f"codes became NaN or infinite in epoch {epoch}") from error
        precision = mean_average_precision(
            encoded.codes, encoded.labels, encoded.codes, encoded.labels,
            bits=encoded.layout.width, query_ids=encoded.ids, database_ids=encoded.ids,
        )  # fmt: skip
        images = Batches(validation).__getitems__(range(self.n_diagnosed)).images
        method.eval()
        diagnostics = method.diagnostics(images.to(next(method.parameters()).device))
        method.train()
        row = {"epoch": float(epoch), "validation_map": precision} | numbers
        self.history.append(row | further(diagnostics, row, "diagnostics"))
        if precision > self.best:
            self.best = precision
            temporary = self.folder / (BEST + ".tmp")
            save_file(weights_of(method), temporary)
            temporary.replace(self.folder / BEST)

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history, self.best = list(state["history"]), state["best"]


def further(told: dict[str, float], row: dict[str, float], hook: str) -> dict[str, float]:
    """What a method's hook told for a history row. Raises ValueError where the row has such a name already."""
    if taken := sorted(told.keys() & ({"epoch", "validation_map"} | row.keys())):
        raise ValueError(f"{hook} gave {', '.join(taken)}, which the history has already; return it by another name")
    return told


def weights_of(method: nn.Module) -> dict[str, Tensor]:
    """The state dict as contiguous CPU tensors, ready for safetensors."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in method.state_dict().items()}


def finished_epochs(folder: Path) -> list[dict[str, float]]:
    """The history that `fit` would go on from in this folder: a row for each finished epoch, none to begin anew."""
    if not _resumes(folder):
        return []
    stored = torch.load(folder / LAST, map_location="cpu", weights_only=True, mmap=True)
    return list(stored["callbacks"][ValidateAndKeepBest.__name__]["history"])


def _resumes(folder: Path) -> bool:
    return (folder / LAST).exists() and (folder / BEST).exists()


def fit(
    method: HashMethod, splits: Splits, training: Training, folder: Path,
    seed: int = 0, progress: bool = True, watch: Watch | None = None,
) -> list[dict[str, float]]:  # fmt: skip
    """Trains in place, leaves the best validation epoch's weights in the method, returns one history row an epoch.

    folder keeps best.safetensors and last.ckpt; where a last.ckpt lies there, training goes on from it, so that an
    interrupted call loses at most an epoch. A method that is fitted before the first epoch and has nothing to train
    gets one row, and no epoch. watch: called with a `watch.Progress` after every step and every epoch,
    in this thread; it changes no number. Raises ValueError where batches of one image meet batch normalisation of
    features, NotFiniteLossError where the loss is NaN or infinite, TrainingStopped where the watch does, and
    KeyboardInterrupt on Ctrl-C.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keep_best = ValidateAndKeepBest(splits, folder)
    tell = [TellWatch(watch, lambda: keep_best.history)] if watch else []
    method.to(memory_format=torch.channels_last)  # how the images come; a fifth faster on a CPU
    method.train()
    learns = any(parameter.requires_grad for parameter in method.parameters())
    if learns:
        loader = training_loader(splits.train, training.batch_size, seed, method.epoch_rows)
        _check_batches(method, loader)
    else:
        method.to(best_device())  # Lightning moves what learns
    method.start_training(splits.train, torch.Generator().manual_seed(seed))
    if not learns:
        keep_best.record(method, 0, {"seconds": 0.0})
        method.eval()
        return keep_best.history
    module = LightningHash(method, training, seed)
    with warnings.catch_warnings():
        # Lightning advises loader workers; batches come from memory here, where workers only cost.
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        trainer = L.Trainer(
            max_epochs=training.epochs,
            accelerator="auto",
            devices=1,  # several need a sampler a rank and one writer: not yet
            precision=training.precision,  # type: ignore[arg-type]
            logger=False,
            callbacks=[
                keep_best,
                ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False),
                *tell,
            ],
            enable_progress_bar=progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=folder,
        )
        in_main = threading.current_thread() is threading.main_thread()
        on_interrupt = signal.getsignal(signal.SIGINT) if in_main else None
        try:
            trainer.fit(
                module,
                loader,
                ckpt_path=folder / LAST if _resumes(folder) else None,
                weights_only=True,
            )
        except SystemExit:  # how Lightning answers Ctrl-C, after its clean-up
            raise KeyboardInterrupt from None
        except NotFiniteLossError as error:
            kept = (
                f"the last good epoch is kept in {folder / BEST}"
                if (folder / BEST).exists()
                else "no epoch was finished"
            )
            raise NotFiniteLossError(
                f"{error}; {kept}; lower the learning rate (lr {training.lr}), or look for a logarithm of 0 or an "
                "infinity in the term that is not finite"
            ) from None
        finally:
            if in_main:
                signal.signal(signal.SIGINT, on_interrupt)  # Lightning leaves Ctrl-C ignored
    method.load_state_dict(load_file(folder / BEST))
    method.eval()
    return keep_best.history


def _check_batches(method: HashMethod, loader: DataLoader) -> None:
    assert loader.batch_size is not None
    assert isinstance(loader.sampler, Sized)
    rows = min(len(loader.sampler), loader.batch_size) * method.views
    if rows < 2 and any(isinstance(module, nn.BatchNorm1d) for module in method.modules()):
        raise ValueError(
            f"{type(method).__name__} normalises features over the batch, but a batch has {rows} image; give a batch "
            "size and a training split of at least 2"
        )


def quiet_lightning() -> None:
    """Silences Lightning's banner lines (devices, tips); warnings and errors stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)

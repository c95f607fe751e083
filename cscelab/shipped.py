"""The encoder shipped with the package: a small CSCE-Net trained on Aviary, so that a first look needs no training."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cscelab.experiment import Experiment, Run, fresh_method
from cscelab.methods import HashMethod
from cscelab.paths import make_folder
from cscelab.train import weights_of

ENCODER = Path(str(files("cscelab"))) / "weights" / "tiny-csce.safetensors"


def export_encoder(run: Run, target: Path = ENCODER) -> Path:
    """Writes a run's weights in half precision with its experiment in the metadata: one file, nothing pickled."""
    make_folder(target.parent, "name another file")
    weights = {k: v.half() if v.is_floating_point() else v for k, v in weights_of(run.model()).items()}
    metadata = {
        "experiment": json.dumps(run.experiment.to_dict()),
        "n_classes": str(run.metrics["n_classes"]),
        "map": str(run.metrics["map"]),
    }
    save_file(weights, target, metadata)
    return target


def load_encoder(path: Path = ENCODER) -> tuple[HashMethod, Experiment]:
    """The trained method, on the CPU in evaluation mode, and the experiment that trained it.

    Raises FileNotFoundError or ValueError in one sentence where the file is absent or no exported encoder.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no encoder at {path}; make one with: cscelab encode --export {path} --run NAME")
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata()
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        experiment = Experiment.from_dict(json.loads(metadata["experiment"]))
        n_classes = int(metadata["n_classes"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no exported encoder ({str(error).splitlines()[0]}); export it again") from error
    method = fresh_method(experiment, n_classes, weights="none")
    own = method.state_dict()
    method.load_state_dict({k: v.to(own[k].dtype) if k in own else v for k, v in weights.items()})
    return method.eval().to(torch.device("cpu")), experiment

"""Files of weights: where published ones lie on this machine or are fetched from, and how state dicts are read."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from cscelab.paths import why

PATIENCE = 20.0  # seconds to wait for a server that sends nothing
# Names of the weights file in a repository of the Hugging Face hub, the one to fetch first.
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Published:
    """A file of pretrained weights: its address and its name in torch's hub folder.

    sha256: how its checksum starts, where the publisher says so; repository: where it lies on the Hugging Face hub.
    """

    url: str
    file_name: str
    sha256: str | None = None
    repository: str | None = None


def on_hugging_face(repository: str) -> Published:
    """The weights of a repository OWNER/NAME on the Hugging Face hub, or on the mirror that HF_ENDPOINT names."""
    from huggingface_hub import hf_hub_url

    first = HUB_FILES[0]
    return Published(hf_hub_url(repository, first), repository.split("/")[-1] + Path(first).suffix, None, repository)


def hub_folder() -> Path:
    """Where torch.hub keeps weights: TORCH_HOME/hub/checkpoints."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def cached(published: Published) -> Path | None:
    """The file where it is on this machine already, in torch's hub folder or Hugging Face's cache."""
    if (path := hub_folder() / published.file_name).is_file():
        return path
    if published.repository is not None:
        from huggingface_hub import try_to_load_from_cache

        for file_name in HUB_FILES:
            if isinstance(found := try_to_load_from_cache(published.repository, file_name), str):
                return Path(found)
    return None


def fetch(published: Published, name: str) -> Path:
    """The file, downloaded into torch's hub folder where this machine does not have it; `name` is what it is for.

    Not by huggingface_hub: without a network it tries for a minute. Raises OSError with what to do.
    """
    if (found := cached(published)) is not None:
        return found
    path = hub_folder() / published.file_name
    usual = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)  # torch.hub sets none, and waits for ever
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(published.url, str(path), published.sha256)
    except Exception as error:  # of urllib, http, ssl, socket, and torch's RuntimeError for another checksum
        raise OSError(
            f"pretrained weights of {name} could not be downloaded from {published.url} ({why(error)}); fetch that "
            f"file by hand and save it as {path}, or give its path as weights, or train from scratch with weights "
            "'none'"
        ) from error
    finally:
        socket.setdefaulttimeout(usual)
    return path


def cached_names() -> list[str]:
    """Names of weights on this machine: files in torch's hub folder, timm's repositories in Hugging Face's cache."""
    names = [path.name for pattern in ("*.pth", "*.safetensors") for path in hub_folder().glob(pattern)]
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError:  # comes with timm
        return sorted(names)
    for repository in Path(HF_HUB_CACHE).glob("models--timm--*"):
        if any(next(repository.glob(f"snapshots/*/{file_name}"), None) for file_name in HUB_FILES):
            names.append(repository.name.removeprefix("models--").replace("--", "/"))
    return sorted(names)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors, .pth or .pt file; nothing is unpickled.

    Raises FileNotFoundError when there is no such file, ValueError when it is no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights file at {path}; give the path of a .safetensors, .pth or .pt file, a name of torchvision's as "
            "'IMAGENET1K_V2', or 'default' or 'none'"
        )
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            for key in ("state_dict", "model"):  # a whole checkpoint, with its optimiser and the like
                state = state.get(key, state) if isinstance(state, dict) else state
    except Exception as error:  # of bytes that are no such file the readers raise anything, KeyError too
        raise ValueError(
            f"{path} cannot be read as weights ({why(error)}); it is corrupt or of another format: get it again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no state dict of tensors; save one with safetensors or torch.save")
    return state

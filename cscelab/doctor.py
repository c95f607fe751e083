"""`cscelab doctor`: what is installed, which device, what data is there, what is missing and how to get it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path

import torch

from cscelab.experiment import stored_runs
from cscelab.jobs import cores
from cscelab.model.backbone import SHIPPED_TRUNK
from cscelab.model.weightfiles import cached_names, hub_folder
from cscelab.paths import data_root
from cscelab.shipped import ENCODER

CORE = ("torch", "torchvision", "numpy", "pillow", "lightning", "safetensors", "numba", "tqdm", "filelock")
WORKBENCH = (
    "matplotlib", "seaborn", "pandas", "torchcam", "faiss-cpu", "scipy", "h5py", "timm", "tyro", "jupyterlab",
    "ipywidgets",
)  # fmt: skip


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device() -> str:
    if torch.cuda.is_available():
        return f"GPU {torch.cuda.get_device_name(0)} ({torch.cuda.device_count()} of them)"
    if torch.backends.mps.is_available():
        return "Apple GPU (mps)"
    return f"CPU, {cores()} cores; no GPU found, which is enough for the quick profile"


def _size(folder: Path) -> str:
    return f"{sum(p.stat().st_size for p in folder.rglob('*') if p.is_file()) / 1e6:,.0f} MB"


def report() -> tuple[str, bool]:
    """The report as text, and whether everything needed is there."""
    lines = [f"python      {platform.python_version()} on {platform.system()} {platform.machine()}"]
    lines.append(f"device      {_device()}")
    missing = []
    for title, packages in (("core", CORE), ("workbench", WORKBENCH)):
        found = {package: _version(package) for package in packages}
        lines.append(f"{title:<12}" + ", ".join(f"{p} {v}" for p, v in found.items() if v))
        missing += [package for package, version in found.items() if version is None]
    if missing:
        lines.append(f"  MISSING   {', '.join(missing)}: pip install -c constraints.txt -e '.[workbench]'")

    root = data_root()
    writable = os.access(next(p for p in (root, *root.parents) if p.exists()), os.W_OK)
    lines.append(
        f"data        {root.resolve()}" + ("" if writable else "  NOT WRITABLE: set CSCELAB_DATA to another folder")
    )
    drawn = sorted(path for path in root.glob("aviary-*") if path.is_dir())
    lines += [f"            {path.name}: {_size(path)}" for path in drawn]
    if not drawn:
        lines.append(
            "            Aviary is not drawn yet; any command that needs it draws it (`cscelab data draw` does so now)"
        )
    decoded = sorted(path for path in (root / "images").glob("*") if path.is_dir())
    lines += [f"            photographs, decoded: {path.name}: {_size(path)}" for path in decoded]
    if not decoded:
        lines.append("            photographs: none decoded yet; folder:PATH has classes, unlabelled:PATH none")
    for title, name in {"ImageNet100": "imagenet100", "MS COCO": "coco", "NUS-WIDE": "nus-wide"}.items():
        there = (root / name / "train.txt").is_file()
        lines.append(f"            {title}: " + ("there" if there else "not there; see data/README.md"))
    lines.append(f"runs        {sum(1 for _ in stored_runs())} stored (`cscelab runs`)")
    weights = {"trunk": SHIPPED_TRUNK, "encoder": ENCODER}
    for name, path in weights.items():
        lines.append(
            f"{name:<12}"
            + (f"{path.name}, {path.stat().st_size / 1e6:.1f} MB" if path.exists() else "MISSING: reinstall cscelab")
        )
    cached = ", ".join(cached_names())
    lines.append(
        "pretrained  "
        + (cached or f"no weights here; downloaded when first asked for, or put by hand into {hub_folder()}")
    )
    free = shutil.disk_usage(next(p for p in (root, *root.parents) if p.exists())).free
    lines.append(f"disk        {free / 1e9:,.0f} GB free")
    return "\n".join(lines), not missing and writable and all(path.exists() for path in weights.values())

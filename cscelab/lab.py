"""`cscelab lab`: JupyterLab on the notebooks, listening on this machine only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def notebooks_folder() -> Path:
    """notebooks/ of the checkout. Raises FileNotFoundError where the package was installed without one."""
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parent.parent):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder / "notebooks"
    raise FileNotFoundError("no notebooks/ folder was found; run this inside a clone of cscelab")


def launch(port: int = 8888, browser: bool = True) -> int:
    """Runs JupyterLab until it is stopped; returns its exit code."""
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--port={port}"]
    return subprocess.call(command + ([] if browser else ["--no-browser"]), cwd=notebooks_folder())

"""`cscelab lab`: JupyterLab on the notebooks, listening on this machine only."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

from cscelab.ports import address, require, require_free

PORT, HOST = 8888, "127.0.0.1"


def notebooks_folder() -> Path:
    """notebooks/ of the checkout. Raises FileNotFoundError where the package was installed without one."""
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parent.parent):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder / "notebooks"
    raise FileNotFoundError("no notebooks/ folder was found; run this inside a clone of cscelab")


def launch(port: int = PORT, browser: bool = True) -> int:
    """Prints where JupyterLab will listen, runs it until it is stopped, and returns its exit code, 0 after Ctrl-C.

    Its token is $JUPYTER_TOKEN, or a new one. Raises ValueError where JupyterLab is absent, OSError where something
    else listens there.
    """
    require("jupyterlab", "the lab")
    folder = notebooks_folder()
    require_free(HOST, port)
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(16)
    here = address(HOST, port, f"/lab?token={token}")
    print(f"JupyterLab listens in a moment at\n    {here}\nCtrl-C stops it.", flush=True)
    command = [sys.executable, "-m", "jupyterlab", f"--ip={HOST}", f"--port={port}", "--ServerApp.port_retries=0"]
    environment = os.environ | {"JUPYTER_TOKEN": token}  # not an argument: those can be read by others on the machine
    with subprocess.Popen(command + ([] if browser else ["--no-browser"]), cwd=folder, env=environment) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()  # stops kernels too, where Ctrl-C alone would ask whether it is meant
            server.wait()
            return 0

"""`cscelab lab`: JupyterLab on the notebooks, listening on this machine only."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from cscelab.paths import checkout
from cscelab.ports import address, require, require_free

PORT, HOST = 8888, "127.0.0.1"
PATIENCE = 60.0  # seconds for the server to answer; after that its address is printed all the same


def notebooks_folder() -> Path:
    """notebooks/ of the checkout. Raises FileNotFoundError where the package was installed without one."""
    return checkout() / "notebooks"


def launch(port: int = PORT, browser: bool = True) -> int:
    """Starts JupyterLab, prints where it listens once it does, runs it until it is stopped, and returns its exit code,
    0 after Ctrl-C.

    Its token is $JUPYTER_TOKEN, or a new one. Raises ValueError where JupyterLab is absent, OSError where
    something else listens there.
    """
    require("jupyterlab", "the lab")
    folder = notebooks_folder()
    require_free(HOST, port)
    as_root = root_options()
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(16)
    # Warnings alone, and none of those that only Jupyter's developers can act on: the address is to be seen.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "jupyterlab", f"--ip={HOST}", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", "--log-level=WARN", "--LabApp.log_level=WARN"]
    command += [*as_root, *([] if browser else ["--no-browser"])]
    environment = os.environ | {"JUPYTER_TOKEN": token}  # not an argument: those can be read by others on the machine
    print("JupyterLab starts ...", flush=True)
    with subprocess.Popen(command, cwd=folder, env=environment) as server:
        try:
            if wait_for(server, port):
                print(f"It listens at\n    {address(HOST, port, f'/lab?token={token}')}\nCtrl-C stops it.", flush=True)
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()  # stops kernels too, where Ctrl-C alone would ask whether it is meant
            server.wait()
            return 0


def root_options() -> list[str]:
    """What JupyterLab is told where root starts it, as in containers: it would refuse otherwise, deep in its log."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return []
    print("cscelab: running as root, so notebooks can change the whole machine", file=sys.stderr)
    return ["--allow-root"]


def wait_for(server: subprocess.Popen[bytes], port: int, patience: float = PATIENCE) -> bool:
    """Until the server answers or `patience` seconds are over; False where it ended instead."""
    until = time.monotonic() + patience
    while server.poll() is None:
        if answers(port) or time.monotonic() > until:
            return True
        time.sleep(0.2)
    return False


def answers(port: int) -> bool:
    """Whether a web server answers on this machine."""
    connection = HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/api")
        connection.getresponse()
        return True
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()

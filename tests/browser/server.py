"""Servers for tests: JupyterLab with settings of its own in a temporary folder, or any command, and its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOKEN = "for-tests-only"
START_SECONDS, STOP_SECONDS = 90, 10
# Asks nobody for news; draws all cells, since what is outside the window could not be driven.
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "kernelShutdown": True},
}


@dataclass(frozen=True)
class Server:
    url: str  # http://127.0.0.1:port
    folder: Path  # where its notebooks lie
    log: Path

    def address(self, path: str, **query: str) -> str:
        return f"{self.url}/{path}?" + "&".join([f"token={TOKEN}", *(f"{k}={v}" for k, v in query.items())])

    def request(self, path: str, method: str = "GET") -> object:
        """What the REST interface answers, read from JSON."""
        asked = urllib.request.Request(self.address(path), method=method)
        with urllib.request.urlopen(asked, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def own_settings(folder: Path, data: Path) -> dict[str, str]:
    """The environment of a server and its kernels: nothing of this user's, data and runs from `data`, one thread."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR",
             "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR")  # fmt: skip
    own = {name: str(folder / name.lower()) for name in names}
    for path in own.values():
        Path(path).mkdir(parents=True, exist_ok=True)
    config = Path(own["JUPYTER_CONFIG_DIR"]) / "jupyter_server_config.json"
    config.write_text(json.dumps({"ServerApp": {"allow_root": True}}))  # CI often runs as root
    for plugin, settings in SETTINGS.items():
        file = Path(own["JUPYTERLAB_SETTINGS_DIR"]) / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    return os.environ | own | {"CSCELAB_DATA": str(data), "OMP_NUM_THREADS": "1", "JUPYTER_TOKEN": TOKEN}


@contextmanager
def running(command: list[str], url: str, folder: Path, log: Path, environment: dict[str, str]):
    """Starts a server and waits until it answers at `url` (any status will do). Raises RuntimeError with its log."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} does not answer at {url}; it said:\n{log.read_text()}")
            time.sleep(0.1)
        yield Server(url.split("?")[0].rsplit("/api", 1)[0].rstrip("/"), folder, log)
    finally:
        stop(process)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def stop(process: subprocess.Popen) -> None:
    """Ends a server and its kernels, which are in its session."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(STOP_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def jupyter_lab(folder: Path, data: Path, own: Path):
    """JupyterLab on the notebooks of a folder; its settings and log under `own`."""
    port = free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}/api/status?token={TOKEN}"
    with running(command, url, folder, own / "server.log", own_settings(own, data)) as server:
        yield server

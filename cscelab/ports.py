"""Where a server is to listen: what would go wrong is said in one sentence before it starts."""

from __future__ import annotations

import ipaddress
import os
import socket
from importlib.util import find_spec

EVERYWHERE = ("0.0.0.0", "::")


def address(host: str, port: int, rest: str = "/") -> str:
    """Of a page, for a browser: with the machine's name where the server listens on all its addresses."""
    name = socket.gethostname() if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}{rest}"


def require(module: str, what: str) -> None:
    """Raises ValueError in one sentence where a module is not installed."""
    if find_spec(module) is None:
        raise ValueError(f"{what} needs {module}, which is not installed; run: pip install 'cscelab[workbench]'")


def require_free(host: str, port: int) -> None:
    """Raises OSError in one sentence where nothing can listen on this port."""
    if not 1 <= port <= 65535:
        raise ValueError(f"port {port} was given; choose one from 1 to 65535")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if os.name == "posix":  # elsewhere this would let two servers share a port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(f"cannot listen on port {port} of {host} ({why}); choose another with --port") from error


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

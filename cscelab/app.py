"""`cscelab app`: the QueryBrowser as a web page, served with Voila on this machine, for those with the token only."""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

from cscelab.ports import address, is_local, require, require_free

PORT, HOST = 8866, "127.0.0.1"
IDLE, LOOKED = 1800, 300  # seconds after which a kernel without a page ends, and between two looks for such kernels
NOTEBOOK = "browser.ipynb"
SOURCE = """from cscelab.widgets import checked
from cscelab.widgets.browser_page import BrowserPage

checked(BrowserPage())"""
REFUSED = "Not without the token: open the address that `cscelab app` printed, it ends in ?token=..."
ELSEWHERE = re.compile(r'<link[^>]+href="https?://[^>]*>\s*')  # the template's icons, from a server on the internet


def launch(port: int = PORT, host: str = HOST, browser: bool = True, preheat: bool = True) -> None:
    """Serves the page until Ctrl-C; prints its address, which holds a new token, once it listens.

    preheat: one kernel is always started ahead, so that a page opens at once; each open page has its own.
    Raises ValueError where Voila is absent and OSError where it cannot listen there.
    """
    require("voila", "the app")
    require_free(host, port)
    if not is_local(host):
        print(
            f"cscelab: listening on {host}, so whoever reaches this machine and has the token can use the app, and the "
            "connection is not encrypted",
            file=sys.stderr,
        )
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="cscelab-") as folder:
        write_notebook(Path(folder) / NOTEBOOK)
        _serve(Path(folder), host, port, token, browser, preheat)


def write_notebook(path: Path) -> None:
    """The notebook behind the page: the browser with its words explained, in the folder from which the app was
    started, titled "cscelab"."""
    import nbformat

    source = f"import os\n\nos.chdir({os.getcwd()!r})\n{SOURCE}"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    notebook.metadata |= {
        "title": "cscelab",
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    }
    nbformat.write(notebook, path)


def _serve(folder: Path, host: str, port: int, token: str, browser: bool, preheat: bool) -> None:
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
    from tornado.ioloop import IOLoop
    from tornado.web import RequestHandler
    from traitlets.config import Config
    from voila.app import Voila

    def guarded(handler: type[RequestHandler]) -> type[RequestHandler]:
        """Voila asks for the token for its pages and kernels, but serves files to anyone; here nothing is."""

        class Guarded(handler):  # type: ignore[misc, valid-type]
            async def prepare(self) -> None:
                provider = self.application.settings["identity_provider"]
                given = provider.get_token(self) or ""
                known = hmac.compare_digest(given.encode(), token.encode())
                if not known and provider.get_user_cookie(self) is None:
                    self.set_status(403)
                    self.set_header("Content-Type", "text/plain; charset=utf-8")
                    await self.finish(REFUSED)
                elif (waiting := super().prepare()) is not None:
                    await waiting

            async def get_generator(self, path: str | None = None) -> Any:
                _ = self.xsrf_token  # sets the cookie without which a closing page could not end its kernel
                async for html in super().get_generator(path):  # a page, in pieces
                    yield ELSEWHERE.sub("", html)

        return Guarded

    class Server(Voila):
        def init_handlers(self) -> list[Any]:
            return [(path, guarded(handler), *rest) for path, handler, *rest in super().init_handlers()]

    class Kernels(AsyncMappingKernelManager):
        async def start_kernel(self, **settings: Any) -> str:  # type: ignore[override]
            """A kernel that does not print its warnings, which are for people on networks, into the terminal."""
            return str(await super().start_kernel(extra_arguments=["--log-level=ERROR"], **settings))

    def announce() -> None:
        here = address(host, port, f"/?token={token}")
        print(f"The query browser is at\n    {here}\nCtrl-C stops it.", flush=True)
        if browser:
            webbrowser.open(here)

    logging.getLogger("tornado").setLevel(logging.ERROR)  # not a line for each request that was refused
    settings = {
        "show_tracebacks": True,
        "strip_sources": True,
        "file_allowlist": [],
        "allow_template_override": "NO",
        "preheat_kernel": preheat,
        "multi_kernel_manager_class": Kernels,
    }
    # A page that closes ends its kernel; one that crashed cannot.
    culling = {"cull_idle_timeout": IDLE, "cull_interval": LOOKED, "cull_connected": False}
    server = Server(
        config=Config(VoilaConfiguration=settings, MappingKernelManager=culling),
        notebook_path=str(folder / NOTEBOOK),
        root_dir=str(folder),
        config_file_paths=[],  # a voila.json somewhere must not open what is closed here
        ip=host,
        port=port,
        port_retries=0,
        open_browser=False,
        token=token,
        log_level="ERROR",
    )
    server.initialize([])
    IOLoop.current().add_callback(announce)
    server.start()

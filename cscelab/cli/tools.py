"""Commands about this machine: JupyterLab, the app, and what is installed."""

from __future__ import annotations

import sys


def lab(port: int = 8888, browser: bool = True) -> None:
    """Open JupyterLab on the notebooks.

    Args:
        port: where it listens, on this machine only.
        browser: open a browser window.
    """
    from cscelab import lab as jupyter

    sys.exit(jupyter.launch(port, browser))


def app(port: int = 8866, host: str = "127.0.0.1", browser: bool = True, preheat: bool = True) -> None:
    """Browse queries in a web page, without notebooks.

    Args:
        port: where it listens.
        host: on which address; any but this machine's own, as 0.0.0.0, lets others in who have the token.
        browser: open a browser window.
        preheat: keep a process ready, so that a page opens at once; it takes as much memory as an open page.
    """
    from cscelab import app as page

    page.launch(port, host, browser, preheat)


def doctor() -> None:
    """What is installed, which device, what data is there, what is missing and how to get it."""
    from cscelab.doctor import report

    text, healthy = report()
    print(text)
    sys.exit(0 if healthy else 1)

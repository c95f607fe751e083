"""Commands about this machine: JupyterLab, and what is installed."""

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


def doctor() -> None:
    """What is installed, which device, what data is there, what is missing and how to get it."""
    from cscelab.doctor import report

    text, healthy = report()
    print(text)
    sys.exit(0 if healthy else 1)

"""Which Chromium to use, and how to start it: one that is installed, never one that is downloaded."""

import os
import shutil
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome")
ABSENT = f"no Chromium here: install one ({', '.join(NAMES)} on PATH) or name it in $CSCELAB_CHROMIUM"
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
SIZE = {"width": 1400, "height": 1000}


def find_chromium() -> str | None:
    """The program: $CSCELAB_CHROMIUM, else the first of NAMES on PATH. Raises ValueError where the first is no file."""
    if chosen := os.environ.get("CSCELAB_CHROMIUM"):
        if not shutil.which(chosen):
            raise ValueError(f"CSCELAB_CHROMIUM is {chosen!r}, which is no program; name an installed Chromium")
        return chosen
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def chromium(program: str):
    """A browser context of Playwright: one cache, no history, downloads accepted."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser.new_context(viewport=SIZE, accept_downloads=True)
        finally:
            browser.close()

"""How long a person waits in a browser: the first picture, a change in the QueryBrowser, a step of every explorer.

Chromium drives JupyterLab as in the tests. (1) From `cscelab lab` to the first picture of notebook 00, with the
embedded data drawn and coded before. (2) A QueryBrowser on a database of 10,000 images: another query, method and k,
without and with activation maps. (3) One slider step in every explorer, and the same step's Python callback alone. A
time in the browser runs from the input to the changed page, looked at every 5 ms. Nothing is asserted. Prints the rows
and writes figures/bench-browser.csv. Run by `make bench`: about four minutes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser.chromium import ABSENT, chromium, find_chromium  # noqa: E402
from browser.controls import PICTURES, control  # noqa: E402
from browser.lab import Notebook, opened  # noqa: E402
from browser.server import TOKEN, Server, free_port, jupyter_lab, own_settings, running  # noqa: E402

from cscelab import widgets  # noqa: E402
from cscelab.collection import Collection, shipped_collection  # noqa: E402
from cscelab.paths import data_root  # noqa: E402

REPEATS = 10
DATABASE = 10_000
FIRST, CHANGE, CHANGE_WITH_MAPS, STEP, CALLBACK = 30.0, 0.6, 1.5, 0.6, 0.2  # limits in seconds
SLIDERS = {  # explorer -> (words beside the slider, attribute path of it)
    "CenterExplorer": ("bits", "bits"),
    "MarginExplorer": ("CosFace m₃", "controls.cosface"),
    "ThresholdExplorer": ("threshold t", "t"),
    "RankExplorer": ("depth k", "k"),
    "WindowExplorer": ("query", "query.index"),
    "CamExplorer": ("query", "query.index"),
    "ConstraintExplorer": ("apart (cells)", "apart"),
    "CodeStepper": ("problem (seed)", "seed"),
    "OrdinalExplorer": ("noise (spreads)", "noise"),
}
FROM_START = ("ThresholdExplorer", "RankExplorer")  # few steps are left from where these sliders begin
BROWSER = """
from dataclasses import replace
from cscelab.collection import shipped_collection
from cscelab.widgets import QueryBrowser, checked
one = shipped_collection(replace(shipped_collection().experiment.data, database={database}))
checked(QueryBrowser({{"one": one, "other": replace(one)}}))
"""
# Resolves with the milliseconds from the input event to the first change of what the selector's elements show.
WAIT = """([selector, before]) => new Promise((resolve, reject) => {
    const started = window.benchStarted;
    const look = () => {
        const now = [...document.querySelectorAll(selector)].map(e => e.src ?? e.textContent).join('|');
        if (now !== before) resolve(performance.now() - started);
        else if (performance.now() - started > 20000) reject(new Error(`${selector} has not changed for 20 s`));
        else setTimeout(look, 5);
    };
    look();
})"""
SHOWN = "s => [...document.querySelectorAll(s)].map(e => e.src ?? e.textContent).join('|')"
LISTEN = """() => { for (const kind of ['keydown', 'change', 'click'])
    document.addEventListener(kind, () => { window.benchStarted = performance.now(); }, true); }"""


def waited(notebook: Notebook, selector: str, act: Callable[[], Any], repeats: int = REPEATS) -> list[float]:
    """Seconds from each input to the changed page; one more, the first, is not counted."""
    notebook.page.evaluate(LISTEN)
    seconds = []
    for _ in range(repeats + 1):
        before = notebook.page.evaluate(SHOWN, selector)
        act()
        seconds.append(notebook.page.evaluate(WAIT, [selector, before]) / 1e3)
        notebook.page.wait_for_timeout(300)  # what else follows is over
    notebook.check()
    return seconds[1:]


def row(what: str, seconds: list[float], limit: float) -> dict[str, Any]:
    return {"what": what, "median s": statistics.median(seconds), "worst s": max(seconds), "limit s": limit}


def cell(folder: Path, name: str, source: str) -> str:
    """A notebook of one cell; its file name."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata=kernel)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return f"{name}.ipynb"


def first_picture(context: Any, own: Path) -> float:
    """Seconds from starting `cscelab lab` to the first picture of notebook 00."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/status?token={TOKEN}"
    command = [sys.executable, "-m", "cscelab", "lab", "--port", str(port), "--no-browser"]
    begin = time.perf_counter()
    with running(command, url, ROOT, own / "first.log", own_settings(own, data_root().resolve())) as server:
        page = context.new_page()
        notebook = Notebook(page, server)
        notebook.open("00_start_here.ipynb")
        notebook.begin()
        page.wait_for_selector(".jp-OutputArea-output img", timeout=120_000)
        seconds = time.perf_counter() - begin
        page.close()
    return seconds


def browser_rows(context: Any, server: Server) -> list[dict[str, Any]]:
    """Changes of query, method and k in a QueryBrowser, without and with activation maps."""
    name = cell(server.folder, "browser", BROWSER.format(database=DATABASE))
    rows = []
    with opened(context, server, name) as notebook:
        notebook.run_all()
        notebook.page.wait_for_selector(".csce-tile")
        other, method = cycle(("other", "one")), control(notebook, "dropdown", "method").locator("select")
        slider = control(notebook, "hslider", "k").locator(".noUi-handle")
        changes = {
            "query": (".csce-tile img", lambda: notebook.locator(".csce-tile").nth(1).press("Enter")),
            "method": (".csce-row .csce-title", lambda: method.select_option(label=next(other))),
            "k": (".csce-tile .csce-distance", lambda: slider.press("ArrowRight")),
        }
        for limit, maps in ((CHANGE, "without CAM"), (CHANGE_WITH_MAPS, "with CAM")):
            for what, (selector, act) in changes.items():
                rows.append(row(f"QueryBrowser, another {what}, {maps}", waited(notebook, selector, act), limit))
            if maps == "without CAM":
                for _ in range(REPEATS + 1):  # k as it was
                    slider.press("ArrowLeft")
                notebook.locator(".jupyter-button", has_text="CAM overlay").click()
                notebook.page.wait_for_selector(".csce-map")
                notebook.page.wait_for_timeout(3000)
    return rows


def explorer_rows(context: Any, server: Server, name: str) -> list[dict[str, Any]]:
    """One slider step of an explorer, in the browser and in Python alone."""
    words, path = SLIDERS[name]
    source = f"from cscelab.widgets import {name}, checked; checked({name}())"
    with opened(context, server, cell(server.folder, name, source)) as notebook:
        notebook.run_all()
        handle = control(notebook, "hslider", words).locator(".noUi-handle")
        if name in FROM_START:
            handle.press("Home")
            notebook.page.wait_for_timeout(2000)
        seconds = waited(notebook, PICTURES, lambda: handle.press("ArrowRight"))
    slider = widget = getattr(widgets, name)()
    for part in path.split("."):
        slider = slider[part] if isinstance(slider, dict) else getattr(slider, part)
    if name in FROM_START:
        slider.index = 0
    alone = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        if name in FROM_START:
            slider.index += 1
        else:
            slider.value += getattr(slider, "step", 1)
        alone.append(time.perf_counter() - begin)
    widgets.checked(widget)
    return [
        row(f"{name}, one step of {words!r}", seconds, STEP),
        row(f"{name}, the callback alone", alone[1:], CALLBACK),
    ]


def measure(program: str) -> list[dict[str, Any]]:
    shipped: Collection = shipped_collection(progress=True)  # drawn and coded before anything is timed
    shipped_collection(replace(shipped.experiment.data, database=DATABASE), progress=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary, chromium(program) as context:
        own = Path(temporary)
        folder = own / "notebooks"
        folder.mkdir()
        rows = [row("from `cscelab lab` to the first picture of notebook 00", [first_picture(context, own)], FIRST)]
        with jupyter_lab(folder, data_root().resolve(), own) as server:
            rows += browser_rows(context, server)
            for name in SLIDERS:
                rows += explorer_rows(context, server, name)
    return rows


def main() -> None:
    torch.set_num_threads(1)
    program = find_chromium()
    if program is None:
        print(f"The browser benchmark is left out: {ABSENT}.")
        return
    table = pd.DataFrame(measure(program))
    print(table.to_string(index=False, float_format="{:.2f}".format))
    path = ROOT / "figures" / "bench-browser.csv"
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False, float_format="%.3g")
    print(path)


if __name__ == "__main__":
    main()

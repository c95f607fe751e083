"""A notebook in JupyterLab, run and watched as a person would: what goes wrong anywhere in it is in `Page.wrong`."""

import json
import re
import time
from collections.abc import Callable
from contextlib import contextmanager
from itertools import pairwise

from playwright.sync_api import TimeoutError as TooLate

from browser.server import Server
from cscelab.widgets.shown import COLOURS

RUN_SECONDS = 240
WIDGET_SECONDS = 20
TRIES = 5  # at running a notebook
CLICK_SECONDS = 10
SWALLOWED = re.compile(r'"output_type":\s*"error"')  # in the state of a widget's output area
# What a kernel says on stderr without the widget manager's older protocol, which JupyterLab tries first: harmless.
HARMLESS_STDERR = re.compile(r"No such comm( target registered: jupyter\.widget\.control|: [0-9a-f-]{36})\n")
# What JupyterLab itself says in the console, word for word, harmless.
HARMLESS: tuple[str, ...] = ()
PROMPTS = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].map(p => p.innerText.trim());
    return prompts.length > 0 && prompts.every(p => /^\\[\\d+\\]:$/.test(p));
}"""
BEGUN = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')]
    .some(prompt => /^\\[(\\*|\\d+)\\]:$/.test(prompt.innerText.trim()))"""
DRAWN = "() => [...document.querySelectorAll('.jp-OutputArea-output img')].every(i => i.complete && i.naturalWidth > 0)"


class Watch:
    """Errors of a browser page: the console's, uncaught ones, and those in messages of the kernel."""

    def __init__(self, page) -> None:
        self.wrong: list[str] = []
        page.on("console", lambda message: self._said(message) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.wrong.append(f"uncaught in the page: {error}"))
        page.on("websocket", lambda socket: socket.on("framereceived", self._received))

    def _said(self, message) -> None:
        if message.text not in HARMLESS:
            self.wrong.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _received(self, frame: bytes | str) -> None:
        kind, content = message_of(frame)
        if kind == "error":
            self.wrong.append("kernel: " + COLOURS.sub("", "\n".join(content["traceback"])))
        elif kind == "stream" and content["name"] == "stderr":
            if said := HARMLESS_STDERR.sub("", content["text"]):
                self.wrong.append(f"kernel, on stderr: {said}")
        elif kind.startswith("comm") and SWALLOWED.search(state := json.dumps(content)):
            self.wrong.append(f"an output area holds an error: {COLOURS.sub('', state)[:5000]}")


def message_of(frame: bytes | str) -> tuple[str, dict]:
    """(type, content) of a kernel's message in JupyterLab's binary frames: a count, offsets of 8 bytes, then parts."""
    if isinstance(frame, str):
        return "", {}  # of another websocket, such as a terminal's
    count = int.from_bytes(frame[:8], "little")
    offsets = [int.from_bytes(frame[8 * i : 8 * i + 8], "little") for i in range(1, count + 1)]
    _, header, _, _, content = (frame[start:end] for start, end in pairwise(offsets[:6]))
    return json.loads(header)["msg_type"], json.loads(content)


class Notebook(Watch):
    """A notebook that is open in a page; close it to stop its kernel."""

    def __init__(self, page, server: Server) -> None:
        super().__init__(page)
        self.page, self.server = page, server
        self.dialogs: list[str] = []  # what JupyterLab asked before a cell ran

    def open(self, name: str) -> None:
        """Waits until the kernel is idle and no more cells appear: running earlier hangs."""
        self.page.goto(self.server.address(f"doc/tree/{name}", reset=""))
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=RUN_SECONDS * 1000)
        self.page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=RUN_SECONDS * 1000)
        count = -1
        while count != (count := self.page.locator(".jp-Cell").count()):
            self.page.wait_for_timeout(500)

    def run_all(self) -> None:
        """Runs every cell by the menu, and waits for the last prompt and for all pictures to be drawn."""
        self.begin()
        self.until(lambda: self.wrong or self.page.evaluate(PROMPTS), "every cell has run", RUN_SECONDS)
        self.until(lambda: self.wrong or self.page.evaluate(DRAWN), "every picture is drawn")
        self.check()

    def begin(self) -> None:
        """Begins to run every cell. JupyterLab loses the command when it comes while it still connects, or asks in a
        dialog which kernel to take: answered with what it proposes, as a person would, and once more."""
        for _ in range(TRIES):
            self._accept_dialogs()
            try:
                self.page.locator(".lm-MenuBar-item", has_text="Run").click(timeout=CLICK_SECONDS * 1000)
                self.page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click(timeout=CLICK_SECONDS * 1000)
            except TooLate:  # a dialog came over the menu
                continue
            if self._begun():
                return
        raise AssertionError("\n".join(["no cell began to run", *self.dialogs, *self.wrong]))

    def _accept_dialogs(self) -> None:
        """Presses the proposed button of every open dialog, and keeps what it said for a failure's message."""
        for _ in range(TRIES):
            if not (dialog := self.page.locator(".jp-Dialog:visible")).count():
                return
            self.dialogs.append(f"a dialog: {' '.join(dialog.first.inner_text().split())}")
            dialog.first.locator(".jp-mod-accept").first.click(timeout=CLICK_SECONDS * 1000)

    def _begun(self) -> bool:
        """Whether a cell runs within two seconds."""
        for _ in range(40):
            if self.page.evaluate(BEGUN):
                return True
            self.page.wait_for_timeout(50)
        return False

    def until(self, condition: Callable[[], object], what: str, seconds: float = WIDGET_SECONDS) -> None:
        """Waits for a condition. Raises AssertionError that says what did not come, and what went wrong meanwhile."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                break
            self.page.wait_for_timeout(50)
        else:
            return
        raise AssertionError("\n".join([f"after {seconds} s it is still not true that {what}", *self.wrong]))

    def check(self) -> None:
        """Raises AssertionError where anything went wrong so far."""
        self.page.wait_for_timeout(50)  # lets events that have come be seen
        assert not self.wrong, "\n".join(self.wrong)

    def locator(self, selector: str, **options):
        return self.page.locator(selector, **options)


@contextmanager
def opened(context, server: Server, name: str):
    """A notebook of the server's folder, open and idle; its page is closed and its kernel stopped afterwards."""
    page = context.new_page()
    notebook = Notebook(page, server)
    try:
        notebook.open(name)
        yield notebook
    finally:
        page.close()
        for session in server.request("api/sessions"):
            if session["path"] == name:
                server.request(f"api/sessions/{session['id']}", method="DELETE")

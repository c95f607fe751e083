"""`cscelab app` in a browser: nothing without the token; with it the QueryBrowser, which answers clicks and keys."""

import re
import sys
import urllib.error
import urllib.request

import pytest

from browser.controls import press, write
from browser.lab import Notebook
from browser.server import free_port, own_settings, running
from browser.test_lab_browser import tile_texts, title, wait_for_results
from cscelab.collection import shipped_collection

ADDRESS = re.compile(r"http://\S+\?token=\w+")


@pytest.fixture(scope="module")
def app(data, tmp_path_factory):
    """(address without token, address with it) of the app while it runs."""
    own, port = tmp_path_factory.mktemp("app"), free_port()
    log, url = own / "app.log", f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "cscelab", "app", "--port", str(port), "--no-browser"]
    with running(command, url, own, log, own_settings(own, data)):
        yield url, ADDRESS.search(log.read_text())[0]


def test_nothing_is_shown_without_the_token(app):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(app[0], timeout=20)
    assert refused.value.code == 403
    assert "token" in refused.value.read().decode()


def test_app_answers_clicks_and_keys(app, browser, data):
    shipped = shipped_collection(root=data)
    page = browser.new_page()
    try:
        notebook = Notebook(page, None)
        page.goto(app[1])
        page.wait_for_selector(".csce-tile", timeout=90_000)
        assert not page.locator(".jp-InputArea").count()  # no code to be seen
        query = shipped.query(0)
        wait_for_results(notebook, shipped, query)
        page.locator(".csce-tile").nth(2).click()
        query = shipped.query(int(shipped.find(query, 10).rows[2]), "database")
        wait_for_results(notebook, shipped, query)
        page.locator(".csce-tile").first.focus()
        press(notebook, "ArrowRight", "Enter")
        query = shipped.query(int(shipped.find(query, 10).rows[1]), "database")
        wait_for_results(notebook, shipped, query)
        write(notebook, "number", "9")
        wait_for_results(notebook, shipped, shipped.query(9))
        assert title(notebook) == "query image 9"
        assert len(tile_texts(notebook)) == 10
    finally:
        page.close()

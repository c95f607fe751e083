"""The app and the lab: where they listen, who gets in, and one sentence where they cannot start."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.parse import quote

import nbformat
import pytest

from cscelab import app, lab, ports
from cscelab.cli import main
from cscelab.ports import address, is_local, require, require_free

LOCAL = "127.0.0.1"
KERNEL = "/api/kernels/12345678-1234-1234-1234-123456789012"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return probe.getsockname()[1]


@contextmanager
def listening():
    """A port of this machine on which somebody else listens."""
    with socket.socket() as server:
        server.bind((LOCAL, 0))
        server.listen()
        yield server.getsockname()[1]


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(LOCAL, port, timeout=60)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode(errors="replace")
    connection.close()
    return response.status, body, response.headers


# --- where it listens


def test_a_used_port_and_impossible_addresses_are_one_sentence():
    with listening() as port, pytest.raises(OSError, match="in use.; choose another with --port") as raised:
        require_free(LOCAL, port)
    assert str(raised.value).startswith(f"cannot listen on port {port} of {LOCAL} (")
    require_free(LOCAL, free_port())
    for port in (0, -1, 65536):
        with pytest.raises(ValueError, match=f"port {port} was given; choose one from 1 to 65535"):
            require_free(LOCAL, port)
    with pytest.raises(OSError, match=r"cannot listen on port 8866 of 192.0.2.1 \("):  # nobody's address
        require_free("192.0.2.1", 8866)


@pytest.mark.parametrize("command", ["app", "lab"])
def test_on_the_command_line_a_used_port_is_exit_code_2(capsys, command):
    with listening() as port, pytest.raises(SystemExit) as stopped:
        main([command, "--port", str(port), "--no-browser"])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"cscelab: cannot listen on port {port}")
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize(("command", "module"), [("app", "voila"), ("lab", "jupyterlab")])
def test_what_is_not_installed_is_one_sentence(capsys, monkeypatch, command, module):
    monkeypatch.setattr(ports, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        main([command])
    assert stopped.value.code == 2
    assert f"needs {module}, which is not installed; run: pip install 'cscelab[workbench]'" in capsys.readouterr().err
    monkeypatch.undo()
    require("numpy", "everything")


def test_addresses():
    assert address(LOCAL, 8866, "/?token=t") == "http://127.0.0.1:8866/?token=t"
    assert address("0.0.0.0", 1, "/") == f"http://{socket.gethostname()}:1/"
    assert address("::1", 1) == "http://[::1]:1/"
    assert [is_local(host) for host in (LOCAL, "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_local(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org")] == [False] * 4


def test_other_addresses_only_when_told_and_with_a_warning(capsys, monkeypatch):
    served = []
    monkeypatch.setattr(app, "_serve", lambda folder, *settings: served.append(settings))
    port = free_port()
    app.launch(port)
    assert capsys.readouterr().err == ""
    app.launch(port, "0.0.0.0", browser=False)
    warning = capsys.readouterr().err
    assert warning.startswith("cscelab: listening on 0.0.0.0, so whoever reaches this machine and has the token")
    assert warning.count("\n") == 1
    (host, _, token, *_), (elsewhere, _, other, *_) = served
    assert (host, elsewhere) == (LOCAL, "0.0.0.0")
    assert re.fullmatch("[0-9a-f]{32}", token)
    assert token != other  # a new one each time


def test_the_notebook_is_the_widget_in_the_folder_where_it_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app.write_notebook(tmp_path / "page.ipynb")
    notebook = nbformat.read(tmp_path / "page.ipynb", as_version=4)
    nbformat.validate(notebook)
    (cell,) = notebook.cells
    assert repr(str(tmp_path)) in cell.source
    assert cell.source.endswith("checked(BrowserPage())")
    assert notebook.metadata.title == "cscelab"


def test_the_lab_says_where_it_listens_and_keeps_the_token_out_of_the_arguments(capsys, monkeypatch, tmp_path):
    called, answers = [], [7, KeyboardInterrupt, -15]

    class Server:
        def __init__(self, command, **options):
            called.append((command, options))

        __enter__, __exit__ = lambda self: self, lambda self, *_: None

        def poll(self):
            return None

        def wait(self):
            if isinstance(answer := answers.pop(0), int):
                return answer
            raise answer

        def terminate(self):
            called.append("terminated")

    monkeypatch.setattr(subprocess, "Popen", Server)
    monkeypatch.setattr(lab, "answers", lambda port: True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    port = free_port()
    assert lab.launch(port, browser=False) == 7
    ((command, options),) = called
    token = options["env"]["JUPYTER_TOKEN"]
    assert f"http://127.0.0.1:{port}/lab?token={token}" in capsys.readouterr().out
    assert not any(token in part for part in command)
    assert {"--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--no-browser"} <= set(command)
    assert options["cwd"].name == "notebooks"
    monkeypatch.setenv("JUPYTER_TOKEN", "mine")
    assert lab.launch(port) == 0  # stopped by Ctrl-C
    assert called[-1] == "terminated"
    assert capsys.readouterr().out.endswith("/lab?token=mine\nCtrl-C stops it.\n")  # the address comes last


def test_the_lab_as_root_runs_and_says_so_in_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert lab.root_options() == ["--allow-root"]
    assert capsys.readouterr().err == "cscelab: running as root, so notebooks can change the whole machine\n"
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert lab.root_options() == []
    assert capsys.readouterr().err == ""


def test_a_lab_that_ends_before_it_listens_is_not_waited_for():
    with subprocess.Popen([sys.executable, "-c", ""]) as server:
        assert not lab.wait_for(server, free_port())


# --- who gets in


def cookies(headers: http.client.HTTPMessage) -> str:
    return "; ".join(cookie.split(";")[0] for cookie in headers.get_all("Set-Cookie", []))


def kernel_of(page: str) -> str:
    found = re.search(r'"kernelId": "([0-9a-f-]{36})"', page)
    assert found
    return found[1]


def runs(port: int, token: str, kernel: str) -> bool:
    status = get(port, f"/api/kernels/{kernel}", Authorization=f"token {token}")[0]
    assert status in (200, 404)
    return status == 200


SMALL = """from cscelab.collection import shipped_collection
from cscelab.datasets import Aviary
from cscelab.widgets import QueryBrowser, checked

checked(QueryBrowser(shipped_collection(Aviary(n_classes=3, train=6, validation=3, query=6, database=12))))"""


@contextmanager
def served(source: str, idle: int = app.IDLE, looked: int = app.LOOKED):
    """(port, token) of the app in a process of its own, stopped with Ctrl-C; source: what its notebook runs."""
    port = free_port()
    code = (
        "import signal; from cscelab import app; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"app.SOURCE, app.IDLE, app.LOOKED = {source!r}, {idle}, {looked}; "
        f"app.launch({port}, browser=False, preheat=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(3))
        found = re.search(rf"http://127.0.0.1:{port}/\?token=([0-9a-f]+)\n", said)
        assert found, said + process.communicate()[1]
        yield port, found[1]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Traceback" not in err
    assert "WARNING" not in err  # of the kernels, either
    with socket.socket() as probe:
        assert probe.connect_ex((LOCAL, port)) != 0  # nobody listens any more


@pytest.mark.slow
def test_nothing_without_the_token_and_the_widget_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path))
    with served(SMALL) as (port, token):
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        closed = [
            ("/", {}),
            ("/?token=", {}),
            (f"/?token={token[:-1]}", {}),
            ("/", {"Authorization": "token wrong"}),
            ("/", {"Cookie": f"username-127-0-0-1-{port}=admin; username-localhost-{port}=admin"}),
            ("/voila/static/voila.js", {}),
            ("/voila/files/browser.ipynb", {}),
            ("/voila/templates/lab/static/x.js", {}),
            ("/voila/labextensions/x", {}),
            ("/login", {}),
            (KERNEL, {}),
            (f"{KERNEL}/channels", upgrade),
        ]
        for path, headers in closed:
            status, body, answered = get(port, path, **headers)
            assert (status, body) == (403, app.REFUSED), path
            assert "Set-Cookie" not in answered, path
        assert get(port, "/voila/api/shutdown/" + KERNEL[-36:], "POST")[0] == 403

        status, page, headers = get(port, f"/?token={token}")
        assert status == 200
        assert "application/vnd.jupyter.widget-view+json" in page
        assert "Traceback" not in page
        assert "<title>cscelab</title>" in page
        assert "shipped_collection" not in page  # no code is shown
        assert not re.search(r'<(link|script)[^>]+(href|src)="https?:', page)  # nothing from the internet
        cookie = cookies(headers)
        script = next(path for path in re.findall(r'src="(/voila/[^"]+\.js)', page))
        assert get(port, script)[0] == 403
        assert get(port, script, Cookie=cookie)[0] == 200  # what the page loads comes with its cookie
        assert get(port, "/voila/files/browser.ipynb", Cookie=cookie)[0] == 403  # but no files
        kernel = kernel_of(page)
        assert get(port, f"/api/kernels/{kernel}")[0] == 403
        assert runs(port, token, kernel)


@pytest.mark.slow
def test_a_page_that_closes_ends_its_kernel():
    with served("print('a page')") as (port, token):
        pages = [get(port, f"/?token={token}") for _ in range(2)]
        closing, staying = (kernel_of(page) for _, page, _ in pages)
        cookie = cookies(pages[0][2])
        (secret,) = re.findall(r"_xsrf=([^;]+)", cookie)
        path = f"/voila/api/shutdown/{closing}"
        assert get(port, path, "POST", Cookie=cookie)[0] == 403  # another site could send that
        assert runs(port, token, closing)
        assert get(port, f"{path}?_xsrf={quote(secret)}", "POST", Cookie=cookie)[0] == 204  # as a closing page does
        assert [runs(port, token, kernel) for kernel in (closing, staying)] == [False, True]


@pytest.mark.slow
def test_a_kernel_whose_page_is_gone_ends_in_time():
    with served("print('a page')", idle=2, looked=1) as (port, token):
        kernel = kernel_of(get(port, f"/?token={token}")[1])
        assert runs(port, token, kernel)
        until = time.monotonic() + 30
        while runs(port, token, kernel):
            assert time.monotonic() < until
            time.sleep(0.2)


@pytest.mark.slow
def test_an_error_in_the_kernel_is_seen_in_the_page(tmp_path, monkeypatch):
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path))
    with served("raise ValueError('the shelf has fallen')") as (port, token):
        _, page, _ = get(port, f"/?token={token}")
        assert "the shelf has fallen" in page

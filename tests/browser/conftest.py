"""One server and one browser for all tests here: they run in one worker and skip where no Chromium is installed."""

from contextlib import ExitStack
from pathlib import Path

import nbformat
import pytest
from smoke_runs import whole_data

from browser.chromium import ABSENT, chromium, find_chromium
from browser.lab import opened
from browser.server import jupyter_lab
from cscelab.collection import shipped_collection

NOTEBOOKS = Path(__file__).resolve().parent.parent.parent / "notebooks"
HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.slow)


# Of the package, not the session: while Playwright runs, its thread has an event loop that others would stumble over.
@pytest.fixture(scope="package")
def browser():
    """A browser context of Playwright, or a skip that says how to get one."""
    program = find_chromium()
    if program is None:
        pytest.skip(ABSENT)
    with chromium(program) as context:
        yield context


@pytest.fixture(scope="package")
def data(browser, tmp_path_factory):
    """$CSCELAB_DATA of kernels: smoke runs, the embedded data, the shipped encoder's codes."""
    with pytest.MonkeyPatch.context() as patch:
        folder = whole_data(tmp_path_factory)
        patch.setenv("CSCELAB_DATA", str(folder))  # figures drawn here to compare come from the same codes
        yield folder


@pytest.fixture(scope="package")
def shipped(data):
    """The shipped encoder's codes, those that kernels show."""
    return shipped_collection(root=data)


@pytest.fixture(scope="package")
def server(data, tmp_path_factory):
    """JupyterLab on copies of the notebooks, PROFILE set to smoke."""
    root = tmp_path_factory.mktemp("lab")
    folder = root / "notebooks"
    folder.mkdir()
    for path in NOTEBOOKS.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = 'PROFILE = "smoke"'
        nbformat.write(notebook, folder / path.name)
    with jupyter_lab(folder, data, root) as running:
        yield running


@pytest.fixture
def lab(browser, server):
    """A function name -> the notebook, open in JupyterLab; closed after the test, which fails for any error in it."""
    with ExitStack() as stack:
        notebooks = []

        def open_notebook(name: str):
            notebooks.append(stack.enter_context(opened(browser, server, name)))
            return notebooks[-1]

        yield open_notebook
        for notebook in notebooks:
            notebook.check()


@pytest.fixture
def write_cell(server, request):
    """A function source -> the name of a notebook of one cell with that source, in the server's folder."""

    def write(source: str) -> str:
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata=kernel)
        name = f"{request.node.originalname}.ipynb"
        nbformat.write(notebook, server.folder / name)
        return name

    return write


@pytest.fixture
def run_cell(lab, write_cell):
    """A function source -> an open notebook of one cell with that source, which has run."""

    def run(source: str):
        notebook = lab(write_cell(source))
        notebook.run_all()
        return notebook

    return run

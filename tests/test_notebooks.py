"""Notebooks run from top to bottom on smoke runs, show what they promise, define nothing, and carry no outputs."""

import ast
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from smoke_runs import whole_data

from cscelab.figures.provenance import SMOKE_MARK

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
PICTURES = {  # how many figures each shows at least
    "00_start_here": 6,
    "01_hadamard_centers": 6,
    "02_dynamic_sign": 7,
    "03_anatomy": 9,
    "04_losses_and_margins": 3,
    "05_ablations": 5,
    "06_cam": 7,
    "07_galleries": 8,
    "08_evaluation": 8,
    "09_query_browser": 6,
    "10_compared_methods": 7,
    "11_exchnet": 9,
    "12_deep_ordinal_hashing": 10,
}
N_EXERCISES = 3
OWN_METHOD = "own-method"
CELL_SECONDS = 300

pytestmark = pytest.mark.xdist_group("notebooks")  # one worker, so that smoke runs are trained once


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def cells(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout")


@pytest.fixture(scope="session")
def kernel_environment(tmp_path_factory):
    """The environment of kernels: smoke runs and the embedded data, shared by all tests, no settings of this user."""
    root = tmp_path_factory.mktemp("notebooks")
    data = whole_data(tmp_path_factory)
    own = {"CSCELAB_DATA": data, "JUPYTER_DATA_DIR": root / "jupyter", "JUPYTER_RUNTIME_DIR": root / "runtime",
           "IPYTHONDIR": root / "ipython"}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in own.items():
            patch.setenv(name, str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield dict(os.environ)


@pytest.fixture(scope="session")
def executed(kernel_environment):
    """A function name -> the notebook executed on the smoke profile, each once."""
    done = {}

    def execute(name):
        if name not in done:
            notebook = read(name)
            (parameters,) = cells(notebook, "parameters")
            parameters.source = 'PROFILE = "smoke"'
            where = {"metadata": {"path": str(FOLDER)}}
            client = NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=where)
            done[name] = client.execute(env=kernel_environment)  # raises CellExecutionError where a cell fails
        return done[name]

    return execute


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_notebook_runs_and_shows_its_figures(name, executed):
    outputs = [output for cell in executed(name).cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= PICTURES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_self_checks_wait_for_an_answer_and_accept_the_solutions(name, executed):
    notebook = executed(name)
    assert [printed(cell) for cell in cells(notebook, "self-check")] == ["not answered yet\n"] * N_EXERCISES
    assert [printed(cell) for cell in cells(notebook, "solution")] == ["right\n"] * N_EXERCISES


@pytest.mark.slow
def test_smoke_numbers_are_marked_where_tables_show_them(executed):
    outputs = [output for cell in executed("05_ablations").cells if cell.cell_type == "code" for output in cell.outputs]
    tables = [output.data.get("text/html", "") for output in outputs if "data" in output]
    assert sum(SMOKE_MARK in table for table in tables) >= 2  # Tables 2 and 3, and what is computed from them


def test_every_notebook_of_the_folder_is_tested():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_first_cells_are_objectives_and_parameters(name):
    first, second, *_ = read(name).cells
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {name.split('_')[0]} ")
    for promise in ("**Question.**", "**You will be able to**", "minutes", "**Profile**"):
        assert promise in first.source
    assert second.metadata.tags == ["parameters"]
    assert second.source.startswith('PROFILE = "quick"')


@pytest.mark.parametrize("name", PICTURES)
def test_exercises_come_with_folded_solutions(name):
    notebook = read(name)
    questions, solutions = cells(notebook, "self-check"), cells(notebook, "solution")
    assert len(questions) == len(solutions) == N_EXERCISES
    assert all(cell.source.startswith("answer = None\n") for cell in questions)
    assert all(cell.metadata.jupyter.source_hidden for cell in solutions)
    assert "Where to go next" in notebook.cells[-1].source


@pytest.mark.parametrize("name", PICTURES)
def test_notebook_is_stripped_and_defines_nothing(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            if OWN_METHOD in cell.metadata.get("tags", []):
                continue  # what the reader is to write; test_own_method compares it with docs/own-method.md
            defined = [
                node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.FunctionDef | ast.ClassDef)
            ]
            assert not defined, f"{cell.id} defines {defined[0].name}; put it into the package"

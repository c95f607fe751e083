"""What holds the project together: pins and ranges agree, conda gets the same set, names that must exist, notebooks."""

import ast
import importlib
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, Version]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines), "exact versions only"
    return {canonical(name): Version(version) for name, version in (line.split("==") for line in lines)}


def test_every_requirement_is_pinned_within_its_range():
    pinned = pins()
    for text in [*PROJECT["dependencies"], *EXTRAS["workbench"], *EXTRAS["dev"]]:
        requirement = Requirement(text)
        version = pinned[canonical(requirement.name)]
        assert version in requirement.specifier, f"{text} excludes the pin {version}"


def test_pins_carry_no_platform():
    assert not [name for name in pins() if name.startswith(("nvidia", "cuda", "triton"))]
    assert all(not version.local for version in pins().values())


def test_conda_users_get_the_same_set():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python = next(item for item in environment["dependencies"] if str(item).startswith("python="))
    assert Version(python.split("=")[1]) in Requirement("x" + PROJECT["requires-python"]).specifier
    pip = next(item for item in environment["dependencies"] if isinstance(item, dict))["pip"]
    assert pip == ["-c constraints.txt", "-e .[workbench,dev]"]
    makefile = (ROOT / "Makefile").read_text()
    assert '-c constraints.txt -e ".[workbench,dev]"' in makefile


def test_supported_pythons_are_stated_alike():
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    classifiers = {c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if "Python :: 3." in c}
    assert classifiers == {"3.11", "3.12", "3.13"}
    assert "3.11, 3.12 or 3.13" in (ROOT / "Makefile").read_text()
    assert "3.11" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("module", "names"),
    {
        "codes": ["pack", "unpack", "hamming_distance"],
        "centers": ["hash_centers", "center_report", "multilabel_centers"],
        "dsf": ["sign", "dynamic_sign"],
        "losses": ["margin_loss", "quantization_loss"],
        "model.aie": ["AIE", "aie"],
        "methods": ["METHODS", "build"],
        "evaluate": ["mean_average_precision", "evaluate"],
        "search": ["CodeIndex"],
        "experiment": ["Experiment", "run"],
        "recipes": ["RECIPES"],
    }.items(),
)
def test_names_other_people_rely_on(module, names):
    found = importlib.import_module(f"cscelab.{module}")
    assert [name for name in names if not hasattr(found, name)] == []


def test_the_core_needs_no_workbench():
    """Below floor 6 the workbench's packages are imported where they are used, so that a bare GPU machine will do."""
    banned = {"matplotlib", "pandas", "seaborn", "torchcam", "IPython", "ipywidgets", "tyro", "jupyterlab", "faiss"}
    shown = {"lab.py", "doctor.py"}
    folders = {"cli", "figures", "widgets"}
    core = [
        path
        for path in (ROOT / "cscelab").rglob("*.py")
        if path.name not in shown and not folders & set(path.relative_to(ROOT).parts)
    ]
    assert len(core) > 30
    for path in core:
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & banned, path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_follow_the_conventions(path):
    notebook = json.loads(path.read_text())
    cells = notebook["cells"]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert re.match(r"# \d\d ", "".join(cells[0]["source"]))
    assert re.search(r"minutes", "".join(cells[0]["source"]))
    assert "parameters" in cells[1]["metadata"].get("tags", [])
    assert "".join(cells[1]["source"]).strip().startswith('PROFILE = "quick"')
    assert not [cell for cell in cells if cell.get("outputs")]


def test_there_are_notebooks():
    assert {path.stem[:2] for path in NOTEBOOKS} >= {"01", "02", "05", "06", "07", "08"}


def commands_in(text: str) -> set[str]:
    """Commands in indented or quoted lines: "    .venv/bin/cscelab train" and "`cscelab train`"."""
    indented = re.findall(r"^\s*\.venv/bin/cscelab (\w+)", text, re.M)
    return {*indented, *re.findall(r"`(?:\.venv/bin/)?cscelab\s+(\w+)", text)}


def test_readme_and_notebooks_name_only_commands_that_exist():
    from cscelab.cli import COMMANDS

    readme = commands_in((ROOT / "README.md").read_text())
    sources = ["".join(cell["source"]) for path in NOTEBOOKS for cell in json.loads(path.read_text())["cells"]]
    notebooks = commands_in("\n\n".join(sources))
    assert len(readme) >= 5  # else the patterns no longer find what is there
    assert len(notebooks) >= 2
    assert readme | notebooks <= set(COMMANDS)

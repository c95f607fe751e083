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
NUMBERS = [f"{number:02d}" for number in range(13)]  # that must exist, in the order of the field
N_EXERCISES = 3


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
    banned = {
        "matplotlib",
        "pandas",
        "seaborn",
        "torchcam",
        "IPython",
        "ipywidgets",
        "tyro",
        "jupyterlab",
        "faiss",
        "timm",
    }
    shown = {"lab.py", "doctor.py", "course.py", "pages.py"}
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


def cells_of(path: Path, tag: str | None = None) -> list[dict]:
    cells = json.loads(path.read_text())["cells"]
    return cells if tag is None else [cell for cell in cells if tag in cell["metadata"].get("tags", [])]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def of_notebooks(function):
    return pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)(function)


@of_notebooks
def test_notebooks_begin_with_question_objectives_minutes_profile_and_parameters(path):
    first, second = cells_of(path)[:2]
    assert first["cell_type"] == "markdown"
    assert source(first).startswith(f"# {path.stem[:2]} ")
    for promise in ("**Question.** ", "**You will be able to**\n\n- ", "**Time**", " minutes", "**Profile**"):
        assert promise in source(first)
    assert second["metadata"]["tags"] == ["parameters"]
    standard = "three seeds, 16, 32 and 64 bits"
    if path.stem.startswith(("10", "11", "12")):  # compare single runs, so that this is all it changes there
        standard = "more images and epochs; its runs take hours, so train them first (see below)"
    assert source(second).strip() == f'PROFILE = "quick"  # or "standard": {standard}'


@of_notebooks
def test_notebooks_end_with_summary_exercises_and_where_to_go(path):
    text = "\n".join(source(cell) for cell in cells_of(path) if cell["cell_type"] == "markdown")
    places = [text.index(f"\n## {heading}\n") for heading in ("Summary", "Exercises")]
    assert places == sorted(places)
    last = source(cells_of(path)[-1])
    assert last.startswith("## Where to go next\n")
    named = set(re.findall(r"\d\d_\w+\.ipynb", last))
    assert named, "the way on leads to another notebook"
    assert named <= {other.name for other in NOTEBOOKS}
    assert path.name not in named


@of_notebooks
def test_every_exercise_has_a_self_check_and_a_folded_solution(path):
    cells = cells_of(path)
    tags = [tag for cell in cells for tag in cell["metadata"].get("tags", []) if tag in ("self-check", "solution")]
    assert tags == ["self-check", "solution"] * N_EXERCISES
    pairs = zip(cells_of(path, "self-check"), cells_of(path, "solution"), strict=True)
    for number, (question, solution) in enumerate(pairs, 1):
        assert solution["metadata"]["jupyter"] == {"source_hidden": True}
        assert source(question).startswith("answer = None\n")
        assert "answer = None" not in source(solution)
        assert source(solution).startswith("# Solution\n"), "JupyterLab shows the first line of a folded cell"
        checks = [ast.parse(source(cell)).body[-1] for cell in (question, solution)]
        assert ast.unparse(checks[0]).startswith(f"check('{path.stem[:2]}-{number}', answer")
        assert ast.unparse(checks[0]) == ast.unparse(checks[1]), "the solution is checked as the answer is"


def plain_calls(path: Path) -> set[str]:
    """Names that a notebook imports from `cscelab.figures`."""
    code = "\n".join(source(cell) for cell in cells_of(path) if cell["cell_type"] == "code")
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    return {
        alias.asname or alias.name
        for node in nodes
        if (node.module or "").startswith("cscelab.figures")
        for alias in node.names
    }


def drawn_by(cell: dict) -> str | None:
    """The function whose value a cell shows: its last line, where that is a plain call."""
    last = ast.parse(source(cell)).body[-1]
    call = last.value if isinstance(last, ast.Expr) else None
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else None


@of_notebooks
def test_every_widget_has_a_static_twin(path):
    """A cell that shows a widget, `checked(...)`, is followed by one that shows a figure by a plain call."""
    code = [cell for cell in cells_of(path) if cell["cell_type"] == "code"]
    widgets = [index for index, cell in enumerate(code) if drawn_by(cell) == "checked"]
    assert widgets, "each notebook has a widget for its idea"
    for index in widgets:
        assert drawn_by(code[index + 1]) in plain_calls(path), source(code[index])


def test_the_notebooks_of_the_course_are_there():
    numbers = [path.stem[:2] for path in NOTEBOOKS]
    assert len(set(numbers)) == len(numbers)
    assert [number for number in NUMBERS if number not in numbers] == []


def table_of_notebooks(text: str, folder: str = "") -> dict[str, str]:
    """File -> the rest of its row, of the rows that begin with a link to a notebook."""
    return dict(re.findall(rf"^\| \[[^\]]+\]\({folder}(\d\d_\w+\.ipynb)\) \|(.*)$", text, re.M))


def test_readme_and_start_list_exactly_the_notebooks_that_exist():
    readme = table_of_notebooks((ROOT / "README.md").read_text(), "notebooks/")
    assert list(readme) == [path.name for path in NOTEBOOKS]
    start = "\n".join(source(cell) for cell in cells_of(ROOT / "notebooks" / "00_start_here.ipynb"))
    index = table_of_notebooks(start)
    assert list(index) == [path.name for path in NOTEBOOKS]
    guide = (ROOT / "notebooks" / "INSTRUCTOR.md").read_text()
    for path in NOTEBOOKS:  # the minutes that each states itself
        minutes = re.search(r"(\d+) minutes", source(cells_of(path)[0]))[1]
        assert f"| {minutes} |" in index[path.name], path.name
        assert re.search(rf"^\| {path.stem[:2]} .*\| {minutes} min \|", guide, re.M), path.name


def test_the_learning_map_holds_the_course():
    from cscelab.figures.learning_map import LESSONS

    assert list(LESSONS) == NUMBERS
    assert (ROOT / "figures" / "learning-map.png").is_file()


def test_the_glossary_is_alphabetical_and_points_to_what_is_there():
    text = (ROOT / "notebooks" / "GLOSSARY.md").read_text()
    entries = [" ".join(part.split()) for part in re.split(r"^- ", text, flags=re.M)[1:]]
    names = [re.match(r"\*\*([^*]+)\*\*", entry)[1].lower() for entry in entries]
    assert len(names) >= 35
    assert names == sorted(names)
    for entry in entries:
        places = re.search(r"\[([^\]]+)\]$", entry)
        assert places, f"{entry} says not where it is"
        for place in places[1].split(", "):
            if place.startswith("`"):
                importlib.import_module(f"cscelab.{place.strip('`')}")
            else:
                assert place in NUMBERS, entry


def test_numbers_of_the_instructor_guide_are_those_of_the_readme_and_the_tables():
    """Scores, differences and intervals: a number with a decimal point and no digit before it."""
    guide = (ROOT / "notebooks" / "INSTRUCTOR.md").read_text()
    said = set(re.findall(r"(?<![\w.])\.\d{2,3}\b", guide))
    assert len(said) > 15
    tables = {path.name: path.read_text() for path in (ROOT / "figures").glob("*.csv")}
    for name in re.findall(r"figures/([\w-]+\.csv)", guide):
        assert name in tables
    measured = re.findall(r"-?\d+\.\d+", "\n".join(tables.values()))
    known = {f"{abs(float(number)):.3f}"[1:] for number in measured}
    known |= set(re.findall(r"(?<![\w.])\.\d{2,3}\b", (ROOT / "README.md").read_text()))
    assert sorted(said - known) == []


def test_what_the_instructor_guide_says_of_maps_is_in_the_table_of_fig_6():
    """Masses inside, numbers with a digit before the point: 3.0 and 1.66 [1.62, 1.71]."""
    guide = (ROOT / "notebooks" / "INSTRUCTOR.md").read_text()
    said = re.findall(r"(?<![\w.])\d\.\d+(?![\w.])", guide)
    assert len(said) >= 4
    measured = re.findall(r"\d+\.\d+", (ROOT / "figures" / "fig6-mass-inside.csv").read_text())
    for number in said:
        assert number in {f"{float(one):.{len(number) - 2}f}" for one in measured}


def test_the_glossary_has_the_terms_that_notebooks_use_without_explaining_them():
    entries = (ROOT / "notebooks" / "GLOSSARY.md").read_text()
    for term in ("Bootstrap", "Grad-CAM", "Validation split", "Receptive field", "Frobenius norm", "Collapse"):
        assert f"\n- **{term}**: " in entries


def test_targets_of_make_that_texts_name_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    texts = [(ROOT / "README.md").read_text(), *(path.read_text() for path in (ROOT / "notebooks").glob("*.md"))]
    texts += [source(cell) for path in NOTEBOOKS for cell in cells_of(path) if cell["cell_type"] == "markdown"]
    named = {name for text in texts for name in re.findall(r"`make ([a-z]+)|^ {4}make ([a-z]+)", text, re.M)}
    flat = {name for pair in named for name in pair if name}
    assert {"figures", "lab", "course"} <= flat
    assert flat <= targets
    assert set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()) == targets


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

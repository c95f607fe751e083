"""What students get of our own notebooks: no solution, not even in a self-check, and no link that leads nowhere."""

import ast
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from cscelab import course
from cscelab.course import for_students, with_links, write_course

OURS = Path(__file__).resolve().parent.parent / "notebooks"


def ours():
    return {path.stem: nbformat.read(path, 4) for path in sorted(OURS.glob("*.ipynb"))}


def tagged_cells(notebook, tag):
    return [cell.source for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


@pytest.mark.parametrize("stem", ours())
def test_no_question_that_students_see_holds_its_solution(stem):
    """A self-check names the exercise and hands over variables: no other expression, so none of its solution's."""
    notebook = ours()[stem]
    student = for_students(notebook, ())
    questions, solutions = tagged_cells(student, "self-check"), tagged_cells(notebook, "solution")
    assert len(questions) == len(solutions) == 3
    for question, solution in zip(questions, solutions, strict=True):
        (expression,) = (node.value for node in ast.parse(solution).body
                         if isinstance(node, ast.Assign) and node.targets[0].id == "answer")  # fmt: skip
        shown = [ast.unparse(node) for node in ast.walk(ast.parse(question)) if isinstance(node, ast.expr)]
        assert ast.unparse(expression) not in shown
        first, call = ast.parse(question).body
        assert ast.unparse(first) == "answer = None"
        assert [type(one) for one in call.value.args] == [ast.Constant, ast.Name]
        assert all(isinstance(one.value, ast.Name) and one.value.id == one.arg for one in call.value.keywords)
    whole = "\n".join(cell.source for cell in student.cells)
    assert not re.search(r"# Solution|[Ss]olutions? (is|are) |folded|INSTRUCTOR", whole)


def test_links_of_texts_lead_to_what_is_there_or_become_words():
    text = "[a](a.md#part), [b](b.md), [web](https://c.org/d.md), [part](#part), ![e](e.png), $[v](x)$"
    assert with_links(text, {"a.md"}) == text.replace("[b](b.md)", "b")
    assert with_links(text, {"a.md", "b.md"}) == text


def only_words(notebook):
    """Without its code, which has no links and takes most of a page's time."""
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    return notebook


def test_every_link_of_the_students_folder_leads_somewhere(tmp_path, monkeypatch):
    """Our own notebooks, written without a kernel: as notebooks, as Markdown and as pages."""
    folder, out = tmp_path / "notebooks", tmp_path / "course"
    shutil.copytree(OURS, folder, ignore=shutil.ignore_patterns(".*"))
    monkeypatch.setattr(course, "execute", lambda path, profile: only_words(nbformat.read(path, 4)))
    assert write_course(folder, out, "quick", progress=False) == []
    student = out / "student"
    assert {"GLOSSARY.md", "00_start_here.ipynb"} <= {path.name for path in student.iterdir()}
    assert not list(student.glob("INSTRUCTOR*"))
    texts = {path: path.read_text() for path in student.glob("*.md")}
    for path in student.glob("*.ipynb"):
        texts[path] = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
    links = {(path, link) for path, text in texts.items() for link in re.findall(r"\]\(([^)\s#]+\.\w+)[^)]*\)", text)}
    assert len(links) > 10
    for path in student.glob("*.html"):
        found = BeautifulSoup(path.read_text(), "html.parser").select("a[href]")
        links |= {(path, link["href"]) for link in found if link["href"][0] != "#"}
    missing = [f"{path.name}: {link}" for path, link in links
               if not re.match(r"https?:", link) and not (path.parent / link.split("#")[0]).is_file()]  # fmt: skip
    assert missing == []

"""The teaching kit: solutions leave the student version, pages read offline, failures are named; map and tour."""

import re
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from matplotlib.patches import Circle, Polygon, Rectangle
from matplotlib.text import Text
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cscelab import course
from cscelab.collection import Collection
from cscelab.course import Failure, as_handed_out, describe, execute, for_students, index_text, main, write_course
from cscelab.figures.learning_map import LESSONS, WAYS, Lesson, learning_map
from cscelab.figures.tour import code_figure, distances_figure
from cscelab.pages import WIDGET, markdown_page, mathml, page

FIRST = """# 01 Halves

**Question.** How many halves make a whole?

**You will be able to**

- count to two.

**Time** about 3 minutes to read; seconds to run. **Profile**: none."""
OURS = Path(__file__).resolve().parent.parent / "notebooks"
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def tagged(source, tag=None, **metadata):
    return new_code_cell(source, metadata={"tags": [tag], **metadata} if tag else {})


def small_notebook(question="answer = None", work="print(PROFILE, 6 * 7)"):
    hidden = {"jupyter": {"source_hidden": True}}
    cells = [
        new_markdown_cell(FIRST),
        tagged('PROFILE = "quick"', "parameters"),
        new_markdown_cell("Read $K/2$ in `02_more.ipynb`, [the terms](GLOSSARY.md) and [a module](../cscelab/dsf.py)."),
        new_code_cell(work),
        tagged(question, "self-check"),
        tagged("answer = 2  # two halves", "solution", **hidden),
    ]
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "p"}})


@pytest.fixture
def folder(tmp_path):
    """Two small notebooks, the second of which fails, and both texts."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(small_notebook(), folder / "01_halves.ipynb")
    broken = small_notebook(work="whole = 1\nwhole / 0")
    broken.cells[0].source = FIRST.replace("01 Halves", "02 More")
    nbformat.write(broken, folder / "02_more.ipynb")
    (folder / "GLOSSARY.md").write_text("# Glossary\n\n- **Half**: see [01](01_halves.ipynb), $x_1$.\n")
    (folder / "INSTRUCTOR.md").write_text("# Instructor guide\n\nSee [terms](GLOSSARY.md).\n")
    return folder


@pytest.fixture
def finished(folder):
    """Executed as if by a kernel, so that pages are tested without one."""
    notebook = small_notebook()
    picture = new_output("display_data", {"text/html": f'<img alt="a dot" src="data:image/png;base64,{PICTURE}">'})
    view = {WIDGET: {"model_id": "0"}, "text/plain": "CenterExplorer(children=(Button(),))"}
    notebook.cells[3].source = "checked(CenterExplorer())"
    notebook.cells[3].outputs = [
        new_output("stream", name="stderr", text="runs: 100%|█████| 2/2"),
        new_output("display_data", view),
        picture,
    ]
    return notebook


def parse(html):
    return BeautifulSoup(html, "html.parser")


def test_the_first_cell_is_read():
    found = describe(small_notebook())
    assert (found.title, found.question) == ("01 Halves", "How many halves make a whole?")
    assert found.time == "about 3 minutes to read"
    with pytest.raises(ValueError, match=r"has no \*\*Question\.\*\* and no \*\*Time\*\*; begin it as the others do"):
        describe(new_notebook(cells=[new_markdown_cell("# 01 Halves")]))


def test_students_get_every_cell_but_the_solutions_and_those_for_teachers():
    notebook = small_notebook()
    notebook.cells.append(new_markdown_cell("See [the guide](INSTRUCTOR.md).", metadata={"tags": ["teacher"]}))
    student = for_students(notebook, {"GLOSSARY.md"})
    read = "Read $K/2$ in `02_more.ipynb`, [the terms](GLOSSARY.md) and a module."
    assert [cell.source for cell in student.cells] == [
        FIRST, 'PROFILE = "quick"', read, "print(PROFILE, 6 * 7)", "answer = None"
    ]  # fmt: skip
    assert len(notebook.cells) == 7  # the original stays whole
    assert "](../cscelab/dsf.py)" in notebook.cells[2].source


def test_what_a_teacher_left_in_a_notebook_is_not_handed_out():
    notebook = small_notebook('answer = 2\n\ncheck("01-1", answer)')
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [new_output("stream", text="42 Halves")], 7
    handed = as_handed_out(notebook)
    assert [cell.source for cell in handed.cells[-2:-1]] == ['answer = None\n\ncheck("01-1", answer)']
    assert not any(cell.outputs or cell.execution_count for cell in handed.cells if cell.cell_type == "code")
    assert notebook.cells[-2].source.startswith("answer = 2")  # theirs stays
    assert as_handed_out(small_notebook("answer = 3")).cells[-2].source == "answer = None"


def test_pages_fold_solutions_name_widgets_and_keep_alt_texts(finished):
    soup = parse(page(finished, "01 Halves", links=[("all notebooks", "../index.html")]))
    (details,) = soup.select("details.solution")
    assert not details.has_attr("open")
    assert "two halves" in details.text
    assert "answer = None" not in details.text
    assert [image["alt"] for image in soup.select("main img")] == ["a dot"]
    (widget,) = soup.select("p.widget")
    assert "a widget, CenterExplorer, stands here" in widget.text
    assert "100%" not in soup.text
    assert soup.select_one("nav a")["href"] == "../index.html"
    assert soup.title.text == "01 Halves"
    assert len(finished.cells[3].outputs) == 3  # the notebook itself is as it was


def test_pages_need_no_network(finished):
    html = page(finished, "01 Halves")
    soup = parse(html)
    assert soup.select("script, iframe, link[href]") == []
    assert not [tag for tag in soup.select("[src]") if not tag["src"].startswith("data:")]
    assert "@import" not in html
    assert not re.search(r"url\(\s*['\"]?https?:", html)
    (formula,) = soup.select("main math")
    assert formula["alttext"] == "K/2"


def test_links_lead_to_pages_that_are_there_and_others_become_words(finished):
    soup = parse(page(finished, "01 Halves", known={"02_more.ipynb", "GLOSSARY.md"}))
    text = soup.select_one(".jp-RenderedMarkdown math").find_parent("p")
    links = {link.text: link["href"] for link in text.select("a")}
    assert links == {"02_more.ipynb": "02_more.html", "the terms": "GLOSSARY.html"}
    assert "a module" in text.text
    alone = parse(page(finished, "01 Halves")).select_one(".jp-RenderedMarkdown math").find_parent("p")
    assert not alone.select("a")


def test_formulas_become_mathml():
    block = parse(mathml(r"d = \frac{K}{2} \tag{5}", display=True)).math
    assert block["display"] == "block"
    assert block.mfrac is not None
    assert block.text.endswith("(5)")
    assert parse(mathml(r"\texttt{fc\_t}")).text.endswith("fc_t")
    assert parse(mathml("a < b")).math["alttext"] == "a < b"
    for wrong in (r"\left( x", r"\nosuchcommand x"):
        with pytest.raises(ValueError, match=r"the formula '.*' cannot be written as MathML; spell it otherwise"):
            mathml(wrong)


def test_every_formula_of_the_course_becomes_mathml():
    texts = [path.read_text() for path in OURS.glob("*.md")]
    for path in OURS.glob("*.ipynb"):
        texts += [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    soup = parse(markdown_page("\n\n".join(texts), "all"))
    assert len(soup.select("main math")) > 40
    for formula in soup.select("main math"):
        formula.decompose()
    for code in soup.select("code, pre"):
        code.decompose()
    assert not re.findall(r"\$[^$\n]+\$", soup.select_one("main").text)


def test_the_index_names_both_versions_and_what_failed():
    described = {"01_halves": describe(small_notebook()), "02_more": describe(small_notebook())}
    versions = {"student": ["GLOSSARY.md"], "full": ["GLOSSARY.md", "INSTRUCTOR.md"]}
    text = index_text(described, versions, {"02_more": "02_more.ipynb failed in cell 4"}, "smoke")
    assert "[read](student/01_halves.html), [notebook](student/01_halves.ipynb) | [read](full/01_halves.html) |" in text
    assert "did not run, [notebook](student/02_more.ipynb) | did not run |" in text
    assert "- 02_more.ipynb failed in cell 4" in text
    assert "the numbers mean nothing" in text
    assert "[Instructor guide](full/INSTRUCTOR.html)" in text
    own = index_text(described, {"student": ["GLOSSARY.md"]}, {}, "quick", "student")
    assert "[read](01_halves.html)" in own
    assert "full/" not in own
    assert "INSTRUCTOR" not in own
    assert "mean nothing" not in own


@pytest.mark.slow
def test_the_course_is_written_and_the_failing_notebook_named(folder, tmp_path, capsys):
    out = tmp_path / "course"
    assert main(["--profile", "smoke", "--notebooks", str(folder), "--out", str(out)]) == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("course: 0")]
    assert said == "course: 02_more.ipynb failed in cell 4, 'whole = 1': ZeroDivisionError: division by zero"
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    both = {"01_halves.html", "02_more.html", "GLOSSARY.html"}
    student = both | {"index.html", "GLOSSARY.md", "01_halves.ipynb", "02_more.ipynb"}
    full = both | {"INSTRUCTOR.html"}
    assert written == {"index.html", *(f"student/{name}" for name in student), *(f"full/{name}" for name in full)}
    pages = {version: parse((out / version / "01_halves.html").read_text()) for version in ("student", "full")}
    for soup in pages.values():
        assert "smoke 42" in soup.text  # executed, under the profile asked for
    assert "two halves" in pages["full"].text
    assert "two halves" not in pages["student"].text
    assert "No page: 02_more.ipynb failed in cell 4" in (out / "student" / "02_more.html").read_text()
    notebook = nbformat.read(out / "student" / "01_halves.ipynb", 4)
    nbformat.validate(notebook)
    assert not [cell for cell in notebook.cells if "solution" in cell.metadata.get("tags", []) or cell.get("outputs")]
    assert notebook.cells[1].source == 'PROFILE = "quick"'  # students get it as it is in the repository
    for path in out.rglob("*.html"):  # no link leads nowhere
        for link in parse(path.read_text()).select("a[href]"):
            if not re.match(r"#|https?:", link["href"]):
                assert (path.parent / link["href"]).is_file(), f"{path}: {link['href']}"


def test_a_notebook_that_runs_too_long_is_named(folder, monkeypatch):
    monkeypatch.setattr(course, "CELL_SECONDS", 1)
    path = folder / "01_halves.ipynb"
    nbformat.write(small_notebook(work="import time\ntime.sleep(60)"), path)
    failed = execute(path)
    assert failed == Failure(
        "01_halves", "01_halves.ipynb failed in cell 4, 'import time': it took longer than 1 seconds"
    )


def test_mistakes_are_one_sentence(folder, tmp_path, capsys):
    with pytest.raises(ValueError, match="unknown profile 'fast'; choose from"):
        write_course(folder, tmp_path / "out", "fast")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["--notebooks", str(empty), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("course: no notebook, as 00_start_here.ipynb, is in ")
    assert not (tmp_path / "out").exists()


def test_the_map_goes_forward_and_its_ways_go_along_it():
    assert list(LESSONS) == [f"{number:02d}" for number in range(13)]
    for lesson in LESSONS.values():
        assert all(LESSONS[earlier].column < lesson.column for earlier in lesson.builds_on)
        rows = [LESSONS[earlier].row for earlier in lesson.builds_on]
        assert rows == sorted(rows)  # so that arrows do not cross at their heads
    for way in WAYS.values():
        assert way.lessons[0] == "00"
        assert set(way.lessons) <= set(LESSONS)
    assert len({way.shape for way in WAYS.values()}) == len({way.colour for way in WAYS.values()}) == len(WAYS)


def test_the_map_shows_every_lesson_arrow_and_mark():
    figure = learning_map()
    texts = [text.get_text() for text in figure.findobj(Text)]
    for number, lesson in LESSONS.items():
        assert f"{number}  {lesson.title}" in texts
    arrows = [patch for patch in figure.axes[0].patches if type(patch).__name__ == "FancyArrowPatch"]
    assert len(arrows) == sum(len(lesson.builds_on) for lesson in LESSONS.values())
    for letter, way in WAYS.items():
        assert texts.count(letter) == len(way.lessons) + 1  # and once in the key
        assert f"{way.sentence}: {' → '.join(way.lessons)}" in texts
    for kind, shape in ((Circle, "circle"), (Rectangle, "square"), (Polygon, "diamond")):
        (way,) = (way for way in WAYS.values() if way.shape == shape)
        assert len([patch for patch in figure.axes[0].patches if type(patch) is kind]) == len(way.lessons) + 1


def test_an_arrow_goes_around_a_box_in_its_way():
    lessons = {"a": Lesson("a", (), 0, 1), "b": Lesson("b", ("a",), 1, 1), "c": Lesson("c", ("a",), 2, 1)}
    figure = learning_map(lessons, {})
    direct, around = (p.get_path().vertices for p in figure.axes[0].patches if type(p).__name__ == "FancyArrowPatch")
    assert np.ptp(direct[:, 1]) < np.ptp(around[:, 1])
    (box,) = (
        p for p in figure.axes[0].patches if type(p).__name__ == "FancyBboxPatch" and p.get_x() == pytest.approx(2.9)
    )
    for (x0, y0), (x1, _) in pairwise(around):
        if x0 < box.get_x() + box.get_width() and x1 > box.get_x():
            assert y0 > box.get_y() + box.get_height()


@pytest.fixture
def collection(pair, splits):
    run = pair[0]
    return Collection("a method", run.experiment, splits, run.codes, run)


def test_the_tour_shows_values_and_their_code(collection):
    query = collection.query(3)
    code, values = collection.code_of(query)
    image, bars, bits = code_figure(collection, query).axes
    assert (image.images[0].get_array() == query.image).all()
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], values)
    assert (bits.images[0].get_array()[0] == code).all()
    assert [text.get_text() for text in bits.texts] == ["+" if bit > 0 else "−" for bit in code]
    assert [text.get_position()[0] for text in bits.texts] == list(range(1, len(code) + 1))  # counted from 1


def test_the_tour_counts_every_image_at_its_distance(collection):
    query = collection.query(3)
    figure = distances_figure(collection, query)
    right, wrong = figure.axes[0].containers
    distances = collection.distances(collection.code_of(query)[0])
    same = collection.codes["database_labels"] == query.label
    for container, chosen in ((right, same), (wrong, ~same)):
        counted = np.bincount(distances[chosen], minlength=collection.bits + 1)
        assert [bar.get_height() for bar in container] == counted.tolist()
    assert {bar.get_hatch() for bar in wrong} == {"///"}  # not by colour alone
    assert f"lie {right[distances.min()].get_height():.0f} right" in figure.alt
    with pytest.raises(ValueError, match="'mine' has no class, so nothing is right or wrong"):
        distances_figure(collection, type(query)(query.image, "mine", "own"))

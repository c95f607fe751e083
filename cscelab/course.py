"""The teaching kit: every notebook executed once and written for students and, with its solutions, for teachers.

`make course`, or `python -m cscelab.course --profile quick`, writes into build/course:

    index.html    questions, minutes, links to both versions, the learning map
    student/      notebooks without solutions, as .ipynb and as HTML with outputs; the glossary as Markdown and as
                  HTML; an index of its own
    full/         HTML with solutions folded; the glossary and the instructor guide
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm import tqdm

from cscelab.figures.learning_map import learning_map
from cscelab.figures.style import shown
from cscelab.lab import notebooks_folder
from cscelab.pages import markdown_page, page
from cscelab.paths import make_folder
from cscelab.recipes import PROFILES, find_profile

OUT = Path("build/course")
CELL_SECONDS = 3600  # the first cell may train what is missing
GLOSSARY, GUIDE = "GLOSSARY.md", "INSTRUCTOR.md"
TITLES = {GLOSSARY: "Glossary", GUIDE: "Instructor guide"}
STUDENT, FULL = "student", "full"
FOR_TEACHERS = {"solution", "teacher"}  # tags of cells that students do not get
LINK = re.compile(r"(?<!!)\[(?P<words>[^\]\n]+)\]\((?![a-z]+:|#)(?P<file>[^)\s#]+\.\w+)[^)\n]*\)")


@dataclass(frozen=True)
class Described:
    """What the first cell of a notebook says: "01 Hadamard centers", its question, and "about 20 minutes to read"."""

    title: str
    question: str
    time: str


@dataclass(frozen=True)
class Failure:
    """A notebook that did not run to its end, in one sentence."""

    stem: str
    sentence: str


def describe(notebook: nbformat.NotebookNode) -> Described:
    """Raises ValueError where the first cell lacks a title, a question or a time."""
    text = notebook.cells[0].source if notebook.cells else ""
    patterns = {
        "# title": r"^# (.+)$",
        "**Question.**": r"\*\*Question\.\*\* (.+)",
        "**Time**": r"\*\*Time\*\*:? ([^.;]+)",
    }
    found = {name: re.search(pattern, text, re.M) for name, pattern in patterns.items()}
    if missing := [name for name, match in found.items() if match is None]:
        raise ValueError(f"the first cell of a notebook has no {' and no '.join(missing)}; begin it as the others do")
    return Described(*(match[1].strip() for match in found.values() if match))


def as_handed_out(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy without what a teacher's own session left in it: outputs, and answers in the cells tagged "self-check"."""
    copy = deepcopy(notebook)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if "self-check" in cell.metadata.get("tags", []):
                _, asked, rest = cell.source.rpartition("\ncheck(")
                cell.source = f"answer = None\n{asked}{rest}" if asked else "answer = None"
    return copy


def for_students(notebook: nbformat.NotebookNode, known: Collection[str]) -> nbformat.NotebookNode:
    """A copy without the cells tagged "solution" or "teacher"; known: the files that its links may lead to."""
    copy = deepcopy(notebook)
    copy.cells = [cell for cell in copy.cells if not FOR_TEACHERS & set(cell.metadata.get("tags", []))]
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source = with_links(cell.source, known)
    return copy


def with_links(text: str, known: Collection[str]) -> str:
    """Markdown in which a link to a file that is not known becomes its words; pictures and the web stay."""
    return LINK.sub(lambda link: link[0] if link["file"] in known else link["words"], text)


def execute(path: Path, profile: str = "quick") -> nbformat.NotebookNode | Failure:
    """The notebook with its outputs, run in its own folder under a profile; or what failed, and in which cell."""
    notebook = as_handed_out(nbformat.read(path, as_version=4))
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = f'PROFILE = "{profile}"'
    where = {"metadata": {"path": str(path.parent)}}
    try:
        client = NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=where)
        client.extra_arguments = ["--log-level=ERROR"]  # of the kernel, whose warnings are for people on networks
        return client.execute()
    except CellExecutionError as error:
        what = f"{error.ename}: {error.evalue}"
    except CellTimeoutError:
        what = f"it took longer than {CELL_SECONDS} seconds"
    except DeadKernelError:
        what = "its kernel died"
    number, line = _last_run(notebook)
    return Failure(path.stem, f"{path.name} failed in cell {number}, {line!r}: {' '.join(what.split())}")


def _last_run(notebook: nbformat.NotebookNode) -> tuple[int, str]:
    """Number (from 1) and first line of the cell that was run last, the one that failed."""
    run = [
        (number, cell)
        for number, cell in enumerate(notebook.cells, 1)
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count or "execution" in cell.metadata)
    ]
    number, cell = run[-1] if run else (1, notebook.cells[0])
    return number, cell.source.strip().split("\n")[0]


def write_course(folder: Path, out: Path, profile: str = "quick", progress: bool = True) -> list[Failure]:
    """Executes every notebook of a folder once and writes both versions of the course; returns what failed.

    Raises ValueError for an unknown profile and a folder without notebooks.
    """
    find_profile(profile)
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise ValueError(
            f"no notebook, as 00_start_here.ipynb, is in {folder}; give the folder of the course's notebooks"
        )
    described = {path.stem: describe(nbformat.read(path, as_version=4)) for path in paths}
    texts = {name: (folder / name).read_text("utf-8") for name in TITLES if (folder / name).is_file()}
    versions = {STUDENT: [name for name in texts if name != GUIDE], FULL: list(texts)}
    known = {version: {*names, *(path.name for path in paths)} for version, names in versions.items()}
    for version in versions:
        for old in make_folder(out / version).glob("[0-9][0-9]_*.*"):  # a notebook that has another name now
            old.unlink()
    failures = []
    for index, path in enumerate(bar := tqdm(paths, desc="course", unit="notebook", disable=not progress)):
        bar.set_postfix_str(path.stem)
        as_written = as_handed_out(nbformat.read(path, as_version=4))
        nbformat.write(for_students(as_written, known[STUDENT]), out / STUDENT / path.name)
        executed, title = execute(path, profile), described[path.stem].title
        if isinstance(executed, Failure):
            failures.append(executed)
            told = nbformat.v4.new_markdown_cell(f"# {title}\n\nNo page: {executed.sentence}")
            executed = nbformat.v4.new_notebook(cells=[told])
        for version, notebook in ((STUDENT, for_students(executed, known[STUDENT])), (FULL, executed)):
            links = _links(version, paths, index)
            html = page(notebook, title, str(folder), links, known[version])
            (out / version / f"{path.stem}.html").write_text(html, "utf-8")
    for name in versions[STUDENT]:
        (out / STUDENT / name).write_text(with_links(texts[name], known[STUDENT]), "utf-8")
    for version, names in versions.items():
        for name in names:
            html = markdown_page(texts[name], TITLES[name], str(folder), _links(version, paths), known[version])
            (out / version / Path(name).with_suffix(".html")).write_text(html, "utf-8")
    failed = {failure.stem: failure.sentence for failure in failures}
    indexes = {"": versions, STUDENT: {STUDENT: versions[STUDENT]}}
    for beside, shown_versions in indexes.items():
        text = index_text(described, shown_versions, failed, profile, beside)
        (out / beside / "index.html").write_text(markdown_page(text, "cscelab: the course"), "utf-8")
    return failures


def index_text(
    described: Mapping[str, Described],
    versions: Mapping[str, Sequence[str]],
    failed: Mapping[str, str],
    profile: str,
    beside: str = "",
) -> str:
    """A first page in Markdown; versions: name -> its Markdown files; failed: notebook -> what went wrong; beside: the
    version in whose folder the page lies, none for the one above both."""
    where = {version: "" if version == beside else f"{version}/" for version in versions}
    rows = [f"| notebook | question | time | {' | '.join(versions)} |", "|---|---|---|" + "---|" * len(versions)]
    for stem, one in described.items():
        pages = ["did not run" if stem in failed else f"[read]({where[version]}{stem}.html)" for version in versions]
        pages[0] += f", [notebook]({where[STUDENT]}{stem}.ipynb)"
        rows.append(f"| {one.title} | {one.question} | {one.time} | {' | '.join(pages)} |")
    others = [
        f"- [{TITLES[name]}]({where[version]}{Path(name).stem}.html)"
        for version, names in versions.items()
        for name in names
        if name != GLOSSARY or version == STUDENT
    ]
    smoke = " **A test's profile: the numbers mean nothing.**" if find_profile(profile).smoke else ""
    told = f"Executed under the profile `{profile}`.{smoke}"
    if not beside:
        told += (
            f" The version for students, in the folder `{STUDENT}`, has no solutions; in the full one they are folded."
        )
    broken = ["**Did not run**", "", *(f"- {sentence}" for sentence in failed.values()), ""] if failed else []
    return "\n".join([
        "# cscelab: the course", "", told, "", *rows, "", *broken, *others, "", shown(learning_map())["text/html"]
    ])  # fmt: skip


def _links(version: str, paths: Sequence[Path], index: int | None = None) -> list[tuple[str, str]]:
    """Along the top of a page: the index, and the notebooks before and after."""
    first = "index.html" if version == STUDENT else "../index.html"
    around = [] if index is None else [("← before", index - 1), ("next →", index + 1)]
    beside = [(words, f"{paths[at].stem}.html") for words, at in around if 0 <= at < len(paths)]
    return [("all notebooks", first), *beside]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all written, 1 a notebook failed, 2 a user's mistake, 130 stopped by Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m cscelab.course", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--profile", default="quick", help="which runs the notebooks show: " + ", ".join(PROFILES))
    parser.add_argument("--out", type=Path, default=OUT, help=f"the folder to write, {OUT} by default")
    parser.add_argument("--notebooks", type=Path, help="the folder to read, the checkout's by default")
    given = parser.parse_args(arguments)
    try:
        failures = write_course(given.notebooks or notebooks_folder(), given.out, given.profile)
    except (ValueError, OSError) as error:
        print(f"course: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("course: stopped; notebooks already written stay", file=sys.stderr)
        return 130
    for failure in failures:
        print(f"course: {failure.sentence}", file=sys.stderr)
    print(given.out / "index.html")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

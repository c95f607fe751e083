"""Every notebook in JupyterLab: all cells run, nothing fails anywhere, every picture and widget is on the page."""

import pytest

from browser.conftest import NOTEBOOKS

NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_in_jupyterlab(name, lab):
    notebook = lab(f"{name}.ipynb")
    notebook.run_all()
    outputs = notebook.locator(".jp-OutputArea-output")
    assert not [
        text for text in outputs.all_inner_texts() if "Error displaying widget" in text or "Loading widget" in text
    ]
    pictures = notebook.locator(".jp-OutputArea-output img")
    alts = pictures.evaluate_all("all => all.map(one => one.alt || one.closest('[aria-label]')?.ariaLabel || '')")
    assert alts, "no picture is on the page"
    assert all(len(alt) > 10 for alt in alts), alts  # or the words of the control that it is a part of
    verdicts = [text.strip() for text in outputs.all_inner_texts() if text.strip() in ("not answered yet", "right")]
    assert sorted(verdicts) == ["not answered yet"] * 3 + ["right"] * 3

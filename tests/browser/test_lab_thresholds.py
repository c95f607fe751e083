"""ThresholdExplorer in JupyterLab: the bars, band and flips of one image, and the same over the database."""

from browser.controls import alt, click, step_slider, tick, wait_for_alt, wait_for_picture
from cscelab.figures.threshold_trials import threshold_steps
from cscelab.figures.thresholds import threshold_figure
from cscelab.widgets.thresholds import START, first_changed

CELL = "from cscelab.widgets import ThresholdExplorer, checked; checked(ThresholdExplorer())"


def test_threshold_explorer(run_cell, shipped):
    notebook = run_cell(CELL)
    steps = threshold_steps(shipped.codes["database_values"])
    at = min(range(len(steps)), key=lambda i: abs(steps[i] - START))
    row = first_changed(shipped.codes["query_values"], steps[at])

    def figure(threshold, row=row, **options):
        query = shipped.query(row)
        return threshold_figure(shipped.code_of(query)[1], threshold, query.image, query.title, **options)

    wait_for_picture(notebook, figure(steps[at]))
    assert step_slider(notebook, "threshold t", 2) == f"{steps[at + 2]:g}"
    wait_for_picture(notebook, figure(steps[at + 2]))
    tick(notebook, "sort bits by value")
    tick(notebook, "zoom in on the band")
    wait_for_picture(notebook, figure(steps[at + 2], by_value=True, zoom=True))
    tick(notebook, "each image its own learned t")
    own = float(shipped.codes["query_thresholds"][row])
    wait_for_picture(notebook, figure(own, by_value=True, zoom=True, own=True))
    tick(notebook, "each image its own learned t")
    assert step_slider(notebook, "query", 1) == str(row + 1)
    wait_for_picture(notebook, figure(steps[at + 2], row + 1, by_value=True, zoom=True))


def test_threshold_explorer_over_the_database(run_cell, shipped):
    notebook = run_cell(CELL)
    wait_for_alt(notebook, "code of 32 bits")
    click(notebook, "the whole database")
    wait_for_alt(notebook, "mAP", f"{len(shipped.splits.database):,}")
    before = alt(notebook)
    step_slider(notebook, "threshold t", 3)
    notebook.until(lambda: alt(notebook) != before, "the picture says the new threshold's numbers")
    notebook.check()

"""RankExplorer in JupyterLab: the query's ranking, cut at k; classes, random and hardest queries."""

import numpy as np

from browser.controls import choose, click, control, step_slider, wait_for_alt, wait_for_picture
from cscelab.figures.ranks import depth_steps, rank_figure, rank_query
from cscelab.widgets.ranks import SIDES, START

CELL = "from cscelab.widgets import RankExplorer, checked; checked(RankExplorer())"


def ranked(shipped, row):
    query = shipped.query(row)
    return rank_query(**{side: shipped.codes[side] for side in SIDES}, row=row, title=query.title, image=query.image)


def test_rank_explorer(run_cell, shipped):
    notebook = run_cell(CELL)
    depths = depth_steps(len(shipped.splits.database))
    at = depths.index(START)
    wait_for_picture(notebook, rank_figure(ranked(shipped, 0), START))
    assert step_slider(notebook, "depth k", 3) == f"{depths[at + 3]:,}"
    k = depths[at + 3]
    wait_for_picture(notebook, rank_figure(ranked(shipped, 0), k))
    step_slider(notebook, "query", 2)
    wait_for_picture(notebook, rank_figure(ranked(shipped, 2), k))
    click(notebook, "hardest")
    hardest = int(np.argsort(shipped.average_precision, kind="stable")[0])
    wait_for_picture(notebook, rank_figure(ranked(shipped, hardest), k))
    labels = shipped.splits.query.labels
    number = int(labels[hardest] + 1) % len(shipped.class_names)
    rows = np.flatnonzero(labels == number)
    choose(notebook, "class", f"{shipped.class_names[number]} ({len(rows)})")
    wait_for_picture(notebook, rank_figure(ranked(shipped, int(rows[0])), k))
    click(notebook, "random")
    notebook.until(lambda: int(control(notebook, "hslider", "query").locator(".widget-readout").inner_text()) in rows,
                   "the query is one of the class")  # fmt: skip
    wait_for_alt(notebook, shipped.class_names[number])

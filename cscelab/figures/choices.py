"""Which queries to show: by rules stated in the figure, with the counts for and against, so that picking is visible."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cscelab.datasets.base import ImageSet
from cscelab.experiment import Run
from cscelab.neighbours import nearest
from cscelab.titles import title_of as title_of  # also found here, beside its users

RULES = ("small target", "hardest", "median", "easiest", "AP difference")


class Choice(NamedTuple):
    row: int  # of the query split
    reason: str  # the rule in words and the counts behind it, for the caption
    title: str = ""


def average_precisions(run: Run) -> np.ndarray:
    """AP of every query (Q,), expected over ties, denominator "retrieved"."""
    return np.array(run.metrics["report"]["average_precision"], dtype=float)


def target_shares(images: ImageSet) -> np.ndarray | None:
    """Visible target pixels as a share of each image (N,), or None where nobody knows the targets."""
    return None if images.masks is None else (np.asarray(images.masks) > 0).mean(axis=(1, 2))


def background_detail(images: ImageSet) -> np.ndarray:
    """How busy each image (N,) is outside its target: mean size of the grey gradient, in grey levels a pixel."""
    detail = np.empty(len(images))
    for row, image in enumerate(images.images):
        size = np.hypot(*np.gradient(image.mean(axis=2)))
        outside = np.ones(size.shape, bool) if images.masks is None else images.masks[row] == 0
        detail[row] = size[outside].mean() if outside.any() else 0.0
    return detail


def pick_query(
    run: Run, other: Run, rule: str = "small target", queries: ImageSet | None = None, k: int = 10
) -> Choice:
    """The one query that a rule names, the first of equals. No rule but the last favours either run.

    "small target": the smallest visible target of the queries whose top k differ in the number of right images (of all
    where none do; "hardest" where targets are not known). "hardest", "median", "easiest": by mean AP of both.
    "AP difference": where `run` gains most over `other`. Raises ValueError for an unknown rule or other queries.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}; choose from {RULES}")
    names = check_pair(run, other)
    queries = run.data().query if queries is None else queries
    shares = target_shares(queries)
    hits, other_hits = (nearest(r, k).right.sum(axis=1) for r in (run, other))
    n = len(hits)
    score = (
        f"Over all {n} queries, {names[0]} has more right in the top {k} for {(hits > other_hits).sum()}, "
        f"{names[1]} for {(hits < other_hits).sum()}."
    )
    if rule == "small target" and shares is not None:
        differ = hits != other_hits
        pool = np.flatnonzero(differ & (shares > 0) if (differ & (shares > 0)).any() else shares > 0)
        row = int(pool[shares[pool].argmin()])
        of = f"the {len(pool)} of {n} queries whose top {k} differ" if differ[row] else f"all {n} queries"
        return Choice(row, f"Smallest visible target ({shares[row]:.1%} of the image) of {of}. {score}")
    ap, other_ap = average_precisions(run), average_precisions(other)
    both = (ap + other_ap) / 2
    if rule == "AP difference":
        row = int((ap - other_ap).argmax())
        gain = ap[row] - other_ap[row]
        return Choice(row, f"Largest gain in AP of {names[0]} over {names[1]} ({gain:+.3f}). {score}")
    place = {"easiest": n - 1, "median": n // 2}.get(rule, 0)
    row = int(np.argsort(both, kind="stable")[place])
    word = "hardest" if rule == "small target" else rule
    why = "Targets are not known here, so: " if rule == "small target" else ""
    return Choice(row, f"{why}{word.capitalize()} query by the mean AP of both ({both[row]:.3f}). {score}")


def pick_cases(run: Run, baseline: Run, queries: ImageSet | None = None, k: int = 5) -> list[Choice]:
    """The two queries of Fig. 1: an unapparent target, and an apparent one before a complex background.

    Unapparent: a visible target below the median share of the image. Of the queries of a kind where the baseline
    has a wrong image in its top k and `run` has none, the smallest target and the busiest background are shown.
    Where there is none, the largest difference in right images, and the caption says so. Without masks: the two
    largest gains in AP.
    """
    names = check_pair(run, baseline)
    queries = run.data().query if queries is None else queries
    hits, base_hits = (nearest(r, k).right.sum(axis=1) for r in (run, baseline))
    shares = target_shares(queries)
    if shares is None:
        gain = average_precisions(run) - average_precisions(baseline)
        rows = np.argsort(-gain, kind="stable")[:2]
        everything = np.ones(len(gain), bool)
        counts = _counts(names, hits, base_hits, everything, k, "any targets")
        return [
            Choice(int(row), f"Targets are not known: {word} gain in AP ({gain[row]:+.3f}). {counts}", f"Case {i}")
            for i, (row, word) in enumerate(zip(rows, ("largest", "second largest"), strict=True), start=1)
        ]
    detail, middle = background_detail(queries), np.median(shares)
    small, large = f"targets below the median of {middle:.1%} of the image", f"targets of at least {middle:.1%}"
    kinds = (
        ("Case 1: unapparent target", small, (shares > 0) & (shares < middle), -shares, "smallest target"),
        ("Case 2: apparent target, complex background", large, shares >= middle, detail, "busiest background"),
    )
    cases = []
    for title, words, kind, key, shown in kinds:
        pool = np.flatnonzero(kind & (hits == k) & (base_hits < k))
        if len(pool):
            row, reason = int(pool[key[pool].argmax()]), f"Shown: {shown} of those {len(pool)}."
        else:
            rows = np.flatnonzero(kind)
            row = int(rows[(hits - base_hits)[rows].argmax()])
            reason = f"Shown, as there is none: right images {hits[row]} against {base_hits[row]}."
        cases.append(Choice(row, f"{_counts(names, hits, base_hits, kind, k, words)} {reason}", title))
    return cases


def _counts(
    names: tuple[str, str], hits: np.ndarray, base_hits: np.ndarray, kind: np.ndarray, k: int, words: str
) -> str:
    """For and against, of the queries of a kind."""
    better, worse = ((a == k) & (b < k) & kind for a, b in ((hits, base_hits), (base_hits, hits)))
    return (
        f"Of the {kind.sum()} queries with {words}, {names[0]} has the whole top {k} right and {names[1]} has not for "
        f"{better.sum()}; the reverse holds for {worse.sum()}."
    )


def check_pair(run: Run, other: Run) -> tuple[str, str]:
    """Titles of two runs on the same queries. Raises ValueError where the queries differ."""
    if not np.array_equal(run.codes["query_ids"], other.codes["query_ids"]):
        raise ValueError(
            f"{run.experiment.name} and {other.experiment.name} have different queries; compare runs on the same data"
        )
    return title_of(run), title_of(other)

"""Widgets, one a file: controls whose callbacks call a tested function of `cscelab.figures` and show its picture.

Each works in one line in anybody's notebook, `CenterExplorer()`, and takes codes, runs or collections of one's own.
A widget's module is imported when the widget is first asked for, so that a picture of centers needs no Lightning.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cscelab.widgets.shown import attempt, checked, outputs_in, redraw, say

MODULES = {
    "CenterExplorer": "centers",
    "ThresholdExplorer": "thresholds",
    "MarginExplorer": "margins",
    "WindowExplorer": "windows",
    "TrainingMonitor": "monitor",
    "CamExplorer": "cams",
    "RankExplorer": "ranks",
    "TieShuffler": "ties",
    "tie_shuffler": "ties",
    "QueryBrowser": "browser",
    "MethodComparer": "compare",
    "ConstraintExplorer": "constraints",
    "CodeStepper": "codestep",
    "OrdinalExplorer": "ordinal",
}

__all__ = ["attempt", "checked", "outputs_in", "redraw", "say", *MODULES]


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)

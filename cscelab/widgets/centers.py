"""Hash centers for any number of classes and bits: their signs, their distances, and the bound on the smallest."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Any

from ipywidgets import HTML, Dropdown, HBox, IntSlider, Output, VBox
from torch import Tensor

from cscelab.centers import center_report, hash_centers
from cscelab.figures.centers import center_figure, in_words
from cscelab.widgets.shown import attempt, redraw

KINDS = {
    "best: largest d_min of all kinds": "best",
    "hadamard: the paper's rows": "hadamard",
    "published: CSQ's scheme": "published",
    "bernoulli: fair coins": "bernoulli",
    "coding: error-correcting code": "coding",
}
CLASSES, BITS, SEEDS = (2, 200), (4, 128), 20
ALIGNED: dict[str, Any] = {"style": {"description_width": "4.5em"}, "layout": {"width": "330px"}}


class CenterExplorer(VBox):
    """Controls above `center_figure`; `centers` (C, K) are those shown, None where the kind does not serve the sizes.

    n_classes: 2 to 200, bits: 4 to 128, kind: one of `hash_centers`. Raises ValueError for sizes no slider reaches.
    """

    def __init__(self, n_classes: int = 20, bits: int = 16, kind: str = "best", seed: int = 0) -> None:
        for name, value, (least, most) in (("n_classes", n_classes, CLASSES), ("bits", bits, BITS)):
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}, expected {least} to {most}; `hash_centers` makes centers beyond")
        if kind not in KINDS.values():
            raise ValueError(f"unknown kind of centers {kind!r}; choose from {sorted(KINDS.values())}")
        # Once released: some sizes take longer to construct than a drag leaves time for.
        rest = {"continuous_update": False, **ALIGNED}
        self.n_classes = IntSlider(n_classes, *CLASSES, description="classes", **rest)
        self.bits = IntSlider(bits, *BITS, description="bits", **rest)
        self.kind = Dropdown(options=KINDS, value=kind, description="kind", **ALIGNED)
        self.seed = IntSlider(
            seed, 0, max(SEEDS, seed), description="seed", tooltip="of every random choice", **rest,
        )  # fmt: skip
        self.status, self.output = HTML(), Output()
        self.centers: Tensor | None = None
        for control in (self.n_classes, self.bits, self.kind, self.seed):
            control.observe(lambda _: self._draw(), "value")
        super().__init__([HBox([self.n_classes, self.bits]), HBox([self.kind, self.seed]), self.output, self.status])
        self._draw()

    def _draw(self) -> None:
        self.centers = None
        self._say(f"Making {self.n_classes.value} centers of {self.bits.value} bits …")
        if attempt(self.output, self._make) and self.centers is not None:
            centers = self.centers
            redraw(self.output, lambda: center_figure(centers))
            self._say(in_words(center_report(centers)))
        else:
            self._say("")  # the sentence stands where the picture would be

    def _make(self) -> None:
        kept = _made(self.n_classes.value, self.bits.value, self.kind.value, self.seed.value)
        self.centers = kept.clone()  # a person may change it
        self.centers.construction = kept.construction  # type: ignore[attr-defined]

    def _say(self, sentence: str) -> None:
        self.status.value = f'<span role="status">{escape(sentence)}</span>'


@lru_cache(maxsize=256)
def _made(n_classes: int, bits: int, kind: str, seed: int) -> Tensor:
    """`hash_centers`, kept: some searches take longer than the picture, and people slide back and forth."""
    return hash_centers(n_classes, bits, kind, seed)

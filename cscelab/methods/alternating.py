"""Alternating learning (ADSH, AAAI 2018; ExchNet, ECCV 2020, Sec. 3.4): steps of the network, then of the codes.

An epoch is an outer iteration: it draws some training images, passes over them several times, keeps what the network
put out for each (U), and ends with a code step that solves for the codes V of all training images, bit by bit. V is a
part of the method's weights; it is what the database is searched by where the database is the training images.

Ours: codes start as a code step on random values leaves them, closer within a class than between classes (24 bits, 40
classes of 75 images: 8.3 bits apart against 12.1). Those of ADSH's released code start at zero, from which the first
iteration learns nothing but small values; with `start="random"` no two images are nearer than chance (validation mAP of
ADSH after 12 short iterations on 40 species, 24 bits, seed 0: .567, against .616).
r, the weight of dissimilar pairs, is that of the whole training split, where the released code takes the drawn images'.
The last batch of an epoch is left out where it is smaller: with one pass its images do not count as drawn, with several
they keep what the network put out for them a pass before. The loss is a mean over pairs, as there; the objective in the
history is one in units of K^2, so that code lengths compare; the code step solves for the sum, which has the same
solution. The papers take the codes of the last iteration; here V is that of the epoch whose network is best on
validation images searched among themselves by its own codes, so that the choice never looks at V.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cscelab.asymmetric import (
    code_objective,
    code_step,
    count_pairs,
    label_pull,
    label_pull_by_blocks,
    negative_weight,
    pair_errors,
    targets,
)
from cscelab.datasets.base import ImageSet
from cscelab.dsf import sign
from cscelab.methods.banks import CodeBank
from cscelab.methods.base import HashMethod, MethodConfig

STARTS = ("random", "classes")


@dataclass(frozen=True)
class AlternatingConfig(MethodConfig):
    """samples: training images drawn in an outer iteration (all where there are fewer); passes: over them;
    start: of the database codes, "random" or "classes" (a code step on random values: images of one class start
    closer to each other)."""

    samples: int = 2000
    passes: int = 3
    start: str = "classes"

    def __post_init__(self) -> None:
        for name in ("samples", "passes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.start not in STARTS:
            raise ValueError(f"unknown start {self.start!r}; choose from {STARTS}")


def squash(values: Tensor) -> Tensor:
    """tanh(u) in float32 at least: in bfloat16 its gradient is 0 from u = 3.5 on."""
    return values.to(torch.promote_types(values.dtype, torch.float32)).tanh()


class AlternatingHash(HashMethod):
    """Learned database codes V, their code step, and the asymmetric loss; a subclass sets `network` and `losses`."""

    config: AlternatingConfig
    own_pull = 0.0  # weight of |v_i - u_i|^2 in the objective (ADSH's gamma)

    def __init__(self, config: AlternatingConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.database = CodeBank(bits, learned=True)  # V
        self.outputs = CodeBank(bits)  # U of this iteration; zeros for images that were not drawn
        self.negative_weight = 0.0  # r

    def start_training(self, train: ImageSet, generator: torch.Generator) -> None:
        codes = sign(2 * torch.rand(len(train), self.bits, generator=generator) - 1)
        self.outputs.start(train)
        labels = self.outputs.labels
        self.negative_weight = negative_weight(labels, labels)
        # Rows in order of the ids, as the labels are: whatever the order of the data, the codes are the same.
        if self.config.start == "classes":
            # By blocks, since a sum in another order would round these many ties otherwise, and give other codes.
            codes = code_step(codes, codes, label_pull_by_blocks(codes, labels, labels, self.negative_weight))
        self.database.start(train)
        self.database.rows = codes.to(self.database.rows)

    def epoch_rows(self, n: int, epoch: int, rng: np.random.Generator) -> np.ndarray:
        # Each pass in the same order, as in ADSH's released code, so that no batch holds an image of two passes twice.
        return np.tile(rng.permutation(n)[: self.config.samples], self.config.passes)

    def start_epoch(self, epoch: int, n_epochs: int) -> None:
        self.outputs.rows = torch.zeros_like(self.outputs.rows)

    def asymmetric_loss(self, values: Tensor, labels: Tensor, ids: Tensor | None) -> Tensor:
        """Mean over pairs of (tanh(u_i) . v_j - K S_ij)^2; in training keeps tanh(u_i) for the code step.

        values u (B, K). Raises ValueError in training where ids are missing, unknown, or hold an image twice.
        """
        squashed = squash(values)
        if self.training:
            if ids is not None and len(ids.unique()) < len(ids):
                n_drawn = min(self.config.samples, len(self.outputs.rows))
                raise ValueError(
                    f"a batch of {len(ids)} holds an image twice, of which one output is kept; give a batch size of at "
                    f"most the {n_drawn} images that an epoch draws"
                )
            self.outputs.write(ids, squashed)
        wanted = targets(labels, self.database.labels, self.negative_weight)
        with torch.autocast(values.device.type, enabled=False):  # products of U and V keep their digits
            return pair_errors(squashed, self.database.rows.to(squashed), wanted).mean()

    @torch.no_grad()
    def end_epoch(self, epoch: int, n_epochs: int) -> dict[str, float]:
        """The code step; the mean objective before and after it, over K^2, and the share of bits it changed."""
        codes, values, labels = (
            part.detach().cpu() for part in (self.database.rows, self.outputs.rows, self.outputs.labels)
        )
        drawn = values.any(dim=1)
        if not drawn.any():
            return {}
        kept = values.double()
        codes, sampled = codes.double(), kept[drawn]
        towards_labels = label_pull(sampled, labels[drawn], labels, self.negative_weight)
        pull = towards_labels + self.own_pull * kept
        solved = code_step(codes, sampled, pull)
        alike, others = count_pairs(labels[drawn], labels)
        # K^2 |S|^2 and what |v_i - u_i|^2 has beside its product: no code changes them.
        constant = self.bits**2 * (alike + others * self.negative_weight**2)
        constant += self.own_pull * float((sampled.square() + 1).sum())
        size = len(sampled) * len(codes) * self.bits**2
        before, after = ((float(code_objective(each, sampled, pull)) + constant) / size for each in (codes, solved))
        self.database.rows = solved.to(self.database.rows)
        changed = float((solved != codes).double().mean())
        return {"objective_before": before, "objective": after, "codes_changed": changed}

    def learned_codes(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        places, known = self.database.find(ids)
        rows = self.database.rows
        return (rows[places] if len(rows) else torch.zeros(len(ids), self.bits, device=rows.device)), known

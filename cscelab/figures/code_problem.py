"""A code step (ExchNet Eq. 17, ADSH) small enough to do by hand: its matrices, and every step and term of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cscelab.asymmetric import label_pull, negative_weight, pair_errors, targets

IMAGES, DATABASE, BITS, CLASSES = 4, 6, 3, "ABC"


@dataclass(frozen=True)
class SmallProblem:
    """m = 4 drawn images, n = 6 database images of three classes, K = 3 bits.

    values: U (m, K) in [-1, 1], to one decimal; labels (m,); database_labels (n,); codes: V (n, K), -1 or 1, before
    the step; targets: S (m, n).
    """

    values: Tensor
    labels: Tensor
    database_labels: Tensor
    codes: Tensor
    targets: Tensor

    @cached_property
    def pull(self) -> Tensor:
        """K S^T U (n, K)."""
        weight = negative_weight(self.labels, self.database_labels)
        return label_pull(self.values, self.labels, self.database_labels, weight)

    @cached_property
    def gram(self) -> Tensor:
        """U^T U (K, K)."""
        return self.values.T @ self.values

    def objective(self, codes: Tensor) -> float:
        """Sum over pairs of (u_i . v_j - K S_ij)^2."""
        return float(pair_errors(self.values, codes, self.targets).sum())


@dataclass(frozen=True)
class BitStep:
    """One bit of the code step; codes V (n, K) before and after it, the rest (n,)."""

    before: Tensor
    pull: Tensor  # K S^T U, of this bit
    others: Tensor  # V_{/k} U_{/k}^T U_k
    score: Tensor  # whose sign the bit becomes
    after: Tensor

    @property
    def flipped(self) -> np.ndarray:
        """Rows whose bit changes."""
        return np.flatnonzero((self.before != self.after).any(dim=1).numpy())


def small_problem(seed: int = 0) -> SmallProblem:
    """Values, codes and classes of the drawn images from a seed; two database images of each class, so r = 1/2."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-9, 10, (IMAGES, BITS), generator=generator).double() / 10
    labels = torch.randint(0, len(CLASSES), (IMAGES,), generator=generator)
    codes = 2 * torch.randint(0, 2, (DATABASE, BITS), generator=generator).double() - 1
    database_labels = torch.arange(len(CLASSES)).repeat_interleave(DATABASE // len(CLASSES))
    wanted = targets(labels, database_labels, negative_weight(labels, database_labels)).double()
    return SmallProblem(values, labels, database_labels, codes, wanted)


def bit_steps(problem: SmallProblem, printed: bool = False) -> list[BitStep]:
    """The whole code step as its K steps, as `asymmetric.code_step` takes them; printed: by Eq. 17 as printed."""
    codes, gram, steps = problem.codes, problem.gram, []
    for bit in range(codes.shape[1]):
        rest = [other for other in range(codes.shape[1]) if other != bit]
        others = codes[:, rest] @ gram[rest, bit]
        score = (others - problem.pull[:, bit]) if printed else (problem.pull[:, bit] - others)
        score = score.round(decimals=9) + 0.0  # sums of tenths: what should be 0 is 0, and no -0
        after = codes.clone()
        after[:, bit] = torch.where(score == 0, codes[:, bit], score.sign())
        steps.append(BitStep(codes, problem.pull[:, bit], others, score, after))
        codes = after
    return steps


def objectives(problem: SmallProblem, printed: bool = False) -> list[float]:
    """The objective before the first bit and after each: K + 1 numbers."""
    return [problem.objective(codes) for codes in (problem.codes, *(s.after for s in bit_steps(problem, printed)))]


def spelled_out(problem: SmallProblem, bit: int, row: int, printed: bool = False) -> list[str]:
    """One row's terms with their numbers, a line each: pull, the other bits, the score and what the bit becomes."""
    step, bits = bit_steps(problem, printed)[bit], problem.codes.shape[1]
    wanted, column = problem.targets[:, row], problem.values[:, bit]
    alike = " ".join(f"{_term(s)}·({number(u)})" for s, u in zip(wanted, column, strict=True))
    rest = [other for other in range(bits) if other != bit]
    among = " ".join(f"{_term(step.before[row, other])}·({number(problem.gram[other, bit])})" for other in rest)
    pull, others, score = number(step.pull[row]), number(step.others[row]), number(step.score[row])
    parts = f"{others} − ({pull})" if printed else f"{pull} − ({others})"
    was, now = (number(codes[row, bit], sign=True) for codes in (step.before, step.after))
    verdict = f"stays {now}" if was == now else f"flips from {was} to {now}"
    return [
        f"pull = K Σ S·u = {bits} [{alike.removeprefix('+ ')}] = {pull}",
        f"others, from k = {' and '.join(str(other + 1) for other in rest)}: "
        f"Σ v·(UᵀU) = {among.removeprefix('+ ')} = {others}",
        f"score = {parts} = {score}, so bit {bit + 1} of v{row + 1} {verdict}",
    ]


def _term(factor: Tensor) -> str:
    """A factor with its sign before it: "+ 1", "− 0.5"."""
    return f"{'−' if float(factor) < 0 else '+'} {number(factor.abs())}"


def number(value: float | Tensor, sign: bool = False) -> str:
    """As few decimals as tell it, at most two, with a real minus; sign: a plus too."""
    text = f"{float(value) + 0.0:.2f}".rstrip("0").rstrip(".")
    text = "0" if text in ("-0", "") else text
    return (f"+{text}" if sign and float(value) > 0 and text != "0" else text).replace("-", "−")

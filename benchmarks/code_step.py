"""The code step of ADSH and ExchNet, 10,000 images of 48 bits, 2,000 drawn: against plain Python and a training step.

The whole end of an outer iteration as `AlternatingHash.end_epoch` has it is timed: the labels' pull, the step bit by
bit, the objective before and after; pull and step also alone. Plain Python writes the same sums per item over lists; it
runs on LOOPED items, is checked to give the same codes, and its seconds are scaled to all items (the product U^T U,
needed once, is not). The training step is ADSH's on the tiny trunk: 64 images of 112 px against all 10,000 codes,
forward and backward. On as many threads as torch takes by itself; seconds are of the fastest of five calls, beside what
the process took of all processors, which other work on the machine lengthens less. Prints the rows and writes
figures/bench-code-step.csv; exits with 1 where the code step takes longer than BOUND. Run by `make bench`, never as a
timed test: half a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cscelab.asymmetric import code_step, label_pull
from cscelab.datasets.base import ImageSet
from cscelab.methods.adsh import ADSH, ADSHConfig
from cscelab.model.backbone import BackboneConfig

IMAGES, BITS, SAMPLES, CLASSES, BATCH = 10_000, 48, 2_000, 200, 64
LOOPED = 20  # items that plain Python solves for
BOUND = 2.0  # seconds that the code step may take on two cores
FIGURES = Path(__file__).resolve().parent.parent / "figures"


def clocks() -> np.ndarray:
    """Seconds on the wall, and of all processors."""
    return np.array([time.perf_counter(), time.process_time()])


def seconds(call: Callable[[], Any], repeats: int = 5) -> np.ndarray:
    """The fastest of a few calls by either clock, after one warm-up."""
    call()
    times = []
    for _ in range(repeats):
        start = clocks()
        call()
        times.append(clocks() - start)
    return np.min(times, axis=0)


def started(labels: Tensor, generator: torch.Generator) -> ADSH:
    """ADSH on the tiny trunk, its banks filled as after an outer iteration: codes V, values U of the drawn images."""
    method = ADSH(ADSHConfig(backbone=BackboneConfig("tiny", "none"), start="random"), CLASSES, BITS)
    blank = np.zeros((IMAGES, 1, 1, 3), np.uint8)  # the banks look at ids and labels alone
    method.start_training(ImageSet(blank, labels.numpy(), np.arange(IMAGES)), generator)
    drawn = torch.randperm(IMAGES, generator=generator)[:SAMPLES]
    method.outputs.write(drawn, torch.randn(SAMPLES, BITS, generator=generator).tanh())
    return method


def looped_gram(values: list[list[float]]) -> list[list[float]]:
    """U^T U."""
    columns = list(zip(*values, strict=True))
    return [[sum(a * b for a, b in zip(one, other, strict=True)) for other in columns] for one in columns]


def looped_step(
    codes: list[list[float]],
    labels: list[int],
    values: list[list[float]],
    value_labels: list[int],
    own: list[list[float]],
    gram: list[list[float]],
    weight: float,
) -> list[list[float]]:
    """The step for some items, one product at a time; own: what else pulls them (n, K)."""
    solved = []
    for code, label, pulled in zip(codes, labels, own, strict=True):
        code = list(code)
        wanted = [1.0 if other == label else -weight for other in value_labels]
        for bit in range(BITS):
            pull = BITS * sum(s * value[bit] for s, value in zip(wanted, values, strict=True)) + pulled[bit]
            score = pull - sum(code[other] * gram[other][bit] for other in range(BITS) if other != bit)
            code[bit] = code[bit] if score == 0 else 1.0 if score > 0 else -1.0
        solved.append(code)
    return solved


def measure() -> list[dict[str, Any]]:
    """One row for each way: seconds, and their ratio to those of the whole code step."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, CLASSES, (IMAGES,), generator=generator)
    method = started(labels, generator)
    codes, kept, weight = method.database.rows.double(), method.outputs.rows.double(), method.negative_weight
    drawn = kept.any(dim=1)
    values, value_labels = kept[drawn], labels[drawn]
    pull = label_pull(values, value_labels, labels, weight) + method.own_pull * kept
    solved = code_step(codes, values, pull)

    def whole() -> None:
        method.database.rows = codes.float()  # every repeat starts from the same codes
        method.end_epoch(0, 1)

    taken = {
        "code step": seconds(whole),
        "its pull of the labels": seconds(lambda: label_pull(values, value_labels, labels, weight)),
        "its bits": seconds(lambda: code_step(codes, values, pull)),
    }
    if not method.database.rows.equal(solved.float()):
        raise SystemExit("the method's codes are not those of the code step measured here")

    begin = clocks()
    gram = looped_gram(values.tolist())
    middle = clocks()
    some = slice(LOOPED)
    items = codes[some].tolist(), labels[some].tolist(), values.tolist(), value_labels.tolist()
    by_loop = looped_step(*items, (method.own_pull * kept)[some].tolist(), gram, weight)
    end = clocks()
    agree = float((torch.tensor(by_loop) == solved[some]).double().mean())
    if agree < 1:
        raise SystemExit(f"plain Python gives other codes: {agree:.2%} of the bits agree")
    taken[f"plain Python, scaled from {LOOPED} items"] = middle - begin + (end - middle) * IMAGES / LOOPED

    images, ids = torch.rand(BATCH, 3, 112, 112, generator=generator), torch.arange(BATCH)
    optimizer = torch.optim.SGD(method.parameters(), lr=1e-3)

    def training_step() -> None:
        optimizer.zero_grad()
        sum(method.losses(method(images), labels[ids], ids=ids).values()).backward()  # type: ignore[union-attr]
        optimizer.step()

    taken[f"training step of ADSH, {BATCH} images"] = seconds(training_step)
    step = taken["code step"]
    return [
        {"way": way, "seconds": wall, "ratio": wall / step[0], "CPU seconds": cpu, "CPU ratio": cpu / step[1]}
        for way, (wall, cpu) in taken.items()
    ]


def main() -> None:
    torch.manual_seed(0)
    table = pd.DataFrame(measure())
    print(f"{IMAGES:,} images, {BITS} bits, {SAMPLES:,} drawn, {CLASSES} classes, {torch.get_num_threads()} threads")
    print(table.to_string(index=False, float_format="{:.3g}".format))
    wall, cpu = table[["seconds", "CPU seconds"]].iloc[0]
    print(f"a code step: {wall:.2f} s, {'under' if wall < BOUND else 'NOT under'} {BOUND:g} s; {cpu:.2f} CPU seconds")
    FIGURES.mkdir(exist_ok=True)
    table.to_csv(FIGURES / "bench-code-step.csv", index=False, float_format="%.3g")
    print(FIGURES / "bench-code-step.csv")
    if wall >= BOUND:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

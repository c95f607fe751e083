"""The dynamic sign against a training step of the tiny network: batch 128, 64 bits, forward and backward, one thread.

Prints the share for each estimator; Sec. 3.4 sells the dynamic sign as free, so it should stay below 3%.
Run by `make bench`, never as a timed test: the ratio holds on a noisy machine, the seconds do not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from cscelab.dsf import ESTIMATORS, dynamic_sign
from cscelab.methods import build
from cscelab.methods.csce import CSCEConfig
from cscelab.model.backbone import BackboneConfig

BATCH, BITS, CLASSES = 128, 64, 20


def seconds(call: Callable[[], None], repeats: int) -> float:
    """Median over repeats, after one warm-up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    method = build(replace(CSCEConfig(sign="plain"), backbone=BackboneConfig("tiny", "none")), CLASSES, BITS)
    method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(method.parameters())
    images = torch.rand(BATCH, 3, 112, 112).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (BATCH,))

    def training_step() -> None:
        optimizer.zero_grad()
        sum(method.losses(method(images), labels).values()).backward()  # type: ignore[union-attr]
        optimizer.step()

    step = seconds(training_step, 5)
    print(
        f"training step of the tiny network, plain sign: {step * 1e3:.0f} ms (batch {BATCH}, {BITS} bits, one thread)"
    )
    values = (0.1 * torch.randn(BATCH, BITS)).requires_grad_()
    threshold = torch.full((BATCH, 1), 0.05, requires_grad=True)
    for estimator in ESTIMATORS:

        def sign_step(estimator: str = estimator) -> None:
            codes = dynamic_sign(values, threshold, estimator=estimator)
            if codes.requires_grad:
                codes.sum().backward()

        alone = seconds(sign_step, 200)
        print(f"dynamic sign, {estimator:<17} {alone * 1e6:7.0f} us   {100 * alone / step:.3f}% of the step")


if __name__ == "__main__":
    main()

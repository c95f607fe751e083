"""Torch's one generator a process, borrowed: seeded for a while, by one thread at a time, and given back as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LOCK = threading.RLock()  # what another thread draws or builds meanwhile would change ours


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """For code that takes no `generator=`: new layers, the noise of SmoothGradCAM++. CPU generator only."""
    with _LOCK, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield

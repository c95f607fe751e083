"""A function of many arguments run by several processes, safe in notebooks and in scripts without a main guard."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing import get_context
from typing import TypeVar

Arguments = TypeVar("Arguments", bound=tuple)
Result = TypeVar("Result")
Listener = Callable[[float], None]  # hears the share of the jobs that is done
_listener: ContextVar[Listener | None] = ContextVar("_listener", default=None)


def unordered(
    function: Callable[..., Result], jobs: Sequence[Arguments], workers: int
) -> Iterator[tuple[Arguments, Result]]:
    """Yield (job, function(*job)) for every job, in whatever order they are ready; `listening` hears how far it is.

    `function` must be importable by name (or a partial of such). With one worker, where it is defined in the script
    itself, or where processes cannot be started, the work is done here.
    """
    left, workers = list(jobs), min(workers, len(jobs))
    if workers > 1 and getattr(function, "func", function).__module__ != "__main__":
        # Spawned, not forked: a notebook's threads (torch, BLAS) do not survive a fork.
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        try:
            with _main_kept_back():
                waiting = {pool.submit(function, *job): job for job in jobs}
            for future in as_completed(waiting):
                result = future.result()
                left.remove(waiting[future])
                yield waiting[future], result
                _tell(1 - len(left) / len(jobs))
        except BrokenProcessPool:
            pass  # killed, for memory say: go on in this process
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C ends after the jobs in hand
    for n_left, job in zip(range(len(left) - 1, -1, -1), left, strict=True):
        yield job, function(*job)
        _tell(1 - n_left / len(jobs))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """In this thread, `listener` hears after each job what share of them is done; what it raises ends the work."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def _tell(share: float) -> None:
    if listener := _listener.get():
        listener(share)


@contextmanager
def _main_kept_back() -> Iterator[None]:
    """Processes spawned meanwhile do not run the user's script again, as they would to find what it defines: without a
    main guard that starts the same work in each, and ends in pages of errors."""
    main = vars(sys.modules["__main__"])
    names = [name for name in ("__file__", "__spec__") if name in main]
    kept: dict[str, object] = {name: main[name] for name in names}
    main.pop("__file__", None)
    main["__spec__"] = None
    try:
        yield
    finally:
        main |= kept

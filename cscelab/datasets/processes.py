"""A function of many arguments run by several processes, safe in notebooks and in scripts without a main guard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

Arguments = TypeVar("Arguments", bound=tuple)
Result = TypeVar("Result")


def unordered(
    function: Callable[..., Result], jobs: Sequence[Arguments], workers: int
) -> Iterator[tuple[Arguments, Result]]:
    """Yield (job, function(*job)) for every job, in whatever order they are ready.

    `function` must be importable by name (or a partial of such). With one worker, or where processes cannot be
    started, the work is done here.
    """
    left, workers = list(jobs), min(workers, len(jobs))
    if workers > 1:
        # Spawned, not forked: a notebook's threads (torch, BLAS) do not survive a fork.
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        try:
            waiting = {pool.submit(function, *job): job for job in jobs}
            for future in as_completed(waiting):
                result = future.result()
                left.remove(waiting[future])
                yield waiting[future], result
        except BrokenProcessPool:
            pass  # a script without a main guard, or code typed into python: go on in this process
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C ends after the jobs in hand
    for job in left:
        yield job, function(*job)

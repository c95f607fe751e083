"""Several experiments at once: each in its own process, two at a time on two cores beats one on two."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tqdm.auto import tqdm

from cscelab.datasets import load_data
from cscelab.encode import best_device
from cscelab.experiment import Experiment, Run, find_run, run


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def distinct(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The experiments without those that only repeat another under a different name."""
    return list({experiment.hash: experiment for experiment in reversed(experiments)}.values())[::-1]


def run_all(
    experiments: Sequence[Experiment], *, jobs: int | None = None, root: Path | None = None, progress: bool = True
) -> list[Run]:
    """Runs of all experiments, in order; those not stored yet are trained, `jobs` at a time.

    jobs: None for the cores over the threads of one run on a CPU, 1 on an accelerator. A failure stops the rest and is
    raised as it was; what finished is kept, and what was under way goes on from its last epoch at the next call.
    """
    missing = [experiment for experiment in distinct(experiments) if find_run(experiment, root) is None]
    if missing:
        for data in dict.fromkeys(experiment.data for experiment in missing):
            load_data(data, root, progress)
        if jobs is None:
            jobs = 1 if best_device().type != "cpu" else max(1, cores() // missing[0].training.threads)
        _train(missing, min(jobs, len(missing)), root, progress)
    return [run(experiment, root=root, progress=progress) for experiment in experiments]


def _train(missing: Sequence[Experiment], jobs: int, root: Path | None, progress: bool) -> None:
    bar = tqdm(total=len(missing), desc="training", unit="run", disable=not progress)
    if jobs == 1:
        for experiment in missing:
            bar.set_postfix_str(experiment.name)
            run(experiment, root=root, progress=progress)
            bar.update()
        bar.close()
        return
    spawn = multiprocessing.get_context("spawn")  # forked children of a threaded parent can hang
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        futures = {pool.submit(_quiet_run, experiment, root): experiment for experiment in missing}
        try:
            for future in as_completed(futures):
                future.result()
                bar.set_postfix_str(f"{futures[future].name} done")
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            bar.close()


def _quiet_run(experiment: Experiment, root: Path | None) -> None:
    run(experiment, root=root, progress=False)

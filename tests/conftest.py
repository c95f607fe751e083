"""Shared fixtures: one thread per test process, and where optional reference material lies."""

import os
from pathlib import Path

import pytest
import torch
from fake_runs import make_run, make_splits

from cscelab.datasets import Splits
from cscelab.experiment import Run
from cscelab.methods.csq import CSQConfig

ROOT = Path(__file__).resolve().parent.parent
# Reference values and photographs that are not part of the repository; tests that need them skip with a reason.
SHARED = Path(os.environ.get("CSCELAB_SHARED", ROOT.parent / "shared"))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_file():
    """A function path -> existing file under the reference folder, or a skip that says what is absent."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"reference file {relative} is not here (set CSCELAB_SHARED to its folder)")
        return path

    return find


@pytest.fixture(scope="module")
def splits() -> Splits:
    return make_splits()


@pytest.fixture
def pair(tmp_path, splits) -> tuple[Run, Run]:
    """A good run of CSCE-Net and a worse one of CSQ."""
    return make_run(tmp_path, splits, 0.12, 1), make_run(tmp_path, splits, 0.3, 2, method=CSQConfig())

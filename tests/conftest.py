"""Shared fixtures: one thread per test process, and where optional reference material lies."""

import os
from pathlib import Path

import pytest
import torch

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

"""What several commands take: annotated types for tyro."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

try:
    from tyro.conf import Positional, arg
except ImportError:
    sys.exit("cscelab: the command line needs tyro, which is not installed; pip install tyro")

__all__ = ["DataArg", "Name", "Positional", "ProfileArg", "arg"]

Name = Annotated[str, arg(metavar="NAME")]
DataArg = Annotated[
    str | None,
    arg(metavar="aviary|scenes|folder:PATH|unlabelled:PATH|lists:PATH", help="data set in place of the profile's"),
]
ProfileArg = Annotated[
    Literal["quick", "standard", "paper", "scratch", "smoke"],
    arg(
        help="quick: minutes on two cores; standard: three seeds, all lengths; paper: its data, ResNet-50; scratch: "
        "CIFAR-10 on a CPU, nothing pretrained; smoke: tests"
    ),
]

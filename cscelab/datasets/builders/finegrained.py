"""The fine-grained data sets by name: what builds their lists, what is published of them, what downloads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cscelab.datasets.builders.cub import CUB, NABIRDS, cub, nabirds
from cscelab.datasets.builders.downloads import DOWNLOADS
from cscelab.datasets.builders.official import Official
from cscelab.datasets.builders.torchvision_sets import (
    AIRCRAFT,
    CARS,
    FLOWERS,
    FOOD,
    PETS,
    aircraft,
    cars,
    flowers,
    food,
    pets,
)
from cscelab.datasets.builders.vegfru import VEGFRU, vegfru
from cscelab.datasets.splitfiles import SplitLists

BUILDERS: dict[str, Callable[[Path], SplitLists]] = {
    CUB.name: cub,
    AIRCRAFT.name: aircraft,
    NABIRDS.name: nabirds,
    VEGFRU.name: vegfru,
    FOOD.name: food,
    FLOWERS.name: flowers,
    CARS.name: cars,
    PETS.name: pets,
}
OFFICIAL: dict[str, Official] = {
    official.name: official for official in (CUB, AIRCRAFT, NABIRDS, VEGFRU, FOOD, FLOWERS, CARS, PETS)
}

__all__ = ["BUILDERS", "DOWNLOADS", "OFFICIAL"]

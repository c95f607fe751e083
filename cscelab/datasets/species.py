"""The birds of Aviary in words: genera share a silhouette and a palette, species differ in one or two parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (204, 40, 36),
    "black": (30, 28, 34),
    "white": (244, 242, 234),
    "golden": (240, 188, 44),
    "rufous": (186, 84, 36),
    "slate": (92, 106, 128),
    "chestnut": (132, 62, 34),
    "cobalt": (36, 72, 178),
    "jade": (40, 140, 96),
    "plum": (112, 48, 112),
    "ivory": (232, 220, 186),
    "orange": (240, 126, 28),
    "dark": (52, 48, 50),
}

# Palette -> colour of the body, of the underside and of an unvaried wing.
PALETTES: dict[str, tuple[Colour, Colour, Colour]] = {
    "moss": ((124, 134, 70), (218, 210, 162), (84, 94, 52)),
    "azure": ((52, 126, 186), (238, 186, 126), (28, 82, 146)),
    "ash": ((150, 158, 168), (224, 226, 226), (100, 108, 122)),
    "ember": ((202, 88, 52), (240, 178, 104), (124, 50, 40)),
    "umber": ((128, 92, 62), (216, 192, 156), (88, 62, 44)),
    "lagoon": ((44, 142, 134), (198, 222, 196), (22, 94, 100)),
    "heather": ((142, 94, 142), (222, 192, 214), (94, 58, 104)),
    "straw": ((214, 178, 82), (246, 234, 190), (152, 114, 46)),
}
SILHOUETTES = ("finch", "kingfisher", "heron", "parakeet", "duck", "owl", "plover", "wren")

# Part -> value -> the adjective by which a species that has it is named.
VOCABULARY: dict[str, dict[str, str]] = {
    "wing_pattern": {
        "plain": "plain-winged",
        "barred": "bar-winged",
        "spotted": "spot-winged",
        "tipped": "tip-winged",
        "patched": "mirror-winged",
        "edged": "lace-winged",
    },
    "wing_colour": {
        "palette": "dull-winged",
        **{c: f"{c}-winged" for c in ("slate", "chestnut", "cobalt", "jade", "plum", "golden", "ivory", "black")},
    },
    "crown": {
        "plain": "bare-headed",
        "red cap": "red-capped",
        "black cap": "black-capped",
        "white cap": "white-capped",
        "golden cap": "golden-capped",
        "red crest": "flame-crested",
        "black crest": "dark-crested",
        "golden crest": "gold-crested",
        "white brow": "white-browed",
        "black mask": "masked",
    },
    "breast": {
        "plain": "pale-breasted",
        "rufous": "rufous-breasted",
        "golden": "golden-breasted",
        "white": "snow-breasted",
        "black": "sooty-breasted",
        "speckled": "speckled",
        "banded": "collared",
    },
    "tail": {
        "plain": "square-tailed",
        "long": "long-tailed",
        "forked": "fork-tailed",
        "fanned": "fan-tailed",
        "white-tipped": "pale-tailed",
    },
    "beak": {
        "dark": "dark-billed",
        "orange": "orange-billed",
        "red": "red-billed",
        "ivory": "ivory-billed",
        "heavy": "heavy-billed",
    },
}
PARTS = tuple(VOCABULARY)
SPECIES_PER_GENUS = 5
BENCHMARK_ROUNDS = 5  # 8 silhouettes x 5 palettes = 40 genera = 200 benchmark species
POPULATIONS = {"benchmark": 200, "pretraining": 100}
LEAST_CONTRAST = 100.0  # Euclidean distance in 8-bit RGB between two colours that must be told apart


@dataclass(frozen=True)
class Species:
    """A kind of bird. The first two parts are its genus's; the other six are where species differ."""

    genus: str
    name: str
    silhouette: str
    palette: str
    wing_pattern: str = "plain"
    wing_colour: str = "palette"
    crown: str = "plain"
    breast: str = "plain"
    tail: str = "plain"
    beak: str = "dark"

    @property
    def parts(self) -> dict[str, str]:
        """Part -> value, the genus's two first."""
        return {part: getattr(self, part) for part in ("silhouette", "palette", *PARTS)}

    @property
    def body_colour(self) -> Colour:
        return PALETTES[self.palette][0]

    @property
    def belly_colour(self) -> Colour:
        return PALETTES[self.palette][1]

    @property
    def wing_rgb(self) -> Colour:
        return PALETTES[self.palette][2] if self.wing_colour == "palette" else COLOURS[self.wing_colour]


def species_list(n_classes: int, population: str = "benchmark") -> tuple[Species, ...]:
    """The first `n_classes` species of a population, genus by genus, five to a genus.

    "pretraining" species share the vocabulary of parts with the 200 benchmark species but never a genus, so no
    combination of parts occurs in both. Raises ValueError for an unknown population or too many classes.
    """
    if population not in POPULATIONS:
        raise ValueError(f"unknown population {population!r}; choose from {sorted(POPULATIONS)}")
    if not 1 <= n_classes <= POPULATIONS[population]:
        raise ValueError(
            f"n_classes is {n_classes}; the {population} population has 1 to {POPULATIONS[population]} species"
        )
    first_round = 0 if population == "benchmark" else BENCHMARK_ROUNDS
    n_genera = -(-n_classes // SPECIES_PER_GENUS)
    genera = [_genus(g % len(SILHOUETTES), first_round + g // len(SILHOUETTES)) for g in range(n_genera)]
    return tuple(species for genus in genera for species in genus)[:n_classes]


@cache
def _genus(silhouette: int, palette_round: int) -> tuple[Species, ...]:
    """A type species and four that each change one part of it, so that any two differ in one or two parts."""
    palette = list(PALETTES)[(silhouette + palette_round) % len(PALETTES)]
    genus = f"{palette} {SILHOUETTES[silhouette]}"
    rng = np.random.default_rng([silhouette, palette_round])
    type_species = Species(genus, f"common {genus}", SILHOUETTES[silhouette], palette)
    for part in ("wing_pattern", "crown", "breast", "tail", "beak"):
        type_species = replace(type_species, **{part: _choose(part, type_species, rng)})
    # A change of wing, head or breast in every genus, and a subtle one (tail or beak) in most.
    bold = list(rng.permutation(["wing_pattern", "wing_colour", "crown", "breast"])[:3])
    varied = [*bold, str(rng.choice(["tail", "beak"]))]
    members = [type_species]
    for part in varied:
        value = _choose(part, type_species, rng)
        members.append(replace(type_species, name=f"{VOCABULARY[part][value]} {genus}", **{part: value}))
    return tuple(members)


def _choose(part: str, species: Species, rng: np.random.Generator) -> str:
    """A value of `part` that this species has not, and that shows on it."""
    present = getattr(species, part)
    options = [value for value in VOCABULARY[part] if value != present and _shows(part, value, species)]
    return str(rng.choice(options))


def _shows(part: str, value: str, species: Species) -> bool:
    """Whether a coloured part stands out from the colours it lies on or replaces."""
    colour_name = value.split()[0]
    if colour_name not in COLOURS:
        return True
    beside = {
        "wing_colour": (species.wing_rgb, species.body_colour),
        "crown": (species.body_colour,),
        "breast": (species.body_colour, species.belly_colour),
        "beak": (species.body_colour, COLOURS.get(species.beak, species.body_colour)),
    }.get(part, ())
    if part == "beak" and species.silhouette == "owl":
        beside = (*beside, species.belly_colour)  # the colour of its face
    return all(contrast(COLOURS[colour_name], colour) >= LEAST_CONTRAST for colour in beside)


def contrast(a: Colour, b: Colour) -> float:
    """Euclidean distance of two 8-bit RGB colours."""
    return float(np.linalg.norm(np.subtract(a, b)))

"""Numbers printed in the papers, to stand beside ours and never to be taken for ours.

Sources: Xue, Shi, He, Xu, Pan, "Cross-Scale Context Extracted Hashing for Fine-Grained Image Binary Encoding",
ACML 2022 (PMLR 189:1197-1212, arXiv 2210.07572); Cui, Jiang, Wei, Li, Yoshie, "ExchNet: A Unified Hashing Network for
Large-Scale Fine-Grained Image Retrieval", ECCV 2020 (arXiv 2008.01369). One number a cell, no deviation over seeds.
No other file holds these numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

LENGTHS = (16, 32, 64)  # bits, in every table of Xue et al.
EXCHNET_LENGTHS = (12, 24, 32, 48)
EVERY = "mAP@all"
MEASURES = {
    "ImageNet100": "mAP@1000",
    "MS COCO": "mAP@5000",
    "NUS-WIDE": "mAP@5000",
    "CUB-200-2011": EVERY,
    "FGVC-Aircraft": EVERY,
    "NABirds": EVERY,
    "VegFru": EVERY,
    "Food-101": EVERY,
}

RESNET, VGG, GC, VIT = "ResNet50", "VGG16", "GCViT-XXT", "ViT"

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class PublishedTable:
    """rows: row -> data set -> mAP at each of `lengths` bits, data sets with a dash left out;
    backbones: row -> backbone.
    """

    source: str
    caption: str
    data_sets: tuple[str, ...]
    rows: Mapping[str, Mapping[str, tuple[float, ...]]]
    backbones: Mapping[str, str]
    lengths: tuple[int, ...] = LENGTHS

    def value(self, row: str, data_set: str, bits: int) -> float | None:
        """The printed mAP, None where there is none. Raises ValueError for a data set of another table."""
        if data_set not in self.data_sets:
            raise ValueError(f"{self.source} has no data set {data_set!r}; choose from {self.data_sets}")
        numbers = self.rows.get(row, {}).get(data_set)
        return None if numbers is None or bits not in self.lengths else numbers[self.lengths.index(bits)]

    def label(self, data_set: str) -> str:
        """What a column of these numbers must say of itself, the code length aside; a row may name another backbone."""
        unnamed = dict.fromkeys(
            backbone for row, backbone in self.backbones.items() if not row.endswith(f"({backbone})")
        )
        rest = " unless named" if len(unnamed) < len(set(self.backbones.values())) else ""
        return f"published, {data_set} {MEASURES[data_set]}, {' or '.join(unnamed)}{rest}"

    def beside(self, *data_sets: str) -> PublishedTable:
        """The same table with these data sets alone. Raises ValueError for one that it has not."""
        for data_set in data_sets:
            self.value("", data_set, self.lengths[0])
        return replace(self, data_sets=data_sets)


def _table(
    number: int,
    caption: str,
    data_sets: tuple[str, ...],
    printed: dict[str, tuple[str, tuple[Triple | None, ...]]],
) -> PublishedTable:
    """printed: row -> (backbone, cells)."""
    return PublishedTable(
        source=f"Table {number} of Xue et al., ACML 2022 (arXiv 2210.07572)",
        caption=caption,
        data_sets=data_sets,
        rows={
            row: {name: triple for name, triple in zip(data_sets, triples, strict=True) if triple is not None}
            for row, (_, triples) in printed.items()
        },
        backbones={row: backbone for row, (backbone, _) in printed.items()},
    )


TABLE1 = _table(
    1,
    "Comparison in mAP of Hamming ranking for different bits on image retrieval",
    ("ImageNet100", "MS COCO", "NUS-WIDE"),
    {
        "TransHash (ViT)": (VIT, ((0.785, 0.873, 0.892), None, (0.726, 0.739, 0.749))),
        "CIBHash (VGG16)": (VGG, ((0.718, 0.756, 0.783), (0.737, 0.760, 0.775), (0.790, 0.807, 0.815))),
        "CIBHash (GCViT-XXT)": (GC, ((0.860, 0.886, 0.897), (0.807, 0.836, 0.851), (0.795, 0.817, 0.825))),
        "CNNH": (RESNET, ((0.315, 0.473, 0.596), (0.599, 0.617, 0.620), (0.655, 0.659, 0.647))),
        "DNNH": (RESNET, ((0.353, 0.522, 0.610), (0.644, 0.651, 0.647), (0.703, 0.738, 0.754))),
        "DHN": (RESNET, ((0.367, 0.522, 0.627), (0.719, 0.731, 0.745), (0.712, 0.759, 0.771))),
        "HashNet": (RESNET, ((0.622, 0.701, 0.739), (0.745, 0.773, 0.788), (0.757, 0.775, 0.790))),
        "CSQ": (RESNET, ((0.851, 0.865, 0.873), (0.796, 0.838, 0.861), (0.810, 0.825, 0.839))),
        "CSCE-Net": (RESNET, ((0.869, 0.887, 0.897), (0.807, 0.852, 0.888), (0.794, 0.827, 0.839))),
        "CSCE-Net (VGG16)": (VGG, ((0.729, 0.764, 0.800), (0.751, 0.803, 0.832), (0.806, 0.823, 0.839))),
        "CSCE-Net (GCViT-XXT)": (
            GC,
            ((0.896, 0.910, 0.911), (0.844, 0.902, 0.919), (0.839, 0.865, 0.878)),
        ),
    },
)

TABLE2 = _table(
    2,
    "Experimental results of CSCE-Net with variants of its structure",
    ("ImageNet100", "MS COCO"),
    {
        "Baseline": (RESNET, ((0.839, 0.879, 0.889), (0.752, 0.829, 0.865))),
        "Baseline + local": (RESNET, ((0.840, 0.883, 0.894), (0.760, 0.828, 0.869))),
        "Baseline + global-sw2": (RESNET, ((0.856, 0.868, 0.888), (0.739, 0.802, 0.851))),
        "Baseline + global-sw4": (RESNET, ((0.857, 0.870, 0.882), (0.754, 0.812, 0.841))),
        "Baseline + global-sw2 + global-sw4": (RESNET, ((0.854, 0.879, 0.894), (0.768, 0.814, 0.854))),
        "Baseline + AIE": (RESNET, ((0.869, 0.887, 0.897), (0.807, 0.852, 0.888))),
    },
)

TABLE3 = _table(
    3,
    "mAP comparison with variants of the loss",
    ("ImageNet100",),
    {
        "CE": (RESNET, ((0.845, 0.877, 0.887),)),
        "CE+Qua": (RESNET, ((0.860, 0.885, 0.889),)),
        "CF": (RESNET, ((0.860, 0.877, 0.891),)),
        "CF+Qua": (RESNET, ((0.862, 0.884, 0.894),)),
        "CF+DSF": (RESNET, ((0.869, 0.887, 0.897),)),
    },
)

_WHOLE, _ADSH, _HASHNET = "ExchNet", "ADSH", "HashNet"
_EXCHNET_PRINTED: dict[str, dict[str, tuple[float, ...]]] = {
    _WHOLE: {
        "CUB-200-2011": (0.2514, 0.5898, 0.6774, 0.7105),
        "FGVC-Aircraft": (0.3327, 0.4583, 0.5183, 0.5905),
        "NABirds": (0.0522, 0.1569, 0.2194, 0.3481),
        "VegFru": (0.2355, 0.3593, 0.4827, 0.6930),
        "Food-101": (0.4563, 0.5548, 0.5639, 0.6419),
    },
    _ADSH: {
        "CUB-200-2011": (0.2003, 0.5033, 0.6168, 0.6543),
        "FGVC-Aircraft": (0.1554, 0.2309, 0.3037, 0.5065),
        "Food-101": (0.3564, 0.4093, 0.4289, 0.4881),
    },
    _HASHNET: {"CUB-200-2011": (0.1203, 0.1777, 0.1993, 0.2213)},
    "ExchNet without exchange": {"CUB-200-2011": (0.2290, 0.5437, 0.6488, 0.7009)},
    "ExchNet, 2 parts": {"CUB-200-2011": (0.2401, 0.5851, 0.6663, 0.6979)},
    "ExchNet, 6 parts": {"CUB-200-2011": (0.2395, 0.5772, 0.6431, 0.6926)},
}
# Printed in percent. What is left out here was not looked up; it need not be a dash in the paper.
EXCHNET = PublishedTable(
    source="Cui et al., ECCV 2020 (arXiv 2008.01369)",
    caption="mAP of ExchNet, of what it is compared with and made of, for different bits on fine-grained retrieval",
    data_sets=tuple(_EXCHNET_PRINTED[_WHOLE]),
    rows=_EXCHNET_PRINTED,
    backbones={row: RESNET for row in _EXCHNET_PRINTED if row.startswith(_WHOLE)},
    lengths=EXCHNET_LENGTHS,
)

"""How fast images come into the cache and out of it, beside what is plainly written, in one run.

Building: made-up photographs of 500 x 375 pixels (smooth colours, blotches and grain, quality 90) become squares, by
one thread; the references are Pillow without reduced decoding, and torchvision's decode_image and v2.Resize. Epochs:
shuffled batches of 128 at 64 px from a memory map of 1.2 GB; the reference is torchvision's ImageFolder, which decodes
every epoch anew. Rates are per second of processor time, so that other work on the machine counts little: those of one
core. Wall time is given besides, and how much anonymous memory (RssAnon) grew while a cache of 1.2 GB was built, and
over epochs. Writes figures/bench-pipeline.csv, .png and .svg. Run by `make bench`: about a minute.
"""

from __future__ import annotations

import io
import math
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from cscelab.datasets.augmentation import AUGMENTATIONS, augment_more
from cscelab.datasets.base import ImageSet
from cscelab.datasets.decoding import decode
from cscelab.datasets.imagecache import ImageStore, cached_images
from cscelab.datasets.loader import augment, training_loader
from cscelab.figures.pipeline import pipeline
from cscelab.figures.style import save

PHOTOGRAPHS, WIDTH, HEIGHT, QUALITY = 100, 500, 375, 90
TARGETS = {256: 120, 64: 400}  # images/s and core of building, by side
CACHED, MAPPED = 6_000, 100_000  # squares of 256 px and of 64 px: 1.2 GB each
SECONDS = 1.5  # of processor time, for each way of building and each kind of epoch
FIGURES = Path(__file__).resolve().parent.parent / "figures"


def photograph(rng: np.random.Generator) -> bytes:
    """A JPEG of about 62 kB, as a photograph's details have it."""

    def blotches(rows: int, columns: int) -> np.ndarray:
        drawn = Image.fromarray(rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8))
        return np.asarray(drawn.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)

    picture = blotches(9, 12) + 0.15 * (blotches(62, 83) - 128) + rng.normal(0, 5, (HEIGHT, WIDTH, 1))
    file = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def plain(data: bytes, side: int) -> np.ndarray:
    """Open, convert, resize, crop, as it is usually written."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    scale = side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)))


def by_torchvision(data: bytes, side: int) -> torch.Tensor:
    image = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
    return v2.functional.center_crop(v2.functional.resize(image, [side], antialias=True), [side, side])


def rate(counts: Iterable[int]) -> tuple[float, float]:
    """Images per second of processor and of wall time; the counts come as they are ready."""
    processor, wall, n = time.process_time(), time.perf_counter(), 0
    for count in counts:
        n += count
        if time.process_time() - processor > SECONDS:
            break
    return n / (time.process_time() - processor), n / (time.perf_counter() - wall)


def anonymous() -> float:
    """Megabytes of this process that are no file's; NaN where the system doesn't tell."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return math.nan
    return next((int(line.split()[1]) / 1e3 for line in text.splitlines() if line.startswith("RssAnon")), math.nan)


@contextmanager
def growth() -> Iterator[list[float]]:
    """Gives a list that will hold the most megabytes above the start, looked at fifty times a second."""
    start, most, ended = anonymous(), [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            most[0] = max(most[0], anonymous() - start)

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield most
    finally:
        ended.set()
        watch.join()


def row(stage: str, way: str, rates: tuple[float, float], first: float, **more: Any) -> dict[str, Any]:
    return {
        "stage": stage, "way": way, "images per second and core": rates[0], "images per second": rates[1],
        "ratio": rates[0] / (first or rates[0]), "reference": False, "target": math.nan,
    } | more  # fmt: skip


def building(photographs: list[bytes]) -> list[dict[str, Any]]:
    ways: dict[str, Callable[[bytes, int], Any]] = {
        "Pillow, plain": plain,
        "torchvision, v2.Resize": by_torchvision,
        "cscelab": lambda data, side: decode(data, side, side),
    }
    rows = []
    for side, target in TARGETS.items():
        first = 0.0
        for way, convert in ways.items():
            convert(photographs[0], side)
            rates = rate(1 for _ in range(100) for data in photographs if convert(data, side) is not None)
            first = first or rates[0]
            stage = f"Building, one thread: {WIDTH} x {HEIGHT} to {side} px"
            rows.append(row(stage, way, rates, first, target=target, reference=way != "cscelab"))
    return rows


def epochs(folder: Path) -> list[dict[str, Any]]:
    """folder: of class folders of JPEGs."""
    stage = "Epochs: shuffled batches at 64 px"
    transform = v2.Compose([v2.ToImage(), v2.Resize(64), v2.CenterCrop(64)])
    loader = DataLoader(ImageFolder(folder, transform), 32, shuffle=True)
    rates = rate(len(images) for _ in range(100) for images, _ in loader)
    rows = [row(stage, "ImageFolder, decoding", rates, 0, reference=True)]
    path = folder.parent / "mapped.npy"
    mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(MAPPED, 64, 64, 3))
    for start in range(0, MAPPED, 10_000):
        mapped[start : start + 10_000] = np.random.default_rng(start).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mapped.flush()
    images = ImageSet(np.load(path, mmap_mode="r"), np.zeros(MAPPED, np.int64), np.arange(MAPPED))
    generator = torch.Generator().manual_seed(0)
    ways: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "cache": lambda batch: batch,
        "cache, flip and shift": lambda batch: augment(batch, generator),
        **{f"cache, {name}": lambda batch, name=name: augment_more(batch, generator, name) for name in AUGMENTATIONS},
    }
    for way, change in ways.items():
        batches = training_loader(images, 128, seed=0)
        change(next(iter(batches)).images)
        with growth() as most:
            rates = rate(len(change(batch.images)) for _ in range(10) for batch in batches)
        target = 1_500 if way == "cache" else math.nan  # 3,000 on two cores
        first = rows[0]["images per second and core"]
        rows.append(row(stage, way, rates, first, target=target, **{"MB more": most[0]}))
    return rows


def whole_cache(folder: Path) -> dict[str, Any]:
    """`cached_images` for 6,000 names, all cores."""
    store = ImageStore(folder)
    names = (store.names() * math.ceil(CACHED / PHOTOGRAPHS))[:CACHED]
    with tempfile.TemporaryDirectory() as root, growth() as most:
        processor, wall = time.process_time(), time.perf_counter()
        cached_images(store, names, 256, root=root, progress=False)
        rates = CACHED / (time.process_time() - processor), CACHED / (time.perf_counter() - wall)
    return row("A cache of 1.2 GB: with reading, writing and checksums", "cscelab", rates, 0, **{"MB more": most[0]})


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    photographs = [photograph(rng) for _ in range(PHOTOGRAPHS)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "photographs"
        (folder / "all").mkdir(parents=True)
        for i, data in enumerate(photographs):
            (folder / "all" / f"{i:03}.jpg").write_bytes(data)
        table = pd.DataFrame([*building(photographs), *epochs(folder), whole_cache(folder)])
    size = sum(map(len, photographs)) / PHOTOGRAPHS / 1e3
    caption = f"{WIDTH} x {HEIGHT} JPEGs of {size:.0f} kB; processor time"
    print(caption)
    print(table.to_string(index=False, na_rep="", float_format="{:.4g}".format))
    FIGURES.mkdir(exist_ok=True)
    table.to_csv(FIGURES / "bench-pipeline.csv", index=False, float_format="%.4g")
    drawn = table[table["MB more"].isna() | table["stage"].str.startswith("Epochs")]
    for path in (FIGURES / "bench-pipeline.csv", *save(pipeline(drawn, caption), FIGURES / "bench-pipeline")):
        print(path)


if __name__ == "__main__":
    main()

"""Image files to codes: what `cscelab encode` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from cscelab.codes import pack, unpack
from cscelab.datasets.base import ImageSet
from cscelab.datasets.decoding import UnreadableImageError, decode
from cscelab.encode import best_device, encode
from cscelab.experiment import Run
from cscelab.ordinal import read_one_hot
from cscelab.paths import make_folder
from cscelab.shipped import ENCODER, load_encoder


@dataclass(frozen=True)
class EncodedFiles:
    """paths (N,), codes int8 +-1 (N, K), values float32 (N, K); encoder: the name of what made them; arity: k where the
    K bits are one-hot symbols, None of plain bits."""

    paths: tuple[Path, ...]
    codes: np.ndarray
    values: np.ndarray
    encoder: str
    arity: int | None = None

    def text(self) -> str:
        """A line an image: its bits, or its symbols with commas between, then its path."""
        if self.arity is None:
            lines = ["".join("1" if bit > 0 else "0" for bit in code) for code in self.codes]
        else:
            lines = [",".join(map(str, symbols)) for symbols in read_one_hot(self.codes, self.arity).tolist()]
        return "\n".join(f"{line}  {path}" for line, path in zip(lines, self.paths, strict=True))

    def save(self, path: Path) -> Path:
        """Writes paths, packed codes, bits, values and encoder as .npz, under a temporary name until whole.

        Of ordinal codes also their arity; bits are then those of the one-hot codes, as they are packed.
        """
        make_folder(path.parent, "name another file with --out")
        temporary = path.with_name(path.name + ".tmp.npz")
        arity: dict[str, Any] = {} if self.arity is None else {"arity": np.array(self.arity)}
        np.savez_compressed(
            temporary,
            paths=np.array([str(p) for p in self.paths]),
            codes=pack(self.codes),
            bits=np.array(self.codes.shape[1]),
            values=self.values,
            encoder=np.array(self.encoder),
            **arity,
        )
        temporary.replace(path)
        return path


def read_image(path: Path, size: int, resize: int) -> np.ndarray:
    """uint8 (size, size, 3), prepared as data sets are: see `decoding.decode`. Raises where there is no image."""
    try:
        return decode(path.read_bytes(), size, resize)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no image at {path}; check the path") from None
    except UnreadableImageError as error:
        raise ValueError(f"{path} {error}; give another file") from error


def encoder_name(run: Run | None) -> str:
    """What an encoder is called in files of codes and in indexes; None is the shipped one."""
    return run.folder.name if run else ENCODER.stem


def encode_files(paths: Sequence[Path], run: Run | None = None) -> EncodedFiles:
    """Codes of image files, by a stored run or the shipped encoder, prepared as the images it was trained on."""
    method, experiment = (run.model(), run.experiment) if run else load_encoder()
    size = method.config.image_size
    resize = getattr(experiment.data, "resize", None) or size
    pixels = np.stack([read_image(path, size, resize) for path in tqdm(paths, "reading", delay=2, leave=False)])
    rows = np.arange(len(paths))
    encoded = encode(method.to(best_device()), ImageSet(pixels, labels=rows, ids=rows), progress=len(paths) > 128)
    codes = unpack(encoded.codes, encoded.layout.width)
    return EncodedFiles(tuple(paths), codes, encoded.values, encoder_name(run), encoded.layout.arity)

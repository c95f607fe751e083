"""Image files to codes: what `cscelab encode` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from cscelab.codes import pack
from cscelab.experiment import Run
from cscelab.methods import HashMethod
from cscelab.shipped import load_encoder


@dataclass(frozen=True)
class EncodedFiles:
    """paths (N,), codes int8 +-1 (N, K), values float32 (N, K)."""

    paths: tuple[Path, ...]
    codes: np.ndarray
    values: np.ndarray

    def text(self) -> str:
        """A line an image: its bits, then its path."""
        lines = ["".join("1" if bit > 0 else "0" for bit in code) for code in self.codes]
        return "\n".join(f"{line}  {path}" for line, path in zip(lines, self.paths, strict=True))

    def save(self, path: Path) -> Path:
        """Writes paths, packed codes, bits and values as .npz, under a temporary name until whole."""
        temporary = path.with_name(path.name + ".tmp.npz")
        np.savez_compressed(
            temporary,
            paths=np.array([str(p) for p in self.paths]),
            codes=pack(self.codes),
            bits=np.array(self.codes.shape[1]),
            values=self.values,
        )
        temporary.replace(path)
        return path


def read_image(path: Path, size: int) -> np.ndarray:
    """uint8 (size, size, 3): upright, RGB, the centre square. Raises ValueError naming a file that is no image."""
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
            return np.asarray(ImageOps.fit(upright, (size, size), Image.Resampling.BICUBIC))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no image at {path}; check the path") from None
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image ({error}); give a JPEG, PNG or WebP file") from error


def encode_files(paths: Sequence[Path], run: Run | None = None) -> EncodedFiles:
    """Codes of image files, by a stored run or the shipped encoder."""
    method: HashMethod = run.model() if run else load_encoder()[0]
    size = method.config.image_size
    images = torch.from_numpy(np.stack([read_image(path, size) for path in paths])).permute(0, 3, 1, 2)
    with torch.inference_mode():
        output = method(images)
    return EncodedFiles(tuple(paths), output.codes.to(torch.int8).numpy(), output.values.float().numpy())

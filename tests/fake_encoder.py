"""An encoder of 16 bits without torch, for tests of the index of a folder; as a program it indexes a folder by it.

python fake_encoder.py FOLDER: says "batch" before each batch is encoded, and at the end whether torch was loaded.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cscelab.photoindex import update as updating
from cscelab.photoindex.encoder import Encoder

SIDE = 8


class FakeModel:
    """Bits: which of 16 blocks of 2 x 2 pixels are brighter than the picture; symbols of 4: the brightest of four."""

    size = resize = SIDE
    width = 16

    def __init__(self, arity=None, tell=None):
        self.arity, self.tell, self.calls = arity, tell, []

    def codes(self, pixels):
        assert len(pixels) <= updating.BATCH
        self.calls.append(len(pixels))
        if self.tell:
            self.tell()
        return [np.packbits(self.bits(image)).tobytes() for image in pixels]

    def bits(self, image):
        blocks = image.astype(int).reshape(4, 2, 4, 2, 3).sum(axis=(1, 3, 4))
        if self.arity:
            return np.eye(4, dtype=np.uint8)[blocks.argmax(axis=1)].ravel()
        return (blocks * 16 > blocks.sum()).astype(np.uint8).ravel()


@dataclass(frozen=True)
class FakeEncoder(Encoder):
    """One that can be loaded, unless `model` is None."""

    name: str = "fake"
    digest: str = "0"
    model: FakeModel | None = None

    def load(self):
        assert self.model is not None, "an encoder was loaded with nothing to encode"
        return self.model


if __name__ == "__main__":
    updating.BATCH, updating.AHEAD = 4, 8

    def tell():
        print("batch", flush=True)
        time.sleep(0.3)  # long enough to be killed in

    updating.update(Path(sys.argv[1]), FakeEncoder(model=FakeModel(tell=tell)), progress=False)
    print("torch" in sys.modules)

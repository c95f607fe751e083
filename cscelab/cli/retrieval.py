"""Commands about codes: make them, search with them, score them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cscelab.cli.arguments import Positional, arg


def encode(
    images: Positional[tuple[Path, ...]] = (),
    /,
    run: Annotated[str | None, arg(metavar="NAME")] = None,
    out: Path | None = None,
    export: Path | None = None,
) -> None:
    """Binary codes of image files, by a stored run or the encoder that comes with cscelab.

    Args:
        images: image files.
        run: a stored run; the shipped encoder by default.
        out: write codes, values and paths to this .npz instead of printing the codes.
        export: write the encoder itself to one .safetensors file.
    """
    from cscelab import files
    from cscelab.compare import find_stored
    from cscelab.shipped import export_encoder

    if export:
        if run is None:
            raise ValueError("nothing to export: name a stored run with --run")
        print(export_encoder(find_stored(run), export))
    if images:
        encoded = files.encode_files(images, None if run is None else find_stored(run))
        print(encoded.save(out) if out else encoded.text())
    elif not export:
        raise ValueError("no images were given; name image files, as: cscelab encode bird.jpg")

"""Where data and runs live: $CSCELAB_DATA, else data/ of the checkout around the current folder, else ./data.

And what writing there needs: a folder or one clear error, a file that is whole or as it was, an error's reason.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def data_root() -> Path:
    """Folder of generated and downloaded data and of runs; it need not exist yet."""
    if chosen := os.environ.get("CSCELAB_DATA"):
        return Path(chosen)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "cscelab" / "__init__.py").is_file() and (folder / "pyproject.toml").is_file():
            return folder / "data"
    return here / "data"


def checkout() -> Path:
    """The clone of cscelab around the current folder, or that which the package runs from.

    Raises FileNotFoundError where the package was installed without one.
    """
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parent.parent):
        if (folder / "notebooks" / "00_start_here.ipynb").is_file() and (folder / "cscelab").is_dir():
            return folder
    raise FileNotFoundError("no notebooks/ folder was found; run this inside a clone of cscelab")


def make_folder(path: Path, remedy: str = "choose another folder with CSCELAB_DATA") -> Path:
    """Creates the folder; one clear OSError, which ends in the remedy, where that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError("not writable")
    except OSError as error:
        raise OSError(f"cannot write to {path} ({error.strerror or error}); {remedy}") from error
    return path


def write_text(path: Path, text: str) -> None:
    """Whole or as it was before, in UTF-8 with the same bytes on every system. Raises OSError."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def why(error: Exception) -> str:
    """For a message in one line: the first line of the error's own, or its kind where it has none."""
    return " ".join(str(error).strip().partition("\n")[0].split()) or type(error).__name__

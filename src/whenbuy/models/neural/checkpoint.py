"""Checkpoints: all that a training needs to go on after a kill, in one file of numbers and plain data whose hash is checked first."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from whenbuy.core.errors import AccessError, DamagedError

FILE = "checkpoint.safetensors"
_HEX = 64


def save(folder: Path, arrays: Mapping[str, np.ndarray[Any, Any]], plain: Mapping[str, Any]) -> None:
    """Write a checkpoint over the one before. A killed process leaves the old one or the new one, never half.

    Raises
    ------
    AccessError
        When the file system says no.
    """
    from safetensors.numpy import save as bytes_of

    data = bytes_of(dict(arrays), metadata={"plain": json.dumps(plain, sort_keys=True)})
    draft = folder / f".{FILE}.new"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(hashlib.sha256(data).hexdigest().encode() + data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / FILE)
    except OSError as error:
        raise AccessError(
            f"{folder} cannot be written: {error.strerror}.", "A checkpoint goes there.", "Look at its permissions."
        ) from error


def load(folder: Path) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]] | None:
    """Return the arrays and the plain data of the checkpoint, None where there is none.

    Raises
    ------
    DamagedError
        When one byte of it is not what was written.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    content = path.read_bytes()
    digest, data = content[:_HEX], content[_HEX:]
    if hashlib.sha256(data).hexdigest().encode() != digest:
        raise DamagedError(f"The checkpoint in {folder} is not what was written.", "Training goes on only from a whole one.", "Remove it.")
    from safetensors.numpy import load as arrays_of

    size = int.from_bytes(data[:8], "little")
    plain = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["plain"])
    return {name: np.array(part) for name, part in arrays_of(data).items()}, dict(plain)


def remove(folder: Path) -> None:
    """Remove the checkpoint of a training that is over."""
    (folder / FILE).unlink(missing_ok=True)

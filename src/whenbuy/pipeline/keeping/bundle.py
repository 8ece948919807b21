"""Bundles: one model on disk as data alone. Nothing in it is read before its sha256 was checked, and nothing in it can run.

A bundle is a folder of three files: ``manifest.json`` (versions, the size and sha256 of the other two, what the model is about, and last a
sha256 over all of the manifest before it), ``model.json`` (plain data) and ``arrays.safetensors``. The hashes find damage; they do not say
who wrote the bundle, which is why its parsers make nothing but numbers, texts and the types that the reader names.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
from polars.exceptions import PolarsError

from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import AccessError, DamagedError, InputError, NotFoundError, WhenbuyError
from whenbuy.pipeline.keeping.shop import sync_folder, version

FORMAT: Final = 1
"""The version of the layout. A bundle of a later one is refused."""
MANIFEST, MODEL, ARRAYS = "manifest.json", "model.json", "arrays.safetensors"
LIMITS: Final[Mapping[str, int]] = {MANIFEST: 1 << 22, MODEL: 1 << 30, ARRAYS: 1 << 33}
"""The most bytes that each file may have."""

_SEAL, _END = b',"sha256":"', b'"}\n'
_HEX = 64
_REFIT = "Fit the model again, or put back a copy of the whole folder."


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself.

    Parameters
    ----------
    format
        The version of its layout.
    whenbuy
        The version of whenbuy that wrote it.
    files
        Size in bytes and sha256 of each other file.
    about
        What the model is about, in the words of whoever saved it.
    """

    format: int
    whenbuy: str
    files: Mapping[str, tuple[int, str]]
    about: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """A sha256 over the model itself, whatever is said about it: two bundles of one model have the same."""
        return _digest(self.files)


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A bundle that is not written yet: its files, and the digest of its model."""

    content: Mapping[str, bytes]
    digest: str


def save(folder: Path | str, thing: object, about: Mapping[str, Any]) -> None:
    """Write a model as a bundle, as ``put`` does with what ``pack`` gives.

    Parameters
    ----------
    folder
        Where it shall lie; an older bundle there is replaced.
    thing
        A dataclass made of data alone.
    about
        Plain data to find again without opening the model.

    Raises
    ------
    WhenbuyError
        When the model holds something that is no data, or is larger than a bundle may be.
    AccessError
        When the file system says no.
    """
    put(folder, pack(thing, about))


def put(folder: Path | str, packed: Packed) -> None:
    """Write a bundle into a folder. The same content gives the same bytes; a killed process leaves the old bundle; raises as ``save``."""
    folder = Path(folder).absolute()
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        tidy(folder)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))  # mkdtemp makes it 0700
        for name, data in packed.content.items():
            _write(draft / name, data)
        sync_folder(draft)
        _swap(draft, folder)
    except OSError as error:
        raise AccessError(
            f"{folder} cannot be written: {error.strerror}.",
            "The old bundle, if there was one, is untouched.",
            "Look at permissions and space.",
        ) from error


def load(folder: Path | str, types: Mapping[str, type]) -> tuple[Any, dict[str, Any]]:
    """Return a model and what it is about.

    Parameters
    ----------
    folder
        The bundle.
    types
        The types that it may be made of, by name; no other is ever made.

    Raises
    ------
    NotFoundError
        When there is no bundle.
    DamagedError
        When one byte of it is not what was written.
    InputError
        When it was written in a later format.
    """
    manifest, content = _verified(Path(folder))
    from safetensors import SafetensorError
    from safetensors.numpy import load as arrays_of

    try:
        arrays = {name: np.array(array) for name, array in arrays_of(content[ARRAYS]).items()}
        thing = decode(json.loads(content[MODEL]), arrays, types)
    except (ValueError, ArithmeticError, AttributeError, LookupError, TypeError, RecursionError, SafetensorError, PolarsError) as error:
        raise _unreadable(folder, manifest, f"It cannot be read ({type(error).__name__}: {error}).") from error
    except DamagedError as error:  # of a part
        raise _unreadable(folder, manifest, error.got) from error
    return thing, dict(manifest.about)


def _unreadable(folder: Path | str, manifest: Manifest, why: str) -> DamagedError:
    by = str(manifest.about.get("code", manifest.whenbuy))
    return DamagedError(
        f"The model in {folder} is whole, but another version of whenbuy wrote it ({by}). {why}",
        "A model is read by the version that wrote it, and by later ones as long as its parts stay the same.",
        "Fit again: `whenbuy fit`.",
    )


def verify(folder: Path | str) -> Manifest:
    """Return what a bundle says of itself, after every byte of it was checked; raises as ``load``."""
    return _verified(Path(folder))[0]


# ---------------------------------------------------------------------------------------------------------- writing


class _Arrays(dict[str, "np.ndarray[Any, Any]"]):
    """Arrays by path; a path that is taken twice would lose an array in silence."""

    def __setitem__(self, path: str, array: np.ndarray[Any, Any]) -> None:
        if path in self:
            raise WhenbuyError(
                f"Two arrays of a model have the same path {path!r}.", "Names in a mapping must not hold dots.", "Rename one."
            )
        if array.dtype.kind not in "biuf":
            raise WhenbuyError(f"The array at {path!r} holds {array.dtype}.", "A model's arrays hold numbers.", "Keep texts in tuples.")
        super().__setitem__(path, array)


def pack(thing: object, about: Mapping[str, Any]) -> Packed:
    """Return a model as the three files of a bundle; raises WhenbuyError as ``save``."""
    from safetensors.numpy import save as bytes_of

    arrays = _Arrays()
    plain = encode(thing, arrays)
    content = {MODEL: _json(plain), ARRAYS: bytes_of(arrays)}
    files = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in content.items()}
    content[MANIFEST] = sealed({"about": _plain(about), "files": files, "format": FORMAT, "whenbuy": version()})
    for name, data in content.items():
        if len(data) > LIMITS[name]:
            raise WhenbuyError(f"{name} would have {len(data):,} bytes.", f"A bundle holds at most {LIMITS[name]:,} there.", "Learn less.")
    return Packed(content, _digest(files))


def _digest(files: Mapping[str, tuple[int, str]]) -> str:
    return hashlib.sha256(_json(files)).hexdigest()


def _plain(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model is about as it will be read back."""
    try:
        return dict(json.loads(_json(dict(about))))
    except (TypeError, ValueError) as error:
        raise WhenbuyError(
            f"A model's description holds something that is no plain data ({error}).", "Texts, numbers, lists and tables."
        ) from error


def sealed(content: Mapping[str, Any]) -> bytes:
    """Return plain data as JSON whose last entry is the sha256 of all bytes before that number."""
    body = _json(content)[:-1] + _SEAL
    return body + hashlib.sha256(body).hexdigest().encode() + _END


def unsealed(data: bytes) -> dict[str, Any]:
    """Return what ``sealed`` was given: first the seal is compared, then JSON is read.

    Raises
    ------
    ValueError
        When one byte is not what was written, or it is no table.
    """
    cut = max(len(data) - _HEX - len(_END), 0)
    body, seal = data[:cut], data[cut:]
    if not body.endswith(_SEAL) or seal != hashlib.sha256(body).hexdigest().encode() + _END:
        raise ValueError("it is not what was written")
    try:
        return dict(json.loads(data))
    except (TypeError, RecursionError) as error:
        raise ValueError("it is no table") from error


def _json(plain: object) -> bytes:
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode("ascii")


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _old(folder: Path) -> Path:
    """Return where the bundle lies for the moment in which a new one takes its place."""
    return folder.parent / f".{folder.name}.old"


def tidy(folder: Path) -> None:
    """Take away what killed saves left: the old bundle goes back if nothing took its place."""
    old = _old(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    for rest in (old, *folder.parent.glob(f".{escape(folder.name)}.new-*")):
        shutil.rmtree(rest, ignore_errors=True)


def _swap(draft: Path, folder: Path) -> None:
    """Put a finished draft where the bundle lies. Between the two renames a reader finds the old bundle under its other name."""
    old = _old(folder)
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


# ---------------------------------------------------------------------------------------------------------- reading


def _verified(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest and the bytes of the other files, all of them checked, none of them parsed before."""
    while True:
        place = _present(folder)
        mark = place.stat().st_ino
        try:
            return _checked(place)
        except DamagedError:
            if not place.exists() or place.stat().st_ino != mark:
                continue  # a new bundle took its place while it was read
            raise


def _checked(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    manifest = _manifest(folder, plain_bytes(folder, MANIFEST, LIMITS[MANIFEST]))
    found = sorted(each.name for each in folder.iterdir())
    if found != sorted([MANIFEST, *manifest.files]):
        raise _damaged(folder, f"holds {', '.join(map(repr, found))}")
    content = {}
    for name, (size, digest) in manifest.files.items():
        data = plain_bytes(folder, name, size)
        if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            raise _damaged(folder, f"has a {name} that is not what was written")
        content[name] = data
    return manifest, content


def _present(folder: Path) -> Path:
    folder = folder if os.path.lexists(folder) else _old(folder)
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise _damaged(folder, "is not a folder of its own")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no model at {folder}.", "A model is made by fitting.", "Run `whenbuy fit`.") from error
    return folder


def _manifest(folder: Path, data: bytes) -> Manifest:
    try:
        content = unsealed(data)
        _require_format(folder, content)
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in content["files"].items()}
        manifest = Manifest(int(content["format"]), str(content["whenbuy"]), files, dict(content["about"]))
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        raise _damaged(folder, f"has a {MANIFEST} that is not what was written") from error
    if set(files) != {MODEL, ARRAYS} or any(not 0 <= size <= LIMITS[name] for name, (size, _) in files.items()):
        raise _damaged(folder, f"has a {MANIFEST} that names other files than a bundle's, or larger ones than it may hold")
    return manifest


def _require_format(folder: Path, content: Mapping[str, Any]) -> None:
    if int(content["format"]) > FORMAT:
        raise InputError(
            f"{folder} was written by whenbuy {content.get('whenbuy')} in format {content['format']}.",
            f"This whenbuy ({version()}) reads formats up to {FORMAT}.",
            "Update whenbuy, or fit the model again with this one.",
        )


def plain_bytes(folder: Path, name: str, limit: int) -> bytes:
    """Return a file of a folder, read once; a link, a device or a file longer than ``limit`` is damage."""
    path = folder / name
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise _damaged(folder, f"has a {name} that is not a plain file")
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise _damaged(folder, f"has a {name} that is longer than what was written")
            return file.read(limit + 1)
    except FileNotFoundError as error:
        raise _damaged(folder, f"has no {name}") from error
    except OSError as error:
        raise AccessError(
            f"{path} cannot be read: {error.strerror}.", "whenbuy must be able to read it.", "Look at its permissions."
        ) from error


def _damaged(folder: Path, what: str) -> DamagedError:
    return DamagedError(f"The model at {folder} {what}.", "A bundle is used only when every byte of it is what was saved.", _REFIT)

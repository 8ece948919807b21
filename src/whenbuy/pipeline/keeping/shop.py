"""A shop: a folder with whenbuy.toml, in which everything that is known and learned lies in files that only their owner can read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from whenbuy.config import FILE, Settings
from whenbuy.core.errors import AccessError, NotFoundError, UsageError

FOLDERS = ("log", "models", "forecasts", "reports", "runs", "quarantine")
"""What a shop's folder holds beside its settings."""


@dataclass(frozen=True, slots=True)
class Shop:
    """One shop on disk.

    Parameters
    ----------
    folder
        Where it lies.

    Raises
    ------
    NotFoundError
        When the folder has no whenbuy.toml.
    """

    folder: Path

    def __post_init__(self) -> None:
        if not self.file.is_file():
            raise NotFoundError(
                f"{self.folder} is not a shop: it has no {FILE}.", "A shop is a folder with that file.", "Make it one with `whenbuy init`."
            )

    @classmethod
    def create(cls, folder: Path | str, settings: Settings) -> Shop:
        """Return a new shop in a folder, which is made if it does not exist.

        Raises
        ------
        UsageError
            When the folder already is a shop.
        AccessError
            When the file system says no.
        """
        folder = Path(folder).resolve()
        if (folder / FILE).exists():
            raise UsageError(
                f"{folder} already is a shop.", "A shop is made once.", f"Edit its {FILE}, or remove that file to start again."
            )
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in FOLDERS:
                (folder / name).mkdir(mode=0o700, exist_ok=True)
                (folder / name).chmod(0o700)
            write(folder / FILE, settings.text().encode())
        except OSError as error:
            raise _denied(folder, error) from error
        return cls(folder)

    @classmethod
    def find(cls, start: Path | str) -> Shop:
        """Return the shop in which a folder lies: the nearest folder at or above it that has a whenbuy.toml.

        Raises
        ------
        NotFoundError
            When there is none.
        """
        start = Path(start).resolve()
        for folder in (start, *start.parents):
            if (folder / FILE).is_file():
                return cls(folder)
        raise NotFoundError(
            f"There is no {FILE} in {start} or above it.",
            "A command acts on the shop in which you stand.",
            "Make one with `whenbuy init` or `whenbuy demo`, or name it with --shop DIR.",
        )

    @property
    def file(self) -> Path:
        """The settings file."""
        return self.folder / FILE

    @property
    def log(self) -> Path:
        """Where the event log lies."""
        return self.folder / "log"

    @property
    def models(self) -> Path:
        """Where the models lie, one bundle each."""
        return self.folder / "models"

    @property
    def forecasts(self) -> Path:
        """Where forecasts are written."""
        return self.folder / "forecasts"

    @property
    def reports(self) -> Path:
        """Where reports are written."""
        return self.folder / "reports"

    @property
    def runs(self) -> Path:
        """Where runs are recorded."""
        return self.folder / "runs"

    @property
    def quarantine(self) -> Path:
        """Where rows lie that cleaning took out, each with its reason."""
        return self.folder / "quarantine"

    @property
    def came(self) -> Path:
        """Where the log lies as it came, before cleaning, in a shop that has rules of its own; nothing lies there in others."""
        return came_in(self.folder)

    def settings(self, rules: Collection[str] | None = None) -> Settings:
        """Return what whenbuy.toml says now; raises as ``Settings.read``."""
        return Settings.read(self.file, rules)

    def sources(self, settings: Settings) -> tuple[Path, ...]:
        """Return the paths of the settings' sources, relative ones as seen from the shop."""
        return tuple(self.folder / path for path in settings.source.paths)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the shop for one writer.

        Raises
        ------
        BusyError
            When another process is writing to it.
        """
        from whenbuy.ingest.store import writing

        with writing(self.folder):
            yield


def came_in(folder: Path) -> Path:
    """Return where in a shop the log lies as it came."""
    return folder / "quarantine" / "came"


def write(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, whole or not at all: a killed process leaves the old one.

    Raises
    ------
    AccessError
        When the file system says no.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mkstemp makes it 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise _denied(path, error) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def version() -> str:
    """Return the version of whenbuy, ``0+source`` when it runs from a folder that was never installed."""
    try:
        return metadata.version("whenbuy")
    except metadata.PackageNotFoundError:
        return "0+source"


def _denied(path: Path, error: OSError) -> AccessError:
    return AccessError(
        f"{path} cannot be written: {error.strerror}.",
        "whenbuy must be able to write there.",
        "Look at its permissions and at the space left.",
    )

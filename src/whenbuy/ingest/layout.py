"""What a known public layout says beforehand about a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from whenbuy.core.errors import NotFoundError
from whenbuy.core.profile import Profile

_Names = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known beforehand about a source.

    Parameters
    ----------
    source
        The table itself, where the layout makes it; else the caller's source is read.
    columns, kinds
        As for ``read``.
    timezone
        The shop's zone; the caller's where it is None.
    end
        The instant before which the log is complete; found from the events where it is None.
    profiles
        Users, items, offers.
    scales
        As for ``read``.
    cancelled
        How the numbers of cancelled orders begin: their lines are refunds.
    lateness_days
        How late an event may come and still count; the caller's where it is None.
    """

    source: object = None
    columns: _Names = field(default_factory=lambda: MappingProxyType({}))
    kinds: _Names = field(default_factory=lambda: MappingProxyType({}))
    timezone: str | None = None
    end: int | None = None
    profiles: tuple[Profile | None, Profile | None, Profile | None] = (None, None, None)
    cancelled: str | None = None
    lateness_days: float | None = None
    scales: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


def named_files(source: object, layout: str) -> Path:
    """Return the path that a layout was given.

    Raises
    ------
    NotFoundError
        When none was named, or nothing is there.
    """
    if source is None:
        raise NotFoundError("No file was named.", f"The layout {layout} needs its files.", "Name the file or folder.")
    path = Path(str(source)).expanduser()
    if not path.exists():
        raise NotFoundError(f"{path} does not exist.", f"The layout {layout} needs its files.", "Check the path.")
    return path

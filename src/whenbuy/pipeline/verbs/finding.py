"""One thing that a doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from whenbuy.core.errors import WhenbuyError

State = Literal["well", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    of
        What was looked at: ``whenbuy``, ``machine`` or ``shop``.
    name
        What it is.
    found
        What was found.
    state
        ``well``; ``note`` for what is no fault and yet worth knowing; ``bad`` for what must be mended.
    do
        What mends it.
    code
        The exit code where it is bad.
    """

    of: str
    name: str
    found: str
    state: State = "well"
    do: str = ""
    code: int = 0


def failed(of: str, name: str, error: WhenbuyError) -> Finding:
    """Return an error as something that is bad."""
    return Finding(of, name, error.got, "bad", error.do or error.need, error.exit_code)

"""How events with the same keys are read, and what their texts were read as: most come again soon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Value = str | float | int
Reader = Callable[[Any], Value | None]
_MOST: Final = 4_096
_LONGEST: Final = 64


class Known(dict[str, Any]):
    """What texts were read as: a text that is asked for and not there is read.

    Parameters
    ----------
    read
        Reads a text; what it returns depends on nothing else.
    most
        How many texts are remembered.
    """

    __slots__ = ("_most", "_read")

    def __init__(self, read: Callable[[Any], Any], most: int = _MOST) -> None:
        super().__init__()
        self._read, self._most = read, most

    def __missing__(self, text: str) -> Any:
        found = self._read(text)
        if len(text) <= _LONGEST:
            if len(self) >= self._most:
                self.clear()
            self[text] = found
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """How events with the same keys are read.

    Parameters
    ----------
    time_key
        The key of the time.
    time, times
        Reads it, and what its texts were read as.
    cells
        Of each other key its column, what reads it, and what its texts were read as (None where they seldom come again).
    named
        The columns that the keys stand for: where such a key says nothing, nothing is put there.
    """

    time_key: str
    time: Callable[[Any], int | None]
    times: Known
    cells: tuple[tuple[str, str, Reader, Known | None], ...]
    named: frozenset[str]

    def values(self, row: Mapping[str, Any]) -> dict[str, Value]:
        """Return what a row says in columns."""
        found: dict[str, Value] = {}
        for key, name, read, known in self.cells:
            cell = row[key]
            if cell is not None:
                value = read(cell) if known is None or type(cell) is not str else known[cell]
                if value is not None:
                    found[name] = value
        return found

"""Examples mixed from others, part by part: what a model is asked to see what each part of its knowledge is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.blocks import Block
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.examples import Examples, Table

_MOST_HELD: Final = 1 << 26
"""So many numbers read in silence are remembered; what goes beyond is read again."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what is known of a key: some features and some blocks that come and go together.

    Parameters
    ----------
    name
        What it is called.
    columns
        Its features.
    blocks
        Its blocks.
    """

    name: str
    columns: tuple[str, ...]
    blocks: tuple[str, ...] = ()


def rest_of(names: Sequence[str], blocks: Sequence[str], parts: Sequence[Part]) -> Part:
    """Return a part of all features and blocks that no other part holds."""
    told = {name for part in parts for name in part.columns}
    held = {name for part in parts for name in part.blocks}
    return Part("rest", tuple(name for name in names if name not in told), tuple(name for name in blocks if name not in held))


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Examples from which others are mixed.

    Parameters
    ----------
    examples
        What is mixed (n rows). Where a model reads features in silence, each is read once for all mixtures.
    parts
        What comes from one row as a whole; every feature belongs to one part.
    _held
        The tables read in silence, by the days.

    Raises
    ------
    WhenbuyError
        When the parts do not hold every feature and block once.
    """

    examples: Examples
    parts: tuple[Part, ...]
    _held: dict[float, Singles]

    @classmethod
    def of(cls, examples: Examples, parts: Sequence[Part]) -> Mixture:
        """Return a mixture of these examples."""
        return cls(examples, tuple(parts), {})

    def __post_init__(self) -> None:
        columns = sorted(name for part in self.parts for name in part.columns)
        blocks = sorted(name for part in self.parts for name in part.blocks)
        if columns != sorted(self.examples.table.names) or blocks != sorted(self.examples.blocks):
            raise WhenbuyError("The parts of a mixture do not hold each feature and each block once.")

    def differs(self, first: Ints, second: Ints) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        """Return in which parts rows of ``first`` differ from those of ``second`` (n x p); blocks count as different."""
        values, found = self.examples.table.values, np.zeros((len(first), len(self.parts)), bool)
        for place, columns in enumerate(self._columns()):
            a, b = values[np.ix_(first, columns)], values[np.ix_(second, columns)]
            found[:, place] = ((a != b) & ~(np.isnan(a) & np.isnan(b))).any(axis=1) | bool(self.parts[place].blocks)
        return found

    def mixed(self, rows: Ints, keys: Ints) -> Examples:
        """Return examples each part of which comes from a row of its own.

        Parameters
        ----------
        rows
            The row from which each part comes (m x p).
        keys
            The row whose key each one bears (m).
        """
        base = self.examples

        def silence(days: Floats, asked: Ints) -> Table:
            return Table(base.table.names, self._silent(days, rows[asked]))

        blocks: Mapping[str, Block] = {
            name: base.blocks[name].take(rows[:, place]) for place, part in enumerate(self.parts) for name in part.blocks
        }
        values = np.empty((len(rows), len(base.table.names)), np.float32)
        for place, columns in enumerate(self._columns()):
            values[:, columns] = base.table.values[rows[:, place, None], columns]
        return Examples(base.keys.take(keys), Table(base.table.names, values), {}, silence, blocks=blocks)

    def _columns(self) -> Iterator[Ints]:
        places = {name: place for place, name in enumerate(self.examples.table.names)}
        for part in self.parts:
            yield np.array([places[name] for name in part.columns], np.int64)

    def _silent(self, days: Floats, rows: Ints) -> Singles:
        """Return the features of mixed rows (m x p) as they would read so many days later (m)."""
        asked, place = np.unique(days, return_inverse=True)
        n, width = self.examples.table.values.shape
        values = np.empty((len(rows), width), np.float32)
        if not len(rows):
            return values
        if len(asked) * n * width > _MOST_HELD or len(asked) * n > 8 * rows.size:
            for part, columns in enumerate(self._columns()):
                values[:, columns] = self.examples.silence(days, rows[:, part]).values[:, columns]
            return values
        read = self._read(asked)
        for part, columns in enumerate(self._columns()):
            values[:, columns] = read[place[:, None], rows[:, part, None], columns]
        return values

    def _read(self, days: Floats) -> Singles:
        """Return all examples read after each of so many days of silence (d x n x f)."""
        n, width = self.examples.table.values.shape
        new = [day for day in days.tolist() if day not in self._held]
        if (len(self._held) + len(new)) * n * width > _MOST_HELD:
            self._held.clear()
            new = days.tolist()
        if new:
            read = self.examples.silence(np.repeat(new, n), np.tile(np.arange(n), len(new))).values
            self._held.update(zip(new, read.reshape(len(new), n, width), strict=True))
        return np.stack([self._held[day] for day in days.tolist()])


def touched(examples: Examples, names: Sequence[str]) -> Examples:
    """Return the examples with the blocks of these names alone."""
    return replace(examples, blocks={name: examples.blocks[name] for name in names})

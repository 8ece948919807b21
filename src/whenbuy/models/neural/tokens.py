"""Tokens: which names and numbers of an event a net reads, and how they become rows of a table and numbers of usual size."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Ints, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import SettingsError
from whenbuy.core.log import Dictionary
from whenbuy.models.neural.engine import Weights, zeros
from whenbuy.models.neural.kernels.steps import rows_of_numbers

GAP: Final = "log_gap_days"
"""The number that tells how long the event before lies back."""
SMALL: Final = 512
"""Columns with at most so many names are learned densely; larger ones are updated only where a batch names them."""
FURTHEST: Final = 6.0
"""Numbers further from their mean than so many deviations are read as that far."""
_FEWEST: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a net reads of an event: every column of the sequences, unless named here.

    Parameters
    ----------
    without
        Columns that are not read.
    buckets
        A column with more names than this is hashed: names share so many rows of the table, and a name that training never met has a row
        too. Columns with fewer names have a row each, and one for all names that were not met.
    mask
        Share of the names in training that are read as not met, so that what is not known later is nothing strange.
    """

    without: tuple[str, ...] = ()
    buckets: int = 16_384
    mask: float = 0.02

    def __post_init__(self) -> None:
        if self.buckets < 2 or not 0.0 <= self.mask < 1.0:
            raise SettingsError(
                f"Tokens were to be read with {self.buckets} buckets and a share of {self.mask} of unknown names.",
                "At least 2 buckets and a share from 0 to below 1 are needed.",
                "Leave them as they are by default.",
            )

    def learn(self, sequences: Sequences, used: Ints) -> Reader:
        """Return how tokens are read: which columns say something, which names are known, how large numbers usually are.

        Parameters
        ----------
        sequences
            The training sequences.
        used
            The tokens that training keys see (u).
        """
        columns = []
        for name in sorted(set(sequences.codes) - set(self.without)):
            found = np.unique(sequences.codes[name][used])
            found = found[found >= 0]
            if len(found) < 2:
                continue  # a column that is always the same says nothing
            names = sequences.dictionaries[name].names(found.astype(np.int32))
            hashed = len(found) > self.buckets
            known = Dictionary.of(()) if hashed else Dictionary(names.alias("id"))
            columns.append(Names(name, known, self.buckets if hashed else 0))
        gaps = _days(sequences.numbers[GAP][used])
        gaps = gaps[np.isfinite(gaps)]
        usual = {}
        for name in sorted(set(sequences.numbers) - set(self.without)):
            usual_of = _usual(name, sequences.numbers[name][used])
            if usual_of is not None:
                usual[name] = usual_of
        return Reader(
            tuple(sorted(columns, key=lambda column: column.rows > SMALL)), usual, max(float(np.std(gaps)), _FEWEST) if len(gaps) else 1.0
        )


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """A column of names and who has which row of the table; its first row stands for none and for every name that was not met."""

    column: str
    known: Dictionary
    buckets: int

    @property
    def rows(self) -> int:
        """How many rows of the table it has."""
        return 1 + (self.buckets or len(self.known))

    def places(self, dictionary: Dictionary) -> Codes:
        """Return the row of each name of a dictionary, and last that of no name."""
        if self.buckets:
            met = [1 + zlib.crc32(name.encode("utf-8", "surrogatepass")) % self.buckets for name in dictionary.ids.to_list()]
        else:
            met = (1 + self.known.codes(dictionary.ids)).tolist()
        return np.array([*met, 0], np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """How tokens are read.

    Parameters
    ----------
    columns
        The columns of names, the large ones last.
    usual
        Mean and deviation of each number, on the scale sign(x) log(1 + |x|); that of gaps, which may last seconds or years, counts minutes.
    gap_days
        The deviation of the gaps.
    """

    columns: tuple[Names, ...]
    usual: Mapping[str, tuple[float, float]]
    gap_days: float

    @property
    def rows(self) -> int:
        """How many rows the table of names has."""
        return sum(column.rows for column in self.columns)

    @property
    def unmet(self) -> tuple[int, ...]:
        """The row of each column that stands for names that were not met."""
        return tuple(sum(column.rows for column in self.columns[:place]) for place in range(len(self.columns)))

    @property
    def small(self) -> int:
        """How many columns are small: their rows stand first in what is learned."""
        return sum(column.rows <= SMALL for column in self.columns)

    @property
    def small_rows(self) -> int:
        """How many rows the small columns have."""
        return sum(column.rows for column in self.columns[: self.small])

    @property
    def scales(self) -> Floats:
        """Mean, deviation and unit of each number, as the kernels want them (m x 3)."""
        return np.array([(*pair, 1440.0 if name == GAP else 1.0) for name, pair in self.usual.items()], np.float64).reshape(-1, 3)

    def weights(self, rng: np.random.Generator, width: int) -> Weights:
        """Return first weights: rows of the names, small and large columns apart, and weights of the numbers (the last is added)."""
        small = rng.normal(0.0, 0.3, (self.small_rows, width)).astype(np.float32)
        large = rng.normal(0.0, 0.1, (self.rows - self.small_rows, width)).astype(np.float32)
        scale = rng.normal(0.0, 0.3, (2 * len(self.usual) + 1, width)).astype(np.float32)
        scale[-1] = 0.0
        made: dict[str, Any] = {"small": small, "scale": scale}
        return made | ({"large": large} if len(large) else {})

    def read(self, sequences: Sequences, first: int = 0, last: int | None = None) -> Tokens:
        """Return the tokens from one to before another as a net reads them."""
        part = slice(first, last)
        count = len(sequences.time[part])
        codes = np.zeros((count, len(self.columns)), np.int32)
        for place, (column, unmet) in enumerate(zip(self.columns, self.unmet, strict=True)):
            if column.column in sequences.codes:
                codes[:, place] = column.places(sequences.dictionaries[column.column])[sequences.codes[column.column][part]]
            codes[:, place] += unmet
        raw = np.full((count, len(self.usual)), np.nan)
        for place, name in enumerate(self.usual):
            if name in sequences.numbers:
                given = sequences.numbers[name][part]
                raw[:, place] = _days(given) if name == GAP else given
        numbers = np.zeros((count, 2 * len(self.usual)), np.float32)
        rows_of_numbers(raw, self.scales, FURTHEST, numbers)
        return Tokens(codes, numbers, np.nan_to_num(_days(sequences.numbers[GAP][part])).astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Tokens as a net reads them: rows of the table (t x c), numbers of usual size (t x m), days since the token before (t)."""

    codes: Codes
    numbers: Singles
    gap_days: Singles


def table_of(weights: Weights, width: int) -> Singles:
    """Return the rows of all names, small and large columns together."""
    parts = [weights["small"], weights.get("large", zeros(0, width))]
    table = np.concatenate([*parts, zeros(1, width)] if not sum(map(len, parts)) else parts)
    return np.ascontiguousarray(table, np.float32)


def _bent(name: str, values: Singles) -> Floats:
    """Return numbers on the scale sign(x) log(1 + |x|)."""
    if name == GAP:
        return minutes(_days(values))
    wide = values.astype(np.float64)
    return np.asarray(np.sign(wide) * np.log1p(np.abs(wide)))


def _days(log_gap: Singles) -> Floats:
    """Return gaps in days."""
    return np.asarray(np.expm1(log_gap.astype(np.float64)))


def minutes(days: Floats) -> Floats:
    """Return the logarithm of one minute and so many days, in minutes."""
    return np.log1p(1440.0 * days)


def _usual(name: str, values: Singles) -> tuple[float, float] | None:
    """Return mean and deviation of numbers that are known somewhere; None of numbers that are known nowhere."""
    bent = _bent(name, values)
    known = bent[np.isfinite(bent)]
    return (float(known.mean()), max(float(known.std()), _FEWEST)) if len(known) else None


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Inputs, Names, Reader)}
"""What a stored model of this file may be made of."""

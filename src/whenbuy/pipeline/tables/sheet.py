"""Sheets: how a plain table, one row per case, becomes features. What each column is gets decided once, on training rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats, Singles
from whenbuy.core.errors import ColumnError, NotEnoughDataError, UsageError
from whenbuy.core.examples import Table
from whenbuy.features.cyclic import Cyclic
from whenbuy.features.encode import Names
from whenbuy.ingest.files import open_source
from whenbuy.ingest.parse import numbers
from whenbuy.ingest.words import FALSE_WORDS, TRUE_WORDS

_ROUND: Final = {"month": 12.0, "weekday": 7.0, "hour": 24.0}
"""What is read of an instant, and after how much it repeats."""
_OWN: Final = 0.95
"""A column of names with so many different names per row names the rows themselves."""
_FEW: Final = 20


def read_frame(source: object) -> tuple[pl.DataFrame, str, int]:
    """Return a table, the decimal mark of its text, and how many of its rows could not be read.

    Parameters
    ----------
    source
        A path to CSV, JSONL or Parquet (a folder or a pattern, too), a pandas or polars frame, or an Arrow table.

    Raises
    ------
    NotFoundError, AccessError, EmptyError, InputError
        When there is none, it may not be read, it holds nothing, or it is no table.
    """
    opened = open_source(source)
    batches = list(opened.batches())
    frames = [batch.frame for batch in batches]
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=opened.schema)
    decimal = None if opened.dialect is None else opened.dialect.decimal
    return frame, decimal or ".", sum(len(batch.broken) for batch in batches)


@dataclass(frozen=True, slots=True)
class Target:
    """The column of yes and no that is forecast.

    Parameters
    ----------
    column
        Its name.
    yes, no
        What stands for each in it, as text.
    """

    column: str
    yes: str
    no: str

    @classmethod
    def find(cls, frame: pl.DataFrame, column: str, yes: object = None) -> Target:
        """Return the target of a table.

        Raises
        ------
        ColumnError
            When there is no such column, or it has more than two values.
        NotEnoughDataError
            When it has fewer.
        """
        if column not in frame.columns:
            raise ColumnError(
                f"The table has no column {column!r}.", f"It has: {', '.join(frame.columns)}.", "Name one of these as target."
            )
        found = _texts(frame[column]).drop_nulls().unique().sort().to_list()
        if len(found) > 2:
            raise ColumnError(
                f"The target {column!r} has {len(found):,} different values, such as {', '.join(found[:3])}.",
                "fit_table learns a target of yes and no: two values.",
                "Make one, such as pl.col(…) > 0; amounts and counts are learned from an event log by fit.",
            )
        if len(found) < 2:
            raise NotEnoughDataError(
                f"The target {column!r} is {f'always {found[0]}' if found else 'empty'}.",
                "Telling who from who needs rows of both kinds.",
                "Give more rows, or check how the target is made.",
            )
        positive = _yes(column, found, yes)
        return cls(column, positive, next(value for value in found if value != positive))

    def read(self, frame: pl.DataFrame) -> tuple[Bools, Bools]:
        """Return what came true and whether it is known (n each)."""
        text = _texts(frame[self.column])
        return (text == self.yes).fill_null(False).to_numpy(), text.is_in([self.yes, self.no]).fill_null(False).to_numpy()


def _texts(column: pl.Series) -> pl.Series:
    """Return values as texts: 1.0 is 1, the space around is none of it, and nothing is null."""
    if column.dtype.is_float():
        column = column.fill_nan(None)
        whole = column.cast(pl.Int64, strict=False)
        if (whole == column).fill_null(True).all():
            column = whole
    text = column.cast(pl.String).str.strip_chars()
    return text.to_frame("t").select(pl.when(pl.col("t") != "").then(pl.col("t")))["t"]


def _yes(column: str, found: Sequence[str], said: object) -> str:
    """Return which of two values means yes: the one said, else a word for yes or 1, else the one beside a word for no, else the later."""
    if said is not None:
        text = str(_texts(pl.Series([said]))[0])
        if text not in found:
            raise UsageError(f"yes={said!r} is no value of {column!r}.", f"It has {' and '.join(found)}.", "Name one of these.")
        return text
    for words, place in ((TRUE_WORDS | {"1"}, 0), (FALSE_WORDS | {"0"}, 1)):
        told = [value for value in found if value.lower() in words]
        if len(told) == 1:
            return told[0] if place == 0 else next(value for value in found if value != told[0])
    return found[-1]


@dataclass(frozen=True, slots=True)
class Sheet:
    """How the columns of a table are read.

    Parameters
    ----------
    numbers, names, instants
        Columns of numbers, of names, and of dates or instants (their month, weekday and hour are read).
    decimal
        The decimal mark of numbers in text.
    """

    numbers: tuple[str, ...]
    names: tuple[str, ...]
    instants: tuple[str, ...]
    decimal: str = "."

    @classmethod
    def learn(cls, frame: pl.DataFrame, apart: Collection[str], named: Collection[str] = (), decimal: str = ".") -> tuple[Sheet, list[str]]:
        """Return how a table is read, and what should be known about it, in sentences.

        Parameters
        ----------
        frame
            The training rows.
        apart
            Columns that are no features.
        named
            Columns whose numbers are names, such as a region's.
        decimal
            The decimal mark of numbers in text.

        Raises
        ------
        ColumnError
            When no feature is left.
        """
        found: dict[str, list[str]] = {"number": [], "name": [], "instant": []}
        notes = []
        for column in frame:
            if column.name in apart:
                continue
            kind, note = _kind(column, column.name in named, decimal)
            found.get(kind, []).append(column.name)
            notes += [note] if note else []
        if not any(found.values()):
            raise ColumnError(
                f"Of {frame.width} columns, none is a feature. {' '.join(notes)}".strip(),
                "A forecast needs something to tell rows apart by.",
                "Give columns that were known before the target.",
            )
        return cls(tuple(found["number"]), tuple(found["name"]), tuple(found["instant"]), decimal), notes

    @property
    def cyclic(self) -> Cyclic:
        """What brings the parts of instants to a circle."""
        return Cyclic({f"{name}_{part}": period for name in self.instants for part, period in _ROUND.items()})

    def read(self, frame: pl.DataFrame) -> tuple[Table, Names]:
        """Return the features of each row: numbers, and names.

        Raises
        ------
        ColumnError
            When a column is missing, or a column of numbers holds a value that is none.
        """
        wanted = (*self.numbers, *self.names, *self.instants)
        if absent := [name for name in wanted if name not in frame.columns]:
            raise ColumnError(
                f"The table lacks {', '.join(map(repr, absent))}.",
                f"The model reads {', '.join(wanted)}.",
                "Give a table with these columns.",
            )
        parts = [(name, self._number(frame[name])) for name in self.numbers]
        parts += [(f"{name}_{part}", values) for name in self.instants for part, values in _round_parts(frame[name])]
        values: Singles = np.empty((frame.height, len(parts)), np.float32)
        for place, (_, column) in enumerate(parts):
            values[:, place] = column
        texts = pl.DataFrame([_texts(frame[name]).alias(name) for name in self.names]) if self.names else pl.DataFrame()
        names = Names.of(texts) if self.names else Names((), np.empty((frame.height, 0), np.int32), ())
        return Table(tuple(name for name, _ in parts), values), names

    def _number(self, column: pl.Series) -> Floats:
        found = _as_numbers(column, self.decimal)
        if found is None:
            raise ColumnError(
                f"The column {column.name!r} holds something that is no number.",
                "It held numbers when the model was learned.",
                "Mend its values, or leave them empty.",
            )
        return found


def _as_numbers(column: pl.Series, decimal: str) -> Floats | None:
    """Return a column as numbers (NaN where there is none); nothing where it holds something else."""
    if column.dtype == pl.Duration:
        column = column.dt.total_microseconds() / 1e6
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    found, bad = numbers(column, decimal)
    if bad is not None and bad.any():
        return None
    with np.errstate(over="ignore"):
        return found.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float32).astype(np.float64)


def _kind(column: pl.Series, named: bool, decimal: str) -> tuple[str, str]:
    """Return what a column is: number, name, instant, or nothing with the reason."""
    kind, known = column.dtype, column.drop_nulls()
    if not len(known):
        return "", f"{column.name} is empty and is not used."
    if kind.is_nested() or kind in (pl.Object, pl.Binary):
        return "", f"{column.name} holds {kind} and is not used."
    if kind in (pl.Date, pl.Datetime):
        return "instant", ""
    distinct = known.n_unique()
    if not named and _as_numbers(column, decimal) is not None:
        rows = len(known)
        if kind.is_integer() and rows > _FEW and distinct == rows and int(known.max()) - int(known.min()) < 2 * rows:  # type: ignore[arg-type]
            return "", f"{column.name} numbers the rows like an id and is not used; a model would learn the order of the file."
        return "number", ""
    if distinct > max(_FEW, _OWN * len(known)):
        return "", f"{column.name} has {distinct:,} different names in {len(known):,} rows, like an id, and is not used."
    return "name", ""


def _round_parts(column: pl.Series) -> list[tuple[str, Floats]]:
    """Return month, weekday and hour of instants."""
    if column.dtype not in (pl.Date, pl.Datetime):
        raise ColumnError(
            f"The column {column.name!r} holds {column.dtype}.", "It held dates when the model was learned.", "Read it as dates."
        )
    at = column.cast(pl.Datetime("us"))
    parts = {"month": at.dt.month(), "weekday": at.dt.weekday(), "hour": at.dt.hour()}
    return [(part, parts[part].cast(pl.Float64).fill_null(np.nan).to_numpy()) for part in _ROUND]


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Sheet, Target)}
"""What a stored sheet is made of."""

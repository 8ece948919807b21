"""The event log: what every customer did, as integer-coded columns grouped by user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import MISSING, Codes, Floats, Instants, Ints, Kinds
from whenbuy.core.card import ROWS, card
from whenbuy.core.errors import ColumnError, WhenbuyError

KINDS: Final = (
    "view", "click", "search", "favourite", "cart", "purchase", "refund", "review", "shown", "opened", "clicked", "redeemed",
    "subscribe", "unsubscribe", "enquiry",
)  # fmt: skip
"""The kinds of event that have a meaning; any other kind keeps its name and is a feature like the rest."""

CODED: Final = ("event_id", "order_id", "session_id", "item_id", "category", "brand", "currency", "text", "offer_id", "channel")
"""The known columns that hold names."""

SCALES: Final[Mapping[str, int]] = {"unit_price": 100, "amount": 100, "quantity": 1000, "dwell_s": 1000, "rating": 1000}
"""The known columns that hold numbers, and how many stored units make one: amount is kept in cents, dwell in milliseconds."""

ORDERS: Final = "orders"
_FEW: Final = 4
"""So many names are sooner looked up than joined."""
"""The column that is 1 on the first line of an order and 0 on its further lines; absent where every purchase is an order of its own."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Dictionary:
    """The names behind integer codes: ``ids[code]`` is the name, each name once."""

    ids: pl.Series

    def __post_init__(self) -> None:
        if self.ids.dtype != pl.String or self.ids.null_count():
            raise WhenbuyError(f"A dictionary was made of {self.ids.dtype} with {self.ids.null_count()} nulls; it holds names only.")

    @classmethod
    def of(cls, names: Iterable[str]) -> Dictionary:
        """Return a dictionary of these distinct names, in this order."""
        return cls(pl.Series("id", list(names), dtype=pl.String))

    def __len__(self) -> int:
        return len(self.ids)

    def codes(self, names: pl.Series | Iterable[str]) -> Codes:
        """Return the code of each name (n), -1 where it is not known."""
        few = names.cast(pl.String).to_list() if isinstance(names, pl.Series) and len(names) <= _FEW else names
        if isinstance(few, (list, tuple)) and len(few) <= _FEW:
            places = [self.ids.index_of(name) for name in few]
            return np.array([-1 if place is None else place for place in places], np.int32)
        wanted = (names if isinstance(names, pl.Series) else pl.Series(list(names), dtype=pl.String)).cast(pl.String).alias("id")
        table = self.ids.alias("id").to_frame().with_row_index("code")
        found = wanted.to_frame().join(table, on="id", how="left", maintain_order="left", nulls_equal=False)["code"]
        return found.cast(pl.Int32).fill_null(-1).to_numpy().astype(np.int32, copy=False)

    def names(self, codes: Codes) -> pl.Series:
        """Return the name of each code (n), null where it is negative."""
        picked = pl.Series("code", codes, dtype=pl.Int32).to_frame().select(pl.when(pl.col("code") >= 0).then(pl.col("code")))["code"]
        return self.ids.gather(picked)

    def extended(self, names: Iterable[str]) -> Dictionary:
        """Return this dictionary with further names behind its own; none of them may be known already."""
        return Dictionary(pl.concat([self.ids.alias("id"), pl.Series("id", list(names), dtype=pl.String)]))


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a log: either names (int32 codes and their dictionary) or numbers (int64 counts of 1/scale).

    Numbers are integers so that sums agree bit for bit whatever the order; ``MISSING`` stands for none.
    """

    values: Ints | Codes
    dictionary: Dictionary | None = None
    scale: int = 1

    def __post_init__(self) -> None:
        wanted = np.int64 if self.dictionary is None else np.int32
        if self.values.ndim != 1 or self.values.dtype != wanted:
            raise ColumnError(
                f"A column was made of {self.values.dtype} values with {self.values.ndim} dimensions; {wanted.__name__} is needed."
            )

    def numbers(self) -> Floats:
        """Return the numbers in their own unit (n), NaN where none is known."""
        if self.dictionary is not None:
            raise ColumnError("A column of names was asked for its numbers.", "Only columns without a dictionary hold numbers.")
        return np.where(self.values == MISSING, np.nan, self.values / self.scale)

    def series(self, rows: slice | Ints = slice(None)) -> pl.Series:
        """Return some rows as a person would read them."""
        part = Column(self.values[rows], self.dictionary, self.scale)
        if part.dictionary is not None:
            return part.dictionary.names(np.asarray(part.values, np.int32))
        return pl.Series(part.numbers(), nan_to_null=True)


@dataclass(frozen=True, slots=True, eq=False)
class EventLog:
    """All events of a shop, grouped by user, in the order in which they became known.

    Parameters
    ----------
    users
        Names of the users; user u owns the rows ``offsets[u] : offsets[u + 1]``.
    kinds
        Names of the kinds of event.
    offsets
        Row at which each user begins (users + 1). Rows from ``offsets[-1]`` on have no user: they belong to no Past.
    known_at
        Instant at which each event could be known (n), rising within a user.
    time
        Instant at which it happened (n); the very same array where no event came late.
    kind
        Position in ``kinds`` (n).
    columns
        Further columns by name (n each): the known ones of ``CODED`` and ``SCALES`` and the shop's own attributes.
    end
        The log is complete for everything that happened before this instant.

    Raises
    ------
    WhenbuyError
        When lengths differ or the order is broken: a log that breaks its promise is never made.
    """

    users: Dictionary
    kinds: tuple[str, ...]
    offsets: Ints
    known_at: Instants
    time: Instants
    kind: Kinds
    columns: Mapping[str, Column]
    end: int
    by_time: Ints | None = field(default=None)
    """Rows of each user in the order of ``time`` (n), kept only where some event came late."""

    def __post_init__(self) -> None:
        n = len(self.known_at)
        lengths = {"time": len(self.time), "kind": len(self.kind)} | {name: len(c.values) for name, c in self.columns.items()}
        for name, length in lengths.items():
            if length != n:
                raise WhenbuyError(f"The column {name!r} has {length} rows, the log has {n}.")
        if len(self.offsets) != len(self.users) + 1 or self.offsets[0] != 0 or self.offsets[-1] > n or (np.diff(self.offsets) < 0).any():
            raise WhenbuyError("The offsets of the log do not cut its rows into its users.")
        if self.late and self.by_time is None:
            raise WhenbuyError("A log with late events needs its order by time.")
        if not self._ordered():
            raise WhenbuyError("The events of a user are not in the order in which they became known.")

    def __len__(self) -> int:
        return len(self.known_at)

    @property
    def late(self) -> bool:
        """Whether some events became known after they happened."""
        return self.time is not self.known_at

    @property
    def start(self) -> int:
        """The instant of the earliest event; the end where there is none."""
        return int(self.time.min()) if len(self) else self.end

    def code(self, kind: str) -> int:
        """Return the code of a kind of event; -1 where the log has none of it."""
        return self.kinds.index(kind) if kind in self.kinds else -1

    def count(self, kind: str) -> int:
        """Return how many events of one kind the log holds."""
        return int(np.count_nonzero(self.kind == self.code(kind))) if kind in self.kinds else 0

    def frame(self, rows: slice = slice(None)) -> pl.DataFrame:
        """Return some rows as a table that a person can read."""
        where = np.arange(len(self))[rows]
        owner = np.searchsorted(self.offsets, where, side="right") - 1
        user: Codes = np.where(owner < len(self.users), owner, -1).astype(np.int32)
        utc = pl.Datetime("us", "UTC")
        return pl.DataFrame(
            {
                "user_id": self.users.names(user),
                "kind": pl.Series(np.array(self.kinds, dtype=object)[self.kind[rows]].tolist(), dtype=pl.String),
                "time": pl.Series(self.time[rows], dtype=pl.Int64).cast(utc),
                "known_at": pl.Series(self.known_at[rows], dtype=pl.Int64).cast(utc),
            }
            | {name: column.series(rows) for name, column in self.columns.items()}
        )

    def take(self, rows: Ints, end: int | None = None) -> EventLog:
        """Return a log of some of the rows, which must be rising; the users, kinds and dictionaries stay."""
        known_at, kept = self.known_at[rows], np.searchsorted(rows, self.offsets)
        time = self.time[rows] if self.late else known_at
        return EventLog(
            self.users, self.kinds, kept.astype(np.int64), known_at, time, self.kind[rows],
            {name: Column(c.values[rows], c.dictionary, c.scale) for name, c in self.columns.items()},
            self.end if end is None else end,
            order_by_time(kept, time) if self.late else None,
        )  # fmt: skip

    def cut(self, instant: int) -> EventLog:
        """Return the log as it stood just before an instant: what became known later is not in it."""
        return self.take(np.flatnonzero(self.known_at < instant), min(self.end, instant))

    def seen(self) -> tuple[str, ...]:
        """Return the kinds of which the log holds an event; its names of kinds and columns may tell of more, as a cut log's do."""
        found = np.bincount(self.kind, minlength=len(self.kinds)) > 0
        return tuple(kind for kind, known in zip(self.kinds, found, strict=True) if known)

    def _repr_html_(self) -> str:
        words = f"{len(self):,} events of {len(self.users):,} users, of the kinds {', '.join(self.seen()[:12])}."
        return card("EventLog", words, self.frame(slice(0, ROWS)), rows=len(self))

    def __repr__(self) -> str:
        return f"EventLog({len(self):,} events, {len(self.users):,} users, {len(self.kinds)} kinds, {len(self.columns)} columns)"

    def _ordered(self) -> bool:
        edge = np.zeros(len(self) + 1, bool)
        edge[self.offsets] = True
        for lo in range(0, len(self) - 1, _CHUNK):
            hi = min(lo + _CHUNK, len(self) - 1)
            if not ((self.known_at[lo + 1 : hi + 1] >= self.known_at[lo:hi]) | edge[lo + 1 : hi + 1]).all():
                return False
        return True


def order_by_time(offsets: Ints, time: Instants) -> Ints:
    """Return the rows of each user in the order of time (n); ties keep the order in which they became known."""
    user = np.repeat(np.arange(len(offsets)), np.diff(np.append(offsets, len(time))))
    return np.lexsort((time, user)).astype(np.int64)

"""Series: what happened to each item, category or campaign, or in the whole shop, on each shop-local day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Codes
from whenbuy.core.blocks import Series
from whenbuy.core.errors import UsageError
from whenbuy.core.history import History
from whenbuy.core.keys import Entity, Keys
from whenbuy.core.log import Dictionary, EventLog
from whenbuy.features.counted import counted, scale_of
from whenbuy.features.local import offsets_at

_COLUMNS: Final[dict[str, str]] = {"item": "item_id", "category": "category", "campaign": "offer_id"}
_CHUNK: Final = 1 << 21
"""So many events are counted at once."""


@dataclass(frozen=True, slots=True)
class Daily:
    """Numbers by day of the events of a kind, as a block of series.

    Memory grows with the days on which something happened, not with items times days. An event counts on the day on which it happened, once
    it is known: what comes late is missing from the last days before a cutoff.

    Parameters
    ----------
    kind
        The kind of event that counts, or several; any, for None.
    measures
        What is counted or summed: ``events`` (lines), ``orders`` (first lines of orders: of use for the whole shop), ``baskets`` (orders in
        which the key was bought), ``sessions`` (those in which it was met; days of a user, where the log has none), ``units`` (the
        quantity; 1 where it is not known, 0 where it is negative: what comes back is no demand), or columns of numbers.
    """

    kind: str | tuple[str, ...] | None = "purchase"
    measures: tuple[str, ...] = ("events",)

    def block(self, history: History, keys: Keys) -> Series:
        """Return the series of each key (n) over the days that were over at its cutoff, from what was known before it.

        Raises
        ------
        UsageError
            When the keys are users.
        ColumnError
            When a measure is no column of numbers.
        """
        where = _codes_of(history.log, keys)
        found: list[pl.DataFrame] = []
        begin, end = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
        for cutoff in np.unique(keys.cutoff).tolist():
            asked = np.flatnonzero(keys.cutoff == cutoff)
            begin[asked], end[asked], days = self._as_of(history, keys.entity, cutoff)
            rows = pl.DataFrame({"row": asked, "code": where[asked]}, schema={"row": pl.Int64, "code": pl.Int32})
            found.append(rows.join(days, on="code", how="inner"))
        empty = pl.DataFrame(schema={"row": pl.Int64, "day": pl.Int64} | dict.fromkeys(self.measures, pl.Int64))
        table = pl.concat([empty, *(part.select(empty.columns) for part in found)]).sort("row", "day")
        offsets = np.searchsorted(table["row"].to_numpy(), np.arange(len(keys) + 1)).astype(np.int64)
        values = np.stack([table[name].to_numpy() / scale_of(history.log, name) for name in self.measures], axis=1)
        return Series(offsets, table["day"].to_numpy(), self.measures, values, begin, end)

    def _as_of(self, history: History, entity: Entity, cutoff: int) -> tuple[int, int, pl.DataFrame]:
        """Return the first day of the shop, the day after the last one that was over, and the numbers by code and day."""
        log, clock = history.log, history.clock
        end, begin = int(clock.days(np.array([cutoff]))[0]), None
        parts = [pl.DataFrame(schema={"code": pl.Int32, "day": pl.Int64} | dict.fromkeys(self.measures, pl.Int64))]
        for rows, known in _known(log, cutoff):
            time = log.time[rows][known]
            day = (time + offsets_at(time, clock)) // DAY
            begin = min(int(day.min(initial=end)), end if begin is None else begin)
            code = _codes(log, entity, rows)[known]
            counts = (day < end) & (code >= 0)
            if self.kind is not None:
                kinds = (self.kind,) if isinstance(self.kind, str) else self.kind
                counts &= np.isin(log.kind[rows][known], [log.code(kind) for kind in kinds if log.code(kind) >= 0])
            kept = np.flatnonzero(known)[counts]
            columns = {name: counted(log, name, rows, kept, code[counts], day[counts]) for name in self.measures}
            part = pl.DataFrame({"code": code[counts], "day": day[counts]} | columns)
            parts.append(_summed(part))
        return end if begin is None else begin, end, _summed(pl.concat(parts))


def everything(history: History, entity: Entity, as_of: int | str | None = None) -> Keys:
    """Return a key for each item, category or campaign that was known before a cutoff (the log's end, by default), or the one of the shop.

    Raises
    ------
    UsageError
        When users are asked for.
    """
    cutoff = history.end if as_of is None else history.clock.instant(as_of)
    names, log = _names(history.log, entity), history.log
    seen = np.zeros(len(names), bool)
    for rows, known in _known(log, cutoff):
        code = _codes(log, entity, rows)[known]
        seen[code[code >= 0]] = True
    code = np.flatnonzero(seen).astype(np.int32)
    return Keys(entity, code, np.full(len(code), cutoff, np.int64), names)


def _known(log: EventLog, cutoff: int) -> Iterator[tuple[slice, Bools]]:
    """Yield stretches of the log that cut no user in two, and which of their rows were known before an instant."""
    places = np.searchsorted(log.offsets, np.arange(0, log.offsets[-1], _CHUNK))
    edges = np.unique(np.concatenate([log.offsets[places], np.arange(log.offsets[-1], len(log), _CHUNK), [len(log)]]))
    for first, last in pairwise(edges.tolist()):
        rows = slice(first, last)
        yield rows, log.known_at[rows] < cutoff


def _summed(part: pl.DataFrame) -> pl.DataFrame:
    return part.group_by("code", "day").agg(pl.exclude("code", "day").sum())


def _names(log: EventLog, entity: Entity) -> Dictionary:
    """Return the names of all items, categories or campaigns, or of the one shop."""
    if entity == "user":
        raise UsageError(
            "Daily series of users were asked for.", "They are of items, categories, campaigns or the shop.", "Ask for features."
        )
    if entity == "shop":
        return Dictionary.of(("shop",))
    column = log.columns.get(_COLUMNS[entity])
    return Dictionary.of(()) if column is None or column.dictionary is None else column.dictionary


def _codes_of(log: EventLog, keys: Keys) -> Codes:
    """Return the code under which the log knows each key (n), -1 for a stranger."""
    names = _names(log, keys.entity)
    return np.zeros(len(keys), np.int32) if keys.entity == "shop" else names.codes(keys.ids())


def _codes(log: EventLog, entity: Entity, rows: slice) -> Codes:
    """Return the item, category or campaign of each event, -1 for none; 0 for all where the shop is meant."""
    n = len(log.kind[rows])
    if entity == "shop":
        return np.zeros(n, np.int32)
    column = log.columns.get(_COLUMNS[entity])
    return np.full(n, -1, np.int32) if column is None else np.asarray(column.values[rows], np.int32)

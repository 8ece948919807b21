"""Pairs: which single things each key met, how often, when last and for how much, as a sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Instants, Ints
from whenbuy.core.blocks import Pairs
from whenbuy.core.errors import ColumnError
from whenbuy.core.history import Past
from whenbuy.core.kernel import kernel
from whenbuy.core.log import Dictionary, EventLog
from whenbuy.features.sweep import chunks


@dataclass(frozen=True, slots=True)
class Met:
    """What each key did with each name of a column, as a block of pairs. A column or a kind that a log does not have was met by nobody.

    Parameters
    ----------
    column
        A column of names: ``item_id``, ``category``, ``brand``.
    kind
        The kind of event that counts; any, for None.
    total
        A column of numbers to sum.
    """

    column: str = "item_id"
    kind: str | None = "purchase"
    total: str | None = None

    def block(self, past: Past) -> Pairs:
        """Return the pairs of each key (n), from what was known before its cutoff; recency runs up to the instant of reading.

        Raises
        ------
        ColumnError
            When the column holds numbers, or that of the total holds names.
        """
        log, order = past._history.log, past.keys.order()
        names, values, scale = self._columns(log)
        lengths, parts = np.zeros(len(past), np.int64), []
        for keys, rows, start, stop in chunks(past, order):
            code = self._codes(log, rows)
            time = np.minimum(log.time[rows], log.known_at[rows])
            length, met, count, latest, total = _met(code, time, values[rows] if len(values) else values, start, stop, len(names))
            lengths[keys] = length
            waited = (np.repeat(past.at[keys], length) - latest) / DAY
            parts.append((met.astype(np.int32), count, waited.astype(np.float32), (total / scale).astype(np.float32)))
        offsets = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int64)
        found = Pairs(
            offsets, np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]),
            np.concatenate([part[2] for part in parts]), np.concatenate([part[3] for part in parts]), names,
        )  # fmt: skip
        return found.take(np.argsort(order))

    def _columns(self, log: EventLog) -> tuple[Dictionary, Ints, float]:
        """Return the names that can be met, the values to sum (empty for none) and how many of their units make one."""
        column = log.columns.get(self.column)
        if column is not None and column.dictionary is None:
            raise ColumnError(f"Pairs ask for the names in {self.column!r}, which holds numbers.", "They need names.", "Name another.")
        names = Dictionary.of(()) if column is None or column.dictionary is None else column.dictionary
        summed = None if self.total is None else log.columns.get(self.total)
        if summed is None:
            return names, np.empty(0, np.int64), 1.0
        if summed.dictionary is not None:
            raise ColumnError(f"Pairs ask for the sum of {self.total!r}, which holds names.", "A sum needs numbers.", "Name another.")
        return names, np.asarray(summed.values, np.int64), float(summed.scale)

    def _codes(self, log: EventLog, rows: slice | Ints) -> Ints:
        """Return what each event met, -1 for nothing that counts."""
        kind = log.kind[rows]
        if self.column not in log.columns:
            return np.full(len(kind), -1, np.int64)
        code: Ints = log.columns[self.column].values[rows].astype(np.int64)
        if self.kind is not None:
            code[kind != log.code(self.kind)] = -1
        return code


@kernel
def _met(code: Ints, time: Instants, values: Ints, start: Ints, stop: Ints, names: int) -> tuple[Ints, Ints, Ints, Instants, Ints]:
    """Return how many things each key met; and of each, by rising code: which, how often, when last and the sum of the values."""
    stamp, length = np.full(names, -1, np.int64), np.zeros(len(start), np.int64)
    for key in range(len(start)):
        for event in range(start[key], stop[key]):
            if code[event] >= 0 and stamp[code[event]] != key:
                stamp[code[event]] = key
                length[key] += 1
    entries, base = length.sum(), 0
    met, count = np.empty(entries, np.int64), np.zeros(entries, np.int64)
    latest, total = np.empty(entries, np.int64), np.zeros(entries, np.int64)
    stamp[:] = -1
    for key in range(len(start)):
        end = base
        for event in range(start[key], stop[key]):
            c = code[event]
            if c < 0:
                continue
            if stamp[c] < base:
                stamp[c], met[end], latest[end] = end, c, time[event]
                end += 1
            entry = stamp[c]
            count[entry] += 1
            latest[entry] = max(latest[entry], time[event])
            if len(values) and values[event] != MISSING:
                total[entry] += values[event]
        order = base + np.argsort(met[base:end])
        met[base:end], count[base:end] = met[order], count[order]
        latest[base:end], total[base:end] = latest[order], total[order]
        base = end
    return length, met, count, latest, total

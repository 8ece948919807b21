"""A net that follows customers one event at a time: a state of constant size for each, and an answer whenever one is asked for."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from whenbuy.core.arrays import Floats, Singles
from whenbuy.core.errors import UsageError
from whenbuy.models.neural.kernels.steps import WORK, answer, take
from whenbuy.models.neural.net import Net
from whenbuy.models.neural.tokens import FURTHEST as FURTHEST_NUMBER
from whenbuy.models.neural.tokens import GAP
from whenbuy.models.neural.windows import FURTHEST, HALF_LIVES


class LiveNet:
    """A net as it serves: compiled, without torch. What it answers equals the batch forecast after the same events, bit for bit.

    Raises
    ------
    UsageError
        When its encoder takes no single steps.
    """

    def __init__(self, net: Net) -> None:
        shape = net.shape
        if not shape.encoder.live:
            raise UsageError(
                f"A net with {shape.encoder.name} reads whole streams.",
                "One event at a time needs an RNN, GRU, LSTM, a linear recurrence, or no encoder.",
                "Serve another model, or predict in batches.",
            )
        self._width = shape.encoder.width
        columns = () if shape.reader is None else shape.reader.columns
        self._columns = tuple(
            (column.column, unmet, column.buckets, {name: unmet + 1 + row for row, name in enumerate(column.known.ids.to_list())})
            for column, unmet in zip(columns, () if shape.reader is None else shape.reader.unmet, strict=True)
        )
        self._numbers = () if shape.reader is None else tuple(shape.reader.usual)
        self._cell: Any = () if net.reading is None else net.reading.cell
        self._scales = np.zeros((0, 3)) if shape.reader is None else shape.reader.scales
        self._layers, self._windows = net.layers, (shape.windows.names, shape.windows.usual)
        self._size = 0 if net.reading is None else int(getattr(shape.encoder, "state_size"))  # noqa: B009 - recurrent, as it is live
        self._codes, self._raw = np.zeros(len(columns), np.int32), np.zeros(len(self._numbers))
        self._work = np.zeros(2 * len(self._numbers) + (1 + WORK) * self._width, np.float32)
        self._room = np.zeros(3 * max(shape.sizes), np.float32)

    @property
    def features(self) -> tuple[str, ...]:
        """The window features that an answer is given, in their order."""
        return self._windows[0]

    def start(self) -> Singles:
        """Return the state of a customer before any event."""
        return np.zeros(self._size, np.float32)

    def step(self, state: Singles, names: Mapping[str, str], numbers: Mapping[str, float], gap_days: float | None = None) -> None:
        """Let one event update a state in place.

        Parameters
        ----------
        state
            The customer's, from `start` and the events before.
        names
            The names that the event carries, by column; what is absent or was not met is read as such.
        numbers
            The numbers that it carries, by column, in their own unit.
        gap_days
            Days since the latest event before; None for the first.
        """
        if not self._cell:
            return  # a net without an encoder reads no events
        codes, raw = self._codes, self._raw
        for place, (column, unmet, buckets, known) in enumerate(self._columns):
            name = names.get(column)
            if buckets and name is not None:
                codes[place] = unmet + 1 + zlib.crc32(name.encode("utf-8", "surrogatepass")) % buckets
            else:
                codes[place] = known.get(name, unmet)
        for place, column in enumerate(self._numbers):
            raw[place] = numbers.get(column, math.nan)
            if column == GAP and gap_days is not None:
                raw[place] = gap_days
        cell, depth, flat, table, scale = self._cell
        take(cell, depth, flat, table, scale, codes, raw, self._scales, FURTHEST_NUMBER, gap_days or 0.0, state, self._work)

    def answer(self, state: Singles, since_days: float, features: Floats) -> Singles:
        """Return the outputs of all heads (outputs).

        Parameters
        ----------
        state
            The customer's.
        since_days
            Days since her latest event, NaN where there is none.
        features
            Her window features, those of ``features`` in their order (f), NaN for what is missing.
        """
        made = state[len(state) - self._width :]
        return answer(*self._layers, made, since_days, HALF_LIVES, features, self._windows[1], FURTHEST, self._room)

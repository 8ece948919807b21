"""Answering: what a forecaster's models say of one customer, by their compiled rows. `Forecaster.said` is its slow twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats
from whenbuy.core.blocks import Interactions
from whenbuy.core.clock import Clock
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Amount, TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.models.rows.asked import Asked, Layout, Row
from whenbuy.models.rows.compiled import compiled
from whenbuy.models.rows.steps import finished
from whenbuy.pipeline.learning.forecaster import Forecaster, Said, without_closed_days
from whenbuy.serve.reading import Curve

Further = tuple[Callable[[Asked], Any], bool]
"""What says a further answer, and whether that is a mean and a median."""


@dataclass(frozen=True, slots=True, eq=False)
class Answering:
    """The compiled rows of a forecaster.

    Parameters
    ----------
    model, clock
        The forecaster, and the zone of the shop's days.
    days
        The grid of the curves (g).
    rows
        The row of each model.
    further
        The further answers, in the order of their columns.
    compiled
        Whether every answer comes from compiled rows alone.
    """

    model: Forecaster
    clock: Clock
    days: Floats
    rows: Mapping[str, Row]
    further: tuple[Further, ...]
    compiled: bool

    @classmethod
    def of(cls, model: Forecaster, clock: Clock, asked: Examples, said: Said) -> Answering:
        """Return the rows of a forecaster, by an example of what it is asked and of what it says."""
        told = next((block for block in asked.blocks.values() if isinstance(block, Interactions)), None)
        layout = Layout(asked.table.names, said.curves.grid_days, *((told.classes, told.names) if told is not None else ()))
        rows = {name: compiled(one, layout) for name, one in model.models.items()}
        further = []
        for name in model.windows:
            if name in said.answers and name != "classes":
                several = isinstance(said.answers[name], Amount)
                further.append((rows[name].amount if several else rows[name].chance, several))
        return cls(model, clock, said.curves.grid_days, rows, tuple(further), all(row.compiled for row in rows.values()))

    def curve(self, asked: Asked, read_at: int, attributes: Callable[[], pl.DataFrame], *, everything: bool = True) -> Curve:
        """Return what the models say of a customer whose past was read at an instant; not ``everything``, then only when she buys."""
        rows = self.rows
        fallen, count, prior = self._when(asked, read_at, attributes, rows.get("orders") if everything else None, everything)
        if not everything:
            return Curve(read_at, fallen, count)
        amount = rows["amount"].amount(asked) if "amount" in rows else (nan, nan)
        told: tuple[float, ...] = ()
        for say, several in self.further:
            told = (*told, *say(asked)) if several else (*told, say(asked))
        chance = given = None
        if "classes" in rows:
            chance, given = rows["classes"].classes(asked)
        return Curve(read_at, fallen, count, amount, told, chance, given if prior is False else None)

    def _when(
        self, asked: Asked, read_at: int, attributes: Callable[[], pl.DataFrame], orders: Row | None, everything: bool
    ) -> tuple[Floats, Floats, bool | None]:
        """Return log-survival and expected orders at 0 and on the days of the grid, and whether only a prior speaks."""
        purchase, counted = self.rows["purchase"], everything and orders is None
        prior: bool | None
        if purchase.whole is None:
            survival, count, prior = purchase.curve(asked, counted)
        else:
            told, prior = purchase.whole(asked, counted)
            if orders is None and not self.model.closed and not (prior and self._differing):
                return told[0], told[1], prior
            survival, count = told[2, :-1], told[1, 1:]
        if orders is not None:
            count = orders.curve(asked, True)[1]
        if self.model.closed or (prior and self._differing):
            survival, count = self._moved(survival, count, prior, read_at, attributes)
        return *finished(survival, count), prior

    @property
    def _differing(self) -> bool:
        """Whether attributes say how newcomers differ."""
        return self.model.newcomers is not None and bool(self.model.newcomers.factors)

    def _moved(
        self, survival: Floats, count: Floats, prior: bool | None, read_at: int, attributes: Callable[[], pl.DataFrame]
    ) -> tuple[Floats, Floats]:
        """Return a curve as attributes of a newcomer and the shop's closed days change it."""
        keys = Keys("user", np.zeros(1, np.int32), np.array([read_at]), Dictionary.of([""]))
        marked = None if prior is None else np.array([prior])
        curves = TimeToEvent.of(keys, self.days, survival[None], count[None], "", prior=marked)
        if self.model.newcomers is not None and self.model.newcomers.factors:
            curves = self.model.newcomers.apply(curves, attributes())
        if self.model.closed:
            curves = without_closed_days(curves, self.model.closed, self.clock)
        return curves.survival[0], curves.mean_count[0]

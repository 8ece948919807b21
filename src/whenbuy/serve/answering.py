"""Answering: what a forecaster's models say of one customer, by their compiled rows. `Forecaster.said` is its slow twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.blocks import Interactions
from whenbuy.core.clock import Clock
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Amount, TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.models.rows.asked import Asked, Layout, Row
from whenbuy.models.rows.compiled import compiled
from whenbuy.models.rows.steps import finished, freed
from whenbuy.models.when.calendar import Calendar
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
    calendar
        How offers make days differ; none where nothing was learned of offers.
    """

    model: Forecaster
    clock: Clock
    days: Floats
    rows: Mapping[str, Row]
    further: tuple[Further, ...]
    compiled: bool
    calendar: Calendar | None

    @classmethod
    def of(cls, model: Forecaster, history: History, asked: Examples, said: Said) -> Answering:
        """Return the rows of a forecaster, by an example of what it is asked and of what it says."""
        told = next((block for block in asked.blocks.values() if isinstance(block, Interactions)), None)
        layout = Layout(asked.table.names, said.curves.grid_days, *((told.classes, told.names) if told is not None else ()))
        rows = {name: compiled(one, layout) for name, one in model.models.items()}
        further = []
        for name in model.windows:
            if name in said.answers and name != "classes":
                several = isinstance(said.answers[name], Amount)
                further.append((rows[name].amount if several else rows[name].chance, several))
        days, calendar = said.curves.grid_days, model.calendar(history.clock, history.offers)
        return cls(model, history.clock, days, rows, tuple(further), all(row.compiled for row in rows.values()), calendar)

    def curve(self, asked: Asked, read_at: int, times: Callable[[], float], *, everything: bool = True) -> Curve:
        """Return what the models say of a customer whose past was read at an instant; not ``everything``, then only when she buys.

        ``times`` says how many times as often as everybody she orders, where nothing but her attributes is known.
        """
        rows = self.rows
        fallen, count, prior = self._when(asked, read_at, times, rows.get("orders") if everything else None, everything)
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
        self, asked: Asked, read_at: int, times: Callable[[], float], orders: Row | None, everything: bool
    ) -> tuple[Floats, Floats, bool | None]:
        """Return log-survival and expected orders at 0 and on the days of the grid, and whether only a prior speaks."""
        purchase, counted = self.rows["purchase"], everything and orders is None
        prior: bool | None
        more = 1.0
        if purchase.whole is None:
            survival, count, prior = purchase.curve(asked, counted)
            more = times() if prior else more
        else:
            told, prior = purchase.whole(asked, counted)
            more = times() if prior else more
            if orders is None and not self.model.closed and self.calendar is None and more == 1.0:
                return told[0], told[1], prior
            survival, count = told[2, :-1], told[1, 1:]
        if orders is not None:
            count = orders.curve(asked, True)[1]
        if more != 1.0:  # as `AttributePrior.apply`
            survival, count = survival**more, count * more
        if self.calendar is not None:
            survival, count = survival.copy(), count.copy()
            freed(survival, count)
            survival, count = self.calendar.one(survival, count, read_at, self.days)
        if self.model.closed:
            survival, count = self._shut(survival, count, prior, read_at)
        return *finished(survival, count), prior

    def _shut(self, survival: Floats, count: Floats, prior: bool | None, read_at: int) -> tuple[Floats, Floats]:
        """Return a curve as the shop's closed days change it."""
        keys = Keys("user", np.zeros(1, np.int32), np.array([read_at]), Dictionary.of([""]))
        marked = None if prior is None else np.array([prior])
        curves = TimeToEvent.of(keys, self.days, survival[None], count[None], "", prior=marked)
        curves = without_closed_days(curves, self.model.closed, self.clock)
        return curves.survival[0], curves.mean_count[0]

"""Reading: what a model said of one customer at one instant becomes the answer as of another one. No model runs again.

The columns are those of ``predict``; the arithmetic is that of the batch forecast (``TimeToEvent.after_silence``, ``Outlook.frame``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np

from whenbuy.core.arrays import DAY, Floats
from whenbuy.core.forecast import Amount, Classes, Forecast, Probability
from whenbuy.core.kernel import kernel
from whenbuy.core.outlook import VALUE_DAYS
from whenbuy.pipeline.learning.forecaster import Forecaster, Said

_LEVELS: Final = (0.1, 0.5, 0.9)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(slots=True, eq=False)
class Curve:
    """What was said of one customer, where nothing has happened since.

    Parameters
    ----------
    read_at
        The instant at which her past was read.
    fallen, count
        Log-survival and expected orders at 0 and on the days of the grid (g + 1 each).
    amount
        Mean and median of her next order's amount, NaN where there is no such answer; None where only was said when she buys.
    further
        The numbers of the further answers, in the order of their columns.
    chance, given
        P(buys from each class), and P(buys from each, given that she buys) where that is what the model says (k each).
    """

    read_at: int
    fallen: Floats
    count: Floats
    amount: tuple[float, float] | None = None
    further: tuple[float, ...] = ()
    chance: Floats | None = None
    given: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How the answers of one model are read.

    Parameters
    ----------
    answer, when
        The structure of one answer: the columns of ``predict`` and of its further answers, and ``known_events``, how many of her events are
        known; and of one that says only when she buys.
    days
        The days of the grid, 0 before them (g + 1).
    horizons, asked, soon
        The horizons, these with the days over which orders are counted, and the horizons as an array.
    wanted
        Cumulative hazards of the quantiles.
    classes, class_days
        The classes asked about, and within how many days.
    model
        The name of the model of when.
    """

    answer: type[msgspec.Struct]
    when: type[msgspec.Struct]
    days: Floats
    horizons: tuple[float, ...]
    asked: Floats
    soon: Floats
    wanted: Floats
    classes: tuple[str, ...]
    class_days: float
    model: str

    @classmethod
    def of(cls, model: Forecaster, said: Said) -> Reading:
        """Return how a model's answers are read, by an example of them."""
        classes = said.answers.get("classes")
        names, class_days = (classes.classes, classes.horizon_days) if isinstance(classes, Classes) else ((), 1.0)
        days = np.concatenate([[0.0], said.curves.grid_days])
        asked = np.array([*model.horizons, max(model.horizons), VALUE_DAYS, class_days])
        wanted = -np.log1p(-np.array(_LEVELS))
        kinds, soon = (answer_type(model, said), when_type(model)), np.array(model.horizons)
        return cls(*kinds, days, model.horizons, asked, soon, wanted, names, class_days, said.curves.model)

    def curves(self, model: Forecaster, said: Said) -> list[Curve]:
        """Return what was said of each customer."""
        curves = said.curves
        start = np.zeros((len(curves), 1))
        fallen = np.hstack([start, np.log(np.maximum(curves.survival, 1e-300))])
        count = np.hstack([start, curves.mean_count])
        amounts = _amounts(said.answers.get("amount"), len(curves))
        further = _further(model, said)
        classes = said.answers.get("classes")
        found = []
        for i in range(len(curves)):
            told = tuple(float(column[i]) for column in further)
            one = Curve(int(curves.keys.cutoff[i]), fallen[i], count[i], (float(amounts[0][i]), float(amounts[1][i])), told)
            if isinstance(classes, Classes):
                own = said.given is not None and curves.prior is not None and not curves.prior[i]
                one.chance, one.given = classes.chance[i], said.given[i] if own and said.given is not None else None
            found.append(one)
        return found

    def read(self, user: str, at: int, events: int, curve: Curve, degraded: str | None = None, *, everything: bool = True) -> Any:
        """Return the answer as of an instant at or after that at which the curve was made.

        Parameters
        ----------
        user
            Her name.
        at
            The instant.
        events
            How many of her events are known.
        curve
            What was said.
        degraded
            In what the answer is less than it should be.
        everything
            Whether every answer is wanted, or only when she buys.
        """
        h, amount = len(self.horizons), curve.amount
        if not everything or amount is None:
            told = read_curve(self.days, curve.fallen, _NOTHING, (at - curve.read_at) / DAY, self.soon, self.wanted).tolist()
            moments = (_moment(at, days) for days in told[h:])
            return self.when(user, _EPOCH + at * _US, *told[:h], *moments, self.model, events, degraded)
        told = read_curve(self.days, curve.fallen, curve.count, (at - curve.read_at) / DAY, self.asked, self.wanted).tolist()
        top, counts, days = None, told[h + 3 : 2 * h + 6], told[2 * h + 6 :]
        if curve.chance is not None and len(self.classes):
            chance = curve.chance if curve.given is None else told[h + 2] * curve.given
            top = self.classes[int(np.argmax(np.minimum(chance, told[h + 2])))]
        mean, median = amount
        known = not math.isnan(mean)
        return self.answer(
            user, _EPOCH + at * _US, *told[:h], *(_moment(at, each) for each in days),
            mean if known else None, median if known else None, counts[h], mean * counts[h + 1] if known else None,
            top, self.model, *curve.further, events, degraded,
        )  # fmt: skip


_NOTHING: Final = np.empty(0)


def answer_type(model: Forecaster, said: Said) -> type[msgspec.Struct]:
    """Return the structure of one answer of a model."""
    number, moment, perhaps, text = float, datetime | None, float | None, str | None
    fields: list[tuple[str, Any]] = [("user_id", str), ("as_of", datetime)]
    fields += [(f"p_purchase_{days:g}d", number) for days in model.horizons]
    fields += [(f"next_purchase_p{100 * level:.0f}", moment) for level in _LEVELS]
    fields += [("amount_mean", perhaps), ("amount_p50", perhaps), ("expected_orders", number), ("clv", perhaps)]
    fields += [("top_category", text), ("model", str), *((name, number) for name in _further_names(model, said)), ("known_events", int)]
    return _structure((*fields, ("degraded", text, None)))


def when_type(model: Forecaster) -> type[msgspec.Struct]:
    """Return the structure of one answer that says only when she buys."""
    fields: list[tuple[str, Any]] = [("user_id", str), ("as_of", datetime)]
    fields += [(f"p_purchase_{days:g}d", float) for days in model.horizons]
    fields += [(f"next_purchase_p{100 * level:.0f}", datetime | None) for level in _LEVELS]
    return _structure((*fields, ("model", str), ("known_events", int), ("degraded", str | None, None)), "When")


@cache
def _structure(fields: tuple[Any, ...], name: str = "Answer") -> type[msgspec.Struct]:
    return msgspec.defstruct(name, fields, frozen=True, module=__name__)


def _further_names(model: Forecaster, said: Said) -> list[str]:
    names: list[str] = []
    for name, days in model.windows.items():
        answer = said.answers.get(name)
        if isinstance(answer, Amount):
            names += [f"{name}_mean_{days:g}d", f"{name}_p50_{days:g}d"]
        elif isinstance(answer, Probability):
            names.append(f"p_{name}_{days:g}d")
    return names


def _further(model: Forecaster, said: Said) -> list[Floats]:
    columns: list[Floats] = []
    for name in model.windows:
        answer = said.answers.get(name)
        if isinstance(answer, Amount):
            columns += [answer.mean, answer.quantile(0.5)]
        elif isinstance(answer, Probability):
            columns.append(answer.chance)
    return columns


def _amounts(answer: Forecast | None, n: int) -> Sequence[Floats]:
    return (answer.mean, answer.quantile(0.5)) if isinstance(answer, Amount) else (np.full(n, np.nan),) * 2


def _moment(at: int, days: float) -> datetime | None:
    """Return the instant so many days later, None where that is not known."""
    if math.isnan(days):
        return None
    later = at + round(days * DAY)
    return _EPOCH + later * _US if later < _MOST_US else _LAST


_MOST_FALLEN: Final = 300 * math.log(10.0)
"""The least survival is 1e-300."""
_MOST_US: Final = (_LAST - _EPOCH) // _US


@kernel
def read_curve(days: Floats, fallen: Floats, count: Floats, silence: float, asked: Floats, wanted: Floats) -> Floats:
    """Return what a curve says after a silence: P(event) within each of the days asked, expected orders, the days to each wanted hazard.

    It is conditioned on the silence and freed of rounding as ``TimeToEvent.after_silence`` and ``of`` do, in cumulative hazards: what has
    fallen since. Without a ``count`` nothing is said of orders.
    """
    g, n, k = len(days), len(asked), len(asked) * (len(count) > 0)
    told, hazard, orders = np.full(n + k + len(wanted), np.nan), np.zeros(g), np.zeros(g)
    start, begun, right = straight(days, fallen, silence), straight(days, count, silence) if k else 0.0, 1
    for i in range(1, g):
        later = silence + days[i]
        while right < g - 1 and days[right] < later:
            right += 1
        share = (later - days[right - 1]) / (days[right] - days[right - 1])
        hazard[i] = max(hazard[i - 1], min(start - (fallen[right - 1] + share * (fallen[right] - fallen[right - 1])), _MOST_FALLEN))
        if k:
            counted = count[right - 1] + share * (count[right] - count[right - 1]) - begun
            orders[i] = max(orders[i - 1], counted, -math.expm1(-hazard[i]))
    for i in range(n):
        told[i] = 1.0 - math.exp(-straight(days, hazard, asked[i]))
        if k:
            told[n + i] = straight(days, orders, asked[i])
    place = 0
    for i in range(len(wanted)):
        while place < g and hazard[place] < wanted[i]:
            place += 1
        if place < g:
            low, high = hazard[place - 1], hazard[place]
            share = (wanted[i] - low) / (high - low) if high > low else 0.0
            told[n + k + i] = days[place - 1] + share * (days[place] - days[place - 1])
    return told


@kernel
def straight(knots: Floats, values: Floats, asked: float) -> float:
    """Return the value at a position, straight between knots, the last slope continuing beyond them."""
    right: int = min(max(int(np.searchsorted(knots, asked)), 1), len(knots) - 1)
    share = (asked - knots[right - 1]) / (knots[right] - knots[right - 1])
    return float(values[right - 1] + share * (values[right] - values[right - 1]))

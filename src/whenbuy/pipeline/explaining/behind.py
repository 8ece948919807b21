"""What else can be asked of the model behind an explanation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Floats, Ints
from whenbuy.core.errors import SettingsError, UsageError
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.pipeline.explaining.asking import Asking
from whenbuy.pipeline.explaining.crowd import Crowd
from whenbuy.pipeline.explaining.families import BROWSING
from whenbuy.pipeline.explaining.might import with_event, without_each
from whenbuy.pipeline.explaining.sharing import Mixed, Sharing
from whenbuy.pipeline.learning.split import spread
from whenbuy.questions.asked import people
from whenbuy.reasons.events import SHOWN, Events, spoken
from whenbuy.reasons.importance import dependence, lenders, permuted
from whenbuy.reasons.mixture import Part, rest_of, touched
from whenbuy.reasons.shapley import absolute_mean, mean_interval

STANDING: Final = 50
"""So many customers stand for the shop where what moves their forecasts is averaged."""
SCORED: Final = 400
"""On the forecasts of so many customers log-loss is measured."""
_VISITS: Final = {
    "view": "a look around today", "click": "a click today", "search": "a search today", "favourite": "a favourite marked today",
    "cart": "something put into the cart today",
}  # fmt: skip
_SEED: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class Behind:
    """A forecaster, a shop's customers and those asked about.

    Parameters
    ----------
    asking
        Who is asked.
    crowd
        The customers of the shop.
    sharing
        How forecasts are shared out.
    keys
        Who was asked about.
    """

    asking: Asking
    crowd: Crowd
    sharing: Sharing
    keys: Keys

    def importance(self, by: Literal["reason", "feature"]) -> pl.DataFrame:
        """Return what the model leans on, over many customers; see ``Explanation.importance``."""
        if by not in ("reason", "feature"):
            raise UsageError(f"Importance by {by!r} was asked for.", "It is told by reason or by feature.", "Say by='reason' or 'feature'.")
        families = self.sharing.families
        names = self.crowd.reading.examples.table.names
        parts = [family.part for family in families] if by == "reason" else [Part(name, (name,)) for name in names]
        called = [family.title for family in families] if by == "reason" else list(names)
        columns: dict[str, pl.Series | list[str]] = {by: called}
        if by == "reason":
            shares, _, prior = self.sharing.shares(self.standing())
            columns |= _interval("points", *(100 * part for part in absolute_mean(shares.size[~prior])))
        cutoff, in_sample = self._ripe()
        rise = self._rise(cutoff, parts, self.sharing.moment if by == "reason" else len(parts))
        columns |= _interval("logloss", *mean_interval(rise))
        first = "points" if by == "reason" else "logloss"
        return (
            pl.DataFrame(columns)
            .with_columns(in_sample=pl.lit(in_sample))
            .sort(first, descending=True, nulls_last=True, maintain_order=True)
        )

    def changes(self, row: int) -> pl.DataFrame:
        """Return what would change one customer's forecast; see ``Explanation.what_would_change``."""
        key = self.keys.take(slice(row, row + 1))
        found = [("nothing", self._now(self.asking, key))]
        log = self.asking.history.log
        seen = [kind for kind in BROWSING if kind in log.seen()][:1]
        for kind, words in (*((kind, _VISITS[kind]) for kind in seen), ("purchase", "an order today")):
            made = with_event(self.asking.history, key, kind, self.sharing.typical)
            if made is not None:
                found.append((words, self._now(replace(self.asking, history=made[0]), made[1])))
        known = self.asking.history.before(key).count()[0] > 0
        for days in sorted({min(self.asking.model.horizons), max(self.asking.model.horizons)} if known else ()):
            found.append((f"{days:g} more days of silence", self._now(self.asking, key, days)))
        chance = np.array([each for _, each in found])
        return pl.DataFrame({"change": [words for words, _ in found], "probability": chance, "points": 100 * (chance - chance[0])})

    def events(self, row: int, latest: int) -> Events:
        """Return what each of the latest events of one customer does to her forecast; see ``Explanation.events``."""
        if latest < 1:
            raise SettingsError(f"The latest {latest} events were asked about.", "It must be one at least.", "Change it.")
        key = self.keys.take(slice(row, row + 1))
        made, keys, out = without_each(self.asking.history, key, latest)
        reading = replace(self.asking, history=made).read(keys)
        without = self.asking.chance(reading.examples, reading.silence)
        return _told(self.asking.history, key, out, 100 * (self._now(self.asking, key) - without))

    def dependence(self, feature: str) -> pl.DataFrame:
        """Return the mean forecast by the value of one feature; see ``Explanation.dependence``."""
        reading = replace(self.crowd.reading, examples=touched(self.crowd.reading.examples, self.sharing.blocks))
        value = reading.examples.table.column(feature)
        asked = Part(feature, (feature,))
        rest = rest_of(reading.examples.table.names, self.sharing.blocks, [asked])
        lending = lenders(value)
        mean, low, high = dependence(Mixed.of(self.asking, reading, [asked, rest], 1).chance, lending, self.crowd.evenly(STANDING))
        return pl.DataFrame({"value": value[lending], "probability": mean, "low": low, "high": high})

    def standing(self) -> Keys:
        """Return customers who stand for the shop."""
        return self.crowd.pool.take(self.crowd.evenly(STANDING))

    def _now(self, asking: Asking, key: Keys, later_days: float = 0.0) -> float:
        reading = asking.read(key, later_days)
        return float(asking.chance(reading.examples, reading.silence)[0])

    def _ripe(self) -> tuple[int, bool]:
        """Return the last midnight whose window had closed by the moment of the explanation, and whether the model has learned from it."""
        history = self.asking.history
        days = self.asking.horizon_days + history.lateness_days
        closed = min(self.crowd.as_of, history.end) - round(days * DAY)
        cutoff = int(history.clock.midnight_before(np.array([closed], np.int64))[0])
        return cutoff, cutoff < self.asking.model.known_until

    def _rise(self, cutoff: int, parts: list[Part], moment: int) -> Floats:
        """Return by how much log-loss rises without each part (n x p); NaN where nobody was known."""
        history = self.asking.history
        keys = history.keys(None, cutoff)
        keys = keys.take(np.flatnonzero(people(history.before(keys))))
        keys = keys.take(np.sort(np.argsort(spread(keys.ids()), kind="stable")[:SCORED]))
        if not len(keys):
            return np.full((1, len(parts)), np.nan)
        came = history.within(keys, self.asking.horizon_days).orders() > 0
        reading, count = self.sharing.read(keys), len(parts)
        rest = rest_of(reading.examples.table.names, self.sharing.blocks, parts)
        mixed = Mixed.of(self.asking, reading, [*parts, rest], moment)
        return permuted(mixed.chance, came, count + 1, count, _SEED)


def _told(history: History, key: Keys, rows: tuple[Ints, ...], points: Floats) -> Events:
    """Return events of one customer, given the rows of the log that each fills, as they are spoken of."""
    log, first = history.log, np.array([part[0] for part in rows], np.int64)
    named = [log.columns[name] for name in SHOWN if name in log.columns]
    of = [next(filter(None, (spoken(column.series(part).to_list()) for column in named)), ()) for part in rows]
    ago = np.maximum(int(key.cutoff[0]) - log.time[first], 0) / DAY
    return Events(tuple(log.kinds[code] for code in log.kind[first].tolist()), tuple(of), ago, points)


def _interval(name: str, mean: Floats, low: Floats, high: Floats) -> dict[str, pl.Series]:
    columns = {name: mean, f"{name}_low": low, f"{name}_high": high}
    return {called: pl.Series(called, values, nan_to_null=True) for called, values in columns.items()}

"""From a history to examples of rankings: what each key met, what everybody wanted lately, and what was taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.ranking import Shelf
from whenbuy.features.shelf import shelf_of
from whenbuy.features.trails import STRENGTHS, Trail
from whenbuy.features.trends import HALFLIVES_DAYS, Trend
from whenbuy.models.ranking.reading import TRAILS, TRENDS
from whenbuy.questions.items import NextItems


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """What is read of a history for a ranking.

    Parameters
    ----------
    trail, trend
        The blocks.
    """

    trail: Trail
    trend: Trend

    @classmethod
    def of(
        cls,
        shelf: Shelf | History,
        strengths: Mapping[str, float] = STRENGTHS,
        halflives_days: tuple[float, ...] = HALFLIVES_DAYS,
        length: int = 1000,
        column: str = "item_id",
    ) -> Asking:
        """Return how to read of a shelf, or of a history's own as of its end. See `Trail` and `Trend`."""
        things = shelf_of(shelf, column) if isinstance(shelf, History) else shelf
        return cls(Trail(things, strengths, length, column), Trend(things, halflives_days, strengths, column))

    @property
    def shelf(self) -> Shelf:
        """The things."""
        return self.trail.shelf

    def examples(self, history: History, keys: Keys, question: NextItems | None = None) -> Examples:
        """Return what was known of each key before its cutoff and, where a question is given, what was taken after it."""
        past = history.before(keys)
        nothing = Table((), np.empty((len(keys), 0), np.float32))

        def silence(days: Floats, rows: Ints) -> Table:
            del days
            return nothing.take(rows)

        labels: dict[str, Labels] = (
            {} if question is None else {question.name: question.label(past, history.within(keys, question.horizon_days))}
        )
        return Examples(keys, nothing, labels, silence, blocks={TRAILS: self.trail.block(past), TRENDS: self.trend.block(past)})

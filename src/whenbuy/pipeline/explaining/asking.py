"""Asking a forecaster about examples of any kind: mixed ones, later ones, such as might come."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from whenbuy.core.arrays import DAY, Floats, Ints
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.pipeline.learning.forecaster import Forecaster, without_closed_days

_CHUNK = 256
"""So many rows are asked about at once: what a roll-out in silence makes of them fits a processor's memory."""

_TRIED = 32
"""On so many rows it is tried which blocks a model reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a forecaster reads of some keys: examples, and the days of silence since each was read (n)."""

    examples: Examples
    silence: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """A forecaster asked for one number: the chance of an order within a horizon.

    Parameters
    ----------
    model
        Who answers.
    history
        What it reads.
    horizon_days
        The horizon.
    """

    model: Forecaster
    history: History
    horizon_days: float

    def read(self, keys: Keys, later_days: float = 0.0) -> Reading:
        """Return what the forecaster reads of these keys; so many days later, had nothing become known since the cutoffs.

        The rule is the forecaster's own: features are read at the later of the last event and the start of the day.
        """
        history, features = self.history, self.model.features
        last = history.before(keys).last_known()
        moment = keys.cutoff + round(later_days * DAY)
        at, first = (np.minimum(np.maximum(history.clock.midnight_before(when), last + 1), when) for when in (moment, keys.cutoff))
        past = history.before(replace(keys, cutoff=first)).silent((at - first) / DAY)

        def silence(days: Floats, rows: Ints) -> Table:
            return features.table(past.take(rows).silent(days))

        blocks = {name: spec.block(past) for name, spec in self.model.blocks.items()}
        examples = Examples(replace(keys, cutoff=at), features.table(past), {}, silence, blocks=blocks)
        return Reading(examples, (moment - at) / DAY)

    def chance(self, examples: Examples, silence: Floats) -> Floats:
        """Return the chance of an order within the horizon after the silence (n)."""
        starts = range(0, len(examples), _CHUNK)
        parts = [slice(start, start + _CHUNK) for start in starts]
        return np.concatenate([np.empty(0), *(self.chance_at_once(examples.take(part), silence[part]) for part in parts)])

    def chance_at_once(self, examples: Examples, silence: Floats) -> Floats:
        """Return the same without cutting the examples into parts."""
        curves = self.model.models["purchase"].predict(examples, in_sample=True)
        if (calendar := self.model.calendar(self.history.clock, self.history.offers)) is not None:
            curves = calendar.apply(curves)
        if self.model.closed:
            curves = without_closed_days(curves, self.model.closed, self.history.clock)
        later = curves.after_silence(silence) if silence.any() else curves
        found: Floats = later.probability(self.horizon_days)
        return found


def blocks_read(asking: Asking, reading: Reading) -> tuple[str, ...]:
    """Return the names of the blocks without which the model of the curve cannot answer, or answers otherwise."""
    rows = np.arange(min(_TRIED, len(reading.examples)))
    some, silence = reading.examples.take(rows), reading.silence[rows]
    usual = asking.chance(some, silence)
    return tuple(name for name in some.blocks if not _same(asking, without(some, name), silence, usual))


def _same(asking: Asking, examples: Examples, silence: Floats, usual: Floats) -> bool:
    try:
        return bool((asking.chance(examples, silence) == usual).all())
    except WhenbuyError:
        return False


def without(examples: Examples, block: str) -> Examples:
    """Return the examples without a block."""
    return replace(examples, blocks={name: held for name, held in examples.blocks.items() if name != block})

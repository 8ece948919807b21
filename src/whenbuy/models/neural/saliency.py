"""Saliency: what each event contributes to a net's chance of a purchase, by leaving it out.

An event's contribution is the chance as it is minus the chance if that event had never been: the other events stay where they are in time,
so its gap joins the one behind it or, for the latest event, the silence (occlusion, Zeiler and Fergus 2014; Li, Monroe and Jurafsky 2016).
Nothing is approximated: every number is a forecast of the net itself, and where the encoder is live it is made without torch. Contributions
of single events need not add up: two visits that say the same are each dispensable. Window features that join at the read-out stay as they
are, so of a net that has them this is what its reading of the sequence contributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Codes, Floats, Ints, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import SettingsError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.models.neural.curve import NeuralCurveModel
from whenbuy.models.neural.net import SEQUENCES
from whenbuy.models.neural.tokens import GAP

_SHOWN: Final = ("item_id", "category", "brand", "channel", "offer_id")
"""Columns of names that say in words which event is meant."""
_FAINT: Final = 0.0005
"""Contributions below this are not spoken of."""
_TOKENS: Final = 1_000_000
"""About so many tokens are read at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Saliency:
    """What the latest events of each key contribute to its chance of a purchase.

    Parameters
    ----------
    keys
        Who was asked (n).
    days
        The horizon of the chance.
    chance
        P(buys within it), as the net forecasts it (n).
    row
        The key of each event (e), rising.
    age_days
        Days from each event to its key's cutoff (e), rising backwards: the latest event of a key stands last.
    by
        How much higher the chance is than it would be without the event (e).
    codes, dictionaries
        The names that each event carries, by column (e each).
    """

    keys: Keys
    days: float
    chance: Floats
    row: Ints
    age_days: Floats
    by: Floats
    codes: Mapping[str, Codes]
    dictionaries: Mapping[str, Dictionary]

    def __len__(self) -> int:
        return len(self.row)

    def frame(self) -> pl.DataFrame:
        """Return one row per event: user_id, age_days, its names by column, chance, by."""
        names = {name: self.dictionaries[name].names(code) for name, code in self.codes.items()}
        told = {"user_id": self.keys.ids()[self.row], "age_days": self.age_days, "chance": self.chance[self.row], "by": self.by}
        return pl.DataFrame(told).with_columns(**names)

    def words(self, key: int, most: int = 3) -> tuple[str, ...]:
        """Return the events that matter most to one key in sentences, the strongest first; none where nothing matters."""
        own = np.flatnonzero(self.row == key)
        own = own[np.lexsort((self.age_days[own], -np.abs(self.by[own])))][:most]
        return tuple(self._sentence(event) for event in own.tolist() if abs(self.by[event]) >= _FAINT)

    def _sentence(self, event: int) -> str:
        chance = float(self.chance[self.row[event]])
        moved = "raises" if self.by[event] > 0 else "lowers"
        return (
            f"The {self._named(event)} {_ago(float(self.age_days[event]))} {moved} the chance to buy within {self.days:g} days from "
            f"{chance - self.by[event]:.1%} to {chance:.1%}."
        )

    def _named(self, event: int) -> str:
        kind = self._name("kind", event) or "event"
        told = [name for name in (self._name(column, event) for column in _SHOWN) if name]
        return f"{kind} ({', '.join(told)})" if told else kind

    def _name(self, column: str, event: int) -> str | None:
        if column not in self.codes:
            return None
        found = self.dictionaries[column].names(self.codes[column][event : event + 1])[0]
        return None if found is None else str(found)


def saliency(model: NeuralCurveModel, examples: Examples, days: float = 7.0, *, latest: int = 32) -> Saliency:
    """Return what each of the latest events of each key contributes to P(buys within ``days``).

    Parameters
    ----------
    model
        The net. Its encoder must read events.
    examples
        Who is asked (n), with the block ``sequences``. They are asked about, not learned from, so their cutoffs may be any.
    days
        The horizon of the chance.
    latest
        So many events of each key are left out in turn, the latest ones. The time grows with this times the length of the sequences.

    Raises
    ------
    UsageError
        When the net reads no events, or its encoder needs torch, and it is not installed.
    SettingsError
        When the horizon is not above 0, or fewer than one event is asked about.
    """
    if model.net.reading is None:
        raise UsageError(
            f"The events of {model.name} were asked about.", "It reads window features alone.", "Ask what its features contribute instead."
        )
    if latest < 1 or not days > 0:
        raise SettingsError(
            f"The latest {latest} events and a chance within {days:g} days were asked about.", "Both must be above 0.", "Change them."
        )
    sequences = examples.block(SEQUENCES, Sequences).packed()
    count = np.minimum(sequences.lengths, latest)
    row = np.repeat(np.arange(len(sequences)), count)
    event = np.repeat(sequences.stop - np.cumsum(count), count) + np.arange(len(row))
    chance, by = _chance(model, examples, days), np.zeros(len(row))
    part = np.cumsum(sequences.lengths[row]) // _TOKENS
    for here in (np.flatnonzero(part == each) for each in np.unique(part)):
        left_out = replace(examples.take(row[here]), blocks={SEQUENCES: without(sequences, row[here], event[here])})
        by[here] = chance[row[here]] - _chance(model, left_out, days)
    ages = (examples.keys.cutoff[row] - sequences.time[event]) / DAY
    codes = {name: part[event] for name, part in sequences.codes.items()}
    return Saliency(examples.keys, days, chance, row, ages, by, codes, sequences.dictionaries)


def without(sequences: Sequences, row: Ints, event: Ints) -> Sequences:
    """Return the sequences of some keys (e), each without one of its tokens (e); the others stay where they are in time."""
    start, stop = sequences.start[row], sequences.stop[row]
    length = stop - start - 1
    ends = np.cumsum(length)
    begins = ends - length
    where = np.repeat(start - begins, length) + np.arange(length.sum())
    where += where >= np.repeat(event, length)  # behind the one that is left out
    numbers = {name: part[where] for name, part in sequences.numbers.items()}
    own = _days(sequences.numbers[GAP][event])
    followed = np.flatnonzero(event + 1 < stop)
    both = own[followed] + _days(sequences.numbers[GAP][event[followed] + 1])
    numbers[GAP][(begins + event - start)[followed]] = np.log1p(both).astype(np.float32)  # of the token that came next; NaN: the first now
    since = sequences.since_days[row] + np.where(event + 1 == stop, own, 0.0)  # NaN where there is no other
    codes = {name: part[where] for name, part in sequences.codes.items()}
    return Sequences(begins, ends, since, sequences.time[where], codes, numbers, sequences.dictionaries)


def _chance(model: NeuralCurveModel, examples: Examples, days: float) -> Floats:
    return np.asarray(model.predict(examples, in_sample=True).probability(days), np.float64)


def _days(log_gap: Singles) -> Floats:
    return np.asarray(np.expm1(log_gap.astype(np.float64)))


def _ago(days: float) -> str:
    if days < 1:
        return "today"
    whole = round(days)
    return f"{whole} day{'s' if whole != 1 else ''} ago"

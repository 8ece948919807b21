"""The next thing by a net that has read the trails: the sequence model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Codes, Floats, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.examples import Examples
from whenbuy.core.ranking import Ranking, Shelf, Trails, place_on
from whenbuy.models.neural.augment import Augment
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.next_event import NextHead
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.neural.pretrain import Events, Pretraining
from whenbuy.models.neural.reading import part_of
from whenbuy.models.neural.tokens import SMALL, Inputs
from whenbuy.models.neural.training import Training
from whenbuy.models.ranking.best import nearest
from whenbuy.models.ranking.reading import FIRST, answered, learned_from, require_first, seen_until, trails_of

ITEM: Final = "item_id"


def _learning() -> Pretraining:
    """Return how the net learns: the thing after each, against a sample of the others."""
    optimiser = Optimiser(learning_rate=1e-2, weight_decay=0.0)
    return Pretraining(
        encoder=LinearRecurrence(64, 1),
        inputs=Inputs(buckets=1 << 20, mask=0.01),
        head=NextHead((ITEM,), parts=1, samples=1024, share=1.0, squared=0.0),
        training=Training(optimiser, epochs=8, patience=2, batch_tokens=2048, augment=Augment(0.0, 0.0), budget_s=300.0),
    )


@dataclass(frozen=True, slots=True)
class NextThing:
    """A recurrent net over the things met and the gaps between them, which tells the next one.

    After Hidasi et al. (2016), "Session-based recommendations with recurrent neural networks"; here the linear recurrence is the default.
    Torch learns it; without torch it answers.

    Parameters
    ----------
    learning
        The net and how it learns.
    first
        How many things a list has.
    """

    learning: Pretraining = field(default_factory=_learning)
    first: int = FIRST

    def __post_init__(self) -> None:
        require_first(self.name, self.first)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "sequence"

    def fit(self, train: Examples, valid: Examples | None = None) -> NextThingModel:
        """Return the net that tells the next thing.

        Raises
        ------
        NotEnoughDataError
            When too few trails hold two steps.
        UsageError
            When torch is not installed.
        """
        del valid
        trails = learned_from(train, self.name)
        return NextThingModel(self, trails.shelf, self.learning.learn(sequences_of(trails)), seen_until(trails))


@dataclass(frozen=True, eq=False)
class NextThingModel:
    """A net that has learned, and the things that it can tell."""

    settings: NextThing
    shelf: Shelf
    events: Events
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def speak(self, examples: Examples) -> tuple[Codes, Floats]:
        """Return the things that most probably come next, and how probable they are (n x m each)."""
        trails = trails_of(examples, self.shelf)
        table, bias, thing = self._table
        first = min(self.settings.first, len(thing))
        item, score = np.full((len(trails), first), -1, np.int32), np.full((len(trails), first), np.nan)
        some = np.flatnonzero(np.diff(trails.offsets))
        if not len(some) or not first:
            return item, score
        own = part_of(self.events.weights, "next")[ITEM].astype(np.float64)
        state = self.events.reading.read_out(sequences_of(trails.take(some)))
        asked = (state[:, :, None] * own).sum(axis=1)  # no BLAS: the bits of a row do not depend on the others
        found, worth = item[some], score[some]
        nearest(asked.astype(np.float32), table, bias, found, worth)
        item[some], score[some] = np.where(found >= 0, thing[np.maximum(found, 0)], -1), worth
        return item, score

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Ranking:
        """Return the ranking of each key."""
        return answered(self, examples, self.settings.first, in_sample=in_sample)

    @cached_property
    def _table(self) -> tuple[Singles, Singles, Codes]:
        """The rows of the net's table that stand for things (width x k), their bias, and which things they are."""
        reader, weights = self.events.reader, self.events.weights
        place = next((place for place, column in enumerate(reader.columns) if column.column == ITEM), None)
        if place is None:
            return np.zeros((1, 0), np.float32), np.zeros(0, np.float32), np.empty(0, np.int32)
        column, large = reader.columns[place], reader.columns[place].rows > SMALL
        begin = reader.unmet[place] - large * reader.small_rows
        rows = part_of(weights, "tokens")["large" if large else "small"][begin : begin + column.rows][1:]
        thing = place_on(self.shelf.names, column.known)[:-1]
        return np.ascontiguousarray(rows.T), part_of(weights, "next")[f"{ITEM}_bias"][1:, 0].copy(), thing


def sequences_of(trails: Trails) -> Sequences:
    """Return trails as a net reads them: the thing and the gap before it."""
    fresh = np.zeros(len(trails.item), bool)
    fresh[trails.offsets[:-1][np.diff(trails.offsets) > 0]] = True
    gap = np.where(fresh, np.nan, np.log1p(np.maximum(np.diff(trails.time, prepend=trails.time[:1]), 0) / DAY)).astype(np.float32)
    since, filled = np.full(len(trails), np.nan), np.flatnonzero(np.diff(trails.offsets))
    since[filled] = np.maximum(trails.at[filled] - trails.time[trails.offsets[filled + 1] - 1], 0) / DAY
    return Sequences(
        trails.offsets[:-1], trails.offsets[1:], since, trails.time, {ITEM: trails.item}, {"log_gap_days": gap}, {ITEM: trails.shelf.names}
    )


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (NextThing, NextThingModel)}
"""What a stored model of this file may be made of."""

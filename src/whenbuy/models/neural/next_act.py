"""The next act by a net that has read the acts: which one, and whether it comes within the horizon, from one state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Classes
from whenbuy.core.learner import refuse_leak
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.next_event import NextEvent, NextHead
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.neural.pretrain import Events, Pretraining
from whenbuy.models.neural.training import Training

BLOCK: Final = "acts"
"""The block of examples that tells the latest acts of each key."""
_ACT: Final = "act"
_LEAST: Final = 1e-6


def _learning() -> Pretraining:
    training = Training(Optimiser(learning_rate=5e-3), epochs=20, patience=3, batch_tokens=2048, budget_s=60.0)
    return Pretraining(LinearRecurrence(32, 1), head=NextHead((_ACT,), parts=6, share=1.0), training=training)


@dataclass(frozen=True, slots=True)
class NeuralActs:
    """A recurrent net over the latest acts and the gaps between them.

    P(act k within the horizon) = P(k is next) P(gap <= silence + horizon | gap > silence), both from the state after her last act. The
    gaps that training saw all ended, so the second factor is put right by what came of the training rows: a straight line on the scale of
    log-odds (Platt 1999). It is learned with torch and answers without.

    Parameters
    ----------
    horizon_days
        The length asked about.
    learning
        The net and how it learns.
    question
        Whose labels say up to when the events reach, and what strangers do.
    """

    horizon_days: float
    learning: Pretraining = field(default_factory=_learning)
    question: str = "next"

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"net-acts-{self.learning.encoder.name}"

    def fit(self, train: Examples, valid: Examples | None = None) -> NeuralActsModel:
        """Return the net; a share of the users is kept back to say when to stop.

        Raises
        ------
        NotEnoughDataError
            When no label was seen, or too few users have two acts.
        UsageError
            When torch is not installed.
        """
        del valid
        label, told = train.label(self.question), train.block(BLOCK, Sequences)
        if not label.observed.any():
            raise NotEnoughDataError(
                f"None of the labels of {len(train):,} training examples was seen.", "They tell what strangers do.", "Give a longer log."
            )
        everybody = label.value[label.observed].mean(axis=0)
        acts = tuple(told.dictionaries[_ACT].ids.to_list())
        events = self.learning.learn(told)
        seen = np.flatnonzero(label.observed & (told.stop > told.start))
        asked = told.take(seen)
        came = label.value[seen].sum(axis=1)
        line = _line(_log_odds(_anything(events.next(asked), asked.since_days, self.horizon_days)), came)
        return NeuralActsModel(self, acts, events, everybody, line, int(label.end.max()))


@dataclass(frozen=True, slots=True, eq=False)
class NeuralActsModel:
    """A net that has learned, the acts that it tells (k), what everybody does (k), and the line that puts "anything at all" right (2)."""

    settings: NeuralActs
    acts: tuple[str, ...]
    events: Events
    everybody: Floats
    line: Floats
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Classes:
        """Return the chance of each key and act; of whom nothing is known gets everybody's, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        told = examples.block(BLOCK, Sequences)
        prior = told.stop == told.start
        chance, some = np.broadcast_to(self.everybody, (len(told), len(self.acts))).copy(), np.flatnonzero(~prior)
        coming = self.events.next(told.take(some))
        odds = _log_odds(_anything(coming, told.since_days[some], self.settings.horizon_days))
        anything = 1.0 / (1.0 + np.exp(-(self.line[0] + self.line[1] * odds)))
        chance[some] = 0.0
        place = {name: code for code, name in enumerate(self.acts)}
        for column, name in enumerate(coming.names[_ACT].ids.to_list() if _ACT in coming.names else []):
            chance[some, place[name]] = coming.chance[_ACT][:, column] * anything
        return Classes(examples.keys, self.acts, chance, self.settings.horizon_days, self.name, prior, in_sample)


def _anything(coming: NextEvent, since: Floats, days: float) -> Floats:
    """Return P(a gap that has lasted so long ends within so many days) (n)."""
    now, then = coming.by(since), coming.by(since + days)
    return np.asarray((then - now) / np.maximum(1.0 - now, _LEAST))


def _log_odds(chance: Floats) -> Floats:
    told = np.clip(chance, _LEAST, 1.0 - _LEAST)
    return np.asarray(np.log(told) - np.log1p(-told))


def _line(odds: Floats, came: Floats) -> Floats:
    """Return offset and slope of the log-odds that fit best what came, with a little belief in 0 and 1."""
    from scipy.optimize import minimize

    def loss(at: Floats) -> float:
        line = at[0] + at[1] * odds
        return float((np.logaddexp(0.0, line) - came * line).sum() + at[0] ** 2 + (at[1] - 1.0) ** 2)

    return np.asarray(minimize(loss, np.array([0.0, 1.0]), method="L-BFGS-B", bounds=[(-20.0, 20.0), (0.0, 10.0)]).x)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (NeuralActs, NeuralActsModel)}
"""What a stored model of this file may be made of."""

"""The amount of a net: how much is spent, its mean and its median apart, and the spread around the median as training rows showed it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Amount
from whenbuy.models.how_much.gamma_gamma import LEVELS
from whenbuy.models.neural.encoder import Encoder
from whenbuy.models.neural.heads import AmountHead, Head
from whenbuy.models.neural.learn import NetLearner, NetModel, learned
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.net import Net
from whenbuy.models.neural.pretrain import Events
from whenbuy.models.neural.training import Tell


@dataclass(frozen=True, slots=True)
class NeuralAmount(NetLearner):
    """A net that answers how much the next order is worth, given that it comes.

    Parameters
    ----------
    encoder
        Reads the events.
    question
        Whose labels are read.
    further
        Heads that learn beside it from the same pass.
    inputs, hidden, activation, dropout, windows, max_rows, training
        See `NetLearner`.
    """

    encoder: Encoder = LinearRecurrence()
    question: str = "amount"
    further: tuple[Head, ...] = ()

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"net-{self.question}-{self.encoder.name}"

    def fit(self, train: Examples, valid: Examples | None = None) -> NeuralAmountModel:
        """Return the net that these examples teach; the epoch that was best on ``valid`` is kept.

        Without ``valid`` a share of the users is kept back for it.

        Raises
        ------
        NotEnoughDataError
            When no amount was seen, there are fewer than two users, or a loss was no number in the first epoch.
        UsageError
            When torch is not installed.
        """
        return self.resume(train, valid)

    def resume(
        self,
        train: Examples,
        valid: Examples | None = None,
        *,
        folder: Path | None = None,
        tell: Tell | None = None,
        start: Net | Events | None = None,
    ) -> NeuralAmountModel:
        """Return what ``fit`` does; training goes on from the checkpoint in ``folder``, speaks to ``tell``, and begins at ``start``."""
        head = AmountHead(self.question, share=1.0)
        found = learned(self, self.encoder, (head, *self.further), train, valid, folder=folder, tell=tell, start=start)
        targets = head.targets(train)
        told = np.flatnonzero(targets["at"] > 0)
        error = np.log(targets["value"][told].astype(np.float64)) - found[0].outputs(train.take(told))[:, 1]
        spread = np.quantile(error, LEVELS)
        return NeuralAmountModel(self, *found, spread - spread[len(LEVELS) // 2])


@dataclass(frozen=True, slots=True, eq=False)
class NeuralAmountModel(NetModel):
    """A net that has learned how much.

    Parameters
    ----------
    settings, net, everybody, course, known_until
        See `NetModel`.
    spread
        How far each quantile lies from the median, on the logarithm.
    """

    settings: NeuralAmount
    spread: Floats

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Amount:
        """Return the amount of each key; of whom nothing is known gets that of all. Raises what ``told`` raises."""
        out = self.told(examples, in_sample=in_sample)[0][:, :2]
        told = np.exp(np.clip(out.astype(np.float64), -20.0, 20.0))
        return Amount(examples.keys, told[:, 0], np.array(LEVELS), told[:, 1:] * np.exp(self.spread), self.name, in_sample)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (NeuralAmount, NeuralAmountModel)}
"""What a stored model of this file may be made of."""

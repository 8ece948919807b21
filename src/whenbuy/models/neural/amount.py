"""The amount of a net: how much is spent, its mean and its median apart, and the spread around the median as training rows showed it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Singles
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Amount
from whenbuy.core.learner import refuse_leak
from whenbuy.models.neural.curve import strangers
from whenbuy.models.neural.encoder import Encoder
from whenbuy.models.neural.engine import Activation
from whenbuy.models.neural.heads import AmountHead, Head
from whenbuy.models.neural.learn import Layout, learned
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.net import Net
from whenbuy.models.neural.pretrain import Events
from whenbuy.models.neural.tokens import Inputs
from whenbuy.models.neural.training import Course, Tell, Training

LEVELS: Final = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True, slots=True)
class NeuralAmount:
    """A net that answers how much the next order is worth, given that it comes.

    Parameters
    ----------
    encoder
        Reads the events.
    question
        Whose labels are read.
    further
        Heads that learn beside it from the same pass.
    inputs, hidden, activation, dropout, windows
        See `Layout`.
    training
        How long and in what portions it learns.
    """

    encoder: Encoder = LinearRecurrence()
    question: str = "amount"
    further: tuple[Head, ...] = ()
    inputs: Inputs = Inputs()
    hidden: tuple[int, ...] = (128, 64)
    activation: Activation = "relu"
    dropout: float = 0.3
    windows: bool = True
    training: Training = Training()

    def __post_init__(self) -> None:
        self.layout  # noqa: B018 - it checks itself

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"net-{self.question}-{self.encoder.name}"

    @property
    def layout(self) -> Layout:
        """What it reads and how it is layered."""
        return Layout(self.encoder, self.inputs, self.hidden, self.activation, self.dropout, self.windows)

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
        targets = head.targets(train)
        everybody = head.first(targets)
        net, course = learned(self.layout, (head, *self.further), self.training, train, valid, folder=folder, tell=tell, start=start)
        told = targets["at"] > 0
        error = np.log(targets["value"][told].astype(np.float64)) - net.outputs(train)[told, 1]
        known_until = max(int(part.label(self.question).end.max()) for part in (train, valid) if part is not None)
        spread = np.quantile(error, LEVELS)
        return NeuralAmountModel(self, net, everybody, spread - spread[len(LEVELS) // 2], course, known_until)


@dataclass(frozen=True, slots=True, eq=False)
class NeuralAmountModel:
    """A net that has learned how much.

    Parameters
    ----------
    settings
        How it was learned.
    net
        The net.
    everybody
        The logarithms of mean and median of all amounts: the answer for strangers.
    spread
        How far each quantile lies from the median, on the logarithm.
    course
        How the training went.
    known_until
        The end of the last label window that it saw.
    """

    settings: NeuralAmount
    net: Net
    everybody: Singles
    spread: Floats
    course: Course
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Amount:
        """Return the amount of each key; of whom nothing is known gets that of all.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the table lacks a feature.
        UsageError
            When the encoder needs torch, and it is not installed.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        out = self.net.outputs(examples)[:, :2]
        out[strangers(examples)] = self.everybody
        told = np.exp(np.clip(out.astype(np.float64), -20.0, 20.0))
        return Amount(examples.keys, told[:, 0], np.array(LEVELS), told[:, 1:] * np.exp(self.spread), self.name, in_sample)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (NeuralAmount, NeuralAmountModel)}
"""What a stored model of this file may be made of."""

"""The classes of a net: from which she buys within the horizon, as the chance to buy times that of the class, given that she does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Singles
from whenbuy.core.blocks import Interactions
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Classes
from whenbuy.core.learner import refuse_leak
from whenbuy.models.neural.curve import strangers
from whenbuy.models.neural.encoder import Encoder
from whenbuy.models.neural.engine import Activation
from whenbuy.models.neural.heads import ClassesHead, HazardHead
from whenbuy.models.neural.learn import Layout, learned
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.net import Net
from whenbuy.models.neural.pretrain import Events
from whenbuy.models.neural.tokens import Inputs
from whenbuy.models.neural.training import Course, Tell, Training


@dataclass(frozen=True, slots=True)
class NeuralClasses:
    """A net that answers from which classes of things she buys.

    Both factors come from one pass, so the answer never exceeds the chance to buy. The names of the classes are those of the block
    ``interactions``, in the order of the labels.

    Parameters
    ----------
    horizon_days
        The length asked about.
    encoder
        Reads the events.
    question
        Whose labels are read (n x k); those of ``purchase`` tell who bought at all.
    balanced
        Whether those who bought from a class count as much in training as those who did not; the chances are put right afterwards.
    inputs, hidden, activation, dropout, windows
        See `Layout`.
    training
        How long and in what portions it learns.
    """

    horizon_days: float
    encoder: Encoder = LinearRecurrence()
    question: str = "classes"
    balanced: bool = False
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

    def fit(self, train: Examples, valid: Examples | None = None) -> NeuralClassesModel:
        """Return the net that these examples teach; the epoch that was best on ``valid`` is kept.

        Without ``valid`` a share of the users is kept back for it.

        Raises
        ------
        NotEnoughDataError
            When nobody bought from any class, there are fewer than two users, or a loss was no number in the first epoch.
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
    ) -> NeuralClassesModel:
        """Return what ``fit`` does; training goes on from the checkpoint in ``folder``, speaks to ``tell``, and begins at ``start``."""
        names = train.block("interactions", Interactions).classes[: train.label(self.question).value.shape[1]]
        buys, which = HazardHead((self.horizon_days,)), ClassesHead(len(names), self.question, self.balanced, share=1.0)
        targets = which.targets(train)
        everybody = np.concatenate([buys.first(buys.targets(train)), which.first(targets)])
        net, course = learned(self.layout, (which, buys), self.training, train, valid, folder=folder, tell=tell, start=start)
        parts = [part.label(name).end.max() for part in (train, valid) if part is not None for name in (self.question, "purchase")]
        return NeuralClassesModel(self, names, net, everybody, np.log(targets["rare"][0].astype(np.float64)), course, int(max(parts)))


@dataclass(frozen=True, slots=True, eq=False)
class NeuralClassesModel:
    """A net that has learned from which classes she buys.

    Parameters
    ----------
    settings
        How it was learned.
    classes
        Their names (k).
    net
        The net.
    everybody
        The log-odds to buy at all, and from each class given that (1 + k): the answer for strangers.
    raised
        By how much training raised the log-odds of each class (k).
    course
        How the training went.
    known_until
        The end of the last label window that it saw.
    """

    settings: NeuralClasses
    classes: tuple[str, ...]
    net: Net
    everybody: Singles
    raised: Floats
    course: Course
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Classes:
        """Return the chance of each key and class; of whom nothing is known gets that of all, marked ``prior``.

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
        out, unknown = self._out(examples), strangers(examples)
        chance = _chance(out[:, :1]) * _chance(out[:, 1:] - self.raised)
        return Classes(examples.keys, self.classes, chance, self.settings.horizon_days, self.name, unknown, in_sample)

    def given_purchase(self, examples: Examples) -> Floats:
        """Return P(buys from the class within the horizon, given that she buys at all) (n x k)."""
        return _chance(self._out(examples)[:, 1:] - self.raised)

    def _out(self, examples: Examples) -> Floats:
        """Return the log-odds to buy at all, and from each class (n x 1 + k)."""
        out = np.roll(self.net.outputs(examples), 1, axis=1)
        out[strangers(examples)] = self.everybody
        return out.astype(np.float64)


def _chance(log_odds: Floats) -> Floats:
    """Return chances from log-odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -30.0, 30.0))))


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (NeuralClasses, NeuralClassesModel)}
"""What a stored model of this file may be made of."""

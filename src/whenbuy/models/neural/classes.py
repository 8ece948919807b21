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
from whenbuy.models.neural.encoder import Encoder
from whenbuy.models.neural.heads import ClassesHead, HazardHead
from whenbuy.models.neural.learn import NetLearner, NetModel, learned
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.net import Net
from whenbuy.models.neural.pretrain import Events
from whenbuy.models.neural.training import Tell


@dataclass(frozen=True, slots=True)
class NeuralClasses(NetLearner):
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
    inputs, hidden, activation, dropout, windows, max_rows, training
        See `NetLearner`.
    """

    horizon_days: float
    encoder: Encoder = LinearRecurrence()
    question: str = "classes"
    balanced: bool = False

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"net-{self.question}-{self.encoder.name}"

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
        found = learned(self, self.encoder, (which, buys), train, valid, folder=folder, tell=tell, start=start)
        return NeuralClassesModel(self, *found, names, np.log(which.targets(train)["rare"][0].astype(np.float64)))


@dataclass(frozen=True, slots=True, eq=False)
class NeuralClassesModel(NetModel):
    """A net that has learned from which classes she buys.

    Parameters
    ----------
    settings, net, everybody, course, known_until
        See `NetModel`. The heads tell the log-odds of each class, given that she buys, and to buy at all (k + 1).
    classes
        Their names (k).
    raised
        By how much training raised the log-odds of each class (k).
    """

    settings: NeuralClasses
    classes: tuple[str, ...]
    raised: Floats

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Classes:
        """Return the chance of each key and class; of whom nothing is known gets that of all, marked ``prior``. Raises as ``told`` does."""
        out, unknown = self.told(examples, in_sample=in_sample)
        chance = _chance(out[:, -1:]) * self._given(out)
        return Classes(examples.keys, self.classes, chance, self.settings.horizon_days, self.name, unknown, in_sample)

    def given_purchase(self, examples: Examples) -> Floats:
        """Return P(buys from the class within the horizon, given that she buys at all) (n x k)."""
        return self._given(self.told(examples, in_sample=True)[0])

    def _given(self, out: Singles) -> Floats:
        return _chance(out[:, :-1] - self.raised)


def _chance(log_odds: Floats | Singles) -> Floats:
    """Return chances from log-odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds.astype(np.float64), -30.0, 30.0))))


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (NeuralClasses, NeuralClassesModel)}
"""What a stored model of this file may be made of."""

"""Learning how long something lasts where some of it was cut short: who was seen to the end stands for the others too.

A long visit is likelier to be cut by the end of what is known than a short one, so those seen whole are too short. Each of them counts
1 / G, where G is the product-limit estimate of the chance not to have been cut before so long (Kaplan & Meier 1958; Robins & Rotnitzky
1992, "Recovery of information and adjustment for dependent censoring"). So a mean, a quantile or a tree learns what it would learn had
nothing been cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Generic

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.examples import Examples, Labels
from whenbuy.core.learner import F_co, Learner, Model


@dataclass(frozen=True, slots=True)
class CutShort(Generic[F_co]):
    """A learner of amounts whose labels may be cut short: a label that was not observed is known to be above its value.

    Parameters
    ----------
    learner
        Who learns; it must heed the weights of the examples.
    question
        Whose labels are cut, under the name that the learner reads.
    """

    learner: Learner[F_co]
    question: str

    @property
    def name(self) -> str:
        """The name under which reports speak of it: the learner's."""
        return self.learner.name

    def fit(self, train: Examples, valid: Examples | None = None) -> Model[F_co]:
        """Return what the learner learns when those seen whole stand for those cut short too. Raises what it raises."""
        stand = standing(train.label(self.question))
        return self.learner.fit(replace(train, weight=stand if train.weight is None else train.weight * stand), valid)


def standing(label: Labels) -> Floats:
    """Return for how many each label stands (n): 1 where nothing was cut, 0 for those not observed.

    A label that was not observed is known to be above its value; where that is 0, nothing is known of it and it says nothing.
    """
    whole, cut = label.observed & np.isfinite(label.value), ~label.observed & (label.value > 0)
    ends, count = np.unique(label.value[cut], return_counts=True)
    longer = whole.sum() - np.searchsorted(np.sort(label.value[whole]), ends, side="right")
    watched = longer + cut.sum() - np.concatenate([[0], np.cumsum(count)])[:-1]
    kept = np.concatenate([[1.0], np.cumprod(1.0 - count / watched)])
    return np.where(whole, 1.0 / kept[np.searchsorted(ends, np.where(whole, label.value, 0.0), side="left")], 0.0)


TYPES: Final[Mapping[str, type]] = {CutShort.__name__: CutShort}
"""What a stored model of this file may be made of."""

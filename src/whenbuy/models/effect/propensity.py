"""Who was sent what, as far as features tell: the propensity of every arm, and whether arms can be compared at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.models.trees.boosting import Boosting

SENT: Final = Boosting(trees=80, learning_rate=0.06, leaves=8, min_leaf=50, feature_fraction=0.5)
"""How propensities are learned."""
THIN: Final = 0.1
"""A customer is compared where the arm is at least this times as likely for her as on average (Crump et al. 2009 cut at .1 of two arms)."""
MOST_CUT: Final = 0.5
"""Where more of an arm than this is beyond comparison, its effect is refused."""


def propensities(values: Singles, arm: Ints, offers: int, fold: Ints, grow: Boosting = SENT) -> Floats:
    """Return P(arm | features) of every row, learned from the rows of the other folds (n x m + 1).

    One model says whether anything was sent, one for each offer says which, given that something was; a customer whose arms no model can
    tell apart gets their shares.
    """
    found = np.zeros((len(arm), offers + 1))
    for part in range(int(fold.max(initial=0)) + 1):
        here, there = fold == part, fold != part
        sent = there & (arm > 0)
        treated = grow.grow(values[there], arm[there] > 0).predict(values[here])
        which = np.ones((int(here.sum()), offers))
        if offers > 1:
            which = np.stack([grow.grow(values[sent], arm[sent] == k + 1).predict(values[here]) for k in range(offers)], axis=1)
        found[here, 0] = 1 - treated
        found[here, 1:] = treated[:, None] * which / which.sum(axis=1, keepdims=True)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """Which rows can be compared.

    Parameters
    ----------
    kept
        Rows for which both "none" and the own arm were likely enough (n).
    cut
        Share of the rows of each arm that were not (m + 1).
    """

    kept: Bools
    cut: Floats

    @classmethod
    def of(cls, arm: Ints, chance: Floats) -> Overlap:
        """Return the overlap of propensities (n x m + 1): every arm must be at least THIN times as likely as on average."""
        usual = np.bincount(arm, minlength=chance.shape[1]) / max(len(arm), 1)
        enough = chance >= THIN * usual
        kept = enough[:, 0] & enough[np.arange(len(arm)), arm] & (enough[:, 1:] | (usual[1:] == 0)).any(axis=1)
        sent = chance[:, 1:].sum(axis=1) >= THIN * usual[1:].sum()
        kept &= sent
        cut = np.array([1 - kept[arm == k].mean() if (arm == k).any() else 0.0 for k in range(chance.shape[1])])
        return cls(kept, cut)

    def require(self, names: tuple[str, ...], reasons: str = "") -> None:
        """Raise NotEnoughDataError where most customers of an arm have nobody to be compared with.

        Parameters
        ----------
        names
            Names of the arms (m + 1).
        reasons
            What told who was sent something, for the message.
        """
        if self.cut.max(initial=0.0) <= MOST_CUT:
            return
        worst = int(self.cut.argmax())
        told = f" Who got it is told by {reasons}." if reasons else ""
        raise NotEnoughDataError(
            f"{100 * self.cut[worst]:.0f} % of the customers with {names[worst]!r} have nobody to be compared with: customers like them "
            f"were all sent the same.{told}",
            "An effect can be learned only where customers who are alike were sent different things.",
            "Draw by lot for a while whom to send what (a share of 10 % is enough), or ask only about those for whom chance decided.",
        )


def deciding(values: Singles, columns: tuple[str, ...], arm: Ints, most: int = 3, grow: Boosting = SENT) -> tuple[str, ...]:
    """Return the features that tell most about who was sent something, the strongest first."""
    trees = grow.grow(values, arm > 0)
    order = np.argsort(-trees.importance(), kind="stable")[:most] if len(trees) else np.empty(0, np.int64)
    return tuple(columns[place] for place in order)

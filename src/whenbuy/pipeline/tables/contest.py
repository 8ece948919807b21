"""A contest of candidates for a question of yes and no: every row is forecast by models that have not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.learner import Learner
from whenbuy.evaluate.probability import Ranked, logloss
from whenbuy.models.wrapping.blend import Blend, mixed_chances
from whenbuy.models.wrapping.prepared import AnyStep, learn_steps, prepare

_TENTHS: Final = 10
"""The weights of a blend are tenths."""


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """Which rows are forecast by what was learned from which others.

    Parameters
    ----------
    fold
        The fold in which each row is forecast (n); -1 for rows that are only learned from.
    forward
        Whether folds come one after the other in time, so that only earlier rows may be learned from.
    """

    fold: Ints
    forward: bool

    @classmethod
    def random(cls, came: Bools, owner: Ints, folds: int, seed: int) -> Folds:
        """Return folds to which owners are dealt, those with a yes and those without apart, so that all folds are alike.

        Raises
        ------
        NotEnoughDataError
            When all rows have one owner.
        """
        owners, back = np.unique(owner, return_inverse=True)
        if len(owners) < 2:
            raise NotEnoughDataError("All rows belong to one group.", "Folds hold out whole groups.", "Leave the group out, or give more.")
        some = np.bincount(back, came) > 0
        kinds = [np.flatnonzero(some == kind) for kind in (True, False)]
        count = max(2, min(folds, *(len(places) for places in kinds if len(places))))
        dealt = np.concatenate([np.random.default_rng(seed).permutation(places) for places in kinds])
        fold = np.empty(len(owners), np.int64)
        fold[dealt] = np.arange(len(dealt)) % count
        return cls(fold[back], False)

    @classmethod
    def onward(cls, rank: npt.NDArray[np.integer], folds: int) -> Folds:
        """Return folds of later and later rows, each with as many different times; the first half of the times is only learned from.

        Raises
        ------
        NotEnoughDataError
            When the times are all the same.
        """
        times, place = np.unique(rank, return_inverse=True)
        later = np.maximum((place + 1) / len(times) - 0.5, 0.0)
        _, part = np.unique(np.ceil(2 * folds * later - 1e-9), return_inverse=True)
        if part.max(initial=0) < 1:
            raise NotEnoughDataError("All rows have the same time.", "Folds forecast later rows from earlier ones.", "Leave the time out.")
        return cls(part.astype(np.int64) - 1, True)

    @property
    def rows(self) -> Ints:
        """The rows that are forecast."""
        return np.flatnonzero(self.fold >= 0).astype(np.int64)

    def split(self) -> list[tuple[Ints, Ints]]:
        """Return for each fold the rows that are learned from and those that are forecast."""
        found = []
        for fold in range(int(self.fold.max()) + 1):
            learns = self.fold < fold if self.forward else self.fold != fold
            found.append((np.flatnonzero(learns).astype(np.int64), np.flatnonzero(self.fold == fold).astype(np.int64)))
        return found


@dataclass(frozen=True, slots=True)
class Tried:
    """How one candidate fared out of fold.

    Parameters
    ----------
    model
        Its name.
    logloss, auc, pr_auc
        Its scores; lower, higher and higher are better. NaN where it could not learn.
    chosen
        Whether it answers now.
    note
        The weights of a blend, or why the candidate could not learn.
    """

    model: str
    logloss: float
    auc: float
    pr_auc: float
    chosen: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Entrant:
    """A candidate, its chances out of fold (one for each row that is forecast), and what there is to say of it."""

    learner: Learner[Any]
    chance: Floats
    note: str = ""

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.learner.name


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """All candidates and what came true.

    Parameters
    ----------
    folds
        Which rows were forecast from which.
    came
        What came true for the rows that are forecast (m).
    entrants
        Who answered; the floor first, blends of the others last.
    failed
        Who could not learn, and why.
    """

    folds: Folds
    came: Bools
    entrants: tuple[Entrant, ...]
    failed: tuple[tuple[str, str], ...]

    @classmethod
    def hold(cls, candidates: Sequence[Learner[Any]], steps: Sequence[AnyStep], train: Examples, came: Bools, folds: Folds) -> Contest:
        """Return how the candidates fare, each behind the same preparations, which are learned anew for every fold.

        Raises
        ------
        NotEnoughDataError
            When no candidate can learn.
        """
        chance = np.full((len(train), len(candidates)), np.nan)
        failed: dict[int, str] = {}
        for learns, asked in folds.split():
            fitted, made = learn_steps(steps, train.take(learns))
            asks = prepare(train.take(asked), fitted)
            for place, candidate in enumerate(candidates):
                try:
                    chance[asked, place] = candidate.fit(made).predict(asks, in_sample=True).chance
                except NotEnoughDataError as error:
                    failed[place] = str(error)
        chance = chance[folds.rows]
        entrants = [Entrant(one, chance[:, place]) for place, one in enumerate(candidates) if place not in failed]
        if not entrants:
            raise NotEnoughDataError("No candidate could learn.", " ".join(failed.values()), "Give more rows.")
        found = cls(folds, came[folds.rows], tuple(entrants), tuple((candidates[place].name, why) for place, why in failed.items()))
        return found.with_blends(entrants[1:]) if len(entrants) > 2 else found

    def with_blends(self, parts: Sequence[Entrant]) -> Contest:
        """Return the contest with two blends of some entrants: one of equal weights, and one with the weights that other folds chose."""
        chances, learners = [part.chance for part in parts], tuple(part.learner for part in parts)
        equal = Entrant(Blend(learners), mixed_chances(chances, (1 / len(parts),) * len(parts)), "all with the same weight")
        mixed = np.empty(len(self.came))
        for others, mine in self._apart():
            weights = _weights([one[others] for one in chances], self.came[others], self._share[others])
            mixed[mine] = mixed_chances([one[mine] for one in chances], weights)
        weights = _weights(chances, self.came, self._share)
        kept = [(learner, weight) for learner, weight in zip(learners, weights, strict=True) if weight > 0]
        note = " + ".join(f"{weight:g} {learner.name}" for learner, weight in kept)
        weighted = Entrant(Blend(tuple(learner for learner, _ in kept), tuple(weight for _, weight in kept)), mixed, note)
        return replace(self, entrants=(*self.entrants, weighted, equal))

    def best(self) -> Entrant:
        """Return who shall answer: the last entrant, unless others have a lower log-loss out of fold by more than its standard error.

        The last one is the blend of equal weights, where there is one: weights learned from few or drifting rows seldom beat it (Smith and
        Wallis 2009). Every fold counts the same; the standard error is that of the difference over folds.
        """
        fold = self.folds.fold[self.folds.rows]
        losses = [np.bincount(fold, logloss(self.came, one.chance) * self._share) for one in self.entrants]
        gains = [losses[-1] - loss for loss in losses]
        clear = [place for place, gain in enumerate(gains) if gain.sum() > gain.std(ddof=min(1, len(gain) - 1)) * np.sqrt(len(gain))]
        return self.entrants[min(clear, key=lambda place: float(losses[place].sum()), default=-1)]

    def tried(self, chosen: Entrant) -> tuple[Tried, ...]:
        """Return how everybody fared."""
        one, found = np.ones(len(self.came)), []
        for entrant in self.entrants:
            ranked = Ranked.of(self.came.astype(np.float64), entrant.chance)
            loss = float(logloss(self.came, entrant.chance) @ self._share)
            name = "blend" if isinstance(entrant.learner, Blend) else entrant.name
            found.append(Tried(name, loss, ranked.auc(one), ranked.pr_auc(one), entrant is chosen, entrant.note))
        nan = float("nan")
        return (*found, *(Tried(name, nan, nan, nan, note=why) for name, why in self.failed))

    def threshold(self, chosen: Entrant) -> float:
        """Return the chance from which on to say yes: the one with the best F1 out of fold."""
        return best_threshold(self.came, chosen.chance)

    def told(self, chosen: Entrant) -> Bools:
        """Return to whom yes would have been said, by the threshold that is best on other folds (.5 where there is none)."""
        said = np.zeros(len(self.came), np.bool_)
        for others, mine in self._apart():
            said[mine] = chosen.chance[mine] >= best_threshold(self.came[others], chosen.chance[others])
        return said

    @property
    def _share(self) -> Floats:
        """How much each row counts (m), so that every fold counts the same."""
        fold = self.folds.fold[self.folds.rows]
        size = np.bincount(fold)
        return np.asarray(1 / (size[fold] * np.count_nonzero(size)))

    def _apart(self) -> list[tuple[Bools, Bools]]:
        """Return for each fold the rows by which a choice is made and those for which it counts; choices look back only, in time."""
        fold = self.folds.fold[self.folds.rows]
        return [(fold < one if self.folds.forward else fold != one, fold == one) for one in range(int(fold.max()) + 1)]


def best_threshold(came: Bools, chance: Floats) -> float:
    """Return the chance from which on saying yes has the best F1; .5 where nothing came true."""
    if not came.any():
        return 0.5
    ranked = Ranked.of(came.astype(np.float64), chance)
    hits, told = ranked.told(np.ones(len(came)))
    best = int(np.argmax(2 * hits / (told + hits[-1])))
    return float(chance[ranked.order[ranked.ends[best]]])


def _weights(chances: Sequence[Floats], came: Bools, share: Floats) -> tuple[float, ...]:
    """Return the weights, in tenths, with the lowest log-loss of the blended chances; all the same where there is no row."""
    if not len(came):
        return (1 / len(chances),) * len(chances)
    grid = [part for part in product(range(_TENTHS + 1), repeat=len(chances)) if sum(part) == _TENTHS]
    losses = [float(logloss(came, mixed_chances(chances, [tenths / _TENTHS for tenths in part])) @ share) for part in grid]
    return tuple(tenths / _TENTHS for tenths in grid[int(np.argmin(losses))])


TYPES: Final[dict[str, type]] = {"Tried": Tried}
"""What a stored record of a contest is made of."""

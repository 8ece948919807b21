"""Choose: which candidate answers. All are judged on later weeks; unlike ones are blended; none answers that does not beat its floor."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Amount, Forecast
from whenbuy.core.learner import Learner
from whenbuy.evaluate.bootstrap import draws, interval
from whenbuy.models.how_much.conformal import Adjustment, conformal, orders_known
from whenbuy.models.wrapping.blend import Blend, blended
from whenbuy.models.wrapping.calibrate import Correction, best_correction
from whenbuy.pipeline.learning.forecaster import Choice
from whenbuy.pipeline.learning.judges import Judge

ROUNDS: Final = 400
"""Resamples of the users for the interval of a difference to the floor."""
_POOL: Final = 5
"""How many of the best candidates may join a blend."""
_FAINT: Final = 0.05
"""A member that counts less than this is left out of a blend."""
_WORTH: Final = 0.0003
"""The share of the best candidate's score that a blend must take off to be worth its cost."""
_LEAST: Final = 100
"""Amounts from which the shift of quantiles is learned, at least."""
_SAMPLE: Final = 100_000
"""Rows on which the weights of a blend are sought."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What answers: the learner to fit on everything, how its chances or quantiles are corrected, and how all candidates fared."""

    learner: Learner[Any] | None
    correction: Correction | Adjustment | None
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    learner: Learner[Any]
    choice: Choice
    told: Floats = field(default_factory=lambda: np.empty((0, 0)))
    amount: Amount | None = None

    @property
    def scored(self) -> bool:
        return bool(np.isfinite(self.choice.value))


@dataclass(frozen=True, slots=True)
class Budget:
    """CPU seconds that may be spent on trying candidates, counted from ``start`` (``time.process_time``)."""

    seconds: float
    start: float

    @classmethod
    def of(cls, seconds: float) -> Budget:
        """Return a budget that begins now."""
        return cls(seconds, time.process_time())

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return time.process_time() - self.start > self.seconds


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What candidates said of the validation rows that are candidates in more than one place: they learn once.

    Parameters
    ----------
    shared
        These candidates.
    known
        Those of them that have learned, with their forecasts.
    """

    shared: tuple[Learner[Any], ...]
    known: list[tuple[Learner[Any], Forecast]] = field(default_factory=list)

    @classmethod
    def of(cls, tries: Iterable[Sequence[Learner[Any]]]) -> Told:
        """Return what has to be kept while these lists of candidates are tried on the same rows."""
        every = [one for listed in tries for learner in listed for one in (learner, *_members(learner))]
        return cls(tuple(one for place, one in enumerate(every) if one in every[:place]))

    def forecast(self, learner: Learner[Any], train: Examples, valid: Examples, *, in_sample: bool) -> Any:
        """Return what a candidate that learns from some rows says of others; raises what it raises."""
        for known, forecast in self.known:
            if known == learner:
                return forecast
        if isinstance(learner, Blend):
            parts = [self.forecast(member, train, valid, in_sample=in_sample) for member in learner.members]
            share = np.array(learner.weights or (1.0,) * len(parts))
            said: Any = blended(parts, (share / share.sum()).tolist(), learner.name)
        else:
            said = learner.fit(train).predict(valid, in_sample=in_sample)
        if learner in self.shared:
            self.known.append((learner, said))
        return said


def _members(learner: Learner[Any]) -> tuple[Learner[Any], ...]:
    return learner.members if isinstance(learner, Blend) else ()


def choose(
    answer: str,
    candidates: Sequence[Learner[Any]],
    train: Examples,
    valid: Examples,
    judge: Judge,
    *,
    budget: Budget,
    told: Told | None = None,
    in_sample: bool = False,
    seed: int = 0,
    say: Say,
) -> Chosen:
    """Return what answers: the best candidate or blend on the validation rows if it beats the floor, else the floor.

    The first candidate is the floor. A blend and a calibration are kept only where they help on weeks from which their few numbers were
    not learned: they learn on the earlier half of the validation cutoffs and are judged on the later one (on two halves of the users where
    there is one cutoff), then they learn again on all of them. A winner answers only when the 95 % interval of its difference to the floor,
    by the paired bootstrap over users, lies below 0.

    A candidate that reads a block beside the table passes all that a customer ever did anew for every answer, which takes far longer than a
    row of features does. It has a part in what answers only where the best without it is worse beyond doubt, by the same bootstrap.

    Parameters
    ----------
    answer
        What they are candidates for.
    candidates
        The learners, the floor first.
    train, valid
        What to learn from, and the later rows to compare on.
    judge
        How to compare.
    budget
        Candidates whose turn comes after it is spent are left out, and that is said; the floor never is.
    told
        What candidates of other answers said of the same rows, where some are candidates here too.
    in_sample
        Whether the validation rows lie at cutoffs that were learned from (of other users).
    """
    tried: list[_Tried] = []
    told = told or Told.of([candidates])
    for learner in candidates:
        if tried and budget.spent:
            left_out = f"Left out: the time budget of {budget.seconds:g} CPU seconds was spent."
            tried.append(_Tried(learner, Choice(answer, learner.name, judge.words, np.nan, note=left_out)))
            continue
        start = time.process_time()
        tried.append(_try(answer, learner, train, valid, judge, told, in_sample=in_sample))
        say(f"{answer}: {learner.name} scores {tried[-1].choice.value:.4g} after {time.process_time() - start:.1f} CPU seconds")
    able = [one for one in tried if not one.choice.note]
    scored = sorted((one for one in able if one.scored), key=lambda one: one.choice.value)
    if not scored:
        winner = able[0] if able else None
        return _chosen(winner, None, tried, _unscored(answer, winner))
    users, halves = valid.keys.code.astype(np.int64), _halves(valid)
    best = _best(answer, scored, judge, halves, users, seed)
    everybody = [*tried, best] if best not in tried else tried
    floor = tried[0]
    everybody = [_beside(one, floor, judge, users, seed) for one in everybody]
    winner = next(one for one in everybody if one.learner == best.learner)
    if floor.scored and winner.learner != floor.learner and not winner.choice.high < 0:
        note = f"No model of the answer {answer!r} beats the floor ({floor.choice.model}) beyond doubt on later weeks: the floor answers."
        return _chosen(everybody[0], _correction(answer, everybody[0], valid, judge, halves), everybody, (note,))
    return _chosen(winner, _correction(answer, winner, valid, judge, halves), everybody, ())


def _try(answer: str, learner: Learner[Any], train: Examples, valid: Examples, judge: Judge, known: Told, *, in_sample: bool) -> _Tried:
    try:
        forecast = known.forecast(learner, train, valid, in_sample=in_sample)
    except NotEnoughDataError as error:
        return _Tried(learner, Choice(answer, learner.name, judge.words, np.nan, note=str(error)))
    told = judge.told(forecast)
    choice = Choice(answer, learner.name, judge.words, judge.measure(told, slice(None)).value())
    return _Tried(learner, choice, told, forecast if isinstance(forecast, Amount) else None)


def _best(answer: str, scored: Sequence[_Tried], judge: Judge, halves: tuple[Ints, Ints], users: Ints, seed: int) -> _Tried:
    """Return the best candidate or blend, without those that read blocks where they do not help beyond doubt."""
    best = _blend(answer, scored, judge, halves) or scored[0]
    quick = [one for one in scored if not read_beside((one.learner,))]
    if not quick or not read_beside((best.learner,)):
        return best
    other = _blend(answer, quick, judge, halves) or quick[0]
    return best if _difference(best, other, judge, users, seed)[1] < 0 else other


def read_beside(learners: Collection[Any]) -> tuple[str, ...]:
    """Return the blocks that some learners read beside the table (``reads``), those that they are made of too."""
    found = {name for one in learners for name in getattr(one, "reads", ())}
    parts = [part for one in learners for part in (*getattr(one, "members", ()), *((one.learner,) if hasattr(one, "learner") else ()))]
    return tuple(sorted(found.union(read_beside(parts) if parts else ())))


def _blend(answer: str, scored: Sequence[_Tried], judge: Judge, halves: tuple[Ints, Ints]) -> _Tried | None:
    """Return the blend of the best candidates where it beats the best of them on the later half; none where it does not."""
    pool = scored[:_POOL]
    if len(pool) < 2 or not judge.whole:
        return None
    first, second = halves
    mixed = judge.mixed([one.told[second] for one in pool], _weights(pool, judge, first).tolist())
    if not judge.measure(mixed, second).value() < (1 - _WORTH) * judge.measure(pool[0].told[second], second).value():
        return None
    weights = _weights(pool, judge, np.concatenate(halves))
    members = [(one, weight) for one, weight in zip(pool, weights, strict=True) if weight >= _FAINT]
    if len(members) < 2:
        return None
    total = sum(weight for _, weight in members)
    shares = tuple(round(weight / total, 3) for _, weight in members)
    blend: Blend[Any] = Blend(tuple(one.learner for one, _ in members), shares)
    told = judge.mixed([one.told for one, _ in members], [share / sum(shares) for share in shares])
    choice = Choice(answer, blend.name, judge.words, judge.measure(told, slice(None)).value())
    amounts = [one.amount for one, _ in members if one.amount is not None]
    mixed_amount: Any = blended(amounts, [share / sum(shares) for share in shares], blend.name) if amounts else None
    return _Tried(blend, choice, told, mixed_amount)


def _weights(pool: Sequence[_Tried], judge: Judge, rows: Ints) -> Floats:
    """Return the shares of the candidates that score best together on some rows (k, summing to 1)."""
    from scipy.optimize import minimize

    rows = rows[:: max(1, len(rows) // _SAMPLE)]
    told = [one.told[rows] for one in pool]

    def shares(at: Floats) -> Floats:
        raised = np.exp(np.concatenate([[0.0], at]) - max(0.0, float(at.max())))
        return np.asarray(raised / raised.sum())

    def loss(at: Floats) -> float:
        return judge.measure(judge.mixed(told, shares(at).tolist()), rows).value()

    start = np.full(len(pool) - 1, -1.0)
    return shares(minimize(loss, start, method="L-BFGS-B", bounds=[(-6.0, 6.0)] * len(start), options={"maxiter": 50}).x)


def _beside(one: _Tried, floor: _Tried, judge: Judge, users: Ints, seed: int) -> _Tried:
    """Return a candidate with the interval of its difference to the floor (below 0: better)."""
    if one is floor:
        return replace(one, choice=replace(one.choice, floor=True))
    if not (one.scored and floor.scored):
        return one
    low, high = _difference(one, floor, judge, users, seed)
    return replace(one, choice=replace(one.choice, low=low, high=high))


def _difference(one: _Tried, other: _Tried, judge: Judge, users: Ints, seed: int) -> tuple[float, float]:
    """Return the interval of the score of one less that of the other by the paired bootstrap over users (below 0: better)."""
    ours, theirs = draws([judge.measure(each.told, slice(None)) for each in (one, other)], users, ROUNDS, np.random.default_rng(seed))
    return interval(ours - theirs) if len(ours) else (np.nan, np.nan)


def _correction(answer: str, winner: _Tried, valid: Examples, judge: Judge, halves: tuple[Ints, Ints]) -> Correction | Adjustment | None:
    """Return how the quantiles of amounts are shifted so that they hold, or how chances are corrected; none where there is no need."""
    if winner.amount is None:
        return _calibration(winner, judge, halves)
    label = valid.label(answer)
    return conformal(winner.amount, label, orders_known(valid)) if int(label.observed.sum()) >= _LEAST else None


def _calibration(winner: _Tried, judge: Judge, halves: tuple[Ints, Ints]) -> Correction | None:
    """Return the correction of the winner's chances that helps most on the later half, learned on the earlier one; none where none does."""
    if judge.came is None or judge.seen is None or not judge.whole:
        return None
    return best_correction(judge.days, winner.told, judge.came, judge.seen, halves, lambda told, rows: judge.measure(told, rows).value())


def _halves(valid: Examples) -> tuple[Ints, Ints]:
    """Return the rows of the earlier and of the later validation cutoffs; of two halves of the users where there is one cutoff."""
    cutoff = valid.keys.cutoff
    later = cutoff > np.median(np.unique(cutoff)) if len(np.unique(cutoff)) > 1 else valid.keys.code % 2 == 1
    return np.flatnonzero(~later), np.flatnonzero(later)


def _chosen(winner: _Tried | None, correction: Correction | Adjustment | None, tried: Sequence[_Tried], notes: tuple[str, ...]) -> Chosen:
    choices = tuple(replace(one.choice, chosen=one is winner) for one in tried)
    return Chosen(None if winner is None else winner.learner, correction, choices, notes)


def _unscored(answer: str, winner: _Tried | None) -> tuple[str, ...]:
    if winner is None:
        return (f"No model of the answer {answer!r} could learn, so the forecast goes without it.",)
    return (f"On later weeks there was nothing to compare models of the answer {answer!r} by: the simplest one answers.",)

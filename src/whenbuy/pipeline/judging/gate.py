"""The gate: which model may answer. It must beat its floor on weeks that it was chosen by, and not be worse than the champion.

Two finished models are compared fairly only on weeks from which neither has learned. A fresh model has learned from the newest weeks, so
such weeks often have not closed yet. Then, in this order: weeks from which only one of the two has learned (the other has the harder
test, and that is said); the scores that both had when they were chosen, where these are of the same weeks; nothing, and that is said.
The gate refuses on evidence alone: where nothing can be compared, beating the floor is enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import DAY, Instants
from whenbuy.core.errors import GateError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.evaluate.scores import Comparison, Duel, compare
from whenbuy.pipeline.judging.trial import Trial, asked
from whenbuy.pipeline.learning.answers import ANSWERS
from whenbuy.pipeline.learning.build import people_at
from whenbuy.pipeline.learning.forecaster import Choice, Forecaster
from whenbuy.pipeline.learning.split import spread

WEEKS: Final = 8
"""At most so many weekly cutoffs are compared."""
ROWS: Final = 100_000
"""Above so many forecasts whole users are left out of a comparison."""
ROUNDS: Final = 500
MARGIN: Final = 0.005
"""Worse than the champion is whoever is worse beyond doubt by more than this share of the champion's score: a fresh model is as good as a
slightly better stale one, and without a margin one fit in twenty would be refused by chance."""


@dataclass(frozen=True, slots=True, eq=False)
class Weeks:
    """The cutoffs at which two models are compared.

    Parameters
    ----------
    cutoffs
        The latest of them whose windows have closed, a week apart, rising.
    days
        The length of the windows.
    learned
        Whether the first and the second model have learned from these windows.
    """

    cutoffs: Instants
    days: float
    learned: tuple[bool, bool]

    @classmethod
    def of(cls, history: History, known_until: tuple[int, int], horizons: Sequence[float]) -> Weeks | None:
        """Return the fairest weeks there are: unseen by both, then by one, then any; the longest horizon first. None where none closed.

        Parameters
        ----------
        history
            The log as it is now.
        known_until
            The end of what each model has learned from.
        horizons
            The horizons asked about, in days.
        """
        for since in (max(known_until), min(known_until), history.log.start + 1):
            for days in sorted(horizons, reverse=True):
                found = _closed(history, since, days)
                if len(found):
                    first, second = known_until
                    return cls(found, days, (bool(found[0] < first), bool(found[0] < second)))
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Two models on the same weeks: every score of both, with the paired bootstrap interval of the difference over users."""

    weeks: Weeks
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    Parameters
    ----------
    against
        Why the model is refused, in sentences; none where it passes.
    notes
        What else was seen.
    """

    against: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Everything in one line."""
        return " ".join((*self.against, *self.notes))

    def require(self, id: str, champion: str | None) -> None:
        """Raise GateError where the model is refused."""
        if self.against:
            raise GateError(
                f"The model {id} is not promoted. {' '.join(self.against)}",
                f"A champion beats its floor and is not worse than the one before it. {champion or 'No model'} answers as before.",
                f"See `whenbuy models show {id}`; `whenbuy models promote {id} --force` promotes it all the same.",
            )


def judge(challenger: Forecaster, champion: Forecaster | None, history: History) -> Verdict:
    """Return whether a model may answer: it beats its floor, and is not worse than the champion, where there is one."""
    floor = beside_floor(challenger.choices)
    against_champion = Verdict() if champion is None else beside_champion(challenger, champion, history)
    return Verdict((*floor.against, *against_champion.against), (*floor.notes, *against_champion.notes))


def beside_floor(choices: Sequence[Choice]) -> Verdict:
    """Return whether every answer's model beats its floor on the weeks that it was chosen by, or is the floor itself."""
    against, notes = [], []
    floors = ", ".join(f"{one.answer} ({one.model})" for one in choices if one.chosen and one.floor)
    if floors:
        notes.append(f"The floor itself answers {floors}.")
    for one in choices:
        if not one.chosen or one.floor:
            continue
        if math.isnan(one.high):
            notes.append(f"{one.answer}: whether {one.model} beats its floor is not known.")
        elif one.high >= 0:
            against.append(
                f"{one.answer}: {one.model} does not beat its floor on later weeks (difference {one.low:+.4g} … {one.high:+.4g})."
            )
    return Verdict(tuple(against), tuple(notes))


def beside_champion(challenger: Forecaster, champion: Forecaster, history: History) -> Verdict:
    """Return whether a model is worse than the champion, by the fairest comparison that there is."""
    lost = [answer for answer in champion.answers if answer not in challenger.answers]
    against = (f"It does not answer {', '.join(lost)}, which the champion does.",) if lost else ()
    if silent := _cannot_answer(champion, history):
        return Verdict(against, (f"The champion cannot answer on today's log, so nothing was compared: {silent}",))
    weeks = Weeks.of(history, (challenger.known_until, champion.known_until), challenger.horizons)
    found = None if weeks is None or all(weeks.learned) else match(challenger, champion, history)
    if found is None:
        kept = _kept_scores(challenger.choices, champion.choices)
        return Verdict((*against, *kept.against), kept.notes)
    worse = [duel for duel in _deciding(found) if duel.low > MARGIN * abs(duel.floor)]
    seen = {(False, False): "", (True, False): ", though it has learned from these weeks and the champion has not",
            (False, True): ", but the champion has learned from these weeks"}[found.weeks.learned]  # fmt: skip
    told = tuple(
        f"{duel.name} is worse than the champion's on {_span(found, history)}{seen}: {duel.ours:.4g} against {duel.floor:.4g} "
        f"(difference {duel.low:+.4g} … {duel.high:+.4g})."
        for duel in worse
    )
    unfair = "" if not any(found.weeks.learned) else " Only one of the two has learned from them."
    apart = _not_compared(challenger, champion, found.weeks.days)
    return Verdict((*against, *told), (*apart, *(() if worse else (f"Not worse than the champion on {_span(found, history)}.{unfair}",))))


def match(ours: Forecaster, theirs: Forecaster, history: History) -> Match | None:
    """Return two models on the fairest weeks there are (see ``Weeks.of``); none where no window has closed or nobody was known."""
    found = Weeks.of(history, (ours.known_until, theirs.known_until), ours.horizons)
    if found is None:
        return None
    keys = people_at(history, found.cutoffs)
    if len(keys) > ROWS:
        keys = keys.take(np.flatnonzero(spread(history.log.users.ids)[keys.code] < ROWS / len(keys)))
    if not len(keys):
        return None
    truth = Trial(history, tuple(found.cutoffs.tolist()), found.days, keys).labels(ours, theirs)
    first, second = (each.answer(history, keys, in_sample=True) for each in (ours, theirs))
    horizons = [days for days in ours.horizons if days <= found.days]
    return Match(found, compare(first, second, truth, horizons, rounds=ROUNDS))


def _cannot_answer(model: Forecaster, history: History) -> str:
    """Return why a model cannot answer on a log, which may have other columns than it learned from; empty where it can."""
    try:
        model.answer(history, history.keys(["nobody"]), in_sample=True)
    except WhenbuyError as error:
        return error.got
    return ""


def _closed(history: History, since: int, days: float) -> Instants:
    """Return the last weekly midnights at or after an instant whose windows have closed, rising."""
    clock = history.clock
    last = clock.midnight_before(np.array([history.end - round((days + history.lateness_days) * DAY)], np.int64))
    found = clock.midnights(clock.days(last) - 7 * np.arange(WEEKS, dtype=np.int64)[::-1])
    return found[(found >= since) & (found > history.log.start)]


def _deciding(found: Match) -> list[Duel]:
    """Return the scores that the gate looks at, one per answer; lower is better in all of them."""
    further = [answer for answer in ANSWERS if not ANSWERS[answer].usual]
    names = (
        *(f"{answer}_{score}" for answer in further for score in ("logloss", f"logloss_{found.weeks.days:g}d", "rmse")),
        f"logloss_{found.weeks.days:g}d",
        "orders_rmse",
        "amount_rmse",
        "spend_rmse",
        "quantity_rmse",
        "redemption_logloss",
        "classes_logloss",
    )
    return [duel for duel in found.comparison.rows if duel.name in names]


def _not_compared(challenger: Forecaster, champion: Forecaster, days: float) -> tuple[str, ...]:
    """Return which answers both give but to unlike questions, in a sentence; nothing where there is none."""
    compared = {question.name for question in asked(days, challenger, champion)}
    apart = [answer for answer in champion.answers if answer in challenger.answers and answer not in compared]
    reason = "the two answer over other windows or about other classes, or the windows have not closed"
    return (f"Not compared: {', '.join(apart)} ({reason}).",) if apart else ()


def _span(found: Match, history: History) -> str:
    cutoffs = found.weeks.cutoffs
    weeks = f"{len(cutoffs)} weekly cutoffs up to {history.clock.show(int(cutoffs[-1]))}"
    return f"{weeks if len(cutoffs) > 1 else history.clock.show(int(cutoffs[0]))} ({found.weeks.days:g} d)"


def _kept_scores(ours: Sequence[Choice], theirs: Sequence[Choice]) -> Verdict:
    """Return whether a model was worse than another when they were chosen, where both were compared on the same weeks.

    That they were shows in the score of the floor, which then is the same. Worse means that the intervals of the differences to it do not
    touch: these are wider than that of a paired difference would be, so this refuses too seldom rather than too often.
    """
    mine, other = _chosen(ours), _chosen(theirs)
    same = [
        answer for answer in mine if answer in other and (floor := _floor(ours, answer)) is not None and floor == _floor(theirs, answer)
    ]
    if not same:
        return Verdict((), ("Not compared with the champion: every closed week was learned from by one of them or both.",))
    against = tuple(
        f"{answer}: {mine[answer].model} had an error of {mine[answer].value:.4g}, the champion's {other[answer].model} one of "
        f"{other[answer].value:.4g} on the same weeks, from which neither had learned yet; their intervals do not touch."
        for answer in same
        if _beside(mine[answer])[0] > _beside(other[answer])[1]
    )
    return Verdict(against, () if against else ("Not worse than the champion on the weeks that both were chosen by.",))


def _chosen(choices: Sequence[Choice]) -> dict[str, Choice]:
    return {one.answer: one for one in choices if one.chosen}


def _floor(choices: Sequence[Choice], answer: str) -> float | None:
    return next((one.value for one in choices if one.answer == answer and one.floor and math.isfinite(one.value)), None)


def _beside(one: Choice) -> tuple[float, float]:
    """Return the interval of the difference to the floor; 0 for the floor itself."""
    return (0.0, 0.0) if one.floor else (one.low, one.high)


def scores(choices: Sequence[Choice]) -> dict[str, Any]:
    """Return how what answers fared when it was chosen, as plain data: per answer its model, score, value and interval to the floor."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        answer: {
            "model": one.model, "score": one.score, "value": number(one.value), "floor": one.floor, "low": number(one.low),
            "high": number(one.high), "floor_value": _floor(choices, answer),
        }
        for answer, one in _chosen(choices).items()
    }  # fmt: skip

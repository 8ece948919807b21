"""The plan of a fit: what is learned from what, fixed before any model sees a row."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from whenbuy.core.acts import usual_acts
from whenbuy.core.arrays import DAY, Instants
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.core.question import Question
from whenbuy.features import ActiveDays, ByClass, Feature, Features, LatestActs, default_features, most_bought, rhythm_features
from whenbuy.pipeline.learning.answers import ANSWERS, MOST_CLASSES, SESSION, Answer, rooms, wanted
from whenbuy.pipeline.learning.build import BlockSpec, examples, panel
from whenbuy.pipeline.learning.further import ACTS, VISIT, when
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.learning.split import Split, spread, time_split
from whenbuy.questions import NextActivity, NextPurchase, OrderCount, PastVisits, ThisVisit
from whenbuy.questions.session import moments

ROWS = 1_000_000
"""Examples above this number are thinned by leaving out users: it bounds the time and the memory of a fit."""
CLASS_ROWS = 150_000
"""The same for the answer about classes, whose examples are larger."""
MANY = 30
"""Of more weekly cutoffs than this every other one may be enough: neighbouring weeks teach a curve nearly the same, at half the cost."""
MOMENTS = 50_000
"""So many acts of visits are learned from."""
CLASSES = "classes"
BESIDE: Mapping[str, BlockSpec] = {"days": ActiveDays()}
"""Blocks that only some candidates for the curve read, by the name under which these ask for them (``reads``)."""
_ALWAYS = ("purchase", "orders")
"""What is labelled whatever is asked."""
CLASS_WEEKS = 20
"""The answer about classes learns from so many of the latest weeks: earlier ones add nothing."""
TASTES = 45
"""So many classes are described to the models, those asked about and the most bought others: they tell a customer's taste."""
PARTS = (0.7, 0.1, 0.2)
"""Shares of the history: candidates learn from what comes before the last one and are compared on it, over several cutoffs where it is long
enough; one cutoff would be one week's weather."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is learned from what.

    Parameters
    ----------
    history
        What was known before ``end``.
    features, horizons, grid
        What the models read, and what they are asked.
    split
        The cutoffs to learn from and those to choose by.
    valid_days
        The length of the windows over which candidates are compared: the longest horizon, or what a short log allows.
    answers
        Which answers the history can teach.
    classes
        The classes about which ``classes`` is asked.
    notes
        What the reader should know about this plan, in sentences.
    end
        Nothing that happened at or after this instant is learned from.
    seed
        Where chance starts.
    table
        Every answer by name.
    named
        The classes of each answer about classes that is asked for by name.
    beside
        Which blocks of `BESIDE` the learners of the curve read.
    """

    history: History
    features: Features
    horizons: tuple[float, ...]
    grid: Grid
    split: Split
    valid_days: float
    answers: tuple[str, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    end: int
    seed: int
    table: Mapping[str, Answer] = field(default_factory=lambda: ANSWERS)
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    beside: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The answers, those together that learn from the same examples."""
        return rooms(self.answers, self.table)

    def alike(self, answers: Sequence[str]) -> tuple[str, ...]:
        """Return the answers whose candidates are tried on the same examples as those of some."""
        room = self.table[answers[0]].room
        return tuple(answer for answer in self.answers if self.table[answer].room == room)

    @property
    def windows(self) -> dict[str, float]:
        """Over how many days the answers look that look over one window."""
        looks = {answer: self.table[answer].window(self.grid) for answer in self.answers}
        return {answer: days for answer, days in looks.items() if days is not None}

    @property
    def blocks(self) -> dict[str, BlockSpec]:
        """What the models read beside the table."""
        return {**self._of_classes, **self._of_curve}

    @property
    def _of_curve(self) -> dict[str, BlockSpec]:
        return {name: BESIDE[name] for name in self.beside}

    @property
    def _of_classes(self) -> dict[str, BlockSpec]:
        if CLASSES not in self.answers:
            return {}
        others = (name for name in most_bought(self.history.log, most=TASTES) if name not in self.classes)
        return {"interactions": ByClass((*self.classes, *others)[: max(TASTES, len(self.classes))])}

    @property
    def further_blocks(self) -> dict[str, BlockSpec]:
        """What the models of answers that are asked for by name read beside the table."""
        found: dict[str, BlockSpec] = {}
        for answer in (self.table[name] for name in self.answers if name != CLASSES):
            if answer.block == ACTS:
                found[ACTS] = LatestActs(self.named[answer.name])
            elif answer.block:
                found[answer.block] = ThisVisit() if answer.block == VISIT else PastVisits()
            elif answer.kind == "classes":
                found[answer.name] = ByClass(self.named[answer.name], answer.column, kind=answer.taken)
        return found

    def _blocks(self, answers: Sequence[str]) -> dict[str, BlockSpec]:
        """Return the blocks that the learners of some answers read."""
        further = self.further_blocks if any(self.table[name].batch for name in answers) else {}
        read = {self.table[name].block or name for name in answers}
        own = (self._of_classes if CLASSES in answers else {}) | (self._of_curve if "purchase" in answers else {})
        return own | {name: spec for name, spec in further.items() if name in read}

    def questions(self, answers: Sequence[str]) -> tuple[Question, ...]:
        """Return what examples for these answers carry labels of."""
        longest = max(self.horizons)
        further = [self._question(self.table[answer], longest) for answer in answers if answer not in _ALWAYS]
        if self.table[answers[0]].room == SESSION:
            return tuple(further)
        if self.table[answers[0]].room != "table":
            takes = [(name, self.table[name].taken) for name in answers if name != CLASSES and self.table[name].taken]
            return (NextPurchase(longest), *further, *(NextActivity(longest, (kind,), when(name)) for name, kind in takes))
        shorter = [OrderCount(days, name=f"orders_{days:g}d") for days in self.grid.horizons if days < self.valid_days]
        return (NextPurchase(longest), OrderCount(self.valid_days), *shorter, *further)

    def _question(self, answer: Answer, longest: float) -> Question:
        return answer.question(answer.window(self.grid) or longest, self.classes_of(answer.name))

    def classes_of(self, answer: str) -> tuple[str, ...]:
        """Return the classes that an answer is about; none where it is not about classes."""
        return self.classes if answer == CLASSES else self.named.get(answer, ())

    @property
    def examples(self) -> int:
        """About how many examples the candidates for the curve learn from."""
        split = self.split
        cutoffs = split.train if split.shares is not None else self._cutoffs(split.censored_at("valid"), ("purchase",), trial=True)
        return min(len(self.history.panel(cutoffs)), ROWS)

    def parts(self, answers: Sequence[str]) -> tuple[Examples, Examples]:
        """Return the examples to learn some answers from, and the later ones on which candidates are compared.

        Choosing needs two parts of the split, not three: what is chosen is judged by a backtest, which stands further back.
        """
        split = self.split
        if self.table[answers[0]].room == SESSION:
            return self._sessions(answers)
        if split.shares is not None:
            both = self._panel(self.history, split.train, answers)
            learns = split.rows(both.keys, "train")
            return both.take(np.flatnonzero(learns)), both.take(np.flatnonzero(~learns))
        boundary = split.censored_at("valid")
        train = self._panel(self.history.cut(boundary), self._cutoffs(boundary, answers, trial=True), answers)
        return train, self._panel(self.history, split.test, answers)

    def everything(self, answers: Sequence[str]) -> Examples:
        """Return the examples of all cutoffs for some answers, up to the last moment that may be learned from."""
        if self.table[answers[0]].room == SESSION:
            return self._at_acts(self.history, self.history.log.start, self.end, answers)
        return self._panel(self.history, self._cutoffs(self.end, answers), answers)

    def _sessions(self, answers: Sequence[str]) -> tuple[Examples, Examples]:
        """Return the examples at the acts of visits before the weeks on which candidates are compared, and in these weeks."""
        if self.split.shares is not None:
            both = self._at_acts(self.history, self.history.log.start, self.end, answers)
            learns = spread(both.keys.ids(), self.seed) < PARTS[0]
            return both.take(np.flatnonzero(learns)), both.take(np.flatnonzero(~learns))
        boundary = self.split.censored_at("valid")
        before = self._at_acts(self.history.cut(boundary), self.history.log.start, boundary, answers)
        return before, self._at_acts(self.history, boundary, self.end, answers)

    def _at_acts(self, history: History, start: int, end: int, answers: Sequence[str]) -> Examples:
        keys = moments(history, start, end, MOMENTS, self.seed)
        return examples(history, self.features, keys, self.questions(answers), self._blocks(answers))

    def _cutoffs(self, end: int, answers: Sequence[str], *, trial: bool = False) -> Instants:
        """Return the cutoffs to learn from, the latest one at an instant.

        Of many weeks every other one is enough to try candidates, and for the curve; chances of classes need the latest ones only.
        """
        cutoffs = self._weekly(end)
        if len(cutoffs) <= MANY:
            return cutoffs
        cutoffs = cutoffs[-CLASS_WEEKS:] if self._apart(answers) else cutoffs
        return cutoffs[(len(cutoffs) - 1) % 2 :: 2] if trial or "purchase" in answers else cutoffs

    def _weekly(self, end: int) -> Instants:
        """Return the local midnights every week back from an instant, which is one of them, to the first event (rising).

        A log of less than four weeks is stepped through faster.
        """
        clock = self.history.clock
        last, first = clock.days(np.array([end, self.history.log.start], np.int64)).tolist()
        return clock.midnights(np.arange(last, first, -min(7, max(1, (last - first) // 4)), dtype=np.int64)[::-1])

    def _panel(self, history: History, cutoffs: Instants, answers: Sequence[str]) -> Examples:
        most = CLASS_ROWS if self._apart(answers) else ROWS
        return panel(history, self.features, cutoffs, self.questions(answers), self._blocks(answers), most=most, seed=self.seed)

    def _apart(self, answers: Sequence[str]) -> bool:
        return self.table[answers[0]].room != "table"


def plan(
    history: History,
    as_of: int | str | None,
    horizons: Sequence[float],
    features: Features | None,
    further: Sequence[Feature],
    seed: int,
    classes: tuple[str, ...] = (),
    ask: Collection[str] = (),
    table: Mapping[str, Answer] = ANSWERS,
) -> Plan:
    """Return the plan of a fit as of a moment (the end of the history, by default); ``fit`` says what the settings are.

    Of what is asked for, what the history cannot teach is left out; a note says why, unless every fit asks for it.

    Raises
    ------
    NotEnoughDataError
        When nobody bought before it, or the log is too short for a single step.
    """
    clock, horizons = history.clock, tuple(float(days) for days in sorted(horizons))
    moment = history.end if as_of is None else min(clock.instant(as_of), history.end)
    end = int(clock.midnight_before(np.array([moment], np.int64))[0])
    known = history.cut(end)
    if not known.log.count("purchase"):
        raise NotEnoughDataError(
            f"The log holds {len(known.log):,} events before {clock.show(end)} and no purchase among them.",
            "At least one purchase is needed to learn when the next one comes.",
            "Say which events are purchases with --kind NAME=purchase, or ask as of a later date.",
        )
    days = (end - known.log.start) / DAY
    grid = Grid.of(known, horizons)
    valid_days = float(max(1, min(max(horizons), np.floor(days / 3.5))))
    split = time_split(known.log.start, end, valid_days, clock, PARTS, lateness_days=history.lateness_days, seed=seed)
    notes = [split.reason] if split.reason else []
    if valid_days < max(horizons):
        notes.append(
            f"The log holds {days:.0f} days, too few to check a forecast of {max(horizons):g} days on later weeks: models were compared "
            f"over {valid_days:g} days, and the curves beyond that are carried on, not checked."
        )
    grid = replace(grid, horizons=tuple(sorted({min(length, valid_days) for length in grid.horizons})))
    classes = (classes or most_bought(known.log)) if "category" in known.log.columns else ()
    named = wanted(ask, table)
    about = {name: _about(table[name], known) for name in named if _by_class(table[name])}
    lacking = {name: _lacks(table[name], known, about.get(name, classes)) for name in named}
    answers = tuple(name for name in named if not lacking[name])
    notes += [_refusal(table[name], lacking[name]) for name in named if lacking[name] and (name in ask or not table[name].usual)]
    features = features or Features((*default_features(known.log).spec, *rhythm_features(known.log, known.clock), *further))
    made = Plan(
        known, features, horizons, grid, split, valid_days, answers, classes if len(classes) > 1 else (), tuple(notes), end, seed, table,
        {name: found for name, found in about.items() if name in answers},
    )  # fmt: skip
    return replace(made, grid=replace(grid, examples=made.examples))


def _about(answer: Answer, known: History) -> tuple[str, ...]:
    """Return the classes that an answer is about: the acts of the log, or the names that most events of its kind are about."""
    return usual_acts(known.log) if answer.block == ACTS else most_bought(known.log, answer.column, kind=answer.taken)


def _by_class(answer: Answer) -> bool:
    return answer.kind == "classes" and answer.name != CLASSES


def _lacks(answer: Answer, known: History, classes: tuple[str, ...]) -> str:
    """Return what a history lacks for an answer, in words; nothing where it can be learned."""
    few = answer.kind == "classes" and len(classes) < MOST_CLASSES
    return answer.lacks(known.log) or (f"The column {answer.column} tells {len(classes)} classes." if few else "")


def _refusal(answer: Answer, got: str) -> str:
    return f"{answer.name!r} was asked for, but {got[0].lower()}{got[1:]} It needs {answer.needs}. The other answers go on without it."

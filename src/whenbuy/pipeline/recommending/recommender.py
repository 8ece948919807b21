"""The recommender: what was learned, and what it shows to whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Codes
from whenbuy.core.card import card
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.learner import Learner
from whenbuy.core.ranking import Ranking, Shelf, Trails
from whenbuy.evaluate.ranking import catalogue_measures, ranking_measures
from whenbuy.evaluate.scores import Duel, duels
from whenbuy.models.ranking.due import DueItems, DueItemsModel
from whenbuy.models.ranking.hybrid import Hybrid, HybridModel
from whenbuy.models.ranking.item_item import ItemItem, ItemItemModel
from whenbuy.models.ranking.own import OwnItems, OwnItemsModel
from whenbuy.models.ranking.popularity import Popularity, PopularityModel
from whenbuy.models.ranking.reading import TRAILS, trends_of, usual
from whenbuy.pipeline.recommending.asking import Asking
from whenbuy.pipeline.recommending.because import because
from whenbuy.pipeline.recommending.rules import Rules
from whenbuy.pipeline.recommending.variety import varied
from whenbuy.questions.asked import people
from whenbuy.questions.items import NextItems

FLOORS: Final[tuple[Learner[Ranking], ...]] = (Popularity(2), OwnItems(float("inf"), float("inf")))
"""What the hybrid has to beat: what is popular, and what she took most often, filled up with that."""
SCORE: Final = "recall_at_10"
REASONS: Final = 2_000
"""Reasons are told to so many customers at once at most."""
_FURTHER: Final = 100


@dataclass(frozen=True, slots=True)
class Tried:
    """How a ranker fared against the best floor on the latest closed window.

    Parameters
    ----------
    name
        The ranker's.
    score, difference, low, high
        Recall among the first ten, and how much more that is than the best floor's, with its 95 % interval.
    chosen
        Whether it answers.
    coverage, diversity
        The share of all things that stand among somebody's first ten, and of pairs on one list that are of different categories (0 where
        no category is known).
    """

    name: str
    score: float
    difference: float
    low: float
    high: float
    chosen: bool
    coverage: float
    diversity: float


@dataclass(frozen=True, slots=True, eq=False)
class Recommender:
    """What was learned to recommend by.

    Parameters
    ----------
    model
        The ranker that answers.
    near, due
        What stands near what, and what comes again when: the reasons are made of them.
    horizon_days
        Over how many days it was learned what is taken.
    tried
        How the candidates fared.
    """

    model: HybridModel | PopularityModel | OwnItemsModel
    near: ItemItemModel
    due: DueItemsModel
    horizon_days: float
    tried: tuple[Tried, ...]

    @property
    def shelf(self) -> Shelf:
        """The things that it can name."""
        return self.model.shelf

    @property
    def known_until(self) -> int:
        """The instant up to which it knows what happened."""
        return max(self.model.known_until, self.near.known_until, self.due.known_until)

    def recommend(
        self,
        history: History,
        users: Iterable[str] | None = None,
        as_of: int | str | None = None,
        *,
        top: int = 10,
        rules: Rules | None = None,
        diverse: float = 0.0,
        novel: float = 0.0,
        reasons: bool | None = None,
    ) -> Recommendations:
        """Return what to show: to the customers named, or to all people known before a moment (the log's end by default).

        Where the rules leave fewer than ``top`` things of what was ranked, what everybody wants of the rest follows; a list is shorter only
        where nothing else may be shown.

        Parameters
        ----------
        history
            The log.
        users, as_of
            Who, and when.
        top
            How many things.
        rules
            What may be shown.
        diverse, novel
            See `varied`.
        reasons
            Whether to say why; by default where at most 2,000 are asked about.

        Raises
        ------
        UsageError
            When fewer than one thing is asked for, or ``diverse`` or ``novel`` is not between 0 and 1.
        LeakError
            When the moment lies before what was learned.
        """
        if top < 1:
            raise UsageError(f"{top} things were asked for.", "A list has one at least.", "Ask for more.")
        keys = asked(history, users, as_of)
        examples = _reads(self.shelf).examples(history, keys)
        ranking = self.model.predict(examples)
        trails = examples.block(TRAILS, Trails)
        rules = Rules() if rules is None else rules
        instant = int(keys.cutoff[0]) if len(keys) else history.end
        row, rate = trends_of(examples, self.shelf)
        may = rules.allowed(self.shelf, history, instant)
        kept = rate if may.all() else np.where(may[None, :, None], rate, 0)
        further = usual(row, kept, 2, top + _FURTHER)[0][row]
        item = self._allowed(ranking, rules, trails, may, further)
        score = _scores(ranking, item)
        wanted = rate[row[0], :, -1].astype(float) if len(row) and novel else None
        item = varied(item, score, self.shelf, top, diverse, novel, wanted)
        shown = replace(ranking, item=item, score=np.where(item >= 0, -np.arange(item.shape[1], dtype=float), np.nan))
        told = reasons if reasons is not None else len(keys) <= REASONS
        why = [self._why(trails.take(slice(i, i + 1)), row) for i, row in enumerate(item)] if told else None
        return Recommendations(shown, _scores(ranking, item), self.shelf, None if why is None else tuple(why))

    def _allowed(self, ranking: Ranking, rules: Rules, trails: Trails, may: Any, further: Codes) -> Codes:
        """Return the things of each list that may be shown, those that everybody wants behind them."""
        held = np.where(may[np.maximum(ranking.item, 0)], ranking.item, -1)
        fresh = np.isnan(_scores(ranking, further))
        item = np.hstack([held, np.where(fresh, further, -1)])
        item = np.where(rules.barred(trails, item), -1, item)
        order = np.argsort(item < 0, axis=1, kind="stable")
        return np.take_along_axis(item, order, axis=1).astype(np.int32)

    def _why(self, trail: Trails, items: Codes) -> tuple[str, ...]:
        return because(trail, items[items >= 0], self.near, self.due)


@dataclass(frozen=True, slots=True, eq=False)
class Recommendations:
    """What to show to whom, and why.

    Parameters
    ----------
    ranking
        The things in the order in which they are shown.
    score
        What the ranker gave each (n x m), NaN where the shop's trends brought it.
    shelf
        What the things are.
    why
        The reason for each thing shown, by key; None where they were not asked for.
    """

    ranking: Ranking
    score: Any
    shelf: Shelf
    why: tuple[tuple[str, ...], ...] | None

    def __len__(self) -> int:
        return len(self.ranking)

    def frame(self) -> pl.DataFrame:
        """Return one row per customer and thing: user_id, as_of, rank, item_id, attributes, price, score, why, known.

        ``known`` is false for those of whom nothing was known before the moment.
        """
        row, place = np.nonzero(self.ranking.item >= 0)
        item = self.ranking.item[row, place]
        prior = np.zeros(len(self), bool) if self.ranking.prior is None else self.ranking.prior
        columns: dict[str, Any] = {name: self.shelf.words[name].names(codes[item]) for name, codes in self.shelf.attributes.items()}
        if len(self.shelf.price):
            columns["price"] = pl.Series(self.shelf.price[item].astype(float), nan_to_null=True).round(2)
        columns["score"] = pl.Series(self.score[row, place], nan_to_null=True)
        if self.why is not None:
            columns["why"] = pl.Series([reason for each in self.why for reason in each], dtype=pl.String)
        return self.ranking.frame().drop("score").with_columns(**columns, known=pl.Series(~prior[row]))

    def _repr_html_(self) -> str:
        n = len(self)
        words = f"What to show to {n:,} {'customer' if n == 1 else 'customers'}, by {self.ranking.model}."
        return card("Recommendations", words, self.frame().drop("as_of", "known"))

    def __repr__(self) -> str:
        return f"Recommendations({len(self)} keys, {self.ranking.item.shape[1]} things each, model={self.ranking.model!r})"


def learn(
    history: History, as_of: int | str | None = None, *, horizon_days: float = 28.0, hybrid: Hybrid | None = None, rounds: int = 400
) -> Recommender:
    """Return what a shop's log teaches about what customers take, as of a moment (the log's end by default).

    The latest closed window judges: rankers that learned before it answer for it, and the hybrid answers from now on where its recall among
    the first ten beats that of both floors beyond the luck of these customers (paired bootstrap, 95 %); else the better floor does. A log
    shorter than three horizons is cut into thirds.

    Raises
    ------
    ColumnError
        When the log has no column of things.
    NotEnoughDataError
        When customers met nothing, or nothing follows it.
    """
    instant = history.end if as_of is None else history.clock.instant(as_of)
    known = history.cut(instant)
    days = min(horizon_days, float(max((instant - known.log.start) // (3 * DAY), 1)))
    mixed = Hybrid() if hybrid is None else hybrid
    tried = judge(known, days, mixed, rounds)
    chosen = next(one.name for one in tried if one.chosen)
    reads = Asking.of(known)
    everybody = reads.examples(known, asked(known, None, instant))
    model: Any
    if chosen == mixed.name:
        before = reads.examples(known, asked(known, None, _closed(known) - round(days * DAY)), _question(known, days))
        model = mixed.fit(before).update(everybody)
    else:
        model = next(floor for floor in FLOORS if floor.name == chosen).fit(everybody)
    return Recommender(model, ItemItem(reach=1).fit(everybody), DueItems(days).fit(everybody), days, tried)


def judge(history: History, days: float, hybrid: Hybrid, rounds: int = 400, seed: int = 0) -> tuple[Tried, ...]:
    """Return how the hybrid and the floors fare on the last ``days`` of a history, having learned before; the best floor first.

    Raises
    ------
    NotEnoughDataError
        When nobody was known before, or nobody took anything.
    """
    split = _closed(history) - round(days * DAY)
    earlier, reads = history.cut(split), Asking.of(history.cut(split))
    keys = asked(earlier, None, split)
    examples = reads.examples(history, keys, _question(earlier, days))
    taken: Any = examples.label("items")
    if not taken.value.any():
        raise NotEnoughDataError(
            f"Of {len(keys):,} customers nobody took anything in the last {days:g} days.", "What was taken teaches what to show.",
            "Give a longer log.",
        )  # fmt: skip
    answers = {floor.name: floor.fit(examples).predict(examples) for floor in FLOORS}
    try:
        before = reads.examples(earlier, asked(earlier, None, _closed(earlier) - round(days * DAY)), _question(earlier, days))
        answers[hybrid.name] = hybrid.fit(before).update(examples).predict(examples)
    except NotEnoughDataError:
        pass  # the log is too short to teach whom to believe
    item = taken.item.astype(np.int64)
    scores = {name: ranking_measures(answer.item.astype(np.int64), taken.owner, item) for name, answer in answers.items()}
    value = {name: next(one.value() for one in found if one.name == SCORE) for name, found in scores.items()}
    floor = max((one.name for one in FLOORS), key=lambda name: value[name])
    found: Mapping[str, Duel] = {
        name: next(duel for duel in duels(measures, scores[floor], keys.code.astype(np.int64), rounds, seed) if duel.name == SCORE)
        for name, measures in scores.items()
    }
    best = hybrid.name if hybrid.name in found and found[hybrid.name].low > 0 else floor
    order = sorted(found, key=lambda name: (name != floor, -value[name]))
    return tuple(
        Tried(
            name, value[name], found[name].difference, found[name].low, found[name].high, name == best, *_spread(answers[name], reads.shelf)
        )
        for name in order
    )


def _spread(ranking: Ranking, shelf: Shelf) -> tuple[float, float]:
    """Return how much of the catalogue lists of ten show, and how unlike the things on one are (0 where no category is known)."""
    group = shelf.attributes.get("category")
    found = {one.name: one.value() for one in catalogue_measures(ranking.item.astype(np.int64), len(shelf), group)}
    return found["coverage_at_10"], float(np.nan_to_num(found.get("diversity_at_10", 0.0)))


def asked(history: History, users: Iterable[str] | None, as_of: int | str | None) -> Keys:
    """Return the keys of the customers named, or of all people known before a moment."""
    keys = history.keys(users, as_of)
    return keys if users is not None else keys.take(np.flatnonzero(people(history.before(keys))))


@lru_cache(maxsize=4)
def _reads(shelf: Shelf) -> Asking:
    """Return how the past is read; kept, so that what everybody wanted on a day is summed up once."""
    return Asking.of(shelf)


def _question(history: History, days: float) -> NextItems:
    """Return what is asked: what is bought; what is met at all, where nothing is ever bought."""
    return NextItems(days) if history.log.count("purchase") else NextItems(days, kind=None)


def _closed(history: History) -> int:
    """Return the instant up to which the history is sure to hold everything."""
    return history.end - round(history.lateness_days * DAY)


def _scores(ranking: Ranking, item: Codes) -> Any:
    """Return the score that a ranking gives to each thing of some lists (n x m), NaN where it does not rank it."""
    things, rows = len(ranking.names) + 1, np.arange(len(item))[:, None]
    known, asked_for = (rows * things + ranking.item).ravel(), (rows * things + item).ravel()
    order = np.argsort(known, kind="stable")
    place = order[np.minimum(np.searchsorted(known, asked_for, sorter=order), len(order) - 1)] if len(order) else order
    same = (known[place] == asked_for) & (item.ravel() >= 0) if len(order) else np.zeros(item.size, bool)
    return np.where(same, ranking.score.ravel()[place] if len(order) else 0.0, np.nan).reshape(item.shape)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Recommender, Tried)}
"""What a stored recommender is made of, beside what rankers are."""

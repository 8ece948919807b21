"""Who will review, and which rating she will give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Probability
from whenbuy.core.history import History
from whenbuy.features import default_features
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.whether.chance import BaseChance, LogisticChance, TreesChance
from whenbuy.pipeline.learning.build import examples, panel, people_at
from whenbuy.pipeline.reviewing.opinions import Opinions
from whenbuy.pipeline.reviewing.pairs import Effects, pair_ratings
from whenbuy.questions import Happens

HORIZON_DAYS: Final = 28.0
CUTOFFS: Final = 6
"""So many past moments teach, one horizon apart; one more tells which candidate answers."""
ROWS: Final = 200_000
"""Examples above this number are thinned by leaving out customers."""
QUESTION: Final = "review"


@dataclass(frozen=True, slots=True, eq=False)
class Writers:
    """Who will review within the horizon, and which rating she would give.

    Parameters
    ----------
    chance
        How likely each customer reviews (n).
    rating, low, high
        The rating that she would give an average thing, and the 80 % interval (n each), in stars; None where ratings cannot be told.
    horizon_days
        The length asked about.
    losses
        The log-loss of each candidate on the latest closed window, the floor first.
    notes
        What should be known of it.
    """

    chance: Probability
    rating: tuple[Any, Any, Any] | None
    horizon_days: float
    losses: dict[str, float]
    notes: tuple[str, ...]

    def frame(self) -> pl.DataFrame:
        """Return one row per customer: user_id, as_of, p_review, and where they can be told rating, rating_low, rating_high."""
        table = self.chance.frame().select("user_id", "as_of").with_columns(p_review=pl.Series(self.chance.chance))
        if self.rating is None:
            return table
        return table.with_columns(
            **{name: pl.Series(part) for name, part in zip(("rating", "rating_low", "rating_high"), self.rating, strict=True)}
        )


def writers(
    history: History, found: Opinions, as_of: int | str | None = None, *, horizon_days: float = HORIZON_DAYS, seed: int = 0
) -> Writers:
    """Return who will review within so many days of a moment (the log's end by default), and which rating she would give.

    Candidates learn from windows that closed before the latest closed one, which chooses; the chosen one then learns from all.

    Raises
    ------
    NotEnoughDataError
        When no two windows have closed, or nobody or everybody reviews.
    """
    cutoff = history.end if as_of is None else history.clock.instant(as_of)
    known, step = history.cut(cutoff), round(horizon_days * DAY)
    closed = known.end - round(history.lateness_days * DAY)
    count = min(CUTOFFS + 1, (closed - known.log.start) // step - 1)
    if count < 2:
        raise NotEnoughDataError(
            f"The log covers {(closed - known.log.start) / DAY:.0f} days before {history.clock.show(cutoff)}.",
            f"Three windows of {horizon_days:g} days teach who reviews.", "Give a longer log or a shorter horizon.",
        )  # fmt: skip
    features, question = default_features(known.log), Happens(horizon_days, kind="review", name=QUESTION)
    cutoffs = closed - step * np.arange(count, 0, -1)
    every = panel(known, features, cutoffs, [question], most=ROWS, seed=seed)
    last = every.keys.cutoff == cutoffs[-1]
    losses = _losses(every.take(np.flatnonzero(~last)), every.take(np.flatnonzero(last)), seed)
    best = min(losses, key=lambda name: losses[name])
    learner = next(one for one in _candidates(seed) if one.name == best)
    asked = examples(known, features, people_at(known, np.array([cutoff])))
    notes = (f"Nobody's chance differs from another's: {best} did best.",) if best == BaseChance(QUESTION).name else ()
    return Writers(learner.fit(every).predict(asked), _ratings(found, asked), horizon_days, losses, notes)


def _candidates(seed: int) -> tuple[Any, ...]:
    boosting = Boosting(trees=150, learning_rate=0.05, feature_fraction=0.5, seed=seed)
    return BaseChance(QUESTION), LogisticChance(QUESTION, seed=seed), TreesChance(QUESTION, boosting)


def _losses(train: Examples, valid: Examples, seed: int) -> dict[str, float]:
    """Return the log-loss of each candidate on later examples than those it learned from."""
    came: Any = valid.label(QUESTION).value[valid.label(QUESTION).observed]
    found = {}
    for learner in _candidates(seed):
        chance = learner.fit(train).predict(valid, in_sample=True).chance[valid.label(QUESTION).observed]
        sure = np.clip(chance, 1e-9, 1 - 1e-9)
        found[learner.name] = float(-np.mean(came * np.log(sure) + (1 - came) * np.log1p(-sure)))
    return found


def _ratings(found: Opinions, asked: Examples) -> tuple[Any, Any, Any] | None:
    """Return the rating that each customer would give an average thing, and its interval; None where too few are known."""
    try:
        pairs = pair_ratings(found)
    except NotEnoughDataError:
        return None
    own = pairs.effects.get("user", Effects(np.zeros(1), np.inf))
    rating = np.clip(pairs.mean + pairs.weights.get("user", 0.0) * own.of(asked.keys.code), *pairs.scale)
    return rating, np.clip(rating + pairs.low, *pairs.scale), np.clip(rating + pairs.high, *pairs.scale)

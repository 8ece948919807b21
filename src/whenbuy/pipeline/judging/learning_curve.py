"""The learning curve: how much better a forecast becomes with more customers and with more weeks of history."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.history import History
from whenbuy.evaluate.scores import compare
from whenbuy.pipeline.judging.trial import Learn, Trial, headline, only
from whenbuy.pipeline.learning.learn import Say, fit, silent
from whenbuy.pipeline.learning.split import spread

SHARES = (0.1, 0.25, 0.5)
"""Shares of the users that are learned from, beside all of them."""
WEEKS = (8, 16, 32)
"""Weeks of history that are learned from, beside all of them."""


def learning_curve(
    history: History,
    as_of: int | str | None = None,
    *,
    shares: Sequence[float] = SHARES,
    history_weeks: Sequence[int] = WEEKS,
    learn: Learn = fit,
    weeks: int = 4,
    horizon_days: float = 28.0,
    names: Collection[str] = (),
    rounds: int = 500,
    seed: int = 0,
    say: Say = silent,
) -> pl.DataFrame:
    """Return the scores of models that learned from less, beside those of the model that learned from everything.

    Columns: ``of`` ("users" or "weeks"), ``size`` (how many were learned from), ``name`` of the score, its ``value`` with the 95 % interval
    ``low`` to ``high``, its value with ``everything``, the ``difference`` with ``difference_low`` and ``difference_high`` by the paired
    bootstrap over users, the ``verdict`` ("worse": more data still helps) and a ``note`` where nothing could be learned. All are judged on
    the same forecasts. Fewer users are nested in more; with fewer weeks the older events are known to nobody, features included.

    Parameters
    ----------
    history
        The log with its clock.
    as_of
        The moment by which windows must have closed: the log's end, by default.
    shares
        Shares of the users, strictly between 0 and 1.
    history_weeks
        Weeks before the first cutoff; those that reach beyond the log's start are left out.
    learn
        How to learn.
    weeks
        How many weekly cutoffs judge.
    horizon_days
        The longest horizon asked about.
    names
        The names of the scores; those of the headline by default.
    rounds
        Resamples of the users.
    seed
        Decides which users are learned from.

    Raises
    ------
    NotEnoughDataError
        When the log is too short for a forecast that can be judged.
    """
    if not all(0 < share < 1 for share in shares) or not all(count >= 1 for count in history_weeks):
        raise UsageError(
            f"Shares {list(shares)} and weeks {list(history_weeks)} were asked for.",
            "Shares lie between 0 and 1, weeks are 1 or more.",
            "Give such.",
        )
    trial = Trial.of(history, as_of, weeks=weeks, horizon_days=horizon_days, seed=seed)
    known, first = trial.history, trial.cutoffs[0]
    say("learning from everything")
    forecaster = learn(known, first)
    best, labels = forecaster.answer(known, trial.keys), trial.labels(forecaster.models)
    frames = [pl.DataFrame(schema=_COLUMNS)]
    for of, size, less, seen in _smaller(known, first, sorted(shares), sorted(history_weeks), seed):
        say(f"learning from {size:,} {of}")
        try:
            told = learn(less, first).answer(seen, trial.keys)
        except NotEnoughDataError as error:
            frames.append(pl.DataFrame([{"of": of, "size": size, "note": str(error)}], _COLUMNS))
            continue
        wanted = names or headline(forecaster.horizons)
        frames.append(_rows(of, size, compare(told, best, labels, names=wanted, rounds=rounds, seed=seed).frame()))
    return pl.concat(frames)


def _smaller(
    known: History, first: int, shares: Sequence[float], weeks: Sequence[int], seed: int
) -> Iterator[tuple[str, int, History, History]]:
    """Yield what is learned from, how large it is, that history, and what is known when its model forecasts."""
    place = spread(known.log.users.ids, seed)
    for share in shares:
        users = place < share
        yield "users", int(users.sum()), only(known, users), known
    for count in weeks:
        since = first - round(7 * count * DAY)
        if since > known.log.start:
            recent = replace(known, log=known.log.take(np.flatnonzero(known.log.known_at >= since)))
            yield "weeks", count, recent, recent


def _rows(of: str, size: int, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        pl.lit(of).alias("of"), pl.lit(size, pl.Int64).alias("size"), "name", value="ours", low="ours_low", high="ours_high",
        everything="floor", difference="difference", difference_low="low", difference_high="high", verdict="verdict", note="note",
    )  # fmt: skip


_COLUMNS = {
    "of": pl.String, "size": pl.Int64, "name": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "everything": pl.Float64, "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64, "verdict": pl.String,
    "note": pl.String,
}  # fmt: skip

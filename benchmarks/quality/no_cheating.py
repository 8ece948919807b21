"""Whether the pipeline can cheat: what it makes of futures that belong to somebody else, and of a holdout in another order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY
from whenbuy.core.history import History
from whenbuy.core.learner import Learner
from whenbuy.core.outlook import Outlook
from whenbuy.evaluate.probability import Ranked
from whenbuy.features import Features, default_features
from whenbuy.ingest.group import group
from whenbuy.ingest.lines import Lines
from whenbuy.ingest.simulate import simulate
from whenbuy.models.how_much.amount_floors import OwnMean
from whenbuy.models.when.buy_till_you_die import BgNbd, ParetoNbd
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.models.when.hazard import PooledLogistic
from whenbuy.pipeline.learning.build import panel
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.learning.learn import fit
from whenbuy.pipeline.verbs.init import read
from whenbuy.questions import NextPurchase

SEGMENT = 28
"""Days of a segment: within one, everybody lives somebody else's life."""
GRID = (7.0, 14.0, 28.0)
LEARNERS: tuple[Learner[Any], ...] = (
    PooledLogistic(GRID, rich=False, max_rows=20_000),
    PooledLogistic(GRID, max_rows=20_000),
    BgNbd(GRID),
    ParetoNbd(GRID),
)
Spec = Callable[[History], Features]


def default_spec(history: History) -> Features:
    """The features that a shop gets when it declares none."""
    return default_features(history.log)


def random_label_auc(users: int = 6_000, seed: int = 0) -> float:
    """The largest distance from .5 of the AUC of "buys within 28 days", over the learners, where futures are shuffled among users."""
    return max(abs(auc - 0.5) for auc in aucs(shuffled(simulate(users, 6 * SEGMENT, seed).history, seed)).values())


def aucs(history: History, spec: Spec = default_spec) -> dict[str, float]:
    """AUC by learner on the last segment of a history, learned from the segments before it."""
    boundary = history.end - SEGMENT * DAY
    question, features = NextPurchase(float(SEGMENT)), spec(history)
    learns = panel(history.cut(boundary), features, boundary - np.arange(4, 0, -1) * SEGMENT * DAY, [question])
    asks = panel(replace(history, lateness_days=0.0), features, np.array([boundary], np.int64), [question])
    bought = asks.label("purchase").observed.astype(np.float64)
    found = {}
    for learner in LEARNERS:
        chance = learner.fit(learns).predict(asks).probability(float(SEGMENT))
        found[learner.name] = Ranked.of(bought, chance).auc(np.ones(len(chance)))
    return found


def shuffled(history: History, seed: int = 0) -> History:
    """The history in which everybody's events of each segment were handed to somebody else, drawn anew for each segment."""
    lines, rng = Lines.of(history.log), np.random.default_rng(seed)
    segment = (history.end - 1 - lines.known_at) // (SEGMENT * DAY)
    user = lines.user.copy()
    for part in range(int(segment.max()) + 1):
        rows = (segment == part) & (lines.user >= 0)
        user[rows] = rng.permutation(len(lines.users)).astype(np.int32)[lines.user[rows]]
    return replace(history, log=group(replace(lines, user=user), end=history.end))


# ---------------------------------------------------------------------------------------------- the order of rows


def leak_shuffle(users: int = 150, days: int = 150, seed: int = 7) -> int:
    """How many bytes of a forecast change when the raw rows of the holdout are shuffled, and lines of one order everywhere."""
    frame = simulate(users, days, seed, dirty=True).history.log.frame().drop("orders", "text")
    frame = frame.sort("known_at", maintain_order=True)
    cutoff = frame["known_at"].dt.epoch("us").max() - 35 * DAY  # type: ignore[operator]
    told, rng = forecast(frame, int(cutoff)), np.random.default_rng(seed)
    others = (holdout_shuffled(frame, int(cutoff), rng), holdout_shuffled(frame, int(cutoff), rng), ties_shuffled(frame, rng))
    return sum(different(told, forecast(other, int(cutoff))) for other in others)


def holdout_shuffled(frame: pl.DataFrame, cutoff: int, rng: np.random.Generator) -> pl.DataFrame:
    """The rows in another order from the cutoff on."""
    place = np.arange(len(frame))
    later = frame["known_at"].dt.epoch("us").to_numpy() >= cutoff
    place[later] = rng.permutation(place[later])
    return frame[place]


def ties_shuffled(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The rows with those of one order in another order among themselves."""
    same = frame.select(pl.struct("user_id", "known_at", "kind", "order_id").rank("dense")).to_series().to_numpy()
    by_tie, anew = np.argsort(same, kind="stable"), np.lexsort((rng.random(len(frame)), same))
    place = np.empty(len(frame), np.int64)
    place[by_tie] = anew
    return frame[place]


def forecast(frame: pl.DataFrame, cutoff: int) -> Outlook:
    """What is forecast as of the cutoff from a raw file with these rows, by models learned from what was known then."""
    with tempfile.TemporaryDirectory() as folder:
        frame.write_csv(Path(folder) / "events.csv")
        history = read(Path(folder) / "events.csv", now="2030-01-01")
    return fit(history, cutoff, candidates=_few).predict(history, cutoff)


def different(one: Outlook, other: Outlook) -> int:
    """How many bytes of two forecasts differ; all of them where they are of different users."""
    first, second = _bytes(one), _bytes(other)
    if len(first) != len(second):
        return max(len(first), len(second))
    return int(np.count_nonzero(np.frombuffer(first, np.uint8) != np.frombuffer(second, np.uint8)))


def _few(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    few: dict[str, tuple[Learner[Any], ...]] = {
        "purchase": (PooledLogistic(grid.days, grid.step_days, max_rows=5_000), KaplanMeier(grid.days)),
        "orders": (PoissonRate(grid.days), BgNbd(grid.days)),
        "amount": (OwnMean(),),
    }
    return few.get(answer, ())


def _bytes(outlook: Outlook) -> bytes:
    parts = [outlook.keys.cutoff, outlook.purchase.survival, outlook.purchase.mean_count]
    if outlook.amount is not None:
        parts += [outlook.amount.mean, outlook.amount.quantiles]
    return "\n".join(outlook.keys.ids().to_list()).encode() + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)

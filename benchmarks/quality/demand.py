"""The quality of demand forecasts: categories of Complete Journey and Ta-Feng by day and week, and a simulated shop; area `demand`.

Forecasts of four weeks from three origins in the last eight weeks (8, 6 and 4 weeks before the end), each made from the log cut there:
the series joined with the customers' curves. The customers' model is learned once, ten weeks before the first origin (Ta-Feng, which has
seventeen weeks, at the first origin). Series: categories that sold in nine of ten weeks and at least five units a week before the test, by
the piece (at most twenty units a line: fuel is counted in other units), at most a hundred of them, evenly by size, so that the peers end in
minutes. For each series the peer is the best of all models of the library statsforecast on two earlier origins (seasonal naive, where none
can be fitted), fitted anew at every origin. Floors beside them would be chosen by luck and make the peer weaker. The value of `mase` and
`wape` is the upper end of the 95 % interval of our error over the peer's, by the paired bootstrap over series: below 1 it is better beyond
doubt. `total` is the error of the sum of all these categories, over that of the better of the two views, as it turns out in hindsight;
`customers` is the MASE of the customers' view alone over the seasonal naive one's (by day, its weeks fall on the days of the series);
`cover` is of the ranges of the series alone, as `whenbuy forecast` tells them. Our forecasts know the public holidays of the country, as a
shop's settings tell them.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.quality import stock
from benchmarks.quality.rolling import CUSTOMERS, JOINED, NAIVE, WEEKS, Rolled, cutoffs, eligible, mean_error, roll, scale
from benchmarks.rows import Row, data_folder
from whenbuy.core.arrays import DAY, Floats, Ints
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS
from whenbuy.core.panel import Panel
from whenbuy.ingest.read import read
from whenbuy.ingest.simulate import simulate
from whenbuy.models.series.floors import SeasonalNaive
from whenbuy.models.series.library import LIBRARY, Library
from whenbuy.pipeline.demand.bottom_up import Spoken
from whenbuy.pipeline.demand.choose import truth
from whenbuy.pipeline.demand.panels import Closed, Step, panel
from whenbuy.pipeline.demand.reconcile import SERIES
from whenbuy.pipeline.demand.series import forecast_series, told_by_panel
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.learn import fit

AREA = "demand"
MOST = 100
"""So many series are compared with the library."""
ORIGINS, EARLIER = (8, 6, 4), (16, 12)
"""Weeks before the end from which is forecast, and on which the peer's model is chosen."""
BEFORE = 10
"""Weeks before the first origin at which the customers' model is learned."""
STEPS: tuple[tuple[Step, str], ...] = (("week", "weekly"), ("day", "daily"))
TOO_DEAR = {1: ("AutoARIMA",), 7: ()}
"""AutoARIMA on a year of days takes two seconds per series and origin: it stands in the weekly rows alone."""
ROUNDS = 2000
AMERICAN = ("2017-01-01", "2017-04-16", "2017-05-29", "2017-07-04", "2017-09-04", "2017-11-23", "2017-12-25", "2018-01-01")
TAIWANESE = ("2000-11-12", "2000-12-25", "2001-01-01", "2001-01-23", "2001-01-24", "2001-01-25", "2001-01-26", "2001-02-28")
"""Holidays: New Year, Easter, Memorial Day, Independence Day, Labor Day, Thanksgiving, Christmas; Sun Yat-sen's birthday, Constitution Day,
New Year, the four days of the lunar New Year, Peace Memorial Day."""


def _rows(data: str) -> dict[str, Row]:
    found = {}
    said = {
        "mase": ("× the peer's, upper 95 %", 1.0), "wape": ("× the peer's, upper 95 %", 1.0), "cover": ("distance from .80", 0.03),
        "total": ("× the better view's", 1.01), "customers": ("MASE × the naive's", 1.0),
    }  # fmt: skip
    for _, step in STEPS:
        for score, (unit, target) in said.items():
            name = f"demand_{data}_{step}_{score}"
            found[name] = Row(area=AREA, name=name, unit=unit, better="lower", target=target)
    return found


CJ, TAFENG = _rows("cj"), _rows("tafeng")
SIM = Row(area=AREA, name="demand_sim_series_wape", unit="× the oracle's", better="lower")
SECONDS = Row(area=AREA, name="demand_items_s", unit="CPU s", better="lower", target=360.0)


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of the series that are compared (all of them), some of these (positions), and of these the peer's mean errors (n)."""

    rolled: Rolled
    rows: Ints
    some: Ints
    peer: Floats
    alone: Floats
    cover: float
    from_zero: float
    cover_joined: float
    seconds: dict[str, float]


def rows() -> Iterator[Row]:
    yield from _scored(CJ, journey(), holidays(AMERICAN), BEFORE)
    data = data_folder()
    if data is None:
        yield from (row.without("WHENBUY_DATA") for row in TAFENG.values())
    else:
        yield from _scored(TAFENG, ta_feng(data), holidays(TAIWANESE), 0)
    yield simulated()
    yield items()
    yield from stock.rows()


def journey() -> History:
    """Complete Journey."""
    return read(layout="complete_journey").history


def ta_feng(data: Path) -> History:
    """Ta-Feng."""
    names = {"user_id": "user_id", "time": "ts", "kind": "event", "unit_price": "price"}
    return read(pl.read_parquet(data / "ta_feng" / "events.parquet"), columns=names, timezone="Asia/Taipei").history


def holidays(days: tuple[str, ...]) -> Closed:
    """A calendar with these holidays, on which the shop is open."""
    return Closed(holidays=tuple(date.fromisoformat(day) for day in days))


def _scored(blank: dict[str, Row], history: History, days: Closed, before: int) -> Iterator[Row]:
    start = time.process_time()
    model = fit(history, int(history.end - (ORIGINS[0] + before) * 7 * DAY))
    fitted = {"the customers' model": time.process_time() - start}
    spoken: dict[int, Spoken] = {}
    for step, word in STEPS:
        told = trial(history, model, step, days, spoken)
        wanted = {name.rsplit("_", 1)[1]: row for name, row in blank.items() if f"_{word}_" in name}
        print(f"   {wanted['mase'].name}: {_seconds(fitted | told.seconds)}", file=sys.stderr)
        yield from _beside(told, wanted)


def _beside(told: Told, wanted: dict[str, Row]) -> Iterator[Row]:
    """The rows of one data set and step."""
    rolled, some = told.rolled, told.rolled.take(told.some)
    each = {name: mean_error(some.told[name], some.came) for name in (JOINED, SERIES, NAIVE)}
    size = np.nanmean(some.came, axis=(1, 2))
    for score, weight in (("mase", 1 / scale(rolled.whole, told.rows[told.some], int(rolled.origins[0]))), ("wape", np.ones(len(size)))):
        over = len(size) if score == "mase" else size.sum()
        ours, series, alone, peer, floor = (
            float((part * weight).sum() / over) for part in (each[JOINED], each[SERIES], told.alone, told.peer, each[NAIVE])
        )
        low, high = interval(each[JOINED] * weight, told.peer * weight)
        own = interval(told.alone * weight, told.peer * weight)
        note = (
            f"{score} {ours:.4f}, the peer's {peer:.4f}, seasonal naive {floor:.4f}; ratio {ours / peer:.4f} ({low:.4f} to {high:.4f}); "
            f"the series without the customers {series:.4f}, as forecast tells them {alone:.4f}: {alone / peer:.4f} of the peer's "
            f"({own[0]:.4f} to {own[1]:.4f})"
        )
        yield wanted[score].got(high, floor=floor / peer, note=note)
    yield wanted["cover"].got(
        abs(told.cover - 0.8),
        note=f"the 80 % intervals cover {told.cover:.1%}; {told.from_zero:.0%} of them begin at 0, where nothing lies below: "
        f"{0.8 + told.from_zero / 10:.1%} would be right; those of the joined forecast {told.cover_joined:.1%}",
    )
    who = (JOINED, SERIES, CUSTOMERS, NAIVE)
    all_of, shop = ({name: getattr(rolled, what)(name) for name in who} for what in ("total", "shop"))
    note = (
        ", ".join(f"{name} {all_of[name]:.4f}" for name in who)
        + "; the whole shop: "
        + ", ".join(f"{name} {shop[name]:.4f}" for name in who)
    )
    yield wanted["total"].got(all_of[JOINED] / min(all_of[SERIES], all_of[CUSTOMERS]), floor=all_of[NAIVE] / all_of[SERIES], note=note)
    people, naive = (float(rolled.mase(told.rows, name).mean()) for name in (CUSTOMERS, NAIVE))
    yield wanted["customers"].got(people / naive, note=f"{len(told.rows)} series: MASE {people:.4f}, seasonal naive {naive:.4f}")


def _seconds(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())


def trial(history: History, model: Forecaster | None, step: Step, days: Closed, spoken: dict[int, Spoken]) -> Told:
    """What we tell, and the peer's errors."""
    start, unit = time.process_time(), 1 if step == "week" else 7
    rolled = roll(history, model, step, ORIGINS, days=days, spoken=spoken)
    seconds = {"joined, all series": time.process_time() - start}
    whole, end = rolled.whole, rolled.whole.steps
    rows = eligible(history, whole, end - ORIGINS[0] * unit)
    rolled = rolled.take(rows)
    start, mine, covered, zero = time.process_time(), [], [], []
    for place, cutoff in enumerate(cutoffs(history, whole, rolled.origins)):
        cut = panel(history, "category", step, cutoff, ahead=WEEKS * unit, days=days)
        told, _ = told_by_panel(cut, WEEKS * unit, days=days)
        same = _matched(whole, cut, rows)
        mine.append(told.mean[same])
        low = told.quantile(0.1)[same]
        covered.append(_inside(low, rolled.came[:, place], told.quantile(0.9)[same]))
        zero.append((low <= 0)[np.isfinite(rolled.came[:, place])].mean())
    seconds["the series alone"] = time.process_time() - start
    some = np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(int)
    theirs = peers(whole, rows[some], end, unit, WEEKS * unit, seconds)
    return Told(
        rolled, rows, some, mean_error(theirs, rolled.came[some]), mean_error(np.stack(mine, axis=1)[some], rolled.came[some]),
        float(np.mean(covered)), float(np.mean(zero)), _inside(rolled.low, rolled.came, rolled.high), seconds,
    )  # fmt: skip


def _inside(low: Floats, came: Floats, high: Floats) -> float:
    """The share of what came that lies in its range."""
    known = np.isfinite(came)
    return float(((came >= low) & (came <= high))[known].mean())


def peers(whole: Panel, rows: Ints, end: int, unit: int, horizon: int, seconds: dict[str, float]) -> Floats:
    """What the library's best model of each series tells (n x o x h), chosen on earlier origins."""
    names = [name for name in LIBRARY if name not in TOO_DEAR[whole.step_days]]
    tried = [*(Library.of(name, whole.step_days) for name in names), SeasonalNaive()]
    early = np.array([end - weeks * unit for weeks in EARLIER])
    origins = np.array([end - weeks * unit for weeks in ORIGINS])
    early = early[early >= 4 * unit]
    best, chosen = np.full(len(rows), np.inf), np.zeros((len(rows), len(origins), horizon))
    for family in tried:
        start = time.process_time()
        told = family.learn(whole, np.concatenate([early, origins]), horizon)(rows)
        judged = mean_error(told[:, : len(early)], truth(whole, early, horizon)[rows])
        usable = np.isfinite(told).all(axis=(1, 2)) & (np.isinf(best) if isinstance(family, SeasonalNaive) else judged < best)
        best[usable], chosen[usable] = judged[usable], told[usable][:, len(early) :]
        seconds[family.name] = time.process_time() - start
    return chosen


def interval(ours: Floats, theirs: Floats) -> tuple[float, float]:
    """The 95 % interval of the ratio of sums, by the bootstrap over series."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(ours), (ROUNDS, len(ours)))
    low, high = np.quantile(ours[drawn].sum(axis=1) / theirs[drawn].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _matched(whole: Panel, cut: Panel, rows: Ints) -> Ints:
    """The rows of the cut panel that are these rows of the whole one."""
    place = np.full(len(whole.keys.names), -1)
    place[cut.keys.code] = np.arange(len(cut))
    return place[whole.keys.code[rows]]


def simulated(users: int = 4000, days: int = 546, others: int = 4) -> Row:
    """Orders by day of a simulated shop over the last two times four weeks, beside what the true laws expect.

    The oracle adds the expected orders of every known customer under the true laws, and those of customers still to come, as the mean over
    other shops of the same laws.
    """
    shop = simulate(users, days, 1)
    history, wrong = shop.history, np.zeros(3)
    whole = panel(history, "shop", measure="orders")
    strangers = [simulate(users, days, seed).history for seed in range(100, 100 + others)]
    total = 0.0
    for back in (56, 28):
        cutoff = history.end - back * DAY
        known = shop.truth(history.keys(as_of=cutoff), np.arange(1.0, 29.0)).mean_count.sum(axis=0)
        oracle = np.diff(known, prepend=0.0) + np.mean([_newcomers(one, back) for one in strangers], axis=0)
        ours = forecast_series(history, "shop", 28, as_of=cutoff, measure="orders").forecast.mean[0]
        at = whole.steps - back
        came, naive = whole.values[0, at : at + 28], whole.values[0, at - 7 + np.arange(28) % 7]
        wrong += [np.abs(part - came).sum() for part in (ours, oracle, naive)]
        total += came.sum()
    mine, best, floor = wrong / total
    return SIM.got(
        mine / best, floor=floor / best, note=f"orders by day: WAPE {mine:.4f}, the oracle's {best:.4f}, seasonal naive {floor:.4f}"
    )


def _newcomers(history: History, back: int) -> Floats:
    """The orders on each of the 28 days from so many days before the end, of customers who first came then."""
    log = history.log
    cutoff = log.end - back * DAY
    user = np.searchsorted(log.offsets, np.arange(len(log)), side="right") - 1
    first = np.full(len(log.users) + 1, 2**62)
    np.minimum.at(first, user, log.time)
    bought = (log.kind == log.code("purchase")) & (first[user] >= cutoff) & (log.columns[ORDERS].values == 1)
    day = (log.time[bought] - cutoff) // DAY
    return np.bincount(day[day < 28], minlength=28)[:28].astype(float)


def items(count: int = 10_000, days: int = 365) -> Row:
    """The processor seconds of 10,000 items of a year of days, with intervals, after compilation; peak memory in the note."""
    import resource

    told_by_panel(_items(60, 120), 28)
    made = _items(count, days)
    start = time.process_time()
    told_by_panel(made, 28)
    seconds = time.process_time() - start
    return SECONDS.got(
        seconds,
        note=f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB; two cores for three minutes are 360 s",
    )


def _items(count: int, days: int) -> Panel:
    """Items that sell by chance: rates of a gamma law, weekdays, some of them new."""
    from whenbuy.core.keys import Keys
    from whenbuy.core.log import Dictionary
    from whenbuy.pipeline.demand.panels import pool_of

    rng = np.random.default_rng(0)
    rate = rng.gamma(0.5, 4.0, count)[:, None] * np.array([1, 0.8, 0.9, 1, 1.2, 1.6, 0.6])[np.arange(days) % 7]
    begins = np.maximum(rng.integers(-days, days, count), 0)
    values = np.where(np.arange(days) >= begins[:, None], rng.poisson(rate), 0).astype(np.float32)
    first = np.where((values > 0).any(axis=1), (values > 0).argmax(axis=1), days).astype(np.int64)
    keys = Keys("item", np.arange(count, dtype=np.int32), np.full(count, 17_365 * DAY), Dictionary.of(map(str, range(count))))
    return Panel(keys, "demand", 1, 17_365 - days, values, first, {}, np.zeros(count, np.int32), pool_of(values))

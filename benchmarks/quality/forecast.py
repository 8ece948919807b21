"""The forecasts of CDNOW, Complete Journey and Ta-Feng, and the table of Online Shoppers: area `forecast`.

Each is learned from what was known before the first test cutoff, by `fit` as it is. Forecasts that a yardstick scores are written to
build/quality in its format.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.quality import shoppers
from benchmarks.rows import ROOT, Row, data_folder, yardstick_folder
from whenbuy.core.arrays import DAY
from whenbuy.core.forecast import Amount, Classes, Probability
from whenbuy.core.outlook import Outlook
from whenbuy.ingest.read import read
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.learn import fit
from whenbuy.questions import NextPurchase

AREA = "forecast"
BUILD = ROOT / "build" / "quality"
_CDNOW = [  # row, the yardstick's name, unit, better, peer without nets, target
    ("cdnow_auc", "auc", "AUC", "higher", 0.7719, 0.775),
    ("cdnow_logloss", "logloss", "nats", "lower", 0.4937, 0.4925),
    ("cdnow_ece", "ece", "share", "lower", 0.026, 0.025),
    ("cdnow_ibs", "ibs", "Brier", "lower", 0.1225, 0.1220),
    ("cdnow_c", "c_index", "C", "higher", 0.739, 0.741),
    ("cdnow_n_rmse", "n_mean_rmse", "orders", "lower", 1.7062, 1.70),
    ("cdnow_n_bias", "n_mean_bias", "ratio", "higher", 1.0, 0.9),
    ("cdnow_spend_r2", "spend_mean_r2", "R²", "higher", 0.4436, 0.45),
    ("cdnow_spend_bias", "spend_mean_bias", "ratio", "higher", 1.0, 0.85),
]
_JOURNEY = [
    ("cj_auc", "auc_7d", "AUC", "higher", 0.8298, 0.8315),
    ("cj_logloss", "logloss_7d", "nats", "lower", 0.5040, 0.5015),
    ("cj_ece", "ece_7d", "share", "lower", 0.0071, 0.0070),
    ("cj_ibs", "ibs_28d", "Brier", "lower", 0.1373, 0.1365),
    ("cj_c", "c_index", "C", "higher", 0.7508, 0.7535),
    ("cj_mae28", "mae_28d", "days", "lower", 5.375, 5.36),
    ("cj_spend_r2", "spend_mean_r2", "R²", "higher", 0.4119, 0.415),
    ("cj_spend_median_mae", "spend_median_mae", "dollars", "lower", 26.81, 26.7),
    ("cj_category_auc", "category_auc", "AUC", "higher", 0.8108, 0.814),
    ("cj_category_pr", "category_pr_auc", "PR-AUC", "higher", 0.4016, 0.408),
    ("cj_category_p3", "category_precision_at_3", "share", "higher", 0.5667, 0.572),
    ("cj_redeem_auc", "redeem_auc", "AUC", "higher", 0.9225, 0.926),
    ("cj_redeem_pr", "redeem_pr_auc", "PR-AUC", "higher", 0.305, 0.325),
]
CLOSED = (date(2017, 11, 23), date(2017, 12, 25))
"""Days on which the shop is closed, as a shop would say: Thanksgiving and Christmas."""
CATEGORIES = (
    "SOFT DRINKS", "FLUID MILK PRODUCTS", "BAKED BREAD/BUNS/ROLLS", "CHEESE", "BAG SNACKS", "FRZN MEAT/MEAT DINNERS", "BEEF", "YOGURT",
    "FROZEN PIZZA", "SOUP", "VEGETABLES - SHELF STABLE", "COLD CEREAL", "CANDY - CHECKLANE", "LUNCHMEAT", "TROPICAL FRUIT",
    "CANDY - PACKAGED", "REFRGRATD JUICES/DRNKS", "ICE CREAM/MILK/SHERBTS", "CRACKERS/MISC BKD FD", "BAKED SWEET GOODS",
)  # fmt: skip
"""The categories at which the yardstick of Complete Journey looks."""
_FLOORS = {"cj_auc": 0.8201, "cj_logloss": 0.5195}
"""The rate of the last 84 days on the same protocol."""


TAFENG = Row(area=AREA, name="tafeng_auc28", unit="AUC", better="higher", peer=0.740, target=0.75)


def rows() -> Iterator[Row]:
    yield from _scored("cdnow", cdnow, _CDNOW)
    yield from _scored("complete_journey", complete_journey, _JOURNEY)
    data = data_folder()
    yield TAFENG.without("WHENBUY_DATA") if data is None else TAFENG.got(ta_feng(data))
    yield from shoppers.rows()


def cdnow(data: Path) -> pl.DataFrame:
    """Return one row per customer: the chance to have bought by each of 39 weeks after 1997-09-30, and expected orders and spend."""
    lines = pl.read_parquet(data / "cdnow" / "master.parquet").sort("date")
    names = {"user_id": "customer_id", "time": "date", "quantity": "quantity", "amount": "amount"}
    history = read(lines, columns=names, kinds={"*": "purchase"}).history
    weeks = 7.0 * np.arange(1, 40)
    model = fit(history, "1997-10-01", horizons=(91.0, 182.0, 273.0))
    _tell("cdnow", model)
    outlook = model.predict(history.cut(history.clock.instant("1997-10-01")), "1997-10-01")
    return _curves(outlook, weeks, [f"p_week_{week:.0f}" for week in weeks / 7]).with_columns(
        customer_id=outlook.keys.ids(), n_mean=outlook.purchase.count_at(273.0), spend_mean=_spend(outlook, 273.0)
    )


def complete_journey(_: Path) -> pl.DataFrame:
    """Return one row per household and weekly cutoff: the chance to come by each of 28 days, spend of 7 days, redemption within 14.

    The chances of the categories are written beside them, and the same forecast for a shop that says on which days it is closed.
    """
    history = read(layout="complete_journey").history
    cutoffs = [history.clock.instant("2017-01-01") + day * DAY for day in range(309, 359, 7)]
    start = time.process_time()
    model = fit(history, cutoffs[0], classes=CATEGORIES)
    print(f"   complete_journey: learned in {time.process_time() - start:.0f} CPU seconds", file=sys.stderr)
    _tell("complete_journey", model)
    keys = history.panel(np.array(cutoffs, np.int64))
    outlook = model.answer(history, keys)
    place = {"household_id": keys.ids().cast(pl.Int64), "cutoff_day": pl.Series((keys.cutoff - cutoffs[0]) // DAY + 309)}
    _categories(outlook, pl.DataFrame(place)).write_parquet(BUILD / "complete_journey_categories.parquet")
    shut = tuple((day - date(1970, 1, 1)).days for day in CLOSED)
    closed = replace(model, closed=shut).answer(history, keys)
    _days(closed).with_columns(**place).write_parquet(BUILD / "complete_journey_closed.parquet")
    spend, redemption = outlook.answers["spend"], outlook.answers["redemption"]
    assert isinstance(spend, Amount)
    assert isinstance(redemption, Probability)
    return _days(outlook).with_columns(**place, spend_mean=spend.mean, spend_median=spend.quantile(0.5), p_redeem_14d=redemption.chance)


def _days(outlook: Outlook) -> pl.DataFrame:
    days = np.arange(1.0, 29.0)
    return _curves(outlook, days, [f"p_day_{day:.0f}" for day in days])


def _categories(outlook: Outlook, place: pl.DataFrame) -> pl.DataFrame:
    """Return the chances of the categories in the yardstick's format; it looks at twenty of them."""
    answer = outlook.answers["classes"]
    assert isinstance(answer, Classes)
    return place.with_columns(pl.DataFrame(answer.chance, [*answer.classes])).unpivot(
        index=["household_id", "cutoff_day"], variable_name="category", value_name="probability"
    )


def ta_feng(data: Path) -> float:
    """Return the AUC of "buys within 28 days of 2001-01-31" over everybody seen before (Ta-Feng, a Taiwanese supermarket)."""
    from sklearn.metrics import roc_auc_score

    lines = pl.read_parquet(data / "ta_feng" / "events.parquet")
    names = {"user_id": "user_id", "time": "ts", "kind": "event", "unit_price": "price"}
    history = read(lines, columns=names, timezone="Asia/Taipei").history
    cutoff = history.clock.instant("2001-01-31")
    model = fit(history, cutoff)
    _tell("ta_feng", model)
    outlook = model.predict(history.cut(cutoff), cutoff)
    label = NextPurchase(28.0).label(history.before(outlook.keys), history.within(outlook.keys, 28.0))
    return float(roc_auc_score(label.observed, outlook.purchase.probability(28.0)))


def _curves(outlook: Outlook, days: np.ndarray, names: list[str]) -> pl.DataFrame:
    return pl.DataFrame(np.maximum.accumulate(outlook.purchase.probability(days), axis=1), names)


def _spend(outlook: Outlook, days: float) -> np.ndarray:
    assert outlook.amount is not None
    return outlook.purchase.count_at(days) * outlook.amount.mean


def _tell(name: str, model: Forecaster) -> None:
    chosen = {choice.answer: f"{choice.model} ({choice.value:.4g})" for choice in model.choices if choice.chosen}
    print(f"   {name}: {chosen}", file=sys.stderr)


def _scored(name: str, forecast, wanted) -> Iterator[Row]:
    blank = [
        Row(area=AREA, name=row, unit=unit, better=better, floor=_FLOORS.get(row), peer=peer, target=target)
        for row, _, unit, better, peer, target in wanted
    ]
    data, yardstick = data_folder(), yardstick_folder()
    if data is None or yardstick is None:
        yield from (row.without("WHENBUY_DATA" if data is None else "WHENBUY_YARDSTICK") for row in blank)
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / f"{name}.parquet"
    forecast(data).write_parquet(path)
    scores = _yardstick(yardstick, name, path)
    for row, (_, key, *_rest) in zip(blank, wanted, strict=True):
        yield row.got(scores[key])
    closed = BUILD / f"{name}_closed.parquet"
    if closed.exists():
        found = _yardstick(yardstick, name, closed)
        for row, key, unit, better in (("cj_closed_auc", "auc_7d", "AUC", "higher"), ("cj_closed_logloss", "logloss_7d", "nats", "lower")):
            yield Row(area=AREA, name=row, unit=unit, better=better, note="the shop says on which days it is closed").got(found[key])


def _yardstick(folder: Path, name: str, path: Path) -> dict[str, float]:
    """Return what the yardstick prints of a forecast file."""
    categories = path.with_name(f"{path.stem}_categories.parquet")
    more = ["--categories", str(categories)] if categories.exists() else []
    told = subprocess.run([sys.executable, str(folder / f"{name}.py"), str(path), *more], capture_output=True, text=True, check=True)
    return dict(json.loads(told.stdout.splitlines()[0])["scores"])

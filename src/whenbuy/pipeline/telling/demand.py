"""What the report says of demand: fan charts, what may be hot, peaks, trends, and how the models did on earlier weeks."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from whenbuy.core.chart.answers import fans
from whenbuy.core.series_forecast import NAMED, SeriesForecast
from whenbuy.pipeline.demand.series import Outcome
from whenbuy.pipeline.demand.trend import hot, peaks, trends
from whenbuy.pipeline.telling.pictures import drawn
from whenbuy.pipeline.telling.words import Name, count, percent, signed

_DRAWN: Final = 6
_LISTED: Final = 12
_FEW: Final = 5
_LIKELY: Final = 0.2
"""What is less likely than this is not called hot."""


def section(found: Outcome) -> dict[str, Any]:
    """Return the section of the report about demand, for ``report_demand.html.jinja``.

    ``fans`` (name, svg), ``rows`` (name, expected, range, model, growth), ``hot`` (name, usual, expected, chance), ``peaks`` (name, day,
    expected, times), ``models`` (model, error, series, answers), and ``measure``, ``entity``, ``days``, ``series``.
    """
    told = found.forecast
    name, step = NAMED[told.keys.entity], "day" if told.step_days == 1 else "week"
    totals = told.totals().sort("mean", descending=True, maintain_order=True).head(_LISTED)
    grown = dict(trends(found.panel).select(name, "growth").iter_rows())
    return {
        "measure": told.measure, "entity": told.keys.entity, "days": told.horizon_days, "series": len(told),
        "fans": [
            {"name": Name.of(one), "svg": drawn(fans(_retitled(told.of(one), f"{told.measure} per {step}"), Name.of(one).short, 340))}
            for one in totals[name].head(_DRAWN).to_list()
        ],
        "rows": [_row(row, name, grown.get(row[name])) for row in totals.iter_rows(named=True)],
        "hot": _hot(found, name), "peaks": _peaks(found, name), "models": _models(found.backtest),
    }  # fmt: skip


def _retitled(told: SeriesForecast, title: str) -> pl.DataFrame:
    """Return the points of one series under another title: its name stands above the picture already."""
    return told.points().with_columns(name=pl.lit(title))


def _row(row: dict[str, Any], name: str, growth: float | None) -> dict[str, Any]:
    wide = "" if row["low"] is None else f"{count(row['low'])} – {count(row['high'])}"
    return {
        "name": Name.of(row[name]), "expected": count(row["mean"]), "range": wide, "model": row["model"],
        "growth": "" if growth is None else "0 %" if round(100 * growth) == 0 else f"{signed(100 * growth, 0)} %",
    }  # fmt: skip


def _hot(found: Outcome, name: str) -> list[dict[str, Any]]:
    likely = hot(found.forecast, found.panel).filter(pl.col("chance") >= _LIKELY).head(_FEW)
    return [
        {"name": Name.of(row[name]), "usual": count(row["usual"]), "expected": count(row["expected"]), "chance": percent(row["chance"])}
        for row in likely.iter_rows(named=True)
    ]


def _peaks(found: Outcome, name: str) -> list[dict[str, Any]]:
    highest = peaks(found.forecast).unique(name, keep="first", maintain_order=True).head(_FEW)
    return [
        {"name": Name.of(row[name]), "day": f"{row['begins']:%a %-d %b}", "expected": count(row["mean"]), "times": f"{row['times']:.1f} ×"}
        for row in highest.iter_rows(named=True)
    ]


def _models(table: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "model": row["model"], "error": "–" if row["error"] is None else f"{row['error']:.3f}", "series": f"{row['series']:,}",
            "answers": f"{row['chosen']:,}",
        }
        for row in table.iter_rows(named=True)
    ]  # fmt: skip

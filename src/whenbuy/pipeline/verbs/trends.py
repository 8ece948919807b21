"""Where demand stands and goes: what `whenbuy trends` does."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.series_forecast import NAMED
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.demand.panels import Closed
from whenbuy.pipeline.demand.series import forecast_series
from whenbuy.pipeline.demand.trend import events, hot, peaks, trends
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import count, signed
from whenbuy.pipeline.verbs.forecast import Asked, strangers, told_of, warm_screen
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

_LISTED: Final = 15
_FEW: Final = 8


def trend(folder: Path | None, as_of: str | None, asked: Asked, *, out: Path | None, say: Say) -> Result:
    """Say of each series its level, growth and season, when it changed, what may be hot, which days stand out and what events did."""
    if out is not None:
        require_ending(out)
    shop = find_shop(folder)
    settings, history = shop.settings(RULES), open_log(shop.log)
    instant = moment(history, as_of, say)
    say(f"trying models of {asked.measure} on earlier weeks")
    found = forecast_series(
        history, told_of(asked.entity, history.log.columns, asked.names), asked.days, asked.step, instant, measure=asked.measure,
        names=asked.names or None, days=Closed.of(settings.calendar), seed=settings.shop.seed,
    )  # fmt: skip
    name = NAMED[found.forecast.keys.entity]
    warm = hot(found.forecast, found.panel)
    table = trends(found.panel).with_columns(pl.col("changed").cast(pl.List(pl.String)).list.join(" "))
    if asked.names:
        table = table.filter(pl.col(name).is_in(asked.names))
    table = table.join(warm.select(name, "usual", "expected", hot="chance"), on=name, how="left").sort(
        "level", descending=True, nulls_last=True, maintain_order=True
    )
    days, did = peaks(found.forecast), events(found.panel)
    if asked.names:  # the series that speak for all are none that was asked about
        did = did.filter(pl.col(name).is_in(asked.names))
    stands = history.clock.show(history.end if instant is None else instant)
    facts = {
        "as_of": stands, "measure": asked.measure, "series": len(table), "peaks": days.head(_LISTED).to_dicts(), "events": did.to_dicts(),
        "file": None if out is None else str(out),
    }  # fmt: skip
    after = strangers(found.forecast)
    if out is not None:
        write_frame(table, out)
        return Result(facts, after=(*after, f"{len(table):,} rows as of {stands} are in {out}"))
    screens = (_screen(table, name, asked.measure, stands), *warm_screen(warm, name, _FEW), *_peaks(days, name), *_events(did, name))
    return Result(facts, table, "trends", screens, after=after)


def _screen(table: pl.DataFrame, name: str, measure: str, stands: str) -> Screen:
    rows = tuple(
        (
            row[name][:40], _count(row["level"]), _growth(row["growth"]),
            "–" if row["growth_low"] is None else f"{_growth(row['growth_low'])} – {_growth(row['growth_high'])}",
            "–" if row["season_strength"] is None else f"{row['season_strength']:.2f}", row["changed"].split(" ")[-1] or "–",
        )
        for row in table.head(_LISTED).iter_rows(named=True)
    )  # fmt: skip
    below = ("Growth: per 4 weeks, with its 80 % range. Season: 0 is none, 1 is nothing else. Changed: when its level last jumped.",)
    more = () if len(table) <= _LISTED else (f"The largest {_LISTED} of {len(table):,}; --out or a pipe gets all.",)
    heads = (name, "a week>", "growth>", "80 % range>", "season>", "changed")
    return Screen(f"{measure.capitalize()} as of {stands}:", heads, rows, (*more, *below))


def _peaks(days: pl.DataFrame, name: str) -> tuple[Screen, ...]:
    rows = tuple(
        (
            row[name][:40],
            row["begins"].isoformat(),
            count(row["mean"]),
            f"{count(row['low'])} – {count(row['high'])}",
            f"{row['times']:.1f} ×",
        )
        for row in days.head(_FEW).iter_rows(named=True)
    )
    return (Screen("Days that will stand out:", (name, "begins", "expected>", "80 % range>", "the mean>"), rows),) if rows else ()


def _events(did: pl.DataFrame, name: str) -> tuple[Screen, ...]:
    known = did.filter(pl.col("factor").is_not_null()).sort("occurrences", "factor", descending=True, maintain_order=True)
    rows = tuple(
        (
            row[name][:40], row["event"], f"{row['occurrences']:,}", f"{row['factor']:.2f} ×",
            "–" if row["low"] is None else f"{row['low']:.2f} – {row['high']:.2f}",
        )
        for row in known.head(_FEW).iter_rows(named=True)
    )  # fmt: skip
    return (
        (Screen("What holidays and offers did to a usual day:", (name, "event", "seen>", "factor>", "80 % range>"), rows),) if rows else ()
    )


def _count(value: float | None) -> str:
    return "–" if value is None else count(value)


def _growth(value: float | None) -> str:
    return "–" if value is None else "0 %" if round(100 * value) == 0 else f"{signed(100 * value, 0)} %"

"""Pictures of what a log holds. Each function takes a small frame and returns a chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import altair as alt
import polars as pl

from whenbuy.core.chart.look import ACCENT, CHANCE, COUNT, INK, PERCENT, QUIET, SHARE, WHOLE, date, distinct, finished, theme, utc

_MONTH: Final = "[utcFormat(datum.value, '%b'), !datum.index || utcdayofyear(datum.value) < 8 ? utcFormat(datum.value, '%Y') : '']"


def histogram(frame: pl.DataFrame, title: str, description: str, width: int = 530) -> Any:
    """Return how many customers have a chance in each bucket.

    Parameters
    ----------
    frame
        ``low``, ``high``: bounds of the bucket (probabilities); ``customers``.
    title
        What the chance is about.
    """
    x = alt.X("low:Q", bin="binned", title=title, scale=CHANCE, axis=alt.Axis(labelExpr=PERCENT, tickCount=5))
    return _buckets(frame, x, "customers", description, width, 230)


def spread(frame: pl.DataFrame, title: str, what: str, description: str, width: int = 330) -> Any:
    """Return how many things of a kind lie in each bucket of a number.

    Parameters
    ----------
    frame
        ``low``, ``high``: bounds of the bucket, the last ones where the picture ends; and how many, under the name ``what``.
    title
        What the number is, with its unit.
    """
    ends = [float(frame["low"].min() or 0), float(frame["high"].max() or 1)]  # type: ignore[arg-type]
    axis = alt.Axis(tickCount=5, labelExpr=COUNT)
    return _buckets(
        frame, alt.X("low:Q", bin="binned", title=title, scale=alt.Scale(domain=ends, nice=False), axis=axis), what, description, width, 150
    )


def habit(frame: pl.DataFrame, title: str, shown: list[str], description: str, width: int = 330) -> Any:
    """Return which share of the orders falls on each hour, weekday or month, beside that of the visits (dashed).

    Parameters
    ----------
    frame
        ``name`` (in the order to be drawn), ``orders`` and, where there are visits, ``visits``: shares that each sum to 1.
    shown
        The names that stand on the axis.
    """
    names = frame["name"].to_list()
    labels = alt.Axis(values=shown, labelAngle=0, ticks=False, labelOverlap=False)
    base = alt.Chart(frame).encode(
        x=alt.X("name:N", sort=None, title=None, scale=alt.Scale(domain=names, paddingInner=0.18, paddingOuter=0.1), axis=labels)
    )
    y = alt.Y("orders:Q", title=title, scale=alt.Scale(domainMin=0), axis=alt.Axis(tickCount=3, labelExpr=SHARE))
    chart = base.mark_bar(color=ACCENT).encode(y=y)
    if "visits" in frame.columns:
        look: dict[str, Any] = {"color": INK, "strokeWidth": 1.5, "strokeDash": [4, 3]}
        chart += base.mark_line(**look).encode(y="visits:Q")
    return finished(chart, description, width, 150)


def monthly(frame: pl.DataFrame, title: str, description: str, width: int = 330) -> Any:
    """Return a number per month, as bars.

    Parameters
    ----------
    frame
        ``day`` (the first of the month), ``rate``.
    """
    points = utc(frame, "day").with_columns(until=pl.col("day").dt.offset_by("1mo") - pl.duration(days=4))
    every = 1 if frame.height < 5 else 3 if frame.height < 16 else 6
    base = alt.Chart(points).encode(x=date("day", _MONTH, values=points["day"].dt.epoch("ms").gather_every(every).to_list()), x2="until")
    y = alt.Y("rate:Q", title=title, axis=alt.Axis(tickCount=3, labelExpr=COUNT))
    return finished(base.mark_bar(color=ACCENT).encode(y=y, y2=alt.datum(0)), description, width, 150)


def daily_orders(frame: pl.DataFrame, description: str, width: int = 530) -> Any:
    """Return the shop's orders per day: those counted before the forecast and those expected after it.

    Parameters
    ----------
    frame
        ``day`` (date), ``orders``, ``part``: "counted" or "expected".
    """
    points = utc(frame, "day")
    instants, ahead = points["day"].dt.epoch("ms"), int(frame["part"].eq("counted").sum())
    ticks = [instant for i, instant in enumerate(instants) if (i - ahead) % (7 if width > 400 else 14) == 0]
    parts = alt.Color(
        "part:N",
        title=None,
        scale=alt.Scale(domain=["counted", "expected"], range=[QUIET, ACCENT]),
        legend=alt.Legend(orient="top", symbolType="square"),
    )
    chart = (
        alt.Chart(points)
        .mark_bar()
        .encode(
            x=date("day", values=ticks),
            x2="until",
            y=alt.Y("orders:Q", title="orders per day", axis=alt.Axis(tickCount=5, labelExpr=COUNT)),
            y2=alt.datum(0),
            color=parts,
        )
    )
    return finished(chart, description, width, 230)


def activity(frame: pl.DataFrame, unit: str, description: str, width: int = 330) -> Any:
    """Return how many events of one kind the log holds, day by day or week by week.

    Parameters
    ----------
    frame
        ``day`` (date at which the day or week begins), ``events``.
    unit
        "day" or "week".
    """
    base = alt.Chart(utc(frame, "day")).encode(
        x=date("day", tickCount=3), y=alt.Y("events:Q", title=f"per {unit}", axis=alt.Axis(tickCount=3, labelExpr=WHOLE))
    )
    chart = base.mark_area(color=ACCENT, opacity=0.14) + base.mark_line(color=ACCENT, strokeWidth=1.6, point=frame.height == 1)
    return finished(chart, description, width, 150)


def activities(runs: Mapping[str, pl.DataFrame], unit: str) -> Any:
    """Return how many events of each kind a log holds, below each other, each with its own scale.

    Parameters
    ----------
    runs
        By kind, ``day`` (date at which the day or week begins) and ``events``.
    unit
        "day" or "week".
    """
    names = distinct(list(runs), 40)
    rows = pl.concat(
        [
            part.select(pl.lit(name).alias("kind"), "day", pl.col("events").cast(pl.Int64))
            for name, part in zip(names, runs.values(), strict=True)
        ]
    )
    base = alt.Chart(utc(rows, "day")).encode(
        x=date("day", tickCount=6), y=alt.Y("events:Q", title=f"per {unit}", axis=alt.Axis(tickCount=3, labelExpr=WHOLE))
    )
    one = (base.mark_area(color=ACCENT, opacity=0.14) + base.mark_line(color=ACCENT, strokeWidth=1.6)).properties(width=520, height=70)
    header = alt.Header(title=None, labelColor=INK, labelFontSize=12, labelFontWeight="bold", labelAnchor="start", labelPadding=2)
    parts = one.facet(facet=alt.Facet("kind:N", sort=names, header=header), columns=1).resolve_scale(y="independent")
    return parts.properties(description=f"Events per {unit}: {', '.join(names)}", spacing=12, padding=4).configure(**theme())


def _buckets(frame: pl.DataFrame, x: alt.X, what: str, description: str, width: int, height: int) -> Any:
    y = alt.Y(f"{what}:Q", title=what, axis=alt.Axis(tickCount=5 if height > 200 else 3, labelExpr=WHOLE))
    bars = alt.Chart(frame).mark_bar(color=ACCENT, stroke="transparent", strokeWidth=2).encode(x=x, x2="high", y=y)
    return finished(bars, description, width, height)

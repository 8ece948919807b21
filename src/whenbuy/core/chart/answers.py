"""Pictures of what is forecast, and why. Each function takes a small frame and returns a chart."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from whenbuy.core.chart.look import (
    ACCENT,
    CHANCE,
    COUNT,
    DASHES,
    INK,
    LINES,
    PAPER,
    PEN,
    PERCENT,
    QUIET,
    SHARE,
    chance,
    date,
    distinct,
    finished,
    theme,
    utc,
)


def curves(frame: pl.DataFrame) -> Any:
    """Return the chance to have bought by each day, a line per user.

    Parameters
    ----------
    frame
        ``user_id``, ``day``, ``probability`` as TimeToEvent.frame gives them.
    """
    named, users = _short_names(frame)
    start = pl.DataFrame({"user_id": users, "day": 0.0, "probability": 0.0})
    points = pl.concat([start, named.select("user_id", pl.col("day", "probability").cast(pl.Float64))])
    chart = (
        alt.Chart(points)
        .mark_line(strokeWidth=2, color=ACCENT)
        .encode(x=alt.X("day:Q", title="days from now", scale=alt.Scale(nice=False)), y=chance("probability", "chance to have bought"))
    )
    if len(users) > 1:
        many: dict[str, Any] = {"field": "user_id", "type": "nominal", "title": "customer"}
        colours, dashes = ([palette[i % len(palette)] for i in range(len(users))] for palette in (LINES, DASHES))
        chart = chart.encode(
            color=alt.Color(**many, scale=alt.Scale(domain=users, range=colours)),
            strokeDash=alt.StrokeDash(**many, scale=alt.Scale(domain=users, range=dashes)),
        )
    width, height = (590, max(260, 60 + 17 * len(users))) if len(users) > 1 else (440, 260)
    return finished(chart, f"Chance to have bought by each day, customers: {len(users)}", width, height, room=30 if len(users) > 1 else 4)


def purchase_curve(frame: pl.DataFrame, horizons: tuple[float, ...], description: str, width: int = 330) -> Any:
    """Return one customer's chance to have bought by each day, beside the average of all customers (dashed).

    Parameters
    ----------
    frame
        ``day``, ``probability``, ``average``, from day 0 on.
    horizons
        Days at which the curve carries a dot and the axis a tick.
    """
    end = float(frame["day"].max() or 0)  # type: ignore[arg-type]
    ticks = [0.0, *(day for day in horizons if day < 0.9 * end), end]
    base = alt.Chart(frame).encode(
        x=alt.X(
            "day:Q",
            title="days from now",
            scale=alt.Scale(domain=[0, end]),
            axis=alt.Axis(values=ticks, grid=True, labelExpr="datum.value"),
        )
    )
    average = base.mark_line(color=QUIET, strokeWidth=1.5, strokeDash=[4, 3]).encode(y="average:Q")
    area = base.mark_area(color=ACCENT, opacity=0.14).encode(y=chance("probability", None, [0, 0.5, 1]))
    line = base.mark_line(color=ACCENT, strokeWidth=2.2).encode(y="probability:Q")
    dots = base.transform_filter(alt.FieldOneOfPredicate("day", list(horizons)))
    return finished(
        area + average + line + dots.mark_circle(color=ACCENT, size=36, opacity=1).encode(y="probability:Q"), description, width, 150
    )


def ranges(frame: pl.DataFrame, title: str) -> Any:
    """Return an amount per customer: its mean as a dot on the range of its quantiles, its median as a line.

    Parameters
    ----------
    frame
        ``user_id``, ``low``, ``middle``, ``high``, ``mean``.
    """
    rows, names = _short_names(frame)
    base = alt.Chart(rows).encode(y=_names(names))
    x = alt.X("low:Q", title=title, axis=alt.Axis(labelExpr=COUNT, tickCount=6, grid=True))
    chart = base.mark_bar(color=ACCENT, opacity=0.25, height=9).encode(x=x, x2="high") + base.mark_tick(
        color=ACCENT, thickness=2, size=13
    ).encode(x="middle:Q")
    chart += base.mark_circle(color=ACCENT, opacity=1, size=46).encode(x="mean:Q")
    return finished(chart, f"{title}, customers: {len(names)}", 440, 60 + 20 * len(names))


def chances(frame: pl.DataFrame, title: str) -> Any:
    """Return a chance per customer, as bars.

    Parameters
    ----------
    frame
        ``user_id``, ``probability``.
    """
    rows, names = _short_names(frame)
    x = alt.X("probability:Q", title=title, scale=CHANCE, axis=alt.Axis(labelExpr=PERCENT, tickCount=5, grid=True))
    chart = alt.Chart(rows).mark_bar(color=ACCENT, height=11).encode(x=x, y=_names(names))
    return finished(chart, f"{title}, customers: {len(names)}", 440, 60 + 20 * len(names))


def shares(frame: pl.DataFrame, title: str) -> Any:
    """Return which share of all each group has, as bars.

    Parameters
    ----------
    frame
        ``name`` (in the order to be drawn), ``share``.
    """
    names = distinct(frame["name"].to_list(), 40)
    rows = pl.DataFrame({"user_id": names, "share": frame["share"]}, schema_overrides={"share": pl.Float64})
    x = alt.X("share:Q", title=title, scale=alt.Scale(domainMin=0), axis=alt.Axis(labelExpr=SHARE, tickCount=5, grid=True))
    chart = alt.Chart(rows).mark_bar(color=ACCENT, height=11).encode(x=x, y=_names(names))
    return finished(chart, f"{title}, groups: {len(names)}", 480, 60 + 20 * len(names))


def reasons(frame: pl.DataFrame, title: str, *, signed: bool = True) -> Any:
    """Return reasons as bars with their sizes: to the right what raises a chance, to the left, in another colour, what lowers it.

    Parameters
    ----------
    frame
        ``reason`` (in the order to be drawn), ``points``.
    signed
        Whether the sizes carry a sign.
    """
    names, points = distinct(frame["reason"].to_list(), 60), frame["points"].to_list()
    sizes = [f"{each:{'+' if signed else ''}.1f}".replace("-", "−") for each in points]
    rows = pl.DataFrame({"user_id": names, "points": points, "size": sizes}, schema_overrides={"points": pl.Float64})
    edge = 1.25 * max([1.0, *map(abs, points)])
    x = alt.X("points:Q", title="percentage points", scale=alt.Scale(domain=[-edge if min(points, default=0.0) < 0 else 0.0, edge]))
    base = alt.Chart(rows).encode(x=x, y=_names(names))
    bars = base.mark_bar(height=11).encode(color=alt.when("datum.points > 0").then(alt.value(ACCENT)).otherwise(alt.value(LINES[1])))
    right = base.transform_filter("datum.points >= 0").mark_text(align="left", dx=4, color=INK).encode(text="size:N")
    left = base.transform_filter("datum.points < 0").mark_text(align="right", dx=-4, color=INK).encode(text="size:N")
    return finished(bars + right + left, title, 560, 60 + 20 * len(names))


def classes(frame: pl.DataFrame, title: str) -> Any:
    """Return the chance of each class per customer: the darker, the likelier, with the chance in words.

    Parameters
    ----------
    frame
        ``user_id``, ``class`` (in the order to be drawn), ``probability``.
    """
    rows, names = _short_names(frame)
    columns = dict(zip(found := frame["class"].unique(maintain_order=True).to_list(), distinct(found, 18), strict=True))
    rows = rows.with_columns(pl.col("class").replace_strict(columns, return_dtype=pl.String))
    axis = alt.Axis(orient="top", labelAngle=-35, labelAlign="left", domain=False, ticks=False)
    base = alt.Chart(rows).encode(
        x=alt.X("class:N", sort=None, title=None, axis=axis, scale=alt.Scale(domain=list(columns.values()))), y=_names(names)
    )
    cells = base.mark_rect().encode(color=alt.Color("probability:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=list(PAPER))))
    said = (
        base.mark_text(color=PEN, fontSize=11)
        .encode(text="said:N")
        .transform_calculate(said=PERCENT.replace("datum.value", "datum.probability"))
    )
    return finished(cells + said, f"{title}, customers: {len(names)}", 150 + 46 * len(columns), 110 + 22 * len(names), room=60)


def fans(frame: pl.DataFrame, title: str, width: int = 560) -> Any:
    """Return series below each other, each with its own scale: what was, what is expected, and the 50 % and 80 % ranges around it.

    Parameters
    ----------
    frame
        ``name``, ``day`` (date), ``value`` (what was), ``mean``, ``low``, ``high``, ``inner_low``, ``inner_high``; null where none is.
    title
        What is counted, such as "demand per week".
    """
    known = frame["name"].unique(maintain_order=True).to_list()
    shown = dict(zip(known, distinct(known, 40), strict=True))
    rows = utc(frame.with_columns(pl.col("name").replace_strict(shown, return_dtype=pl.String)), "day")
    base = alt.Chart(rows).encode(x=date("day", tickCount=6))
    axis = alt.Axis(tickCount=4, labelExpr=COUNT)
    y = {part: alt.Y(f"{part}:Q", title=None, axis=axis) for part in ("low", "inner_low", "value", "mean")}
    outer = base.mark_area(color=ACCENT, opacity=0.16).encode(y=y["low"], y2="high:Q")
    inner = base.mark_area(color=ACCENT, opacity=0.26).encode(y=y["inner_low"], y2="inner_high:Q")
    was, told = base.mark_line(color=QUIET).encode(y=y["value"]), base.mark_line(color=ACCENT).encode(y=y["mean"])
    one = (outer + inner + was + told).properties(width=width - 40, height=110 if len(known) > 1 else 200)
    header = alt.Header(title=None, labelColor=INK, labelFontSize=12, labelFontWeight="bold", labelAnchor="start", labelPadding=2)
    parts = one.facet(facet=alt.Facet("name:N", sort=list(shown.values()), header=header), columns=1).resolve_scale(y="independent")
    return parts.properties(description=f"{title}: what was and what is expected", spacing=12, padding=4).configure(**theme())


def _short_names(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return the frame with its users as a page shows them, and these names, each once."""
    users = frame["user_id"].unique(maintain_order=True).to_list()
    shown = dict(zip(users, distinct(users), strict=True))
    return frame.with_columns(pl.col("user_id").replace_strict(shown, return_dtype=pl.String)), list(shown.values())


def _names(names: list[str]) -> alt.Y:
    axis = alt.Axis(domain=False, ticks=False, labelLimit=0, grid=False)
    return alt.Y("user_id:N", sort=None, title=None, scale=alt.Scale(domain=names), axis=axis)

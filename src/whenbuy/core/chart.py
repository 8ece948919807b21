"""Charts: every picture that whenbuy draws, as an Altair specification or as SVG text.

Each function takes a small frame and returns a chart. The inks are mid-tones that read on white and on black; a page that knows its own
background repaints them with a style rule such as ``svg [fill="#6d7783"] { fill: … }``.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

import altair as alt
import polars as pl
import vl_convert

from whenbuy.core.text import label, printable

INK: Final = "#6d7783"
"""Words, ticks and axes."""
QUIET: Final = "#87919d"
"""What stands beside the answer: grid, references, what has already happened."""
ACCENT: Final = "#1674c4"
"""The answer itself."""
LINES: Final = (ACCENT, "#c1550b", "#00855f", "#a8568f", "#8a6d00", "#5a6fc0", INK)
"""Colours of lines that share a picture (after Okabe and Ito 2008): told apart without red and green, each with a dash of its own."""
PAPER: Final = ("#f2f7fc", "#8cbdea")
"""Grounds of their own, from the least to the most, on which ``PEN`` reads whatever lies behind them."""
PEN: Final = "#10263c"
DASHES: Final = ([1, 0], [7, 3], [2, 3])
FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_PERCENT: Final = "format(datum.value * 100, '.0f') + '\u202f%'"
_WHOLE: Final = "datum.value % 1 ? '' : datum.value < 1000 ? datum.value : format(datum.value, '.3~s')"
_COUNT: Final = "datum.value < 1000 ? format(datum.value, '~r') : format(datum.value, '.3~s')"
_DATE: Final = "[utcFormat(datum.value, '%-d %b'), !datum.index || utcdayofyear(datum.value) < 8 ? utcFormat(datum.value, '%Y') : '']"
_SHARE: Final = "format(datum.value * 100, '~r') + '\u202f%'"
_FINE: Final = "format(datum.value, '~r')"
_MONTH: Final = "[utcFormat(datum.value, '%b'), !datum.index || utcdayofyear(datum.value) < 8 ? utcFormat(datum.value, '%Y') : '']"
_CHANCE: Final = alt.Scale(domain=[0, 1])


def theme() -> dict[str, Any]:
    """Return the look that all charts share, as a Vega-Lite configuration."""
    axis = {
        "labelColor": INK, "titleColor": INK, "domainColor": QUIET, "tickColor": QUIET, "gridColor": QUIET, "gridOpacity": 0.28,
        "labelFontSize": 11, "labelLimit": 0,
        "titleFontSize": 11, "titleFontWeight": "normal", "titlePadding": 7, "labelPadding": 4, "tickSize": 4,
    }  # fmt: skip
    return {
        "aria": False,
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False, "labelFlush": True},
        "axisY": {"domain": False, "ticks": False},
        "legend": {
            "labelColor": INK,
            "titleColor": INK,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "labelLimit": 0,
        },
    }


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
        .encode(x=alt.X("day:Q", title="days from now", scale=alt.Scale(nice=False)), y=_chance("probability", "chance to have bought"))
    )
    if len(users) > 1:
        many: dict[str, Any] = {"field": "user_id", "type": "nominal", "title": "customer"}
        colours, dashes = ([palette[i % len(palette)] for i in range(len(users))] for palette in (LINES, DASHES))
        chart = chart.encode(
            color=alt.Color(**many, scale=alt.Scale(domain=users, range=colours)),
            strokeDash=alt.StrokeDash(**many, scale=alt.Scale(domain=users, range=dashes)),
        )
    width, height = (590, max(260, 60 + 17 * len(users))) if len(users) > 1 else (440, 260)
    return _finished(chart, f"Chance to have bought by each day, customers: {len(users)}", width, height, room=30 if len(users) > 1 else 4)


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
    area = base.mark_area(color=ACCENT, opacity=0.14).encode(y=_chance("probability", None, [0, 0.5, 1]))
    line = base.mark_line(color=ACCENT, strokeWidth=2.2).encode(y="probability:Q")
    dots = base.transform_filter(alt.FieldOneOfPredicate("day", list(horizons)))
    return _finished(
        area + average + line + dots.mark_circle(color=ACCENT, size=36, opacity=1).encode(y="probability:Q"), description, width, 150
    )


def histogram(frame: pl.DataFrame, title: str, description: str, width: int = 530) -> Any:
    """Return how many customers have a chance in each bucket.

    Parameters
    ----------
    frame
        ``low``, ``high``: bounds of the bucket (probabilities); ``customers``.
    title
        What the chance is about.
    """
    x = alt.X("low:Q", bin="binned", title=title, scale=_CHANCE, axis=alt.Axis(labelExpr=_PERCENT, tickCount=5))
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
    axis = alt.Axis(tickCount=5, labelExpr=_COUNT)
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
    y = alt.Y("orders:Q", title=title, scale=alt.Scale(domainMin=0), axis=alt.Axis(tickCount=3, labelExpr=_SHARE))
    chart = base.mark_bar(color=ACCENT).encode(y=y)
    if "visits" in frame.columns:
        look: dict[str, Any] = {"color": INK, "strokeWidth": 1.5, "strokeDash": [4, 3]}
        chart += base.mark_line(**look).encode(y="visits:Q")
    return _finished(chart, description, width, 150)


def monthly(frame: pl.DataFrame, title: str, description: str, width: int = 330) -> Any:
    """Return a number per month, as bars.

    Parameters
    ----------
    frame
        ``day`` (the first of the month), ``rate``.
    """
    points = _utc(frame, "day").with_columns(until=pl.col("day").dt.offset_by("1mo") - pl.duration(days=4))
    every = 1 if frame.height < 5 else 3 if frame.height < 16 else 6
    base = alt.Chart(points).encode(x=_date("day", _MONTH, values=points["day"].dt.epoch("ms").gather_every(every).to_list()), x2="until")
    y = alt.Y("rate:Q", title=title, axis=alt.Axis(tickCount=3, labelExpr=_COUNT))
    return _finished(base.mark_bar(color=ACCENT).encode(y=y, y2=alt.datum(0)), description, width, 150)


def by_cutoff(frame: pl.DataFrame, description: str, aim: float | None = None, width: int = 330) -> Any:
    """Return one score at each cutoff with its 95 % interval, beside that of the floor (dashed).

    Parameters
    ----------
    frame
        ``day`` (date of the cutoff), ``ours``, ``low``, ``high`` (its interval), ``floor``.
    aim
        The value of a perfect forecast, where it is drawn as a line.
    """
    points = _utc(frame, "day")
    edges = [value for name in ("ours", "low", "high", "floor") for value in points[name].drop_nulls().to_list()] + (
        [] if aim is None else [aim]
    )
    scale = alt.Scale(domain=[min(edges), max(edges)], nice=True, zero=False, clamp=False)
    y, x = (
        alt.Y("low:Q", title=None, scale=scale, axis=alt.Axis(tickCount=4, labelExpr=_FINE)),
        _date("day", values=points["day"].dt.epoch("ms").to_list()),
    )
    base = alt.Chart(points).encode(x=x)
    parts = base.mark_rule(color=ACCENT, strokeWidth=1.6).encode(y=y, y2="high")
    parts += base.mark_line(color=QUIET, strokeDash=[4, 3], strokeWidth=1.5, point=alt.OverlayMarkDef(color=QUIET, size=14)).encode(
        y="floor:Q"
    )
    parts += base.mark_circle(color=ACCENT, opacity=1, size=46).encode(y="ours:Q")
    if aim is not None:
        parts = alt.Chart(pl.DataFrame({"aim": [aim]})).mark_rule(color=QUIET, strokeWidth=1).encode(y="aim:Q") + parts
    return _finished(parts, description, width, 170)


def ranges(frame: pl.DataFrame, title: str) -> Any:
    """Return an amount per customer: its mean as a dot on the range of its quantiles, its median as a line.

    Parameters
    ----------
    frame
        ``user_id``, ``low``, ``middle``, ``high``, ``mean``.
    """
    rows, names = _short_names(frame)
    base = alt.Chart(rows).encode(y=_names(names))
    x = alt.X("low:Q", title=title, axis=alt.Axis(labelExpr=_COUNT, tickCount=6, grid=True))
    chart = base.mark_bar(color=ACCENT, opacity=0.25, height=9).encode(x=x, x2="high") + base.mark_tick(
        color=ACCENT, thickness=2, size=13
    ).encode(x="middle:Q")
    chart += base.mark_circle(color=ACCENT, opacity=1, size=46).encode(x="mean:Q")
    return _finished(chart, f"{title}, customers: {len(names)}", 440, 60 + 20 * len(names))


def chances(frame: pl.DataFrame, title: str) -> Any:
    """Return a chance per customer, as bars.

    Parameters
    ----------
    frame
        ``user_id``, ``probability``.
    """
    rows, names = _short_names(frame)
    x = alt.X("probability:Q", title=title, scale=_CHANCE, axis=alt.Axis(labelExpr=_PERCENT, tickCount=5, grid=True))
    chart = alt.Chart(rows).mark_bar(color=ACCENT, height=11).encode(x=x, y=_names(names))
    return _finished(chart, f"{title}, customers: {len(names)}", 440, 60 + 20 * len(names))


def shares(frame: pl.DataFrame, title: str) -> Any:
    """Return which share of all each group has, as bars.

    Parameters
    ----------
    frame
        ``name`` (in the order to be drawn), ``share``.
    """
    names = _distinct(frame["name"].to_list(), 40)
    rows = pl.DataFrame({"user_id": names, "share": frame["share"]}, schema_overrides={"share": pl.Float64})
    x = alt.X("share:Q", title=title, scale=alt.Scale(domainMin=0), axis=alt.Axis(labelExpr=_SHARE, tickCount=5, grid=True))
    chart = alt.Chart(rows).mark_bar(color=ACCENT, height=11).encode(x=x, y=_names(names))
    return _finished(chart, f"{title}, groups: {len(names)}", 480, 60 + 20 * len(names))


def reasons(frame: pl.DataFrame, title: str, *, signed: bool = True) -> Any:
    """Return reasons as bars with their sizes: to the right what raises a chance, to the left, in another colour, what lowers it.

    Parameters
    ----------
    frame
        ``reason`` (in the order to be drawn), ``points``.
    signed
        Whether the sizes carry a sign.
    """
    names, points = _distinct(frame["reason"].to_list(), 60), frame["points"].to_list()
    sizes = [f"{each:{'+' if signed else ''}.1f}".replace("-", "−") for each in points]
    rows = pl.DataFrame({"user_id": names, "points": points, "size": sizes}, schema_overrides={"points": pl.Float64})
    edge = 1.25 * max([1.0, *map(abs, points)])
    x = alt.X("points:Q", title="percentage points", scale=alt.Scale(domain=[-edge if min(points, default=0.0) < 0 else 0.0, edge]))
    base = alt.Chart(rows).encode(x=x, y=_names(names))
    bars = base.mark_bar(height=11).encode(color=alt.when("datum.points > 0").then(alt.value(ACCENT)).otherwise(alt.value(LINES[1])))
    right = base.transform_filter("datum.points >= 0").mark_text(align="left", dx=4, color=INK).encode(text="size:N")
    left = base.transform_filter("datum.points < 0").mark_text(align="right", dx=-4, color=INK).encode(text="size:N")
    return _finished(bars + right + left, title, 560, 60 + 20 * len(names))


def classes(frame: pl.DataFrame, title: str) -> Any:
    """Return the chance of each class per customer: the darker, the likelier, with the chance in words.

    Parameters
    ----------
    frame
        ``user_id``, ``class`` (in the order to be drawn), ``probability``.
    """
    rows, names = _short_names(frame)
    columns = dict(zip(found := frame["class"].unique(maintain_order=True).to_list(), _distinct(found, 18), strict=True))
    rows = rows.with_columns(pl.col("class").replace_strict(columns, return_dtype=pl.String))
    axis = alt.Axis(orient="top", labelAngle=-35, labelAlign="left", domain=False, ticks=False)
    base = alt.Chart(rows).encode(
        x=alt.X("class:N", sort=None, title=None, axis=axis, scale=alt.Scale(domain=list(columns.values()))), y=_names(names)
    )
    cells = base.mark_rect().encode(color=alt.Color("probability:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=list(PAPER))))
    said = (
        base.mark_text(color=PEN, fontSize=11)
        .encode(text="said:N")
        .transform_calculate(said=_PERCENT.replace("datum.value", "datum.probability"))
    )
    return _finished(cells + said, f"{title}, customers: {len(names)}", 150 + 46 * len(columns), 110 + 22 * len(names), room=60)


def daily_orders(frame: pl.DataFrame, description: str, width: int = 530) -> Any:
    """Return the shop's orders per day: those counted before the forecast and those expected after it.

    Parameters
    ----------
    frame
        ``day`` (date), ``orders``, ``part``: "counted" or "expected".
    """
    points = _utc(frame, "day")
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
            x=_date("day", values=ticks),
            x2="until",
            y=alt.Y("orders:Q", title="orders per day", axis=alt.Axis(tickCount=5, labelExpr=_COUNT)),
            y2=alt.datum(0),
            color=parts,
        )
    )
    return _finished(chart, description, width, 230)


def activity(frame: pl.DataFrame, unit: str, description: str, width: int = 330) -> Any:
    """Return how many events of one kind the log holds, day by day or week by week.

    Parameters
    ----------
    frame
        ``day`` (date at which the day or week begins), ``events``.
    unit
        "day" or "week".
    """
    base = alt.Chart(_utc(frame, "day")).encode(
        x=_date("day", tickCount=3), y=alt.Y("events:Q", title=f"per {unit}", axis=alt.Axis(tickCount=3, labelExpr=_WHOLE))
    )
    chart = base.mark_area(color=ACCENT, opacity=0.14) + base.mark_line(color=ACCENT, strokeWidth=1.6, point=frame.height == 1)
    return _finished(chart, description, width, 150)


def activities(runs: Mapping[str, pl.DataFrame], unit: str) -> Any:
    """Return how many events of each kind a log holds, below each other, each with its own scale.

    Parameters
    ----------
    runs
        By kind, ``day`` (date at which the day or week begins) and ``events``.
    unit
        "day" or "week".
    """
    names = _distinct(list(runs), 40)
    rows = pl.concat(
        [
            part.select(pl.lit(name).alias("kind"), "day", pl.col("events").cast(pl.Int64))
            for name, part in zip(names, runs.values(), strict=True)
        ]
    )
    base = alt.Chart(_utc(rows, "day")).encode(
        x=_date("day", tickCount=6), y=alt.Y("events:Q", title=f"per {unit}", axis=alt.Axis(tickCount=3, labelExpr=_WHOLE))
    )
    one = (base.mark_area(color=ACCENT, opacity=0.14) + base.mark_line(color=ACCENT, strokeWidth=1.6)).properties(width=520, height=70)
    header = alt.Header(title=None, labelColor=INK, labelFontSize=12, labelFontWeight="bold", labelAnchor="start", labelPadding=2)
    parts = one.facet(facet=alt.Facet("kind:N", sort=names, header=header), columns=1).resolve_scale(y="independent")
    return parts.properties(description=f"Events per {unit}: {', '.join(names)}", spacing=12, padding=4).configure(**theme())


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
    shown = dict(zip(known, _distinct(known, 40), strict=True))
    rows = _utc(frame.with_columns(pl.col("name").replace_strict(shown, return_dtype=pl.String)), "day")
    base = alt.Chart(rows).encode(x=_date("day", tickCount=6))
    axis = alt.Axis(tickCount=4, labelExpr=_COUNT)
    y = {part: alt.Y(f"{part}:Q", title=None, axis=axis) for part in ("low", "inner_low", "value", "mean")}
    outer = base.mark_area(color=ACCENT, opacity=0.16).encode(y=y["low"], y2="high:Q")
    inner = base.mark_area(color=ACCENT, opacity=0.26).encode(y=y["inner_low"], y2="inner_high:Q")
    was, told = base.mark_line(color=QUIET).encode(y=y["value"]), base.mark_line(color=ACCENT).encode(y=y["mean"])
    one = (outer + inner + was + told).properties(width=width - 40, height=110 if len(known) > 1 else 200)
    header = alt.Header(title=None, labelColor=INK, labelFontSize=12, labelFontWeight="bold", labelAnchor="start", labelPadding=2)
    parts = one.facet(facet=alt.Facet("name:N", sort=list(shown.values()), header=header), columns=1).resolve_scale(y="independent")
    return parts.properties(description=f"{title}: what was and what is expected", spacing=12, padding=4).configure(**theme())


def reliability(frame: pl.DataFrame, description: str, width: int = 330) -> Any:
    """Return the chance that was promised against the share that really bought, with 95 % intervals and the diagonal of a perfect forecast.

    Parameters
    ----------
    frame
        ``mean_probability``, ``share_bought``, ``low``, ``high`` (bounds of the share), ``n`` (customers in the bucket).
    """
    ticks = [0, 0.25, 0.5, 0.75, 1]
    x = alt.X("mean_probability:Q", title="promised", scale=_CHANCE, axis=alt.Axis(values=ticks, labelExpr=_PERCENT))
    perfect = alt.Chart(pl.DataFrame({"mean_probability": [0.0, 1.0]})).mark_line(color=QUIET, strokeDash=[4, 3], strokeWidth=1.5)
    base = alt.Chart(frame).encode(x=x)
    bars = base.mark_rule(color=ACCENT, strokeWidth=1.6).encode(y=_chance("low", "came true", ticks), y2="high")
    dots = base.mark_circle(color=ACCENT, opacity=1).encode(
        y="share_bought:Q", size=alt.Size("n:Q", legend=None, scale=alt.Scale(domainMin=0, range=[12, 90]))
    )
    return _finished(perfect.encode(x=x, y=_chance("mean_probability", "came true", ticks)) + bars + dots, description, width, 240)


def svg(chart: Any) -> str:
    """Return a chart as SVG text that needs no script and no network; its description becomes its accessible name."""
    text = vl_convert.vegalite_to_svg(_printable(chart.to_dict(validate=False)))
    name = chart.description if isinstance(chart.description, str) else "Chart"
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(printable(name))}" ', 1)


def _printable(spec: Any) -> Any:
    """Return the specification with all its texts printable: the renderer aborts the whole process at a control character."""
    if isinstance(spec, str):
        return printable(spec)
    if isinstance(spec, dict):
        return {key: _printable(value) for key, value in spec.items()}
    return [_printable(value) for value in spec] if isinstance(spec, list) else spec


def _finished(chart: Any, description: str, width: int, height: int, room: int = 4) -> Any:
    """Return the chart in the shared look; width and height include its axes, in pixels; ``room`` at the right for wider fonts."""
    fit = alt.AutoSizeParams(type="fit", contains="padding")
    return chart.properties(
        width=width, height=height, autosize=fit, padding={"left": 4, "top": 4, "bottom": 4, "right": room}, description=description
    ).configure(**theme())


def _buckets(frame: pl.DataFrame, x: alt.X, what: str, description: str, width: int, height: int) -> Any:
    y = alt.Y(f"{what}:Q", title=what, axis=alt.Axis(tickCount=5 if height > 200 else 3, labelExpr=_WHOLE))
    bars = alt.Chart(frame).mark_bar(color=ACCENT, stroke="transparent", strokeWidth=2).encode(x=x, x2="high", y=y)
    return _finished(bars, description, width, height)


def _short_names(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return the frame with its users as a page shows them, and these names, each once."""
    users = frame["user_id"].unique(maintain_order=True).to_list()
    shown = dict(zip(users, _distinct(users), strict=True))
    return frame.with_columns(pl.col("user_id").replace_strict(shown, return_dtype=pl.String)), list(shown.values())


def _distinct(names: list[str], longest: int = 28) -> list[str]:
    """Return short forms of names, all of them different."""
    shown: dict[str, None] = {}
    for name in names:
        short = label(name, longest)
        shown[short if short not in shown else f"{short} ({len(shown) + 1})"] = None
    return list(shown)


def _names(names: list[str]) -> alt.Y:
    axis = alt.Axis(domain=False, ticks=False, labelLimit=0, grid=False)
    return alt.Y("user_id:N", sort=None, title=None, scale=alt.Scale(domain=names), axis=axis)


def _chance(field: str, title: str | None, ticks: list[float] | None = None) -> alt.Y:
    axis = alt.Axis(labelExpr=_PERCENT, values=alt.Undefined if ticks is None else ticks)
    return alt.Y(f"{field}:Q", title=title, scale=_CHANCE, axis=axis)


def _date(field: str, words: str = _DATE, **ticks: Any) -> alt.X:
    axis = alt.Axis(labelExpr=words, labelOverlap=True, **ticks)
    return alt.X(f"{field}:T", title=None, scale=alt.Scale(type="utc"), axis=axis)


def _utc(frame: pl.DataFrame, field: str) -> pl.DataFrame:
    """Return the frame with its dates as UTC midnights (the machine's own zone cannot move them) and ``until``, where a day's bar ends."""
    return frame.with_columns(pl.col(field).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")).with_columns(
        until=pl.col(field) + pl.duration(hours=20)
    )

"""Charts: every picture that whenbuy draws, as an Altair specification or as SVG text.

Each function takes a small frame and returns a chart. The inks are mid-tones that read on white and on black; a page that knows its own
background repaints them with a style rule such as ``svg [fill="#66707c"] { fill: … }``.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any, Final

import altair as alt
import polars as pl
import vl_convert

INK: Final = "#66707c"
"""Words, ticks and axes."""
QUIET: Final = "#87919d"
"""What stands beside the answer: grid, references, what has already happened."""
ACCENT: Final = "#1674c4"
"""The answer itself."""
LINES: Final = (ACCENT, "#c1550b", "#00855f", "#a8568f", "#8a6d00", "#5a6fc0", INK)
"""Colours of lines that share a picture (after Okabe and Ito 2008): told apart without red and green, each with a dash of its own."""
DASHES: Final = ([1, 0], [7, 3], [2, 3])
FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_PERCENT: Final = "format(datum.value * 100, '.0f') + '\u202f%'"
_WHOLE: Final = "datum.value % 1 ? '' : datum.value < 1000 ? datum.value : format(datum.value, '.3~s')"
_COUNT: Final = "datum.value < 1000 ? format(datum.value, '~r') : format(datum.value, '.3~s')"
_DATE: Final = "[utcFormat(datum.value, '%-d %b'), !datum.index || utcdayofyear(datum.value) < 8 ? utcFormat(datum.value, '%Y') : '']"
_CHANCE: Final = alt.Scale(domain=[0, 1])
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


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
    ids = frame["user_id"].unique(maintain_order=True).to_list()
    shown: dict[str, str] = {}
    for name in ids:
        short = label(name)
        shown[name] = short if short not in shown.values() else f"{short} ({len(shown) + 1})"
    users = list(shown.values())
    start = pl.DataFrame({"user_id": users, "day": 0.0, "probability": 0.0})
    named = pl.col("user_id").replace_strict(shown, return_dtype=pl.String)
    points = pl.concat([start, frame.select(named, pl.col("day", "probability").cast(pl.Float64))])
    chart = (
        alt.Chart(points)
        .mark_line(strokeWidth=2, color=ACCENT)
        .encode(x=alt.X("day:Q", title="days from now"), y=_chance("probability", "chance to have bought"))
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
    chart = (
        alt.Chart(frame)
        .mark_bar(color=ACCENT, stroke="transparent", strokeWidth=2)
        .encode(
            x=alt.X("low:Q", bin="binned", title=title, scale=_CHANCE, axis=alt.Axis(labelExpr=_PERCENT, tickCount=5)),
            x2="high",
            y=alt.Y("customers:Q", title="customers", axis=alt.Axis(tickCount=5, labelExpr=_WHOLE)),
        )
    )
    return _finished(chart, description, width, 230)


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


def printable(text: str) -> str:
    """Return the text with a replacement mark for what no page can show: control characters and overrides of the writing direction."""
    return _UNPRINTABLE.sub("\ufffd", text)


def label(name: str, longest: int = 28) -> str:
    """Return a name as a page shows it: printable, in quotes where there is nothing to see, without its middle where it is long."""
    clean = printable(name[: 2 * longest] + name[-longest:] if len(name) > 3 * longest else name)
    if not clean.strip():
        return f"“{clean[:longest]}”"
    return clean if len(clean) <= longest else f"{clean[: longest - 8]}…{clean[-7:]}"


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


def _chance(field: str, title: str | None, ticks: list[float] | None = None) -> alt.Y:
    axis = alt.Axis(labelExpr=_PERCENT, values=alt.Undefined if ticks is None else ticks)
    return alt.Y(f"{field}:Q", title=title, scale=_CHANCE, axis=axis)


def _date(field: str, **ticks: Any) -> alt.X:
    axis = alt.Axis(labelExpr=_DATE, labelOverlap=True, **ticks)
    return alt.X(f"{field}:T", title=None, scale=alt.Scale(type="utc"), axis=axis)


def _utc(frame: pl.DataFrame, field: str) -> pl.DataFrame:
    """Return the frame with its dates as UTC midnights (the machine's own zone cannot move them) and ``until``, where a day's bar ends."""
    return frame.with_columns(pl.col(field).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")).with_columns(
        until=pl.col(field) + pl.duration(hours=20)
    )

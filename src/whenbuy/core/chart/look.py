"""The look that all charts share, and how a chart becomes SVG text.

The inks are mid-tones that read on white and on black; a page that knows its own background repaints them with a style rule such as
``svg [fill="#6d7783"] { fill: … }``.
"""

from __future__ import annotations

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
PERCENT: Final = "format(datum.value * 100, '.0f') + '\u202f%'"
WHOLE: Final = "datum.value % 1 ? '' : datum.value < 1000 ? datum.value : format(datum.value, '.3~s')"
COUNT: Final = "datum.value < 1000 ? format(datum.value, '~r') : format(datum.value, '.3~s')"
DATE: Final = "[utcFormat(datum.value, '%-d %b'), !datum.index || utcdayofyear(datum.value) < 8 ? utcFormat(datum.value, '%Y') : '']"
SHARE: Final = "format(datum.value * 100, '~r') + '\u202f%'"
CHANCE: Final = alt.Scale(domain=[0, 1])


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


def finished(chart: Any, description: str, width: int, height: int, room: int = 4) -> Any:
    """Return the chart in the shared look; width and height include its axes, in pixels; ``room`` at the right for wider fonts."""
    fit = alt.AutoSizeParams(type="fit", contains="padding")
    return chart.properties(
        width=width, height=height, autosize=fit, padding={"left": 4, "top": 4, "bottom": 4, "right": room}, description=description
    ).configure(**theme())


def distinct(names: list[str], longest: int = 28) -> list[str]:
    """Return short forms of names, all of them different."""
    shown: dict[str, None] = {}
    for name in names:
        short = label(name, longest)
        shown[short if short not in shown else f"{short} ({len(shown) + 1})"] = None
    return list(shown)


def chance(field: str, title: str | None, ticks: list[float] | None = None) -> alt.Y:
    """Return an upright axis of chances, in percent."""
    axis = alt.Axis(labelExpr=PERCENT, values=alt.Undefined if ticks is None else ticks)
    return alt.Y(f"{field}:Q", title=title, scale=CHANCE, axis=axis)


def date(field: str, words: str = DATE, **ticks: Any) -> alt.X:
    """Return a level axis of UTC days."""
    axis = alt.Axis(labelExpr=words, labelOverlap=True, **ticks)
    return alt.X(f"{field}:T", title=None, scale=alt.Scale(type="utc"), axis=axis)


def utc(frame: pl.DataFrame, field: str) -> pl.DataFrame:
    """Return the frame with its dates as UTC midnights (the machine's own zone cannot move them) and ``until``, where a day's bar ends."""
    return frame.with_columns(pl.col(field).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")).with_columns(
        until=pl.col(field) + pl.duration(hours=20)
    )

"""Cards: what a notebook shows of a thing, as a small piece of HTML that runs no script and survives a sanitiser.

Only plain elements, ``style`` attributes of common properties with literal values, and pictures as SVG inside an ``img``: that is what
JupyterLab's sanitiser lets through (its lists of tags, attributes and styles), and what reads on a light and on a dark page.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from datetime import date, datetime
from html import escape
from typing import Any, Final

import polars as pl

from whenbuy.core.text import label, printable

ROWS: Final = 10
"""How many rows a card shows."""
COLUMNS: Final = 12
"""How many columns a card shows."""
_LONG: Final = 48

_CELL: Final = "padding:3px 10px 3px 0; border-top:1px solid #9aa3ad; vertical-align:top"
_QUIET: Final = "opacity:0.75; font-size:12px; margin:4px 0"


def card(
    title: str,
    sentence: str,
    table: pl.DataFrame | None = None,
    *,
    chart: Any = None,
    note: str = "",
    rows: int | None = None,
    most: int = ROWS,
) -> str:
    """Return a thing as HTML: its name, one sentence, a picture, a few rows.

    Parameters
    ----------
    title, sentence, note
        Plain text.
    table
        The rows, of which the first ``most`` are shown.
    chart
        A chart as core.chart draws them.
    rows
        How many rows the thing has, where the table is only the beginning; those of the table by default.
    most
        How many of them are shown.
    """
    parts = [
        f'<div style="margin:4px 0 10px 0"><strong>{_text(title)}</strong></div>',
        f'<p style="margin:2px 0 8px 0; max-width:640px">{_text(sentence)}</p>',
        "" if chart is None else picture(chart),
    ]
    if table is not None and table.height:
        parts.append(_table(table.head(most)))
        rows = table.height if rows is None else rows
        if rows > min(table.height, most):
            parts.append(f'<p style="{_QUIET}">The first {min(table.height, most)} of {rows:,} rows; frame() has them all.</p>')
    parts.append(f'<p style="{_QUIET}">{_text(note)}</p>' if note else "")
    return f'<div style="margin:6px 0">{"".join(parts)}</div>'


def picture(chart: Any) -> str:
    """Return a chart as an image that holds its SVG; its description is its text."""
    from whenbuy.core.chart.look import svg

    words = chart.description if isinstance(chart.description, str) else "Chart"
    source = b64encode(svg(chart).encode()).decode("ascii")
    return f'<img alt="{_text(words)}" style="max-width:100%; margin:0 0 6px 0" src="data:image/svg+xml;base64,{source}">'


def percent(share: float) -> str:
    """Return a chance in whole percent; what is not certain is never shown as 0 or 100."""
    return "<1 %" if share < 0.01 else ">99 %" if share > 0.99 else f"{100 * share:.0f} %"


def _table(table: pl.DataFrame) -> str:
    shown = table.columns[:COLUMNS]
    numbers = {name for name in shown if table.schema[name].is_numeric()}
    head = "".join(f'<th scope="col" style="{_CELL}; {_side(name in numbers)}">{_text(name)}</th>' for name in shown)
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{_CELL}; {_side(name in numbers)}{_wrap(row[name])}">{_text(_cell(row[name]))}</td>' for name in shown)
        + "</tr>"
        for row in table.select(shown).iter_rows(named=True)
    )
    hidden = len(table.columns) - len(shown)
    more = f'<p style="{_QUIET}">{hidden} further columns are in frame().</p>' if hidden else ""
    return f'<table style="border-collapse:collapse; font-size:13px"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}'


def _side(right: bool) -> str:
    return f"text-align:{'right' if right else 'left'}"


def _wrap(value: object) -> str:
    return "" if isinstance(value, str) else "; white-space:nowrap"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:,.4g}" if abs(value) < 1e6 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if (value.hour, value.minute) == (0, 0) else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_cell(each) for each in value[:4]) + (" …" if len(value) > 4 else "")
    return str(value)


def _text(words: str) -> str:
    """Return words as they may stand in HTML: short, printable and escaped."""
    return escape(printable(words) if len(words) <= 600 and " " in words else label(words, _LONG))

"""Pictures of how good forecasts were. Each function takes a small frame and returns a chart."""

from __future__ import annotations

from typing import Any, Final

import altair as alt
import polars as pl

from whenbuy.core.chart.look import ACCENT, CHANCE, PERCENT, QUIET, chance, date, finished, utc

_FINE: Final = "format(datum.value, '~r')"


def by_cutoff(frame: pl.DataFrame, description: str, aim: float | None = None, width: int = 330) -> Any:
    """Return one score at each cutoff with its 95 % interval, beside that of the floor (dashed).

    Parameters
    ----------
    frame
        ``day`` (date of the cutoff), ``ours``, ``low``, ``high`` (its interval), ``floor``.
    aim
        The value of a perfect forecast, where it is drawn as a line.
    """
    points = utc(frame, "day")
    edges = [value for name in ("ours", "low", "high", "floor") for value in points[name].drop_nulls().to_list()] + (
        [] if aim is None else [aim]
    )
    scale = alt.Scale(domain=[min(edges), max(edges)], nice=True, zero=False, clamp=False)
    y, x = (
        alt.Y("low:Q", title=None, scale=scale, axis=alt.Axis(tickCount=4, labelExpr=_FINE)),
        date("day", values=points["day"].dt.epoch("ms").to_list()),
    )
    base = alt.Chart(points).encode(x=x)
    parts = base.mark_rule(color=ACCENT, strokeWidth=1.6).encode(y=y, y2="high")
    parts += base.mark_line(color=QUIET, strokeDash=[4, 3], strokeWidth=1.5, point=alt.OverlayMarkDef(color=QUIET, size=14)).encode(
        y="floor:Q"
    )
    parts += base.mark_circle(color=ACCENT, opacity=1, size=46).encode(y="ours:Q")
    if aim is not None:
        parts = alt.Chart(pl.DataFrame({"aim": [aim]})).mark_rule(color=QUIET, strokeWidth=1).encode(y="aim:Q") + parts
    return finished(parts, description, width, 170)


def reliability(frame: pl.DataFrame, description: str, width: int = 330) -> Any:
    """Return the chance that was promised against the share that really bought, with 95 % intervals and the diagonal of a perfect forecast.

    Parameters
    ----------
    frame
        ``mean_probability``, ``share_bought``, ``low``, ``high`` (bounds of the share), ``n`` (customers in the bucket).
    """
    ticks = [0, 0.25, 0.5, 0.75, 1]
    x = alt.X("mean_probability:Q", title="promised", scale=CHANCE, axis=alt.Axis(values=ticks, labelExpr=PERCENT))
    perfect = alt.Chart(pl.DataFrame({"mean_probability": [0.0, 1.0]})).mark_line(color=QUIET, strokeDash=[4, 3], strokeWidth=1.5)
    base = alt.Chart(frame).encode(x=x)
    bars = base.mark_rule(color=ACCENT, strokeWidth=1.6).encode(y=chance("low", "came true", ticks), y2="high")
    dots = base.mark_circle(color=ACCENT, opacity=1).encode(
        y="share_bought:Q", size=alt.Size("n:Q", legend=None, scale=alt.Scale(domainMin=0, range=[12, 90]))
    )
    return finished(perfect.encode(x=x, y=chance("mean_probability", "came true", ticks)) + bars + dots, description, width, 240)

"""Charts: every picture that whenbuy draws, as an Altair specification or as SVG text."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl
import vl_convert

INK, ACCENT = "#5b6472", "#2f6fdd"


def curves(frame: pl.DataFrame) -> Any:
    """Return the chance to have bought by each day, a line per user.

    Parameters
    ----------
    frame
        ``user_id``, ``day``, ``probability`` as TimeToEvent.frame gives them.
    """
    start = frame.select("user_id").unique(maintain_order=True).with_columns(day=pl.lit(0.0), probability=pl.lit(0.0))
    points = pl.concat([start, frame.select("user_id", "day", "probability")])
    many = points["user_id"].n_unique() > 1
    colour = alt.Color("user_id:N", title="customer") if many else alt.value(ACCENT)
    return (
        alt.Chart(points, width=420, height=220)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("day:Q", title="days from now"),
            y=alt.Y("probability:Q", title="chance to have bought", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            color=colour,
        )
    )


def svg(chart: Any) -> str:
    """Return a chart as SVG text that needs no script and no network."""
    return vl_convert.vegalite_to_svg(chart.to_json())

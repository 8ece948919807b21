"""Say what a message may cost at each customer where no trial says what it adds: `whenbuy bids`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.core.text import label
from whenbuy.pipeline.deciding.bids import response_bids
from whenbuy.pipeline.deciding.planning import margin_of
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import money
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.standing import stand

_LISTED: Final = 15
_COUNTS: Final = (
    "Orders that would have come anyway are counted: where some were shown nothing by lot, `whenbuy audience` bids by what is added."
)


def bids(folder: Path | None, as_of: str | None, *, margin: float | None, keep: float, out: Path | None, say: Say) -> Result:
    """Return what a message may cost at each customer: P(click) x P(buys | click) x what an order earns, the highest first.

    Raises
    ------
    UsageError
        When the model does not answer ``response`` and ``conversion``, or a number is impossible.
    SettingsError
        When nothing says what an order earns.
    """
    if out is not None:
        require_ending(out)
    here = stand(folder, as_of, None, say)
    table = response_bids(here.outlook, margin_of(here.settings) if margin is None else margin, keep=keep)
    facts = {"as_of": here.shown, "model": here.model, "customers": len(table), "value": float(table["value"].sum())}
    if out is not None:
        write_frame(table, out)
        return Result(facts | {"files": [str(out)]}, after=(f"{len(table):,} customers are in {out}.", _COUNTS))
    return Result(facts, table, "bids", (_screen(table, here.shown, here.settings.shop.currency),), after=(_COUNTS,))


def _screen(table: pl.DataFrame, stands: str, currency: str) -> Screen:
    rows = tuple(
        (label(row["user_id"]), *(money(row[key], currency) for key in ("value", "bid", "bid_click")))
        for row in table.head(_LISTED).iter_rows(named=True)
    )
    more = () if len(table) <= _LISTED else (f"{len(table) - _LISTED:,} more: --out FILE has them all.",)
    heads = ("customer", "worth of a message>", "bid>", "bid per click>")
    return Screen(f"As of {stands}, what a message may cost at each customer:", heads, rows, more)

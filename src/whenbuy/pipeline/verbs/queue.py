"""Say whom to look at first: what `whenbuy queue` does."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.history import History
from whenbuy.core.text import label
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.answering.churn import Churn, churn
from whenbuy.pipeline.answering.risk import risk
from whenbuy.pipeline.answering.service import service
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import percent
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

_LISTED: Final = 20


def queue(folder: Path | None, as_of: str | None, *, what: Literal["service", "risk"], days: float, out: Path | None, say: Say) -> Result:
    """Return who waits for an answer, or what looks wrong, the most urgent first.

    Raises
    ------
    NotEnoughDataError
        When the log has no enquiries.
    NotFoundError
        When there is no shop, or (for the service) no model.
    UsageError
        When a file has another ending.
    """
    if out is not None:
        require_ending(out)
    home = find_shop(folder)
    home.settings(RULES)
    history = open_log(home.log)
    instant = moment(history, as_of, say)
    stands = history.clock.show(history.end if instant is None else instant)
    notes: tuple[str, ...] = ()
    if what == "service":
        id, forecaster = champion.answering(home, instant)
        say(f"asking {id} who may buy")
        frame = service(history, forecaster.predict(history, instant), _churn(history, instant))
        screen = _waiting(frame, stands)
    else:
        say("looking for what is unusual")
        found = risk(history, instant, days=days)
        frame, notes = found.frame, found.notes
        screen = _risky(frame, stands)
    facts = {"as_of": stands, "for": what, "rows": len(frame), "notes": list(notes), "files": [] if out is None else [str(out)]}
    if out is not None:
        write_frame(frame, out)
        return Result(facts, after=(*notes, f"{len(frame):,} rows as of {stands} are in {out}."))
    return Result(facts, frame, "queue", (screen,), after=notes)


def _churn(history: History, instant: int | None) -> Churn | None:
    try:
        return churn(history, instant)
    except NotEnoughDataError:
        return None  # the log does not say what bad service costs


def _waiting(frame: pl.DataFrame, stands: str) -> Screen:
    rows = tuple(
        (
            label(row["user_id"]), f"{row['waited_hours']:.0f} h", row["topic"] or "–", percent(row["p_purchase"]), f"{row['value']:,.0f}",
            row["need"] or "–", row["show"],
        )
        for row in frame.head(_LISTED).to_dicts()
    )  # fmt: skip
    heads = ("customer", "waits>", "asks about", "buys>", "worth>", "probably needs", "show")
    return Screen(f"As of {stands}, {len(frame):,} customers wait for an answer; in this order:", heads, rows, _more(frame))


def _risky(frame: pl.DataFrame, stands: str) -> Screen:
    rows = tuple(
        (
            row["what"], label(row["order_id"] or row["user_id"]), "" if row["chance"] is None else percent(row["chance"]),
            f"{row['at_stake']:,.2f}", row["reasons"] or "–",
        )
        for row in frame.head(_LISTED).to_dicts()
    )  # fmt: skip
    return Screen(f"As of {stands}, look at these first:", ("what", "which", "comes back>", "at stake>", "why"), rows, _more(frame))


def _more(frame: pl.DataFrame) -> tuple[str, ...]:
    return () if len(frame) <= _LISTED else (f"{len(frame) - _LISTED:,} more: --out FILE",)

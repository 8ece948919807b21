"""Say who is lost and why: what `whenbuy churn` does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.errors import UsageError
from whenbuy.core.text import label
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.answering.churn import Churn, sized
from whenbuy.pipeline.answering.churn import churn as told
from whenbuy.pipeline.answering.trails import CAUSES
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import percent
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

_LISTED: Final = 20
_CAUSES: Final = "Reasons are what the law of leaving makes of what befell her; they were not tried by experiment."
_NONE: Final = (
    f"Why is not said: the log tells of no trouble that a shop can change ({', '.join(CAUSES.values())}). Send such events along, or say "
    "which kinds of yours tell of them: --cause delivery=NAME."
)


def churn(
    folder: Path | None, users: Sequence[str] | None, as_of: str | None, *, causes: Sequence[str], out: Path | None, say: Say
) -> Result:
    """Return who is lost, since when, and why; of the customers named, or of everybody.

    Raises
    ------
    UsageError
        When a cause is not written as CAUSE=KIND, or a file has another ending.
    NotEnoughDataError
        When the log tells of too few customers.
    NotFoundError
        When somebody named did nothing before that moment.
    """
    if out is not None:
        require_ending(out)
    home = find_shop(folder)
    home.settings(RULES)
    history = open_log(home.log)
    instant = moment(history, as_of, say)
    say("learning what drives customers away")
    found = told(history, instant, users or None, _named(causes))
    frame = found.frame()
    facts = {
        "as_of": history.clock.show(found.as_of), "customers": len(found), "lost": float(found.chance.sum()), "causes": _harms(found),
        "reasons": found.reasons().to_dicts() if users else [], "files": [] if out is None else [str(out)],
    }  # fmt: skip
    if out is not None:
        write_frame(frame, out)
        return Result(facts, after=(f"What is said of {len(frame):,} customers as of {facts['as_of']} is in {out}.", _CAUSES))
    customers = _customers(frame, found, str(facts["as_of"]))
    if not found.trails.causes:
        return Result(facts, frame, "churn", (customers,), after=(_NONE,))
    return Result(facts, frame, "churn", (customers, _overall(found)), after=(_CAUSES,))


def _named(causes: Sequence[str]) -> Mapping[str, str]:
    named = dict(CAUSES)
    for one in causes:
        cause, equals, kind = one.partition("=")
        if not (cause and equals and kind):
            raise UsageError(f"--cause {one} was given.", "It is written as CAUSE=KIND.", "For example: --cause delivery=parcel_late")
        named[cause] = kind
    return named


def _harms(found: Churn) -> list[dict[str, object]]:
    """Return what is learned of each cause."""
    part = found.parts.sum(axis=0)
    return [
        {"cause": cause, "lost": float(part[place]), "harm_of_one": float(found.law.harm[place])}
        for place, cause in enumerate(found.trails.causes)
    ]


def _customers(frame: pl.DataFrame, found: Churn, stands: str) -> Screen:
    """Return those who are likely lost, the latest ones first: they may still be won back."""
    gone = frame.filter(pl.col("p_lost") >= 0.5).sort("last_seen", descending=True) if len(frame) > _LISTED else frame
    rows = tuple(
        (
            label(row["user_id"]), percent(row["p_lost"]), str(row["last_seen"])[:10], str(row["lost_on"] or "–"), row["reasons"] or "–",
            sized(100 * row["cannot_change"]),
        )
        for row in gone.head(_LISTED).to_dicts()
    )  # fmt: skip
    below = (f"{len(frame) - len(rows):,} more: --out FILE",) if len(frame) > len(rows) else ()
    heads = ("customer", "lost>", "last seen", "lost on", "what the shop can change", "what it cannot>")
    told = len(heads) if found.trails.causes else 4
    return Screen(
        f"As of {stands}, {found.chance.sum():,.0f} of {len(found):,} customers are lost; the latest ones:",
        heads[:told],
        tuple(row[:told] for row in rows),
        below,
    )


def _overall(found: Churn) -> Screen:
    """Return how many customers each cause drove away."""
    part = found.parts.sum(axis=0)
    once = [f"{-100 * math.expm1(-harm):.1f} %" for harm in found.law.harm.tolist()]
    order = sorted(range(len(part)), key=lambda place: -part[place])
    rows = [(found.trails.causes[place], f"{part[place]:,.0f}", once[place]) for place in order]
    rows.append(("none of these", f"{found.own.sum():,.0f}", ""))
    return Screen("What drove them away:", ("cause", "customers>", "one such event drives away>"), tuple(rows))

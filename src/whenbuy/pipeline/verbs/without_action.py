"""Forecast customers as if nothing were sent to them: `whenbuy predict --without-action`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from whenbuy.pipeline.deciding.learned import shows_offers
from whenbuy.pipeline.deciding.without import WithoutAction
from whenbuy.pipeline.deciding.without import without_action as forecast
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import count, percent
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.standing import stand

_SHOWN: Final = 15


def without_action(folder: Path | None, as_of: str | None, *, users: Sequence[str] | None, out: Path | None, say: Say) -> Result:
    """Forecast what customers do if nothing is sent from the moment on; see ``whenbuy.pipeline.deciding.without``.

    Raises
    ------
    NotEnoughDataError
        When offers were shown, and not so that it can be told what customers do without them.
    """
    if out is not None:
        require_ending(out)
    here = stand(folder, as_of, None, say, users)
    sends = shows_offers(here.history)
    found = forecast(here.history, here.outlook, here.effects(again=False, say=say) if sends else None)
    frame, touched = found.frame(), found.touched
    longest = max(found.horizons)
    notes = []
    if not sends:
        notes.append("The log tells of no offer that was shown: what is usual is without action as far as it says.")
    if n := int(touched.sum()):
        notes.append(f"An offer shown before may still be at work at {n:,} of {len(frame):,} customers; the column `running` says which.")
    chance = found.curves.probability(longest)
    facts = {
        "as_of": here.shown, "model": found.curves.model, "customers": len(frame), "running": int(touched.sum()),
        f"buyers_{longest:g}d": float(chance.sum()), f"buyers_as_usual_{longest:g}d": float(found.usual.probability(longest).sum()),
        "notes": notes,
    }  # fmt: skip
    if out is not None:
        write_frame(frame, out)
        return Result(facts | {"files": [str(out)]}, after=(*notes, f"{len(frame):,} forecasts without action as of {here.shown}: {out}"))
    return Result(facts, frame, "forecasts", _screens(found, here.shown), after=tuple(notes))


def _screens(found: WithoutAction, stands: str) -> tuple[Screen, ...]:
    longest = max(found.horizons)
    touched, chance, usual = found.touched, found.curves.probability(longest), found.usual.probability(longest)
    groups = (("nothing at work", ~touched), ("an offer at work", touched))
    totals = tuple(
        (name, f"{int(rows.sum()):,}", count(float(chance[rows].sum())), count(float(usual[rows].sum()))) for name, rows in groups
    )
    first = Screen(
        f"Who buys within {longest:g} days of {stands} if nothing is sent:", ("customers", "how many>", "buy>", "as usual>"), totals,
        ("As usual: with offers as they were sent in the past.",),
    )  # fmt: skip
    frame = found.frame()[(-chance).argsort(kind="stable")[:_SHOWN]]
    rows = tuple(
        (row["user_id"], percent(row[f"p_purchase_{longest:g}d"]), percent(row[f"p_as_usual_{longest:g}d"]), row["running"] or "")
        for row in frame.iter_rows(named=True)
    )
    heads = ("customer", f"buys ≤ {longest:g} d>", "as usual>", "at work")
    return first, Screen("The likeliest:", heads, rows)

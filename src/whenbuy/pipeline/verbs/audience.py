"""Make an audience for advertising: `whenbuy audience`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from whenbuy.pipeline.deciding import kept
from whenbuy.pipeline.deciding.audiences import Audience, decided
from whenbuy.pipeline.deciding.audiences import audience as make
from whenbuy.pipeline.deciding.planning import margin_of
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import money
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import at
from whenbuy.pipeline.verbs.standing import Wish, stand

_SHOWN: Final = 15


def audience(
    folder: Path | None, as_of: str | None, wish: Wish, *, channel: str, spent: Sequence[float], keep: float, email: str | None,
    out: Path | None, say: Say,
) -> Result:  # fmt: skip
    """Say who should see an offer on a channel, what may be bid for each, and how the budget lasts; see ``deciding.audiences``.

    On its first day an audience somebody of which is held out is kept under plans/, for `whenbuy result`.
    """
    if out is not None:
        require_ending(out)
    here = stand(folder, as_of, wish.offers, say)
    margin = margin_of(here.settings)
    campaign = here.campaign(wish)
    effects = here.effects(again=wish.relearn, say=say)
    found = make(here.history, here.settings, here.outlook, campaign, effects, channel=channel, spent=spent, keep=keep, email=email)
    table, currency = found.table, here.settings.shop.currency
    facts = {
        "as_of": here.shown, "offer": found.offer, "channel": found.channel, "customers": len(table),
        "held_out": int(table["hold_out"].sum()), "value": float(table["value"].sum()), "pressure": found.pressure, "left": found.left,
        "pacing": [{"day": row["day"].isoformat(), "budget": row["budget"]} for row in found.pacing.to_dicts()], "notes": list(found.notes),
    }  # fmt: skip
    notes, plan = found.notes, None
    if not spent and table["hold_out"].any():
        gain = float((table["value"] - table["bid"]).sum())
        facts_kept = {"profit": gain, "bound": gain, "low": 0.0, "notes": list(notes)}
        plan = kept.keep_decisions(here.shop, campaign, decided(found, campaign), margin, float(effects.model.days[-1]), facts_kept)
        notes = (*notes, f"What it earned: `whenbuy result {plan}{at(folder)}`, once its time has passed.")
    facts |= {"plan": plan}
    first = _short(found, currency)
    if out is None:
        return Result(facts, table, "audience", (first, _people(found, currency)), after=notes)
    beside = out.with_name(f"{out.stem}-pacing{out.suffix}")
    write_frame(table, out)
    write_frame(found.pacing, beside)
    lines = (
        f"{len(table):,} customers are in {out}; those with hold_out are to be excluded.",
        f"What may be spent each day is in {beside}.",
    )
    return Result(facts | {"files": [str(out), str(beside)]}, screens=(first,), after=(*notes, *lines))


def _short(found: Audience, currency: str) -> Screen:
    table, days = found.table, found.pacing
    daily = float(days["budget"][0]) if len(days) else 0.0
    rows = (
        ("shown", f"{found.offer} on {found.channel}"), ("customers", f"{len(table):,}"),
        ("held out", f"{int(table['hold_out'].sum()):,}"), ("worth of one impression each", money(float(table["value"].sum()), currency)),
        ("to be spent", f"{money(found.left, currency)}, {money(daily, currency)} a day for {len(days)} days"),
        ("bids divided by", f"{1 + found.pressure:.3g}"),
    )  # fmt: skip
    return Screen("The audience:", ("", ">"), rows)


def _people(found: Audience, currency: str) -> Screen:
    rows = []
    for row in found.table.head(_SHOWN).iter_rows(named=True):
        bids = ("–" if row[key] is None else money(row[key], currency) for key in ("bid", "bid_click"))
        rows.append((row["user_id"], money(row["value"], currency), *bids, "yes" if row["hold_out"] else ""))
    more = (f"{len(found.table) - _SHOWN:,} more: --out FILE has them all.",) if len(found.table) > _SHOWN else ()
    return Screen("Worth most:", ("customer", "value>", "bid>", "bid per click>", "held out"), tuple(rows), more)

"""Win customers back: `whenbuy win-back`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.core.errors import NotEnoughDataError
from whenbuy.decide.win_back import WinBack
from whenbuy.pipeline.deciding import kept
from whenbuy.pipeline.deciding.effects import OfferEffects
from whenbuy.pipeline.deciding.planning import Planned, margin_of, planned
from whenbuy.pipeline.deciding.winning_back import lapsing, with_offers
from whenbuy.pipeline.deciding.without import idle_curves
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import money
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import at
from whenbuy.pipeline.verbs.standing import Standing, Wish, stand

POLICY: Final = "win-back"
_SHOWN: Final = 15


def win_back(
    folder: Path | None, as_of: str | None, wish: Wish, *, fallen_to: float, least_orders: int, out: Path | None, say: Say
) -> Result:  # fmt: skip
    """Find the customers who are lapsing, and decide which offer each is worth; the decisions are kept like those of a plan.

    Where no offer is described, or nothing can be learned of what offers do, the customers are named all the same.
    """
    if out is not None:
        require_ending(out)
    here = stand(folder, as_of, wish.offers, say)
    margin = margin_of(here.settings)
    effects, lacking = _effects(here, wish.relearn, say)
    curves = here.outlook.purchase if effects is None else idle_curves(here.history, effects, here.outlook.keys)
    rule = WinBack(float(min(max(here.outlook.horizons), curves.grid_days[-1])), fallen_to, least_orders)
    rows, found = lapsing(here.history, here.outlook, curves, margin, rule)
    made: Planned | None = None
    if effects is not None and len(rows):
        campaign = here.campaign(wish)
        some = here.outlook.take(rows)
        made = planned(
            here.shop, here.settings, here.history, some, campaign, effects, policy=POLICY, shared=wish.budget is None, say=say
        )  # fmt: skip
    frame, notes = with_offers(found, made), (*lacking, *(() if made is None else made.notes))
    facts: dict[str, object] = {
        "as_of": here.shown, "model": here.model, "customers": len(here.outlook), "lapsing": len(found),
        "at_stake": float(found["at_stake"].sum()), "horizon_days": rule.horizon_days, "notes": list(notes),
    }  # fmt: skip
    after, files = list(notes), []
    if made is not None:
        name = kept.keep(here.shop, made.plan, made.margin, made.horizon_days, made.question)
        one = made.plan.decisions
        facts |= {
            "plan": name, "contacted": int(one.sent.sum()), "held_out": int(one.held_out.sum()), "profit": made.plan.profit,
            "cost": float(one.cost.sum()), "saved": float((one.expected_gain + one.cost).sum()),
        }  # fmt: skip
        after.append(f"What it earned: `whenbuy result {name}{at(folder)}`, once its time has passed.")
    if out is not None:
        write_frame(frame, out)
        files.append(str(out))
        after.append(f"{len(frame):,} customers who are lapsing are in {out}.")
    screens = _screens(frame, facts, here, made is not None)
    if out is not None:
        return Result(facts | {"files": files}, screens=screens[:1], after=tuple(after))
    return Result(facts, frame, "customers", screens, after=tuple(after))


def _effects(here: Standing, relearn: bool, say: Say) -> tuple[OfferEffects | None, tuple[str, ...]]:
    """Return what the offers do; None, and why, where nothing is known of it or nothing is described."""
    if not here.settings.offers or not here.settings.channels:
        return None, (
            "No offer or no channel is described ([offers.NAME], [channels.NAME] in whenbuy.toml): who is lapsing is all there is.",
        )
    try:
        return here.effects(again=relearn, say=say), ()
    except NotEnoughDataError as error:
        return None, (f"Nothing is known of what offers do, so none is chosen: {error.got} {error.do}",)


def _screens(frame: pl.DataFrame, facts: dict[str, object], here: Standing, decided: bool) -> tuple[Screen, ...]:
    currency = here.settings.shop.currency
    lines = [
        ("lapsing", f"{len(frame):,} of {len(here.outlook):,}"),
        (f"at stake in {facts['horizon_days']:g} days", money(float(str(facts["at_stake"])), currency)),
    ]
    if decided:
        lines += [
            ("sent an offer", f"{facts['contacted']:,}"), ("held out", f"{facts['held_out']:,}"),
            ("expected to be saved", f"{money(float(str(facts['saved'])), currency)} for {money(float(str(facts['cost'])), currency)}"),
        ]  # fmt: skip
    heads = ("customer", "at stake>", *(("offer", "channel", "saved>", "cost>") if decided else ()), "why")
    rows = []
    for row in frame.head(_SHOWN).iter_rows(named=True):
        figures: tuple[str, ...] = ()
        if decided:
            sent = row["offer_id"] is not None
            figures = (
                row["offer_id"] or "–",
                row["channel"] or "–",
                *(money(row[key], currency) if sent else "–" for key in ("saved", "cost")),
            )
        rows.append((row["user_id"], money(row["at_stake"], currency), *figures, row["reason"]))
    more = (f"{len(frame) - _SHOWN:,} more: --out FILE has them all.",) if len(frame) > _SHOWN else ()
    return Screen(f"Who is lapsing as of {here.shown}:", ("", ">"), tuple(lines)), Screen("Most is lost with:", heads, tuple(rows), more)

"""Decide whom to send what, how and when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from whenbuy.core.errors import UsageError
from whenbuy.decide.bandit import Bandit
from whenbuy.decide.campaign import Campaign
from whenbuy.decide.plan import POLICY, Plan
from whenbuy.pipeline.deciding import kept, page
from whenbuy.pipeline.deciding.experience import bandit
from whenbuy.pipeline.deciding.planning import PILOT, Planned, planned
from whenbuy.pipeline.keeping.shop import write
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import money
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import at
from whenbuy.pipeline.verbs.standing import Standing, Wish, stand

_SHOWN = 15


def plan(
    folder: Path | None, as_of: str | None, wish: Wish, *, explore: float | None, by_lot: bool, thompson: bool, out: Path | None, say: Say
) -> Result:  # fmt: skip
    """Make the plan, keep it under plans/, and write reports/plan.html; see ``whenbuy.decide.plan.make``.

    Raises
    ------
    UsageError
        When Thompson sampling is asked for and nobody is drawn by lot.
    """
    if out is not None:
        require_ending(out)
    here = stand(folder, as_of, wish.offers, say)
    settings, history = here.settings, here.history
    campaign = here.campaign(wish, 1.0 if by_lot and explore is None else explore)
    effects = None if by_lot else here.effects(again=wish.relearn, say=say)
    draws, said = _bandit(here, campaign) if thompson else (None, ())
    found = planned(
        here.shop, settings, history, here.outlook, campaign, effects, policy=PILOT if by_lot else POLICY, bandit=draws,
        shared=wish.budget is None, say=say,
    )  # fmt: skip
    found = replace(found, notes=(*found.notes, *said))
    name = kept.keep(here.shop, found.plan, found.margin, found.horizon_days, found.question)
    path = here.shop.reports / "plan.html"
    write(path, page.render(found, name, settings.shop.name, settings.shop.currency).encode())
    frame = found.plan.decisions.frame()
    files = [kept.folder(here.shop) / name / kept.DECISIONS, path]
    if out is not None:
        write_frame(frame, out)
        files.insert(0, out)
    facts = _facts(found.plan, here.shown) | {
        "plan": name, "model": here.model, "notes": list(found.notes), "files": [str(each) for each in files],
    }  # fmt: skip
    after = (
        *found.notes,
        *(f"In {each}" for each in files),
        f"What it earned: `whenbuy result {name}{at(folder)}`, once its time has passed.",
    )
    if out is not None:
        return Result(facts, screens=(_short(found, settings.shop.currency),), after=after)
    return Result(facts, frame, "decisions", (_short(found, settings.shop.currency), _first(found, settings.shop.currency)), after=after)


def _bandit(here: Standing, campaign: Campaign) -> tuple[Bandit, tuple[str, ...]]:
    """Return what draws for those who are drawn by lot, and what it rests on, in words."""
    if campaign.guards.explore <= 0:
        raise UsageError(
            "Thompson sampling was asked for, and nobody is drawn by lot.", "It says what those get who are drawn to learn from.",
            "Say how many: --explore 5%, or everybody: --pilot.",
        )  # fmt: skip
    made, words = bandit(here.shop, here.history, campaign, here.outlook.keys, seed=here.settings.shop.seed)
    return made, (words,)


def _facts(plan: Plan, as_of: str) -> dict[str, object]:
    one = plan.decisions
    return {
        "as_of": as_of, "customers": len(one), "contacted": int(one.sent.sum()), "held_out": int(one.held_out.sum()),
        "drawn_by_lot": int(one.drawn.sum()), "profit": plan.profit, "profit_low": plan.bounds.low,
        "bound": plan.bound, "gap": plan.gap, "cost": float(one.cost.sum()),
        "quadrants": {name: count for name, count, _ in plan.quadrants().iter_rows()},
    }  # fmt: skip


def _short(found: Planned, currency: str) -> Screen:
    plan = found.plan
    one = plan.decisions
    budget = plan.campaign.budget.money
    limit = f" of {money(budget, currency)}" if budget < float("inf") else ""
    rows = (
        ("contacted", f"{int(one.sent.sum()):,} of {len(one):,}"), ("held out", f"{int(one.held_out.sum()):,}"),
        ("expected cost", f"{money(float(one.cost.sum()), currency)}{limit}"),
        ("expected profit", f"{money(plan.profit, currency)} (80 % interval from {money(plan.bounds.low, currency)})"),
        ("bound", f"{money(plan.bound, currency)} (gap {page.gap_words(plan.gap)} %)"),
        *((f"{name}s", f"{count:,} ({sent:,} contacted)") for name, count, sent in plan.quadrants().iter_rows()),
    )  # fmt: skip
    return Screen("The plan:", ("", ">"), rows)


def _first(found: Planned, currency: str) -> Screen:
    one = found.plan.decisions
    order = (-one.expected_gain).argsort(kind="stable")[:_SHOWN]
    part = one.take(order[one.sent[order]])
    clock = found.plan.campaign.clock
    frame = part.frame()
    rows = tuple(
        (user, offer, channel, clock.show(int(at)), money(gain, currency), money(cost, currency), reason)
        for user, offer, channel, at, gain, cost, reason in zip(
            frame["user_id"],
            frame["offer_id"],
            frame["channel"],
            part.send_at,
            frame["expected_gain"],
            frame["cost"],
            frame["reason"],
            strict=True,
        )
    )
    return Screen("With whom it earns most:", ("customer", "offer", "channel", "when", "profit>", "cost>", "why"), rows)

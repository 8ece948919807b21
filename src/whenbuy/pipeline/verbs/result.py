"""Say what a plan has earned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from whenbuy.clean import RULES
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.deciding import kept
from whenbuy.pipeline.deciding.kept import Kept
from whenbuy.pipeline.deciding.outcome import Outcome, outcome
from whenbuy.pipeline.deciding.policies import Judged, decisions_in, judged
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import money
from whenbuy.pipeline.verbs.place import find_shop

_NAMES: Final = {"ips": "inverse propensities", "snips": "the same, normalised", "dr": "doubly robust"}


def result(folder: Path | None, plan: str | None, *, horizon: float | None, policies: Sequence[Path] = ()) -> Result:
    """Compare those whom a plan sent something with those it held out; see ``whenbuy.pipeline.deciding.outcome.outcome``.

    Where policies are named, say instead what they would have earned in its place; see ``whenbuy.pipeline.deciding.policies.judged``.
    """
    shop = find_shop(folder)
    settings, history = shop.settings(RULES), open_log(shop.log)
    made = kept.read(shop, plan)
    if policies:
        told = {path.stem: decisions_in(path) for path in policies}
        return _policies(made, judged(history, made, told, horizon), settings.shop.currency)
    found = outcome(history, made, horizon)
    facts = {
        "plan": found.id, "horizon_days": found.horizon_days, "profit": found.profit, "low": found.low, "high": found.high,
        "cost": found.cost, "promised": found.promised, "pulled_forward": found.pulled_forward, "notes": list(found.notes),
    }  # fmt: skip
    return Result(facts, found.table, "measures", _screens(found, settings.shop.currency), after=found.notes)


def _policies(plan: Kept, found: Judged, currency: str) -> Result:
    facts = {"plan": plan.id, "customers": found.customers, "logged": found.logged, "notes": list(found.notes)}
    rows = []
    for name, estimator, value, low, high, total, worth, _ in found.table.iter_rows():
        each = f"{money(value, currency)} ({money(low, currency)} to {money(high, currency)})"
        rows.append((name, _NAMES[estimator], each, money(total, currency), f"{worth:,.0f}"))
    below = (
        "Per customer: the margin of all that she bought, less what was spent on her; with its 95 % interval.",
        f"The plan itself brought {money(found.logged, currency)} per customer, those held out included.",
        "worth: how many decisions of the policy itself the log is worth. Read doubly robust first.",
    )
    heads = ("policy", "by", "per customer>", "all>", "worth>")
    screen = Screen(f"What policies would have earned in place of the plan {plan.id}:", heads, tuple(rows), below)
    return Result(facts, found.table, "policies", (screen,), after=found.notes)


def _screens(found: Outcome, currency: str) -> tuple[Screen, ...]:
    money_rows = (
        ("profit", f"{money(found.profit, currency)} ({money(found.low, currency)} to {money(found.high, currency)})"),
        ("spent", money(found.cost, currency)), ("expected profit", money(found.promised, currency)),
    )  # fmt: skip
    rows = tuple(
        (offer or "all", measure, f"{sent:,}", f"{held:,}", f"{a:.4g}", f"{b:.4g}", f"{value:+.3g} ({low:+.3g} to {high:+.3g})")
        for offer, measure, sent, held, a, b, value, low, high in found.table.iter_rows()
    )
    heads = ("offer", "per customer", "sent>", "held out>", "mean, sent>", "mean, held out>", "difference, 95 %>")
    return Screen(f"What the plan {found.id} earned in {found.horizon_days:g} days:", ("", ">"), money_rows), Screen(
        "Compared:", heads, rows
    )

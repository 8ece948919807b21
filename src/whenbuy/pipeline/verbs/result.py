"""Say what a plan has earned."""

from __future__ import annotations

from pathlib import Path

from whenbuy.clean import RULES
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.deciding import kept
from whenbuy.pipeline.deciding.outcome import Outcome, outcome
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import money
from whenbuy.pipeline.verbs.place import find_shop


def result(folder: Path | None, plan: str | None, *, horizon: float | None) -> Result:
    """Compare those whom a plan sent something with those it held out; see ``whenbuy.pipeline.deciding.outcome.outcome``."""
    shop = find_shop(folder)
    settings, history = shop.settings(RULES), open_log(shop.log)
    found = outcome(history, kept.read(shop, plan), horizon)
    facts = {
        "plan": found.id, "horizon_days": found.horizon_days, "profit": found.profit, "low": found.low, "high": found.high,
        "cost": found.cost, "promised": found.promised, "pulled_forward": found.pulled_forward, "notes": list(found.notes),
    }  # fmt: skip
    return Result(facts, found.table, "measures", _screens(found, settings.shop.currency), after=found.notes)


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

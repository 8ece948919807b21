"""The people of the report: who is about to buy, when, what, for how much and why; and what all of them come to."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import DAY, Floats
from whenbuy.core.forecast import Classes
from whenbuy.core.outlook import Outlook
from whenbuy.pipeline.telling.findings import Findings, middle
from whenbuy.pipeline.telling.words import THIN, Calendar, Name, count, days, money, percent

LISTED: Final = 50
"""How many customers the page lists."""
FIRST: Final = 15
"""How many of them stand there at once, with their reasons; the others are unfolded."""
_TASTES, _SHELVES, _LONG = 2, 10, 160


def ranked(outlook: Outlook) -> list[int]:
    """Return the rows of those who stand on the page: highest expected revenue first, highest chance where the log has no amounts."""
    worth = outlook.purchase.probability(middle(outlook)) if outlook.amount is None else _revenue(outlook)
    return list(np.argsort(-worth, kind="stable")[:LISTED].tolist())


def rows(findings: Findings, outlook: Outlook, calendar: Calendar) -> list[dict[str, Any]]:
    """Return a row per customer that the page lists."""
    return [_row(findings, calendar, outlook.take(slice(place, place + 1))) for place in ranked(outlook)]


def total(findings: Findings, outlook: Outlook) -> dict[str, Any]:
    """Return what all customers come to within the middle horizon: buyers, orders and revenue (none where the log has no amounts)."""
    revenue = None if outlook.amount is None else money(float(_revenue(outlook).sum()), findings.currency, short=True)
    buyers, orders = outlook.purchase.probability(findings.horizon), outlook.purchase.count_at(findings.horizon)
    return {"buyers": float(buyers.sum()), "orders": float(orders.sum()), "revenue": revenue}


def tiles(findings: Findings, outlook: Outlook, tally: dict[str, int]) -> list[dict[str, str]]:
    """Return the few numbers at the top of the page, each with its name and a note."""
    n, found = len(outlook), []
    if not n:
        return []
    for horizon in findings.horizons:
        chance = outlook.purchase.probability(horizon)
        mean, spread = float(chance.sum()), 1.2816 * math.sqrt(float((chance * (1 - chance)).sum()))
        low, high = max(mean - spread, 0.0), min(mean + spread, n)
        note = f"{percent(mean / n)} of all; 80{THIN}% range {low:,.0f}\u2060–\u2060{high:,.0f}"
        found.append({"label": f"Buyers in {horizon:g} days", "value": count(mean), "note": note})
    whole = total(findings, outlook)
    found.append({"label": f"Orders in {findings.horizon:g} days", "value": count(whole["orders"]), "note": "expected, all customers"})
    if whole["revenue"] is not None:
        found.append({"label": f"Revenue in {findings.horizon:g} days", "value": whole["revenue"], "note": "expected orders × amount"})
    if tally["compared"]:
        note = f"scores; {tally['worse']} worse, {tally['even']} too close to call"
        found.append({"label": "Beats the floor", "value": f"{tally['better']} of {tally['compared']}", "note": note})
    return found


def shelves(outlook: Outlook) -> dict[str, Any]:
    """Return from which classes most customers will buy, each with the expected number; nothing where none are answered."""
    answer = outlook.answers.get("classes")
    if not isinstance(answer, Classes) or not len(outlook) or not answer.classes:
        return {}
    buyers = answer.chance.sum(axis=0)
    order = np.argsort(-buyers, kind="stable")[:_SHELVES].tolist()
    most = float(buyers.max()) or 1.0
    lines = [
        {
            "name": Name.of(answer.classes[k]),
            "buyers": count(float(buyers[k])),
            "share": float(buyers[k] / len(outlook)),
            "of_most": float(buyers[k] / most),
        }
        for k in order
    ]
    return {"lines": lines, "days": answer.horizon_days, "classes": len(answer.classes)}


def _revenue(outlook: Outlook) -> Floats:
    amount = outlook.amount
    assert amount is not None
    return np.asarray(outlook.purchase.count_at(middle(outlook)) * amount.mean)


def _row(findings: Findings, calendar: Calendar, one: Outlook) -> dict[str, Any]:
    curve, amount, name = one.purchase, one.amount, str(one.keys.ids()[0])
    date, reach = calendar.expected(one)
    last, gap = _last_orders(findings, int(one.keys.code[0]))
    orders = float(curve.count_at(findings.horizon)[0])
    price = 0.0 if amount is None else float(amount.mean[0])
    why = findings.reasons.get(name, "")
    return {
        "name": Name.of(name), "prior": curve.prior is not None and bool(curve.prior[0]),
        "chances": [float(curve.probability(horizon)[0]) for horizon in findings.horizons],
        "date": date, "range": reach, "last": last, "gap": gap, "orders": f"{orders:.2f}" if orders < 9.995 else f"{orders:.1f}",
        "amount": money(price, findings.currency), "worth": money(orders * price, findings.currency),
        "tastes": _tastes(one), "why": why if len(why) <= _LONG else f"{why[: _LONG - 1]}…",
    }  # fmt: skip


def _tastes(one: Outlook) -> list[tuple[Name, float]]:
    """Return the likeliest classes of a customer, each with its chance."""
    answer = one.answers.get("classes")
    if not isinstance(answer, Classes):
        return []
    return [(Name.of(answer.classes[k]), float(answer.chance[0, k])) for k in answer.top(_TASTES)[0].tolist()]


def _last_orders(findings: Findings, user: int) -> tuple[str, str]:
    """Return how long ago a customer ordered last, and how long she usually waits between two days with an order."""
    log = findings.history.log
    if user >= len(log.users):
        return "never", ""
    mine = slice(int(log.offsets[user]), int(log.offsets[user + 1]))
    bought = log.time[mine][(log.kind[mine] == log.code("purchase")) & (log.known_at[mine] < findings.cutoff)]
    if not len(bought):
        return "never", ""
    ago = (findings.cutoff - int(bought.max())) / DAY
    active = np.unique(findings.history.clock.days(bought))
    gap = float(np.diff(active).mean()) if len(active) > 1 else math.nan
    return f"{ago:,.0f}{THIN}d ago" if ago >= 1 else f"<1{THIN}d ago", "" if math.isnan(gap) else days(round(gap, int(gap < 9.95)))

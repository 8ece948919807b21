"""The page of a plan: one HTML file that says who is contacted, what that and other budgets should earn, and when messages go out."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

import jinja2
import numpy as np
import polars as pl
from markupsafe import Markup

from whenbuy.core.text import printable
from whenbuy.decide.words import QUADRANTS
from whenbuy.pipeline.deciding.planning import Planned
from whenbuy.pipeline.telling.words import Calendar, Name, count, money

_SHOWN: Final = 50
_WIDE: Final = 640
_HIGH: Final = 260
_MEANS: Final = {
    "persuadable": "some offer earns more than it costs", "sure thing": "buys anyway; an offer would only cost",
    "lost cause": "hardly buys, with or without an offer", "sleeping dog": "every offer would lower her orders",
}  # fmt: skip


def render(planned: Planned, id: str, shop: str, currency: str) -> str:
    """Return the page: no script, no network, every name escaped."""
    world = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return printable(world.get_template("plan.html.jinja").render(_page(planned, id, shop, currency))) + "\n"


def gap_words(gap: float) -> str:
    """Return how far a plan lies below its bound, in percent without the sign."""
    return f"{100 * gap:.2g}" if gap >= 5e-5 else "<0.01"


def _source(name: str) -> str:
    folder = "whenbuy.pipeline.telling" if name == "report.css" else "whenbuy.pipeline.deciding"
    return resources.files(folder).joinpath(name).read_text("utf-8")


def _page(planned: Planned, id: str, shop: str, currency: str) -> dict[str, Any]:
    plan, one = planned.plan, planned.plan.decisions
    calendar = Calendar(plan.campaign.clock, plan.campaign.made_at)
    budget = plan.campaign.budget.money
    return {
        "style": Markup(_source("report.css")), "shop": Name.of(shop or "Plan"), "id": id, "as_of": calendar.moment(plan.campaign.made_at),
        "zone": plan.campaign.clock.zone, "customers": len(one), "sent": int(one.sent.sum()), "held": int(one.held_out.sum()),
        "profit": money(plan.profit, currency), "cost": money(float(one.cost.sum()), currency),
        "budget": money(budget, currency) if np.isfinite(budget) else "no limit", "gap": gap_words(plan.gap), "bound":
        money(plan.bound, currency), "low": money(plan.bounds.low, currency), "notes":
        planned.notes, "quadrants": _quadrants(plan.quadrants()), "curve": _curve(plan.curve, float(one.cost[~one.drawn].sum()), currency),
        "calendar": _calendar(planned, currency), "offers": _offers(planned, currency), "rows": _rows(planned, calendar,
        currency), "horizon": planned.horizon_days, "days": plan.campaign.days,
    }  # fmt: skip


def _quadrants(table: pl.DataFrame) -> list[dict[str, Any]]:
    most = max(1, int(table["customers"].max() or 1))  # type: ignore[arg-type]
    return [
        {
            "name": f"{name}s",
            "means": _MEANS[name],
            "customers": f"{customers:,}",
            "contacted": f"{sent:,}",
            "width": round(100 * customers / most, 1),
        }
        for name, customers, sent in table.iter_rows()
        if name in QUADRANTS
    ]


def _curve(table: pl.DataFrame, spent: float, currency: str) -> Markup:
    """Return the profit by budget as SVG; nothing where there is none."""
    x, y = table["budget"].to_numpy(), table["profit"].to_numpy()
    if len(x) < 2 or x[-1] <= 0 or y.max() <= 0:
        return Markup("")
    left, right, top, bottom = 78, 12, 12, 44
    wide, high = _WIDE - left - right, _HIGH - top - bottom
    points = " ".join(f"{left + wide * a / x[-1]:.1f},{top + high * (1 - b / y.max()):.1f}" for a, b in zip(x, y, strict=True))
    here = left + wide * min(spent / float(x[-1]), 1.0)
    ticks = [
        Markup(
            '<line x1="{x1}" x2="{x2}" y1="{y}" y2="{y}" stroke="#87919d" stroke-width=".5"/>'
            '<text x="{t}" y="{u}" text-anchor="end" fill="#6d7783" font-size="12">{v}</text>'
        ).format(x1=left, x2=_WIDE - right, y=round(top + high * (1 - s), 1), t=left - 8, u=round(top + high * (1 - s) + 4, 1), v=money(s
        * float(y.max()), currency, short=True)) for s in (0.0, 0.5, 1.0)
    ]  # fmt: skip
    marks = [
        Markup('<text x="{x}" y="{y}" text-anchor="middle" fill="#6d7783" font-size="12">{v}</text>').format(
            x=round(left + wide * s, 1), y=_HIGH - 24, v=money(s * float(x[-1]), currency, short=True)
        )
        for s in (0.0, 0.5, 1.0)
    ]
    said = f"Expected profit by budget: {money(float(y.max()), currency)} at most; this plan spends {money(spent, currency)}"
    return Markup(
        '<svg viewBox="0 0 {w} {h}" role="img" aria-label="{said}" font-family="inherit">{ticks}{marks}'
        '<line x1="{here}" x2="{here}" y1="{top}" y2="{foot}" stroke="#6d7783" stroke-dasharray="4 3"/>'
        '<polyline points="{points}" fill="none" stroke="#1674c4" stroke-width="2.5" stroke-linejoin="round"/>'
        '<text x="{mid}" y="{low}" text-anchor="middle" fill="#6d7783" font-size="12">budget</text></svg>'
    ).format(w=_WIDE, h=_HIGH, said=said, ticks=Markup("").join(ticks), marks=Markup("").join(marks), here=round(here, 1), top=top,
    foot=_HIGH - bottom, points=points, mid=left + wide // 2, low=_HIGH - 6)  # fmt: skip


def _calendar(planned: Planned, currency: str) -> list[dict[str, Any]]:
    table = planned.plan.calendar()
    if not len(table):
        return []
    days = table.group_by("day", maintain_order=True).agg(pl.col("messages").sum(), pl.col("cost").sum())
    most = int(days["messages"].max() or 1)  # type: ignore[arg-type]
    by_day = {key[0]: part for key, part in table.partition_by("day", as_dict=True).items()}
    return [
        {
            "day": f"{day:%a} {day.day} {day:%b}", "messages": f"{messages:,}", "width": round(100 * messages / most, 1), "cost":
            money(cost, currency), "channels": ", ".join(f"{name} {sent:,}" for name, sent in by_day[day].select("channel",
            "messages").iter_rows()),
        }
        for day, messages, cost in days.iter_rows()
    ]  # fmt: skip


def _offers(planned: Planned, currency: str) -> list[dict[str, str]]:
    one = planned.plan.decisions
    table = one.frame().filter(pl.col("offer_id").is_not_null()).group_by("offer_id", "channel").agg(
        pl.len(), pl.col("cost").sum(), pl.col("expected_gain").sum().alias("gain")
    ).sort("gain", descending=True)  # fmt: skip
    return [
        {"offer": offer, "channel": channel, "sent": f"{sent:,}", "cost": money(cost, currency), "gain": money(gain, currency)}
        for offer, channel, sent, cost, gain in table.iter_rows()
    ]


def _rows(planned: Planned, calendar: Calendar, currency: str) -> list[dict[str, Any]]:
    one = planned.plan.decisions
    first = np.argsort(-one.expected_gain, kind="stable")[:_SHOWN].astype(np.int64)
    part = one.take(first[one.sent[first]])
    frame = part.frame()
    return [
        {
            "name": Name.of(user), "offer": offer, "channel": channel, "at": calendar.moment(int(at)), "gain": money(gain, currency),
            "cost": money(cost, currency), "propensity": count(100 * propensity), "reason": reason,
        }
        for user, offer, channel, at, gain, cost, propensity, reason in zip(
            frame["user_id"], frame["offer_id"], frame["channel"], part.send_at, frame["expected_gain"], frame["cost"], frame["propensity"],
            frame["reason"], strict=True,
        )
    ]  # fmt: skip

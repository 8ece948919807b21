"""Say why the forecasts are what they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.history import History
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.explaining.explaining import explain as explained
from whenbuy.pipeline.explaining.nets import holds_net
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import at, find_shop, moment
from whenbuy.reasons.explanation import Explanation
from whenbuy.reasons.sizes import percent, sized

_MODEL_ONLY: Final = "Reasons are what the model makes of what it knows; they are not causes."


def explain(shop: Path | None, users: Sequence[str] | None, as_of: str | None, horizon: float | None, say: Say) -> Result:
    """Explain the forecasts of the customers named; where nobody is, what the model leans on over all of them.

    Parameters
    ----------
    shop
        The shop's folder; the one in which one stands by default.
    users
        Who is asked about.
    as_of
        The moment; the log's end by default.
    horizon
        The chance to order within so many days is explained; the model's shortest horizon by default.
    say
        Where words about the progress go.

    Raises
    ------
    NotFoundError
        When there is no shop, or it has no model.
    LeakError
        When the moment lies before what every kept model learned from.
    """
    home, named = find_shop(shop), tuple(dict.fromkeys(users or ()))
    home.settings(RULES)
    history = open_log(home.log)
    instant = moment(history, as_of, say)
    id, forecaster = champion.answering(home, instant)
    say("asking the model about mixtures of customers")
    found = explained(forecaster, history, named, instant, horizon)
    stands = history.clock.show(history.end if instant is None else instant)
    facts = {"as_of": stands, "model": id, "horizon_days": found.horizon_days, "base": found.base}
    if not named:
        return _of_the_model(found, facts, stands, at(shop))
    changes = {user: found.what_would_change(user).to_dicts() for user in named}
    said: dict[str, object] = {"sentences": {user: found.sentence(user) for user in named}, "changes": changes}
    mattered = dict.fromkeys(named, "")
    if holds_net(forecaster.models["purchase"]):
        say("leaving out one event at a time")
        events = {user: found.events(user) for user in named}
        said["events"] = {user: one.frame().to_dicts() for user, one in events.items()}
        mattered = {user: one.sentence() for user, one in events.items()}
    screens = tuple(_of_customer(found, user, changes[user], mattered[user]) for user in named)
    return Result(facts | said, found.frame(), "reasons", screens, after=(*_strangers(history, named), _MODEL_ONLY))


def _of_the_model(found: Explanation, facts: dict[str, object], stands: str, shop: str) -> Result:
    """Return what the model leans on."""
    table = found.importance()
    rows = tuple(
        (row["reason"], f"{row['points']:.1f}", f"{row['points_low']:.1f} … {row['points_high']:.1f}", *_loss(row))
        for row in table.to_dicts()
    )
    seen = " The model has learned from these weeks: this is what it uses, not what that would gain on new ones." if _seen(table) else ""
    below = (
        f"points: mean size of the reason, in percentage points of the chance to order within {found.horizon_days:g} days; 95 % interval.",
        f"log-loss: what forecasts lose when it is swapped between customers; 95 % interval.{seen}",
        _MODEL_ONLY,
    )
    heads = ("what the model leans on", "points>", "95 %>", "log-loss>", "95 %>")
    title = f"As of {stands}, for typical customers:"
    return Result(facts, table, "importance", (Screen(title, heads, rows, below),), after=(f"One customer: whenbuy explain USER{shop}",))


def _loss(row: dict[str, float | None]) -> tuple[str, str]:
    if row["logloss"] is None:
        return "–", ""
    return f"{row['logloss']:+.4f}", f"{row['logloss_low']:+.4f} … {row['logloss_high']:+.4f}"


def _seen(table: pl.DataFrame) -> bool:
    return bool(table["in_sample"].any()) and table["logloss"].null_count() < len(table)


def _of_customer(found: Explanation, user: str, changes: list[dict[str, Any]], mattered: str) -> Screen:
    """Return the reasons for one customer, which of her events mattered most, and what would change her forecast."""
    rows = tuple((sized(one.points, 1), one.said.state, one.said.detail) for one in found.reasons(user))
    told = ", ".join(f"after {one['change']} {percent(one['probability'])}" for one in changes[1:])
    below = (*((f"Her events that matter most: {mattered}.",) if mattered else ()), f"What would change it: {told}.")
    return Screen(found.headline(user), ("points>", "", ""), rows, below)


def _strangers(history: History, named: Sequence[str]) -> tuple[str, ...]:
    """Return a line about the users named of whom the log knows nothing."""
    unknown = [name for name, code in zip(named, history.log.users.codes(named).tolist(), strict=True) if code < 0]
    return (f"Not in the log, so what is usual for a newcomer answers: {', '.join(unknown[:5])}.",) if unknown else ()

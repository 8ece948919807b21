"""The plans of a shop: what was decided, kept as it was, so that it can be measured later."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from whenbuy.core.decision import Decisions
from whenbuy.core.errors import DamagedError, NotFoundError
from whenbuy.decide.campaign import Campaign
from whenbuy.decide.plan import Plan
from whenbuy.pipeline.keeping.shop import Shop, write
from whenbuy.pipeline.keeping.track import named, pick

DECISIONS: Final = "decisions.parquet"
ABOUT: Final = "plan.json"
AUDIENCE: Final = "audience"
"""The policy of an audience for advertising, which is kept as a plan is."""
_SENT: Final[Mapping[str, Any]] = {"user_id": pl.String, "send_at": pl.Datetime("us", "UTC")}


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A plan that was kept.

    Parameters
    ----------
    id
        Its name: when it was made, and the first letters of the sha256 of its decisions.
    decisions
        One row per customer, as ``Decisions.frame``.
    about
        What it may cost and earn: offers, channels, margin, horizon_days, made_at, profit and more, as plain data.
    """

    id: str
    decisions: pl.DataFrame
    about: Mapping[str, Any]


def folder(shop: Shop) -> Path:
    """Return where the plans of a shop lie, one folder each."""
    return shop.folder / "plans"


def keep(shop: Shop, plan: Plan, margin: float, horizon_days: float) -> str:
    """Return the id under which a plan is now kept; see ``keep_decisions``."""
    facts = {"profit": plan.profit, "bound": plan.bound, "low": plan.bounds.low, "notes": list(plan.notes)}
    return keep_decisions(shop, plan.campaign, plan.decisions, margin, horizon_days, facts)


def keep_decisions(
    shop: Shop, campaign: Campaign, decisions: Decisions, margin: float, horizon_days: float, facts: Mapping[str, Any]
) -> str:  # fmt: skip
    """Return the id under which decisions are now kept, with what is told of them; the same ones made again are kept once.

    Raises
    ------
    AccessError
        When the file system says no.
    """
    buffer = io.BytesIO()
    decisions.frame().write_parquet(buffer, compression="zstd")
    content = buffer.getvalue()
    about: dict[str, Any] = {
        "sha256": hashlib.sha256(content).hexdigest(), "made_at": campaign.made_at, "margin": margin, "horizon_days": horizon_days,
        "days": campaign.days, "cost": float(decisions.cost.sum()), "policy": decisions.policy, **facts,
        "offers": {one.id: _plain(asdict(one)) for one in campaign.offers},
        "channels": {one.name: _plain(asdict(one)) for one in campaign.channels},
        "budget": _plain(asdict(campaign.budget)), "guards": _plain(asdict(campaign.guards)),
    }  # fmt: skip
    id = named(campaign.made_at, about["sha256"])
    if not (folder(shop) / id / ABOUT).exists():
        write(folder(shop) / id / DECISIONS, content)
        write(folder(shop) / id / ABOUT, json.dumps(about, ensure_ascii=False, indent=1).encode())  # last: a plan without it does not count
    return id


def ids(shop: Shop) -> list[str]:
    """Return the ids of all plans, the earliest first."""
    return sorted(path.parent.name for path in folder(shop).glob(f"*/{ABOUT}"))


def read(shop: Shop, name: str | None = None) -> Kept:
    """Return one plan by its id or the beginning of it; the latest, where none is named.

    Raises
    ------
    NotFoundError
        When there is none, or more than one begins so.
    DamagedError
        When it is not what was written.
    """
    known = ids(shop)
    if not known:
        raise NotFoundError(f"{shop.folder} has no plan yet.", "A result is that of a plan.", "Make one with `whenbuy plan`.")
    id = known[-1] if name is None else pick(known, name, "plans")
    place = folder(shop) / id
    try:
        content, about = (place / DECISIONS).read_bytes(), json.loads((place / ABOUT).read_text("utf-8"))
        sound = hashlib.sha256(content).hexdigest() == about["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(place) from error
    if not sound:
        raise _damaged(place)
    return Kept(id, pl.read_parquet(io.BytesIO(content)), about)


def sent_before(shop: Shop, instant: int) -> pl.DataFrame:
    """Return what earlier plans have sent before an instant: user_id, send_at. What they would send later is decided anew.

    Who was in an audience was shown something, or not, where she went herself: that is no message.
    """
    parts = [pl.DataFrame(schema=_SENT)]
    for id in ids(shop):
        made = read(shop, id)
        if int(made.about["made_at"]) < instant and made.about["policy"] != AUDIENCE:
            due = pl.col("offer_id").is_not_null() & (pl.col("send_at").dt.epoch("us") < instant)
            parts.append(made.decisions.filter(due).select(*_SENT))
    return pl.concat(parts)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as JSON holds them: no infinity, dates as text."""
    return {
        name: None if isinstance(value, float) and math.isinf(value) else value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in values.items()
    }


def _damaged(place: Path) -> DamagedError:
    return DamagedError(f"The plan in {place} is not what was written.", "It must be as it was.", "Restore it, or delete that folder.")

"""The plans of a shop: what was decided, kept as it was, so that it can be measured later."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
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


def keep(shop: Shop, plan: Plan, margin: float, horizon_days: float, question: str = "") -> str:
    """Return the id under which a plan is now kept, with the ``asked`` that it answers; see ``keep_decisions``."""
    facts = {"profit": plan.profit, "bound": plan.bound, "low": plan.bounds.low, "notes": list(plan.notes), "question": question}
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
    content = _content(decisions)
    about: dict[str, Any] = {
        "sha256": hashlib.sha256(content).hexdigest(), "made_at": campaign.made_at, "margin": margin, "horizon_days": horizon_days,
        "days": campaign.days, "cost": float(decisions.cost.sum()), "policy": decisions.policy, **facts,
        "offers": {one.id: _plain(asdict(one)) for one in campaign.offers},
        "channels": {one.name: _plain(asdict(one)) for one in campaign.channels},
        "budget": _plain(asdict(campaign.budget)), "guards": _plain(asdict(campaign.guards)),
    }  # fmt: skip
    id, now = named(campaign.made_at, about["sha256"]), _of_instant(shop, campaign.made_at)
    if id not in _in_force(now):  # it was never kept, or another of its policy has come since
        about["turn"] = 1 + max((int(one.about.get("turn", 0)) for one in now), default=0)
        write(folder(shop) / id / DECISIONS, content)
        write(folder(shop) / id / ABOUT, json.dumps(about, ensure_ascii=False, indent=1).encode())  # last: a plan without it does not count
    return id


def named_as(plan: Plan) -> str:
    """Return the id under which a plan is kept, or would be."""
    return named(plan.campaign.made_at, hashlib.sha256(_content(plan.decisions)).hexdigest())


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


def asked(campaign: Campaign, policy: str) -> str:
    """Return what a plan was asked, as a sha256: the same question at the same instant is that plan made anew."""
    told = {"policy": policy, "campaign": repr(campaign)}
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """The other plans in force that were made for one instant: their messages and money are spoken for.

    A plan of the same policy is not among them: made anew, it replaces the one before.

    Parameters
    ----------
    plans
        Them, as they were kept, in their turn.
    later
        Whether some that came after this one, asked the same before, are left out: they have counted it.
    own
        The id of that one; empty where this question is new.
    """

    plans: tuple[Kept, ...]
    later: bool = False
    own: str = ""

    @classmethod
    def of(cls, shop: Shop, campaign: Campaign, policy: str, *, anew: bool = True) -> Beside:
        """Return what a plan finds beside it; with ``anew`` it keeps its place where its question was the last of its policy."""
        every = _in_force(_of_instant(shop, campaign.made_at))
        others = sorted(
            (one for one in every.values() if one.about["policy"] not in (policy, AUDIENCE)), key=lambda one: int(one.about.get("turn", 0))
        )
        own = next((one for one in every.values() if one.about["policy"] == policy), None)
        if not anew or own is None or own.about.get("question") != asked(campaign, policy):
            return cls(tuple(others))
        before = tuple(one for one in others if int(one.about.get("turn", 0)) < int(own.about.get("turn", 0)))
        return cls(before, len(before) < len(others), own.id)

    def sent(self) -> pl.DataFrame:
        """Return their messages: user_id, send_at."""
        return pl.concat([pl.DataFrame(schema=_SENT), *(_messages(one) for one in self.plans)])

    def left(self, campaign: Campaign, *, money: bool) -> Campaign:
        """Return a campaign with what they leave of its contacts, stock and channels, and of its money where that is shared."""
        sent = [one.decisions.filter(pl.col("offer_id").is_not_null()) for one in self.plans]
        count = {name: sum(int((each[column] == name).sum()) for each in sent) for column, name in _limited(campaign)}
        spent, contacts = sum(float(each["cost"].sum()) for each in sent), sum(len(each) for each in sent)
        limits = campaign.budget
        return replace(
            campaign,
            offers=tuple(one if one.stock is None else replace(one, stock=max(one.stock - count[one.id], 0)) for one in campaign.offers),
            channels=tuple(one if one.most is None else replace(one, most=max(one.most - count[one.name], 0)) for one in campaign.channels),
            budget=replace(
                limits, money=max(limits.money - spent, 0.0) if money else limits.money, contacts=max(limits.contacts - contacts, 0)
            ),
        )

    def words(self, *, money: bool) -> tuple[str, ...]:
        """Return a sentence for each of them."""
        return tuple(
            f"{one.id} ({one.about['policy']}) was made for the same moment: its {len(_messages(one)):,} contacts count here"
            + (f", and the {float(one.about['cost']):,.2f} that it costs." if money else ".")
            + " Delete it in plans/ if it is not carried out."
            for one in self.plans
        )


def sent_before(shop: Shop, instant: int) -> pl.DataFrame:
    """Return what earlier plans have sent before an instant: user_id, send_at. What they would send later is decided anew.

    Who was in an audience was shown something, or not, where she went herself: that is no message. Of the plans of one policy made for one
    instant the last one counts.
    """
    parts = [pl.DataFrame(schema=_SENT)]
    for one in in_force(shop):
        if int(one.about["made_at"]) < instant and one.about["policy"] != AUDIENCE:
            parts.append(_messages(one).filter(pl.col("send_at").dt.epoch("us") < instant))
    return pl.concat(parts)


def _content(decisions: Decisions) -> bytes:
    buffer = io.BytesIO()
    decisions.frame().write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def in_force(shop: Shop) -> list[Kept]:
    """Return the plans in force, the earliest first: of those of one policy and instant the last one."""
    every = _in_force(read(shop, id) for id in ids(shop))
    return [every[id] for id in sorted(every)]


def _messages(plan: Kept) -> pl.DataFrame:
    return plan.decisions.filter(pl.col("offer_id").is_not_null()).select(*_SENT)


def _limited(campaign: Campaign) -> list[tuple[str, str]]:
    """Return the offers of which there are so many, and the channels that send so many: the column that names them, and the name."""
    offers = [("offer_id", one.id) for one in campaign.offers if one.stock is not None]
    return [*offers, *(("channel", one.name) for one in campaign.channels if one.most is not None)]


def _of_instant(shop: Shop, instant: int) -> list[Kept]:
    """Return all plans that were made for an instant."""
    return [one for one in (read(shop, id) for id in ids(shop)) if int(one.about["made_at"]) == instant]


def _in_force(plans: Iterable[Kept]) -> dict[str, Kept]:
    """Return the last plan of every policy and instant, by its id."""
    last: dict[tuple[int, str], Kept] = {}
    for one in sorted(plans, key=lambda one: int(one.about.get("turn", 0))):
        last[int(one.about["made_at"]), str(one.about["policy"])] = one
    return {one.id: one for one in last.values()}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as JSON holds them: no infinity, dates as text."""
    return {
        name: None if isinstance(value, float) and math.isinf(value) else value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in values.items()
    }


def _damaged(place: Path) -> DamagedError:
    return DamagedError(f"The plan in {place} is not what was written.", "It must be as it was.", "Restore it, or delete that folder.")

"""Learning while sending: what earlier plans brought, as beliefs about every offer on every channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Floats
from whenbuy.core.effect import NONE
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.decide.bandit import Bandit, Thompson
from whenbuy.decide.campaign import Campaign
from whenbuy.decide.gains import arm
from whenbuy.features import Features
from whenbuy.features.builder import Feature
from whenbuy.features.folds import Recency, Tenure
from whenbuy.features.totals import Orders, Rate, Sum
from whenbuy.pipeline.deciding import kept
from whenbuy.pipeline.deciding.kept import Kept
from whenbuy.pipeline.deciding.realised import amounts, costs, horizon_of, keys_of
from whenbuy.pipeline.keeping.shop import Shop

_RIDGE: Final = 1.0
_SPREAD: Final = 0.5
"""How far an untried arm may differ from the others, in standard deviations of the rewards."""


@dataclass(frozen=True, slots=True, eq=False)
class Rewards:
    """What came of decisions.

    Parameters
    ----------
    context
        Of each customer when it was decided (n x k).
    arm
        What she was sent: "none", or an offer on a channel (n).
    reward
        The margin of what she bought, less what was spent on her (n).
    """

    context: Floats
    arm: tuple[str, ...]
    reward: Floats


def contexts(history: History, keys: Keys) -> Floats:
    """Return what is known of each customer before her cutoff, in few numbers (n x 5).

    One; the logarithms of her orders in 84 days, of the days since the last one, of the days since the first one, and of her mean order.
    """
    spec: list[Feature] = [Orders("84d"), Recency("purchase"), Tenure("purchase")]
    if "amount" in history.log.columns:
        spec.append(Rate(Sum("amount"), Orders(), name="mean_amount"))
    values = np.nan_to_num(Features(tuple(spec)).table(history.before(keys)).values.astype(float))
    return np.hstack([np.ones((len(keys), 1)), np.log1p(np.maximum(values, 0.0)) / 4])


def rewards(history: History, plan: Kept, days: float | None = None) -> Rewards:
    """Return what came of a plan's decisions; raises ImmatureError where the time has not passed yet."""
    keys, rows = keys_of(history, plan), plan.decisions
    asked = horizon_of(plan) if days is None else days
    history.within(keys, asked).require_ripe(f"The result of the plan {plan.id}")
    spent, _ = costs(history, rows, plan.about, asked)
    earned = float(plan.about["margin"]) * amounts(history, keys, asked) - spent
    return Rewards(contexts(history, keys), arms_of(rows["offer_id"].to_list(), rows["channel"].to_list()), earned)


def arms_of(offers: Sequence[str | None], channels: Sequence[str | None]) -> tuple[str, ...]:
    """Return the name of what each customer was sent: "none", or an offer on a channel."""
    return tuple(NONE if offer is None or channel is None else arm(offer, channel) for offer, channel in zip(offers, channels, strict=True))


def bandit(shop: Shop, history: History, campaign: Campaign, keys: Keys, *, seed: int) -> tuple[Bandit, str]:
    """Return what draws by what earlier plans brought, and how much that is, in words.

    What customers bring anyway is taken out by a regression on their contexts; every arm then has beliefs of its own. What no plan has
    tried yet is believed to be like the others, and not to be certain.

    Parameters
    ----------
    shop, history
        The shop, and its log.
    campaign
        What may be sent; plans whose time had passed at its instant are learned from.
    keys
        For whom (n).
    seed
        Where chance starts.
    """
    names = (NONE, *(arm(offer.id, channel.name) for offer in campaign.offers for channel in campaign.channels))
    known = history.cut(min(campaign.made_at, history.end))
    found = [rewards(known, plan) for plan in _ripe(shop, known)]
    asked = contexts(history, keys)
    believed = Thompson.begun(len(names), asked.shape[1], prior=_SPREAD)
    rows = 0
    if found:
        context, reward = np.concatenate([one.context for one in found]), np.concatenate([one.reward for one in found])
        place = {name: k for k, name in enumerate(names)}
        arms = np.array([place.get(name, -1) for one in found for name in one.arm], np.int64)
        rest = (reward - context @ ridge(context, reward)) / max(float(reward.std()), 1e-9)
        mine = arms >= 0
        believed, rows = believed.update(context[mine], arms[mine], rest[mine]), int(mine.sum())
    words = (
        f"Drawn by Thompson sampling, from what came of {rows:,} decisions of {len(found)} earlier plans."
        if rows
        else "Drawn by Thompson sampling; the time of no earlier plan has passed, so nothing is known yet and all options are as likely."
    )
    return Bandit.of(believed, names, asked, np.random.default_rng([seed, 2])), words


def ridge(x: Floats, y: Floats) -> Floats:
    """Return the coefficients of a ridge regression (k)."""
    return np.asarray(np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y))


def _ripe(shop: Shop, known: History) -> list[Kept]:
    """Return the plans whose time has passed; who was in an audience may have been shown nothing, so audiences teach nothing."""
    plans, ripe = kept.in_force(shop), known.end - round(known.lateness_days * DAY)
    return [
        plan
        for plan in plans
        if plan.about["policy"] != kept.AUDIENCE and int(plan.about["made_at"]) + round(horizon_of(plan) * DAY) <= ripe
    ]

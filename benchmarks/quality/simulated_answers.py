"""Answers about leaving, service, response, dwell and risk in the simulated shop whose truth about each is known.

Rows for the area ``answers``: ``rows()`` yields them. What is compared are forecasts as of the latest moment whose 28 days are ripe, of
everybody known by then, over the 28 days after. The oracle is ``SimulatedShop.foreseen``: it knows the laws, and of each customer what her
log says.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.rows import Row
from whenbuy.core.arrays import DAY, Floats
from whenbuy.core.forecast import Amount, Probability, TimeToEvent
from whenbuy.core.outlook import Outlook
from whenbuy.features import Count, Orders, Rate
from whenbuy.ingest.simulate import SimulatedShop, simulate
from whenbuy.ingest.simulated.care import CAUSES
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.pipeline.answering.churn import churn
from whenbuy.pipeline.learning.catalogue import floors, learners
from whenbuy.pipeline.learning.learn import fit
from whenbuy.questions import Happens, NextActivity, NextDwell

USERS, DAYS, LONG_S = 30_000, 28, 120.0
ASKED = {"contact": "enquiry", "refund": "refund", "opened": "opened", "clicked": "clicked", "unsubscribe": "unsubscribe"}
FURTHER = (
    Rate(Count("opened"), Count("shown"), name="opened_share"),
    Rate(Count("clicked"), Count("shown"), name="clicked_share"),
    Rate(Count("refund"), Orders(), name="refunds_per_order"),
    Rate(Count("redeemed"), Orders(), name="redeemed_per_order"),
)
"""What a shop that asks about responses and refunds would declare beside the default features."""


def rows() -> Iterator[Row]:
    """Yield the rows: the log-loss of each answer over the oracle's, its calibration, and the reasons of churn."""
    yield from losses(11)
    yield from reasons((21, 22, 23))


def losses(seed: int, users: int = USERS) -> Iterator[Row]:
    """Yield for each answer its log-loss over the oracle's, the floor's beside it, and its calibration error."""
    shop = simulate(users, seed=seed, parameters=Parameters.frozen("service"))
    history = shop.history
    cutoff = history.end - round((DAYS + history.lateness_days) * DAY)

    def candidates(answer: str, grid: Any) -> Any:
        return floors(answer, grid) if answer == "purchase" else learners(answer, grid)  # purchases have benchmarks of their own

    asked = (*ASKED, "activity", "dwell")
    model = fit(history, cutoff, horizons=(float(DAYS),), ask=asked, further=FURTHER, candidates=candidates)
    outlook = model.predict(history, cutoff)
    truth = shop.foreseen(outlook.keys, DAYS, dwell_above_s=LONG_S)
    for name in asked:
        came, seen, chance = _came(name, outlook, shop), np.ones(len(outlook), bool), _chance(outlook, name)
        if name == "dwell":
            label = NextDwell(DAYS).label(history.before(outlook.keys), history.within(outlook.keys, DAYS))
            came, seen = label.value > LONG_S, label.observed
        best = truth.active if name == "activity" else truth.longer if name == "dwell" else getattr(truth, name)
        share = float(came[seen].mean())
        ours, oracle, floor = (_logloss(each[seen], came[seen]) for each in (chance, best, np.full(len(came), share)))
        told = next(choice.model for choice in model.choices if choice.answer == name and choice.chosen)
        note = (
            f"{users:,} customers, 1 seed; log-loss {ours:.4f}, oracle's {oracle:.4f}, one chance for all {floor:.4f}; answered by {told}"
        )
        loss = Row(area="answers", name=f"sim_{name}_logloss", unit="× the oracle's", better="lower", target=1.05)
        yield loss.got(ours / oracle, floor=floor / oracle, note=note)
        error = Row(area="answers", name=f"sim_{name}_ece", unit="share", better="lower", target=0.02)
        yield error.got(_ece(chance[seen], came[seen]), note=f"the oracle's is {_ece(best[seen], came[seen]):.4f}")


def _came(name: str, outlook: Outlook, shop: SimulatedShop) -> Any:
    past, future = shop.history.before(outlook.keys), shop.history.within(outlook.keys, DAYS)
    if name in ASKED:
        return Happens(DAYS, ASKED[name]).label(past, future).value > 0
    return NextActivity(DAYS).label(past, future).observed


def _chance(outlook: Outlook, name: str) -> Floats:
    answer = outlook.answers[name]
    if isinstance(answer, TimeToEvent):
        return answer.probability(DAYS)
    if isinstance(answer, Amount):  # between quantiles the logarithm of seconds is taken to be even
        assert answer.quantiles is not None
        levels, at = np.array([0.001, *answer.levels, 0.999]), np.log(np.maximum(answer.quantiles, 1e-3))
        ends = np.column_stack([2 * at[:, 0] - at[:, at.shape[1] // 2], at, 2 * at[:, -1] - at[:, at.shape[1] // 2]])
        return np.array([1 - np.interp(np.log(LONG_S), np.maximum.accumulate(row), levels) for row in ends])
    assert isinstance(answer, Probability)
    return answer.chance


def _logloss(chance: Floats, came: Any) -> float:
    kept = np.clip(chance, 1e-6, 1 - 1e-6)
    return float(-np.where(came, np.log(kept), np.log(1 - kept)).mean())


def _ece(chance: Floats, came: Any) -> float:
    """Return the expected calibration error over ten equal parts of the forecasts."""
    parts = np.array_split(np.argsort(chance, kind="stable"), 10)
    return float(sum(len(part) * abs(chance[part].mean() - came[part].mean()) for part in parts) / len(chance))


def reasons(seeds: tuple[int, ...], users: int = 3000) -> Iterator[Row]:
    """Yield the share of lost customers whose largest reason is what drove them away, and how many reasons are told for nothing.

    Counted for the first are customers who had truly left by the log's end for a cause that the shop can change, where at least one reason
    is shown. The floor names the commonest cause for all. For the second: of all who had left and are shown a reason, the share that left
    for reasons of their own. The oracle shows one to those whom what the shop can change is likelier to have driven away.
    """
    known, told, right, ceiling, common, own, blamed = 0, 0, 0, 0, 0, 0, 0
    oracle_told, oracle_blamed = 0, 0
    for seed in seeds:
        shop = simulate(users, seed=seed, parameters=Parameters.frozen("service"))
        found = churn(shop.history)
        cause = dict(shop.people.select("user_id", "cause").iter_rows())
        keys = shop.history.keys()
        causes = shop.foreseen(keys, 1).causes
        best = dict(zip(keys.ids().to_list(), causes[:, : len(CAUSES)].argmax(axis=1).tolist(), strict=True))
        likelier = dict(zip(keys.ids().to_list(), causes[:, :-1].sum(axis=1) > causes[:, -1], strict=True))
        count = dict.fromkeys(CAUSES, 0)
        for user, top in zip(found.trails.user.to_list(), found.top(), strict=True):
            if cause[user] in CAUSES:
                known += 1
                count[cause[user]] += 1
                told += top is not None
                right += top == cause[user]
                ceiling += CAUSES[best[user]] == cause[user]
                oracle_told += likelier[user]
            elif cause[user] is not None:
                own += 1
                blamed += top is not None
                oracle_blamed += likelier[user]
        common += max(count.values())
    note = (
        f"{len(seeds)} seeds of {users:,}: of {known:,} customers lost for a cause that the shop can change {told:,} were told a reason; "
        f"the oracle's likeliest cause is right for {ceiling / known:.3f}"
    )
    row = Row(area="answers", name="sim_churn_reasons", unit="share", better="higher", target=0.9)
    yield row.got(right / told, floor=common / known, note=note)
    note = (
        f"of {own:,} who left for reasons of their own {blamed:,} were told one that the shop can change; the oracle tells "
        f"{oracle_blamed:,} of them and {oracle_told:,} of the {known:,}: {oracle_blamed / (oracle_blamed + oracle_told):.3f}"
    )
    row = Row(area="answers", name="sim_churn_false_reasons", unit="share", better="lower", target=0.1)
    yield row.got(blamed / (blamed + told), floor=own / (own + known), note=note)

"""Off-policy values on the sample of Open Bandit: do the 95 % intervals cover what the other policy really earned?

Two policies ran at the same time in three campaigns, one by lot and one that learned (Bernoulli Thompson sampling); each logged its
propensities. The clicks of one are told from the log of the other, both ways, in each campaign: five parts of the log (2,000
impressions, some eight clicks) by three random splits, so that the interval is wider than the doubt about the truth, the mean of all
10,000 impressions of the other policy. How likely the learning policy was to show an item is how often it did, by campaign and position.
The model of the reward in DR is each item's share of clicks, drawn towards that of its campaign, learned from other folds.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from benchmarks.rows import DATA, Row, data_folder
from whenbuy.evaluate.off_policy import Value, crossed, off_policy

COVERED = Row(area="decide", name="openbandit_covered", unit="share", better="higher", target=0.9)
PARTS, SPLITS, DRAWN_TO = 5, 3, 200.0


def rows() -> Iterator[Row]:
    data = data_folder()
    if data is None:
        yield COVERED.without(DATA)
        return
    table = pl.read_parquet(data / "open_bandit_small" / "impressions.parquet")
    found = [
        (truth, value)
        for campaign in ("all", "men", "women")
        for log, target in (("random", "bts"), ("bts", "random"))
        for truth, value in judged(table.filter(campaign=campaign, policy=log), table.filter(campaign=campaign, policy=target), target)
    ]
    inside = {name: np.mean([v.low <= t <= v.high for t, v in found if v.name == name]) for name in ("ips", "snips", "dr")}
    width = {name: np.median([(v.high - v.low) / t for t, v in found if v.name == name]) for name in inside}
    words = ", ".join(f"{name} {share:.3f} (width {width[name]:.1f} × the truth)" for name, share in inside.items())
    yield COVERED.got(float(np.mean([value.low <= truth <= value.high for truth, value in found])), note=f"{len(found)} intervals: {words}")


def judged(log: pl.DataFrame, other: pl.DataFrame, target: str) -> Iterator[tuple[float, Value]]:
    """What the other policy earned, and each estimate of it from a part of the log."""
    items = int(log["item_id"].max()) + 1  # type: ignore[arg-type]
    chance = np.full((4, items), 1 / items) if target == "random" else shown(other, items)
    item, place, reward, propensity = (log[name].to_numpy() for name in ("item_id", "position", "click", "propensity_score"))
    for split in range(SPLITS):
        part = np.random.default_rng(split).permutation(len(log)) % PARTS
        for each in range(PARTS):
            mine = np.flatnonzero(part == each)
            a, p, r = item[mine], place[mine], reward[mine].astype(float)
            said, of_target = rates(a, p, r, chance, split)
            values = off_policy(r, propensity[mine], chance[p, a], said=said, said_of_target=of_target)
            yield from ((float(other["click"].mean()), value) for value in values)  # type: ignore[arg-type]


def shown(log: pl.DataFrame, items: int) -> Any:
    """How often each item was shown at each position (4 x items)."""
    count = np.zeros((4, items))
    np.add.at(count, (log["position"].to_numpy(), log["item_id"].to_numpy()), 1.0)
    return count / np.maximum(count.sum(axis=1, keepdims=True), 1.0)


def rates(item: Any, place: Any, reward: Any, chance: Any, seed: int) -> tuple[Any, Any]:
    """The reward that a model from other folds says of what was shown, and of what the other policy would have shown."""

    def learn(rows: Any, of_target: bool) -> Any:
        count = np.bincount(item[rows], minlength=chance.shape[1])
        clicks = np.bincount(item[rows], reward[rows], minlength=chance.shape[1])
        rate = (clicks + DRAWN_TO * reward[rows].mean()) / (count + DRAWN_TO)
        return (lambda others: chance[place[others]] @ rate) if of_target else (lambda others: rate[item[others]])

    said, of_target = (crossed(lambda rows, t=t: learn(rows, t), len(item), 5, np.random.default_rng(seed)) for t in (False, True))
    return said, of_target

"""What comes next: the chain beside counting by hand, what trees read beside a plain walk, and that all beat everybody's share."""

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from whenbuy import features as f
from whenbuy.core.acts import usual_acts
from whenbuy.core.arrays import DAY
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import LeakError, NotEnoughDataError
from whenbuy.features.acts import LatestActs
from whenbuy.ingest.read import read
from whenbuy.models.neural.engine import installed
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.next_act import NeuralActs
from whenbuy.models.neural.next_event import NextHead
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.neural.pretrain import Pretraining
from whenbuy.models.neural.training import Training
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.which.next_act import FEATURES, ActChain, ActTrees, Read, chain_of, features_of
from whenbuy.pipeline.learning.build import examples, panel
from whenbuy.questions.next_act import NextAct

ROUND = ("view", "cart", "purchase", "review")
WEEK = 7.0
TREES = ActTrees(WEEK, Boosting(trees=30, learning_rate=0.15, leaves=8, min_leaf=20, feature_fraction=1.0))
NET = NeuralActs(
    WEEK,
    Pretraining(
        LinearRecurrence(8, 1), head=NextHead(("act",), parts=2, share=1.0),
        training=Training(Optimiser(learning_rate=2e-2), epochs=4, batch_tokens=1024),
    ),
)  # fmt: skip


@cache
def shop():
    """Everybody goes round the four kinds, one step in 2 or 3 days; some stop."""
    rng, rows = np.random.default_rng(0), []
    start = np.datetime64("2024-01-01", "s")
    for user in range(120):
        at, step = start + np.timedelta64(int(rng.integers(0, 86_400 * 5)), "s"), int(rng.integers(4))
        for _ in range(int(rng.integers(3, 40))):
            rows.append((f"u{user:03}", ROUND[step % 4], at))
            step, at = step + 1, at + np.timedelta64(int(rng.integers(2 * 86_400, 3 * 86_400)), "s")
    users, kinds, times = zip(*rows, strict=True)
    frame = pl.DataFrame({"user_id": users, "event": kinds, "time": np.array(times).astype("datetime64[us]")})
    return read(frame.filter(pl.col("time") < pl.datetime(2024, 3, 20))).history


@cache
def parts():
    history = shop()
    acts = usual_acts(history.log)
    spec, block, asked = f.Features((f.Recency(),)), {"acts": LatestActs(acts)}, (NextAct(WEEK, acts),)
    train = panel(history.cut(history.end - 21 * DAY), spec, history.end - np.arange(56, 27, -7) * DAY, asked, block)
    return train, panel(history, spec, history.end - np.arange(14, 6, -7) * DAY, asked, block)


def loss(chance, label):
    rows = label.observed
    told, came = np.clip(chance[rows], 1e-9, 1 - 1e-9), label.value[rows]
    return float(-np.where(came > 0, np.log(told), np.log1p(-told)).mean())


def test_the_chain_is_counting():
    rng, k, lent = np.random.default_rng(1), 3, 4.0
    n = 200
    stretch, last, came = rng.integers(1, 5, n), rng.integers(0, k + 1, n), np.zeros((n, k), bool)
    hit = rng.random(n) < 0.7
    came[np.flatnonzero(hit), rng.integers(0, k, int(hit.sum()))] = True
    nothing = np.zeros(n, np.int64)
    read_ = Read(k, stretch, last, np.zeros(n), nothing, nothing, np.empty(0, np.int32), np.empty(0))
    weight = rng.integers(1, 3, n).astype(float)
    found = chain_of(read_, came, weight, lent)
    everybody = (weight @ came + 0.5 / k) / (weight.sum() + 1)
    np.testing.assert_allclose(found[0], np.broadcast_to(everybody, (k + 1, k)))

    def drawn(rows, towards):
        return (weight[rows] @ came[rows] + lent * towards) / (weight[rows].sum() + lent)

    for s in range(1, 5):
        for j in range(k + 1):
            of_last = drawn(last == j, everybody)
            most = max(drawn(last == i, everybody).sum() for i in range(k + 1))
            ratio = min(drawn(stretch == s, everybody).sum() / everybody.sum(), 1 / most)
            np.testing.assert_allclose(found[s, j], drawn((stretch == s) & (last == j), of_last * ratio))
    assert (found.sum(axis=2) <= 1 + 1e-12).all()


def test_what_trees_read_is_a_plain_walk():
    _, valid = parts()
    acts = tuple(valid.block("acts", Sequences).dictionaries["act"].ids.to_list())
    read_ = Read.of(valid, acts)
    chain = np.random.default_rng(0).random((len(valid), len(acts))) / len(acts)
    told = features_of(read_, chain).reshape(len(valid), len(acts), len(FEATURES))
    column = {name: place for place, name in enumerate(FEATURES)}
    for row in (0, 5, len(valid) - 1):
        mine = list(range(read_.start[row], read_.stop[row]))
        code, last = [int(read_.code[t]) for t in mine], int(read_.code[mine[-1]])
        after = [code[place + 1] for place in range(len(mine) - 1) if code[place] == last]
        for j in range(len(acts)):
            values = told[row, j]
            assert values[column["share"]] == pytest.approx(code.count(j) / len(code))
            assert values[column["after"]] == pytest.approx((after.count(j) + chain[row, j]) / (len(after) + 1), rel=1e-5)
            assert values[column["steps"]] == len(code)
            if j in code:
                latest = len(code) - 1 - code[::-1].index(j)
                days = read_.silence_days[row] + read_.days[mine[-1]] - read_.days[mine[latest]]
                assert values[column["days_since"]] == pytest.approx(days, rel=1e-4)
                assert values[column["steps_since"]] == len(code) - 1 - latest
            else:
                assert np.isnan(values[column["days_since"]])


@pytest.mark.parametrize(
    "learner", [ActChain(WEEK), TREES, pytest.param(NET, marks=pytest.mark.skipif(not installed(), reason="torch is not there"))]
)
def test_it_knows_more_than_everybodys_share_and_tells_one_act_at_most(learner):
    train, valid = parts()
    model, label = learner.fit(train), valid.label("next")
    answer = model.predict(valid)
    everybody = train.label("next").value[train.label("next").observed].mean(axis=0)
    assert loss(answer.chance, label) < loss(np.broadcast_to(everybody, answer.chance.shape), label)
    assert (answer.chance.sum(axis=1) <= 1 + 1e-9).all()
    alone = model.predict(valid.take(np.array([3])))
    np.testing.assert_allclose(alone.chance[0], answer.chance[3], rtol=1e-6)
    with pytest.raises(LeakError):
        model.predict(train)
    history = shop()
    acts = answer.classes
    stranger = examples(history, f.Features((f.Recency(),)), history.keys(["nobody"]), blocks={"acts": LatestActs(acts)})
    told = model.predict(stranger)
    assert told.prior.all()
    assert 0 < told.chance.sum() <= 1


def test_nothing_came_and_nothing_is_learned():
    train, _ = parts()
    label = train.label("next")
    nothing = replace(train, labels={"next": replace(label, value=np.zeros_like(label.value))})
    with pytest.raises(NotEnoughDataError):
        ActChain(WEEK).fit(nothing)

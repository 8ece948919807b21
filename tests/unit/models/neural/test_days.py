"""The net that goes from day to day."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.contracts.shops import GRID, boundary, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import DamagedError, NotEnoughDataError, SettingsError
from whenbuy.features import ActiveDays, Features, Recency
from whenbuy.models.neural.days import BLOCK, NeuralDays, Told
from whenbuy.models.neural.engine import torch
from whenbuy.models.neural.kernels.days import HALF_LIVES, TOLD
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.reading import part_of
from whenbuy.models.neural.training import Training
from whenbuy.pipeline.learning.build import examples, panel
from whenbuy.questions import NextPurchase

SMALL = NeuralDays((0.5, 1.0, 2.0, 3.0, 28.0, 42.0), LinearRecurrence(16, 1, decay=False), hidden=16, training=Training(epochs=2))
SPEC = Features((Recency(name="event_recency_days"),))


def learns(users=slice(None)):
    cutoffs = boundary() - np.arange(42, -1, -14) * DAY
    made = panel(shop().cut(boundary()), SPEC, cutoffs, (NextPurchase(28.0),), {BLOCK: ActiveDays()})
    return made.take(np.flatnonzero(np.isin(made.keys.code, np.arange(300)[users])))


@cache
def fitted():
    return SMALL.fit(learns())


def told_of(users, days=0):
    return examples(shop(), SPEC, shop().keys(users, boundary() + days * DAY), blocks={BLOCK: ActiveDays()})


def slow_days(days, bought, amount, first, last, usual):
    """What is told after each day, by plain loops over what happened."""
    rows = []
    for today in range(first, last + 1):
        past = range(first, today + 1)
        was = {day: any(b for d, b in zip(days, bought, strict=True) if d == day) for day in past}
        spent = {day: math.log1p(sum(a for d, b, a in zip(days, bought, amount, strict=True) if d == day and b)) for day in past}
        others = {day: math.log1p(sum(d == day and not b for d, b in zip(days, bought, strict=True))) for day in past}
        after = (today + 1) % 7
        rates = []
        for half in HALF_LIVES:
            kept = {day: 2.0 ** (-(today - day) / half) for day in past}
            rates.append((sum(kept[day] * was[day] for day in past) + 4 * usual) / (sum(kept.values()) + 4))
        same = [day for day in past if day % 7 == after]
        kept = {day: 0.93 ** sum(other > day for other in same) for day in same}
        own = (sum(kept[day] * was[day] for day in same) + 2 * rates[3]) / (sum(kept.values()) + 2)
        wait = next((today - day for day in reversed(past) if was[day]), len(past))
        decayed = [sum(share * (1 - share) ** (today - day) * spent[day] for day in past) for share in (0.1, 0.02)]
        odds = [math.log(chance / (1 - min(chance, 0.995))) for chance in (*rates, own)]
        weekday = [float(place == after) for place in range(7)]
        rows.append(
            [was[today], spent[today], others[today], *weekday, math.log1p(wait), math.log1p(wait) + math.log(rates[3]), *odds,
             math.log1p(len(past)), *decayed]
        )  # fmt: skip
    return np.array(rows, float)


def test_what_is_told_of_a_day_is_that_of_plain_loops():
    told = Told.of(told_of(None))
    some = np.array([0, 7, 21])
    usual = told.usual(some)
    values, came, offsets = told.days(some, usual)
    for place, stream in enumerate(some.tolist()):
        tokens = slice(told.streams.start[stream], told.streams.start[stream] + told.streams.length[stream])
        days, bought, amount = told.day[tokens], told.bought[tokens], told.amount[tokens]
        last = int(told.last[told.streams.offsets[stream + 1] - 1])
        expected = slow_days(days.tolist(), bought.tolist(), amount.tolist(), int(days[0]), last, usual)
        mine = slice(offsets[place], offsets[place + 1])
        np.testing.assert_allclose(values[mine], expected, rtol=1e-5, atol=1e-5)
        assert values.shape[1] == TOLD
        np.testing.assert_array_equal(came[mine][:-1], expected[1:, 0])


def test_the_first_day_is_that_of_the_pass_over_whole_streams():
    model, rows = fitted(), told_of(None)
    told, settings = Told.of(rows), model.settings
    stream = int(np.argmax(told.lengths))
    values = (told.days(np.array([stream]), model.usual)[0] - model.mean) / model.deviation
    library = torch()
    weights = {name: library.from_numpy(part) for name, part in model.weights.items()}
    x = library.from_numpy(values)[:, None] @ weights["days"][:-1] + weights["days"][-1]
    state = settings.encoder.passed(part_of(weights, "encoder"), x, library.ones(x.shape[:2]), None)[-1, 0].numpy()
    hidden = np.maximum(np.concatenate([state, values[-1]]) @ model.weights["hidden"] + model.weights["hidden_bias"], 0)
    odds = float((hidden @ model.weights["out"] + model.weights["out_bias"])[0])
    row = int(told.streams.row[told.streams.offsets[stream]])
    assert model.predict(rows).probability(1.0)[row] == pytest.approx(1 / (1 + math.exp(-odds)), abs=1e-5)


def test_the_path_of_silence_is_what_is_said_after_it():
    model, history = fitted(), shop()
    users = history.keys(None, boundary()).ids().to_numpy()
    counts = [history.before(history.keys(users.tolist(), boundary() + days * DAY)).count() for days in (0, 2)]
    silent = users[(counts[0] == counts[1]) & (counts[0] > 0)].tolist()
    assert len(silent) > 50
    now, later = model.predict(told_of(silent)).survival, model.predict(told_of(silent, days=2)).survival
    np.testing.assert_allclose(now[:, 3] / now[:, 2], later[:, 1], atol=1e-5)


def test_days_are_shared_evenly_and_the_latest_pace_goes_on():
    curve = fitted().predict(told_of(None))
    fallen = -np.log(curve.survival)
    np.testing.assert_allclose(fallen[:, 0], fallen[:, 1] / 2, atol=1e-9)
    assert (np.diff(fallen, axis=1) > 0).all()
    steady = replace(SMALL, ahead=7).fit(learns())
    fallen = -np.log(steady.predict(told_of(None)).survival)
    assert (fallen[:, -1] > fallen[:, -2]).all()


def test_a_day_on_which_she_has_bought_counts_as_over():
    log = shop().log
    row = int(np.flatnonzero(log.kind == log.code("purchase"))[-1])
    user = log.users.names(np.array([np.searchsorted(log.offsets, row, side="right") - 1], np.int32))[0]
    keys = shop().keys([user], int(log.known_at[row]) + 1)
    block = examples(shop(), SPEC, keys, blocks={BLOCK: ActiveDays()}).block(BLOCK, Sequences)
    assert block.since_days.tolist() == [0.0]
    told = Told.of(examples(shop(), SPEC, keys, blocks={BLOCK: ActiveDays()}))
    assert told.last.tolist() == [int(block.time[-1]) // DAY]


def test_strangers_are_answered_like_everybody():
    curve = fitted().predict(told_of(["nobody"]))
    assert curve.prior is not None
    assert curve.prior.tolist() == [True]
    assert curve.probability(1.0)[0] == pytest.approx(fitted().usual, rel=1e-6)


def test_a_longer_training_is_better_than_everybodys_rate():
    model = replace(SMALL, training=Training(epochs=4, batch_tokens=2048)).fit(learns())
    scores = [epoch.scores["day"] for epoch in model.course.epochs]
    rate = model.usual
    assert min(scores) < -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))


def test_one_event_each_ten_thousand_on_one_day_and_all_on_one_day():
    made = learns()
    block = made.block(BLOCK, Sequences)
    last = np.flatnonzero(block.stop > block.start)[0]
    many = np.concatenate([np.arange(len(block.time)), np.full(10_000, block.stop[last] - 1)])
    start, stop = block.start.copy(), block.stop.copy()
    start[last], stop[last] = len(block.time), len(many)
    crowd = replace(block, start=start, stop=stop, time=block.time[many], codes={"kind": block.codes["kind"][many]},
                    numbers={"amount": block.numbers["amount"][many]})  # fmt: skip
    for wrong in (
        replace(block, stop=np.minimum(block.stop, block.start + 1)),
        replace(block, time=np.full_like(block.time, block.time.min())),
        crowd,
    ):
        asked = replace(made, blocks={BLOCK: wrong})
        model = replace(SMALL, training=Training(epochs=1)).fit(asked)
        assert np.isfinite(model.predict(asked, in_sample=True).survival).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(NotEnoughDataError, match="known for two days"):
        SMALL.fit(learns(slice(0, 1)))
    with pytest.raises(SettingsError, match="do not fade"):
        NeuralDays(GRID.days, LinearRecurrence(8, 1))
    with pytest.raises(DamagedError, match="do not fit"):
        replace(fitted(), mean=fitted().mean[1:])
    with pytest.raises(SettingsError, match="at least"):
        ActiveDays(0)

"""What comes next, and what was hidden: learned from events alone."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.models.neural.small import QUICK, drawn_sequences
from whenbuy.core.errors import NotEnoughDataError, SettingsError
from whenbuy.models.neural.gru import Gru
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.next_event import NextHead, pairs_of
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.neural.pretrain import Pretraining, long_enough
from whenbuy.models.neural.tokens import Inputs
from whenbuy.models.neural.training import Training
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types

HOW = Training(Optimiser(learning_rate=0.02, warm_up=0.2), epochs=12, batch_tokens=256)
NEXT = Pretraining(LinearRecurrence(16, 1), head=NextHead(("kind", "item_id"), share=1.0), training=HOW)


def cycle(users=60, most=40, items=12, seed=0):
    """Events whose kind and item follow from the one before, a day after a view, a week after anything else."""
    rng = np.random.default_rng(seed)
    made = drawn_sequences(rng, users, most, items)
    kind, item = made.codes["kind"].copy(), np.maximum(made.codes["item_id"], 0)
    gap = made.numbers["log_gap_days"].copy()
    for row in range(1, len(kind)):
        if not np.isnan(gap[row]):
            kind[row], item[row] = (kind[row - 1] + 1) % 3, (item[row - 1] + 1) % items
            gap[row] = np.log1p(1.0 if kind[row - 1] == 0 else 7.0)
    return replace(made, codes={"kind": kind, "item_id": item}, numbers={**made.numbers, "log_gap_days": gap})


def last(made):
    """The longest sequence of each user without its last event, and what that was."""
    ends = np.flatnonzero(np.append(made.start[1:] != made.start[:-1], True))
    ends = ends[made.stop[ends] - made.start[ends] > 2]
    rows = made.stop[ends] - 1
    before = made.take(ends)
    return replace(before, stop=before.stop - 1), rows


@pytest.mark.parametrize("large", [False, True])
def test_it_learns_what_kind_which_item_and_when(large):
    made = cycle(items=12)
    if large:  # a column beyond 512 names is learned against a sample of them
        names = made.dictionaries["item_id"]
        many = type(names).of([f"item {place}" for place in range(600)])
        made = replace(
            made, dictionaries={**made.dictionaries, "item_id": many}, codes={**made.codes, "item_id": made.codes["item_id"] * 7}
        )
    events = NEXT.learn(made)
    asked, rows = last(cycle(seed=1) if not large else made)
    told = events.next(asked)
    kind = made.dictionaries["kind"]
    truth = asked.codes["kind"][rows]
    guess = kind.codes(told.names["kind"].ids.gather(told.chance["kind"].argmax(axis=1)))
    assert np.mean(guess == truth) > 0.9
    day = np.expm1(asked.numbers["log_gap_days"][rows].astype(float))
    assert np.sqrt(np.mean((told.gap_days - day) ** 2)) < 1.0
    assert told.log_density(day).mean() > 0
    item = told.chance["item_id"].argmax(axis=1)
    known = made.dictionaries["item_id"].codes(told.names["item_id"].ids)
    assert np.mean(known[item] == asked.codes["item_id"][rows]) > 0.7


def test_a_density_is_one():
    told = NEXT.learn(cycle()).next(last(cycle())[0].take(slice(0, 1)))
    days = np.concatenate([[0], np.geomspace(1e-6, 1e4, 20_001)])
    alike = type(told)(
        told.names, told.chance, np.repeat(told.gap_days, len(days)),
        *(np.repeat(part, len(days), axis=0) for part in (told.weight, told.mean, told.deviation)),
    )  # fmt: skip
    inside = np.trapezoid(np.exp(alike.log_density(days)), days)
    assert 0.5 < inside <= 1.001
    for chance in told.chance.values():
        assert (chance.sum(axis=1) <= 1 + 1e-6).all()


def test_hidden_names_are_told_from_what_came_before():
    how = replace(NEXT, task="masked", masked=0.2, head=NextHead(("kind",), share=1.0))
    events = how.learn(cycle())
    first, best = events.course.epochs[0].scores["next kind"], events.course.scores["next kind"]
    assert best < 0.7 * first
    assert "next time" not in events.course.scores
    with pytest.raises(SettingsError, match="Hidden events"):
        events.next(cycle())


def test_what_was_learned_can_be_kept(tmp_path):
    events = replace(NEXT, training=replace(QUICK, epochs=1)).learn(cycle())
    bundle.save(tmp_path / "events", events, {})
    again, _ = bundle.load(tmp_path / "events", types())
    asked = last(cycle())[0]
    assert np.array_equal(again.next(asked).chance["item_id"], events.next(asked).chance["item_id"])
    assert again.settings == events.settings


def test_killed_and_resumed_pretraining_is_the_same(tmp_path):
    how = replace(NEXT, encoder=Gru(8), inputs=Inputs(mask=0.1), training=replace(QUICK, epochs=3))

    class Killed(Exception):
        pass

    def tell(progress):
        if progress.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        how.learn(cycle(), folder=tmp_path, tell=tell)
    whole, resumed = how.learn(cycle(), cycle(seed=3)), None
    assert whole.course.scores
    whole, resumed = how.learn(cycle()), how.learn(cycle(), folder=tmp_path)
    assert all(np.array_equal(whole.weights[name], part) for name, part in resumed.weights.items())


def test_streams_of_one_event_teach_nothing():
    one = cycle(most=1)
    assert not len(long_enough(one))
    with pytest.raises(NotEnoughDataError):
        NEXT.learn(one)
    time, stream = pairs_of(np.array([3, 1, 0, 2]))
    assert sorted(zip(stream.tolist(), time.tolist(), strict=True)) == [(0, 0), (0, 1), (3, 0)]

"""Which events mattered: beside a log from which they were dropped, with a net in the blend and without."""

import sys
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from tests.unit.pipeline.explaining import small
from whenbuy.core.errors import NotFoundError, SettingsError
from whenbuy.core.log import EventLog, order_by_time
from whenbuy.core.profile import Profile
from whenbuy.features import LatestEvents
from whenbuy.ingest.read import read
from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.mlp import Mlp
from whenbuy.models.neural.training import Training
from whenbuy.models.when.floors import PoissonRate
from whenbuy.models.when.rhythm import Rhythm
from whenbuy.models.wrapping.blend import Blend
from whenbuy.models.wrapping.prepared import Prepared
from whenbuy.pipeline.explaining import behind
from whenbuy.pipeline.explaining.asking import Asking
from whenbuy.pipeline.explaining.explaining import explain
from whenbuy.pipeline.explaining.might import without_each
from whenbuy.pipeline.explaining.nets import holds_net
from whenbuy.pipeline.learning.build import panel
from whenbuy.pipeline.learning.learn import fit
from whenbuy.pipeline.verbs import explain as verb
from whenbuy.questions import NextPurchase
from whenbuy.reasons.events import Events

QUICK = Training(epochs=1, batch_tokens=4096)


def candidates(answer, grid):
    if answer != "purchase":
        return ()
    net = Prepared(NeuralCurve(grid.days, Mlp(), hidden=(16,), training=QUICK), (Rhythm(),))
    return (Blend((net, PoissonRate(grid.days))),)


@cache
def with_net():
    return fit(small.shop(), small.KNOWN, horizons=small.HORIZONS, candidates=candidates)


@cache
def reading_events():
    """A forecaster whose net reads the events themselves."""
    told, history = small.model(), small.shop()
    blocks = {"sequences": LatestEvents(256)}
    cutoffs = history.clock.instant(small.KNOWN) - np.array([70, 56, 42, 28]) * 86_400_000_000
    train = panel(history, told.features, cutoffs, (NextPurchase(28.0),), blocks)
    days = (1.0, 2.0, 3.0, 5.0, 7.0, 14.0, 21.0, 28.0)
    net = NeuralCurve(days, LinearRecurrence(8, 1), hidden=(8,), windows=False, training=QUICK).fit(train)
    return replace(told, models={"purchase": net}, blocks=blocks)


def somebody(least=3):
    """A customer with some orders of several lines."""
    history = small.shop()
    keys = history.keys()
    orders = history.before(keys).count("purchase")
    return keys.ids()[int(np.flatnonzero(orders >= least)[0])]


@pytest.mark.parametrize("model", [small.model, with_net, reading_events])
def test_a_size_is_the_forecast_less_that_of_a_log_without_the_event(model):
    """The oracle asks the whole shop's history anew, with those rows taken out of it."""
    history, name = small.shop(), somebody()
    found = explain(model(), history, [name]).events(name, 6)
    assert len(found) == 6
    assert found.points.any()
    keys = history.keys([name])
    left_out = without_each(history, keys, 6)[2]
    asking = Asking(model(), history, 7.0)
    now = asking.read(keys)
    chance = asking.chance(now.examples, now.silence)[0]
    for place, rows in enumerate(left_out):
        again = _without(history, rows)
        other = Asking(model(), again, 7.0)
        key = again.keys([name], history.end)
        read_then = other.read(key)
        assert found.points[place] == pytest.approx(100 * (chance - other.chance(read_then.examples, read_then.silence)[0]), abs=1e-9)


def _without(history, rows):
    """The whole shop's history without some rows of its log."""
    log = history.log
    kept = np.setdiff1d(np.arange(len(log)), rows)
    gone = np.searchsorted(np.sort(rows), log.offsets)
    columns = {name: replace(column, values=column.values[kept]) for name, column in log.columns.items()}
    known_at = log.known_at[kept]
    time = log.time[kept] if log.late else known_at
    offsets = log.offsets - gone
    by_time = order_by_time(offsets, time) if log.late else None
    return replace(history, log=EventLog(log.users, log.kinds, offsets, known_at, time, log.kind[kept], columns, log.end, by_time))


def test_all_lines_of_an_order_are_one_event():
    history = read(
        pl.DataFrame(
            {
                "user_id": ["a"] * 6,
                "event": ["view", "purchase", "purchase", "view", "purchase", "refund"],
                "time": ["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"],
                "order_id": [None, "o1", "o1", None, "o2", "o1"],
                "item_id": ["i1", "i1", "i2", "i3", "i3", "i1"],
            }
        )
    ).history
    made, keys, out = without_each(history, history.keys(["a"]), 99)
    assert [rows.tolist() for rows in out] == [[0], [1, 2], [3], [4], [5]]
    assert made.before(keys).count().tolist() == [5, 4, 5, 5, 5]
    assert made.before(keys).count("purchase").tolist() == [3, 1, 3, 2, 3]
    assert len(without_each(history, history.keys(["a"]), 2)[2]) == 2
    assert without_each(history, history.keys(["nobody"]), 2)[2] == ()


def test_what_a_profile_says_of_her_stays():
    history = small.shop()
    name = somebody()
    told = replace(history, users=Profile("user", pl.DataFrame({"id": [name, "other"], "age": [44, 20]}), timeless=True))
    made, keys, _ = without_each(told, told.keys([name]), 3)
    assert made.before(keys).attributes()["age"].to_list() == [44, 44, 44]


def test_without_her_only_event_she_is_a_stranger_and_a_stranger_has_none():
    history = small.shop()
    name = somebody()
    log = history.log
    start = int(log.offsets[log.users.codes([name])[0]])
    later = np.arange(start + 1, int(log.offsets[log.users.codes([name])[0] + 1]))
    made, keys, out = without_each(_without(history, later), history.keys([name]), 5)
    assert len(out) == 1
    assert made.before(keys).count().tolist() == [0]
    alone = explain(small.model(), _without(history, later), [name, "a stranger"])
    newcomer, own = alone.shares.chance[1], alone.shares.chance[0]
    assert alone.events(name).points[0] == pytest.approx(100 * (own - newcomer), abs=1e-9)
    found = explain(small.model(), history, ["a stranger"]).events("a stranger")
    assert len(found) == 0
    assert found.sentence() == ""
    assert found.frame().is_empty()


def test_a_wrong_count_and_somebody_else_are_refused():
    found = explain(small.model(), small.shop(), [somebody()])
    with pytest.raises(SettingsError):
        found.events(somebody(), 0)
    with pytest.raises(NotFoundError):
        found.events("a stranger")


def test_words_are_those_of_the_figures():
    told = Events(
        ("view", "purchase", "x"), (("tea",), ("coffee", "milk", "rice"), ()), np.array([12.4, 1.0, 0.2]), np.array([-8.2, 3.6, 0.2])
    )
    assert told.sentence() == "the view of tea 12 days ago: −8 points; the purchase of coffee, milk and 1 more 1 day ago: +4"
    assert told.frame()["points"].to_list() == [-8.2, 3.6, 0.2]
    assert told.frame()["event"][2] == "the x today"
    small_ones = replace(told, points=np.array([0.04, -1.0, 0.0]))
    assert small_ones.sentence() == "the purchase of coffee, milk and 1 more 1 day ago: −1.0 points"
    assert replace(told, points=np.zeros(3)).sentence() == ""


def test_torch_is_not_needed_to_tell_them(monkeypatch):
    name, history = somebody(), small.shop()
    before = explain(reading_events(), history, [name]).events(name, 4)
    monkeypatch.setitem(sys.modules, "torch", None)
    after = explain(reading_events(), history, [name]).events(name, 4)
    np.testing.assert_array_equal(after.points, before.points)
    assert after.sentence() == before.sentence()


def test_a_net_is_found_wherever_it_stands():
    assert not holds_net(small.model().models["purchase"])
    assert holds_net(with_net().models["purchase"])
    assert holds_net(reading_events().models["purchase"])


@pytest.mark.parametrize("model", [small.model, with_net])
def test_the_verb_tells_events_where_a_net_answers(model, monkeypatch, tmp_path):
    class Home:
        log = tmp_path

        def settings(self, rules):
            return None

    name = somebody()
    monkeypatch.setattr(verb, "find_shop", lambda folder: Home())
    monkeypatch.setattr(verb, "open_log", lambda path: small.shop())
    monkeypatch.setattr(verb.champion, "answering", lambda home, instant=None: ("m1", model()))
    monkeypatch.setattr(behind, "STANDING", 6)
    result = verb.explain(None, (name,), None, None, lambda words: None)
    plain, below = result.plain(), result.screens[0].below
    if model is small.model:
        assert "events" not in plain
        assert len(below) == 1
        return
    rows = plain["events"][name]
    strongest = rows[0]
    assert 0 < len(rows) <= 32
    assert strongest["event"] in below[0]
    size = f"{strongest['points']:+.{0 if abs(strongest['points']) >= 2.5 else 1}f}".replace("-", "−")
    assert f"{strongest['event']}: {size} point" in below[0]
    assert [abs(row["points"]) for row in rows] == sorted((abs(row["points"]) for row in rows), reverse=True)

"""Online equals offline: what the live state says after each event is what the batch says over the log of the same events."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.unit.serve.live_shop import differences, events_after, joined, model, shop, stands_at
from whenbuy.core.arrays import DAY
from whenbuy.core.keys import Keys
from whenbuy.models.series.promoted import Promoted
from whenbuy.models.when.buy_till_you_die import ParetoNbd
from whenbuy.pipeline.learning.build import examples
from whenbuy.serve.live import LiveState

HOUR = DAY // 24


def test_window_features_of_5000_keys_agree_bit_for_bit():
    history, forecaster = shop(1_000, 150, 3), model("plain")
    begin = history.end - 20 * DAY
    base, events = stands_at(history, begin), events_after(history, begin)
    state, applied, compared = LiveState.of(base, forecaster), 0, 0
    users = history.log.users.ids.to_list()
    for at in (begin + HOUR, begin + 3 * DAY, begin + 7 * DAY + 5 * HOUR, begin + 13 * DAY, begin + 20 * DAY):
        while applied < len(events) and events[applied].known_at < at:
            applied += 1
            state.apply(applied, events[applied - 1])
        so_far = joined(base, events[:applied])
        past = so_far.before(so_far.keys(users, at))
        batch = forecaster.features.table(past).values
        live = np.stack([state.features(user, at) for user in users])
        np.testing.assert_array_equal(live.view(np.uint32)[~np.isnan(live)], batch.view(np.uint32)[~np.isnan(batch)])
        np.testing.assert_array_equal(np.isnan(live), np.isnan(batch))
        compared += len(users)
    assert compared >= 5_000
    assert applied > 1_000


@pytest.mark.parametrize("kind", ["plain", "rich"])
def test_forecasts_equal_the_batch_forecast_at_the_same_instants(kind):
    history, forecaster = shop(), model(kind)
    begin = history.end - 6 * DAY
    base, events = stands_at(history, begin), events_after(history, begin)
    state, applied = LiveState.of(base, forecaster), 0
    users = [*history.log.users.ids.to_list()[:40], "somebody new"]
    for at in (begin + 1, begin + 2 * DAY + 7 * HOUR, begin + 2 * DAY + 9 * HOUR, begin + 6 * DAY):
        while applied < len(events) and events[applied].known_at < at:
            applied += 1
            state.apply(applied, events[applied - 1])
        assert differences(state, forecaster, joined(base, events[:applied]), users, at) < 1e-9
    assert applied > 100


def test_closed_days_and_models_without_a_compiled_row_answer_as_the_batch_does():
    history, forecaster = shop(), model("plain")
    today = int(history.clock.days(np.array([history.end]))[0])
    pareto = ParetoNbd(tuple(forecaster.models["orders"].grid_days.tolist()))
    keys = history.keys(None, history.end - 20 * DAY)
    counted = pareto.fit(examples(history, forecaster.features, keys))
    shut = replace(forecaster, closed=(today + 1, today + 3), models={**forecaster.models, "orders": counted})
    state, users = LiveState.of(history, shut), [*history.log.users.ids.to_list()[:12], "somebody new"]
    for asked in (users[:2], users[-1:], users):  # one after the other, and all at once
        assert differences(state, shut, history, asked, history.end + HOUR) < 1e-9


def test_offers_move_live_curves_as_those_of_the_batch():
    history, forecaster = shop(), model("plain")
    dated = replace(forecaster, promoted=Promoted(np.array([0.5, -1.0]), 1.1))
    state, users = LiveState.of(history, dated), [*history.log.users.ids.to_list()[:12], "somebody new"]
    for at in (history.end + HOUR, history.end + DAY + 7 * HOUR):
        assert differences(state, dated, history, users, at) < 1e-9
    plain, moved = (one.predict(history, users=users[:1]).purchase.probability(28.0) for one in (forecaster, dated))
    assert abs(plain[0] - moved[0]) > 1e-4


def test_a_key_of_the_batch_and_a_live_customer_are_the_same_person():
    history, forecaster = shop(), model("plain")
    user = history.log.users.ids[3]
    state = LiveState.of(history, forecaster)
    keys = Keys("user", np.array([3], np.int32), np.array([history.end]), history.log.users)
    told = forecaster.answer(history, keys).frame().row(0, named=True)
    said = state.forecast(user, history.end)
    assert said.user_id == user == told["user_id"]
    assert said.p_purchase_7d == pytest.approx(told["p_purchase_7d"], abs=1e-9)
    assert said.known_events == history.log.offsets[4] - history.log.offsets[3]


# ---- planted bugs: each comparison must find them


class SkipsNow(LiveState):
    """One event in two hundred never enters."""

    def _enter(self, known, event):
        if event.event_id.endswith("77"):
            known.events += 1
            return
        super()._enter(known, event)


class RoundsMoney(LiveState):
    """Amounts lose their last digit."""

    def _enter(self, known, event):
        values = {name: round(value, 1) if name == "amount" else value for name, value in event.values.items()}
        super()._enter(known, msgspec.structs.replace(event, values=values))


class ForgetsTheDay(LiveState):
    """Windows are not read again when a new day of the shop begins."""

    def _read_at(self, known, at):
        return min(max(known.last + 1, 0), at) if known.last > 0 else super()._read_at(known, at)


@pytest.mark.parametrize("bug", [SkipsNow, RoundsMoney])
def test_the_comparison_of_features_finds_a_planted_bug(monkeypatch, bug):
    monkeypatch.setitem(globals(), "LiveState", bug)
    with pytest.raises(AssertionError):
        test_window_features_of_5000_keys_agree_bit_for_bit()


@pytest.mark.parametrize("bug", [SkipsNow, ForgetsTheDay])
def test_the_comparison_of_forecasts_finds_a_planted_bug(monkeypatch, bug):
    monkeypatch.setitem(globals(), "LiveState", bug)
    with pytest.raises(AssertionError):
        test_forecasts_equal_the_batch_forecast_at_the_same_instants("rich")

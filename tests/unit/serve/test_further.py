"""Further answers, live: what only batches gave is told of one customer as the batch over the same events tells it."""

from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pytest

from tests.unit.serve.doubles import Bench, played
from tests.unit.serve.live_shop import events_after, joined, shop, stands_at
from whenbuy.core.arrays import DAY
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.pipeline.learning.answers import ANSWERS
from whenbuy.pipeline.learning.learn import fit
from whenbuy.serve.live import LiveState

ASK = ("usual", "activity", "churn", "visits", "dwell", "viewed", "rating", "in_session", "next", "review", "refund")
HOUR = DAY // 24


def candidates(answer, grid):
    """The floors, and of the further answers the second candidate as well: those read blocks of the past."""
    if answer in ("purchase", "orders"):
        return PoissonRate(grid.days), KaplanMeier(grid.days)
    return ANSWERS[answer].candidates(grid)[: 1 if ANSWERS[answer].usual else 2]


@cache
def everything():
    history = shop()
    return fit(history, history.end - 12 * DAY, horizons=(7, 14), candidates=candidates, ask=ASK)


def compared(state, model, history, users, at):
    """Compare every column of ``predict`` with the live answer; return how many of the users are on a visit."""
    frame = model.answer(history, history.keys(users, at)).frame(further=True)
    said = state.further(state.forecasts(users, at))
    for row, told in zip(frame.iter_rows(named=True), said, strict=True):
        for name, value in row.items():
            own = getattr(told, name)
            assert type(own) is type(value), name
            if isinstance(value, float):
                assert own == pytest.approx(value, rel=1e-9, nan_ok=True), name
            elif not hasattr(value, "timestamp"):
                assert own == value, name
            else:
                assert abs((own - value).total_seconds()) < 1e-3, name
    return int((frame["p_in_session"] > 0).sum())


def test_after_each_event_they_equal_the_batch_at_the_same_instant():
    history, model = shop(), everything()
    assert {"next", "in_session", "visits", "activity", "dwell", "viewed", "rating"} <= set(model.further)
    begin = history.end - 6 * DAY
    base, events = stands_at(history, begin), events_after(history, begin)
    state, on_a_visit, applied = LiveState.of(base, model), 0, 0
    for number in (1, 40, 41, 42, 120, len(events)):
        while applied < number:
            applied += 1
            state.apply(applied, events[applied - 1])
        users = list(dict.fromkeys(event.user for event in events[max(applied - 8, 0) : applied]))
        on_a_visit += compared(state, model, joined(base, events[:applied]), [*users, "somebody new"], events[applied - 1].known_at + 1)
    assert on_a_visit >= 3


def test_late_events_and_a_log_that_moves_on_change_nothing():
    history, model = shop(), everything()
    begin = history.end - 6 * DAY
    base, events = stands_at(history, begin), events_after(history, begin)[:200]
    late = [told_at(event, event.time - HOUR * (i % 3)) for i, event in enumerate(events)]
    state = LiveState.of(base, model)
    for i, event in enumerate(late):
        state.apply(i + 1, event)
    users, at = [event.user for event in late[-12:]], late[-1].known_at + 3 * HOUR  # some of them twice
    compared(state, model, joined(base, late), users, at)
    state.rebase(joined(base, late[:150]), 150)
    compared(state, model, joined(base, late), users, at)


def test_a_model_without_them_answers_as_usual():
    history, model = shop(), replace(everything(), further={}, same=())
    state = LiveState.of(history, model)
    said = state.forecasts(["somebody new"], history.end)
    assert state.further(said) == said
    assert state.whole is state.answer
    assert not hasattr(said[0], "top_next")


def test_they_come_over_http_where_all_answers_are_wanted(tmp_path):
    history, model = shop(), everything()
    bench, user = Bench(tmp_path, live=LiveState.of(history, model)), history.log.users.ids[7]
    event = {"event_id": "e1", "user_id": user, "kind": "view", "time": "2026-10-31T09:59:00Z"}

    async def play(client):
        told = (await client.post("/v1/events?forecast=true&answers=all", json=event)).json()["forecasts"][0]
        usual = (await client.get(f"/v1/forecasts/{user}")).json()["forecast"]
        whole = (await client.get(f"/v1/forecasts/{user}?answers=all")).json()["forecast"]
        assert told == whole
        assert {"top_next", "p_in_session", "visits_mean_14d", "p_churn"} <= set(whole) - set(usual)
        assert {name: whole[name] for name in usual} == usual
        many = await client.post("/v1/forecasts", json={"users": [user, "somebody new", user], "answers": "all"})
        assert [each["p_in_session"] for each in many.json()["forecasts"]] == [whole["p_in_session"], 0.0, whole["p_in_session"]]
        described = (await client.get("/v1/openapi.json")).json()["components"]["schemas"]
        assert set(whole) <= set(described["Whole"]["properties"])

    played(bench, play)


def test_nobody_is_asked_about():
    assert LiveState.of(shop(), everything()).further([]) == []
    assert np.isfinite(everything().windows["next"])


def told_at(event, time):
    return msgspec.structs.replace(event, time=time)

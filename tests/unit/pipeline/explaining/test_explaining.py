import re

import numpy as np
import polars as pl
import pytest

from tests.unit.pipeline.explaining.small import HORIZONS, KNOWN, model, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, EmptyError, LeakError, NotFoundError, UsageError
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.explaining import behind, explaining
from whenbuy.pipeline.explaining.explaining import explain
from whenbuy.reasons.families import TITLES

NOON = "2024-07-02T12:30"


def some(count=8):
    return shop().keys().ids().to_list()[:count]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer customers stand for the shop: the same paths in less time."""
    monkeypatch.setattr(behind, "STANDING", 10)
    monkeypatch.setattr(behind, "SCORED", 60)
    monkeypatch.setattr(explaining, "STANDING", 10)


@pytest.fixture(scope="module")
def found():
    return explain(model(), shop(), [*some(), "a stranger"])


# ------------------------------------------------------------------------------------------------ figures


@pytest.mark.parametrize("as_of", [None, NOON, KNOWN])
@pytest.mark.parametrize("days", [None, 3.5, 40.0])
def test_the_reasons_add_up_to_the_forecast(as_of, days):
    users = [*some(5), "a stranger"]
    explained = explain(model(), shop(), users, as_of, days)
    said = model().predict(shop(), as_of, users).purchase.probability(days or min(HORIZONS))
    frame = explained.frame()
    added = frame.group_by("user_id", maintain_order=True).agg(pl.col("points").sum() / 100 + pl.col("base").first(), "probability")
    np.testing.assert_allclose(added["points"], said, rtol=0, atol=1e-9)
    np.testing.assert_allclose(explained.shares.chance, said, rtol=0, atol=1e-12)


def test_closed_days_are_explained_too():
    from dataclasses import replace

    closed = replace(model(), closed=tuple(range(19_000, 21_000, 7)))
    explained = explain(closed, shop(), some(3))
    np.testing.assert_allclose(explained.shares.chance, closed.predict(shop(), users=some(3)).purchase.probability(7.0), rtol=0, atol=1e-12)


def test_the_base_is_the_usual_forecast(found):
    everybody = model().predict(shop()).purchase.probability(7.0)
    assert found.base == pytest.approx(everybody.mean(), abs=0.02)


def test_nothing_depends_on_who_else_is_asked(found):
    alone = explain(model(), shop(), some()[3:4])
    assert alone.why(some()[3]) == found.why(some()[3])
    np.testing.assert_allclose(alone.shares.size[0], found.shares.size[3], rtol=0, atol=1e-12)
    assert alone.base == pytest.approx(found.base, abs=1e-12)


def test_what_comes_later_changes_nothing():
    moment = shop().clock.instant(NOON)
    cut = shop().cut(moment)
    before, after = (explain(model(), history, some(4), moment) for history in (cut, shop()))
    for name in some(4):
        assert before.sentence(name) == after.sentence(name)
        assert before.what_would_change(name).equals(after.what_would_change(name))
    np.testing.assert_array_equal(before.shares.size, after.shares.size)


def test_the_same_again(found):
    again = explain(model(), shop(), [*some(), "a stranger"])
    assert again.frame().equals(found.frame())


# -------------------------------------------------------------------------------------------------- words


def test_sizes_in_words_are_those_of_the_frame(found):
    for name in some():
        told = re.findall(r"(?:^|; )([^:;]+): ([+−][0-9.]+)", found.why(name, top=9))
        rows = found.frame().filter(user_id=name)
        assert told
        for state, size in told:
            row = rows.filter(state=state).row(0, named=True)
            decimals = len(size.partition(".")[2])
            assert float(size.replace("−", "-")) == round(row["points"], decimals)
        sentence = found.sentence(name, top=9)
        for_it, _, against = sentence.partition("Against it")
        for state, size in told:
            assert state in (for_it if size.startswith("+") else against)
            assert f"{size} point" in (for_it if size.startswith("+") else against)


def test_a_stranger_is_explained_as_prior(found):
    row = found.frame().filter(user_id="a stranger").row(0, named=True)
    assert row["reason"] == TITLES["unknown"]
    assert row["base"] + row["points"] / 100 == pytest.approx(row["probability"], abs=1e-12)
    assert "usual for a newcomer" in found.sentence("a stranger")
    assert found.why("a stranger").startswith("nothing is known of her: ")
    assert found.what_would_change("a stranger")["change"].to_list() == ["nothing", "a look around today", "an order today"]


def test_a_page_without_script(found):
    page = found._repr_html_()
    assert page.count("<tr>") == len(found) + 1
    assert "<script" not in page
    odd = explain(model(), shop(), ["<script>alert(1)</script>"])
    assert "<script" not in odd._repr_html_()


def test_charts(found):
    for chart in (found.plot(), found.plot(some()[0]), found.plot("a stranger"), explain(model(), shop(), []).plot()):
        assert chart.to_dict()["height"] > 0
    sizes = [abs(row["points"]) for row in found.plot(some()[0]).to_dict()["datasets"].popitem()[1]]
    assert sizes == sorted(sizes, reverse=True)


def test_somebody_who_was_not_asked_about(found):
    for ask in (found.why, found.sentence, found.reasons, found.what_would_change, found.plot):
        with pytest.raises(NotFoundError, match="'nobody' is not in this explanation"):
            ask("nobody")


# ------------------------------------------------------------------------------------------ what would change it


def test_silence_is_what_the_forecaster_says_later():
    moment = shop().clock.instant(NOON)
    for as_of in (moment, shop().clock.midnight_before(np.array([moment]))[0]):
        cut = shop().cut(int(as_of))
        explained = explain(model(), cut, some(3), int(as_of))
        for name in some(3):
            changes = explained.what_would_change(name)
            for days in (0, *HORIZONS):
                later = model().predict(cut, int(as_of) + days * DAY, [name]).purchase.probability(7.0)[0]
                words = f"{days} more days of silence" if days else "nothing"
                assert changes.filter(change=words)["probability"][0] == pytest.approx(later, abs=1e-12)


def test_an_order_is_one_more_of_her_last():
    from whenbuy.pipeline.explaining.might import with_event

    history, keys = shop(), shop().keys(some(20))
    others = history.keys(some(40))
    orders = history.before(keys).count("purchase")
    for row in range(20):
        key = keys.take(slice(row, row + 1))
        made, asked = with_event(history, key, "purchase", others)
        old, new = history.before(key).events(0), made.before(asked).events(0)
        added = new.tail(len(new) - len(old))
        spec = model().features
        before, after = (spec.table(one.before(k)).column("orders_365d")[0] for one, k in ((history, key), (made, asked)))
        assert after == before + 1
        assert (added["time"].cast(pl.Int64) == int(key.cutoff[0])).all()
        if orders[row]:
            lines = old.filter(kind="purchase").tail(len(added))
            assert added.select("item_id", "amount", "quantity").equals(lines.select("item_id", "amount", "quantity"))
    assert with_event(history, keys.take(slice(0, 1)), "enquiry", others) is None


def test_a_fresh_order_moves_the_forecast_as_asking_again_says(found):
    changes = found.what_would_change(some()[0])
    assert changes["change"].to_list() == [
        "nothing", "a look around today", "an order today", "7 more days of silence", "14 more days of silence"
    ]  # fmt: skip
    assert changes["points"][0] == 0
    np.testing.assert_allclose(changes["points"], 100 * (changes["probability"] - changes["probability"][0]))
    assert changes["probability"].n_unique() > 2


# ----------------------------------------------------------------------------------------------- the whole model


def test_importance_by_reason_and_by_feature(found):
    reasons, features = found.importance(), found.importance("feature")
    assert set(reasons["reason"]) == {family.title for family in found.families}
    assert set(features["feature"]) == set(model().features.names)
    assert reasons["points"].is_sorted(descending=True)
    assert features["logloss"].is_sorted(descending=True)
    assert (reasons["points_low"] <= reasons["points"]).all()
    assert (reasons["logloss_high"] >= reasons["logloss"]).all()
    assert not reasons["in_sample"].any()
    assert features["logloss"][0] > 0
    assert explain(model(), shop(), [], KNOWN).importance()["in_sample"].all()


def test_importance_by_something_else(found):
    with pytest.raises(UsageError, match="by reason or by feature"):
        found.importance("colour")


def test_before_a_window_has_closed_log_loss_is_not_known():
    history = simulate(60, 40, 2).history
    early = int(history.log.known_at.min()) + 2 * DAY
    from dataclasses import replace

    fresh = replace(model(), known_until=0)
    table = explain(fresh, history, [], early).importance()
    assert table["logloss"].null_count() == len(table)
    assert table["points"].null_count() == 0


def test_who_stands_for_the_shop_is_explained_where_nobody_is_named():
    standing = explain(model(), shop())
    mean = np.abs(standing.shares.size).mean(axis=0) * 100
    told = dict(standing.importance().select("reason", "points").iter_rows())
    np.testing.assert_allclose([told[family.title] for family in standing.families], mean)


def test_dependence_changes_one_feature_alone(found):
    frame = found.dependence("recency_days")
    assert frame["value"].is_sorted()
    assert (frame["low"] <= frame["probability"]).all()
    assert (frame["probability"] <= frame["high"]).all()
    assert frame["probability"].n_unique() > 3
    assert len(found.dependence("weekday_sin")) == 1
    with pytest.raises(ColumnError, match="not in the table"):
        found.dependence("shoe_size")


# ---------------------------------------------------------------------------------------------------- errors


def test_before_the_model_knew():
    with pytest.raises(LeakError, match="has seen labels up to"):
        explain(model(), shop(), some(1), "2024-06-01")


def test_before_anybody_came():
    with pytest.raises(EmptyError, match="Nobody was known"):
        explain(model(), simulate(5, 30, 1).history, [], "2001-01-01")


@pytest.mark.parametrize("days", [0, -1, float("inf"), float("nan")])
def test_no_horizon(days):
    with pytest.raises(UsageError, match="must be above 0"):
        explain(model(), shop(), some(1), None, days)

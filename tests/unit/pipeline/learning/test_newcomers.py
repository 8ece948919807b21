"""A fit answers people without an event by their attributes."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.unit.pipeline.quick import learn, shop
from whenbuy.core.profile import Profile


@pytest.fixture(scope="module")
def history():
    """A shop whose profile tells who orders often, and knows three people who never came."""
    made = shop()
    owner = np.repeat(np.arange(len(made.log.users)), np.diff(made.log.offsets))
    orders = np.bincount(owner, made.log.columns["orders"].values[: len(owner)] == 1, len(made.log.users))
    often = np.where(orders > np.median(orders), "often", "seldom")
    people = pl.DataFrame({"id": made.log.users.ids, "club": often})
    new = pl.DataFrame({"id": ["new-often", "new-seldom", "new-other"], "club": ["often", "seldom", None]})
    return replace(made, users=Profile("user", pl.concat([people, new]), timeless=True))


def test_a_newcomer_is_answered_by_people_like_her(history):
    model = learn(history)
    told = model.predict(history, users=["new-often", "new-seldom", "new-other", "unheard of"])
    chance = told.purchase.probability(14.0)
    assert chance[0] > 1.5 * chance[1]
    assert chance[2] == chance[3]
    assert chance[1] < chance[2] < chance[0]
    assert told.purchase.prior.all()
    width = told.purchase.quantile(0.6) / told.purchase.quantile(0.1)
    assert (width[np.isfinite(width)] > 2).all()


def test_whoever_was_seen_is_answered_by_what_she_did(history):
    model = learn(history)
    known = model.predict(history)
    without = replace(model, newcomers=None).predict(history)
    seen = np.flatnonzero(~known.purchase.prior)
    assert len(seen) > 0
    assert known.purchase.take(seen).survival.tobytes() == without.purchase.take(seen).survival.tobytes()
    assert known.purchase.take(seen).mean_count.tobytes() == without.purchase.take(seen).mean_count.tobytes()


def test_a_shop_without_a_profile_has_no_such_prior():
    assert learn(replace(shop(), users=None)).newcomers.factors == {}

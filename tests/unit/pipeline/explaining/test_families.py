import math
from dataclasses import dataclass

import pytest

from tests.unit.pipeline.explaining.small import shop
from whenbuy import features as f
from whenbuy.pipeline.explaining.families import families
from whenbuy.reasons.families import TITLES


def family(*features):
    """The family of the last of some features."""
    found = families(f.Features(features))
    return next(one.part.name for one in found if set(getattr(features[-1], "columns", (features[-1].name,))) <= set(one.part.columns))


@dataclass(frozen=True, slots=True)
class OfHerOwn:
    name: str = "of_her_own"

    def measure(self, to): ...


@pytest.mark.parametrize(
    ("feature", "name"),
    [
        (f.Recency("purchase"), "gap"),
        (f.Gaps("deviation"), "gap"),
        (f.Gaps("open", once_a_day=True), "gap"),
        (f.Recency(), "gap"),
        (f.Gaps("number"), "often"),
        (f.Frequency(), "often"),
        (f.Orders("7d"), "often"),
        (f.Decayed("purchase", 8), "often"),
        (f.Count("purchase", "7d"), "often"),
        (f.Count(), "often"),
        (f.Tenure(), "known"),
        (f.Tenure("purchase"), "known"),
        (f.Weekdays(f.Decayed("purchase", 28)), "weekday"),
        (f.Orders("84d", ("hour", "morning")), "weekday"),
        (f.Calendar("weekday_sin"), "weekday"),
        (f.Calendar("month"), "season"),
        (f.Payday((1,)), "season"),
        (f.Holiday(("2024-12-25",)), "season"),
        (f.Sum("amount", window="28d"), "money"),
        (f.Rate(f.Sum("amount"), f.Orders()), "money"),
        (f.Mean("unit_price"), "money"),
        (f.FirstOrder("amount"), "money"),
        (f.BigOrder("share"), "money"),
        (f.Decayed("purchase", 8, "amount"), "money"),
        (f.Share(("category", "MEAT")), "things"),
        (f.Orders("84d", ("category", "MEAT")), "things"),
        (f.Context("category", ("MEAT",), "purchase"), "things"),
        (f.Count("view", "7d"), "browsing"),
        (f.Recency("cart"), "browsing"),
        (f.Rate(f.Orders("84d"), f.Count("view", "84d")), "browsing"),
        (f.Sum("dwell_s", None), "browsing"),
        (f.Count("redeemed", "7d"), "promotions"),
        (f.Offers(), "promotions"),
        (f.Recency("refund"), "service"),
        (f.Mean("rating", None), "service"),
        (f.Count("wish"), "other"),
        (OfHerOwn(), "other"),
    ],
)
def test_a_feature_belongs_where_a_merchant_would_look(feature, name):
    assert family(feature) == name


def test_a_ratio_belongs_where_its_first_part_does():
    spend = f.Decayed("purchase", 8, "amount"), f.Decayed("purchase", 64, "amount")
    assert family(*spend, f.Over(spend[0].name, spend[1].name)) == "money"


def test_what_any_event_says_is_said_of_visits_where_people_look_around():
    assert family(f.Count("view"), f.Recency()) == "browsing"
    assert family(f.Count("view"), f.Count()) == "browsing"
    assert family(f.Count("view"), f.Recency("purchase")) == "gap"


def test_every_default_feature_belongs_to_one_family():
    log = shop().log
    spec = f.Features((*f.default_features(log).spec, *f.rhythm_features(log)))
    found = families(spec, ("sequences",))
    assert sorted(name for one in found for name in one.part.columns) == sorted(spec.names)
    names = [one.part.name for one in found]
    assert names == [name for name in TITLES if name in names]
    assert names == ["gap", "often", "weekday", "money", "browsing", "service", "known", "sequence"]
    assert found[-1].part.blocks == ("sequences",)


def test_the_best_features_are_quoted():
    spec = f.Features((
        f.Recency(), f.Recency("purchase"), f.Gaps("mean"), f.Gaps("mean", once_a_day=True), f.Orders("7d"), f.Orders("84d"), f.Orders(),
        f.Weekdays(f.Decayed("purchase", 28)), f.Weekdays(f.Decayed("purchase", 64)),
    ))  # fmt: skip
    found = {one.part.name: one for one in families(spec)}
    assert found["gap"].all("recency")[0].column == "purchase_recency_days"
    assert found["gap"].all("gap")[0].column == "purchase_day_gap_mean_days"
    assert [one.column for one in found["often"].all("count")] == ["orders_84d", "orders_7d", "orders"]
    assert math.isnan(found["often"].all("count")[2].days)
    assert len(found["weekday"].all("weekday")) == 7
    assert {one.days for one in found["weekday"].shown} == {64.0}

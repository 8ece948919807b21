"""The promise of every causal rule: what cleaning does to the log as of T is what it does to the log cut at T."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.unit.clean.logs import HOUR, START, drawn
from whenbuy.clean import (
    DEFAULT,
    Bots,
    Currencies,
    DoubleClicks,
    Duplicates,
    Impossible,
    Missing,
    MixedUnits,
    Outliers,
    Rate,
    Refunds,
    Rescale,
    Rule,
    ShiftClock,
    StrangeRows,
    TestOrders,
    clean,
)  # fmt: skip
from whenbuy.core.errors import EmptyError
from whenbuy.core.log import EventLog

RULES: dict[str, tuple[Rule, ...]] = {
    "default": DEFAULT,
    "default, few events make a bot": (*DEFAULT[:-1], Bots(per_hour=3, hours=0.01, pause_minutes=1)),
    "duplicates": (Duplicates(),),
    "double clicks": (DoubleClicks(kinds=("view", "click", "cart", "purchase")),),
    "impossible": (Impossible(),),
    "refunds": (Refunds(),),
    "tests": (TestOrders(),),
    "busy": (Bots(per_hour=2),),
    "endless": (Bots(hours=0.01, pause_minutes=1),),
    "currencies": (Currencies("EUR", (Rate("GBP", "2017-01-01T10:30", 1.17), Rate("GBP", "2017-01-01T12:00", 1.5))),),
    "mixed units, flag": (MixedUnits(least=2),),
    "mixed units, mend": (MixedUnits("mend", least=1),),
    "mixed units, remove": (MixedUnits("remove", least=1),),
    "rescale": (Rescale("dwell_s", 0.001, above=14_400), Rescale("amount", 0.01, source=("channel", "app"))),
    "clock back": (ShiftClock(-1, ("channel", "app")), *DEFAULT),
    "clock ahead": (ShiftClock(2, ("channel", "app")), *DEFAULT),
    "missing, remove": (Missing("amount", "remove"),),
    "missing, constant": (
        Missing("amount", "constant", 1.5), Missing("category", "constant", "none"), Missing("currency", "constant", "CHF"),
    ),
    "missing, last": (Missing("amount", "last"), Missing("category", "last", by="user_id")),
    "missing, line": (Missing("unit_price", "line", by="user_id"), Missing("amount", "line")),
    "missing, interpolate": (Missing("unit_price", "interpolate"), Missing("amount", "interpolation", by="user_id")),
    "missing, learned": (
        Missing("amount", "mean", every_days=0.1), Missing("unit_price", "median", every_days=0.2),
        Missing("category", "mode", every_days=0.1),
        Missing("quantity", "mode", every_days=0.1), Missing("currency", "nearest", every_days=0.3),
    ),
    "missing, neighbours and models": (
        Missing("unit_price", "nearest", every_days=0.1), Missing("amount", "knn", every_days=0.2, most=20, neighbours=2),
        Missing("quantity", "model", every_days=0.3),
    ),
    "strange, forest": (
        StrangeRows("isolation", ("amount", "quantity"), "remove", 0.2, 0.5, 12, 8, trees=3),
        StrangeRows("isolation", action="flag", share=0.3, every_days=0.5, least=5, trees=2),
    ),
    "strange, density": (
        StrangeRows("local", ("amount", "unit_price"), "clip", 0.3, 0.2, 30, 5, neighbours=3),
        StrangeRows("local", ("dwell_s",), "remove", 0.2, 0.4, least=4, neighbours=2, kinds=("view", "click")),
    ),
    "zscore": (Outliers("amount", "zscore", 1.0, least=3), Outliers("unit_price", "zscore", 1.0, "item_id", "clip", 3)),
    "iqr": (
        Outliers("amount", "iqr", 0.5, "user_id", "remove", 3), Outliers("quantity", "iqr", 0.1, least=2),
        Outliers("dwell_s", kinds=("view",), least=2),
    ),
    "everything": (
        ShiftClock(-1, ("channel", "app")), *DEFAULT[:4], Currencies("EUR", (Rate("GBP", "2017-01-01", 1.1),)), MixedUnits("mend", least=1),
        Missing("amount", "last"), Outliers("amount", "iqr", 1.0, "item_id", "clip", 2), *DEFAULT[4:],
    ),
}  # fmt: skip


def cleaned_cut(log: EventLog, rules: tuple[Rule, ...], instant: int) -> EventLog | None:
    """Return the cleaned cut log, cut again for the rules that move a clock; None where nothing is left."""
    try:
        return clean(log.cut(instant), rules).history.log.cut(instant)
    except EmptyError:
        return None


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), hours=st.floats(-50, 60), late=st.booleans(), ids=st.booleans())
def test_cleaning_commutes_with_the_cut(name: str, seed: int, hours: float, late: bool, ids: bool) -> None:
    log = drawn(seed, late=late, ids=ids)
    instant = START + round(hours * HOUR)
    try:
        before = clean(log, RULES[name]).history.log.cut(instant)
    except EmptyError:
        return
    after = cleaned_cut(log, RULES[name], instant)
    if after is None:
        assert len(before) == 0
        return
    assert_frame_equal(before.frame(), after.frame(), check_exact=True)
    for column in before.columns:
        assert (before.columns[column].values == after.columns[column].values).all() or before.columns[column].dictionary is not None
    assert before.end == after.end


def test_every_rule_finds_something_in_the_drawn_logs() -> None:
    found: dict[str, int] = {}
    for name, rules in RULES.items():
        for seed in range(8):
            report = clean(drawn(seed), rules).report
            for part in report.rules:
                key = f"{name}: {part.rule}"
                found[key] = found.get(key, 0) + sum(count.rows for count in part.counts) + sum(number for _, number in part.facts)
    rare = {"default: bots", "clock back: bots", "clock ahead: bots", "everything: bots"}
    assert not {name for name, count in found.items() if not count} - rare

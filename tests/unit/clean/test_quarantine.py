"""Nothing vanishes: everything taken out, changed or added is in quarantine and can be put back."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.unit.clean.logs import drawn, make, with_orders
from tests.unit.clean.test_leak import RULES
from whenbuy.clean import TYPES, Duplicates, Impossible, TestOrders, clean, put_back, replay
from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import EmptyError, UsageError
from whenbuy.core.log import ORDERS, EventLog


@pytest.mark.parametrize(
    "name",
    ["default", "everything", "impossible", "missing, line", "missing, interpolate", "strange, density", "clock back", "clock ahead"],
)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), late=st.booleans())
def test_clean_then_replay_everything_is_the_log_as_it_came(name: str, seed: int, late: bool) -> None:
    log = drawn(seed, late=late)
    try:
        cleaned = clean(log, RULES[name])
    except EmptyError:
        return
    removed = cleaned.quarantine.filter(pl.col("done") == "removed")
    added = cleaned.quarantine.filter(pl.col("done") == "added")
    assert removed["row"].is_unique().all()
    assert len(cleaned.history.log) - len(added) + len(removed) == len(log)
    assert cleaned.report.before - sum(part.rows("removed") for part in cleaned.report.rules) + len(added) == cleaned.report.after
    restored = replay(cleaned).log
    assert_frame_equal(restored.frame(), log.frame(), check_exact=True)
    for column in log.columns:
        assert (restored.columns[column].values == log.columns[column].values).all()
    assert restored.end == log.end


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_a_part_can_be_put_back(seed: int, data: st.DataObject) -> None:
    log = drawn(seed)
    cleaned = clean(log, RULES["everything"])
    if not len(cleaned.quarantine):
        return
    rule = data.draw(st.sampled_from(cleaned.quarantine["rule"].unique().sort().to_list()))
    part = cleaned.quarantine.filter(pl.col("rule") == rule)
    back = part.filter(pl.col("done") == "removed")["row"].n_unique()
    gone = part.filter(pl.col("done") == "added")["row"].n_unique()
    again = cleaned.quarantine.filter(pl.col("done") == "removed", pl.col("row").is_in(part["row"].implode()))["row"].n_unique()
    assert again >= back
    restored = replay(cleaned, rule).log
    assert len(restored) == len(cleaned.history.log) + again - gone
    assert_frame_equal(restored.frame(), replay(cleaned, part).log.frame(), check_exact=True)


@pytest.mark.parametrize("name", ["default", "everything", "missing, interpolate"])
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), late=st.booleans())
def test_rule_after_rule_put_back_is_all_put_back(name: str, seed: int, late: bool) -> None:
    log = drawn(seed, late=late)
    cleaned = clean(log, RULES[name])
    left = cleaned
    while len(left.quarantine):
        rule = left.quarantine["rule"][0]
        before, left = left, put_back(left, rule)
        assert not left.quarantine["rule"].eq(rule).any()
        gone = before.quarantine.filter(pl.col("done") == "removed").height - left.quarantine.filter(pl.col("done") == "removed").height
        added = before.quarantine.filter(pl.col("done") == "added").height - left.quarantine.filter(pl.col("done") == "added").height
        assert len(left.history.log) == len(before.history.log) + gone - added
    assert_frame_equal(left.history.log.frame().select(log.frame().columns), log.frame(), check_exact=True)


def orders(log: EventLog) -> list[int]:
    return log.columns[ORDERS].values.tolist()


def test_the_head_of_an_order_moves_to_its_next_line_and_back() -> None:
    told = [(0, "o", 0), (1, "p", 1), (2, "o", 1), (3, "o", 1)]
    lines = [{"user": "a", "kind": "purchase", "at": t, "order_id": o, "quantity": q} for t, o, q in told]
    day = [{"user": "b", "kind": "purchase", "at": 5, "quantity": q} for q in (0, 1, 2)]
    log = with_orders(make([*lines, *day]))
    assert orders(log) == [1, 1, 0, 0, 1, 0, 0]
    cleaned = clean(log, [Impossible()])
    assert orders(cleaned.history.log) == [1, 1, 0, 1, 0]
    assert orders(replay(cleaned).log) == orders(log)
    assert orders(replay(cleaned, "impossible").log) == orders(log)


def test_a_purchase_that_becomes_a_refund_opens_no_order() -> None:
    lines = [{"user": "a", "kind": "purchase", "at": t, "order_id": "o", "amount": v} for t, v in [(0, -5), (1, 5)]]
    cleaned = clean(with_orders(make(lines)), [Impossible()])
    assert cleaned.history.log.frame()["kind"].to_list() == ["refund", "purchase"]
    assert orders(cleaned.history.log) == [0, 1]


def test_rows_of_another_table_are_refused() -> None:
    cleaned = clean(drawn(3))
    with pytest.raises(UsageError, match="no part"):
        replay(cleaned, pl.DataFrame({"row": [10**9]}))
    with pytest.raises(UsageError, match="nothing of a rule 'nonsense'"):
        replay(cleaned, "nonsense")


def test_the_quarantine_says_what_was_done_and_the_report_counts_it() -> None:
    told = [(0, 5, "x"), (1, 5, "x"), (2, -3, "y"), (3, 4, "z")]
    rows = [{"user": "a", "kind": "purchase", "at": t, "amount": v, "event_id": e} for t, v, e in told]
    cleaned = clean(make(rows), [Duplicates(), Impossible(), TestOrders()])
    seen = cleaned.quarantine.select("row", "rule", "done", "column", "original", "became", "user_id", "amount").rows()
    assert seen == [
        (1, "duplicates", "removed", None, None, None, "a", 5.0),
        (2, "impossible", "changed", "kind", "purchase", "refund", "a", -3.0),
    ]
    assert cleaned.report.frame().select("rule", "before", "after", "removed", "changed").rows() == [
        ("duplicates", 4, 3, 1, 0), ("impossible", 3, 3, 0, 1), ("test_orders", 3, 3, 0, 0),
    ]  # fmt: skip
    said = cleaned.report.sentences()
    assert said[0] == "duplicates: 1 row was taken out into quarantine, because an earlier row has the same event_id."
    assert said[-2:] == ("Nothing was found by test_orders.", "4 rows came in, 3 went on.")
    assert cleaned.report.rules[0].counts[0].examples == ("user a: purchase at 2017-01-01 10:00:01 UTC",)


def test_reports_and_rules_survive_storage() -> None:
    report = clean(drawn(5), RULES["everything"]).report
    arrays: dict[str, np.ndarray] = {}
    assert decode(encode(report, arrays), arrays, TYPES) == report
    for rules in RULES.values():
        for rule in rules:
            assert decode(encode(rule, arrays), arrays, TYPES) == rule

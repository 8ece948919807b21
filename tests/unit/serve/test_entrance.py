"""Cleaning at the entrance and at compaction ends where cleaning an import does."""

import random

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.services import postgres
from tests.unit.serve import live_shop
from tests.unit.serve.live_shop import apply_all
from whenbuy.clean import BOT, DEFAULT, Bots, Currencies, DoubleClicks, Impossible, Rate, Refunds, TestOrders, clean
from whenbuy.clean.people import USUAL_TEST, fitting
from whenbuy.core.arrays import DAY
from whenbuy.ingest.read import read
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.store import open_log, write_log
from whenbuy.serve import entrance as module
from whenbuy.serve.compaction import compact
from whenbuy.serve.entrance import CleanEntrance, Sorted
from whenbuy.serve.live import LiveState
from whenbuy.serve.sqlite_journal import SqliteJournal
from whenbuy.serve.store import open_journal

START = 1_600_000_000_000_000
SECOND = 1_000_000
RULES = (DoubleClicks(), Impossible(), TestOrders(), Refunds(), Bots(per_hour=40))


def history(rows):
    return read(pl.DataFrame(rows), now=START + 400 * DAY).history


def begun():
    return history([{"event_id": f"b{i}", "user_id": f"u{i % 5}", "time": START // 10**6 + i * 3600, "kind": "view", "item_id": f"i{i % 3}",
                     "amount": None, "order_id": None} for i in range(10)] + [
        {"event_id": "b10", "user_id": "u0", "time": START // 10**6 + 40_000, "kind": "purchase", "item_id": "i1", "amount": 5.0,
         "order_id": "o1"}])  # fmt: skip


def event(number, user, kind, time, known_at=None, **values):
    return Event("http", f"e{number}", user, kind, time, time if known_at is None else known_at, values)


def messy(seed, size):
    """What a messy till sends: double clicks, tests, purchases for nothing, refunds, machines, late events."""
    rng, at, found = random.Random(seed), START + DAY, []
    for number in range(size):
        at += rng.choice([0, 1, SECOND // 2, SECOND, 2 * SECOND, 3 * SECOND, 3_600 * SECOND])
        late = rng.choice([0, 0, 0, 0, SECOND, 2 * SECOND, 7_200 * SECOND, DAY // 2])
        user = rng.choice(["u0", "u1", "u2", "new", "test-7", None])
        kind = rng.choice(["view", "view", "view", "cart", "purchase", "refund"])
        values = {"item_id": rng.choice(["i0", "i1", "i new"])} if rng.random() < 0.9 else {}
        if kind in ("purchase", "refund"):
            values |= {"amount": rng.choice([0.0, 0.001, 1.0, 5.0]), "order_id": rng.choice(["o1", "o2", "qa_3"])}
            values |= {"unit_price": rng.choice([0.0, 2.5])} if rng.random() < 0.3 else {}
        if kind == "purchase" and rng.random() < 0.1:
            values["channel"] = rng.choice(["web", "test", "dummy.1"])
        found.append(event(number, user, kind, at - late, at, **values))
        while rng.random() < 0.15:  # once more, a moment later
            at += rng.choice([0, SECOND // 2, SECOND, 2 * SECOND])
            found.append(event(f"{number} {len(found)}", user, kind, at - late, at, **values))
        if number == size // 2:  # a machine
            for more in range(45):
                at += SECOND * 3
                found.append(event(f"{number} {more}", "u2", "view", at, item_id="i0"))
    return found


def streamed(folder, events, rules=RULES, batch=7, every=40):
    """The log after events were sent in batches, with compactions and restarts between."""
    write_log(begun(), folder / "log")
    cleaning, sent = Sorted.of(rules), 0
    journal = None
    while events:
        if journal is None:
            judge = CleanEntrance(cleaning.entry, open_log(folder / "log"))
            journal = SqliteJournal(folder / "journal.sqlite", 3.0, judge)
            judge.seq = journal.compacted()
        part, events = events[:batch], events[batch:]
        receipt = journal.take(part)
        assert receipt.statuses.count("accepted") + receipt.statuses.count("dead") == len(part), receipt.reasons
        sent += 1
        if sent % every == 0:
            done = compact(journal, folder / "log", then=cleaning.finish)
            judge.rebase(open_log(folder / "log"), done.seq)
        elif sent % (every // 2 + 1) == 0:  # a crash
            journal.close()
            journal = None
    journal = journal or SqliteJournal(folder / "journal.sqlite", 3.0)
    compact(journal, folder / "log", then=cleaning.finish)
    counts = journal.counts()
    assert counts.whole
    journal.close()
    return open_log(folder / "log"), counts


def imported(folder, events, rules=RULES):
    """The log that one import of all of them makes, cleaned."""
    write_log(begun(), folder / "one")
    journal = SqliteJournal(folder / "all.sqlite", 3.0)
    journal.take(events)
    compact(journal, folder / "one", then=lambda it: clean(it, rules).history)
    journal.close()
    return open_log(folder / "one")


def rows(found):
    frame = found.log.frame()
    return frame.select(sorted(name for name in frame.columns if frame[name].null_count() < len(frame)))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 20))])
def test_a_messy_stream_ends_with_the_log_of_a_cleaned_import(tmp_path, seed):
    events = messy(seed, 400)
    (one, counts), other = streamed(tmp_path, events), imported(tmp_path, events)
    assert counts.dead > 40
    assert one.log.count(BOT) == other.log.count(BOT) > 0
    assert_frame_equal(rows(one), rows(other), categorical_as_str=True)
    assert np.array_equal(one.log.columns["refund_of"].values, other.log.columns["refund_of"].values)


def kept(tmp_path, *rows):
    """What becomes of rows that are sent one by one behind the log, and the journal."""
    write_log(begun(), tmp_path / "log")
    journal = SqliteJournal(tmp_path / "journal.sqlite", 30.0, CleanEntrance(Sorted.of(DEFAULT).entry, open_log(tmp_path / "log")))
    return [journal.take([row]).statuses[0] for row in rows], journal


def test_what_is_sent_again_is_a_duplicate_and_no_double_click(tmp_path):
    first, second = event(1, "u1", "view", START + DAY, item_id="i"), event(2, "u1", "view", START + DAY + SECOND, item_id="i")
    found, journal = kept(tmp_path, first, second, first, second, second)
    assert found == ["accepted", "dead", "duplicate", "duplicate", "duplicate"]
    assert (journal.counts().sent, journal.counts().dead, journal.counts().duplicate, journal.counts().whole) == (5, 1, 3, True)
    (aside,) = journal.dead()
    assert (aside.status, "within 2 seconds" in aside.reason) == ("cleaned", True)
    journal.close()


def test_a_journal_in_postgres_is_cleaned_alike():
    rules, first = Sorted.of(DEFAULT).entry, event(1, "u1", "view", START + DAY, item_id="i")
    second, third = (event(n, "u1", "view", START + DAY + n * SECOND // 2, item_id="i") for n in (2, 3))
    with postgres() as where:
        one, other = (open_journal(where, 30.0, CleanEntrance(rules, begun())) for _ in range(2))
        assert one.take([first, second]).statuses == ("accepted", "dead")
        assert other.take([second, third, first]).statuses == ("duplicate", "dead", "duplicate")
        assert [row.status for row in other.dead()] == ["cleaned", "cleaned"]
        one.entrance = None
        assert one.replay([row.id for row in one.dead()][1:], Reception(lateness_days=30), START + DAY).statuses == ("accepted",)
        assert (one.counts().sent, one.counts().dead, one.counts().whole) == (5, 1, True)
        one.close()
        other.close()


def test_a_late_double_of_what_the_log_holds_is_found(tmp_path):
    of_log = START + 3_600 * 4 * SECOND  # u4 saw i1 then
    found, journal = kept(
        tmp_path,
        event(1, "u4", "view", of_log + SECOND, START + DAY, item_id="i1"),
        event(2, "u4", "view", of_log, START + DAY, item_id="i2"),
    )
    assert found == ["dead", "accepted"]
    journal.close()


def test_what_another_process_wrote_is_known(tmp_path):
    _, journal = kept(tmp_path, event(1, "u1", "view", START + DAY, item_id="i"))
    other = SqliteJournal(tmp_path / "journal.sqlite", 30.0)
    other.take([event(2, "u1", "cart", START + DAY + SECOND, item_id="i")])
    assert journal.take([event(3, "u1", "cart", START + DAY + 2 * SECOND, item_id="i")]).statuses == ("dead",)
    other.close()
    journal.close()


def test_garbage_and_nobody_pass_it_by(tmp_path):
    found, journal = kept(
        tmp_path, Refused("http", b"?", "It is nothing.", START + DAY), *(event(n, None, "view", START + DAY, item_id="i") for n in (1, 2))
    )
    assert found == ["dead", "accepted", "accepted"]
    journal.close()


def test_a_replay_is_judged_by_the_rules_of_then(tmp_path):
    test = event(1, "u1", "purchase", START + DAY, order_id="test-1", amount=3.0)
    found, journal = kept(tmp_path, test)
    assert found == ["dead"]
    ids = [row.id for row in journal.dead()]
    assert journal.replay(ids, Reception(lateness_days=30), START + DAY).statuses == ("dead",)
    assert [row.id for row in journal.dead()] == ids
    journal.entrance = None
    assert journal.replay(ids, Reception(lateness_days=30), START + DAY).statuses == ("accepted",)
    assert (journal.counts().dead, journal.counts().accepted, journal.counts().whole) == (0, 1, True)
    journal.close()


def test_clicks_are_forgotten_beyond_a_number_the_older_half_first(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_HELD", 10)
    entrance = CleanEntrance(DEFAULT[:4], begun())
    entrance.learn((n, event(n, "u1", "view", START + DAY + n * 10 * SECOND, item_id="i")) for n in range(1, 21))
    near = [event(f"n{n}", "u1", "view", START + DAY + n * 10 * SECOND + SECOND, item_id="i") for n in (1, 20)]
    assert entrance.suspects(near) == frozenset({1})
    assert entrance.seq == 20


def test_rules_are_met_at_the_entrance_or_when_the_log_takes_the_events():
    found = Sorted.of((*DEFAULT, Currencies("EUR", (Rate("USD", "2020-01-01", 0.9),))))
    assert [rule.name for rule in found.entry] == ["double_clicks", "impossible", "test_orders"]
    assert [rule.name for rule in found.compaction] == ["refunds", "bots"]
    assert [rule.name for rule in found.own] == ["currencies"]
    assert found.whole == (*DEFAULT[1:], *found.own)


def test_a_customer_to_whom_cleaning_adds_something_is_seen_anew():
    begin = live_shop.shop().end - 4 * DAY
    base, events = live_shop.stands_at(live_shop.shop(), begin), live_shop.events_after(live_shop.shop(), begin)
    model, users, at = live_shop.model(), live_shop.shop().log.users.ids.to_list(), live_shop.shop().end + 1
    state = apply_all(LiveState.of(base, model), enumerate(events, 1))
    before = state.forecasts(users, at)
    marked = clean(live_shop.joined(base, events), (Bots(per_hour=2),)).history
    state.rebase(marked, len(events))
    after = state.forecasts(users, at)
    assert after == LiveState.of(marked, model, after=len(events)).forecasts(users, at)
    told = [one.known_events - other.known_events for one, other in zip(after, before, strict=True)]
    assert sum(told) == marked.log.count(BOT) > 0


@pytest.mark.parametrize("blind", ["_near", "_is_odd", "_is_test"])
def test_the_comparison_finds_an_entrance_that_overlooks_something(tmp_path, monkeypatch, blind):  # planted bugs
    monkeypatch.setattr(CleanEntrance, blind, lambda *_: [] if blind == "_near" else False)
    events = messy(0, 400)
    (one, _), other = streamed(tmp_path, events, batch=1, every=400), imported(tmp_path, events)
    assert len(one.log) > len(other.log)


@given(st.one_of(st.text(max_size=8), st.from_regex(r"(?i)(te?st|qa|dummy)[-_ .:@/0-9]{0,2}[a-z\n]?\n?", fullmatch=True)))
@example("test\n")
@example("TEST\u0660")
@example("te\u017ft")
def test_the_usual_pattern_is_asked_as_the_rule_asks_it(name):
    """Whatever the rule finds is asked about; what is asked about and not found costs a moment and changes nothing."""
    found = bool(fitting(pl.Series([name]), USUAL_TEST)[0])
    assert not found or module._looks_like(USUAL_TEST)[name]


def test_a_pattern_of_the_shops_own_is_asked_of_the_rule():
    looks = module._looks_like(r"^\p{Lu}{3}$")  # no pattern of Python's
    assert [looks[name] for name in ("ABC", "ÄÖÜ", "abc", "ABC")] == [True, True, False, True]

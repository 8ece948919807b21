"""A shop with cleaning rules of its own: what streams in ends in the log that an import of everything makes."""

import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.unit.serve import live_shop
from tests.unit.serve.test_entrance import SECOND, START, begun, event, messy
from whenbuy.clean import DEFAULT, Currencies, Missing, MixedUnits, Outliers, Rate, Rescale, ShiftClock, StrangeRows, clean
from whenbuy.core.arrays import DAY
from whenbuy.core.history import History
from whenbuy.ingest.frames import Rejects
from whenbuy.ingest.group import group
from whenbuy.ingest.lines import Lines
from whenbuy.ingest.reception import Reception
from whenbuy.ingest.store import open_log, reached, write_log
from whenbuy.pipeline.keeping.quarantine import CLEANING
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.verbs.intake import as_it_came, store
from whenbuy.serve import bringing
from whenbuy.serve.bringing import bring, standing
from whenbuy.serve.compaction import compact, held, lines_of
from whenbuy.serve.entrance import CleanEntrance, Sorted
from whenbuy.serve.lens import Lens, shift_of
from whenbuy.serve.live import LiveState
from whenbuy.serve.sqlite_journal import SqliteJournal

EURO = Currencies("EUR", (Rate("USD", "2020-01-01", 0.9), Rate("USD", "2020-09-16", 0.8)))
OWN = {
    "currencies": (EURO,),
    "rescale": (Rescale("amount", 0.01, source=("channel", "app")), Rescale("unit_price", 0.01, above=2.0)),
    "shift_clock": (ShiftClock(-3.0, ("channel", "app")),),
    "mixed_units": (MixedUnits("mend", least=2),),
    "outliers": (Outliers("amount", "zscore", 0.5, action="clip", least=5), Outliers("unit_price", action="remove", least=3)),
    "strange": (StrangeRows(least=10, every_days=0.1, trees=5, share=0.3, action="remove"),),
    "constant": (Missing("quantity", "constant", 1), Missing("brand", "constant", "none", kinds=("view", "purchase"))),
    "remove": (Missing("unit_price", "remove"),),
    "last": (Missing("unit_price", "last"), Missing("amount", "line", by="user_id")),
    "learned": (Missing("amount", "median", every_days=0.2), Missing("unit_price", "knn", every_days=0.2)),
    "interpolate": (Missing("unit_price", "interpolate"),),
    "all": (MixedUnits("flag", least=2), EURO, Missing("unit_price", "last"), Outliers("amount", action="flag", least=3)),
}


def sent(seed, size):
    """What a messy till sends of which some is in dollars, in cents, by a clock that is wrong, or has gaps."""
    rng, found = random.Random(seed), []
    for one in messy(seed, size):
        values = dict(one.values)
        if one.kind in ("purchase", "refund"):
            price = rng.choice([2.5, 2.5, 2.5, 3.0, 250.0, 0.03])
            values |= {"unit_price": price} if rng.random() < 0.6 else {}
            values |= {"amount": rng.choice([1.0, 5.0, 5.0, 6.0, 90.0])} if rng.random() < 0.8 else {}
            values |= {"quantity": rng.choice([1, 2])} if rng.random() < 0.5 else {}
            values |= {"currency": rng.choice(["USD", "EUR", "CHF"])} if rng.random() < 0.4 else {}
        values |= {"channel": "app"} if rng.random() < 0.2 else {}
        values |= {"brand": "b"} if rng.random() < 0.3 else {}
        found.append(event(one.event_id, one.user, one.kind, one.time, one.known_at, **values))
    return found


def all_of(rules):
    """The rules of a shop that has set some of its own."""
    return tuple(sorted((*DEFAULT, *rules), key=lambda rule: not isinstance(rule, ShiftClock)))


def founded(folder, rules):
    """A shop that imported a little by rules of its own."""
    folder.mkdir()
    (folder / "whenbuy.toml").write_text("")
    history, found = begun(), all_of(rules)
    cleaned = clean(history, found)
    store(folder, cleaned, Rejects.of([]).frame, {}, as_it_came(history, cleaned, found))
    return Shop(folder)


def streamed(shop, events, rules, every=25):
    """The log after events came in batches, with compactions and restarts between."""
    cleaning = Sorted.of(all_of(rules))
    for start in range(0, len(events), every * 4):
        history, place = standing(journal := SqliteJournal(shop.folder / "journal.sqlite", 3.0), shop)
        journal.entrance = CleanEntrance(cleaning.entry, history, place)
        for first in range(start, min(start + every * 4, len(events)), every):
            statuses = journal.take(events[first : first + every]).statuses
            assert set(statuses) <= {"accepted", "dead"}
        done = bring(journal, shop, cleaning)
        assert done.seq == journal.last() == standing(journal, shop)[1]
        journal.close()
    return open_log(shop.log)


def imported(folder, events, rules, clock=None):
    """The log that one import of all of them makes."""
    write_log(begun(), folder / "one")
    journal, cleaning = SqliteJournal(folder / "all.sqlite", 3.0), Sorted.of(all_of(rules))
    journal.take(events)
    compact(journal, folder / "one", seen=Lens.of(rules if clock is None else clock, begun()).as_sent)
    journal.close()
    return clean(open_log(folder / "one"), cleaning.whole).history


def rows(found):
    frame = found.log.frame()
    return frame.select(sorted(name for name in frame.columns if frame[name].null_count() < len(frame)))


@pytest.mark.parametrize("rules", OWN)
def test_what_streams_in_ends_in_the_log_of_an_import(tmp_path, rules):
    events = sent(3, 250)
    one, other = streamed(founded(tmp_path / "shop", OWN[rules]), events, OWN[rules]), imported(tmp_path, events, OWN[rules])
    assert_frame_equal(rows(one), rows(other), categorical_as_str=True)
    bare = imported(tmp_path / "bare", events, (), OWN[rules])
    assert not rows(bare).equals(rows(one))  # the rules had something to do


def joined(log, events):
    """A log and some events behind it."""
    lines, _ = lines_of(events, log)
    return History(group(Lines.of(log).followed_by(lines), START + 400 * DAY))


def test_the_comparison_finds_a_log_that_is_cleaned_piece_by_piece(tmp_path, monkeypatch):  # planted bug
    monkeypatch.setattr(bringing, "_came", lambda _: True)
    rules, events = OWN["outliers"], sent(3, 250)
    shop = founded(tmp_path / "shop", rules)
    monkeypatch.setattr(Shop, "came", property(lambda shop: shop.log))
    assert not rows(streamed(shop, events, rules)).equals(rows(imported(tmp_path, events, rules)))


def test_a_stop_between_what_came_and_the_log_loses_nothing(tmp_path, monkeypatch):
    rules, events = OWN["all"], sent(4, 120)
    shop, cleaning = founded(tmp_path / "shop", rules), Sorted.of(all_of(rules))
    journal = SqliteJournal(shop.folder / "journal.sqlite", 3.0)
    journal.take(events[:60])
    first = bring(journal, shop, cleaning).seq
    journal.take(events[60:])
    with monkeypatch.context() as stopped:
        stopped.setattr(bringing, "clean", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bring(journal, shop, cleaning)
    assert held(journal, open_log(shop.came).log) == journal.last() > first
    assert standing(journal, shop)[1] == first == reached(shop.log)  # the log itself is the one of before
    assert bring(journal, shop, cleaning).seq == journal.last() == standing(journal, shop)[1]
    before = sorted(path.name for path in shop.log.iterdir())
    assert bring(journal, shop, cleaning).added == 0
    assert sorted(path.name for path in shop.log.iterdir()) == before  # nothing new, nothing written
    assert rows(open_log(shop.log)).equals(rows(imported(tmp_path, events, rules)))
    assert "currencies" in pl.read_parquet(shop.quarantine / CLEANING)["rule"].to_list()


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_stop_while_the_first_rules_come_doubles_nothing(tmp_path, monkeypatch, at):
    shop, events, rules = founded(tmp_path / "shop", ()), sent(5, 90)[:60], OWN["currencies"]
    journal = SqliteJournal(shop.folder / "journal.sqlite", 3.0)
    journal.take(events[:40])
    place = bring(journal, shop, Sorted.of(DEFAULT)).seq
    with monkeypatch.context() as stopped:
        writes = iter(range(1, 9))
        stopped.setattr(bringing, "write_log", lambda *args: write_log(*args) if next(writes) < at else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bring(journal, shop, Sorted.of(all_of(rules)))
    history, stands = standing(journal, shop)
    assert stands == place
    assert held(journal, history.log) == place
    journal.take(events[40:])
    assert bring(journal, shop, Sorted.of(all_of(rules))).seq == standing(journal, shop)[1] == journal.last() > place
    assert rows(open_log(shop.log)).equals(rows(imported(tmp_path, events, rules)))


def test_rules_that_come_and_go_clean_everything_that_came(tmp_path):
    events, rules = sent(5, 90)[:90], OWN["currencies"]
    shop = founded(tmp_path / "shop", ())
    assert not shop.came.exists()
    journal = SqliteJournal(shop.folder / "journal.sqlite", 3.0)
    journal.take(events[:30])
    bring(journal, shop, Sorted.of(DEFAULT))
    assert not shop.came.exists()
    assert standing(journal, shop)[1] == journal.last()
    for rules_now, part in ((rules, events[30:60]), ((), events[60:])):
        journal.take(part)
        bring(journal, shop, Sorted.of(all_of(rules_now)))
        expected = imported(tmp_path / str(len(rules_now)), events[: 90 if not rules_now else 60], rules_now)
        assert rows(open_log(shop.log)).equals(rows(expected))
    store(shop.folder, clean(begun(), DEFAULT), Rejects.of([]).frame, {})  # a new import, without such rules
    assert not shop.came.exists()
    assert standing(journal, shop)[1] == 0


@given(
    st.sampled_from(["purchase", "view"]), st.integers(0, 20),
    st.fixed_dictionaries({}, optional={
        "amount": st.floats(-1e6, 1e6) | st.integers(0, 10**6), "unit_price": st.floats(0, 1e4),
        "currency": st.sampled_from(["EUR", "USD", "CHF"]), "channel": st.sampled_from(["app", "web"]),
        "quantity": st.integers(0, 5), "brand": st.just("b"),
    }),
    st.permutations([EURO, *OWN["rescale"], *OWN["constant"], *OWN["remove"]]), st.integers(1, 6),
)  # fmt: skip
def test_an_event_by_itself_is_seen_as_its_row_is_cleaned(kind, days, cells, rules, count):
    rules = tuple(rules[:count])
    one = event(1, "u1", kind, START + days * DAY, **cells)
    base = event(0, "u0", "purchase", START, amount=1.0, unit_price=1.0, quantity=1, brand="a", channel="web", currency="EUR", item_id="i")
    log = begun().log
    names = joined(log, [base])
    seen = Lens.of(rules, names).see(one)
    cleaned = clean(joined(log, [base, one]), rules).history.log.frame().filter(pl.col("event_id") == "http:e1")
    if seen.user is None:
        assert not len(cleaned)
        return
    told = joined(log, [base, seen]).log.frame().filter(pl.col("event_id") == "http:e1")
    assert_frame_equal(told, cleaned.select(told.columns), categorical_as_str=True)


def test_everybody_is_seen_anew_where_cleaning_changes_what_was():
    history = live_shop.shop()
    model, users, at = live_shop.model(), history.log.users.ids.to_list(), history.end + 1
    state = LiveState.of(history, model)
    before = state.forecasts(users, at)
    changed = clean(history, (Rescale("amount", 3.0, above=0.01),)).history
    state.rebase(changed, 0, anew=True)
    after = state.forecasts(users, at)
    assert after == LiveState.of(changed, model).forecasts(users, at) != before
    assert len(history.log) == len(changed.log)


def test_a_clock_that_is_wrong_is_set_right_when_an_event_comes():
    shift = shift_of(OWN["shift_clock"])
    reception = Reception(shift=shift)
    now, ahead = START, START + 3 * 3_600 * SECOND
    sent = {"user_id": "u1", "kind": "view", "time": ahead / 1e6, "event_id": "1"}
    assert reception.row({**sent, "channel": "app"}, "http", now).time == now
    assert "ahead" in reception.row({**sent, "channel": "web"}, "http", now).reason
    assert Reception().row(sent | {"time": now / 1e6, "channel": "app"}, "http", now).time == now

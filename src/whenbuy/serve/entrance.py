"""Cleaning at the entrance: what an import would take out is taken out when it arrives, by the same rules.

A rule looks at a row and at rows known earlier, never at later ones, so it can judge an event when it comes. Which events can fall under a
rule at all is asked first, in a microsecond or two; only those, with the earlier ones that lie near them, become a small log, and the rules
themselves find in it what they would find in the whole. What they take out is set aside with the reason.

Rules that mark or connect and take nothing out wait for compaction, where the whole log is at hand: which purchase a refund gives back, and
who is a machine. So do the rules of a shop's own, which may learn from all that was known before; see ``bringing`` and ``lens``.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.clean import Bots, DoubleClicks, Duplicates, Impossible, Refunds, Rule, TestOrders, clean
from whenbuy.clean.draft import MONEY, Draft
from whenbuy.clean.people import USUAL_TEST, fitting
from whenbuy.core.history import History
from whenbuy.ingest.known import Known, Value
from whenbuy.ingest.reception import Event, Refused
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.verbs.intake import own_rules, rules
from whenbuy.serve.asking import codes_of
from whenbuy.serve.small_log import scales_of, small_log

AT_ENTRY: Final = (DoubleClicks, Impossible, TestOrders)
"""Rules that take events out; they judge each when it arrives."""
AT_COMPACTION: Final = (Refunds, Bots)
"""Rules that take nothing out; they look at the whole log."""
_MOST_REMEMBERED: Final = 100_000
_BOUGHT: Final = ("purchase", "refund")
_Place = tuple[str, str, str]
"""A user, a kind and an item: what a double click has in common with the click before."""
_Click = tuple[int, int, int, Value | None]
"""The place of an event in the journal, when it happened and was known, and its order."""
MOST_HELD: Final = 200_000
"""So many clicks that the log does not hold yet are remembered; of more, the older half is forgotten."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """The rules of a shop, by where what streams in meets them.

    Parameters
    ----------
    entry
        Those that judge each event when it arrives.
    compaction
        Those that look at the whole log when it is written.
    own
        Those beyond, which the shop set itself: with them the log is cleaned anew, as a whole, from what came.
    whole
        What cleans the log as it came: all but those against duplicates, of which nothing is kept at all.
    """

    entry: tuple[Rule, ...]
    compaction: tuple[Rule, ...]
    own: tuple[Rule, ...]
    whole: tuple[Rule, ...]

    @classmethod
    def of(cls, found: Sequence[Rule]) -> Sorted:
        """Return rules in their order, by where they are met."""
        entry = tuple(rule for rule in found if isinstance(rule, AT_ENTRY))
        later = tuple(rule for rule in found if isinstance(rule, AT_COMPACTION))
        return cls(entry, later, own_rules(found), tuple(rule for rule in found if not isinstance(rule, Duplicates)))

    def finish(self, history: History) -> History:
        """Return a history, cleaned when its events came, after the rules that look at the whole log."""
        return clean(history, self.compaction).history if self.compaction else history


def rules_of(shop: Shop) -> Sorted:
    """Return the rules of a shop, by its settings of now; raises SettingsError where they are not understood."""
    settings = shop.settings()
    return Sorted.of(rules(open_log(shop.log), settings.clean, settings.fill))


class CleanEntrance:
    """Judges events when they arrive, by the log and what the journal holds beyond it.

    Its methods may be called from many threads.

    Parameters
    ----------
    checks
        The rules, in their order.
    history
        The columnar log.
    seq
        The place in the journal up to which the log holds everything.
    """

    def __init__(self, checks: Sequence[Rule], history: History, seq: int = 0) -> None:
        self._rules, self._lock = tuple(checks), threading.RLock()
        self._clicks = next((rule for rule in checks if isinstance(rule, DoubleClicks)), None)
        self._clicked = frozenset(self._clicks.kinds if self._clicks else ())
        self._tests = next((rule for rule in checks if isinstance(rule, TestOrders)), None)
        self._without_tests = tuple(rule for rule in checks if not isinstance(rule, TestOrders))
        self._impossible = next((rule for rule in checks if isinstance(rule, Impossible)), None)
        self._reach = 0 if self._clicks is None else round(self._clicks.seconds * 1_000_000)
        self._looks = [(column, _looks_like(pattern)) for column, pattern in (self._tests.patterns if self._tests else {}).items()]
        self._read = frozenset(("item_id", "order_id", *MONEY, *(self._tests.patterns if self._tests else ())))
        self._tail: dict[_Place, list[_Click]] = {}
        self._held = 0
        self.seq = seq
        self._stand_on(history, None)

    def _stand_on(self, history: History, codes: Mapping[str, int] | None) -> None:
        log = history.log
        self._history, self._codes = history, codes
        self._latest = int(log.time.max()) if len(log) else -(2**62)
        self._earliest = history.clock.instant(self._impossible.earliest) if self._impossible else -(2**62)
        self._scales = scales_of(log)

    def rebase(self, history: History, seq: int, codes: Mapping[str, int] | None = None) -> None:
        """Stand on a log that holds the journal up to a place; see `LiveState.rebase`."""
        with self._lock:
            self._stand_on(history, codes)
            self._let_go(seq)
            self.seq = max(self.seq, seq)

    def _let_go(self, seq: int) -> None:
        """Forget clicks up to a place in the journal."""
        left = {place: [click for click in clicks if click[0] > seq] for place, clicks in self._tail.items()}
        self._tail = {place: clicks for place, clicks in left.items() if clicks}
        self._held = sum(map(len, self._tail.values()))

    def learn(self, events: Iterable[tuple[int, Event]]) -> None:
        """Learn of events that are kept; see `journal.Entrance`."""
        with self._lock:
            tail, clicked = self._tail, self._clicked
            for seq, event in events:
                if seq <= self.seq:
                    continue
                self.seq = seq
                if event.kind in clicked and (place := _place(event)) is not None:
                    click = seq, event.time, event.known_at, event.values.get("order_id")
                    if (clicks := tail.get(place)) is None:
                        tail[place] = [click]
                    else:
                        clicks.append(click)
                    self._held += 1
            if self._held > MOST_HELD:
                self._let_go(sorted(click[0] for clicks in self._tail.values() for click in clicks)[self._held // 2])

    # ---------------------------------------------------------------------------------------- who may be meant

    def suspects(self, batch: Sequence[Event | Refused]) -> frozenset[int]:
        """Return the places of events that may have to be taken out; see `journal.Entrance`."""
        with self._lock:
            found: set[int] = set()
            met: dict[_Place, list[int]] = {}
            clicked, tail, reach, beyond = self._clicked, self._tail, self._reach, self._latest + self._reach
            for number, event in enumerate(batch):
                if type(event) is not Event:
                    continue
                if self._is_test(event) or (self._impossible is not None and self._is_odd(event)):
                    found.add(number)
                if event.kind not in clicked or (place := _place(event)) is None:
                    continue
                time = event.time
                if (times := met.get(place)) is None:
                    met[place] = [time]
                else:
                    if any(abs(time - other) <= reach for other in times):
                        found.add(number)
                    times.append(time)
                if (place in tail or time <= beyond) and number not in found and self._near(place, event):
                    found.add(number)
            return frozenset(found)

    def _is_odd(self, event: Event) -> bool:
        """Return whether an event may be impossible."""
        if event.time < self._earliest or event.time > event.known_at:
            return True
        if event.kind not in _BOUGHT:
            return False
        return any(float(event.values[name]) * self._scales[name] < 1 for name in MONEY if name in event.values)

    def _is_test(self, event: Event) -> bool:
        """Return whether a name of an event looks like a test."""
        for column, looks in self._looks:
            name = event.user if column == "user_id" else event.values.get(column)
            if type(name) is str and looks[name]:
                return True
        return False

    def _near(self, place: _Place, event: Event) -> list[Event]:
        """Return what is kept of the like of an event that lies near it."""
        clicks = self._tail.get(place)
        near = (
            []
            if clicks is None
            else [
                _event(place, f"{seq}", time, known_at, order)
                for seq, time, known_at, order in clicks
                if abs(time - event.time) <= self._reach
            ]
        )
        return near if event.time > self._latest + self._reach else [*self._in_log(place, event.time), *near]

    def _in_log(self, place: _Place, time: int) -> list[Event]:
        """Return what the log holds of some user, kind and item near an instant."""
        history, (user, kind, item) = self._history, place
        log = history.log
        if self._codes is None:
            self._codes = codes_of(history)
        code = self._codes.get(user, -1)
        if code < 0 or "item_id" not in log.columns:
            return []
        lo, hi = int(log.offsets[code]), int(log.offsets[code + 1])
        rows = lo + np.flatnonzero((np.abs(log.time[lo:hi] - time) <= self._reach) & (log.kind[lo:hi] == log.code(kind)))
        items = log.columns["item_id"].series(rows).to_list()
        orders = log.columns["order_id"].series(rows).to_list() if "order_id" in log.columns else [None] * len(rows)
        return [
            _event(place, f"row {row}", int(log.time[row]), int(log.known_at[row]), order)
            for row, held, order in zip(rows.tolist(), items, orders, strict=True)
            if held == item
        ]

    # ---------------------------------------------------------------------------------------- what the rules say

    def verdicts(self, fresh: Sequence[Event], places: Collection[int]) -> Mapping[int, str]:
        """Return why some events are taken out, by place; see `journal.Entrance`."""
        with self._lock:
            events, asked = self._gathered(fresh, places)
            log, order = small_log(events, self._read, self._scales)
            draft = Draft(log, np.ones(len(log), bool), np.arange(len(log)), self._history.clock, None)
            said: dict[int, str] = {}
            for rule in self._rules if any(map(self._is_test, events)) else self._without_tests:
                for touch in rule.find(draft).touches:
                    if not touch.values:
                        said.update((int(order[row]), touch.reason) for row in touch.rows)
                    draft = draft.with_touch(touch)
            return {asked[one]: f"{why[:1].upper()}{why[1:]}. {_TAKEN_OUT}" for one, why in said.items() if one in asked}

    def _gathered(self, fresh: Sequence[Event], places: Collection[int]) -> tuple[list[Event], dict[int, int]]:
        """Return the events that are judged, behind those that lie near them, and the place in the batch of each by its number."""
        near: dict[tuple[str, str], Event] = {}
        wanted, like = set(places), set()
        for number in places:
            if (place := self._clicked_at(fresh[number])) is not None:
                like.add(place)
                near.update({(event.source, event.event_id): event for event in self._near(place, fresh[number])})
        wanted.update(number for number, event in enumerate(fresh) if like and self._clicked_at(event) in like)
        before = sorted(near.values(), key=lambda event: event.known_at)
        places_by_number = {len(before) + i: number for i, number in enumerate(sorted(wanted))}
        return [*before, *(fresh[number] for number in sorted(wanted))], places_by_number

    def _clicked_at(self, event: Event) -> _Place | None:
        """Return where the like of an event would be found; None where there is no double of it."""
        return _place(event) if event.kind in self._clicked else None


def _place(event: Event) -> _Place | None:
    """Return user, kind and item of an event; None where one of them is not known."""
    item = event.values.get("item_id")
    if item is None or event.user is None:
        return None
    return event.user, event.kind, item if type(item) is str else str(item)


def _event(place: _Place, event_id: str, time: int, known_at: int, order: Value | None) -> Event:
    """Return an event that is kept, as far as a double of it is told by it."""
    user, kind, item = place
    return Event("", event_id, user, kind, time, known_at, {"item_id": item} | ({} if order is None else {"order_id": order}))


def _looks_like(pattern: str) -> Known:
    """Return what says whether a name fits a pattern: of the usual one no name is overlooked; of others the rule itself is asked."""
    usual = re.compile(pattern).match if pattern == USUAL_TEST else None  # it begins with ^
    return Known(lambda name: bool(usual(name) if usual else fitting(pl.Series([name]), pattern)[0]), _MOST_REMEMBERED)


_TAKEN_OUT: Final = "Such events are taken out of an import too. Leave it, or change [clean] in whenbuy.toml and replay it."

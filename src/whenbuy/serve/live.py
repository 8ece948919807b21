"""The live state: events stream in, forecasts come out, and both equal the batch forecast over the same events.

What is true stands in the columnar log and, for what arrived since, in the events that were applied (the *tail*). Everything else here is
made of these two, customer by customer, when she is first met, and may be dropped at any time. So a start with millions of stored events
takes no longer than opening the log, memory is bounded by who is active, and there is nothing that a crash could damage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import numpy as np

from whenbuy.core.arrays import MISSING, Instants, Singles
from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.features.live import Live
from whenbuy.ingest.reception import Event
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.serve.answering import Answering
from whenbuy.serve.asking import Asking, People, codes_of, examples_of
from whenbuy.serve.classes import readers_of
from whenbuy.serve.coding import Coding, Tables
from whenbuy.serve.customer import Known, begins_order, has_bought, moment_of, orders_of, rows_of
from whenbuy.serve.excerpt import excerpt, past_of
from whenbuy.serve.further import Further
from whenbuy.serve.reading import Curve, Reading
from whenbuy.serve.snapshot import Snapshot, read_snapshot, write_snapshot

MOST_KNOWN: Final = 250_000
"""So many customers are held ready at once; when more are met, all are let go and come back one by one."""
_SEVERAL: Final = 8
"""From so many customers on, models without compiled rows are asked about all of them at once."""
_NOBODY: Final = "\0nobody"
_STRANGER: Final = 0
"""Place of a customer of whom nothing is known."""


class LiveState:
    """What is known of every customer now, and the forecasts that follow from it.

    One thread writes and reads it.

    Parameters
    ----------
    history
        The columnar log.
    model
        Who answers.
    seq
        The place in the journal up to which the log holds everything.
    most
        How many customers are held ready at once.

    Raises
    ------
    ColumnError, SettingsError
        When the model's features do not fit the log.
    """

    def __init__(self, history: History, model: Forecaster, seq: int = 0, most: int = MOST_KNOWN) -> None:
        self.history, self.model, self.seq, self.base, self._most = history, model, seq, seq, most
        self._coding = Coding.of(model.features, history)
        self._tables: Tables = self._coding.tables(history.log)
        self._codes = codes_of(history)
        self._tail: dict[str, list[tuple[int, Event]]] = {}
        self._day: tuple[int, int] = (0, 0)
        self._people = People(history.users, self.model.newcomers)
        self._classes = readers_of(self.model.blocks, history.log)
        self._forget()
        asked = self._examples([_NOBODY], [self._stranger()], np.array([max(model.known_until, history.end)]))
        said = model.said(asked, lambda: self._people.attributes([_NOBODY], [False], asked.keys.cutoff), history.clock, history.offers)
        self._reading, self._answering = Reading.of(model, said), Answering.of(model, history, asked, said)
        self._further = Further.of(model, self._reading.answer, history)

    @classmethod
    def of(cls, history: History, model: Forecaster, *, after: int = 0) -> Self:
        """Return the state that a log holds; what the journal holds behind ``after`` is then applied."""
        return cls(history, model, after)

    @property
    def answer(self) -> type[msgspec.Struct]:
        """The structure of one forecast: the columns of ``predict``, ``known_events`` and ``degraded``."""
        return self._reading.answer

    @property
    def when(self) -> type[msgspec.Struct]:
        """The structure of one forecast that says only when she buys."""
        return self._reading.when

    @property
    def whole(self) -> type[msgspec.Struct]:
        """The structure of one forecast with its further answers; `answer`, where the model has none."""
        return self._further.answer

    @property
    def reach_days(self) -> float:
        """Over how many days its forecasts look: the longest horizon."""
        return max(self.model.horizons)

    def __len__(self) -> int:
        return len(self._codes) + sum(name not in self._codes for name in self._tail)

    @property
    def bytes(self) -> int:
        """Bytes of the windows of the customers who are held ready."""
        return self._live.used

    # ------------------------------------------------------------------------------------------- events in

    def apply(self, seq: int, event: Event) -> None:
        """Learn of one event. One that is known already, by its place in the journal, changes nothing.

        New customers, kinds, items and categories are a normal case: nothing is compiled again.

        Raises
        ------
        UsageError
            When an event between was left out.
        """
        if seq <= self.seq:
            return
        if seq != self.seq + 1:
            raise UsageError(
                f"Event {seq:,} was applied after event {self.seq:,}.", "The journal is applied without a gap.", "Apply what lies between."
            )
        self.seq = seq
        self._learn(seq, event)

    def _learn(self, seq: int, event: Event) -> None:
        user = event.user
        if user is None:
            return
        if (tail := self._tail.get(user)) is None:
            self._tail[user] = [(seq, event)]
        else:
            tail.append((seq, event))
        known = self._users.get(user)
        if known is None:
            return
        if event.known_at < known.last:  # the log holds one that is known only later
            del self._users[user]
            return
        self._enter(known, event)

    def tail(self, user: str) -> list[tuple[int, Event]]:
        """Return what is known of a customer that the log does not hold, with its places in the journal."""
        return self._tail.get(user, [])

    def follow(self, user: str, tail: Sequence[tuple[int, Event]]) -> None:
        """Take over what another state knows of a customer that the log does not hold; ``seq`` stays as it is."""
        fresh = [pair for pair in tail if pair[0] > self.base]
        held = self._tail.get(user, [])
        if [seq for seq, _ in fresh[: len(held)]] != [seq for seq, _ in held]:
            self._users.pop(user, None)
            held = self._tail[user] = []
        for pair in fresh[len(held) :]:
            self._learn(*pair)

    def features(self, user: str, at: int) -> Singles:
        """Return the features of one customer as of an instant (f), in the order of the model's spec.

        Raises
        ------
        LeakError
            When an event is known at or after that instant.
        """
        if len(self._users) >= self._most:
            self._forget()
        return self._live.read(self._known(user).place, at)

    # ------------------------------------------------------------------------------------------- forecasts out

    def forecast(self, user: str, at: int, *, everything: bool = True) -> Any:
        """Return the forecast of one customer as of an instant: an ``answer``, or a ``when``, where not ``everything`` is wanted.

        The model speaks when she did something, or a new day of the shop began; in between the curve is conditioned on her silence. A
        customer of whom nothing is known gets the priors.

        Raises
        ------
        LeakError
            When more is known than was known at that instant. Within the five minutes by which clocks may differ, the answer is as of just
            after her last event and says so in ``as_of``.
        """
        if len(self._users) >= self._most:
            self._forget()
        return self._forecast(user, self._known(user), at, None, everything)

    def forecasts(self, users: Sequence[str], at: int, degraded: str | None = None, *, everything: bool = True) -> list[Any]:
        """Return the forecasts of customers as of an instant, in their order; raises as `forecast`.

        Parameters
        ----------
        users
            Their names.
        at
            The instant.
        degraded
            In what each of the answers is less than it should be; it is told with them.
        everything
            Whether every answer is wanted, or only when they buy.
        """
        if len(self._users) + len(users) > self._most:
            self._forget()
        known = [self._known(user) for user in users]
        if not self._answering.compiled:
            self._ask_together(users, known, at)
        return [self._forecast(user, one, at, degraded, everything) for user, one in zip(users, known, strict=True)]

    def further(self, said: Sequence[Any]) -> list[Any]:
        """Return forecasts of now (``answer``) with what else the model answers in batches (``whole``); it takes milliseconds."""
        tail = {one.user_id: [event for _, event in self._tail.get(one.user_id, ())] for one in said}
        return self._further.told(said, self.history, self._codes, tail)

    def _forecast(self, user: str, known: Known, at: int, degraded: str | None, everything: bool) -> Any:
        moment = moment_of(user, known, at)
        read_at, curve = self._read_at(known, moment), known.curve
        if curve is None or curve.read_at != read_at or (everything and curve.amount is None):
            curve = known.curve = self._curve(user, known, read_at, everything)
        return self._reading.read(user, moment, known.events, curve, degraded, everything=everything)

    def _ask_together(self, users: Sequence[str], known: Sequence[Known], at: int) -> None:
        """Let models without compiled rows speak of all of whom they have to, where these are several."""
        read_at = [self._read_at(one, moment_of(user, one, at)) for user, one in zip(users, known, strict=True)]
        stale = [i for i, one in enumerate(known) if one.curve is None or one.curve.read_at != read_at[i] or one.curve.amount is None]
        if len(stale) >= _SEVERAL:
            names, some, at_each = [users[i] for i in stale], [known[i] for i in stale], np.array([read_at[i] for i in stale])
            bought, asked = [has_bought(one, self.history.log) for one in some], self._examples(names, some, at_each)
            attributes = partial(self._people.attributes, names, bought, at_each)
            said = self.model.said(asked, attributes, self.history.clock, self.history.offers)
            for i, curve in zip(stale, self._reading.curves(self.model, said), strict=True):
                known[i].curve = curve

    # ------------------------------------------------------------------------------------------- the log moves on

    def rebase(self, history: History, seq: int, codes: Mapping[str, int] | None = None, *, anew: bool = False) -> None:
        """Stand on a log that holds more of the journal: what it holds need not be remembered here.

        Parameters
        ----------
        history
            The log, as it is now.
        seq
            The place in the journal up to which it holds everything.
        codes
            ``codes_of(history)``, where somebody has made it already: of a million users it takes a while.
        anew
            Whether the log may say of what it held before something else than it did: then everybody is seen anew.

        Raises
        ------
        UsageError
            When that is less than before, or more than was applied.
        """
        if not self.base <= seq <= self.seq:
            raise UsageError(
                f"The log holds the journal up to {seq:,}; the state stands on {self.base:,} and knows {self.seq:,}.",
                "A log is taken up that holds more than the one before, and nothing that was not applied.", "Catch up first.",
            )  # fmt: skip
        self.history, self.base = history, seq
        self._tables = self._coding.tables(history.log)
        self._codes = codes_of(history) if codes is None else codes
        self._people = People(history.users, self.model.newcomers)
        self._classes = readers_of(self.model.blocks, history.log)
        left = {user: [pair for pair in pairs if pair[0] > seq] for user, pairs in self._tail.items()}
        self._tail = {user: pairs for user, pairs in left.items() if pairs}
        if self._classes or anew:  # they read her rows where they stand now
            self._forget()
        for user, known in list(self._users.items()):
            known.code = self._codes.get(user, -1)
            lo, hi = rows_of(known, self.history.log)
            if known.events != hi - lo + len(self._tail.get(user, ())):  # cleaning added to the log: see her anew
                del self._users[user]

    def snapshot(self, folder: Path | str) -> None:
        """Write what arrived since the log was written, so that a start need not ask the journal for it."""
        pairs = sorted((pair for pairs in self._tail.values() for pair in pairs), key=lambda pair: pair[0])
        write_snapshot(Path(folder), Snapshot(self.base, self.seq, len(self.history.log), self.history.end, pairs))

    @classmethod
    def restore(cls, folder: Path | str, history: History, model: Forecaster, *, after: int = 0) -> Self:
        """Return the state of a snapshot, over the log on which it stood.

        Raises
        ------
        NotFoundError
            When there is no snapshot, or it stood on another log: take the state from the log and the journal.
        DamagedError
            When the snapshot is not what was written.
        """
        found = read_snapshot(Path(folder), after, len(history.log), history.end)
        state = cls(history, model, after)
        for seq, event in found.events:
            state.seq = seq - 1  # events without a customer are not in it
            state.apply(seq, event)
        state.seq = found.seq
        return state

    # ------------------------------------------------------------------------------------------- one customer

    def _forget(self) -> None:
        """Let go of everybody."""
        self._live, self._users, self._next = Live(self._coding.program), dict[str, Known](), _STRANGER + 1

    @staticmethod
    def _stranger() -> Known:
        return Known(_STRANGER, -1, MISSING, 0, False)

    def _known(self, user: str) -> Known:
        """Return a customer, who is made ready where she is not."""
        known = self._users.get(user)
        if known is not None:
            return known
        code = self._codes.get(user, -1)
        tail = self._tail.get(user)
        if code < 0 and not tail:
            return self._stranger()
        known = self._made(user, code, [event for _, event in tail or ()])
        self._users[user] = known
        return known

    def _made(self, user: str, code: int, tail: Sequence[Event]) -> Known:
        log, tables = self.history.log, self._tables
        lo, hi = (int(log.offsets[code]), int(log.offsets[code + 1])) if code >= 0 else (0, 0)
        if tail and hi > lo and tail[0].known_at < log.known_at[hi - 1]:  # they do not simply follow each other
            log = excerpt(self.history, [(user, code)], {user: tail}).log
            tables, lo, hi, tail = self._coding.tables(log), 0, len(log), ()
        known = Known(self._next, code, MISSING, hi - lo, None, merged=log is not self.history.log)
        self._next += 1
        if hi > lo:
            rows = tables.rows(lo, hi)
            self._live.enter(known.place, rows.known_at, rows.time, rows.kind, rows.values)
            known.last = int(rows.known_at[-1])
            if known.merged:
                known.bought, known.orders = bool((rows.kind == self._coding.purchase).any()), orders_of(log, lo, hi)
        for event in tail:
            self._enter(known, event)
        return known

    def _enter(self, known: Known, event: Event) -> None:
        """Let an event, the latest known one, enter the windows of a customer."""
        coding = self._coding
        kind = coding.kinds.get(event.kind, coding.other)
        if kind == coding.purchase:
            kind, known.bought = kind if begins_order(known, event, self.history.log) else coding.line, True
        for reader in self._classes.values():
            known.entries.append(reader.entry(event, head=kind != coding.line))
        self._live.update(known.place, event.known_at, event.time, kind, coding.values(event.values))
        known.last = event.known_at
        known.events += 1
        known.curve = None

    def _read_at(self, known: Known, at: int) -> int:
        """Return when her past is read: at the later of her last event and the start of the shop's day."""
        if not self._day[0] <= at < self._day[1]:
            clock = self.history.clock
            self._day = int(clock.midnight_before(np.array([at], np.int64))[0]), clock.next_midnight(at)
        return min(max(self._day[0], known.last + 1), at)

    # ------------------------------------------------------------------------------------------- what the model says

    def _curve(self, user: str, known: Known, read_at: int, everything: bool) -> Curve:
        """Return what the model says of one customer, read as of an instant."""

        def block() -> Singles | None:
            reader = None if known.merged else next(iter(self._classes.values()), None)
            return None if reader is None else reader.one(*rows_of(known, self.history.log), known.entries, read_at)

        asked = Asking(self._live, known.place, read_at, block, lambda: self._examples([user], [known], np.array([read_at])))
        return self._answering.curve(
            asked, read_at, lambda: self._people.times(user, has_bought(known, self.history.log), read_at), everything=everything
        )

    def _examples(self, users: Sequence[str], known: Sequence[Known], read_at: Instants) -> Examples:
        """Return some customers, read as of an instant each, as models are asked about them."""
        places = np.array([one.place for one in known], np.int64)
        blocks = self._blocks(users, known, read_at) if self.model.blocks else {}
        return examples_of(self._live, users, places, read_at, blocks)

    def _blocks(self, users: Sequence[str], known: Sequence[Known], read_at: Instants) -> Mapping[str, Any]:
        """Return what is told of customers beside their features: compiled for classes, else by the batch engine over their events."""
        if self._classes and not any(one.merged for one in known):
            slices = [rows_of(one, self.history.log) for one in known]
            return {name: reader.block(slices, [one.entries for one in known], read_at) for name, reader in self._classes.items()}
        named = dict(zip(users, (one.code for one in known), strict=True))
        past = past_of(self.history, named, {user: [event for _, event in self.tail(user)] for user in named}, users, read_at)
        return {name: spec.block(past) for name, spec in self.model.blocks.items()}

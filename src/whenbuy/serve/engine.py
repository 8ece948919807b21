"""The engine: events become durable, then known; forecasts come from what is known. Each answer says what it stands on.

One thread writes. While it brings one batch to the disk, whoever comes next waits together and shares the next commit. What is durable is
applied to the live state by the event loop's own thread, which also answers, so the state needs no lock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

import msgspec

from whenbuy.core.errors import BusyError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.serve.asking import codes_of
from whenbuy.serve.journal import Counts, Journal, Receipt, cut
from whenbuy.serve.knowing import Live, Shared
from whenbuy.serve.metrics import Counted, Figure

Row = Event | Refused
Told = Callable[[Receipt | Exception, Sequence[Any] | None], None]
"""Hears what became of rows, or why nothing was kept of them, and the forecasts that were asked for with them; it raises nothing."""
_MOST_ROWS: Final = 10_000
"""How many rows may wait, and how many one commit takes."""
_FEW: Final = 1_000
"""So many rows are written in the loop's thread, in some milliseconds; of more only the thread that writes takes care."""
_PAGE: Final = 1_000
_AT_ONCE: Final = 200
"""So many users are forecast with one commit."""
POLL_S: Final = 0.5
"""How often it is asked whether another process wrote to the journal, in seconds."""
_DAY_S: Final = 86_400
_OLD: Final = "Nothing new has been learned of for {:,.0f} days, and forecasts look {:g} days ahead: that time was taken for silence."


class Standing(msgspec.Struct, frozen=True):  # made for every request
    """What an answer stands on.

    Parameters
    ----------
    model
        The model that answers.
    data_age_s
        For how many seconds nothing new has been learned of; None where nothing has been.
    degraded
        In what an answer is less than it should be; None where it is not.
    """

    model: str
    data_age_s: float | None
    degraded: str | None


class _Waiting:
    """One caller's rows on their way to the disk, and the users whose forecasts are wanted then."""

    __slots__ = ("everything", "forecasts", "rows", "told", "users")

    def __init__(self, rows: Sequence[Row], users: Sequence[str], everything: bool, told: Told) -> None:
        self.rows, self.users, self.everything, self.told = rows, users, everything, told
        self.forecasts: Sequence[Any] | None = None


class Engine:
    """Journal, live state and model as one thing.

    All methods are called in the event loop's thread, but for `now`.

    Parameters
    ----------
    journal
        Where events are kept before they count.
    reception
        How what is sent is understood.
    model
        The id of the model that answers.
    live
        The live state of that model.
    known_at
        Instant of the last event that it knows; None where it knows none.
    now
        Says what time it is, as an instant.
    see
        What an event is for the live state.
    """

    def __init__(
        self, journal: Journal, reception: Reception, model: str, live: Live, known_at: int | None, now: Callable[[], int],
        see: Callable[[Event], Event] = lambda it: it,
    ) -> None:  # fmt: skip
        self.journal, self.reception, self.model, self.now, self._see = journal, reception, model, now, see
        self.behind = 0
        self._live, self._known_at = live, known_at
        self._shared = live if isinstance(live, Shared) else None
        self._after: list[Callable[[], None]] = []
        self._notes: dict[str, str] = {}
        self._waiting: list[_Waiting] = []
        self._rows = 0
        self._busy = self._asked = self._closing = self._catching = self._missed = False
        self._work: SimpleQueue[tuple[list[_Waiting], Callable[[], Receipt] | None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._counted = dict.fromkeys(("accepted", "duplicate", "dead", "late"), 0)
        self._commits = 0

    # ------------------------------------------------------------------------------------------- start and end

    async def start(self) -> None:
        """Begin: learn of what the journal holds beyond the state, and be ready to write."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()
        await self.catch_up()

    async def stop(self) -> None:
        """End: nothing new is taken, what waits becomes durable and known."""
        self._closing = True
        while self._busy or self._waiting:
            await asyncio.sleep(0.005)
        self._work.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        with suppress(WhenbuyError):
            await self.catch_up()

    @property
    def ready(self) -> bool:
        """Whether events are taken."""
        return self._thread is not None and not self._closing

    @property
    def live(self) -> Live:
        """The live state; it belongs to the event loop's thread."""
        return self._live

    # ------------------------------------------------------------------------------------------- events in

    async def take(self, rows: Sequence[Row]) -> Receipt:
        """Return what became of rows, after they are durable and known; raises what `put` raises, and what is told there."""
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()

        def told(found: Receipt | Exception, _: Sequence[Any] | None) -> None:
            if future.done():
                return
            if isinstance(found, Receipt):
                future.set_result(found)
            else:
                future.set_exception(found)

        self.put(rows, (), True, told)
        return await future

    def put(self, rows: Sequence[Row], users: Sequence[str], everything: bool, told: Told) -> None:
        """Bring rows to the disk; then tell what became of them, when they are durable and known, and the forecasts of some users.

        The forecasts of all who share a commit are made at once, which costs little more than one; None where that could not be done. Where
        rows could not be made durable, nothing of them was kept, and the error is told (AccessError, DependencyError, BusyError).

        Raises
        ------
        BusyError
            When too many wait already, or the server ends: nothing was kept, and nothing is told.
        """
        if self._closing or self._loop is None:
            raise BusyError("The server is ending.", "Events are taken while it runs.", "Send them again in a moment.")
        if self._rows and self._rows + len(rows) > _MOST_ROWS:
            raise BusyError(f"{self._rows:,} events wait already.", f"At most {_MOST_ROWS:,} may wait.", "Send them again in a moment.")
        self._waiting.append(_Waiting(rows, users, everything, told))
        self._rows += len(rows)
        if not self._busy:
            self._ask()

    def _ask(self) -> None:
        """Hand over at the end of this turn of the loop: those who come in the same turn share the commit."""
        if self._waiting and not self._asked and self._loop is not None:
            self._asked = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._asked = False
        if self._busy or not self._waiting:
            return
        self._busy = True
        batch, self._waiting = self._waiting, []
        rows = [row for waiting in batch for row in waiting.rows]
        self._work.put((batch, self.journal.begin(rows) if len(rows) <= _FEW else None))

    def _write(self) -> None:
        """Bring batches to the disk: the work of the thread that writes."""
        assert self._loop is not None
        while (work := self._work.get()) is not None:
            batch, end = work
            outcome = _kept(self.journal, batch) if end is None else _ended(end, batch)
            with suppress(RuntimeError):  # the loop was closed without waiting
                self._loop.call_soon_threadsafe(self._written, batch, outcome)

    def _written(self, batch: list[_Waiting], outcome: list[Receipt | Exception]) -> None:
        self._busy = False
        self._commits += 1
        self._rows -= sum(len(waiting.rows) for waiting in batch)
        try:
            self._heard(batch, outcome)
        finally:
            self._ask()  # not before: two threads that compute at a time take the interpreter from each other, again and again

    def _heard(self, batch: list[_Waiting], outcome: list[Receipt | Exception]) -> None:
        """Learn of what is durable now, and tell."""
        for found in outcome:
            if isinstance(found, Receipt):
                self.note("journal", None)
                for status in self._counted:
                    self._counted[status] += found.statuses.count(status)
                self._learn(found)
            elif isinstance(found, WhenbuyError):
                self.note("journal", f"Events cannot be kept: {found.got}")
        if self._shared is not None and self._catching:  # what others wrote before it is told with it
            self._after.append(partial(self._tell, batch, outcome))
        else:
            self._tell(batch, outcome)

    def _tell(self, batch: list[_Waiting], outcome: list[Receipt | Exception]) -> None:
        """Tell other workers what was learned, and those who wait what became of their rows."""
        self._publish()
        self._say([waiting for waiting, found in zip(batch, outcome, strict=True) if waiting.users and isinstance(found, Receipt)])
        for waiting, found in zip(batch, outcome, strict=True):
            waiting.told(found, waiting.forecasts)

    def _say(self, asking: Sequence[_Waiting]) -> None:
        """Forecast for those who asked; beyond a number that others can wait for, they ask again themselves."""
        users: dict[tuple[str, bool], Any] = {}
        for place, waiting in enumerate(asking):
            if len(users) + len(waiting.users) > _AT_ONCE:
                asking = asking[:place]
                break
            users.update(dict.fromkeys((user, waiting.everything) for user in waiting.users))
        with suppress(Exception):  # whose fault it is shows when each asks alone
            for everything in {wish for _, wish in users}:
                names = [user for user, wish in users if wish is everything]
                for user, said in zip(names, self.forecasts(names, self.moment(), everything), strict=True):
                    users[user, everything] = said
            for waiting in asking:
                waiting.forecasts = [users[user, waiting.everything] for user in waiting.users]

    # ------------------------------------------------------------------------------------------- the live state

    def _learn(self, receipt: Receipt) -> None:
        for seq, event in receipt.new():
            if seq == self._live.seq + 1 and not self._catching:  # as a rule
                self._step(seq, event)
                continue
            if seq <= self._live.seq:
                continue
            if self._catching:
                self._missed = True
                self._fallen(self.behind + 1)
            else:  # another process wrote what lies between
                assert self._loop is not None
                self._fallen(seq - self._live.seq)
                self._catching = True
                self._task = self._loop.create_task(self._catch_up())

    def _step(self, seq: int, event: Event) -> None:
        try:
            self._live.apply(seq, self._see(event))
        except Exception as error:
            self.note("state", f"The event at {seq} could not be applied ({type(error).__name__}); a restart builds the state anew.")
        self._known_at = event.known_at if self._known_at is None else max(self._known_at, event.known_at)

    def _publish(self) -> None:
        if self._shared is not None:
            self._shared.publish()

    async def catch_up(self) -> None:
        """Learn of what the journal holds beyond the state; raises as the journal does."""
        if not self._catching:
            self._catching = True
            await self._catch_up()

    async def _catch_up(self) -> None:
        try:
            while True:
                self._missed = False
                page = await asyncio.to_thread(lambda: list(self.journal.events(self._live.seq, _PAGE)))
                for seq, event in page:
                    if seq > self._live.seq:
                        self._step(seq, event)
                self._publish()
                self._fallen(max(await asyncio.to_thread(self.journal.last) - self._live.seq, 0))
                if not self._missed and not (page and self.behind):
                    return
        finally:
            self._catching = False
            after, self._after = self._after, []
            for tell in after:
                tell()

    def _fallen(self, behind: int) -> None:
        self.behind = behind
        self.note("behind", f"{behind:,} events are kept, but not yet known here." if behind else None)

    async def watch_journal(self) -> None:
        """Learn, again and again, of what other processes write to the journal; never ends by itself."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                if not self._catching and await asyncio.to_thread(self.journal.last) > self._live.seq and not self._busy:
                    await self.catch_up()
                self.note("store", None)
            except WhenbuyError as error:
                self.note("store", f"The journal cannot be read: {error.got}")

    async def take_up(self, model: str, live: Live, known_at: int | None) -> None:
        """Let another model answer from now on, with its own live state, once that knows all that is known; raises as the two do."""
        while live.seq < self._live.seq:
            page = await asyncio.to_thread(lambda: list(self.journal.events(live.seq, _PAGE)))
            for seq, event in page:
                live.apply(seq, self._see(event))
        self._live, self.model = live, model
        self._shared = live if isinstance(live, Shared) else None
        if known_at is not None:
            self._known_at = known_at if self._known_at is None else max(known_at, self._known_at)
        await self.catch_up()

    async def rebase(self, history: History, seq: int, codes: Mapping[str, int] | None = None, *, anew: bool = False) -> None:
        """Let the state stand on a log that holds the journal up to a place: what the log holds needs no memory; see `LiveState.rebase`."""
        if codes is None:
            codes = await asyncio.to_thread(codes_of, history)
        if seq > self._live.seq:
            await self.catch_up()
        if self._live.base < seq <= self._live.seq:
            self._live.rebase(history, seq, codes, anew=anew)

    # ------------------------------------------------------------------------------------------- forecasts out

    def forecasts(self, users: Sequence[str], at: int, everything: bool = True) -> Sequence[Any]:
        """Return the forecasts of these users as of an instant; not ``everything``, then only when they buy."""
        return self._live.forecasts(users, at, everything=everything)

    def further(self, said: Sequence[Any]) -> Sequence[Any]:
        """Return forecasts that were just made with what else the model answers in batches; it takes milliseconds each."""
        return self._live.further(said)

    def earliest(self) -> int:
        """Return the earliest instant of which the state can speak: just after the last event."""
        return 0 if self._known_at is None else self._known_at + 1

    def moment(self) -> int:
        """Return the instant that stands for now; what was known before it counts, so it lies after the last event."""
        return max(self.now(), self.earliest())

    def standing(self, now: int) -> Standing:
        """Return what an answer stands on."""
        age = None if self._known_at is None else max(now - self._known_at, 0) / 1_000_000
        notes: Collection[str] = self._notes.values()
        if age is not None and age > self._live.reach_days * _DAY_S:
            notes = [*notes, _OLD.format(age / _DAY_S, self._live.reach_days)]
        return Standing(self.model, age, " ".join(notes) if notes else None)

    def note(self, of: str, text: str | None) -> None:
        """Say in what answers are less than they should be; nothing where all is well again."""
        if text is None:
            self._notes.pop(of, None)
        else:
            self._notes[of] = text

    # ------------------------------------------------------------------------------------------- what is counted

    def counts(self) -> Counts:
        """Return what became of everything that was ever sent to the journal."""
        return self.journal.counts()

    def figures(self) -> list[Figure]:
        """Return what Prometheus is told of it."""
        rows: Counted = {(("status", status),): float(count) for status, count in self._counted.items()}
        standing = self.standing(self.now())
        age = standing.data_age_s
        return [
            ("whenbuy_events_total", "counter", "Events that were sent, by what became of them.", rows),
            ("whenbuy_commits_total", "counter", "Transactions of the journal.", {(): float(self._commits)}),
            ("whenbuy_events_waiting", "gauge", "Events that wait for the disk.", {(): float(self._rows)}),
            ("whenbuy_events_behind", "gauge", "Events that are durable and not yet known.", {(): float(self.behind)}),
            ("whenbuy_state_seq", "gauge", "Place in the journal up to which everything is known.", {(): float(self._live.seq)}),
            ("whenbuy_data_age_seconds", "gauge", "Time since the last event was learned of.", {} if age is None else {(): age}),
            ("whenbuy_degraded", "gauge", "Whether answers are less than they should be.", {(): float(standing.degraded is not None)}),
            ("whenbuy_model", "gauge", "The model that answers.", {(("id", self.model),): 1.0}),
        ]


def _ended(end: Callable[[], Receipt], batch: list[_Waiting]) -> list[Receipt | Exception]:
    """Bring to the disk what is written already."""
    try:
        return [*cut(end(), [len(waiting.rows) for waiting in batch])]
    except Exception as error:
        return [error] * len(batch)


def _kept(journal: Journal, batch: list[_Waiting]) -> list[Receipt | Exception]:
    """Keep the rows of several callers in one transaction; where one of them is at fault, each stands for itself."""
    try:
        whole = journal.take([row for waiting in batch for row in waiting.rows])
        return [*cut(whole, [len(waiting.rows) for waiting in batch])]
    except Exception as error:
        if len(batch) == 1 or isinstance(error, WhenbuyError):
            return [error] * len(batch)
        return [_kept(journal, [waiting])[0] for waiting in batch]

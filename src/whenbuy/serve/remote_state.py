"""The live state of several workers: each follows the journal by itself, and through Valkey or Redis they tell each other sooner.

Who keeps an event writes what is known of its customer, beyond the log, under her name, before the event is acknowledged; who answers for
customers reads the values of all of them in one step (``MGET``). So what one worker was told the others know when they are asked, and not
only when they next look into the journal. The values are events, not numbers of one model: workers may change models one after the other.

Nothing is lost with the store: a value is only used where it says more than the worker knows already, and lives for ten minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from whenbuy.core.errors import DependencyError, UsageError
from whenbuy.core.history import History
from whenbuy.ingest.reception import Event
from whenbuy.serve.live import LiveState

PATIENCE_S: Final = 0.25
"""So long an answer waits for the store; then it says that it is degraded."""
_AGAIN_US: Final = 1_000_000
"""So long after a failure the store is left alone."""
_LIFE_MS: Final = 600_000
"""So long a value is kept: many times what a worker needs to find the same in the journal."""
_PART: Final = 1_000
_DIGITS: Final = 20
_ONLY_NEWER: Final = f"""
for i, key in ipairs(KEYS) do
    local held = redis.call('GETRANGE', key, 0, {_DIGITS - 1})
    if held < string.sub(ARGV[i], 1, {_DIGITS}) then redis.call('SET', key, ARGV[i], 'PX', {_LIFE_MS}) end
end
"""
"""Where two workers write of one customer, the value that knows more of the journal stays."""


class _Value(msgspec.Struct, frozen=True, array_like=True):
    """What a worker knew of a customer: all events between two places in the journal."""

    base: int
    seq: int
    tail: list[tuple[int, Event]]


_READ: Final = msgspec.msgpack.Decoder(_Value)
_WRITE: Final = msgspec.msgpack.Encoder().encode


def connect(address: str) -> Any:
    """Return a client of the store at ``redis://host:port/0`` (or ``rediss://``), which gives up soon.

    Raises
    ------
    UsageError
        When that is no such address.
    DependencyError
        When its library is not installed.
    """
    if urlsplit(address).scheme not in ("redis", "rediss"):
        raise UsageError(
            "The state of several workers was to lie elsewhere than in Valkey or Redis.", "An address is redis://host:port/0.", "Name one."
        )
    try:
        import redis
    except ImportError as error:
        raise DependencyError(
            "A Redis client is not installed.", "Several workers share their state through one.", "Install whenbuy[redis]."
        ) from error
    try:
        return redis.Redis.from_url(address, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S, retry=None)
    except ValueError as error:
        raise UsageError(f"The address of the state store is none ({error}).", "It is redis://host:port/0.", "Correct it.") from error


def name_of(journal: Path | str) -> str:
    """Return under which name the workers of one journal find each other."""
    if isinstance(journal, Path):
        told = str(journal.resolve())
    else:
        parts = urlsplit(journal)
        told = f"{parts.hostname}:{parts.port}{parts.path}?{parts.query}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


class SharedState:
    """A live state that tells other workers what it learns, and asks what they know. It forecasts as `LiveState` does.

    Parameters
    ----------
    state
        A state of its own, which follows the journal.
    client
        From `connect`.
    name
        From `name_of`.
    now
        Says what time it is, as an instant.
    """

    def __init__(self, state: LiveState, client: Any, name: str, now: Callable[[], int]) -> None:
        self.state, self._client, self._name, self._now = state, client, name, now
        self._rest_until = 0
        self._learned: dict[str, None] = {}
        self._ahead: dict[str, None] = {}

    @property
    def seq(self) -> int:
        """The place in the journal up to which it knows everything."""
        return self.state.seq

    @property
    def base(self) -> int:
        """The place up to which its log holds everything."""
        return self.state.base

    @property
    def answer(self) -> type[msgspec.Struct]:
        """The structure of one forecast."""
        return self.state.answer

    @property
    def when(self) -> type[msgspec.Struct]:
        """The structure of one forecast that says only when she buys."""
        return self.state.when

    @property
    def whole(self) -> type[msgspec.Struct]:
        """The structure of one forecast with what else the model answers in batches."""
        return self.state.whole

    @property
    def reach_days(self) -> float:
        """Over how many days its forecasts look: the longest horizon."""
        return self.state.reach_days

    def apply(self, seq: int, event: Event) -> None:
        """Learn of one event, which `publish` then tells; raises as `LiveState.apply`."""
        user = event.user
        if user is not None and seq > self.state.seq:
            self._learned[user] = None
            tail = self.state.tail(user) if user in self._ahead else ()
            if tail and tail[-1][0] >= seq and seq == self.state.seq + 1:  # another worker told of it already
                self.state.seq = seq
                return
        self.state.apply(seq, event)

    def publish(self) -> None:
        """Tell the others what was learned since the last time; where the store does not answer they find it in the journal."""
        users, self._learned = list(self._learned), {}
        if self._now() < self._rest_until:
            return
        for start in range(0, len(users), _PART):
            part = users[start : start + _PART]
            try:
                with _Told():
                    self._client.eval(_ONLY_NEWER, len(part), *map(self._key, part), *map(self._value, part))
            except DependencyError:
                self._rest_until = self._now() + _AGAIN_US
                return

    def forecast(self, user: str, at: int, *, everything: bool = True) -> Any:
        """Return the whole forecast of one customer as of an instant; see `forecasts`."""
        return self.forecasts((user,), at, everything=everything)[0]

    def forecasts(self, users: Sequence[str], at: int, degraded: str | None = None, *, everything: bool = True) -> list[Any]:
        """Return the forecasts of customers as of an instant, in their order.

        Where the store does not answer they stand on what the journal told, and ``degraded`` says so; raises as `LiveState.forecasts`.
        """
        return self.state.forecasts(users, at, self._ask(users) or degraded, everything=everything)

    def further(self, said: Sequence[Any]) -> list[Any]:
        """Return these forecasts with what else the model answers in batches."""
        return self.state.further(said)

    def rebase(self, history: History, seq: int, codes: Mapping[str, int] | None = None, *, anew: bool = False) -> None:
        """Stand on a log that holds more of the journal; raises as `LiveState.rebase`."""
        self.state.rebase(history, seq, codes, anew=anew)
        self._ahead = {user: None for user in self._ahead if self._is_ahead(user)}

    def snapshot(self, folder: Path) -> None:
        """Write what is known up to its place in the journal: what others told beyond it is found there again."""
        for user in self._ahead:
            if self._is_ahead(user):
                self.state.follow(user, [pair for pair in self.state.tail(user) if pair[0] <= self.state.seq])
        self._ahead = {}
        self.state.snapshot(folder)

    # ---------------------------------------------------------------------------------------------- the store

    def _ask(self, users: Sequence[str]) -> str | None:
        """Learn what others know of some customers; return what is wrong where they cannot be asked."""
        if self._now() < self._rest_until:
            return _DOWN
        try:
            with _Told():
                values = self._client.mget([*map(self._key, users)]) if users else []
        except DependencyError:
            self._rest_until = self._now() + _AGAIN_US
            return _DOWN
        for user, value in zip(users, values, strict=True):
            if value is not None:
                self._take(user, _READ.decode(value[_DIGITS:]))
        return None

    def _take(self, user: str, value: _Value) -> None:
        """Take over what another worker knows of a customer, where that is more."""
        state, held = self.state, self.state.tail(user)
        known = max(state.seq, held[-1][0] if held else 0)
        if value.seq <= known or value.base > state.seq:  # of what lies between its log and this state it says nothing
            return
        tail = [*(pair for pair in held if pair[0] <= value.base), *value.tail]
        if tail and tail[-1][0] > known:
            state.follow(user, tail)
            self._ahead[user] = None

    def _is_ahead(self, user: str) -> bool:
        tail = self.state.tail(user)
        return bool(tail) and tail[-1][0] > self.state.seq

    def _key(self, user: str) -> str:
        return f"whenbuy:{{{self._name}}}:{user}"

    def _value(self, user: str) -> bytes:
        seq = self.state.seq
        tail = [pair for pair in self.state.tail(user) if pair[0] <= seq]
        return f"{seq:0{_DIGITS}}".encode() + _WRITE(_Value(self.state.base, seq, tail))


class _Told:
    """Turns the failures of the store into ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        import redis

        if isinstance(error, redis.RedisError | OSError):
            raise DependencyError(
                f"The state store does not answer ({type(error).__name__}: {error}).", "Workers tell each other through it.",
                "Start it, or look at its address.",
            ) from error  # fmt: skip


_DOWN: Final = "The state store does not answer: what other workers were told in the last second may be missing."

"""The live state of several workers: one follows the journal and publishes through Valkey or Redis what the log does not hold yet.

The columnar log lies where every worker can read it. What arrived since is one value per customer, written for all customers of a batch in
one step together with the place in the journal (``MSET``) and read for all customers of a question in one step (``MGET``). The values are
events, not numbers of one model: workers may change models one after the other. Nothing is lost with the store: what it holds is made again
from the journal by the worker that publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from whenbuy.core.errors import DependencyError
from whenbuy.ingest.reception import Event
from whenbuy.serve.live import LiveState

PATIENCE_S: Final = 0.25
"""So long an answer waits for the store; then it says that it is degraded."""
_AGAIN_US: Final = 1_000_000
"""So long after a failure the store is left alone."""
_PART: Final = 1_000
_PAIRS: Final = msgspec.msgpack.Decoder(list[tuple[int, Event]])
_ENCODE: Final = msgspec.msgpack.Encoder().encode


def connect(address: str) -> Any:
    """Return a client of the store at ``redis://host:port/0`` (or ``rediss://``), which gives up soon.

    Raises
    ------
    DependencyError
        When its library is not installed.
    """
    try:
        import redis
    except ImportError as error:
        raise DependencyError(
            "A Redis client is not installed.", "Several workers share their state through one.", "Install whenbuy[redis]."
        ) from error
    return redis.Redis.from_url(address, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S, retry=None)


class Publisher:
    """Publishes what a state knows beyond its log. One worker of a shop does; it applies the journal to its own state first.

    Parameters
    ----------
    client
        From `connect`.
    shop
        The name under which the shop's values stand in the store.
    state
        The state that follows the journal.
    """

    def __init__(self, client: Any, shop: str, state: LiveState) -> None:
        self._client, self._names, self.state = client, _Names(shop), state
        self._published: int | None = None

    def publish(self, events: Iterable[tuple[int, Event]]) -> None:
        """Publish events that were applied. After a failure, or where the store lost something, the next call publishes everything anew.

        Raises
        ------
        DependencyError
            When the store does not answer; the state itself is not touched.
        """
        touched = {event.user: None for _, event in events if event.user is not None}
        published, self._published = self._published, None  # until this has come to its end
        with _Told():
            held = self._client.get(self._names.seq)
            whole = held is not None and published is not None and int(held) == published
            self._write(list(touched) if whole else self.state.tails())
            self._published = self.state.seq

    def compacted(self, users: Sequence[str]) -> None:
        """Take the values of customers away of whom the log holds everything; raises as `publish`."""
        gone = [user for user in users if not self.state.tail(user)]
        with _Told():
            for start in range(0, len(gone), _PART):
                self._client.delete(*(self._names.user(user) for user in gone[start : start + _PART]))

    def _write(self, users: Sequence[str]) -> None:
        """Write values in parts, the place in the journal with the last of them: until then readers know no more than before."""
        for start in range(0, max(len(users), 1), _PART):
            part = users[start : start + _PART]
            values = {self._names.user(user): _ENCODE(self.state.tail(user)) for user in part}
            if start + _PART >= len(users):
                values[self._names.seq] = str(self.state.seq).encode()
            self._client.mset(values)


class RemoteState:
    """What a worker knows that reads what another one publishes. It forecasts as `LiveState` does.

    Parameters
    ----------
    client
        From `connect`.
    shop
        As for `Publisher`.
    state
        A state of its own over the same log, to which nothing is applied.
    now
        Says what time it is, as an instant.
    """

    def __init__(self, client: Any, shop: str, state: LiveState, now: Callable[[], int]) -> None:
        self._client, self._names, self.state, self._now = client, _Names(shop), state, now
        self._rest_until = 0
        self.seq = state.seq

    @property
    def answer(self) -> type[msgspec.Struct]:
        """The structure of one forecast."""
        return self.state.answer

    def forecast(self, user: str, at: int) -> Any:
        """Return the whole forecast of one customer as of an instant; see `forecasts`."""
        return self.forecasts((user,), at)[0]

    def forecasts(self, users: Sequence[str], at: int) -> list[Any]:
        """Return the forecasts of customers as of an instant, in their order.

        Where the store does not answer, or holds nothing, they stand on what was known before, and ``degraded`` says so.

        Raises
        ------
        LeakError
            As `LiveState.forecast`.
        """
        return self.state.forecasts(users, at, degraded=self._learn(users))

    def _learn(self, users: Sequence[str]) -> str | None:
        """Learn what the store holds of some customers; return what is wrong where it cannot be asked."""
        if self._now() < self._rest_until:
            return _DOWN
        try:
            with _Told():
                seq, *values = self._client.mget([self._names.seq, *map(self._names.user, users)])
        except DependencyError:
            self._rest_until = self._now() + _AGAIN_US
            return _DOWN
        if seq is None or int(seq) < self.state.base:
            return _EMPTY
        for user, value in zip(users, values, strict=True):
            self.state.follow(user, [] if value is None else _PAIRS.decode(value))
        self.seq = int(seq)
        return None


class _Names:
    """Under which names a shop's values stand."""

    def __init__(self, shop: str) -> None:
        self._shop = shop
        self.seq = f"whenbuy:{{{shop}}}:seq"

    def user(self, user: str) -> str:
        return f"whenbuy:{{{self._shop}}}:user:{user}"


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
                f"The state store does not answer ({type(error).__name__}: {error}).", "Workers share their state through it.",
                "Start it, or look at its address.",
            ) from error  # fmt: skip


_DOWN: Final = "The state store does not answer: events that arrived since this worker last heard of them are missing."
_EMPTY: Final = "The state store holds nothing of this shop yet: events that the log does not hold are missing."

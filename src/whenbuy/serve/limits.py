"""Limits: how much one sender may ask for, and how much is taken in hand at all. What is beyond is refused at once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from whenbuy.core.errors import UsageError

_MOST_SENDERS: Final = 10_000
_LEAST: Final = 4.0
"""So much work is let in however far the server is behind."""
_DEEPEST, _SHALLOWEST = 0.3, 0.9
"""To which share of it the limit falls at a time."""
_MORE: Final = 1.02
"""By which factor it rises at a time, beside one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes.

    Parameters
    ----------
    per_second
        Requests a second of one key, or of one address where no key is needed, in the long run.
    burst
        How many of them may come at once.
    strangers_per_second
        Refused requests without a good key, a second, of one address; beyond, they are refused more cheaply.
    most_bytes
        The longest body of a request, in bytes.
    most_users
        About how many users one request may ask.
    most_waiting
        How many requests may be in hand, those included whose body is still on its way.
    most_held
        How many bytes of bodies may be in hand.
    body_s
        How long a sender may take for a body, in seconds.
    most_lag_s
        How far the server may fall behind, in seconds, before it lets less work in: what waits is bounded by time, not by number.
    """

    per_second: float = 2_000.0
    burst: float = 4_000.0
    strangers_per_second: float = 20.0
    most_bytes: int = 4 << 20
    most_users: int = 1_000
    most_waiting: int = 256
    most_held: int = 32 << 20
    body_s: float = 10.0
    most_lag_s: float = 0.01

    def __post_init__(self) -> None:
        if not all(getattr(self, name) > 0 for name in self.__slots__):
            raise UsageError("A limit is not above 0.", "Every limit is a positive number.", "Correct it.")


class Gate:
    """How much work is in hand at once: so much that whatever comes meanwhile is answered, or refused, soon.

    Where the server falls behind, less is let in, at once and in proportion; while it keeps up, a little more every time (additive
    increase, multiplicative decrease: Chiu and Jain 1989). So the queue is as long as the machine is quick, whatever requests cost.

    Parameters
    ----------
    most
        How much work may be in hand at most; a request with one event is about 1.
    lag_s
        How far the server may be behind, in seconds.
    """

    def __init__(self, most: float, lag_s: float) -> None:
        self._most, self._lag_s = float(most), lag_s
        self.limit, self.inside = self._most, 0.0

    @property
    def open(self) -> bool:
        """Whether more is let in."""
        return self.inside < self.limit

    def enter(self, weight: float) -> bool:
        """Take some work in hand, where there is room; return whether there was."""
        if self.inside >= self.limit:
            return False
        self.inside += weight
        return True

    def leave(self, weight: float) -> None:
        """Say that some work is done."""
        self.inside -= weight

    def beat(self, lag_s: float) -> None:
        """Learn how far the server is behind."""
        if lag_s > self._lag_s:
            self.limit = max(_LEAST, self.limit * min(max(self._lag_s / lag_s, _DEEPEST), _SHALLOWEST))
        else:
            self.limit = min(self._most, _MORE * self.limit + 1.0)


class Buckets:
    """One bucket of tokens a sender: each request takes one, time fills it again. The senders that came last are remembered.

    Parameters
    ----------
    per_second
        How many tokens a second flow in.
    burst
        How many there can be.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._rate, self._burst = per_second, max(burst, 1.0)
        self._found: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, sender: str, now_s: float) -> float:
        """Return 0 where a token was taken, else how many seconds to wait for the next one."""
        level, at = self._found.get(sender, (self._burst, now_s))
        level = min(self._burst, level + max(now_s - at, 0.0) * self._rate)
        wait = 0.0 if level >= 1.0 else (1.0 - level) / self._rate
        self._found[sender] = (level - 1.0 if wait == 0.0 else level, now_s)
        self._found.move_to_end(sender)
        if len(self._found) > _MOST_SENDERS:
            self._found.popitem(last=False)
        return wait

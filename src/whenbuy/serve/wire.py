"""What goes over the wire: the answers as structures, from which their JSON and their description are made, and errors in three parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from whenbuy.core.errors import (
    AccessError,
    BusyError,
    DependencyError,
    InputError,
    NotEnoughDataError,
    NotFoundError,
    UsageError,
    WhenbuyError,
)

encode: Final = msgspec.json.Encoder().encode
JSON: Final = b"application/json"
PROBLEM: Final = b"application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused, as RFC 9457 has it, with the three parts of every error here.

    Parameters
    ----------
    status
        The status of the answer.
    title
        The three parts as one text.
    got
        What was found.
    need
        What is needed instead.
    do
        The next step that mends it.
    request
        The number of the request, as in the log.
    """

    status: int
    title: str
    got: str
    need: str
    do: str
    request: str


class Sent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one event.

    Parameters
    ----------
    status
        ``accepted``; ``duplicate`` where it was held already; ``dead`` where it is no event: it was kept as it came, with the reason;
        ``late`` where it came after the stated lateness: it was kept aside.
    seq
        Its place in the journal, where it was accepted.
    reason
        Why it was not accepted.
    """

    status: Literal["accepted", "duplicate", "dead", "late"]
    seq: int | None = None
    reason: str | None = None


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the events of one request, in their order. All of them are durable.

    Parameters
    ----------
    accepted, duplicate, dead, late
        How many have each status.
    events
        What became of each.
    model_id
        The model that answers, as `whenbuy models` names it.
    data_age_s
        For how many seconds nothing new has been learned of.
    degraded
        In what the server is less than it should be; null where it is not.
    forecasts
        Where they were asked for: the forecasts, with these events, of the users of accepted and duplicate events.
    """

    accepted: int
    duplicate: int
    dead: int
    late: int
    events: list[Sent]
    model_id: str
    data_age_s: float | None
    degraded: str | None
    forecasts: Sequence[Any] | None = None


class Forecasts(msgspec.Struct, frozen=True):
    """Forecasts in the order in which they were asked for.

    Parameters
    ----------
    model_id
        The model that answers, as `whenbuy models` names it.
    data_age_s
        For how many seconds nothing new has been learned of.
    degraded
        In what they are less than they should be; null where they are not.
    forecasts
        One per user.
    """

    model_id: str
    data_age_s: float | None
    degraded: str | None
    forecasts: Sequence[Any]


class Forecasted(msgspec.Struct, frozen=True):
    """The forecast of one user.

    Parameters
    ----------
    model_id
        The model that answers, as `whenbuy models` names it.
    data_age_s
        For how many seconds nothing new has been learned of.
    degraded
        In what it is less than it should be; null where it is not.
    forecast
        The forecast.
    """

    model_id: str
    data_age_s: float | None
    degraded: str | None
    forecast: Any


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is asked about.

    Parameters
    ----------
    users
        Their ids, as text or numbers.
    at
        As of when: an ISO 8601 time or an epoch; now where nothing is said.
    answers
        ``when`` they buy, the ``usual`` answers, or ``all``.
    """

    users: list[str | int | float]
    at: str | int | float | None = None
    answers: Literal["when", "usual", "all"] = "usual"


class Refusal(Exception):  # noqa: N818 - not every refusal is an error
    """A request that is refused.

    Parameters
    ----------
    status
        The status of the answer.
    error
        Why.
    wait_s
        After how many seconds it may be tried again; None where that would not help.
    """

    def __init__(self, status: int, error: WhenbuyError, wait_s: float | None = None) -> None:
        self.status, self.error, self.wait_s = status, error, wait_s
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        super().__init__(str(error))


def refused(status: int, got: str, need: str, do: str, wait_s: float | None = None) -> Refusal:
    """Return a refusal in three parts."""
    return Refusal(status, WhenbuyError(got, need, do), wait_s)


def refusal_of(error: WhenbuyError) -> Refusal:
    """Return the refusal that an error means."""
    for kinds, status in _STATUS:
        if isinstance(error, kinds):
            return Refusal(status, error, 1.0 if status == 503 else None)
    return Refusal(500, error)


_STATUS: Final[tuple[tuple[tuple[type[WhenbuyError], ...], int], ...]] = (
    ((AccessError, BusyError, DependencyError), 503),
    ((NotFoundError,), 404),
    ((InputError, UsageError, NotEnoughDataError), 422),
)

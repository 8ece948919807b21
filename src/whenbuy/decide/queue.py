"""The service queue: whose enquiry to answer first, by the value that waiting costs."""

from __future__ import annotations

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import UsageError


def queue(
    enquiry: pl.Series, value: Floats, leaves: Floats, waited_hours: Floats, minutes: Floats, *, capacity_minutes: float = float("inf")
) -> pl.DataFrame:
    """Return the enquiries in the order in which to answer them.

    Waiting an hour costs the value times the chance to leave within it, of those still there; what saves most per minute of work comes
    first (the c-mu rule; Cox and Smith 1961, s. 3.2).

    Parameters
    ----------
    enquiry
        Their ids (n).
    value
        What each customer is expected to bring (n), in money.
    leaves
        P(she leaves within an hour of waiting, if she has not yet) (n), in [0, 1).
    waited_hours
        How long each has waited (n).
    minutes
        How long an answer takes (n), above 0.
    capacity_minutes
        How much work can be done.

    Returns
    -------
    DataFrame
        enquiry; saved_per_hour (money that an answer now saves against one an hour later); saved_per_minute (the order); minutes;
        start_minutes (after how much work its turn comes); answered: whether it fits into the capacity.

    Raises
    ------
    UsageError
        When a chance or a length is impossible.
    """
    if len(enquiry) and (leaves.min() < 0 or leaves.max() >= 1 or minutes.min() <= 0 or waited_hours.min() < 0):
        raise UsageError(
            "A chance to leave outside of [0, 1), a wait below 0 or an answer that takes no time was given.",
            "Chances lie in [0, 1), waits are at least 0, answers take minutes.", "Correct them.",
        )  # fmt: skip
    still_there = (1 - leaves) ** waited_hours
    saved = value * still_there * leaves
    order = np.argsort(-saved / minutes, kind="stable") if len(enquiry) else np.empty(0, np.int64)
    work = np.cumsum(minutes[order])
    return pl.DataFrame(
        {
            "enquiry": enquiry.gather(order), "saved_per_hour": saved[order], "saved_per_minute": (saved / minutes)[order],
            "minutes": minutes[order], "start_minutes": work - minutes[order], "answered": work <= capacity_minutes,
        }
    )  # fmt: skip

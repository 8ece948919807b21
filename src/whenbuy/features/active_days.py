"""Active days: what each key did, order by order, with the local day on which it became known, for learners that go from day to day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import SettingsError
from whenbuy.core.history import Past
from whenbuy.core.log import Dictionary
from whenbuy.features.sequences import LatestEvents, number_of, tokens_of


@dataclass(frozen=True, slots=True)
class ActiveDays:
    """The latest events of each key as tokens that know their local day: whole orders, and single events of other kinds.

    Unlike those of `LatestEvents`, the ``time`` of a token is the local day on which it became known (days since 1970-01-01, in the unit of
    instants), so it never falls; ``since_days`` are whole local days from the latest token to the day on which a past is read.

    Parameters
    ----------
    length
        So many tokens at most, the latest ones.
    """

    length: int = 4096

    def __post_init__(self) -> None:
        if self.length < 1:
            raise SettingsError(f"The latest {self.length} events were asked for.", "There is one at least.", "Ask for more.")

    def block(self, past: Past) -> Sequences:
        """Return the tokens of each key (n): ``kind``, and ``amount``, from what was known before its cutoff."""
        log, clock = past._history.log, past._history.clock
        held = tokens_of(past, self.length, LatestEvents(whole_orders=True).begins)
        day = clock.days(log.known_at[held.row])
        told = held.stop > held.start
        since = np.full(len(past), np.nan)
        since[told] = clock.days(past.at[told]) - day[held.stop[told] - 1]
        codes = {"kind": log.kind[held.row].astype(np.int32)}
        numbers = {"amount": number_of(log, "amount", held.row, held.end)}
        return Sequences(held.start, held.stop, since, day * DAY, codes, numbers, {"kind": Dictionary.of(log.kinds)})

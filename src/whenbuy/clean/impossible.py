"""The rule against values that cannot be, and for purchases that are refunds in disguise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.clean.draft import MONEY, Draft, Finding, Touch, require_positive
from whenbuy.core.arrays import DAY, MISSING, Bools, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.log import Column


@dataclass(frozen=True, slots=True)
class Impossible:
    """Takes out events at absurd instants and purchases without quantity or price; a purchase with a negative amount becomes a refund.

    Absurd is what happened before ``earliest``, more than ``ahead_days`` after it was known, or after the instant of cleaning. The
    amounts of refunds are kept positive.

    Parameters
    ----------
    earliest
        The first day on which an event can have happened.
    ahead_days
        By how many days a clock may run ahead.
    free
        Whether things can be had for nothing (samples, vouchers); otherwise a purchase at price zero is impossible.
    """

    earliest: str = "1990-01-01"
    ahead_days: float = 1.0
    free: bool = False

    def __post_init__(self) -> None:
        require_positive("ahead_days of impossible", self.ahead_days)
        Clock().instant(self.earliest)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "impossible"

    def find(self, draft: Draft) -> Finding:
        """Return the events that cannot be, and the refunds in disguise."""
        absurd = self._absurd(draft)
        gone = np.zeros(len(draft.log), bool)
        for touch in absurd:
            gone[touch.rows] = True
        bought, returned = draft.rows(("purchase",)), draft.rows(("refund",))
        found = absurd + self._purchases(draft, bought[~gone[bought]]) + _refund_signs(draft, returned[~gone[returned]])
        return Finding(tuple(touch for touch in found if len(touch.rows)))

    def _absurd(self, draft: Draft) -> list[Touch]:
        log, alive = draft.log, draft.alive
        early = alive & (log.time < draft.clock.instant(self.earliest))
        found = [Touch(np.flatnonzero(early), f"it happened before {self.earliest}")]
        if log.late:
            ahead = alive & ~early & (log.time > log.known_at + round(self.ahead_days * DAY))
            found.append(Touch(np.flatnonzero(ahead), "it was known before it happened"))
            alive = alive & ~ahead
        if draft.now is not None:
            after = alive & ~early & (np.maximum(log.time, log.known_at) > draft.now)
            found.append(Touch(np.flatnonzero(after), f"it lies after {draft.clock.show(draft.now)}, the moment of cleaning"))
        return found

    def _purchases(self, draft: Draft, rows: Ints) -> list[Touch]:
        amount, quantity, price = (draft.numbers(name, rows) for name in MONEY)
        back = _negative(amount) | _negative(quantity)
        below = ~back & _negative(price)
        nothing = ~back & ~below & (quantity == 0)
        found = [
            Touch(rows[below], "the price is negative"),
            Touch(rows[nothing], "the quantity is zero"),
        ]
        if not self.free:
            zero = ~back & ~below & ~nothing & ((price == 0) | ((price == MISSING) & (amount == 0)))
            found.append(Touch(rows[zero], "the price is zero"))
        refunds = rows[back]
        values = {"kind": draft.kinds("refund", len(refunds))} | _positive(draft, refunds)
        return [*found, Touch(refunds, "a purchase with a negative amount is a refund", values)]


def _refund_signs(draft: Draft, rows: Ints) -> list[Touch]:
    wrong = np.zeros(len(rows), bool)
    for name in MONEY:
        wrong |= _negative(draft.numbers(name, rows))
    values = _positive(draft, rows[wrong])
    return [Touch(rows[wrong], "the amount of a refund is kept positive", values)] if values else []


def _positive(draft: Draft, rows: Ints) -> dict[str, Column]:
    """Return the money columns of these rows without their signs."""
    found = {}
    for name in MONEY:
        if name in draft.log.columns:
            old = draft.numbers(name, rows)
            found[name] = Column(np.where(old == MISSING, MISSING, np.abs(old)))
    return found


def _negative(values: Ints) -> Bools:
    return np.asarray((values < 0) & (values != MISSING))

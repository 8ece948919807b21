"""A question: who is asked, and what came true."""

from __future__ import annotations

from typing import Protocol

from whenbuy.core.arrays import Bools
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity


class Question(Protocol):
    """One question that the shop can be asked.

    ``population`` takes only a Past, so who is asked cannot depend on what came true.
    """

    @property
    def name(self) -> str:
        """The short name, as typed."""

    @property
    def entity(self) -> Entity:
        """What is asked about."""

    @property
    def horizon_days(self) -> float:
        """How far the label's window reaches."""

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""

    def label(self, past: Past, future: Future) -> Labels:
        """Return what came true (n)."""

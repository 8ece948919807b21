"""What the engine asks of a live state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from whenbuy.core.history import History
from whenbuy.ingest.reception import Event


class Live(Protocol):
    """The live state, as the engine uses it; `LiveState` is one."""

    @property
    def seq(self) -> int:
        """The place in the journal up to which it knows everything."""

    @property
    def base(self) -> int:
        """The place up to which the log holds everything on which it stands."""

    @property
    def answer(self) -> type:
        """The structure of one forecast."""

    @property
    def when(self) -> type:
        """The structure of one forecast that says only when they buy."""

    @property
    def whole(self) -> type:
        """The structure of one forecast with what else the model answers in batches."""

    @property
    def reach_days(self) -> float:
        """Over how many days its forecasts look: the longest horizon."""

    def apply(self, seq: int, event: Event) -> None:
        """Learn of one event."""

    def forecasts(self, users: Sequence[str], at: int, *, everything: bool = True) -> Sequence[Any]:
        """Return the forecasts of these users as of an instant."""

    def further(self, said: Sequence[Any]) -> Sequence[Any]:
        """Return these forecasts with what else the model answers in batches."""

    def rebase(self, history: History, seq: int, codes: Mapping[str, int] | None = None, *, anew: bool = False) -> None:
        """Stand on a log that holds more of the journal."""

    def snapshot(self, folder: Path) -> None:
        """Write what the log does not hold."""


@runtime_checkable
class Shared(Protocol):
    """A live state that tells other workers what it learned; `SharedState` is one."""

    def publish(self) -> None:
        """Tell the others what was learned since the last time."""

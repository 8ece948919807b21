"""The bar that a terminal shows during a long work: what is being done, how much of it is done, and about how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from whenbuy.core.progress import Step

if TYPE_CHECKING:
    from whenbuy.core.progress import Say

_SURE: Final = 0.02
"""The share that must be done before the time left is guessed."""
_PATIENT_S: Final = 2.0
"""Seconds that must have passed before it."""


@contextmanager
def bar(stream: TextIO, harmless: Callable[[str], str]) -> Iterator[Say]:
    """Yield where words about the progress go; the bar stands below them from the first one on, and is gone when the work is done.

    Parameters
    ----------
    stream
        A terminal.
    harmless
        Takes out of a line what would steer the terminal.
    """
    console = Console(file=stream, highlight=False, emoji=False, markup=False)
    wide = console.width >= 60
    columns = [SpinnerColumn(), *([BarColumn(bar_width=20)] if wide else []), _TimeLeft(), _text()]
    shown = Progress(*columns, console=console, transient=True, refresh_per_second=4)
    task = shown.add_task("", total=None, since=time.monotonic(), at=time.monotonic())

    def told(text: str) -> None:
        shown.start()
        lines = [harmless(line) for line in text.split("\n")]
        if isinstance(text, Step):
            shown.update(task, total=1.0, completed=text.share, at=time.monotonic())
        shown.update(task, description=lines[-1])
        for line in lines:
            console.print(line, soft_wrap=True)

    try:
        yield told
    finally:
        shown.stop()


def _text() -> TextColumn:
    return TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))


class _TimeLeft(ProgressColumn):
    """How long it has taken; once enough is done, about how long it still takes."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Return the words for now."""
        gone, share, at = time.monotonic() - task.fields["since"], task.completed, task.fields["at"]
        if not task.total or share < _SURE or gone < _PATIENT_S:
            return Text(clock(gone))
        left = (at - task.fields["since"]) * (1 - share) / share - (time.monotonic() - at)
        return Text(f"{clock(gone)}, about {clock(max(left, 1.0))} left")


def clock(seconds: float) -> str:
    """Return a length of time as minutes and seconds, with hours where there are any."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"

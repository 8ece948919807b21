"""What a server does beside answering: it takes up the champion that the shop names, and brings the journal into the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from whenbuy.core.errors import WhenbuyError
from whenbuy.pipeline.keeping.registry import POINTER, Registry
from whenbuy.serve.engine import Engine
from whenbuy.serve.knowing import Live
from whenbuy.serve.logs import Log

WATCH_S: Final = 1.0
"""How often it is asked which model is the champion, in seconds."""
_AGAIN_S: Final = 60.0
"""After how long a model that was refused is tried again, in seconds."""
_LOOK_S: Final = 1.0
Tell = Callable[[str, Mapping[str, Any]], Awaitable[None]]


async def nobody(event: str, facts: Mapping[str, Any]) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A model with its live state, ready to answer.

    Parameters
    ----------
    model
        Its id.
    live
        What it knows.
    known_at
        Instant of the last event that it knows; None where it knows none.
    """

    model: str
    live: Live
    known_at: int | None


@dataclass(frozen=True, slots=True)
class ModelWatch:
    """Takes up the champion whenever the shop names another one, also by a step back; the one before answers until then.

    A model that cannot be taken up is refused: the one before answers on, and every answer says so.

    Parameters
    ----------
    engine
        What answers.
    registry
        What names the champion.
    ready
        Makes a model ready; it is called in another thread.
    log
        Where it is said what happened.
    tell
        Who else is told.
    every_s
        How often it is asked, in seconds.
    """

    engine: Engine
    registry: Registry
    ready: Callable[[str], Ready]
    log: Log
    tell: Tell = nobody
    every_s: float = WATCH_S

    async def run(self) -> None:
        """Watch; never ends by itself."""
        seen, tried_s, clock = self._stamp(), 0.0, asyncio.get_running_loop().time
        failed = False
        while True:
            stamp = self._stamp()
            if stamp != seen or (failed and clock() - tried_s > _AGAIN_S):
                seen, tried_s = stamp, clock()
                failed = not await self.look()
            await asyncio.sleep(self.every_s)

    async def look(self) -> bool:
        """Take up the champion where it is another than the one that answers; return whether all is well."""
        wanted = "the champion"
        try:
            wanted = await asyncio.to_thread(self._champion)
            if wanted != self.engine.model:
                fresh = await asyncio.to_thread(self.ready, wanted)
                before = self.engine.model
                await self.engine.take_up(fresh.model, fresh.live, fresh.known_at)
                self.log.write("model", model=wanted, before=before)
                await self.tell("model.changed", {"model": wanted, "before": before})
        except Exception as error:
            why = error.got if isinstance(error, WhenbuyError) else type(error).__name__
            self.engine.note("model", f"{wanted} was refused: {why} {self.engine.model} answers on.")
            self.log.write("model refused", model=wanted, answers=self.engine.model, error=type(error).__name__)
            await self.tell("model.refused", {"model": wanted, "answers": self.engine.model, "why": why})
            return False
        self.engine.note("model", None)
        return True

    def _champion(self) -> str:
        return self.registry.champion() or self.engine.model

    def _stamp(self) -> object:
        try:
            found = (self.registry.folder / POINTER).stat()
        except OSError as error:
            return error.errno
        return found.st_ino, found.st_mtime_ns, found.st_size


@dataclass(frozen=True, slots=True)
class Keeping:
    """Does something that a server does now and then; a failure is said, and it is tried again.

    Parameters
    ----------
    name
        What it is called in the log.
    work
        What is done.
    every_s
        How often, in seconds.
    log
        Where it is said what happened.
    due
        Returns whether it is due before its time.
    """

    name: str
    work: Callable[[], Awaitable[Mapping[str, Any]]]
    every_s: float
    log: Log
    due: Callable[[], bool] = lambda: False

    async def run(self) -> None:
        """Do it again and again; never ends by itself."""
        clock, step_s = asyncio.get_running_loop().time, min(self.every_s, _LOOK_S)
        last_s = clock()
        while True:
            await asyncio.sleep(step_s)
            if clock() - last_s >= self.every_s or self.due():
                if not await self.once():
                    await asyncio.sleep(step_s)
                last_s = clock()

    async def once(self) -> bool:
        """Do it once; return whether it could be done."""
        try:
            self.log.write(self.name, **await self.work())
        except WhenbuyError as error:
            self.log.write(f"{self.name} failed", error=type(error).__name__)
            return False
        return True

"""Compaction in a process of its own, so that neither its work nor its memory is felt by who waits for an answer.

A process that is killed on the way leaves what it found: see ``compaction``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Final

import msgspec

from whenbuy.core import errors
from whenbuy.core.errors import WhenbuyError
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.serve.bringing import bring
from whenbuy.serve.compaction import Compacted
from whenbuy.serve.entrance import rules_of
from whenbuy.serve.store import journal_of

_MODEST: Final = 5
"""By how much its claim on the processor is smaller than the server's."""


class _Failed(msgspec.Struct, frozen=True):
    kind: str
    got: str
    need: str
    do: str


async def compact_apart(folder: Path, environ: Mapping[str, str]) -> Compacted:
    """Return what a compaction did with the journal and the log of a shop; another process does it.

    Parameters
    ----------
    folder
        The shop.
    environ
        Its environment, which may name the journal; see ``store``.

    Raises
    ------
    NotFoundError, DamagedError, BusyError, AccessError, DependencyError
        As from `bring`.
    WhenbuyError
        When the process was killed.
    """
    command = (sys.executable, "-m", __name__, str(folder))
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=dict(environ), start_new_session=True
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:  # the server ends: the next one goes on from there
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _outcome(said, process.returncode)


def _outcome(said: bytes, code: int | None) -> Compacted:
    try:
        if code == 0:
            return msgspec.json.decode(said, type=Compacted)
        failed = msgspec.json.decode(said, type=_Failed)
    except msgspec.DecodeError:
        raise WhenbuyError(
            f"The process that brings the journal into the log ended with {code}.", "It says what it did.", "It is tried again."
        ) from None
    kind = getattr(errors, failed.kind, WhenbuyError)
    raise kind(failed.got, failed.need, failed.do)


def main(folder: str, environ: Mapping[str, str]) -> int:
    """Bring the journal of a shop into its log; say on the output what was done or why it could not be, as JSON; return the exit code."""
    with suppress(AttributeError, OSError):
        os.nice(_MODEST)
    shop = Path(folder)
    said: Compacted | _Failed
    try:
        journal = journal_of(shop, 0.0, environ)  # it takes nothing: how long events may be on their way is not asked
        try:
            said = bring(journal, Shop(shop), rules_of(Shop(shop)))
        finally:
            journal.close()
    except WhenbuyError as error:
        said = _Failed(type(error).__name__, error.got, error.need, error.do)
    sys.stdout.buffer.write(msgspec.json.encode(said))
    return 0 if isinstance(said, Compacted) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], os.environ))

"""Where a verb stands: its shop, the moment it speaks of, and what other verbs left there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polars.exceptions import PolarsError

from whenbuy.core.errors import DamagedError, NotFoundError, UsageError
from whenbuy.core.history import History
from whenbuy.ingest.times import EARLIEST, LATEST
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.verbs.intake import Say


def find_shop(folder: Path | None) -> Shop:
    """Return the shop at a folder or above it; where one was named that does not exist, nothing above it is taken instead."""
    if folder is not None and not folder.is_dir():
        raise NotFoundError(f"There is no folder {folder}.", "A shop is a folder with a whenbuy.toml.", "Make one with `whenbuy init`.")
    return Shop.find(folder or Path.cwd())


def at(folder: Path | None) -> str:
    """Return how a command names this shop: not at all from inside."""
    if folder is None or folder.resolve() == Path.cwd():
        return ""
    return f" --shop {shlex.quote(str(folder))}" if os.name == "posix" else f' --shop "{folder}"'


def moment(history: History, as_of: str | None, say: Say) -> int | None:
    """Return the instant that was asked for; the log's end where none was."""
    if as_of is None:
        return None
    try:
        instant = history.clock.instant(as_of)
    except OverflowError:
        instant = EARLIEST - 1
    if not EARLIEST <= instant < LATEST:
        raise UsageError(f"{as_of} is not between 1970 and 2200.", "A forecast stands on a log that reaches there.", "Name another date.")
    if instant > history.end:
        say(f"The log ends on {history.clock.show(history.end)}: what came between then and {as_of} is not known, and counts as silence.")
    return instant


def stored(path: Path, parse: Callable[[Path], Any], verb: str) -> Any:
    """Return what a verb left in a file; None where it has not run."""
    try:
        return parse(path) if path.exists() else None
    except (PolarsError, ValueError) as error:
        raise DamagedError(
            f"{path} cannot be read ({next(iter(str(error).splitlines()), '')}).", "It must be as it was written.",
            f"Run `whenbuy {verb}` again, or delete that file.",
        ) from error  # fmt: skip

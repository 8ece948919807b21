"""Running one command line: exit codes, interruptions, and any error as one in three parts."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final

import click

from whenbuy.cli.printing import complain, say
from whenbuy.cli.verbs import whenbuy
from whenbuy.core.errors import AccessError, DependencyError, UsageError, WhenbuyError

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C."""
TERMINATED: Final = 143
"""The exit code after SIGTERM, by which a system asks a process to end."""
_DEBUG: Final = "WHENBUY_DEBUG"
_BUG: Final = ("This is a bug, not your doing.", f"Run it again with {_DEBUG}=1 and report what it prints.")


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the work ends as after Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # pipes are UTF-8 everywhere; a terminal that cannot show a letter shows its number
            stream.reconfigure(errors="backslashreplace", encoding=None if stream.isatty() else "utf-8")
    if not os.environ.get(_DEBUG):
        warnings.simplefilter("ignore")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: a second thread would only spin while it waits
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(arguments))


def _terminate(*_: object) -> None:
    raise Terminated


def run(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of one command line."""
    typed = sys.argv[1:] if arguments is None else list(arguments)
    try:
        _require_text(typed)
        code = whenbuy.main(args=typed, prog_name="whenbuy", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return UsageError.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        say("Interrupted. What was finished is saved; nothing is half-written.")
        return TERMINATED if isinstance(error, Terminated) or isinstance(error.__cause__, Terminated) else INTERRUPTED
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # the last stop before a user: a panic inside polars is no Exception
        told = _told(error)
        if told.exit_code == WhenbuyError.exit_code and os.environ.get(_DEBUG):
            raise
        complain(told)
        return told.exit_code


def _require_text(typed: Sequence[str]) -> None:
    for word in typed:
        if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in word):
            raise UsageError(f"{word!r} was typed.", "Arguments are UTF-8 text without NUL.", "Type it again, or rename the file.")


def _told(error: BaseException) -> WhenbuyError:
    """Return any error as one of whenbuy's: what was got, what is needed, what to do next."""
    if isinstance(error, WhenbuyError):
        return error if error.need or error.exit_code != WhenbuyError.exit_code else WhenbuyError(error.got, *_BUG)
    if isinstance(error, click.ClickException):
        ctx = getattr(error, "ctx", None) or click.Context(whenbuy, info_name="whenbuy")
        usage = " ".join(ctx.get_usage().split()).removeprefix("Usage: ")
        return UsageError(" ".join(error.format_message().split()), f"It is typed as: {usage}", f"See `{ctx.command_path} --help`.")
    if isinstance(error, ImportError) and not (error.name or "whenbuy").startswith("whenbuy"):
        return DependencyError(
            f"{error}.", "Everything that whenbuy needs must be installed as it was published.",
            "Run `whenbuy doctor`, which says what is missing.",
        )  # fmt: skip
    if isinstance(error, OSError):
        return AccessError(
            f"{error.filename or 'A file cannot be read or written'}: {error.strerror or error}.",
            "whenbuy must be able to read and write there.", "Look at its permissions and at the space left, or name another place.",
        )  # fmt: skip
    if isinstance(error, MemoryError):
        return WhenbuyError("The memory did not suffice.", "The log and its features must fit into it.", "Close other programs.")
    first = next(iter(str(error).strip().splitlines()), "")
    return WhenbuyError(f"Inside whenbuy: {type(error).__name__}: {first}", *_BUG)

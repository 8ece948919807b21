"""What is printed: data on stdout, words on stderr; a table on a terminal, CSV in a pipe, one JSON object where asked."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

if TYPE_CHECKING:
    from whenbuy.core.errors import WhenbuyError
    from whenbuy.core.progress import Say
    from whenbuy.pipeline.telling.result import Result, Screen

_LONGEST_LINE: Final = 600
_GAP: Final = "  "
_NARROWEST: Final = 16
"""Columns of words are wrapped, but not below this width."""


def say(text: str) -> None:
    """Print words for people. A reader who has gone away does not stop the work."""
    with suppress(BrokenPipeError):
        click.echo("\n".join(map(harmless, text.split("\n"))), err=True)


@contextmanager
def progress() -> Iterator[Say]:
    """Yield where words about the progress go: with a bar and the time left on a terminal, line by line elsewhere."""
    if not terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        yield say
        return
    from whenbuy.cli.bar import bar

    with bar(sys.stderr, harmless) as told:
        yield told


def complain(error: WhenbuyError) -> None:
    """Print an error: what was got, what is needed, what to do next."""
    parts = (harmless(part) for part in (error.got, error.need, error.do) if part)
    with suppress(BrokenPipeError):
        click.echo(_styled("Error:", sys.stderr, fg="red", bold=True) + " " + "\n  ".join(parts), err=True, color=True)


def answer(result: Result, as_json: bool) -> int:
    """Print what a verb found and return its exit code.

    One JSON object where asked, short tables on a terminal, CSV with everything elsewhere.
    """
    try:
        if as_json:
            click.echo(json.dumps(result.plain(), default=_iso, ensure_ascii=False, allow_nan=False), color=True)
        elif terminal(sys.stdout):
            for screen in result.screens:
                click.echo(drawn(screen, shutil.get_terminal_size().columns), color=True)
        else:
            click.echo(result.csv(), nl=False, color=True)  # color: click would take escape sequences out of the data
        if result.line and not as_json:
            click.echo(result.line)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for line in result.after:
        say(line)
    return result.code


def drawn(screen: Screen, width: int) -> str:
    """Return a table as aligned text; where it is wider than the terminal, as a list of its rows.

    Wide letters count twice, as terminals draw them.
    """
    from rich.cells import cell_len

    heads = tuple(head.removesuffix(">") for head in screen.columns)
    right = [head.endswith(">") for head in screen.columns]
    rows = [tuple(map(harmless, row)) for row in screen.rows]
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    narrowed = _narrowed(widths, right, width)
    body = _listed(heads, rows, width) if narrowed is None else _aligned(heads, rows, narrowed, right)
    title = [_styled(line, sys.stdout, bold=True) for line in _wrapped(screen.title, width)]
    return "\n".join([*title, *body, *(_styled(line, sys.stdout, dim=True) for one in screen.below for line in _wrapped(one, width))])


def _narrowed(widths: Sequence[int], right: Sequence[bool], width: int) -> list[int] | None:
    """Return the widths of the columns so that they fit, the widest of words wrapped; none where they would be too narrow to read."""
    found, words = list(widths), [place for place, numbers in enumerate(right) if not numbers]
    while sum(found) + len(_GAP) * (len(found) - 1) > width:
        widest = max(words, key=lambda place: found[place], default=None)
        if widest is None or found[widest] <= _NARROWEST:
            return None
        found[widest] -= 1
    return found


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    def lines(cells: Sequence[str]) -> list[str]:
        wrapped = [
            textwrap.wrap(cell, width) or [""] if cell_len(cell) > width else [cell] for cell, width in zip(cells, widths, strict=True)
        ]
        return [line(part) for part in zip_longest(*wrapped, fillvalue="")]

    def line(cells: Sequence[str]) -> str:
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
        return _GAP.join(gap + cell if end else cell + gap for cell, gap, end in zip(cells, gaps, right, strict=True)).rstrip()

    from rich.cells import cell_len

    above = [_styled(line(heads), sys.stdout, dim=True)] if any(heads) else []
    return [*above, *(each for row in rows for each in lines(row))]


def _listed(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return each row as lines, one per cell that says something, the first of them as its heading."""
    found: list[str] = []
    for row in rows:
        found += [""] if found else []
        cells = [(head, cell) for head, cell in zip(heads, row, strict=True) if cell]
        for place, (head, cell) in enumerate(cells):
            text = f"{head}: {cell}" if head else cell
            found += _wrapped(text, width, "" if place == 0 else _GAP)
    return found


def _wrapped(text: str, width: int, before: str = "") -> list[str]:
    shown = harmless(text)
    return (
        textwrap.wrap(shown, max(width, _NARROWEST), initial_indent=before, subsequent_indent=before + _GAP * bool(before)) if shown else []
    )


def _styled(text: str, stream: TextIO | None, **style: Any) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not terminal(stream)
    return text if plain else click.style(text, **style)


def terminal(stream: TextIO | None) -> bool:
    """Return whether somebody looks at a stream."""
    return stream is not None and stream.isatty()


def harmless(text: str) -> str:
    """Return a line that cannot steer the terminal: control characters and overrides of the writing direction are replaced."""
    short = text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}… ({len(text):,} characters)"
    return "".join("\ufffd" if unicodedata.category(letter)[0] == "C" else letter for letter in short)


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)

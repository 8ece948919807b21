"""Which store holds the journal of a shop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from whenbuy.ingest.reception import LEAST_LATENESS_DAYS
from whenbuy.serve.journal import Entrance, Journal
from whenbuy.serve.postgres_journal import PostgresJournal
from whenbuy.serve.sqlite_journal import SqliteJournal

ADDRESS: Final = "WHENBUY_JOURNAL"
"""The variable that may name a journal in PostgreSQL, which several machines can share; a password has no place in whenbuy.toml."""


def where_of(folder: Path, environ: Mapping[str, str]) -> Path | str:
    """Return where the journal of a shop is: the address in ``WHENBUY_JOURNAL`` (PostgreSQL), else a file in the shop's own folder."""
    return environ.get(ADDRESS) or folder / "live" / "journal.sqlite"


def journal_of(folder: Path, lateness_days: float, environ: Mapping[str, str], entrance: Entrance | None = None) -> Journal:
    """Return the journal of a shop; see `where_of`."""
    return open_journal(where_of(folder, environ), lateness_days, entrance)


def open_journal(where: Path | str, lateness_days: float = LEAST_LATENESS_DAYS, entrance: Entrance | None = None) -> Journal:
    """Return the journal at a path (SQLite) or at a ``postgresql://`` address, which is made if it does not exist.

    Raises
    ------
    AccessError, DependencyError, DamagedError
        When it cannot be opened.
    """
    if isinstance(where, str) and where.startswith(("postgresql://", "postgres://")):
        return PostgresJournal(where, lateness_days, entrance=entrance)
    return SqliteJournal(where, lateness_days, entrance)

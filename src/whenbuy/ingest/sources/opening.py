"""Which source a word on the command line means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whenbuy.core.errors import UsageError
from whenbuy.ingest.reception import Reception
from whenbuy.ingest.sources import kafka, redis_stream
from whenbuy.ingest.sources.database import SCHEMES, is_database
from whenbuy.ingest.sources.files import Files
from whenbuy.ingest.sources.sql import SqlRows
from whenbuy.ingest.sources.stream import Stream
from whenbuy.ingest.text import Dialect


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of databases.

    Parameters
    ----------
    query
        A SELECT statement, or the name of a table.
    mark
        The column that rises.
    overlap
        How far below the mark rows may still appear.
    """

    query: str | None = None
    mark: str | None = None
    overlap: float = 0.0


def open_stream(source: str, reception: Reception, dialect: Dialect, *, follow: bool, asked: Asked | None = None) -> Stream:
    """Return the source that a word means: a path, a pattern, or the address of a database, a Redis stream or a Kafka topic.

    Raises
    ------
    UsageError
        When it is the address of something else, or a database is to be followed without a mark.
    """
    asked = asked or Asked()
    scheme = source.partition("://")[0] if "://" in source else ""
    if is_database(source):
        if follow and asked.mark is None:
            raise UsageError(
                "A database is to be followed, and no mark is named.",
                "What is new is told by a column that rises.",
                "Name it: --mark COLUMN",
            )
        return SqlRows(source, asked.query, asked.mark, reception, asked.overlap)
    if scheme in redis_stream.SCHEMES:
        return redis_stream.RedisStream(source, reception)
    if scheme in kafka.SCHEMES:
        return kafka.KafkaTopic(source, reception)
    if scheme:
        known = ", ".join((*SCHEMES, *redis_stream.SCHEMES, *kafka.SCHEMES))
        raise UsageError(f"{scheme}:// is no source that whenbuy knows.", f"Known are paths and {known}.", "Correct the address.")
    return Files(Path(source), reception, dialect, follow=follow)

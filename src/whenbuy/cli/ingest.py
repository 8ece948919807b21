"""The verb `ingest`: new events from files, folders, databases and streams."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.options import JSON, SHOP
from whenbuy.cli.printing import answer, progress
from whenbuy.core.errors import UsageError


@click.command(short_help="Bring new events into the shop from files, databases and streams.")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@SHOP
@click.option("--follow", is_flag=True, help="Wait for more until Ctrl-C.")
@click.option("--query", default=None, metavar="SQL", help="What to read from a database: a SELECT statement, or a table's name.")
@click.option("--mark", default=None, metavar="COLUMN", help="The column of the query that rises: only what is above it is read again.")
@click.option(
    "--overlap", type=float, default=0.0, metavar="NUMBER", help="How far below the mark rows may still appear (seconds, or its own unit)."
)
@click.option("--dead", is_flag=True, help="List what was refused or came too late, with the reasons.")
@click.option("--replay", is_flag=True, help="Receive that again, by the whenbuy.toml of now.")
@JSON
def ingest(
    sources: tuple[str, ...], shop: Path | None, follow: bool, query: str | None, mark: str | None, overlap: float, dead: bool,
    replay: bool, as_json: bool,
) -> int:  # fmt: skip
    """Bring what is new in SOURCE into the shop's log. The next call goes on where this one ended; nothing is counted twice.

    \b
    SOURCE is a file, a folder or a pattern (CSV, JSON lines, Parquet), or an address:
      sqlite:///shop.db   duckdb:///shop.duckdb   postgresql://user@host/name   mysql://user@host/name
      redis://host:6379/0?stream=events&group=whenbuy
      kafka://host:9092/topic?group=whenbuy

    Rows that cannot be understood, and events that come later than the shop waits, are kept aside with the reason.
    """  # noqa: D301 - click reads the \\b
    from whenbuy.serve import verbs_ingest as verbs

    if sum((bool(sources), dead, replay)) != 1:
        raise UsageError("What is to be done is not clear.", "Name sources, or --dead, or --replay.", "See `whenbuy ingest --help`.")
    if dead:
        return answer(verbs.dead_letters(shop), as_json)
    with progress() as say:
        if replay:
            result = verbs.replay(shop, say=say)
        else:
            result = verbs.ingest(shop, sources, follow=follow, asked=verbs.Asked(query, mark, overlap), say=say)
    return answer(result, as_json)

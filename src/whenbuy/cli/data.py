"""Verbs that bring data in: demo, init, check."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.options import JSON, SHOP, Place, pairs
from whenbuy.cli.printing import answer, progress


@click.command(short_help="Make a shop of real grocery data, from import to report.")
@click.option("--shop", type=Place("dir"), metavar="DIR", default="demo-shop", show_default=True, help="Where the demo shop is made.")
@JSON
def demo(shop: Path, as_json: bool) -> int:
    """Make a shop of real grocery data, learn, score, forecast and write its report. It takes some minutes."""
    from whenbuy.pipeline.verbs import demo as verb

    with progress() as say:
        result = verb.demo(shop, say=say)
    return answer(result, as_json)


@click.command(short_help="Make a shop of a file or folder with events.")
@click.argument("sources", nargs=-1, type=Place(), metavar="[SOURCE]...")
@click.option("--shop", type=Place("dir"), metavar="DIR", default="shop", show_default=True, help="The folder that becomes the shop.")
@click.option("--layout", default=None, help="A known public layout: complete_journey, cdnow, online_retail.")
@click.option("--column", "columns", multiple=True, metavar="NAME=SOURCE", help="A column by its name here and in the file; repeatable.")
@click.option("--kind", "kinds", multiple=True, metavar="SOURCE=KIND", help="An event name of the file and its kind here; repeatable.")
@click.option("--timezone", default=None, help="The zone in which the shop counts its days, e.g. Europe/Berlin (default: UTC).")
@click.option("--currency", default=None, help="The currency of the amounts, e.g. EUR.")
@JSON
def init(
    sources: tuple[Path, ...], shop: Path, layout: str | None, columns: tuple[str, ...], kinds: tuple[str, ...],
    timezone: str | None, currency: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Make a shop of SOURCE: files, folders of files or patterns (CSV, JSONL, Parquet; plain or compressed).

    What the columns and events mean is guessed, and the guesses are written into whenbuy.toml. To mend one, edit that file and run
    `whenbuy init --shop DIR` without a source: the shop's own sources are read again.
    """
    named, renamed = pairs(columns), pairs(kinds)
    from whenbuy.pipeline.verbs import init as verb

    with progress() as say:
        result = verb.init(shop, sources, columns=named, kinds=renamed, timezone=timezone, currency=currency, layout=layout, say=say)
    return answer(result, as_json)


@click.command(short_help="Say what the data are, what they can answer, and what is wrong with them.")
@click.argument("sources", nargs=-1, type=Place(), metavar="[SOURCE]...")
@SHOP
@click.option("--fix", is_flag=True, help="Write the whenbuy.toml that is proposed.")
@JSON
def check(sources: tuple[Path, ...], shop: Path | None, fix: bool, as_json: bool) -> int:
    """Look at SOURCE, or at the shop's own data, and say what each column is, which questions it can answer, and what is wrong.

    Nothing is changed, unless --fix is said.
    """
    from whenbuy.pipeline.verbs import check as verb

    with progress() as say:
        result = verb.check(shop, sources, fix=fix, say=say)
    return answer(result, as_json)

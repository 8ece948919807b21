"""The verb `runs`: what was learned and scored in this shop, and how two runs differ."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.options import JSON, SHOP, Kept, Verbs
from whenbuy.cli.printing import answer

_RUN = Kept("runs")


@click.group(cls=Verbs, invoke_without_command=True, short_help="What was learned and scored here, and how two runs differ.")
@SHOP
@JSON
@click.pass_context
def runs(ctx: click.Context, shop: Path | None, as_json: bool) -> int:
    """List the runs of this shop, or look at them.

    Every fit and every verb that judges records its settings, seed, data, code, scores and choices in the shop, and nowhere else.
    A run is named by its id or the beginning of it.
    """
    ctx.default_map = {name: {"shop": shop, "as_json": as_json} for name in runs.commands}  # --shop and --json may stand here as well
    return _list(shop, as_json) if ctx.invoked_subcommand is None else 0


def _list(shop: Path | None, as_json: bool) -> int:
    from whenbuy.pipeline.verbs import runs as verb

    return answer(verb.list_runs(shop), as_json)


@runs.command("list", short_help="List them, the latest first.")
@SHOP
@JSON
def list_(shop: Path | None, as_json: bool) -> int:
    """List the runs, the latest first."""
    return _list(shop, as_json)


@runs.command(short_help="Show all that is known of one.")
@click.argument("name", required=False, metavar="[ID]", type=_RUN)
@SHOP
@JSON
def show(name: str | None, shop: Path | None, as_json: bool) -> int:
    """Show run ID (the latest, where none is named): settings, seed, data, code, choices and every score."""
    from whenbuy.pipeline.verbs import runs as verb

    return answer(verb.show(shop, name), as_json)


@runs.command(short_help="Compare two, score by score.")
@click.argument("first", required=False, metavar="[ID]", type=_RUN)
@click.argument("second", required=False, metavar="[OTHER]", type=_RUN)
@SHOP
@JSON
def compare(first: str | None, second: str | None, shop: Path | None, as_json: bool) -> int:
    """Compare run ID (the latest, where none is named) with OTHER (the one of its kind before it): what differs, score by score."""
    from whenbuy.pipeline.verbs import runs as verb

    return answer(verb.compare(shop, first, second), as_json)

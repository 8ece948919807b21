"""The verb `quarantine`: which rows were set aside, and putting some back."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.options import JSON, SHOP, Verbs
from whenbuy.cli.printing import answer, progress


@click.group(cls=Verbs, invoke_without_command=True, short_help="Which rows were set aside, and why; put some back.")
@SHOP
@JSON
@click.pass_context
def quarantine(ctx: click.Context, shop: Path | None, as_json: bool) -> int:
    """List the rows that reading rejected and that cleaning took out or changed, by rule and reason; or put some back."""
    ctx.default_map = {name: {"shop": shop, "as_json": as_json} for name in quarantine.commands}  # both may stand here as well
    return _list(shop, as_json) if ctx.invoked_subcommand is None else 0


def _list(shop: Path | None, as_json: bool) -> int:
    from whenbuy.pipeline.verbs import held

    return answer(held.list_held(shop), as_json)


@quarantine.command("list", short_help="List them by rule and reason.")
@SHOP
@JSON
def list_(shop: Path | None, as_json: bool) -> int:
    """List the rows that were set aside or changed, by rule and reason."""
    return _list(shop, as_json)


@quarantine.command(short_help="Put the rows of a rule back.")
@click.argument("rule")
@click.option("--reason", metavar="TEXT", default=None, help="Only the rows whose reason has this text.")
@SHOP
@JSON
def replay(rule: str, reason: str | None, shop: Path | None, as_json: bool) -> int:
    """Put the rows of RULE back into the log as they came: a rule of the list, `reading` or `all`.

    `reading` reads rejected rows again, by the whenbuy.toml of now; `all` undoes all cleaning. The next `whenbuy init` cleans by the
    settings of then, so leave a rule out under [clean] for good.
    """
    from whenbuy.pipeline.verbs import held

    with progress() as say:
        result = held.replay(shop, rule, reason, say=say)
    return answer(result, as_json)

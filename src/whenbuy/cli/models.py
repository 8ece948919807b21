"""The verb `models`: which models are kept, and which one answers."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.options import JSON, SHOP, Kept, Verbs
from whenbuy.cli.printing import answer, progress

_MODEL = Kept("models")


@click.group(cls=Verbs, invoke_without_command=True, short_help="Which models are kept, and which one answers.")
@SHOP
@JSON
@click.pass_context
def models(ctx: click.Context, shop: Path | None, as_json: bool) -> int:
    """List the models that the shop keeps, or do something with them.

    Every fit keeps what it learned. The champion is the model that answers: a fit makes its model the champion where it passes the gate.
    A model is named by its id or the beginning of it.
    """
    ctx.default_map = {name: {"shop": shop, "as_json": as_json} for name in models.commands}  # --shop and --json may stand here as well
    return _list(shop, as_json) if ctx.invoked_subcommand is None else 0


def _list(shop: Path | None, as_json: bool) -> int:
    from whenbuy.pipeline.verbs import versions

    return answer(versions.list_models(shop), as_json)


@models.command("list", short_help="List them, the latest first.")
@SHOP
@JSON
def list_(shop: Path | None, as_json: bool) -> int:
    """List the models, the latest first, with how they fared; an arrow marks the champion."""
    return _list(shop, as_json)


@models.command(short_help="Show all that is known of one.")
@click.argument("name", required=False, metavar="[ID]", type=_MODEL)
@SHOP
@JSON
def show(name: str | None, shop: Path | None, as_json: bool) -> int:
    """Show all that is known of model ID (the champion, where none is named), and the candidates that it was chosen from."""
    from whenbuy.pipeline.verbs import versions

    return answer(versions.show(shop, name), as_json)


@models.command(short_help="Compare two on the same weeks.")
@click.argument("first", metavar="ID", type=_MODEL)
@click.argument("second", required=False, metavar="[OTHER]", type=_MODEL)
@SHOP
@JSON
def compare(first: str, second: str | None, shop: Path | None, as_json: bool) -> int:
    """Compare model ID with OTHER (the champion, where none is named) on the latest weeks that have closed.

    Weeks from which neither has learned are taken where there are any; otherwise it is said who has.
    """
    from whenbuy.pipeline.verbs import versions

    with progress() as say:
        result = versions.compare(shop, first, second, say=say)
    return answer(result, as_json)


@models.command(short_help="Let one answer from now on.")
@click.argument("name", required=False, metavar="[ID]", type=_MODEL)
@click.option("--force", is_flag=True, help="Promote it although the gate refuses it; this is recorded.")
@click.option("--back", is_flag=True, help="Go back to the model that answered before.")
@SHOP
@JSON
def promote(name: str | None, force: bool, back: bool, shop: Path | None, as_json: bool) -> int:
    """Let model ID answer from now on, if it beats its floor and is not worse than the champion."""
    from whenbuy.pipeline.verbs import versions

    with progress() as say:
        result = versions.promote(shop, name, force=force, back=back, say=say)
    return answer(result, as_json)


@models.command(short_help="Check every byte.")
@click.argument("name", required=False, metavar="[ID]", type=_MODEL)
@SHOP
@JSON
def verify(name: str | None, shop: Path | None, as_json: bool) -> int:
    """Check every byte of model ID, or of all models."""
    from whenbuy.pipeline.verbs import versions

    return answer(versions.verify(shop, name), as_json)

"""The verb `keys`: who may ask a server what."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.options import JSON, SHOP, Verbs
from whenbuy.cli.printing import answer


@click.group(cls=Verbs, invoke_without_command=True, short_help="Who may ask the server what: list, make and revoke keys.")
@SHOP
@JSON
@click.pass_context
def keys(ctx: click.Context, shop: Path | None, as_json: bool) -> int:
    """List the keys with which others may ask `whenbuy serve`, or do something with them.

    A key is shown once, when it is made; what is kept of it is its sha256.
    """
    ctx.default_map = {name: {"shop": shop, "as_json": as_json} for name in keys.commands}  # --shop and --json may stand here as well
    return _list(shop, as_json) if ctx.invoked_subcommand is None else 0


def _list(shop: Path | None, as_json: bool) -> int:
    from whenbuy.serve import verbs_serve as verb

    return answer(verb.list_keys(shop), as_json)


@keys.command("list", short_help="List them.")
@SHOP
@JSON
def list_(shop: Path | None, as_json: bool) -> int:
    """List the keys that were ever made: what each may do, and whether it is good."""
    return _list(shop, as_json)


@keys.command(short_help="Make one.")
@click.argument("name")
@click.option(
    "--may", "may", multiple=True, metavar="ROLE",
    help="What it may do. Roles: sender, reader, operator (the default: both, and metrics), admin (everything). "
    "Scopes: events:write, forecasts:read, metrics:read, admin.",
)  # fmt: skip
@click.option("--days", type=click.FloatRange(0, 3650, min_open=True), default=None, metavar="N", help="After so many days it is refused.")
@SHOP
@JSON
def new(name: str, may: tuple[str, ...], days: float | None, shop: Path | None, as_json: bool) -> int:
    """Make a key and call it NAME. It goes to stdout, this once."""
    from whenbuy.serve import verbs_serve as verb

    return answer(verb.new_key(shop, name, may, days), as_json)


@keys.command(short_help="Revoke one.")
@click.argument("id")
@SHOP
@JSON
def revoke(id: str, shop: Path | None, as_json: bool) -> int:
    """Refuse the key ID from now on, in servers that run as well."""
    from whenbuy.serve import verbs_serve as verb

    return answer(verb.revoke_key(shop, id), as_json)


@keys.command(short_help="What was done: keys, models, servers.")
@SHOP
@JSON
def audit(shop: Path | None, as_json: bool) -> int:
    """Show the audit log: keys that were made and revoked, models that came to answer, dead letters replayed, servers started and ended.

    It lies in audit/audit.jsonl and is written to, never changed: a line that was changed or taken out shows.
    """
    from whenbuy.serve import verbs_serve as verb

    return answer(verb.audit(shop), as_json)

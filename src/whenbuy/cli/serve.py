"""The verb `serve`: a shop's forecasts over HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.options import JSON, SHOP, Place
from whenbuy.cli.printing import answer, say


@click.command(short_help="Take events and answer with forecasts, over HTTP.")
@SHOP
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where to listen; any other needs a key.")
@click.option("--port", type=click.IntRange(0, 65535), default=8750, show_default=True, help="The port; 0 takes a free one.")
@click.option("--certificate", type=Place(), metavar="FILE", default=None, help="Speak TLS with this certificate (PEM).")
@click.option("--private-key", type=Place(), metavar="FILE", default=None, help="The certificate's private key (PEM).")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=2000.0, show_default=True, metavar="N",
    help="How many requests a second are taken of one key.",
)  # fmt: skip
@click.option("--hook", "hooks", multiple=True, metavar="URL", help="An address that is told when another model answers.")
@click.option(
    "--compact", type=click.FloatRange(1), default=300.0, show_default=True, metavar="SECONDS",
    help="How often what came in is brought into the log.",
)  # fmt: skip
@click.option(
    "--state", metavar="URL", default=None, envvar="WHENBUY_STATE",
    help="A Valkey or Redis (redis://…) through which several workers of the shop tell each other what they learn.",
)  # fmt: skip
@JSON
def serve(
    shop: Path | None, host: str, port: int, certificate: Path | None, private_key: Path | None, rate: float, hooks: tuple[str, ...],
    compact: float, state: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Serve the shop until Ctrl-C or SIGTERM: POST /v1/events, GET /v1/forecasts/USER, and what GET /v1/openapi.json says beside.

    What is acknowledged is kept. A model that is promoted, or taken back, answers without a restart. The log of the server goes to the
    error stream, one JSON object a line, and names nobody.
    """
    from whenbuy.serve import verbs_serve as verb
    from whenbuy.serve.limits import Limits
    from whenbuy.serve.server import Address

    address = Address(host, port, certificate, private_key)
    limits = Limits(per_second=rate, burst=2 * rate)
    return answer(verb.serve(shop, address, limits=limits, hooks=hooks, compact_s=compact, state=state, say=say), as_json)

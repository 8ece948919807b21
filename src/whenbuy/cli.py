"""The command line: one verb per command. Data goes to stdout, everything else to stderr; no traceback reaches a user."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from whenbuy.core.errors import AccessError, UsageError, WhenbuyError

if TYPE_CHECKING:
    import polars as pl

SHOP = click.option("--shop", type=click.Path(path_type=Path), default=None, help="The shop's folder (default: the one you stand in).")
AS_OF = click.option(
    "--as-of", metavar="DATE", default=None, help="Pretend to stand at this moment, e.g. 2017-11-01 (default: the log's end)."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
Command = Callable[..., Any]


class Verbs(click.Group):
    """The commands, in the order in which a newcomer needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of their definition."""
        return list(self.commands)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="whenbuy", message="whenbuy %(version)s")
def whenbuy() -> None:
    """From a shop's event log to when each customer buys next, how many orders come, and for how much.

    A shop is a folder with whenbuy.toml: `whenbuy init events.csv` makes one, `whenbuy fit` learns, `whenbuy predict` forecasts.
    """


@whenbuy.command()
@click.option("--shop", type=click.Path(path_type=Path), default=Path("demo-shop"), show_default=True, help="Where the demo shop is made.")
@JSON
def demo(shop: Path, as_json: bool) -> None:
    """Make a shop of real grocery data, learn, score, forecast and write its report."""
    from whenbuy.pipeline import verbs

    _answer(verbs.demo(shop, say=_say), as_json)


@whenbuy.command()
@click.argument("source", required=False)
@click.option("--shop", type=click.Path(path_type=Path), default=Path("shop"), show_default=True, help="The folder that becomes the shop.")
@click.option("--layout", default=None, help="A known public layout: complete_journey, cdnow, online_retail.")
@click.option("--column", "columns", multiple=True, metavar="NAME=SOURCE", help="A column by its name here and in the file; repeatable.")
@click.option("--kind", "kinds", multiple=True, metavar="SOURCE=KIND", help="An event name of the file and its kind here; repeatable.")
@click.option("--timezone", default=None, help="The zone in which the shop counts its days, e.g. Europe/Berlin (default: UTC).")
@click.option("--currency", default=None, help="The currency of the amounts, e.g. EUR.")
@JSON
def init(
    source: str | None, shop: Path, layout: str | None, columns: tuple[str, ...], kinds: tuple[str, ...],
    timezone: str | None, currency: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a shop of SOURCE: a file, a folder of files or a glob (CSV, JSONL, Parquet; plain or compressed)."""
    from whenbuy.pipeline import verbs

    named = {"timezone": timezone, "currency": currency, "layout": layout}
    options = {name: value for name, value in named.items() if value is not None}
    _answer(verbs.init(shop, source, columns=_pairs(columns), kinds=_pairs(kinds), say=_say, **options), as_json)


@whenbuy.command()
@SHOP
@AS_OF
@click.option("--seed", type=int, default=None, help="Chooses every sample that is drawn (default: the shop's setting).")
@JSON
def fit(shop: Path | None, as_of: str | None, seed: int | None, as_json: bool) -> None:
    """Learn the model of every answer from what was known before --as-of."""
    from whenbuy.pipeline import verbs

    _answer(verbs.fit(shop, as_of, seed=seed, say=_say), as_json)


@whenbuy.command()
@SHOP
@AS_OF
@click.option("--weeks", type=click.IntRange(1, 52), default=8, show_default=True, help="How many weekly cutoffs are scored.")
@JSON
def backtest(shop: Path | None, as_of: str | None, weeks: int, as_json: bool) -> None:
    """Score forecasts of the last weeks against what really happened, beside the floor."""
    from whenbuy.pipeline import verbs

    _answer(verbs.backtest(shop, as_of, weeks=weeks, say=_say), as_json)


@whenbuy.command()
@click.argument("users", nargs=-1)
@SHOP
@AS_OF
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Write the forecasts here: .parquet, .csv or .jsonl by its ending."
)
@JSON
def predict(users: tuple[str, ...], shop: Path | None, as_of: str | None, out: Path | None, as_json: bool) -> None:
    """Forecast USERS (everybody, where none is named)."""
    from whenbuy.pipeline import verbs

    _answer(verbs.predict(shop, as_of, users=users or None, out=out, say=_say), as_json)


@whenbuy.command()
@SHOP
@JSON
def report(shop: Path | None, as_json: bool) -> None:
    """Write reports/index.html: who is about to buy, how sure that is, and how it was learned."""
    from whenbuy.pipeline import verbs

    _answer(verbs.report(shop, say=_say), as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of one command line."""
    try:
        whenbuy.main(args=None if arguments is None else list(arguments), prog_name="whenbuy", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("Interrupted. What was finished is saved; nothing is half-written.")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except WhenbuyError as error:
        _say("\n".join(("Error: " + error.got, *(part for part in (error.need, error.do) if part))))
        return error.exit_code
    except PermissionError as error:
        _say(f"Error: {error.filename} may not be read or written.\nwhenbuy needs it.\nChange its permissions, or name another place.")
        return AccessError.exit_code
    except Exception as error:  # the last stop before a user
        if os.environ.get("WHENBUY_DEBUG"):
            raise
        _say(f"Error inside whenbuy: {type(error).__name__}: {error}")
        _say("This is a bug, not your doing. Run again with WHENBUY_DEBUG=1 and report what it prints.")
        return WhenbuyError.exit_code
    return 0


def _say(text: str) -> None:
    click.echo(text, err=True)


def _answer(result: Any, as_json: bool) -> None:
    """Print the result of a verb: as JSON when asked, else its table."""
    if as_json:
        click.echo(json.dumps(result.plain(), default=str, ensure_ascii=False))
    elif result.table is not None:
        click.echo(_table(result.table))


def _table(frame: pl.DataFrame) -> str:
    """Return a table as text: everything when piped (CSV), a readable excerpt on a terminal."""
    if not sys.stdout.isatty():
        return frame.write_csv().rstrip("\n")
    import polars as pl

    with pl.Config(tbl_rows=30, tbl_cols=-1, tbl_width_chars=160, float_precision=3) as config:
        config.set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(True)
        return str(frame)


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise click.UsageError(f"{text!r} is not of the form NAME=VALUE.")
        pairs[name.strip()] = value.strip()
    return pairs


if __name__ == "__main__":
    main()

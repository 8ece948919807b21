"""The command line: one verb per command. Data goes to stdout, everything else to stderr; no traceback reaches a user."""

from __future__ import annotations

import json
import os
import signal
import sys
import unicodedata
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from whenbuy.core.errors import AccessError, InputError, UsageError, WhenbuyError

if TYPE_CHECKING:
    from whenbuy.pipeline.telling.screen import Result, Screen

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C."""
TERMINATED: Final = 143
"""The exit code after SIGTERM, by which a system asks a process to end."""
_DEBUG: Final = "WHENBUY_DEBUG"
_BUG: Final = ("This is a bug, not your doing.", f"Run it again with {_DEBUG}=1 and report what it prints.")
_LONGEST_LINE: Final = 600


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the work ends as after Ctrl-C."""


class Place(click.ParamType[Path]):
    """A path. An empty one is a forgotten variable, not the folder in which one stands."""

    name = "path"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, with ``~`` replaced by the user's folder."""
        if not str(value):
            self.fail("it is empty.", param, ctx)
        with suppress(RuntimeError):  # the folder of a user whom the system does not know: the name stays as it is
            return Path(value).expanduser()
        return Path(value)


SHOP = click.option("--shop", type=Place(), metavar="DIR", default=None, help="The shop's folder (default: the one you stand in).")
AS_OF = click.option(
    "--as-of", metavar="DATE", default=None, help="Pretend to stand at this moment, e.g. 2017-11-01 (default: the log's end)."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")


class Verbs(click.Group):
    """The commands, in the order in which a newcomer needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of their definition."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run one verb; a file that ends too early is bad input (click takes it for an interruption)."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise InputError(f"A file ends too early ({error}).", "Files must be whole.", "Fetch or write it again.") from error


def _version(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    del param
    if asked:
        from importlib import metadata

        try:
            click.echo(f"whenbuy {metadata.version('whenbuy')}")
        except metadata.PackageNotFoundError:
            click.echo("whenbuy 0+source")
        ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit.")
def whenbuy() -> None:
    """From a shop's event log to when each customer buys next, how many orders come, and for how much.

    A shop is a folder with whenbuy.toml. To begin:

    \b
      whenbuy init events.csv --shop my-shop
      cd my-shop
      whenbuy fit
      whenbuy predict --out forecasts.csv
    """  # noqa: D301 - click reads the \\b


@whenbuy.command(short_help="Make a shop of real grocery data, from import to report.")
@click.option("--shop", type=Place(), metavar="DIR", default="demo-shop", show_default=True, help="Where the demo shop is made.")
@JSON
def demo(shop: Path, as_json: bool) -> None:
    """Make a shop of real grocery data, learn, score, forecast and write its report. It takes some minutes."""
    from whenbuy.pipeline.verbs import verbs

    _answer(verbs.demo(shop, say=_say), as_json)


@whenbuy.command(short_help="Make a shop of a file or folder with events.")
@click.argument("sources", nargs=-1, type=Place(), metavar="[SOURCE]...")
@click.option("--shop", type=Place(), metavar="DIR", default="shop", show_default=True, help="The folder that becomes the shop.")
@click.option("--layout", default=None, help="A known public layout: complete_journey, cdnow, online_retail.")
@click.option("--column", "columns", multiple=True, metavar="NAME=SOURCE", help="A column by its name here and in the file; repeatable.")
@click.option("--kind", "kinds", multiple=True, metavar="SOURCE=KIND", help="An event name of the file and its kind here; repeatable.")
@click.option("--timezone", default=None, help="The zone in which the shop counts its days, e.g. Europe/Berlin (default: UTC).")
@click.option("--currency", default=None, help="The currency of the amounts, e.g. EUR.")
@JSON
def init(
    sources: tuple[Path, ...], shop: Path, layout: str | None, columns: tuple[str, ...], kinds: tuple[str, ...],
    timezone: str | None, currency: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a shop of SOURCE: files, folders of files or patterns (CSV, JSONL, Parquet; plain or compressed).

    What the columns and events mean is guessed, and the guesses are written into whenbuy.toml. To mend one, edit that file and run
    `whenbuy init --shop DIR` without a source: the shop's own sources are read again.
    """
    from whenbuy.pipeline.verbs import verbs

    result = verbs.init(
        shop, sources, columns=_pairs(columns), kinds=_pairs(kinds), timezone=timezone, currency=currency, layout=layout, say=_say
    )
    _answer(result, as_json)


@whenbuy.command(short_help="Learn from what was known before --as-of.")
@SHOP
@AS_OF
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=None, help="Where chance starts (default: the shop's setting).")
@JSON
def fit(shop: Path | None, as_of: str | None, seed: int | None, as_json: bool) -> None:
    """Learn the model of every answer from what was known before --as-of.

    What was learned is kept, and answers from now on if it beats its floor and is not worse than the model that answers now; otherwise the
    exit code is 5 and `whenbuy models` shows why.
    """
    from whenbuy.pipeline.verbs import verbs

    _answer(verbs.fit(shop, as_of, seed=seed, say=_say), as_json)


@whenbuy.command(short_help="Score forecasts of past weeks against what came.")
@SHOP
@AS_OF
@click.option("--weeks", type=click.IntRange(1, 52), default=8, show_default=True, help="How many weekly cutoffs are scored.")
@JSON
def backtest(shop: Path | None, as_of: str | None, weeks: int, as_json: bool) -> None:
    """Score forecasts of the last weeks against what really happened, beside the floor."""
    from whenbuy.pipeline.verbs import verbs

    _answer(verbs.backtest(shop, as_of, weeks=weeks, say=_say), as_json)


@whenbuy.command(short_help="Forecast everybody, or the customers named.")
@click.argument("users", nargs=-1)
@SHOP
@AS_OF
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the forecasts here: .parquet, .csv or .jsonl by its ending.")
@JSON
def predict(users: tuple[str, ...], shop: Path | None, as_of: str | None, out: Path | None, as_json: bool) -> None:
    """Forecast USERS (everybody, where none is named).

    A terminal shows a short table, a pipe gets CSV with all columns and exact values. Everybody's forecast as of the log's end is
    kept as forecasts/latest.parquet as well. For a moment before what the champion knows, the kept model that knew most by then answers.
    """
    from whenbuy.pipeline.verbs import verbs

    _answer(verbs.predict(shop, as_of, users=users or None, out=out, say=_say), as_json)


@whenbuy.command(short_help="Write reports/index.html.")
@SHOP
@JSON
def report(shop: Path | None, as_json: bool) -> None:
    """Write reports/index.html: who is about to buy, how sure that is, and how it was learned."""
    from whenbuy.pipeline.verbs import verbs

    _answer(verbs.report(shop, say=_say), as_json)


@whenbuy.group(cls=Verbs, invoke_without_command=True, short_help="Which models are kept, and which one answers.")
@SHOP
@JSON
@click.pass_context
def models(ctx: click.Context, shop: Path | None, as_json: bool) -> None:
    """List the models that the shop keeps, or do something with them.

    Every fit keeps what it learned. The champion is the model that answers: a fit makes its model the champion where it passes the gate.
    A model is named by its id or the beginning of it.
    """
    ctx.default_map = {name: {"shop": shop, "as_json": as_json} for name in models.commands}  # --shop and --json may stand here as well
    if ctx.invoked_subcommand is None:
        _list(shop, as_json)


def _list(shop: Path | None, as_json: bool) -> None:
    from whenbuy.pipeline.verbs import versions

    _answer(versions.list_models(shop), as_json)


@models.command("list", short_help="List them, the latest first.")
@SHOP
@JSON
def list_(shop: Path | None, as_json: bool) -> None:
    """List the models, the latest first, with how they fared; an arrow marks the champion."""
    _list(shop, as_json)


@models.command(short_help="Show all that is known of one.")
@click.argument("name", required=False, metavar="[ID]")
@SHOP
@JSON
def show(name: str | None, shop: Path | None, as_json: bool) -> None:
    """Show all that is known of model ID (the champion, where none is named), and the candidates that it was chosen from."""
    from whenbuy.pipeline.verbs import versions

    _answer(versions.show(shop, name), as_json)


@models.command(short_help="Compare two on the same weeks.")
@click.argument("first", metavar="ID")
@click.argument("second", required=False, metavar="[OTHER]")
@SHOP
@JSON
def compare(first: str, second: str | None, shop: Path | None, as_json: bool) -> None:
    """Compare model ID with OTHER (the champion, where none is named) on the latest weeks that have closed.

    Weeks from which neither has learned are taken where there are any; otherwise it is said who has.
    """
    from whenbuy.pipeline.verbs import versions

    _answer(versions.compare(shop, first, second, say=_say), as_json)


@models.command(short_help="Let one answer from now on.")
@click.argument("name", required=False, metavar="[ID]")
@click.option("--force", is_flag=True, help="Promote it although the gate refuses it; this is recorded.")
@click.option("--back", is_flag=True, help="Go back to the model that answered before.")
@SHOP
@JSON
def promote(name: str | None, force: bool, back: bool, shop: Path | None, as_json: bool) -> None:
    """Let model ID answer from now on, if it beats its floor and is not worse than the champion."""
    from whenbuy.pipeline.verbs import versions

    _answer(versions.promote(shop, name, force=force, back=back, say=_say), as_json)


@models.command(short_help="Check every byte.")
@click.argument("name", required=False, metavar="[ID]")
@SHOP
@JSON
def verify(name: str | None, shop: Path | None, as_json: bool) -> None:
    """Check every byte of model ID, or of all models."""
    from whenbuy.pipeline.verbs import versions

    _answer(versions.verify(shop, name), as_json)


# ------------------------------------------------------------------------------------------------ running


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # pipes are UTF-8 everywhere; a terminal that cannot show a letter shows its number
            stream.reconfigure(errors="backslashreplace", encoding=None if stream.isatty() else "utf-8")
    if not os.environ.get(_DEBUG):
        warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(arguments))


def _terminate(*_: object) -> None:
    raise Terminated


def run(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of one command line."""
    typed = sys.argv[1:] if arguments is None else list(arguments)
    try:
        _require_text(typed)
        code = whenbuy.main(args=typed, prog_name="whenbuy", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return UsageError.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        _say("Interrupted. What was finished is saved; nothing is half-written.")
        return TERMINATED if isinstance(error, Terminated) or isinstance(error.__cause__, Terminated) else INTERRUPTED
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # the last stop before a user: a panic inside polars is no Exception
        told = _told(error)
        if told.exit_code == WhenbuyError.exit_code and os.environ.get(_DEBUG):
            raise
        _complain(told)
        return told.exit_code


def _require_text(typed: Sequence[str]) -> None:
    for word in typed:
        if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in word):
            raise UsageError(f"{word!r} was typed.", "Arguments are UTF-8 text without NUL.", "Type it again, or rename the file.")


def _told(error: BaseException) -> WhenbuyError:
    """Return any error as one of whenbuy's: what was got, what is needed, what to do next."""
    if isinstance(error, WhenbuyError):
        return error if error.need or error.exit_code != WhenbuyError.exit_code else WhenbuyError(error.got, *_BUG)
    if isinstance(error, click.ClickException):
        ctx = getattr(error, "ctx", None) or click.Context(whenbuy, info_name="whenbuy")
        usage = " ".join(ctx.get_usage().split()).removeprefix("Usage: ")
        return UsageError(error.format_message(), f"It is typed as: {usage}", f"See `{ctx.command_path} --help`.")
    if isinstance(error, OSError):
        return AccessError(
            f"{error.filename}: {error.strerror}." if error.filename else f"{error}.", "whenbuy must be able to read and write there.",
            "Look at its permissions and at the space left, or name another place.",
        )  # fmt: skip
    if isinstance(error, MemoryError):
        return WhenbuyError("The memory did not suffice.", "The log and its features must fit into it.", "Close other programs.")
    first = next(iter(str(error).strip().splitlines()), "")
    return WhenbuyError(f"Inside whenbuy: {type(error).__name__}: {first}", *_BUG)


# ------------------------------------------------------------------------------------------------ printing


def _say(text: str) -> None:
    """Print words for people. A reader who has gone away does not stop the work."""
    with suppress(BrokenPipeError):
        click.echo("\n".join(map(_harmless, text.split("\n"))), err=True)


def _complain(error: WhenbuyError) -> None:
    parts = (_harmless(part) for part in (error.got, error.need, error.do) if part)
    with suppress(BrokenPipeError):
        click.echo(_styled("Error:", sys.stderr, fg="red", bold=True) + " " + "\n  ".join(parts), err=True, color=True)


def _answer(result: Result, as_json: bool) -> None:
    """Print what a verb found: one JSON object where asked, a short table on a terminal, CSV with everything elsewhere."""
    try:
        if as_json:
            click.echo(json.dumps(result.plain(), default=_iso, ensure_ascii=False, allow_nan=False), color=True)
        elif _terminal(sys.stdout):
            for screen in result.screens:
                click.echo(_drawn(screen), color=True)
        elif result.table is not None:
            click.echo(result.table.write_csv(), nl=False, color=True)  # color: click would take escape sequences out of the data
        if result.line and not as_json:
            click.echo(result.line)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for line in result.after:
        _say(line)


def _drawn(screen: Screen) -> str:
    """Return a table as aligned text; wide letters count twice, as terminals draw them."""
    from rich.cells import cell_len

    right = [head.endswith(">") for head in screen.columns]
    lines = [tuple(head.removesuffix(">") for head in screen.columns), *(tuple(map(_harmless, row)) for row in screen.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]

    def aligned(cells: Sequence[str]) -> str:
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
        return "  ".join(gap + cell if end else cell + gap for cell, gap, end in zip(cells, gaps, right, strict=True)).rstrip()

    head, *body = map(aligned, lines)
    title = [_styled(_harmless(screen.title), sys.stdout, bold=True)] if screen.title else []
    return "\n".join([*title, _styled(head, sys.stdout, dim=True), *body, *(_styled(one, sys.stdout, dim=True) for one in screen.below)])


def _styled(text: str, stream: TextIO | None, **style: Any) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not _terminal(stream)
    return text if plain else click.style(text, **style)


def _terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _harmless(text: str) -> str:
    """Return a line that cannot steer the terminal: control characters and overrides of the writing direction are replaced."""
    short = text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}… ({len(text):,} characters)"
    return "".join("\ufffd" if unicodedata.category(letter)[0] == "C" else letter for letter in short)


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name.strip() and sign and value.strip()):
            raise click.UsageError(f"{text!r} is not of the form NAME=VALUE.", click.get_current_context())
        pairs[name.strip()] = value.strip()
    return pairs


if __name__ == "__main__":
    main()

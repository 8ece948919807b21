"""What can be typed: options that several verbs share, and how their values are read and completed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from whenbuy.core.errors import InputError

_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Place(click.ParamType[Path]):
    """A path. An empty one is a forgotten variable, not the folder in which one stands.

    Parameters
    ----------
    complete
        What a shell offers: ``file`` or ``dir``.
    """

    name = "path"

    def __init__(self, complete: str = "file") -> None:
        self.complete = complete

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, with ``~`` replaced by the user's folder."""
        if not str(value):
            self.fail("it is empty.", param, ctx)
        with suppress(RuntimeError):  # the folder of a user whom the system does not know: the name stays as it is
            return Path(value).expanduser()
        return Path(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return that the shell knows files and folders best."""
        del ctx, param
        return [CompletionItem(incomplete, type=self.complete)]


class Kept(click.ParamType[str]):
    """The id of something that a shop keeps, or the beginning of it.

    Parameters
    ----------
    folder
        The shop's folder in which each has a folder of its own.
    """

    name = "id"

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the ids that begin so, the latest first."""
        del param
        shop = ctx.params.get("shop") or (ctx.parent.params.get("shop") if ctx.parent else None) or Path()
        with suppress(OSError):
            names = sorted((path.name for path in (shop / self.folder).iterdir() if path.is_dir()), reverse=True)
            return [CompletionItem(name) for name in names if name.startswith(incomplete) and not name.startswith(".")]
        return []


class Share(click.ParamType[float]):
    """A share of all: ``10%``, or 0.1; with ``ends`` it may be none or all of it."""

    name = "share"

    def __init__(self, *, ends: bool = False) -> None:
        self.ends = ends

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return it as a number between 0 and 1."""
        text = str(value).strip()
        try:
            found = float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
        except ValueError:
            found = -1.0
        if not (0.0 < found < 1.0 or (self.ends and found in (0.0, 1.0))):
            self.fail(f"{text!r} is no share. Write 10% or 0.1.", param, ctx)
        return found


class Budget(click.ParamType[float]):
    """A time: seconds, or a number with s, m or h."""

    name = "time"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([smh]?)\s*", value)
        if not found:
            self.fail(f"{value!r} is not a time such as 90s, 10m or 1h.", param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


SHOP = click.option("--shop", type=Place("dir"), metavar="DIR", default=None, help="The shop's folder (default: the one you stand in).")
AS_OF = click.option(
    "--as-of", metavar="DATE", default=None, help="Pretend to stand at this moment, e.g. 2017-11-01 (default: the log's end)."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")


class Verbs(click.Group):
    """Commands, listed in the order in which they were added, under a heading where one is given."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.headings: dict[str, str] = {}

    def under(self, heading: str, *verbs: click.Command) -> None:
        """Add commands under a heading of the help."""
        for verb in verbs:
            self.add_command(verb)
            self.headings[verb.name or ""] = heading

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which they were added."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs heading by heading."""
        width = max(map(len, self.commands), default=0)
        for heading in dict.fromkeys(self.headings.get(name, "Commands") for name in self.commands):
            with formatter.section(heading):
                listed = [(name, verb) for name, verb in self.commands.items() if self.headings.get(name, "Commands") == heading]
                formatter.write_dl([(name.ljust(width), verb.get_short_help_str(formatter.width)) for name, verb in listed])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb by its name."""
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that was typed; of one that does not exist, the nearest is named."""
        name = args[0] if args else ""
        if name and name not in self.commands and not name.startswith("-"):
            raise click.UsageError(f"There is no command {name!r}.{nearest(name, self.commands)}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run one verb; a file that ends too early is bad input (click takes it for an interruption)."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise InputError(f"A file ends too early ({error}).", "Files must be whole.", "Fetch or write it again.") from error


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question after the known name that is most like this one; nothing where none is."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {found[0]!r}?" if found else ""


def pairs(texts: Collection[str]) -> dict[str, str]:
    """Return what was typed as NAME=VALUE."""
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name.strip() and sign and value.strip()):
            raise click.UsageError(f"{text!r} is not of the form NAME=VALUE.", click.get_current_context())
        found[name.strip()] = value.strip()
    return found


def listed(texts: Collection[str]) -> tuple[str, ...]:
    """Return names that were typed one by one or with commas between them, each once."""
    return tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))

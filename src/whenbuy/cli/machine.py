"""Verbs about this machine: doctor and completion."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from whenbuy.cli.options import JSON, SHOP
from whenbuy.cli.printing import answer, progress

_SHELLS: Final = {
    "bash": "Put this line into ~/.bashrc:  eval \"$(whenbuy completion bash)\"",
    "zsh": "Put this line into ~/.zshrc:  eval \"$(whenbuy completion zsh)\"",
    "fish": "Write it once:  whenbuy completion fish > ~/.config/fish/completions/whenbuy.fish",
}  # fmt: skip


@click.command(short_help="Look at the installation and at the shop's files.")
@SHOP
@click.option("--warm", is_flag=True, help="Compile now what later commands would compile, about 40 seconds; look at nothing.")
@JSON
def doctor(shop: Path | None, warm: bool, as_json: bool) -> int:
    """Look at the installation, this machine and, from inside a shop, its files: what is well, what is not, and what mends it.

    The exit code is 0 where all is well, else that of the first thing that is not.
    """
    if warm:
        from whenbuy.pipeline.verbs.warming import warm as warmed

        with progress() as say:
            return answer(warmed(say), as_json)
    from whenbuy.pipeline.verbs import doctor as verb

    return answer(verb.doctor(shop), as_json)


@click.command(short_help="Print what makes your shell complete whenbuy's words.")
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@JSON
@click.pass_context
def completion(ctx: click.Context, shell: str, as_json: bool) -> int:
    """Print the script by which SHELL completes commands, options, files and the ids of models and runs."""
    from click.shell_completion import get_completion_class

    from whenbuy.pipeline.telling.result import Result

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.", ctx)
    made = kind(ctx.find_root().command, {}, "whenbuy", "_WHENBUY_COMPLETE")
    script = made.source_template % made.source_vars()
    return answer(Result({"shell": shell, "script": script}, line=script.strip(), after=(_SHELLS[shell],)), as_json)

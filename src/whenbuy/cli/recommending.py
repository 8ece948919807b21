"""The verb `recommend`: what to show to whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from whenbuy.cli.options import AS_OF, JSON, SHOP, Place, listed, pairs
from whenbuy.cli.printing import answer, progress

_SHARE = click.FloatRange(0, 1)


@click.command(short_help="Say what to show to whom, and why.")
@click.argument("named", nargs=-1, metavar="[USERS]...")
@click.option("--users", "file", type=Place(), metavar="FILE", default=None, help="A file of customers, one a line (default: everybody).")
@click.option("--top", type=click.IntRange(1, 1000), default=10, show_default=True, metavar="N", help="How many things.")
@SHOP
@AS_OF
@click.option("--in-stock", is_flag=True, help="Only what the profile of the items says is in stock.")
@click.option("--not-within", type=click.FloatRange(0), default=0.0, metavar="DAYS", help="Nothing that she bought within so many days.")
@click.option("--only", multiple=True, metavar="NAME=WORD", help="Only things of this category or brand, e.g. category=COFFEE; repeatable.")
@click.option("--without", multiple=True, metavar="ITEM", help="Not this thing; repeatable.")
@click.option("--diverse", type=_SHARE, default=0.0, metavar="SHARE", help="How unlike each other the things shall be, 0 to 1.")
@click.option("--novel", type=_SHARE, default=0.0, metavar="SHARE", help="How much what everybody wants is held back, 0 to 1.")
@click.option("--scores", is_flag=True, help="Show instead how the ways to recommend fared on the latest weeks.")
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the lists here: .parquet, .csv or .jsonl by its ending.")
@JSON
def recommend(
    named: tuple[str, ...], file: Path | None, shop: Path | None, as_of: str | None, scores: bool, out: Path | None, as_json: bool,
    **shown: Any,
) -> int:  # fmt: skip
    """Say which things to show to customers, the best first, and why.

    It is learned from what customers took after what they had met; where that does not beat what is popular, or what each took most often,
    these answer. What was learned is kept until the log changes. Customers of whom nothing is known are shown what everybody wants.
    """
    from whenbuy.pipeline.recommending.rules import Rules
    from whenbuy.pipeline.verbs import recommend as verb

    with progress() as say:
        if scores:
            result = verb.tried(shop, as_of, say=say)
        else:
            rules = Rules(shown["in_stock"], shown["not_within"], _words(shown["only"]), listed(shown["without"]))
            users, variety = verb.users_of(named, file), {name: shown[name] for name in ("top", "diverse", "novel")}
            result = verb.recommend(shop, as_of, users=users, rules=rules, out=out, say=say, **variety)
    return answer(result, as_json)


def _words(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what was typed as NAME=WORD, all words of one name together."""
    words: dict[str, tuple[str, ...]] = {}
    for text in texts:
        for name, word in pairs([text]).items():
            words[name] = (*words.get(name, ()), word)
    return words

"""Say what to show to whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from whenbuy.clean import RULES
from whenbuy.core.errors import AccessError, DamagedError, InputError, NotFoundError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.pipeline.recommending.recommender import TYPES, Recommendations, Recommender, Tried, learn
from whenbuy.pipeline.recommending.rules import Rules
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import percent
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

FOLDER: Final = "recommender"
"""Where a shop keeps what it learned to recommend by."""
_SHOWN: Final = 20


def recommend(
    folder: Path | None,
    as_of: str | None,
    *,
    users: Sequence[str] | None,
    top: int,
    rules: Rules,
    diverse: float,
    novel: float,
    out: Path | None,
    say: Say,
) -> Result:
    """Return what to show to the customers named, or to everybody.

    What was learned is kept in the shop and answers again until the log changes; for a moment before what it knows it is learned afresh.

    Raises
    ------
    ColumnError
        When the log has no items, or a rule asks for what is not known.
    NotEnoughDataError
        When nothing can be learned.
    """
    if out is not None:
        require_ending(out)
    shop = find_shop(folder)
    shop.settings(RULES)
    history = open_log(shop.log)
    instant = moment(history, as_of, say)
    recommender = _learned(shop, history, instant, say)
    found = recommender.recommend(history, users, instant, top=top, rules=rules, diverse=diverse, novel=novel)
    stands = history.clock.show(history.end if instant is None else instant)
    facts = {
        "as_of": stands, "model": recommender.model.name, "customers": len(found), "horizon_days": recommender.horizon_days,
        "tried": [_plain(one) for one in recommender.tried],
    }  # fmt: skip
    frame, after = found.frame(), [*_unknown(found), *_short(found, top)]
    if out is not None:
        write_frame(frame, out)
        return Result(
            facts | {"files": [str(out)]}, after=(*after, f"What to show to {len(found):,} customers as of {stands} is in {out}.")
        )
    screens = tuple(_screens(found, named=users is not None))
    return Result(facts, frame, "recommendations", screens, after=tuple(after))


def tried(folder: Path | None, as_of: str | None, say: Say) -> Result:
    """Return how the ways to recommend fared on the latest closed window, beside the floors."""
    shop = find_shop(folder)
    shop.settings(RULES)
    history = open_log(shop.log)
    instant = moment(history, as_of, say)
    recommender = _learned(shop, history, instant, say)
    rows = tuple(
        (
            one.name,
            f"{one.score:.4f}",
            f"{one.difference:+.4f}",
            f"{one.low:+.4f} … {one.high:+.4f}",
            percent(one.coverage),
            percent(one.diversity),
            "answers" if one.chosen else "",
        )
        for one in recommender.tried
    )
    import polars as pl

    words = (
        f"Recall among the first ten: the share of what each customer took within {recommender.horizon_days:g} days that stood there.",
        "Behind it the difference with the better floor, and its 95 % interval over resampled customers; the share of all things that",
        "stand on somebody's list, and of pairs on one list that are of different categories.",
    )
    heads = ("ranker", "recall>", "difference>", "95 %>", "shows of all>", "unlike>", "")
    facts = {"as_of": history.clock.show(history.end if instant is None else instant), "horizon_days": recommender.horizon_days}
    return Result(
        facts, pl.DataFrame([_plain(one) for one in recommender.tried]), "tried", (Screen("How they fared:", heads, rows, words),)
    )


def users_of(named: Sequence[str], file: Path | None) -> tuple[str, ...] | None:
    """Return the customers that were named, each once, or None for everybody.

    Raises
    ------
    NotFoundError
        When the file does not exist.
    InputError
        When it is not UTF-8 text.
    """
    if file is None:
        return tuple(dict.fromkeys(named)) or None
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise NotFoundError(f"{file} does not exist.", "It lists customers, one a line.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text.", "It lists customers, one a line.", "Save it as UTF-8.") from error
    return tuple(dict.fromkeys([*named, *(line.strip() for line in lines if line.strip())]))


def _learned(shop: Shop, history: History, instant: int | None, say: Say) -> Recommender:
    """Return what the shop keeps, where it still fits; else what is learned now, and kept where it is about the log as it stands."""
    place, stands = shop.folder / FOLDER, {"events": len(history.log), "end": history.end}
    kept = _kept(place, stands)
    moment_asked = history.end if instant is None else instant
    if kept is not None and kept.known_until <= moment_asked:
        return kept
    say("learning what customers take")
    made = learn(history, min(moment_asked, history.end))
    if moment_asked >= history.end:
        try:
            bundle.save(place, made, stands)
        except AccessError:
            say(f"Not kept as {place}, since nobody may write there.")
    return made


def _kept(place: Path, stands: dict[str, int]) -> Recommender | None:
    """Return what is kept about this very log, if it can be read."""
    try:
        made, about = bundle.load(place, {**types(), **TYPES})
    except (NotFoundError, DamagedError):
        return None
    if not isinstance(made, Recommender):
        raise WhenbuyError(f"{place} holds a {type(made).__name__}.")
    return made if {name: about.get(name) for name in stands} == stands else None


def _screens(found: Recommendations, *, named: bool) -> list[Screen]:
    """Return a table per customer named; for everybody the first things of some."""
    frame = found.frame()
    if not named:
        listed = found.ranking.take(slice(0, _SHOWN))
        rows = tuple(
            (user, ", ".join(found.shelf.names.names(items[items >= 0][:5]).to_list()))
            for user, items in zip(listed.keys.ids().to_list(), listed.item, strict=True)
        )
        below = (f"The first {len(rows)} of {len(found):,} customers; --out FILE has them all.",) if len(found) > len(rows) else ()
        return [Screen("What to show:", ("customer", "first"), rows, below)]
    screens = []
    for user in dict.fromkeys(found.ranking.keys.ids().to_list()):
        part = frame.filter(frame["user_id"] == user).unique("rank", keep="first", maintain_order=True)
        kind = next(iter(found.shelf.attributes), None)
        rows = tuple(
            (str(row["rank"]), str(row["item_id"]), *((str(row[kind] or ""),) if kind else ()), str(row.get("why", "")))
            for row in part.to_dicts()
        )
        screens.append(Screen(f"What to show to {user}:", (">", "item", *((kind,) if kind else ()), "why"), rows))
    return screens


def _unknown(found: Recommendations) -> list[str]:
    prior = found.ranking.prior
    if prior is None or not prior.any():
        return []
    names = found.ranking.keys.ids().filter(_series(prior)).unique(maintain_order=True).to_list()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
    return [f"Nothing is known of what they took, so what everybody wants is shown: {shown}."]


def _short(found: Recommendations, top: int) -> list[str]:
    short = int(((found.ranking.item >= 0).sum(axis=1) < top).sum())
    return [f"{short:,} {'list is' if short == 1 else 'lists are'} shorter than {top}: nothing else may be shown."] if short else []


def _series(mask: Any) -> Any:
    import polars as pl

    return pl.Series(np.asarray(mask))


def _plain(one: Tried) -> dict[str, object]:
    return {
        "name": one.name, "recall_at_10": one.score, "difference": one.difference, "low": one.low, "high": one.high, "chosen": one.chosen,
    }  # fmt: skip

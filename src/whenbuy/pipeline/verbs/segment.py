"""Divide the customers, or draw the portrait of one: what `whenbuy segment` does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.errors import AccessError, DamagedError, InputError, LeakError, NotFoundError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.core.holdout import hold_out
from whenbuy.core.outlook import Outlook
from whenbuy.core.segments import Segments
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.pipeline.segmenting.answers import with_answers
from whenbuy.pipeline.segmenting.moves import moves
from whenbuy.pipeline.segmenting.portrait import portrait
from whenbuy.pipeline.segmenting.segmentation import TYPES, By, Segmentation, segment
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import count, percent
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

FOLDER: Final = "segments"
"""Where a shop keeps its segmentations, a folder for each way."""
_MONEY: Final = ("amount_mean", "clv")


def divide(
    folder: Path | None,
    as_of: str | None,
    *,
    by: By,
    k: int | None,
    share: float | None,
    user: str | None,
    since: str | None,
    out: Path | None,
    say: Say,
) -> Result:
    """Return who belongs to which segment, and what each is like; or the portrait of one customer.

    What was learned is kept in the shop: while the log stays as it is it answers again. When the log has grown the segments are learned
    again, and keep their ids and names where the same customers are still together.

    Raises
    ------
    NotFoundError
        When the customer is not known.
    UsageError, NotEnoughDataError
        As ``segmenting.segmentation.segment``.
    """
    if out is not None:
        require_ending(out)
    shop = find_shop(folder)
    settings, history = shop.settings(RULES), open_log(shop.log)
    instant = moment(history, as_of, say)
    cutoff = history.end if instant is None else instant
    if user is not None and int(history.log.users.codes([user])[0]) < 0:
        raise NotFoundError(f"The log does not know {user!r}.", "A portrait is of a customer.", "Check the id.")
    segmentation = _learned(shop, history, instant, by, k, settings.shop.seed, say)
    if user is not None:
        return _portrait(shop, history, segmentation, user, cutoff, say)
    found = segmentation.of(history, instant)
    outlook = _outlook(shop, history, found, cutoff, say)
    told = found if outlook is None else with_answers(found, outlook)
    frame = found.frame()
    facts: dict[str, Any] = {
        "as_of": history.clock.show(cutoff), "by": by, "customers": len(found), "stability": _plain(found.stability),
        "tried": [{"size": one.size, "groups": one.groups, "stability": one.stability, "low": one.low} for one in segmentation.tried],
        "profiles": told.profiles().to_dicts(),
    }  # fmt: skip
    if share is not None:
        frame = frame.with_columns(pl.Series("hold_out", hold_out(frame["user_id"].to_list(), share, str(settings.shop.seed))))
        facts["held_out"] = int(frame["hold_out"].sum())
        say(f"{facts['held_out']:,} of {len(frame):,} customers are held out")
    screens = [_profiles(told, history.clock.show(cutoff)), *_answers(told)]
    if since is not None:
        moved = moves(segmentation, history, since, cutoff)
        facts["moves"] = moved.to_dicts()
        screens.append(_moves(moved, since))
    if out is not None:
        write_frame(frame, out)
        return Result(
            facts | {"files": [str(out)]}, screens=tuple(screens), after=(f"The segments of {len(frame):,} customers are in {out}.",)
        )
    return Result(facts, frame, "segments", tuple(screens))


def _learned(shop: Shop, history: History, instant: int | None, by: By, k: int | None, seed: int, say: Say) -> Segmentation:
    """Return what the shop keeps, where it is about this log and moment; else what is learned now, with the ids of what was kept."""
    place = shop.folder / FOLDER / by
    cutoff = history.end if instant is None else instant
    stands = {"events": len(history.log), "end": history.end, "cutoff": cutoff, "k": k, "seed": seed}
    kept, about = _kept(place, say)
    if kept is not None and {name: about.get(name) for name in stands} == stands:
        return kept
    if kept is not None and cutoff < kept.known_until:
        say(f"Segments as of {history.clock.show(kept.known_until)} are kept; those of an earlier moment have ids of their own.")
        return segment(history, by, k, instant, seed=seed)
    say("dividing the customers")
    try:
        made = segment(history, by, k, instant, seed=seed, earlier=kept)
    except InputError as error:  # the kept one asks for columns that the log no longer has
        if kept is None:
            raise
        say(f"The kept segments do not fit the log ({error.got}); the ids begin anew.")
        made = segment(history, by, k, instant, seed=seed)
    try:
        bundle.save(place, made, stands)
    except AccessError:
        say(f"Not kept as {place}, since nobody may write there.")
    return made


def _kept(place: Path, say: Say) -> tuple[Segmentation | None, dict[str, Any]]:
    """Return what is kept, if it can be read, and what it is about."""
    try:
        made, about = bundle.load(place, {**types(), **TYPES})
    except NotFoundError:
        return None, {}
    except WhenbuyError as error:
        say(f"The kept segments cannot be read ({error.got}); the ids begin anew.")
        return None, {}
    if not isinstance(made, Segmentation):
        say(f"{place} holds a {type(made).__name__}, no segments; the ids begin anew.")
        return None, {}
    return made, about


def _outlook(shop: Shop, history: History, found: Segments, cutoff: int, say: Say) -> Outlook | None:
    """Return the answers about the same customers; none, and why, where no model can give them."""
    try:
        return champion.answering(shop, cutoff)[1].answer(history, found.keys)
    except (NotFoundError, LeakError, DamagedError) as error:
        say(f"Without forecasts: {error.got}")
        return None


def _portrait(shop: Shop, history: History, segmentation: Segmentation, user: str, cutoff: int, say: Say) -> Result:
    found = segmentation.of(history, cutoff, [user])
    said = portrait(history, user, found.of(user), cutoff, _outlook(shop, history, found, cutoff, say))
    page = Screen(f"{user} as of {history.clock.show(cutoff)}:", ("", ""), said.words)
    table = pl.DataFrame({"aspect": [each for each, _ in said.words], "words": [each for _, each in said.words]})
    return Result(said.plain() | {"as_of": history.clock.show(cutoff)}, table, "portrait", (page,))


def _profiles(told: Segments, stands: str) -> Screen:
    rows = tuple(
        (str(row["segment"]), row["name"], count(row["customers"]), percent(row["share"]) if row["customers"] else "–", row["words"])
        for row in told.profiles().iter_rows(named=True)
    )
    stable = "not known" if math.isnan(told.stability) else f"{told.stability:.2f}"
    below = (f"Stability: {stable}, the mean adjusted Rand index over resamples of the customers; from 0.80 on the division is stable.",)
    return Screen(
        f"Customers by {told.way} as of {stands}:", ("id>", "segment", "customers>", "share>", "what sets them apart"), rows, below
    )


def _answers(told: Segments) -> list[Screen]:
    """Return what is forecast of each segment; nothing where nothing is."""
    chances = [name for name in told.figures if name.startswith("p_purchase_")]
    if not chances:
        return []
    money = [name for name in _MONEY if name in told.figures]
    heads = (
        "segment",
        *(f"buys ≤ {name.removeprefix('p_purchase_')}>" for name in chances),
        "orders>",
        *(f"{_HEADS[name]}>" for name in money),
    )
    rows = []
    for place, one in enumerate(told.segments):
        values = [told.figures[name][place] for name in chances]
        further = [told.figures[name][place] for name in ("expected_orders", *money)]
        rows.append((one.name, *(_or_dash(each, percent) for each in values), *(_or_dash(each, count) for each in further)))
    below = ("Means of each segment: chances to buy, orders within the longest horizon, the next order's amount, spend within a year.",)
    return [Screen("What is forecast of them:", heads, tuple(rows), below)]


_HEADS: Final = {"amount_mean": "next order", "clv": "in a year"}


def _or_dash(value: float, shown: Any) -> str:
    return "–" if math.isnan(value) else str(shown(value))


def _moves(moved: pl.DataFrame, since: str) -> Screen:
    rows = tuple(
        (row["from_name"] or "(not known yet)", row["to_name"], count(row["customers"]), percent(row["share"]))
        for row in moved.iter_rows(named=True)
    )
    return Screen(f"Where customers went since {since}:", ("from", "to", "customers>", "share of those>"), rows)


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value

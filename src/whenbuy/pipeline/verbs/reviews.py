"""Say what customers say: what `whenbuy reviews` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.errors import NotEnoughDataError, NotFoundError, UsageError
from whenbuy.core.history import History
from whenbuy.core.text import label
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.reviewing.opinions import By, Opinions, opinions
from whenbuy.pipeline.reviewing.pairs import pair_ratings
from whenbuy.pipeline.reviewing.reviews import GROUPS
from whenbuy.pipeline.reviewing.writers import writers
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import percent
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

_LISTED: Final = 15


def reviews(
    folder: Path | None, as_of: str | None, *, items: Sequence[str], categories: Sequence[str], by: By | None, out: Path | None, say: Say
) -> Result:
    """Return what customers say of each item (or category, or month), the topics, and where opinion falls.

    Raises
    ------
    UsageError
        When items and categories were named at once, or a file has another ending.
    NotFoundError
        When nothing that was named has a review.
    NotEnoughDataError
        When there is no review.
    """
    if out is not None:
        require_ending(out)
    wanted, named = _asked(items, categories, by)
    history, cutoff = _history(folder, as_of, say)
    say("reading the reviews")
    found = opinions(history, cutoff)
    by_what = wanted or found.usual
    frame = found.frame(by_what)
    if named:
        frame = _named(frame, named, GROUPS[by_what])
    falls = int(frame["falling"].sum()) if "falling" in frame.columns else 0
    topics = found.topic_frame()
    facts = {
        "as_of": history.clock.show(cutoff), "reviews": len(found), "scale": list(found.reviews.scale), "outside": found.reviews.outside,
        "falling": falls, "notes": list(found.notes), "topics": topics.to_dicts(), "files": [] if out is None else [str(out)],
    }  # fmt: skip
    if out is not None:
        write_frame(frame, out)
        return Result(facts, after=(*found.notes, f"What is said of {len(frame):,} things as of {facts['as_of']} is in {out}."))
    screens = (_things(frame, by_what, len(found), str(facts["as_of"])), *_falling(frame, by_what), *_topics(topics))
    return Result(facts, frame, "things", screens, after=found.notes)


def reviewers(folder: Path | None, as_of: str | None, *, horizon: float, out: Path | None, say: Say) -> Result:
    """Return who will review within so many days, and which rating she would give.

    Raises
    ------
    NotEnoughDataError
        When the log has no reviews or is too short.
    """
    if out is not None:
        require_ending(out)
    history, cutoff = _history(folder, as_of, say)
    say("reading the reviews")
    found = opinions(history, cutoff)
    say("learning who reviews")
    told = writers(history, found, cutoff, horizon_days=horizon)
    frame = told.frame()
    facts = {
        "as_of": history.clock.show(cutoff), "horizon_days": horizon, "model": told.chance.model, "losses": told.losses,
        "notes": [*found.notes, *told.notes], "files": [] if out is None else [str(out)], **_pairs(found),
    }  # fmt: skip
    if out is not None:
        write_frame(frame, out)
        return Result(facts, after=(*told.notes, f"How likely {len(frame):,} customers review within {horizon:g} days is in {out}."))
    shown = frame.sort("p_review", descending=True).head(_LISTED)
    stars = "rating" in frame.columns
    rows = tuple(
        (label(row["user_id"]), percent(row["p_review"]))
        + ((f"{row['rating']:.1f} ({row['rating_low']:.1f} to {row['rating_high']:.1f})",) if stars else ())
        for row in shown.iter_rows(named=True)
    )
    heads = ("customer", "reviews>", *(("rating, 80 %>",) if stars else ()))
    below = (f"{len(frame) - len(rows):,} more: --out FILE has them all.",) if len(frame) > len(rows) else ()
    return Result(facts, frame, "customers", (Screen(f"Who reviews within {horizon:g} days:", heads, rows, below),), after=told.notes)


def _pairs(found: Opinions) -> dict[str, float]:
    """Return how far the ratings of pairs were off on the latest ones, beside the item's own mean."""
    try:
        told = pair_ratings(found)
    except NotEnoughDataError:
        return {}
    return {"rating_error": told.error, "rating_error_floor": told.floor}


def _history(folder: Path | None, as_of: str | None, say: Say) -> tuple[History, int]:
    shop = find_shop(folder)
    shop.settings(RULES)
    history = open_log(shop.log)
    instant = moment(history, as_of, say)
    return history, history.end if instant is None else instant


def _asked(items: Sequence[str], categories: Sequence[str], by: By | None) -> tuple[By | None, tuple[str, ...]]:
    """Return by what the answer is grouped, and what was named."""
    if items and categories:
        raise UsageError("Items and categories were named at once.", "One of them is answered.", "Run it once for each.")
    meant: By | None = "item" if items else "category" if categories else None
    if meant is not None and by not in (None, meant):
        raise UsageError(f"{meant} was named, and --by {by} asked for.", "What is named is what is listed.", f"Leave out --by {by}.")
    return meant or by, tuple(items or categories)


def _named(frame: pl.DataFrame, named: tuple[str, ...], column: str) -> pl.DataFrame:
    found = frame.filter(pl.col(column).is_in(named))
    if not len(found):
        shown = ", ".join(label(name) for name in named[:5])
        raise NotFoundError(
            f"There is no review of {shown}.", f"{column} names what a review is about.", "Run it without a name to see all."
        )
    return found


def _things(frame: pl.DataFrame, by: By, total: int, as_of: str) -> Screen:
    column = GROUPS.get(by, by)
    rows = tuple(
        (
            label(str(row[column])), f"{row['reviews']:,}", _stars(row["mean_rating"]), _stars(row["expected_rating"]),
            "–" if row["sentiment"] is None else percent(row["sentiment"]), (row["topics"] or "").split("; ")[0], *_arrow(row),
        )
        for row in frame.head(_LISTED).iter_rows(named=True)
    )  # fmt: skip
    heads = (by, "reviews>", "mean>", "expected>", "content>", "first topic", *(("opinion",) if by != "month" else ()))
    below = [f"{len(frame) - len(rows):,} more: --out FILE has them all."] if len(frame) > len(rows) else []
    below.append(
        "expected: the mean, drawn towards that of all where reviews are few; content: the chance of a good rating, read off texts."
    )
    return Screen(f"What {total:,} reviews say as of {as_of}:", heads, rows, tuple(below))


def _arrow(row: dict[str, object]) -> tuple[str, ...]:
    return () if "falling" not in row else ("falls",) if row["falling"] else ("",)


def _falling(frame: pl.DataFrame, by: By) -> tuple[Screen, ...]:
    if "falling" not in frame.columns or not frame["falling"].any():
        return ()
    found = frame.filter(pl.col("falling")).sort("p_value").head(_LISTED)
    rows = tuple((label(str(name)), words) for name, words in found.select(GROUPS[by], "words").iter_rows())
    return (Screen("Where opinion falls:", (by, ""), rows, ("Of these, one in ten at most is expected to be luck.",)),)


def _topics(topics: pl.DataFrame) -> tuple[Screen, ...]:
    if not len(topics):
        return ()
    rows = tuple((row["topic"], percent(row["share"]), _stars(row["mean_score"])) for row in topics.iter_rows(named=True))
    return (Screen("What they speak of:", ("topic", "share>", "rating>"), rows),)


def _stars(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"

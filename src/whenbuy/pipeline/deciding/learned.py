"""What a shop's offers do: learned once, kept in the shop's folder as verified data, and learned anew when what it rests on changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from whenbuy.core.arrays import DAY
from whenbuy.core.effect import NONE
from whenbuy.core.errors import AccessError, DamagedError, NotEnoughDataError, NotFoundError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.core.progress import Say
from whenbuy.pipeline.deciding import kept
from whenbuy.pipeline.deciding.effects import DAYS, TYPES, OfferEffects, fit_effects
from whenbuy.pipeline.deciding.exposure import pilot
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.keeping.track import code_version, fingerprint
from whenbuy.pipeline.learning.catalogue import types

FOLDER: Final = "effects"
"""Where a shop keeps what was learned of its offers: a bundle like that of any model."""


def effects(
    shop: Shop, history: History, cutoff: int, model: str, *, offers: int, seed: int, again: bool = False, say: Say
) -> OfferEffects:  # fmt: skip
    """Return what the offers do, as of a moment.

    What is kept answers as long as it rests on the same log, moment, champion, plans, seed and code of whenbuy; otherwise it is learned
    anew and kept.

    Parameters
    ----------
    shop, history
        The shop, and its log.
    cutoff
        The moment: only what was known then is learned from.
    model
        The id of the champion.
    offers
        How many offers a pilot would try at once, where one is proposed.
    seed
        Where chance starts.
    again
        Learn in any case, and do not look at what is kept.
    say
        Where words about the progress go.

    Raises
    ------
    NotEnoughDataError
        When nothing can be learned of what offers do; it says what to log, and how large a pilot must be.
    DamagedError
        When what is kept is not what was written.
    """
    place = shop.folder / FOLDER
    plans = _ripe(shop, history, cutoff)
    stands: dict[str, Any] = {
        "data": fingerprint(history), "cutoff": cutoff, "model": model, "plans": plans, "seed": seed, "code": code_version(),
    }  # fmt: skip
    if not again and (found := _kept(place, stands)) is not None:
        return found
    say("learning what the offers do")
    found = _learned(shop, history, cutoff, plans, offers, seed)
    try:
        bundle.save(place, found, stands)
    except AccessError:
        say(f"Not kept as {place}, since nobody may write there.")
    return found


def shows_offers(history: History) -> bool:
    """Return whether the log tells of any offer that was shown."""
    log = history.log
    return "shown" in log.kinds and "offer_id" in log.columns and log.count("shown") > 0


def _kept(place: Path, stands: Mapping[str, Any]) -> OfferEffects | None:
    """Return what is kept, where it rests on the same; None where it does not, or nothing is kept."""
    try:
        if dict(bundle.verify(place).about) != stands:
            return None
        found, _ = bundle.load(place, {**types(), **TYPES})
    except NotFoundError:
        return None
    except DamagedError as error:
        raise DamagedError(error.got, error.need, f"Learn it anew: `whenbuy plan --relearn`, or delete {place}.") from error
    if not isinstance(found, OfferEffects):
        raise DamagedError(f"{place} holds a {type(found).__name__}.", "Effects of offers are needed.", "`whenbuy plan --relearn`.")
    return found


def _learned(shop: Shop, history: History, cutoff: int, plans: list[str], offers: int, seed: int) -> OfferEffects:
    """Return what the offers do, from what earlier plans decided where that is enough, or else from what the log says was shown."""
    try:
        if plans:
            try:
                return fit_effects(history, _decisions(shop, plans), cutoff, seed=seed)
            except NotEnoughDataError:
                if not shows_offers(history):
                    raise
        return fit_effects(history, None, cutoff, seed=seed)
    except NotEnoughDataError as error:
        raise type(error)(error.got, error.need, f"{error.do} {proposal(history, offers, cutoff)}".strip()) from error


def proposal(history: History, offers: int, cutoff: int) -> str:
    """Return how large a pilot must be, in words, and how to draw it."""
    try:
        size = pilot(history, max(offers, 1), as_of=cutoff)
    except WhenbuyError:
        return "`whenbuy plan --pilot` draws who is sent what by lot."
    return f"{size.words()} `whenbuy plan --pilot` draws it."


def _ripe(shop: Shop, history: History, cutoff: int) -> list[str]:
    """Return the ids of the plans whose customers have had as long to buy as the effects look."""
    latest = cutoff - round((DAYS[-1] + history.lateness_days) * DAY)
    return [one.id for one in kept.in_force(shop) if int(one.about["made_at"]) <= latest]


def _decisions(shop: Shop, plans: list[str]) -> pl.DataFrame:
    """Return what plans decided, each as of the instant at which it was made."""
    columns = (
        pl.col("user_id"), pl.col("offer_id").fill_null(NONE), pl.col("channel"), pl.col("made_at").alias("send_at"), pl.col("propensity"),
    )  # fmt: skip
    return pl.concat([kept.read(shop, id).decisions.select(columns) for id in plans])

"""From a shop on disk to a model with its live state: the log, and behind it what only the journal holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from whenbuy.core.errors import AccessError, DamagedError, NotFoundError
from whenbuy.core.history import History
from whenbuy.pipeline.extending.extensions import stored_types
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.serve.bringing import standing
from whenbuy.serve.entrance import rules_of
from whenbuy.serve.journal import Journal
from whenbuy.serve.lens import Lens
from whenbuy.serve.live import LiveState
from whenbuy.serve.upkeep import Ready

_PAGE: Final = 10_000
_STRANGER: Final = "nobody that is known"


def readied(shop: Shop, journal: Journal, id: str | None, now: Callable[[], int]) -> Ready:
    """Return a model of a shop (the champion, where none is named) with its live state, after it answered once.

    Raises
    ------
    NotFoundError
        When there is no such model, or no champion.
    DamagedError, InputError
        When the model or the log is not what was written.
    """
    id, forecaster = Registry(shop.models).answering(stored_types(shop.folder), id)
    if not isinstance(forecaster, Forecaster):
        raise DamagedError(f"The model {id} is a {type(forecaster).__name__}.", "A forecaster is needed.", "Run `whenbuy fit` again.")
    history, place = standing(journal, shop)
    see, live = Lens.of(rules_of(shop).own, history).see, _state(shop, history, forecaster, place)
    known_at = int(np.max(history.log.known_at)) if len(history.log) else None
    while page := list(journal.events(live.seq, _PAGE)):
        for seq, event in page:
            live.apply(seq, see(event))
            known_at = event.known_at if known_at is None else max(known_at, event.known_at)
    some = history.log.users.ids.head(1).to_list()
    live.forecasts([*some, _STRANGER], max(now(), 0 if known_at is None else known_at + 1))
    return Ready(id, live, known_at)


def folder_of(shop: Shop) -> Path:
    """Return where what belongs to the running system of a shop lies."""
    return shop.folder / "live"


def _state(shop: Shop, history: History, forecaster: Forecaster, after: int) -> LiveState:
    try:
        return LiveState.restore(folder_of(shop), history, forecaster, after=after)
    except (NotFoundError, DamagedError, AccessError):  # the log and the journal hold everything
        return LiveState.of(history, forecaster, after=after)

"""The champion of a shop: what becomes of a model that was just learned, and which model answers as of a moment."""

from __future__ import annotations

import time

from whenbuy.core.errors import DamagedError, NotFoundError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.pipeline.extending.extensions import stored_types
from whenbuy.pipeline.judging import gate
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.keeping.track import Run
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.verbs.intake import Say


def keep(shop: Shop, forecaster: Forecaster, run: Run, zone: str) -> str:
    """Return the id under which a model is now kept, with all that is known of how it was made."""
    about = {
        "made": run.started, "known_until": forecaster.known_until, "zone": zone, "horizons": list(forecaster.horizons),
        "scores": gate.scores(forecaster.choices), "data": run.data, "code": run.code, "run": run.id, "seed": run.seed,
        "settings": run.settings["settings"],
    }  # fmt: skip
    registry = Registry(shop.models)
    id = registry.keep(forecaster, about, run.started)
    registry.prune(id)
    return id


def succeed(shop: Shop, id: str, forecaster: Forecaster, history: History) -> tuple[bool, tuple[str, ...]]:
    """Make a fresh model the champion where it passes the gate; return whether it is the champion now, and what is to be said of that.

    A model that learned from less than the champion, as a fit as of an earlier moment does, is no challenger: it answers for its own time.

    Raises
    ------
    GateError
        When it is refused.
    """
    registry = Registry(shop.models)
    former = registry.champion()
    if former == id:
        return True, (f"The same was learned as before: {id} answers on.",)
    before, lost = _former(registry, former)
    if before is not None and forecaster.known_until < before.known_until:
        return False, (f"Kept as {id}. {former} knows more and answers on; `predict --as-of` uses {id} for moments before that.",)
    verdict = gate.judge(forecaster, before, history)
    verdict.require(id, former)
    registry.promote(id, "fit", time.time_ns() // 1000, verdict.words)
    return True, (*lost, *verdict.notes, f"Kept as {id}, which answers from now on.")


def answering(shop: Shop, instant: int | None = None) -> tuple[str, Forecaster]:
    """Return the champion and its id; for a moment before what it knows, the kept model that knew most by then, where there is one.

    Raises
    ------
    NotFoundError
        When the shop has no champion.
    DamagedError
        When it is not what was written.
    """
    registry = Registry(shop.models)
    if registry.champion() is None:
        if kept := len(registry.ids()):
            raise NotFoundError(
                f"{kept} models are kept in {shop.folder}, and none is the champion.", "A forecast needs one that answers.",
                "`whenbuy models` lists them; promote one.",
            )  # fmt: skip
        raise NotFoundError(f"{shop.folder} has no model yet.", "A forecast needs one.", "Run `whenbuy fit` there first.")
    types = stored_types(shop.folder)
    id, found = registry.answering(types)
    if instant is not None and isinstance(found, Forecaster) and instant < found.known_until:
        id, found = registry.answering(types, registry.known_by(instant) or id)
    return id, _require_forecaster(id, found)


def kept(registry: Registry, id: str) -> Forecaster:
    """Return a kept model; raises DamagedError where it is no forecaster, and as ``Registry.load``."""
    return _require_forecaster(id, registry.load(id, stored_types(registry.folder.parent))[0])


def customers(shop: Shop, instant: int, say: Say) -> Forecaster | None:
    """Return what was learned of the customers as of a moment; none, and say so, where the shop has no model yet."""
    try:
        return answering(shop, instant)[1]
    except NotFoundError:
        say("Nothing was learned of the customers yet (`whenbuy fit`): the series speak alone.")
        return None


def _former(registry: Registry, id: str | None) -> tuple[Forecaster | None, tuple[str, ...]]:
    """Return the champion to compare with; none, and why, where it cannot be read: then a new model takes its place."""
    if id is None:
        return None, ()
    try:
        return kept(registry, id), ()
    except WhenbuyError as error:
        return None, (f"The champion {id} could not be compared with: {error.got}",)


def _require_forecaster(id: str, found: object) -> Forecaster:
    if not isinstance(found, Forecaster):
        raise DamagedError(f"The model {id} is a {type(found).__name__}.", "A forecaster is needed.", "Run `whenbuy fit` again.")
    return found

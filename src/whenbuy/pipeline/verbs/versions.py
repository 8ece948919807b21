"""What `whenbuy models` does: list, show, compare, promote and verify the models that a shop keeps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.clock import Clock
from whenbuy.core.errors import DamagedError, InputError, NotEnoughDataError, NotFoundError, UsageError, WhenbuyError
from whenbuy.core.forecast import instants
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.judging import gate
from whenbuy.pipeline.keeping.bundle import Manifest
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs.champion import kept
from whenbuy.pipeline.verbs.figures import choice_table, score_table, shown
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import at, find_shop


def list_models(folder: Path | None) -> Result:
    """Return every model kept, the latest first: when it was made, what it knows, how it fared; and which is the champion."""
    registry = Registry(find_shop(folder).models)
    said: tuple[str, ...] = ()
    try:
        champion = registry.champion()
    except InputError as error:
        champion, said = None, (f"{error.got} {error.do}",)
    rows = [_row(registry, id, id == champion) for id in reversed(registry.ids())]
    table = pl.DataFrame([row for row, _ in rows], schema=dict(_COLUMNS))
    said = (*said, *(() if rows else (f"No model is kept yet. Next: whenbuy fit{at(folder)}",)))
    page = Screen(
        "Models, the latest first:", ("", "model", "made", "known until", "error of purchase>", "beside the floor>", "answers"),
        tuple(cells for _, cells in rows), ("→ answers now",),
    )  # fmt: skip
    return Result({"champion": champion}, table, "models", (page,) if rows else (), after=said)


def show(folder: Path | None, name: str | None) -> Result:
    """Return all that is known of one model (the champion, by default) and of the candidates that it was chosen from."""
    registry = Registry(find_shop(folder).models)
    id = _one(registry, name)
    manifest, forecaster = registry.verify(id), kept(registry, id)
    clock = Clock(str(manifest.about.get("zone", "UTC")))
    steps = [{"at": _moment(step.at), "how": step.how, "why": step.why} for step in registry.steps() if step.id == id]
    facts = {
        "id": id, "champion": id == registry.champion(), **manifest.about, "made": _moment(manifest.about.get("made")),
        "known_until": clock.show(forecaster.known_until), "whenbuy": manifest.whenbuy, "format": manifest.format,
        "bytes": _size(manifest), "answers": {answer: model.name for answer, model in forecaster.models.items()},
        "notes": list(forecaster.notes), "steps": steps,
    }  # fmt: skip
    page = Screen("", ("", ""), tuple((name, _text(value)) for name, value in facts.items()))
    return Result(facts, choice_table(forecaster.choices), "choices", (page, screen.choices(forecaster.choices)))


def compare(folder: Path | None, first: str, second: str | None, *, say: Say) -> Result:
    """Return the scores of two models (the second is the champion, by default) on the fairest weeks there are.

    Raises
    ------
    NotEnoughDataError
        When no window has closed yet.
    """
    shop = find_shop(folder)
    registry, history = Registry(shop.models), open_log(shop.log)
    ids = _one(registry, first), _one(registry, second)
    if ids[0] == ids[1]:
        raise UsageError(f"{ids[0]} was compared with itself.", "Two models are needed.", "`whenbuy models` lists them.")
    ours, theirs = (kept(registry, id) for id in ids)
    say(f"asking {ids[0]} and {ids[1]} about the latest weeks")
    found = gate.match(ours, theirs, history)
    if found is None:
        raise NotEnoughDataError(
            "No window has closed in which the two could be compared.", "Forecasts are compared with what came.", "Come back later."
        )
    duels = shown(found.comparison, [days for days in ours.horizons if days <= found.weeks.days])
    cutoffs = [history.clock.show(cutoff) for cutoff in found.weeks.cutoffs.tolist()]
    learned = [id for id, knew in zip(ids, found.weeks.learned, strict=True) if knew]
    facts = {
        "models": list(ids), "cutoffs": cutoffs, "days": found.weeks.days, "forecasts": found.comparison.keys,
        "users": found.comparison.users, "learned_from_them": learned,
    }  # fmt: skip
    table = score_table(found.comparison, [duel.name for duel in duels], ("first", "second"))
    span = cutoffs[0] if len(cutoffs) == 1 else f"{len(cutoffs)} weekly cutoffs, {cutoffs[0]} to {cutoffs[-1]}"
    page = screen.scores(duels, f"{found.comparison.keys:,} forecasts as of {span}, against what came:", ids[1], ids[0])
    fair = "Neither model has learned from these weeks." if not learned else f"Not a fair test: {' and '.join(learned)} learned from them."
    return Result(facts, table, "scores", (page,), after=(fair,))


def promote(folder: Path | None, name: str | None, *, force: bool, back: bool, say: Say) -> Result:
    """Let a model answer from now on, if it passes the gate or is forced; or go back to the one that answered before.

    Raises
    ------
    GateError
        When it does not pass: whoever answered answers on.
    """
    if back == (name is not None) or (back and force):
        raise UsageError(
            "One thing is promoted: a model or, with --back, the one before the champion.", "It is typed as: whenbuy models promote ID",
            "Name a model, or say --back.",
        )  # fmt: skip
    shop = find_shop(folder)
    registry = Registry(shop.models)
    with shop.writing():
        found = (registry.back(_now()), ()) if name is None else _promote(registry, shop, registry.find(name), force, say)
    id, words = found
    return Result({"champion": id, "forced": force, "gate": list(words)}, line=id, after=(*words, f"{id} answers from now on."))


def verify(folder: Path | None, name: str | None) -> Result:
    """Check every byte of one model, or of all of them and of the list of champions.

    Raises
    ------
    DamagedError
        When one is not what was written.
    """
    registry = Registry(find_shop(folder).models)
    ids = registry.ids() if name is None else (registry.find(name),)
    champion = registry.champion()
    if name is None and champion is not None and champion not in ids:
        raise DamagedError(f"The champion {champion} is not there.", "It must be kept.", "Run `whenbuy models promote --back`.")
    rows, failed = [], []
    for id in ids:
        try:
            manifest = registry.verify(id)
        except WhenbuyError as error:
            failed.append(error)
        else:
            rows.append((id, _size(manifest), manifest.digest))
    if failed:
        some = f"{len(failed)} of {len(ids)} models cannot be used: " if len(ids) > 1 else ""
        raise type(failed[0])(some + " ".join(error.got for error in failed), failed[0].need, failed[0].do)
    table = pl.DataFrame(rows, {"id": pl.String, "bytes": pl.Int64, "sha256": pl.String}, orient="row")
    page = Screen("", ("model", "bytes>", "sha256"), tuple((id, f"{size:,}", digest) for id, size, digest in rows))
    return Result({"champion": champion}, table, "models", (page,) if rows else (), after=(f"{len(rows)} of {len(ids)} models are whole.",))


# ------------------------------------------------------------------------------------------- what they share


def _promote(registry: Registry, shop: Shop, id: str, force: bool, say: Say) -> tuple[str, tuple[str, ...]]:
    challenger = kept(registry, id)
    try:
        verdict = _judged(registry, shop, id, challenger, say)
    except WhenbuyError as error:
        if not force:
            raise
        verdict = gate.Verdict(notes=(f"Not judged: {error.got}",))
    if verdict is None:
        return id, ("It was the champion already.",)
    if not force:
        verdict.require(id, registry.champion())
    registry.promote(id, "force" if force else "promote", _now(), verdict.words)
    return id, (*verdict.against, *verdict.notes)


def _judged(registry: Registry, shop: Shop, id: str, challenger: Forecaster, say: Say) -> gate.Verdict | None:
    """Return what the gate says of a model; none where it is the champion."""
    champion = registry.champion()
    if champion == id:
        return None
    say("comparing with the champion" if champion else "looking at how it was chosen")
    return gate.judge(challenger, None if champion is None else kept(registry, champion), open_log(shop.log))


def _one(registry: Registry, name: str | None) -> str:
    """Return the id of the model named; of the champion where none is."""
    if name is not None:
        return registry.find(name)
    champion = registry.champion()
    if champion is None:
        raise NotFoundError("There is no champion yet.", "A model must be named.", "`whenbuy models` lists those that are kept.")
    return champion


_COLUMNS: Final[Mapping[str, Any]] = {
    "id": pl.String, "champion": pl.Boolean, "made": pl.Datetime("us", "UTC"), "known_until": pl.Datetime("us", "UTC"), "code": pl.String,
    "answers": pl.String, "purchase_error": pl.Float64, "low": pl.Float64, "high": pl.Float64, "damage": pl.String,
}  # fmt: skip


def _row(registry: Registry, id: str, champion: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return one model as a row of the table, and as it is shown."""
    mark = "→" if champion else ""
    try:
        about = registry.verify(id).about
    except WhenbuyError as error:
        return {"id": id, "champion": champion, "damage": error.got}, (mark, id, "", "", "", "", "cannot be used")
    scores: Mapping[str, Any] = about.get("scores", {})
    best, clock = scores.get("purchase", {}), Clock(str(about.get("zone", "UTC")))
    answers = "; ".join(f"{answer}: {one['model']}" for answer, one in scores.items())
    row = {
        "id": id, "champion": champion, "made": _moment(about.get("made")), "known_until": _moment(about.get("known_until")),
        "code": about.get("code"), "answers": answers, "purchase_error": best.get("value"), "low": best.get("low"),
        "high": best.get("high"),
    }  # fmt: skip
    beside = "is the floor" if best.get("floor") else "" if best.get("low") is None else f"{best['low']:+.4f} … {best['high']:+.4f}"
    made, known = (clock.show(about[part]) if part in about else "" for part in ("made", "known_until"))
    value = "" if best.get("value") is None else f"{best['value']:.4f}"
    return row, (mark, id, made[:16], known, value, beside, answers)


def _moment(instant: int | None) -> Any:
    return None if instant is None else instants(np.array([instant], np.int64))[0]


def _size(manifest: Manifest) -> int:
    return sum(size for size, _ in manifest.files.values())


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_text(part)}" for name, part in value.items())
    return "; ".join(map(_text, value)) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)


def _now() -> int:
    return time.time_ns() // 1000

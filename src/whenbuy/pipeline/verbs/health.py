"""The health of a shop: its settings, its log, its models and its lock; and of the cache in which compiled loops are kept."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from whenbuy.clean import RULES
from whenbuy.core.errors import AccessError, BusyError, NotFoundError, WhenbuyError
from whenbuy.core.kernel import cache_folder
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping import track
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.pipeline.verbs.finding import Finding, failed
from whenbuy.pipeline.verbs.place import find_shop

_WARM = 20
"""Compiled loops from which the cache counts as warm."""


def cache() -> Iterator[Finding]:
    """Yield whether compiled loops can be kept, and whether they are."""
    folder = cache_folder()
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield Finding(
            "whenbuy", "compiled loops", f"{folder}: {error.strerror}", "bad",
            "Make it writable, or name another folder in WHENBUY_CACHE: else every start compiles again.", AccessError.exit_code,
        )  # fmt: skip
        return
    if os.name == "posix" and folder.stat().st_mode & stat.S_IWOTH:
        yield Finding(
            "whenbuy", "compiled loops", f"everybody may write to {folder}", "bad", f"chmod 700 {folder}", AccessError.exit_code
        )  # fmt: skip
        return
    count = sum(1 for _ in folder.rglob("*.nbi"))
    if count < _WARM:
        yield Finding(
            "whenbuy", "compiled loops", f"{count} in {folder}", "note", "The first fit compiles the rest: about a minute longer."
        )
    else:
        yield Finding("whenbuy", "compiled loops", f"{count} in {folder}")


def health(folder: Path | None) -> Iterator[Finding]:
    """Yield what is found in a shop; nothing where none is named and one does not stand in one."""
    try:
        shop = find_shop(folder)
    except NotFoundError as error:
        if folder is not None:
            yield failed("shop", "folder", error)
        else:
            yield Finding("shop", "folder", f"{Path.cwd()} is in no shop", "note", "Look at one with --shop DIR.")
        return
    yield Finding("shop", "folder", str(shop.folder))
    for name, look in (("settings", _settings), ("writing", _writing), ("log", _log), ("models", _models), ("runs", _runs)):
        yield _looked(name, look, shop)


def _looked(name: str, look: Callable[[Shop], Finding], shop: Shop) -> Finding:
    try:
        return look(shop)
    except WhenbuyError as error:
        return failed("shop", name, error)
    except OSError as error:
        return failed("shop", name, AccessError(f"{error.filename}: {error.strerror}.", "It must be readable.", "Look at its permissions."))


def _settings(shop: Shop) -> Finding:
    shop.settings(RULES)
    return Finding("shop", "settings", str(shop.file.name))


def _writing(shop: Shop) -> Finding:
    try:
        with shop.writing():
            return Finding("shop", "writing", "nobody is writing")
    except BusyError as error:
        return Finding("shop", "writing", error.got, "note", error.do)
    except AccessError as error:
        return Finding("shop", "writing", error.got, "note", "It can be read: forecasts go where they are asked for.")


def _log(shop: Shop) -> Finding:
    history = open_log(shop.log, verify=True)
    log, clock = history.log, history.clock
    reach = f", {clock.show(log.start)} to {clock.show(log.end)}" if len(log) else ""
    return Finding("shop", "log", f"whole: {len(log):,} events of {len(log.users):,} customers{reach}")


def _models(shop: Shop) -> Finding:
    registry = Registry(shop.models)
    ids, champion = registry.ids(), registry.champion()
    if not ids:
        return Finding("shop", "models", "none yet", "note", "whenbuy fit")
    for id in ids:
        registry.verify(id)
    if champion is None:
        return Finding("shop", "models", f"{len(ids)} whole, none answers", "note", "whenbuy models promote ID")
    registry.load(champion, types())
    return Finding("shop", "models", f"{len(ids)} whole; {champion} answers")


def _runs(shop: Shop) -> Finding:
    return Finding("shop", "runs", f"{len(track.recorded(shop.runs))} recorded")

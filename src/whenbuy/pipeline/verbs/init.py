"""From sources to the log of a shop, or to a history in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from whenbuy.clean import RULES, clean
from whenbuy.config import FILE, Settings, ShopSettings, SourceSettings
from whenbuy.core.history import History
from whenbuy.ingest.read import read as read_source
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs.intake import Say, founding, rules, take_in
from whenbuy.pipeline.verbs.place import at


def read(source: object = None, *, cleaned: bool = True, **options: Any) -> History:
    """Return the history of a source, cleaned by the default rules unless ``cleaned`` is False.

    ``options`` are those of ``whenbuy.ingest.read.read``: columns, kinds, timezone, layout, currency, lateness_days, now, query.
    """
    history = read_source(source, **options).history
    return clean(history, rules(history), now=options.get("now")).history if cleaned else history


def init(
    folder: Path,
    sources: Sequence[Path | str] = (),
    *,
    columns: Mapping[str, str],
    kinds: Mapping[str, str],
    timezone: str | None = None,
    currency: str | None = None,
    layout: str | None = None,
    say: Say,
    now: datetime | None = None,
) -> Result:
    """Make a shop of its sources: read, clean and store its log; keep every row that was taken out, with the reason.

    Where nothing but an existing shop is named, it is read again, as its whenbuy.toml says now.

    Parameters
    ----------
    folder
        What becomes the shop. Where making it fails, nothing is left there that was not there before.
    sources
        Files, folders or patterns.
    columns, kinds
        What is not to be guessed: our column -> the source's, the source's event -> our kind.
    timezone, currency, layout
        As for ``read``.
    say
        Where words about the progress go.
    now
        The instant after which nothing can have happened yet; this moment by default.

    Raises
    ------
    UsageError
        When a source is named for a folder that already is a shop, or none for one that is not.
    """
    if (folder / FILE).is_file() and not any((sources, columns, kinds, timezone, currency, layout)):
        result = read_again(folder, say, now)
    else:
        paths = tuple(str(Path(source).absolute()) for source in sources)
        shop = ShopSettings(folder.resolve().name, timezone or "UTC", currency or "")
        result = make(folder, Settings(shop, SourceSettings(paths, layout or ""), dict(columns), dict(kinds)), say, now)
    return replace(result, after=(*result.after, f"Next: whenbuy fit{at(folder)}"))


def make(folder: Path, settings: Settings, say: Say, now: datetime | None = None) -> Result:
    """Make a shop, whole or not at all: its settings, which make it one, come last."""
    with founding(folder):
        result, understood = take_in(folder, settings, say, now)
        Shop.create(folder, understood)
    return result


def read_again(folder: Path, say: Say, now: datetime | None = None) -> Result:
    """Read the sources of a shop again, as its settings say now."""
    shop = Shop(folder.resolve())
    with shop.writing():
        settings = shop.settings(RULES)
        sources = replace(settings.source, paths=tuple(map(str, shop.sources(settings))))
        return take_in(shop.folder, replace(settings, source=sources), say, now)[0]

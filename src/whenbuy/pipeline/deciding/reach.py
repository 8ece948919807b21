"""Whom a plan may contact: who agreed to which channel, by which clock she lives, and when she was contacted last."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from whenbuy.config import Settings
from whenbuy.core.arrays import Bools, Instants, Ints
from whenbuy.core.decision import Channel
from whenbuy.core.errors import ColumnError
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.decide.guards import Reachable

_YES: Final = ("true", "yes", "y", "1", "1.0", "opt-in", "opted in", "granted")
_NO: Final = ("false", "no", "n", "0", "0.0", "", "opt-out", "opted out", "denied", "revoked")


def reachable(history: History, keys: Keys, channels: tuple[Channel, ...], settings: Settings, sent: pl.DataFrame) -> Reachable:
    """Return whom a plan may contact.

    Consent is what the customers' profile says before the cutoff, or a later ``subscribe`` or ``unsubscribe`` (of the channel, or of all
    where the event names none). Where nothing says so, nobody agreed.

    Parameters
    ----------
    history
        The shop's log and profiles.
    keys
        The customers, all at one cutoff (n).
    channels
        The channels that there are.
    settings
        Which attributes say who agreed, and who lives in which time zone.
    sent
        What earlier plans sent before the cutoff: user_id, send_at.

    Raises
    ------
    ColumnError
        When an attribute of consent says something that is neither yes nor no.
    """
    attributes = history.before(keys).attributes()
    consent = np.stack([_consent(history, keys, attributes, channel, settings) for channel in channels], axis=1)
    zone = settings.guards.timezone
    zones = (
        attributes[zone].cast(pl.String) if zone in attributes.columns else pl.Series([None], dtype=pl.String).new_from_index(0, len(keys))
    )
    owner, at = _contacts(history, keys, [channel.name for channel in channels], sent)
    return Reachable(consent, zones.replace("", None), owner, at)


def consent_column(settings: Settings, channel: str) -> str:
    """Return the attribute that says who agreed to be contacted on a channel."""
    return settings.channels[channel].consent or f"consent_{channel}"


def _consent(history: History, keys: Keys, attributes: pl.DataFrame, channel: Channel, settings: Settings) -> Bools:
    column = consent_column(settings, channel.name)
    agreed = np.zeros(len(keys), bool)
    if column in attributes.columns:
        said = attributes[column].cast(pl.String).str.to_lowercase().str.strip_chars()
        odd = said.filter(~said.is_in([*_YES, *_NO]) & said.is_not_null())
        if len(odd):
            raise ColumnError(
                f"{column!r} says {odd[0]!r} of {len(odd):,} customers.",
                "Consent is yes or no (true, false, 1, 0).",
                "Correct that column.",
            )
        agreed = said.is_in(_YES).fill_null(False).to_numpy().copy()
    for code, yes in _latest_word(history, keys, channel.name):
        agreed[code] = yes
    return agreed


def _latest_word(history: History, keys: Keys, channel: str) -> list[tuple[int, bool]]:
    """Return the last ``subscribe`` or ``unsubscribe`` of each customer for a channel or for all: position, and whether it says yes."""
    events = _events(history, keys, ("subscribe", "unsubscribe"))
    mine = events.filter(pl.col("channel").is_null() | (pl.col("channel") == channel))
    last = mine.group_by("row", maintain_order=True).last()
    return list(zip(last["row"].to_list(), (last["kind"] == "subscribe").to_list(), strict=True))


def _contacts(history: History, keys: Keys, channels: list[str], sent: pl.DataFrame) -> tuple[Ints, Instants]:
    """Return the earlier contacts, one per customer and day: shown on one of the channels (or on none that is named), or sent by a plan."""
    shown = _events(history, keys, ("shown",)).filter(pl.col("channel").is_null() | pl.col("channel").is_in(channels))
    places = pl.DataFrame({"user_id": keys.ids(), "row": np.arange(len(keys))})
    planned = sent.join(places, on="user_id").select("row", pl.col("send_at").dt.epoch("us").alias("time"))
    both = pl.concat([shown.select("row", "time"), planned], how="vertical_relaxed")
    day = pl.Series("day", history.clock.days(both["time"].to_numpy().astype(np.int64)), dtype=pl.Int64)
    each = both.with_columns(day).group_by("row", "day").agg(pl.col("time").max()).sort("row", "time")
    return each["row"].to_numpy().astype(np.int64), each["time"].to_numpy().astype(np.int64)


def _events(history: History, keys: Keys, kinds: tuple[str, ...]) -> pl.DataFrame:
    """Return the events of some kinds known before the cutoff, as they became known: row (of the customer), time, kind, channel."""
    log, cutoff = history.log, int(keys.cutoff.max(initial=0))
    wanted = [kind for kind in kinds if kind in log.kinds]
    codes = [log.code(kind) for kind in wanted]
    rows = np.flatnonzero(np.isin(log.kind, codes) & (log.known_at < cutoff)) if codes else np.empty(0, np.int64)
    place = np.full(max(len(log.users), len(keys.names)) + 1, -1, np.int64)
    place[keys.code] = np.arange(len(keys))
    owner = place[np.searchsorted(log.offsets, rows, side="right") - 1]
    channel = log.columns.get("channel")
    named = (
        channel.dictionary.names(channel.values[rows].astype(np.int32)) if channel is not None and channel.dictionary is not None else None
    )
    table = pl.DataFrame(
        {
            "row": owner, "time": log.time[rows], "known_at": log.known_at[rows],
            "kind": pl.Series(list(log.kinds), dtype=pl.String).gather(log.kind[rows]),
            "channel": pl.Series([None], dtype=pl.String).new_from_index(0, len(rows)) if named is None else named,
        }
    )  # fmt: skip
    return table.filter(pl.col("row") >= 0).sort("known_at", maintain_order=True)

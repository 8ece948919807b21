"""The verbs `serve` and `keys`: a shop's forecasts over HTTP, and who may ask for them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from time import time_ns
from typing import Any, Final, TextIO

import polars as pl

from whenbuy.core.errors import UsageError
from whenbuy.core.forecast import instants
from whenbuy.pipeline.keeping.audit import Audit
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs.place import at, find_shop
from whenbuy.serve.keys import KeyFile, Keys
from whenbuy.serve.limits import Limits
from whenbuy.serve.server import Address, is_own

_DAY: Final = 86_400_000_000
_COMPACT_S: Final = 300.0
Say = Callable[[str], None]


def microseconds() -> int:
    """Return this moment as an instant."""
    return time_ns() // 1_000


def key_file(shop: Shop) -> KeyFile:
    """Return where the keys of a shop are kept."""
    return KeyFile(shop.folder / "live" / "keys")


def serve(
    folder: Path | None,
    address: Address = Address(),  # noqa: B008 - it never changes
    *,
    limits: Limits | None = None,
    hooks: Collection[str] = (),
    compact_s: float = _COMPACT_S,
    state: str | None = None,
    say: Say,
    now: Callable[[], int] = microseconds,
    log: TextIO | None = None,
    stops: Callable[[Callable[[], None]], object] = lambda _: None,
) -> Result:
    """Serve a shop until SIGTERM or Ctrl-C: events in, forecasts out.

    Parameters
    ----------
    folder
        The shop's folder, or one in it.
    address
        Where it listens; at this machine's own address by default.
    limits
        How much it takes.
    hooks
        Addresses that are told when another model answers; see ``webhooks``.
    compact_s
        How often the journal is brought into the log, in seconds.
    state
        The address of a Valkey or Redis through which several workers of one shop tell each other what they learn.
    say
        Told what happens, in words.
    now
        Says what time it is.
    log
        Where the structured log goes; the error stream by default.
    stops
        Given what ends the server, for who serves in a thread.

    Raises
    ------
    UsageError
        When others than this machine could reach the address and there is no key.
    NotFoundError, AccessError, DamagedError, DependencyError
        When the shop, its model, its journal or the address cannot be used.
    """
    from whenbuy.serve.running import run
    from whenbuy.serve.webhooks import hooks_of

    shop = find_shop(folder)
    keys = _keys(shop, address, now())
    return run(
        shop,
        address,
        keys,
        limits or Limits(),
        hooks_of(tuple(hooks), os.environ),
        compact_s=compact_s,
        say=say,
        now=now,
        log=log or sys.stderr,
        environ=os.environ,
        state=state,
        stops=stops,
    )


def _keys(shop: Shop, address: Address, now: int) -> Keys:
    file, public = key_file(shop), not is_own(address.host)
    kept = file.keys()
    if public and not any(key.state(now) == "good" for key in kept):
        raise UsageError(
            f"{address.host} can be reached from elsewhere, and there is no key.", "No public address without keys.",
            f"Make one with `whenbuy keys new NAME{at(shop.folder)}`, or listen at 127.0.0.1.",
        )  # fmt: skip
    return Keys(file, public)


# ------------------------------------------------------------------------------------------------ keys


def list_keys(folder: Path | None, *, now: Callable[[], int] = microseconds) -> Result:
    """Return the keys that were ever made: what each may do and whether it is good. The keys themselves are kept nowhere."""
    shop, moment = find_shop(folder), now()
    kept = key_file(shop).keys()
    table = pl.DataFrame(
        {
            "id": [key.id for key in kept], "name": [key.name for key in kept], "may": [" ".join(key.scopes) for key in kept],
            "state": [key.state(moment) for key in kept], "made": _moments([key.made for key in kept]),
            "expires": _moments([key.expires for key in kept]), "revoked": _moments([key.revoked for key in kept]),
        },
        schema_overrides={"id": pl.String, "name": pl.String, "may": pl.String, "state": pl.String},
    )  # fmt: skip
    rows = tuple(
        tuple("" if cell is None else str(cell)[:16] if name in _WHEN else str(cell) for name, cell in row.items())
        for row in table.to_dicts()
    )
    page = Screen("Keys:", ("id", "name", "may", "state", "made", "expires", "revoked"), rows)
    none = f"There is no key. Next: whenbuy keys new NAME{at(folder)}"
    return Result({"folder": str(shop.folder)}, table, "keys", (page,) if rows else (), after=() if rows else (none,))


def new_key(folder: Path | None, name: str, may: Collection[str], days: float | None, *, now: Callable[[], int] = microseconds) -> Result:
    """Return a new key, which is shown this once; it may do what is named (scopes and roles), everything but ``admin`` where nothing is.

    Raises
    ------
    UsageError
        When a scope is not known, or the key would have expired already.
    """
    shop, moment = find_shop(folder), now()
    expires = None if days is None else moment + round(days * _DAY)
    key, secret = key_file(shop).issue(name, may or ("operator",), moment, expires)
    Audit(shop.folder).note("key.made", moment, key=key.id, may=list(key.scopes), expires=expires)
    facts = {"id": key.id, "key": secret, "may": list(key.scopes), "expires": None if expires is None else _shown(expires)}
    ends = "" if expires is None else f", until {_shown(expires)}"
    words = f"This is the only time that it is shown. It may: {', '.join(key.scopes)}{ends}."
    return Result(facts, line=secret, after=(words, f"To end it: whenbuy keys revoke {key.id}{at(folder)}"))


def revoke_key(folder: Path | None, id: str, *, now: Callable[[], int] = microseconds) -> Result:
    """Return that a key is refused from now on, by running servers too; raises NotFoundError where there is none of that id."""
    shop, moment = find_shop(folder), now()
    key = key_file(shop).revoke(id, moment)
    Audit(shop.folder).note("key.revoked", moment, key=key.id)
    return Result({"id": key.id, "revoked": _shown(key.revoked or 0)}, after=(f"The key {key.id} ({key.name}) is refused from now on.",))


def audit(folder: Path | None) -> Result:
    """Return what was done to a shop that decides who may ask it and which model answers, the earliest first.

    Raises
    ------
    DamagedError
        When a line of the audit log was changed or taken out.
    """
    acts = Audit(find_shop(folder).folder).acts()
    table = pl.DataFrame(
        {
            "at": _moments([act.at for act in acts]), "what": [act.what for act in acts], "by": [act.by for act in acts],
            "facts": [json.dumps(dict(act.facts), ensure_ascii=False) for act in acts],
        },
        schema_overrides={"what": pl.String, "by": pl.Int64, "facts": pl.String},
    )  # fmt: skip
    rows = tuple(
        (str(row["at"])[:19], row["what"], str(row["by"]), "; ".join(f"{name}: {_plain(said)}" for name, said in act.facts.items()))
        for row, act in zip(table.to_dicts(), acts, strict=True)
    )
    page = Screen("Audit:", ("at (UTC)", "what", "account", ""), rows)
    return Result({"acts": len(acts)}, table, "acts", (page,) if rows else (), after=() if rows else ("Nothing was done yet.",))


def _plain(said: object) -> str:
    return ", ".join(map(str, said)) if isinstance(said, list) else "never" if said is None else str(said)


_WHEN: Final = ("made", "expires", "revoked")


def _moments(found: list[Any]) -> pl.Series:
    return pl.Series(found, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))


def _shown(instant: int) -> str:
    return str(instants(pl.Series([instant]).to_numpy())[0])

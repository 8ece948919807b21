"""API keys: 256 bits of chance, shown once, kept as their sha256, with scopes and an end; a revoked key is refused at the next request."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from whenbuy.core.errors import DamagedError, NotFoundError, UsageError
from whenbuy.ingest.lock import told, writing
from whenbuy.pipeline.keeping.shop import write

Scope = Literal["events:write", "forecasts:read", "metrics:read", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""What a key may do; ``admin`` may do everything."""
ROLES: Final[Mapping[str, tuple[Scope, ...]]] = {
    "sender": ("events:write",), "reader": ("forecasts:read",), "operator": ("events:write", "forecasts:read", "metrics:read"),
    "admin": ("admin",),
}  # fmt: skip
"""Sets of scopes with a name: a till or a web shop sends, a mailing tool reads, who keeps a server running does both and sees metrics."""
FILE: Final = "keys.json"
_LIMIT: Final = 1 << 22
_FORMAT: Final = 1
_MOST: Final = 10_000
_NAME: Final = re.compile(r"[\w .@:-]{1,60}")


class Key(msgspec.Struct, frozen=True):
    """What is kept of one key: everything but the key.

    Parameters
    ----------
    id
        Its name in logs and commands; no secret.
    name
        What the shop calls it.
    digest
        The sha256 of the key. The key is 256 bits of chance: no list of guesses reaches it, so no slow hash is needed.
    scopes
        What it may do.
    made
        Instant at which it was made.
    expires
        Instant from which it is refused; None for never.
    revoked
        Instant at which it was revoked; None where it was not.
    """

    id: str
    name: str
    digest: str
    scopes: tuple[Scope, ...]
    made: int
    expires: int | None = None
    revoked: int | None = None

    def may(self, permission: str) -> bool:
        """Return whether it may do what a route asks for."""
        return permission in self.scopes or "admin" in self.scopes

    def state(self, now: int) -> Literal["good", "expired", "revoked"]:
        """Return whether it is good at an instant, and why not."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "good"


class _File(msgspec.Struct, frozen=True):
    format: int
    keys: tuple[Key, ...]


class KeyFile:
    """The keys of a shop, in one file that is replaced whole.

    Parameters
    ----------
    folder
        The folder of the file; made, for its owner alone, with the first key.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE

    def keys(self) -> tuple[Key, ...]:
        """Return all keys that were ever made, the earliest first.

        Raises
        ------
        DamagedError
            When the file is not what was written.
        AccessError
            When it cannot be read.
        """
        with told(self.folder):
            try:
                with self.path.open("rb") as file:
                    content = file.read(_LIMIT + 1)
            except FileNotFoundError:
                return ()
        try:
            if len(content) > _LIMIT:
                raise ValueError(f"more than {_LIMIT:,} bytes")
            found = msgspec.json.decode(content, type=_File)
            if found.format != _FORMAT:
                raise ValueError(f"the form {found.format}")
        except (ValueError, RecursionError) as error:
            raise DamagedError(
                f"{self.path} cannot be read ({error}).",
                "It holds the keys as they were written.",
                "Put back a copy, or delete it and make new keys.",
            ) from error
        return found.keys

    def issue(self, name: str, may: Collection[str], now: int, expires: int | None = None) -> tuple[Key, str]:
        """Return a new key's record, and the key itself, which is kept nowhere.

        Parameters
        ----------
        name
            What the shop calls it.
        may
            What it may do: scopes, and roles.
        now
            This moment, as an instant.
        expires
            Instant from which it is refused; None for never.

        Raises
        ------
        UsageError
            When a scope is not known, there is none, or the end lies before now.
        """
        scopes = {scope for said in may for scope in ROLES.get(said, (said,))}
        unknown = sorted(scopes - set(SCOPES))
        if unknown or not scopes:
            raise UsageError(
                f"{unknown[0]!r} is no scope and no role." if unknown else "No scope was named.",
                f"There are {', '.join(SCOPES)}, and the roles {', '.join(ROLES)}.",
                "Name what the key may do.",
            )
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name for a key.", "A name has up to 60 letters, digits and . @ : - _", "Name who will use it."
            )
        if expires is not None and expires <= now:
            raise UsageError("The key would have expired already.", "Its end lies in the future.", "Name a later moment.")
        with writing(self.folder):
            self.folder.chmod(0o700)
            kept = self.keys()
            if len(kept) >= _MOST:
                raise UsageError(f"There are {len(kept):,} keys.", f"At most {_MOST:,} are kept.", f"Delete {self.path} and make new ones.")
            id = secrets.token_hex(4)
            while any(key.id == id for key in kept):
                id = secrets.token_hex(4)
            secret = f"wb_{id}_{secrets.token_urlsafe(32)}"
            key = Key(id, name, digest(secret), tuple(scope for scope in SCOPES if scope in scopes), now, expires)
            self._put((*kept, key))
        return key, secret

    def revoke(self, id: str, now: int) -> Key:
        """Return the record of a key that is now refused; raises NotFoundError where there is none of that id."""
        with writing(self.folder):
            kept = self.keys()
            found = next((key for key in kept if key.id == id), None)
            if found is None:
                raise NotFoundError(f"There is no key {id!r}.", "A key is named by its id.", "`whenbuy keys` lists them.")
            gone = found if found.revoked is not None else msgspec.structs.replace(found, revoked=now)
            self._put(tuple(gone if key.id == id else key for key in kept))
        return gone

    def _put(self, keys: Iterable[Key]) -> None:
        write(self.path, msgspec.json.format(msgspec.json.encode(_File(_FORMAT, tuple(keys))), indent=1))


class Keys:
    """The keys as a server asks for them: it looks at the file before every answer, which costs a microsecond.

    Parameters
    ----------
    file
        Where they are kept.
    required
        Whether a key is needed even where there is none: at every address but the machine's own. Once there is a key, it is needed.

    Raises
    ------
    DamagedError, AccessError
        When the file cannot be read at the start. When that happens later, nobody is let in until it can.
    """

    def __init__(self, file: KeyFile, required: bool) -> None:
        self._file, self._place, self._required = file, str(file.path), required
        self._seen: object = ()
        self._known: dict[str, Key] = {}
        self._learn(file.keys())
        self._seen = self._stamp()

    @property
    def required(self) -> bool:
        """Whether who has no key is refused."""
        self._refresh()
        return self._required

    def find(self, secret: str) -> Key | None:
        """Return the record of a key, None where there is none."""
        self._refresh()
        return self._known.get(digest(secret))

    def _refresh(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        try:
            self._learn(self._file.keys())
        except Exception:
            self._known, self._required = {}, True
        self._seen = stamp

    def _learn(self, keys: Collection[Key]) -> None:
        self._known = {key.digest: key for key in keys}
        self._required = self._required or bool(keys)

    def _stamp(self) -> object:
        try:
            found = os.stat(self._place)  # noqa: PTH116 - asked with every request: half the time of Path.stat
        except OSError as error:
            return error.errno
        return found.st_ino, found.st_mtime_ns, found.st_size


def digest(secret: str) -> str:
    """Return the sha256 of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

"""Routes: what is asked, who may ask it, and who answers. A route that does not say who may ask it cannot be served."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from whenbuy.core.errors import UsageError
from whenbuy.serve.keys import SCOPES, Key
from whenbuy.serve.wire import JSON, refused

PUBLIC: Final = "public"
"""The permission of a route that anybody may ask."""
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class Request:
    """One request, as a route sees it.

    Parameters
    ----------
    scope
        What the server says of it (ASGI).
    argument
        The part of the path that differs, as it was sent.
    body
        Reads its body.
    key
        The key that it came with; None where none is needed.
    id
        Its number, as in the log.
    """

    __slots__ = ("_body", "argument", "id", "key", "scope")

    def __init__(self, scope: Mapping[str, Any], argument: str, body: Callable[[], Awaitable[bytes]], key: Key | None, id: str) -> None:
        self.scope, self.argument, self._body, self.key, self.id = scope, argument, body, key, id

    def body(self) -> Awaitable[bytes]:
        """Return its body, which can be read once."""
        return self._body()

    def header(self, name: bytes) -> str:
        """Return a header, empty where it is not there."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), "")

    def text(self) -> str:
        """Return the part of the path that differs, decoded."""
        try:
            return unquote(self.argument, errors="strict")
        except UnicodeDecodeError:
            raise refused(
                422, f"{self.argument[:60]!r} stands in the address.", "An address is UTF-8 text.", "Encode it as UTF-8."
            ) from None

    def query(self, *known: str) -> dict[str, str]:
        """Return what stands behind the question mark, where only these names may stand, each once."""
        raw = self.scope["query_string"]
        if not raw:
            return {}
        try:
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=20)
        except ValueError:
            raise refused(422, "What stands behind ? cannot be read.", "It is name=value&name=value.", "Correct the address.") from None
        found = dict(pairs)
        unknown = next((name for name in found if name not in known), None)
        if unknown is not None or len(found) < len(pairs):
            named = f"{unknown[:60]!r} stands" if unknown is not None else "A name stands twice"
            raise refused(422, f"{named} behind ?.", f"There may be: {', '.join(known) or 'nothing'}.", "Correct the address.")
        return found


class Reply(msgspec.Struct, frozen=True):  # made for every request
    """One answer."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Tell = Callable[[Reply | Exception], None]
"""Hears the answer of a request, or why there is none."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Parameters
    ----------
    method
        Such as ``GET``.
    path
        Its path, in which ``{name}`` stands for the part that differs.
    permission
        Who may ask: a scope, or ``public``.
    answer
        Answers; None where the application behind does.
    about
        Its description, as OpenAPI has it.
    at_once
        Answers a request whose body is there already, without a task of its own: the answer is told, once, now or later. What it raises
        it raises before. None where there is no such way.
    """

    method: str
    path: str
    permission: str | None
    answer: Callable[[Request], Awaitable[Reply]] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    at_once: Callable[[Request, bytes, Tell], None] | None = None


class Table:
    """All routes, found by method and path.

    Raises
    ------
    UsageError
        When a route does not say who may ask it, says it with a word that is no permission, or stands there twice.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._plain: dict[str, dict[str, Route]] = {}
        self._differing: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        patterns: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            _require_permission(route)
            by_path = patterns if _PARAMETER.search(route.path) else self._plain
            methods = by_path.setdefault(route.path, {})
            if route.method in methods:
                raise UsageError(f"{route.method} {route.path} is there twice.", "A route has one answer.", "Take one away.")
            methods[route.method] = route
        for path, methods in patterns.items():
            self._differing.append((re.compile("([^/]*)".join(map(re.escape, _PARAMETER.sub("\0", path).split("\0")))), methods))

    def find(self, path: str) -> tuple[Mapping[str, Route], str]:
        """Return the routes of a path by method, and the part of it that differs; none where there is no such path."""
        found = self._plain.get(path)
        if found is not None:
            return found, ""
        for pattern, methods in self._differing:
            if match := pattern.fullmatch(path):
                return methods, match[1]
        return {}, ""


def _require_permission(route: Route) -> None:
    if route.permission not in (PUBLIC, *SCOPES):
        said = "no permission" if route.permission is None else f"the permission {route.permission!r}"
        raise UsageError(
            f"{route.method} {route.path} declares {said}.", f"Every route declares one of: {', '.join((PUBLIC, *SCOPES))}.",
            "Say who may ask it.",
        )  # fmt: skip

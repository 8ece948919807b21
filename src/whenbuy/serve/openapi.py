"""The description of the API (OpenAPI 3.1), made from the table of routes and the structures that go over the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from whenbuy.pipeline.keeping.shop import version
from whenbuy.serve.limits import Limits
from whenbuy.serve.rest import PERMISSION
from whenbuy.serve.routes import PUBLIC, Route, Table
from whenbuy.serve.wire import Asked, Forecasted, Forecasts, Problem, Taken, encode

_REFERENCE: Final = "#/components/schemas/{name}"
_WHY: Final = {
    "401": "There is no key, or no good one.",
    "403": "The key may not do this.",
    "413": "The body is too long.",
    "415": "The body is compressed, or says that it is no JSON.",
    "422": "The request cannot be understood; the three parts say why.",
    "429": "Too many requests; Retry-After says how long to wait.",
    "500": "Something is wrong with the server.",
    "503": "The server cannot do it now; Retry-After says how long to wait.",
    "408": "The body did not come in time.",
}
_EVENT: Final = {
    "type": "object",
    "description": "One event, by the shop's own names: a time (ISO 8601 or an epoch), who, what, and what else is known of it.",
    "properties": {
        "event_id": {"type": ["string", "integer"], "description": "The sender's id: an event that is sent again is counted once."},
        "user_id": {"type": ["string", "integer", "null"]},
        "kind": {"type": "string", "description": "view, cart, purchase … or the shop's own word for it."},
        "time": {"description": "ISO 8601, or an epoch in s, ms, µs or ns."},
    },
    "examples": [{"event_id": "e1", "user_id": "u1", "kind": "view", "time": "2026-11-22T10:00:00Z", "item_id": "i7"}],
}
_ONE_OR_MANY: Final = {"oneOf": [_EVENT, {"type": "array", "items": _EVENT, "minItems": 1, "maxItems": 1000}]}


def document(table: Table, limits: Limits, answer: type, when: type, whole: type) -> bytes:
    """Return the description of all routes as JSON.

    Parameters
    ----------
    table
        The routes.
    limits
        What a server takes.
    answer, when, whole
        The structure of one forecast, of one that says only when she buys, and of one with all answers.
    """
    hot = _hot(limits)
    said: list[Any] = [Problem, answer, when, whole]
    paths: dict[str, dict[str, Any]] = {}
    for route in table.routes:
        about = dict(hot.get((route.method, route.path), route.about))
        said += [schema for _, schema in _schemas(about)]
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, about)
    unique = list(dict.fromkeys(kind for kind in said if isinstance(kind, type) and issubclass(kind, msgspec.Struct)))
    named, components = msgspec.json.schema_components(unique, ref_template=_REFERENCE)
    references = dict(zip(unique, named, strict=True))
    either = [references[kind] for kind in dict.fromkeys((when, answer, whole))]
    _say_what(components, {"anyOf": either} if len(either) > 1 else either[0])
    described = {
        "openapi": "3.1.0",
        "info": {"title": "whenbuy", "version": version(), "description": "Events in, forecasts out."},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }
    return encode(_resolved(described, references))


def _say_what(components: Mapping[str, Any], forecast: Mapping[str, Any]) -> None:
    """Put the structure of a forecast where forecasts stand."""
    for name, place, many in (("Forecasted", "forecast", False), ("Forecasts", "forecasts", True), ("Taken", "forecasts", True)):
        components[name]["properties"][place] = {"type": "array", "items": forecast} if many else forecast


def _hot(limits: Limits) -> dict[tuple[str, str], dict[str, Any]]:
    at = {"name": "at", "in": "query", "schema": {"type": "string"}, "description": "As of when; now where nothing is said."}
    forecast = {"name": "forecast", "in": "query", "schema": {"enum": ["true", "false", "1", "0"]}}
    answers = {
        "name": "answers", "in": "query", "schema": {"enum": ["when", "usual", "all"]},
        "description": "`when` she buys, the `usual` answers, or `all`. With an event it is `when`, else `usual`, where nothing is said.",
    }  # fmt: skip
    source = {"name": "source", "in": "query", "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,40}$"}}
    user = {"name": "user", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    body = {"application/json": {"schema": _ONE_OR_MANY}, "application/x-ndjson": {"schema": {"type": "string"}}}
    asked = {"application/json": {"schema": Asked}}
    some = f"Forecast up to {limits.most_users:,} users."
    return {
        ("POST", "/v1/events"): {
            "summary": "Send one event or up to 1,000: a JSON object, an array, or one object a line.",
            "parameters": [forecast, answers, source], "requestBody": {"required": True, "content": body},
            "responses": {"200": _answer("They are durable.", Taken), "422": _answer("Not one of them is an event.", Taken, Problem)},
        },
        ("GET", "/v1/forecasts/{user}"): {
            "summary": "Forecast one user.", "parameters": [user, at, answers], "responses": {"200": _answer("The forecast.", Forecasted)},
        },
        ("POST", "/v1/forecasts"): {
            "summary": some, "requestBody": {"required": True, "content": asked},
            "responses": {"200": _answer("The forecasts, in the order of the users.", Forecasts)},
        },
    }  # fmt: skip


def _answer(description: str, kind: type, problem: type | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": kind}}
    if problem is not None:
        content["application/problem+json"] = {"schema": problem}
    return {"description": description, "content": content}


def _operation(route: Route, about: Mapping[str, Any]) -> dict[str, Any]:
    responses = dict(about.get("responses", {}))
    statuses = {"429", "500", "503", "403"} | (set() if route.permission == PUBLIC else {"401"})
    statuses |= {"422"} if route.answer is not None else set()
    statuses |= {"408", "413", "415"} if route.method == "POST" else set()
    for status in sorted(statuses):
        responses.setdefault(status, {"description": _WHY[status], "content": {"application/problem+json": {"schema": Problem}}})
    for status, response in responses.items():
        if status == "503" and route.answer is None:
            response["content"] = {**response["content"], "application/problem+json": {"schema": Problem}}
    security: list[dict[str, list[str]]] = [] if route.permission == PUBLIC else [{"key": []}]
    name = f"{route.method.lower()}{route.path.replace('/', '_').replace('{', '').replace('}', '').replace('.', '_')}"
    return {**about, "operationId": name, "responses": responses, "security": security, PERMISSION: route.permission}


def _schemas(thing: Any) -> list[tuple[str, Any]]:
    """Return the structures that stand in a description."""
    if isinstance(thing, Mapping):
        return [found for name, part in thing.items() for found in ([(name, part)] if isinstance(part, type) else _schemas(part))]
    return [found for part in thing for found in _schemas(part)] if isinstance(thing, (list, tuple)) else []


def _resolved(thing: Any, references: Mapping[Any, Any]) -> Any:
    """Return a description in which every structure is a reference to its schema."""
    if isinstance(thing, type):
        return references[thing]
    if isinstance(thing, Mapping):
        return {name: _resolved(part, references) for name, part in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_resolved(part, references) for part in thing]
    return {"type": "object"} if getattr(thing, "__origin__", None) is dict else thing

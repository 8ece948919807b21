"""The routes that are asked now and then: the model, health, metrics, the description. FastAPI answers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from whenbuy.pipeline.keeping.shop import version
from whenbuy.serve.engine import Engine
from whenbuy.serve.metrics import CONTENT_TYPE, Figure, Metrics
from whenbuy.serve.routes import PUBLIC, Route
from whenbuy.serve.wire import encode

if TYPE_CHECKING:
    from fastapi import FastAPI, Response

PERMISSION = "x-permission"
"""The key of OpenAPI under which a route says who may ask it."""


class Model(msgspec.Struct, frozen=True):
    """The model that answers.

    Parameters
    ----------
    model_id
        Its id.
    about
        What it was learned from, and how it fared.
    whenbuy
        The version of the program.
    data_age_s
        For how many seconds nothing new has been learned of.
    degraded
        In what answers are less than they should be; null where they are not.
    """

    model_id: str
    about: Mapping[str, Any]
    whenbuy: str
    data_age_s: float | None
    degraded: str | None


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    alive: bool = True


class Ready(msgspec.Struct, frozen=True):
    """Whether events are taken and forecasts given.

    Parameters
    ----------
    ready
        Whether they are.
    model_id
        The id of the model that answers.
    degraded
        In what answers are less than they should be; null where they are not.
    """

    ready: bool
    model_id: str
    degraded: str | None


def rest(
    engine: Engine,
    metrics: Metrics,
    about: Callable[[str], Mapping[str, Any]],
    document: Callable[[], bytes],
    more: Callable[[], list[Figure]],
) -> FastAPI:
    """Return the application behind the hot routes; each of its routes says who may ask it.

    Parameters
    ----------
    engine
        What answers.
    metrics
        What was counted.
    about
        What is known of a model, by its id.
    document
        The description of the whole API.
    more
        Further figures for Prometheus.
    """
    from fastapi import FastAPI, Response

    app = FastAPI(title="whenbuy", version=version(), docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/v1/model", openapi_extra=_told(Model, "forecasts:read", "The model that answers, and how it was made."))
    async def model() -> Response:
        standing = engine.standing(engine.now())
        return _json(Model(engine.model, about(engine.model), version(), standing.data_age_s, standing.degraded))

    @app.get("/v1/health/live", openapi_extra=_told(Alive, PUBLIC, "Whether the process answers."))
    async def live() -> Response:
        return _json(Alive())

    @app.get("/v1/health/ready", openapi_extra=_told(Ready, PUBLIC, "Whether events are taken and forecasts given.", Ready))
    async def ready() -> Response:
        return _json(Ready(engine.ready, engine.model, engine.standing(engine.now()).degraded), 200 if engine.ready else 503)

    @app.get("/metrics", openapi_extra=_text("metrics:read", "What was counted, as Prometheus reads it."))
    async def counted() -> Response:
        return Response(metrics.text([*engine.figures(), *more()]), media_type=None, headers={"content-type": CONTENT_TYPE})

    @app.get("/v1/openapi.json", openapi_extra=_told(dict[str, Any], PUBLIC, "This description."))
    async def openapi() -> Response:
        return Response(document(), media_type="application/json")

    return app


def routes_of(app: FastAPI) -> list[Route]:
    """Return the routes of an application as they stand in the table of all routes."""
    found = []
    for each in app.routes:
        extra = getattr(each, "openapi_extra", None) or {}
        path = str(getattr(each, "path", each))
        for method in sorted(getattr(each, "methods", None) or {"GET"}):
            found.append(
                Route(method, path, extra.get(PERMISSION), None, {name: said for name, said in extra.items() if name != PERMISSION})
            )
    return found


def _json(thing: object, status: int = 200) -> Response:
    from fastapi import Response

    return Response(encode(thing), status, media_type="application/json")


def _told(answer: Any, permission: str, summary: str, unready: Any = None) -> dict[str, Any]:
    """Return what OpenAPI says of a route that answers with JSON; the structures are put in their places later."""
    responses = {"200": {"description": summary, "content": {"application/json": {"schema": answer}}}}
    if unready is not None:
        responses["503"] = {"description": "Not yet, or no longer.", "content": {"application/json": {"schema": unready}}}
    return {PERMISSION: permission, "summary": summary, "responses": responses}


def _text(permission: str, summary: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {PERMISSION: permission, "summary": summary, "responses": {"200": {"description": summary, "content": content}}}

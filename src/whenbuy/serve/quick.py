"""Quick models: the same models with the parts compiled that a forecast of one customer waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from whenbuy.models.quick_terms import QuickTerms
from whenbuy.models.terms import Terms

T = TypeVar("T")


def quick(thing: T) -> T:
    """Return a model whose parts are compiled where they can be; its answers are the same up to rounding (1e-9)."""
    return _quick(thing)  # type: ignore[no-any-return]


def _quick(thing: Any) -> Any:
    if type(thing) is Terms:
        return QuickTerms.of(thing)
    if isinstance(thing, tuple) and type(thing) is tuple:
        parts = tuple(map(_quick, thing))
        return parts if any(a is not b for a, b in zip(parts, thing, strict=True)) else thing
    if isinstance(thing, Mapping):
        named = {name: _quick(part) for name, part in thing.items()}
        return named if any(named[name] is not thing[name] for name in named) else thing
    if not is_dataclass(thing) or isinstance(thing, type):
        return thing
    told = {field.name: getattr(thing, field.name) for field in fields(thing) if field.init}
    changed = {name: made for name, part in told.items() if (made := _quick(part)) is not part}
    return replace(thing, **changed) if changed else thing

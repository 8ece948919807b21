"""Whether a net answers: alone, in a blend, or behind a preparation or a correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from whenbuy.models.neural.learn import NetModel


def holds_net(model: Any) -> bool:
    """Return whether a net is a model, or one of those of which it is made."""
    if isinstance(model, NetModel):
        return True
    if isinstance(model, Mapping):
        return any(map(holds_net, model.values()))
    if isinstance(model, tuple):
        return any(map(holds_net, model))
    return is_dataclass(model) and any(holds_net(getattr(model, field.name)) for field in fields(model))

"""Further answers, live: those of models that only batches ask, given of some customers' own histories by the batch's own code.

What arrived since the log was written is put together with what it holds (`past_of`), and the model is asked as ``predict`` asks it. That
costs milliseconds, not microseconds, so it is done where all answers are wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from whenbuy.core.history import History, Past
from whenbuy.ingest.reception import Event
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.serve.excerpt import past_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_READ: Final = ("purchase", "amount", "response", "conversion")
"""Other answers from which columns of further ones are read."""


@dataclass(frozen=True, slots=True)
class Further:
    """How the further answers of a model are given.

    Parameters
    ----------
    model
        The model, with no more answers than the columns need.
    columns
        The columns of ``predict`` that the usual forecast lacks.
    answer
        The structure of a usual forecast with these columns.
    """

    model: Forecaster
    columns: tuple[str, ...]
    answer: type[msgspec.Struct]

    @classmethod
    def of(cls, model: Forecaster, usual: type[msgspec.Struct], history: History) -> Further:
        """Return how the further answers of a model stand beside its usual ones; no columns where it has none."""
        if not model.further and not model.same:
            return cls(model, (), usual)
        less = replace(model, models={name: one for name, one in model.models.items() if name in _READ})
        nobody = past_of(history, {"": -1}, {}, [""], np.array([max(history.end, model.known_until)]))
        known = {field.name for field in msgspec.structs.fields(usual)}
        schema = {name: kind for name, kind in _frame(less, nobody).schema.items() if name not in known}
        own = [(field.name, field.type) for field in msgspec.structs.fields(usual)]
        fields: list[Any] = [*own[:-1], *((name, _type(kind)) for name, kind in schema.items()), (*own[-1], None)]
        return cls(less, tuple(schema), msgspec.defstruct("Whole", fields, frozen=True, module=__name__))

    def told(self, said: Sequence[Any], history: History, codes: Mapping[str, int], tail: Mapping[str, Sequence[Event]]) -> list[Any]:
        """Return usual forecasts with the further answers as of the same instants, in their order.

        Parameters
        ----------
        said
            The usual forecasts.
        history, codes
            What is stored, and the code of each user there.
        tail
            What arrived later of each of these users.
        """
        if not self.columns or not said:
            return list(said)
        known = {one.user_id: codes.get(one.user_id, -1) for one in said}
        at = np.array([(one.as_of - _EPOCH) // _US for one in said], np.int64)
        past = past_of(history, known, tail, [one.user_id for one in said], at)
        rows = _frame(self.model, past).select(self.columns).iter_rows(named=True)
        return [self.answer(**msgspec.structs.asdict(one), **row) for one, row in zip(said, rows, strict=True)]


def _frame(model: Forecaster, past: Past) -> pl.DataFrame:
    return model.answer(past._history, past.keys, in_sample=True).frame(further=True)


def _type(kind: pl.DataType) -> Any:
    """Return the type of a column's cells; what is not known is null."""
    if isinstance(kind, pl.Datetime):
        return datetime | None
    return str | None if kind == pl.String else float | None

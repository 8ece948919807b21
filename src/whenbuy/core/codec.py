"""Frozen dataclasses as plain data and arrays, and back: how models and settings are written without any code in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.errors import DamagedError, WhenbuyError
from whenbuy.core.log import Dictionary

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def encode(thing: object, arrays: dict[str, np.ndarray[Any, Any]], path: str = "") -> Plain:
    """Return a dataclass, tuple, mapping or scalar as plain data; its arrays go to ``arrays`` under their path.

    Raises
    ------
    WhenbuyError
        When something in it is neither: a model must be made of data alone.
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, np.generic):
        return encode(thing.item(), arrays, path)
    if isinstance(thing, np.ndarray):
        arrays[path] = np.ascontiguousarray(thing)
        return {"array": path}
    if isinstance(thing, Dictionary):
        return {"dictionary": thing.ids.to_list()}
    if isinstance(thing, tuple | list):
        return {"tuple": [encode(part, arrays, f"{path}.{i}") for i, part in enumerate(thing)]}
    if isinstance(thing, Mapping):
        return {"mapping": [[str(key), encode(part, arrays, f"{path}.{key}")] for key, part in thing.items()]}
    if is_dataclass(thing) and not isinstance(thing, type):
        parts = {field.name: encode(getattr(thing, field.name), arrays, f"{path}.{field.name}") for field in fields(thing)}
        return {"type": type(thing).__name__, "fields": parts}
    raise WhenbuyError(f"A {type(thing).__name__} at {path or 'the top'} cannot be stored: models are made of data, never of code.")


def decode(plain: Plain, arrays: Mapping[str, np.ndarray[Any, Any]], types: Mapping[str, type]) -> Any:
    """Return the thing that was encoded; only the named types are ever made.

    Raises
    ------
    DamagedError
        When the data name an unknown type, an absent array or a field that does not exist.
    """
    if not isinstance(plain, dict):
        return plain
    try:
        if "array" in plain:
            return arrays[str(plain["array"])]
        if "dictionary" in plain:
            return Dictionary(pl.Series("id", _listed(plain["dictionary"]), dtype=pl.String))
        if "tuple" in plain:
            return tuple(decode(part, arrays, types) for part in _listed(plain["tuple"]))
        if "mapping" in plain:
            return {str(pair[0]): decode(pair[1], arrays, types) for pair in map(_listed, _listed(plain["mapping"]))}
        made = types[str(plain["type"])]
        parts = plain["fields"]
        if not isinstance(parts, dict):
            raise TypeError(parts)
        return made(**{name: decode(part, arrays, types) for name, part in parts.items()})
    except DamagedError:
        raise  # a part of it said so
    except (KeyError, IndexError, TypeError, ValueError, WhenbuyError) as error:
        raise DamagedError(
            f"The stored model is not readable ({type(error).__name__}: {error}).", "It may come from another version.", "Fit again."
        ) from error


def _listed(plain: Plain) -> list[Plain]:
    if not isinstance(plain, list):
        raise TypeError(plain)
    return plain

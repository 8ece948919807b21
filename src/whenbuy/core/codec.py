"""Frozen dataclasses as plain data and arrays, and back: how models and settings are written without any code in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

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
    """Return the thing that was encoded; only the named types are ever made, and only of what their annotations say.

    Raises
    ------
    DamagedError
        When the data name an unknown type, an absent array or a field that does not exist, or a field holds another type than its own:
        an array of other numbers, a text for a count, something that cannot answer for a model.
    """
    if not isinstance(plain, dict | list):
        return plain
    try:
        if isinstance(plain, list):
            raise TypeError(f"a list of {len(plain)}")
        if "array" in plain:
            return arrays[str(plain["array"])]
        if "dictionary" in plain:
            return Dictionary(pl.Series("id", _listed(plain["dictionary"]), dtype=pl.String))
        if "tuple" in plain:
            return tuple(decode(part, arrays, types) for part in _listed(plain["tuple"]))
        if "mapping" in plain:
            return {str(pair[0]): decode(pair[1], arrays, types) for pair in map(_listed, _listed(plain["mapping"]))}
        return _made(types[str(plain["type"])], plain["fields"], arrays, types)
    except DamagedError:
        raise  # a part of it said so
    except (KeyError, IndexError, TypeError, ValueError, WhenbuyError) as error:
        raise DamagedError(
            f"A part of it cannot be read ({type(error).__name__}: {error}).", "It may come from another version.", "Fit again."
        ) from error


def _made(kind: type, plain: Plain, arrays: Mapping[str, np.ndarray[Any, Any]], types: Mapping[str, type]) -> Any:
    if not isinstance(plain, dict):
        raise TypeError(plain)
    parts = {name: decode(part, arrays, types) for name, part in plain.items()}
    wanted = allowed(kind)
    for name, part in parts.items():
        if not fits(part, wanted[name]):
            raise TypeError(f"{kind.__name__}.{name} holds {_named(part)}")
    made: Any = kind
    return made(**parts)


@cache
def allowed(kind: type) -> Mapping[str, Any]:
    """Return what each field of a dataclass may hold."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def fits(value: object, wanted: Any) -> bool:
    """Return whether a value is what an annotation says, as far as stored things need it.

    Arrays are compared by the type of their numbers, whole numbers must fit into 64 bits and stand for fractions too, and whatever has the
    attributes of a protocol fits it.
    """
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any or isinstance(wanted, TypeVar):
        return True
    if origin in (Union, UnionType):
        return any(fits(value, each) for each in inner)
    if origin is Literal:
        return isinstance(value, str | int) and value in inner
    if origin is np.ndarray:
        number = next(iter(get_args(inner[1])), Any)
        return isinstance(value, np.ndarray) and (not isinstance(number, type) or value.dtype == number)
    if origin is tuple:
        return isinstance(value, tuple) and _fit_each(value, inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(fits(key, inner[0]) and fits(part, inner[1]) for key, part in value.items())
    return _fits_class(value, origin or wanted)


def _fit_each(values: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    if len(wanted) == 2 and wanted[1] is Ellipsis:
        return all(fits(value, wanted[0]) for value in values)
    return len(values) == len(wanted) and all(map(fits, values, wanted))


def _fits_class(value: object, kind: Any) -> bool:
    if kind in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        return whole or (kind is float and isinstance(value, float))
    if getattr(kind, "_is_protocol", False):
        held = (
            {field.name for field in fields(value)} if is_dataclass(value) else set()
        )  # without slots a field is no attribute of its class
        wanted = (name for name in vars(kind) if not name.startswith("_"))
        return is_dataclass(value) and all(name in held or hasattr(type(value), name) for name in wanted)
    return not isinstance(kind, type) or isinstance(value, kind)


def _named(value: object) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"{type(value).__name__} ({str(value)[:40]})"


def _listed(plain: Plain) -> list[Plain]:
    if not isinstance(plain, list):
        raise TypeError(plain)
    return plain

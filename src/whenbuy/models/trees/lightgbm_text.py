"""LightGBM's text form of a model that was trained in this process, read into arrays. No file and no other process's text is read here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats
from whenbuy.core.errors import WhenbuyError
from whenbuy.models.trees.arrays import Link, Trees
from whenbuy.models.trees.walk import preorder

_CATEGORICAL: Final = 1
_DEFAULT_LEFT: Final = 2
_MISSING_NONE, _MISSING_NAN = 0, 2


def read_text(text: str, features: int, link: Link) -> Trees:
    """Return the trees of a model text; numbers keep every bit (they are written with 17 digits).

    A node that saw no missing number in training reads one as 0, which is on a known side; so each node needs one bit only.

    Raises
    ------
    WhenbuyError
        When a tree has what whenbuy never asks for: categorical splits, linear leaves, or zeros read as missing.
    """
    body = text.partition("\nend of trees")[0].split("\nTree=")[1:]
    parts = [_tree(dict(line.partition("=")[::2] for line in block.splitlines()[1:])) for block in body]
    base = sum(float(part["value"][0]) for part in parts if len(part["value"]) == 1)
    return Trees.planted([part for part in parts if len(part["value"]) > 1], features, link, base)


def _tree(said: Mapping[str, str]) -> dict[str, Any]:
    leaves = int(said["num_leaves"])
    inner = leaves - 1
    score = _numbers(said, "leaf_value", leaves)
    if int(said.get("num_cat", "0")) or int(said.get("is_linear", "0")):
        raise WhenbuyError("A tree has categorical splits or linear leaves.", "whenbuy never asks for them.", "Leave those settings off.")
    kind = _numbers(said, "decision_type", inner).astype(np.int64)
    missing = kind >> 2
    if ((kind & _CATEGORICAL) > 0).any() or not np.isin(missing, (_MISSING_NONE, _MISSING_NAN)).all():
        raise WhenbuyError("A tree reads zeros as missing.", "whenbuy never asks for that.", "Leave that setting off.")
    threshold = _numbers(said, "threshold", inner)
    left, right = (_children(_numbers(said, name, inner), leaves) for name in ("left_child", "right_child"))
    order, then = preorder(left, right)
    blank = np.zeros(leaves)
    return {
        "feature": np.concatenate([_numbers(said, "split_feature", inner), np.full(leaves, -1.0)]).astype(np.int32)[order],
        "threshold": np.concatenate([threshold, blank])[order],
        "right": then,
        "missing_left": np.concatenate([np.where(missing == _MISSING_NAN, (kind & _DEFAULT_LEFT) > 0, threshold >= 0), blank > 0])[order],
        "value": np.concatenate([np.zeros(inner), score])[order],
        "cover": np.concatenate([_numbers(said, "internal_count", inner), _numbers(said, "leaf_count", leaves, 1.0)])[order],
        "gain": np.concatenate([_numbers(said, "split_gain", inner), blank])[order],
    }


def _numbers(said: Mapping[str, str], name: str, count: int, absent: float = 0.0) -> Floats:
    found = np.array(said.get(name, "").split(), np.float64)
    return found if len(found) == count else np.full(count, absent)


def _children(places: Floats, leaves: int) -> Codes:
    """Return the children of the inner nodes, then -1 for each leaf; leaf k, written as ~k, stands behind the inner nodes."""
    children = places.astype(np.int64)
    return np.concatenate([np.where(children < 0, leaves - 1 + ~children, children), np.full(leaves, -1)]).astype(np.int32)

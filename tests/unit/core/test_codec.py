import json
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pytest

from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import DamagedError, WhenbuyError
from whenbuy.core.log import Dictionary


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    weights: np.ndarray
    names: Dictionary


@dataclass(frozen=True, slots=True)
class Tree:
    leaves: tuple[Leaf, ...]
    settings: dict
    share: float
    note: str | None = None


TYPES = {"Leaf": Leaf, "Tree": Tree}


def test_dataclasses_survive_the_round_trip():
    tree = Tree((Leaf(np.arange(3.0), Dictionary.of(["a", "ü"])),), {"1": (1, 2.5, True)}, float("inf"))
    arrays = {}
    plain = json.loads(json.dumps(encode(tree, arrays)))
    found = decode(plain, arrays, TYPES)
    assert found.settings == tree.settings
    assert found.share == tree.share
    assert found.leaves[0].names.ids.to_list() == ["a", "ü"]
    assert (found.leaves[0].weights == tree.leaves[0].weights).all()


class Named(Protocol):
    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Unslotted:
    name: str


@dataclass(frozen=True, slots=True)
class Holder:
    part: Named


def test_a_field_fits_a_protocol_with_slots_and_without():
    types = {"Holder": Holder, "Unslotted": Unslotted, "Leaf": Leaf}
    assert decode(encode(Holder(Unslotted("x")), {}), {}, types) == Holder(Unslotted("x"))
    arrays = {}
    with pytest.raises(DamagedError, match=r"Holder\.part holds"):
        decode(encode(Holder(Leaf(np.zeros(1), Dictionary.of(["a"]))), arrays), arrays, types)


def test_code_cannot_be_stored():
    with pytest.raises(WhenbuyError, match="never of code"):
        encode(Tree((), {"f": print}, 0.0), {})


@pytest.mark.parametrize(
    "plain",
    [
        {"type": "Popen", "fields": {}}, {"type": "Tree", "fields": {"shares": 1}}, {"type": "Tree", "fields": 3}, {"array": "gone"},
        {"tuple": 3}, {"mapping": [[1]]}, {}, {"dictionary": [1, {}]},
    ],
)  # fmt: skip
def test_unknown_types_and_torn_data_are_refused(plain):
    with pytest.raises(DamagedError):
        decode(plain, {}, TYPES)

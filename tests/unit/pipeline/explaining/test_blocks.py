from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tests.unit.pipeline.explaining.small import model, shop
from whenbuy.core.blocks import Interactions
from whenbuy.features import ByClass
from whenbuy.pipeline.explaining.explaining import explain


@dataclass(frozen=True, slots=True)
class OfTheFirstClass:
    """A model whose hazard grows with the orders of one class of things, which stand in a block beside the features."""

    inner: Any
    name: str = "of-the-first-class"

    @property
    def known_until(self):
        return self.inner.known_until

    def predict(self, examples, *, in_sample=False):
        curves = self.inner.predict(examples, in_sample=in_sample)
        count = np.nan_to_num(examples.block("did", Interactions).values[:, 0, 0])
        return replace(curves, survival=curves.survival ** (1 + np.log1p(count))[:, None], mean_count=curves.mean_count + 9)


@pytest.fixture(scope="module")
def reads():
    told = model()
    blocks = {"did": ByClass(("c12", "c06"), "category"), "idle": ByClass(("b01",), "brand")}
    return replace(told, models={"purchase": OfTheFirstClass(told.models["purchase"])}, blocks=blocks)


def test_a_block_that_the_model_reads_is_a_reason_of_its_own(reads):
    users = shop().keys().ids().to_list()[:12]
    found = explain(reads, shop(), users)
    assert found.families[-1].part.blocks == ("did",)
    assert np.abs(found.shares.size[:, -1]).max() > 0.01
    said = reads.predict(shop(), users=users).purchase.probability(7.0)
    np.testing.assert_allclose(found.base + found.shares.size.sum(axis=1), said, rtol=0, atol=1e-9)
    assert "her latest events in their order" in set(found.frame()["reason"])


def test_a_block_that_it_does_not_read_is_left_out():
    told = replace(model(), blocks={"idle": ByClass(("b01",), "brand")})
    plain, beside = (explain(one, shop(), ["u001"]) for one in (model(), told))
    assert [family.part for family in beside.families] == [family.part for family in plain.families]
    np.testing.assert_array_equal(beside.shares.size, plain.shares.size)

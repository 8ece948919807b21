"""The latest rows teach where there are enough of them."""

import numpy as np
import pytest

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import SettingsError
from whenbuy.models.wrapping.latest import TYPES, Latest


def rows():
    day = np.repeat([10, 50, 93, 100], 25)
    return examples({"event_recency_days": np.arange(100.0)}, code=np.arange(100), cutoff_day=day)


def test_the_latest_stay_where_they_are_enough():
    train = rows()
    step, kept = Latest(7.0, 50).learn(train)
    assert (kept.keys.cutoff >= 93 * DAY).all()
    assert len(kept) == 50
    assert len(Latest(7.0, 51).learn(train)[1]) == 100
    assert step.prepare(train) is train
    assert stored(step, TYPES) == step


def test_negative_settings_are_refused():
    with pytest.raises(SettingsError):
        Latest(-1.0)

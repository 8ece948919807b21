import numpy as np
import pytest

from whenbuy.core.errors import ColumnError, SettingsError
from whenbuy.core.examples import Table
from whenbuy.features.cyclic import Cyclic


def test_hours_go_round():
    step = Cyclic({"hour": 24})
    table = Table(("hour", "x"), np.array([[0, 1], [6, 2], [23.999, 3], [np.nan, 4]], np.float32))
    told = step.fit(table).apply(table)
    assert told.names == ("hour_sin", "hour_cos", "x")
    assert told.column("hour_sin")[:3] == pytest.approx([0, 1, 0], abs=1e-3)
    assert told.column("hour_cos")[:3] == pytest.approx([1, 0, 1], abs=1e-3)
    assert np.isnan(told.values[3, :2]).all()
    assert told.column("x").tolist() == [1, 2, 3, 4]
    with pytest.raises(ColumnError):
        Cyclic({"day": 7}).fit(table)
    with pytest.raises(SettingsError, match="period"):
        Cyclic({"hour": 0})

"""The file of the shelves: what it may hold, and what is refused."""

import polars as pl
import pytest

from whenbuy.core.errors import ColumnError, EmptyError, InputError, NotFoundError, UsageError
from whenbuy.pipeline.demand.stock_file import checked, read_stock


def test_what_is_not_told_has_its_usual_value(tmp_path):
    (tmp_path / "stock.csv").write_text("item_id,on_hand,colour\n17,3,red\n18,0,blue\n")
    found = read_stock(tmp_path / "stock.csv", "item_id")
    assert found.columns == ["item_id", "on_hand", "on_order", "lead_days", "pack"]
    assert found["item_id"].to_list() == ["17", "18"]
    assert found["on_order"].to_list() == [0, 0]
    assert found["pack"].to_list() == [1, 1]
    assert found["lead_days"].null_count() == 2


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ({"item": ["a"], "on_hand": [1]}, ColumnError),
        ({"item_id": ["a"], "stock": [1]}, ColumnError),
        ({"item_id": [], "on_hand": []}, EmptyError),
        ({"item_id": ["a", "b"], "on_hand": [1, -2]}, InputError),
        ({"item_id": ["a"], "on_hand": ["many"]}, InputError),
        ({"item_id": ["a"], "on_hand": [None]}, InputError),
        ({"item_id": ["a"], "on_hand": [float("inf")]}, InputError),
        ({"item_id": ["a"], "on_hand": [1], "pack": [0]}, InputError),
        ({"item_id": ["a"], "on_hand": [1], "lead_days": [-3]}, InputError),
        ({"item_id": ["a", None], "on_hand": [1, 2]}, InputError),
        ({"item_id": ["a", "a"], "on_hand": [1, 2]}, InputError),
    ],
)
def test_what_no_shelf_can_hold_is_refused(table, error):
    with pytest.raises(error):
        checked(pl.DataFrame(table), "item_id")


def test_one_item_may_lie_in_two_regions():
    found = checked(pl.DataFrame({"item_id": ["a", "a"], "region": ["north", "south"], "on_hand": [1, 2]}), "item_id")
    assert len(found) == 2


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(NotFoundError):
        read_stock(tmp_path / "none.csv", "item_id")
    (tmp_path / "stock.xlsx").write_bytes(b"PK")
    with pytest.raises(UsageError):
        read_stock(tmp_path / "stock.xlsx", "item_id")
    (tmp_path / "stock.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError):
        read_stock(tmp_path / "stock.parquet", "item_id")

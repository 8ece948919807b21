"""Rows that were set aside, as a person sees them."""

import json
from pathlib import Path

import pytest

from tests.scenarios.foreign import german, ok, orders, refused


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    file = german(tmp_path / "x.csv", orders(10, 60))
    lines = file.read_text("utf-8").splitlines()
    file.write_text("\n".join([*lines, *lines[-2:], "K1;no date;1,00"]) + "\n", encoding="utf-8")
    ok("init", file, "--shop", tmp_path / "shop")
    return tmp_path / "shop"


def test_rows_are_listed_by_rule_and_reason_and_can_be_put_back(shop: Path) -> None:
    said = json.loads(ok("quarantine", "--shop", shop, "--json").out)
    found = {(row["rule"], row["done"], row["rows"]) for row in said["reasons"]}
    assert found == {("duplicates", "removed", 2), ("reading", "rejected", 1)}
    assert "quarantine replay RULE" in ok("quarantine", "--shop", shop).err
    before = json.loads(ok("doctor", "--shop", shop, "--json").out)
    found = json.loads(ok("quarantine", "replay", "duplicates", "--shop", shop, "--json").out)
    assert found["removed"] == 0
    left = json.loads(ok("quarantine", "list", "--shop", shop, "--json").out)
    assert [row["rule"] for row in left["reasons"]] == ["reading"]
    after = json.loads(ok("doctor", "--shop", shop, "--json").out)
    assert before != after
    assert "There" not in refused(2, "quarantine", "replay", "duplicates", "--shop", shop)
    assert refused(3, "quarantine", "replay", "reading", "--shop", shop)


def test_a_shop_from_which_nothing_was_taken(tmp_path: Path) -> None:
    ok("init", german(tmp_path / "x.csv", orders(10, 60)), "--shop", tmp_path / "shop")
    assert "No row was set aside" in ok("quarantine", "--shop", tmp_path / "shop").err
    assert refused(2, "quarantine", "replay", "all", "--shop", tmp_path / "shop")

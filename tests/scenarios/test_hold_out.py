"""`whenbuy predict --hold-out`: files for marketing tools say who is to be left alone, each time the same customers."""

import polars as pl
import pytest

from tests.scenarios import small
from tests.scenarios.foreign import ok
from whenbuy.core.holdout import hold_out


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return small.shop(tmp_path_factory.mktemp("held"))


def test_a_share_is_held_out_and_stays_so(shop, tmp_path):
    ok("predict", "--shop", shop, "--hold-out", "30%", "--out", tmp_path / "one.csv")
    one = pl.read_csv(tmp_path / "one.csv")
    assert 0 < one["hold_out"].sum() < len(one)
    assert one["hold_out"].to_list() == hold_out(one["user_id"].to_list(), 0.3, "0").tolist()
    ok("predict", "--shop", shop, "--hold-out", "0.3", "--out", tmp_path / "other.parquet", *one["user_id"].to_list()[:10])
    other = pl.read_parquet(tmp_path / "other.parquet")
    assert other["hold_out"].to_list() == one["hold_out"].to_list()[:10]
    assert "hold_out" not in pl.read_parquet(shop / "forecasts" / "latest.parquet").columns


def test_a_file_is_the_same_however_many_are_answered_at_once(shop, tmp_path, monkeypatch):
    ok("predict", "--shop", shop, "--out", tmp_path / "whole.parquet")
    monkeypatch.setattr("whenbuy.pipeline.verbs.predict.BLOCK", 7)
    ok("predict", "--shop", shop, "--out", tmp_path / "parts.parquet")
    whole, parts = (pl.read_parquet(tmp_path / name) for name in ("whole.parquet", "parts.parquet"))
    assert len(whole) > 14
    assert parts.equals(whole)


@pytest.mark.parametrize("share", ["0", "100%", "1.5", "ten", "-1%"])
def test_what_is_no_share_is_refused(shop, share):
    from click.testing import CliRunner

    from whenbuy.cli.verbs import whenbuy

    assert CliRunner().invoke(whenbuy, ["predict", "--shop", str(shop), "--hold-out", share]).exit_code == 2

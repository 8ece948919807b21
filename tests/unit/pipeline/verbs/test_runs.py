"""Runs as a person sees them: listed, shown, compared."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.foreign import ok, refused, typed
from whenbuy.config import Settings
from whenbuy.core.arrays import DAY
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.keeping.track import Run, record

STARTED = 19_000 * DAY
NAN = float("nan")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.create(tmp_path / "shop", Settings())


def put(shop: Shop, at: int, verb: str = "fit", **changes: Any) -> Run:
    toml = "[shop]\nhorizons = [7, 14]\n"
    given: dict[str, Any] = {
        "seed": 1, "data": "a" * 64, "code": "0.1", "cutoffs": (STARTED,), "scores": {"purchase/a": (0.5, NAN, NAN)},
        "settings": {"horizons": [7.0], "settings": "f" * 64, "toml": toml}, "chosen": {"purchase": "a"}, **changes,
    }  # fmt: skip
    return record(shop.runs, Run(verb, "purchase: a", started=STARTED + at, seconds=1.5, **given))


def said(shop: Shop, *words: object) -> Any:
    return json.loads(ok("runs", *words, "--shop", shop.folder, "--json").out)


def test_no_runs_yet(shop: Shop) -> None:
    assert said(shop) == {"runs": []}
    assert "whenbuy fit" in ok("runs", "--shop", shop.folder).err
    assert "No run is recorded" in refused(6, "runs", "show", "--shop", shop.folder)
    assert "2 runs" not in refused(6, "runs", "compare", "--shop", shop.folder)


def test_runs_are_listed_the_latest_first_even_within_one_second(shop: Shop) -> None:
    ids = [put(shop, at).id for at in (0, 3_000_000, 3_000_001, 3_000_002, 9_000_000)]
    assert [row["id"] for row in said(shop)["runs"]] == ids[::-1]
    assert said(shop, "show")["id"] == ids[-1]
    assert said(shop, "list") == said(shop)


def test_a_run_shows_its_settings_seed_data_code_scores_and_choices(shop: Shop) -> None:
    id = put(shop, 0, settings={"horizons": [7.0], "toml": '[columns]\nuser_id = "Kunde"\n', "options": {"ask": ["amount"]}}).id
    found = said(shop, "show", id[:12])
    assert found["settings"] == {"columns.user_id": "Kunde", "horizons": [7.0], "options.ask": ["amount"]}
    assert (found["seed"], found["data"], found["code"], found["chosen"]) == (1, "a" * 64, "0.1", {"purchase": "a"})
    assert found["scores"] == [{"score": "purchase/a", "value": 0.5, "low": None, "high": None}]
    assert found["cutoffs"] == ["2022-01-08"]


def test_two_runs_are_compared_by_what_differs_and_score_by_score(shop: Shop) -> None:
    one = put(shop, 0)
    other = put(
        shop, 5_000_000, seed=2, chosen={"purchase": "b"}, scores={"purchase/a": (0.25, NAN, NAN), "orders/a": (1.0, NAN, NAN)},
        settings={"horizons": [7.0, 28.0], "toml": "[shop]\nhorizons = [7, 28]\n"},
    )  # fmt: skip
    found = said(shop, "compare")
    assert found["runs"] == [other.id, one.id]
    assert found["differs"] == {
        "seed": [2, 1], "shop.horizons": [[7, 28], [7, 14]], "horizons": [[7.0, 28.0], [7.0]], "answers purchase": ["b", "a"],
    }  # fmt: skip
    assert found["scores"] == [{"score": "purchase/a", "first": 0.25, "second": 0.5, "difference": -0.25}]
    assert found["alone"] == [1, 0]
    turned = said(shop, "compare", one.id, other.id)
    assert turned["scores"][0]["difference"] == 0.25
    assert "itself" in refused(2, "runs", "compare", one.id, one.id, "--shop", shop.folder)


def test_unlike_runs_are_compared_with_a_warning(shop: Shop) -> None:
    first, later, scored = (
        put(shop, 0),
        put(shop, 2_000_000, data="b" * 64),
        put(shop, 4_000_000, "backtest", scores={"auc": (0.7, 0.6, 0.8)}),
    )
    assert said(shop, "compare")["runs"] == [later.id, first.id]  # the latest that has one of its kind before it
    assert "different data" in ok("runs", "compare", "--shop", shop.folder).err
    assert "No score is of both" in ok("runs", "compare", scored.id, first.id, "--shop", shop.folder).err
    assert "backtest" not in refused(6, "runs", "compare", first.id, "--shop", shop.folder)


def test_a_damaged_record_is_named_and_the_others_are_shown(shop: Shop) -> None:
    one, other = put(shop, 0), put(shop, 2_000_000)
    (shop.runs / other.id / "run.json").write_text("{")
    rows = said(shop)["runs"]
    assert [row["id"] for row in rows] == [other.id, one.id]
    assert "not the record of a run" in rows[0]["damage"]
    assert said(shop, "show")["id"] == one.id
    assert typed("runs", "show", other.id, "--shop", shop.folder).code == 3


def test_a_record_of_an_earlier_version_is_read(shop: Shop) -> None:
    run = put(shop, 0)
    file = shop.runs / run.id / "run.json"
    plain = json.loads(file.read_text())
    del plain["chosen"]
    plain["settings"] = {"horizons": [7.0], "settings": "f" * 64}
    file.write_text(json.dumps(plain))
    assert said(shop, "show")["settings"] == {"horizons": [7.0]}

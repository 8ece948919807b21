"""The commands `churn` and `queue`, and a shop's own code in `fit`, from a shop's folder."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from tests.scenarios import small
from tests.scenarios.foreign import ok, refused
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.simulated.parameters import Parameters

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answering")
    frame = simulate(250, 250, 5, Parameters.frozen("service")).history.log.frame().drop("orders", "text")
    frame.sort("known_at", maintain_order=True).write_csv(folder / "till.csv")
    ok("init", folder / "till.csv", "--shop", folder / "shop", "--currency", "EUR")
    with small.quick():
        ok("fit", "--shop", folder / "shop")
    return folder / "shop"


def test_who_is_lost_and_why(shop, tmp_path):
    said = json.loads(ok("churn", "--shop", shop, "--json").out)
    assert len(said["churn"]) == said["customers"]
    assert {each["cause"] for each in said["causes"]} == {"price", "delivery", "stock", "service", "contact pressure"}
    first = said["churn"][0]
    assert first["p_lost"] > 0.9
    one = json.loads(ok("churn", first["user_id"], "--shop", shop, "--json").out)
    assert one["churn"][0]["p_lost"] == pytest.approx(first["p_lost"])
    assert any(not reason["can_change"] for reason in one["reasons"])
    ok("churn", "--shop", shop, "--out", tmp_path / "lost.csv")
    assert pl.read_csv(tmp_path / "lost.csv").height == said["customers"]
    assert "CAUSE=KIND" in refused(2, "churn", "--shop", shop, "--cause", "delivery")
    assert "nobody" in refused(6, "churn", "nobody", "--shop", shop)
    assert "names.txt" in refused(2, "churn", "--shop", shop, "--out", "names.txt")


def test_whom_to_answer_first_and_what_to_check(shop):
    waiting = json.loads(ok("queue", "--for", "service", "--shop", shop, "--json").out)
    assert waiting["for"] == "service"
    assert all(row["waited_hours"] <= 48 for row in waiting["queue"])
    risky = json.loads(ok("queue", "--for", "risk", "--shop", shop, "--days", "28", "--json").out)
    assert {row["what"] for row in risky["queue"]} <= {"order", "offers", "machine"}
    assert risky["queue"]
    refused(2, "queue", "--shop", shop)


def test_what_a_message_may_cost_where_no_trial_was_made(shop, tmp_path):
    assert "--ask usual,response,conversion" in refused(2, "bids", "--shop", shop, "--margin", "0.3")
    assert "[budget]" in refused(2, "bids", "--shop", shop)
    asked = tmp_path / "shop"
    ok("init", shop.parent / "till.csv", "--shop", asked, "--currency", "EUR")
    ok("fit", "--shop", asked, "--ask", "amount,response,conversion", "--models", "rate-84d,boosting-chance")
    said = json.loads(ok("bids", "--shop", asked, "--margin", "0.3", "--keep", "20%", "--json").out)
    worth = [row["value"] for row in said["bids"]]
    assert worth == sorted(worth, reverse=True)
    assert said["bids"][0]["bid"] == pytest.approx(0.8 * worth[0])
    assert said["value"] == pytest.approx(sum(worth))
    ok("bids", "--shop", asked, "--margin", "0.3", "--out", tmp_path / "bids.csv")
    assert pl.read_csv(tmp_path / "bids.csv").height == said["customers"]


def test_a_shops_own_code_is_learned_and_asked(shop):
    page = (ROOT / "docs" / "extensions.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "FEATURES" in block)
    till, shop = shop.parent / "till.csv", shop.parent / "own"
    ok("init", till, "--shop", shop, "--currency", "EUR")
    (shop / "extensions.py").write_text(code, encoding="utf-8")
    (shop / "extensions.py").chmod(0o600)
    settings = shop / "whenbuy.toml"
    said = re.sub(r"^extensions = false", "extensions = true", settings.read_text(encoding="utf-8"), flags=re.MULTILINE)
    settings.write_text(said, encoding="utf-8")
    fitted = json.loads(ok("fit", "--shop", shop, "--ask", "returned", "--models", "rate-28d,boosting-chance", "--json").out)
    assert "returned" in fitted["chosen"]
    assert any(choice["model"] == "rate-28d" for choice in fitted["choices"])
    listed = {row["question"]: row for row in json.loads(ok("questions", "--shop", shop, "--json").out)["questions"]}
    assert listed["returned"]["model"]
    forecast = json.loads(ok("predict", "--shop", shop, "--json").out)
    assert any(name.startswith("p_returned") for name in forecast["forecasts"][0])
    (shop / "extensions.py").write_text(code + "\n1 / 0\n", encoding="utf-8")
    assert "ZeroDivisionError" in refused(3, "fit", "--shop", shop)

"""Models from fit to fit: kept, compared, promoted, refused, gone back from, verified; and ends that are asked for from outside."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.scenarios.foreign import content, german, ok, orders, refused, typed
from whenbuy.cli import Terminated
from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
from whenbuy.models.when.floors import KaplanMeier, KaplanMeierModel, PoissonRate
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.keeping.registry import EARLIER, KEPT, POINTER, Registry
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.pipeline.learning.forecaster import Forecaster

EARLY = "2023-04-01"
Answer = Callable[[Forecaster], Forecaster]


def quick(answer: str, grid: Any) -> tuple[Any, ...]:
    curves = (PoissonRate(grid.days), KaplanMeier(grid.days))
    return {"purchase": curves, "orders": curves, "amount": (GlobalMean(), OwnMean())}.get(answer, ())


def silly(model: Forecaster) -> Forecaster:
    """The same model, but everybody is about to buy three times a day."""
    grid = np.arange(1.0, 57.0)
    wrong = KaplanMeierModel("silly", "", np.empty(0), np.exp(-3.0 * grid)[None], (3.0 * grid)[None], grid, model.known_until)
    return replace(model, models={**model.models, "purchase": wrong, "orders": wrong})


def noted(words: str) -> Answer:
    """The same model under other words: another version that answers the same."""
    return lambda model: replace(model, notes=(words,))


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Learning takes a second."""
    real = learn.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn, "fit", lambda *arguments, **options: real(*arguments, **{"candidates": quick, **options}))
        yield


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Fit a shop, where what was learned is changed on the way."""
    real = learn.fit

    def fit(shop: Path, change: Answer, *words: object, code: int = 0) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(learn, "fit", lambda *arguments, **options: change(real(*arguments, **options)))
            return refused(code, "fit", "--shop", shop, *words) if code else ok("fit", "--shop", shop, *words)

    return fit


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with an early champion, which has not seen the last two months."""
    home = tmp_path_factory.mktemp("home")
    ok("init", german(home / "laden.csv", orders()), "--shop", home / "laden", "--timezone", "Europe/Berlin")
    ok("fit", "--shop", home / "laden", "--as-of", EARLY)
    return home / "laden"


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "laden"))


def listed(shop: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ok("models", "list", "--shop", shop, "--json").out)
    return found


def champion(shop: Path) -> str:
    return str(listed(shop)["champion"])


# ------------------------------------------------------------------------------------------------ fit


def test_a_fit_that_passes_the_gate_answers_from_then_on(shop: Path) -> None:
    old = champion(shop)
    found = json.loads(ok("fit", "--shop", shop, "--json").out)
    assert (found["promoted"], found["id"]) == (True, champion(shop))
    assert found["id"] > old
    assert Path(found["model"]) == shop / "models" / found["id"]
    assert any("champion on" in words for words in found["gate"])
    assert json.loads(ok("predict", "K0001", "--shop", shop, "--json").out)["model"] == found["id"]
    again = json.loads(ok("fit", "--shop", shop, "--json").out)  # the same is learned again: nothing new is kept
    assert again["id"] == found["id"]
    assert [model["id"] for model in listed(shop)["models"]] == [found["id"], old]


def test_a_bad_challenger_is_refused_and_kept_for_looking_at(shop: Path, fitted: Callable[..., Any]) -> None:
    before, forecast = champion(shop), ok("predict", "--shop", shop).out
    message = fitted(shop, silly, code=5)
    assert "logloss" in message
    assert "though it has learned from these weeks" in message
    assert f"{before} answers as before" in message
    assert "--force" in message
    assert (champion(shop), ok("predict", "--shop", shop).out) == (before, forecast)
    bad = listed(shop)["models"][0]["id"]
    assert bad != before
    assert "not promoted" in refused(5, "models", "promote", bad, "--shop", shop)
    assert champion(shop) == before
    compared = json.loads(ok("models", "compare", bad, "--shop", shop, "--json").out)
    assert (compared["models"], compared["learned_from_them"]) == ([bad, before], [bad])
    verdicts = {row["score"]: row["verdict"] for row in compared["scores"]}
    assert verdicts["logloss_28d"] == "worse"


def test_a_model_that_does_not_beat_its_floor_is_refused_even_where_there_is_none_yet(shop: Path, fitted: Callable[..., Any]) -> None:
    shutil.rmtree(shop / "models")

    def lucky(model: Forecaster) -> Forecaster:
        return replace(model, choices=tuple(replace(one, floor=False, low=-0.1, high=0.01) for one in model.choices))

    message = fitted(shop, lucky, code=5)
    assert "does not beat its floor" in message
    assert "No model answers as before" in message
    assert listed(shop)["champion"] is None
    assert "1 models are kept" in refused(6, "predict", "--shop", shop)
    ok("models", "promote", listed(shop)["models"][0]["id"], "--force", "--shop", shop)
    ok("predict", "--shop", shop)


def test_a_fit_as_of_an_earlier_moment_answers_for_that_time_alone(shop: Path) -> None:
    ok("fit", "--shop", shop)
    now = champion(shop)
    said = ok("fit", "--shop", shop, "--as-of", "2023-03-15")
    assert "knows more and answers on" in said.err
    assert champion(shop) == now
    early, middle = (
        json.loads(ok("predict", "K0001", "--shop", shop, "--as-of", day, "--json").out)["model"] for day in ("2023-03-20", EARLY)
    )
    assert early == listed(shop)["models"][0]["id"] != now
    assert middle not in (early, now)
    assert "--as-of" in refused(2, "predict", "--shop", shop, "--as-of", "2023-03-01")


def test_the_last_ten_are_kept(shop: Path, fitted: Callable[..., Any]) -> None:
    first = champion(shop)
    for number in range(KEPT + 3):
        fitted(shop, noted(f"version {number}"))
    kept = [model["id"] for model in listed(shop)["models"]]
    assert len(kept) == KEPT
    assert first not in kept
    ok("models", "verify", "--shop", shop)


# ------------------------------------------------------------------------------------------------ the verb


def test_promote_by_force_is_recorded_and_one_command_goes_back(shop: Path, fitted: Callable[..., Any]) -> None:
    good = champion(shop)
    fitted(shop, silly, code=5)
    bad = listed(shop)["models"][0]["id"]
    said = ok("models", "promote", bad[:18], "--force", "--shop", shop)
    assert said.out == f"{bad}\n"
    assert "worse than the champion" in said.err
    assert champion(shop) == bad
    (step,) = json.loads(ok("models", "show", "--shop", shop, "--json").out)["steps"]
    assert step["how"] == "force"
    assert "worse than the champion" in step["why"]
    assert ok("models", "promote", "--back", "--shop", shop).out == f"{good}\n"
    assert champion(shop) == good
    assert [step["how"] for step in json.loads(ok("models", "show", good, "--shop", shop, "--json").out)["steps"]] == ["fit", "back"]
    assert "already" in ok("models", "promote", good, "--shop", shop).err
    assert "go back to" in refused(6, "models", "promote", "--back", "--shop", shop)


def test_list_show_compare_and_verify(shop: Path, fitted: Callable[..., Any]) -> None:
    old = champion(shop)
    fitted(shop, noted("new"))
    new = champion(shop)
    assert ok("models", "--shop", shop).out == ok("models", "list", "--shop", shop).out
    assert ok("models", "--shop", shop, "--json").out == ok("models", "--shop", shop, "list", "--json").out
    table = pl.read_csv(ok("models", "--shop", shop).out.encode())
    assert table["id"].to_list() == [new, old]
    assert table["champion"].to_list() == [True, False]
    shown = json.loads(ok("models", "show", new, "--shop", shop, "--json").out)
    assert (shown["id"], shown["champion"], shown["known_until"], shown["zone"]) == (new, True, "2023-05-31", "Europe/Berlin")
    assert shown["run"] in {path.name for path in (shop / "runs").iterdir()}
    assert {choice["answer"] for choice in shown["choices"]} == set(shown["answers"]) == {"purchase", "orders", "amount"}
    assert {"data", "code", "seed", "scores", "made", "horizons"} <= set(shown)
    compared = json.loads(ok("models", "compare", old, new, "--shop", shop, "--json").out)
    assert compared["learned_from_them"] == [new]
    assert {"first", "second", "low", "high", "verdict"} <= set(compared["scores"][0])
    assert "Not a fair test" in ok("models", "compare", old, new, "--shop", shop).err
    assert "2 of 2 models are whole" in ok("models", "verify", "--shop", shop).err
    assert len(json.loads(ok("models", "verify", new, "--shop", shop, "--json").out)["models"]) == 1


def test_two_models_that_have_seen_neither_of_the_last_weeks_are_compared_fairly(shop: Path) -> None:
    ok("fit", "--shop", shop, "--as-of", "2023-03-15")
    old, other = (model["id"] for model in listed(shop)["models"])
    compared = json.loads(ok("models", "compare", old, other, "--shop", shop, "--json").out)
    assert compared["learned_from_them"] == []
    assert compared["days"] == 28
    assert compared["cutoffs"][0] >= EARLY
    assert "Neither model has learned" in ok("models", "compare", old, other, "--shop", shop).err


def test_what_is_typed_wrong(shop: Path, tmp_path: Path) -> None:
    id = champion(shop)
    refused(6, "models", "show", "nosuch", "--shop", shop)
    refused(6, "models", "show", "../models", "--shop", shop)
    refused(6, "models", "compare", "nosuch", "--shop", shop)
    refused(2, "models", "compare", id, "--shop", shop)  # with itself
    refused(2, "models", "compare", "--shop", shop)
    refused(2, "models", "promote", "--shop", shop)
    refused(2, "models", "promote", id, "--back", "--shop", shop)
    refused(2, "models", "nosuch", "--shop", shop)
    refused(6, "models", "--shop", tmp_path / "nowhere")
    ok("fit", "--shop", shop)
    assert "2 models have" in refused(6, "models", "show", "20", "--shop", shop)


def test_a_shop_without_models(shop: Path) -> None:
    shutil.rmtree(shop / "models")
    assert "whenbuy fit" in ok("models", "--shop", shop).err
    assert listed(shop) == {"champion": None, "models": []}
    for words in (["show"], ["promote", "--back"], ["promote", "2"], ["compare", "2"]):
        refused(6, "models", *words, "--shop", shop)
    ok("models", "verify", "--shop", shop)


# ------------------------------------------------------------------------------------------------ damage


def test_a_damaged_champion_is_named_and_the_next_fit_heals_the_shop(shop: Path) -> None:
    old = champion(shop)
    path = shop / "models" / old / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert old in refused(3, "models", "verify", "--shop", shop)
    assert old in refused(3, "models", "verify", old[:15], "--shop", shop)
    refused(3, "models", "show", "--shop", shop)
    refused(3, "predict", "--shop", shop)
    assert "arrays.safetensors" in listed(shop)["models"][0]["damage"]
    assert "could not be compared with" in ok("fit", "--shop", shop).err
    assert champion(shop) != old
    ok("predict", "--shop", shop)
    refused(3, "models", "verify", "--shop", shop)  # what is damaged is still there to see
    refused(6, "models", "promote", "--back", "--shop", shop)


def test_a_champion_that_is_gone_is_named_and_one_command_goes_back(shop: Path) -> None:
    old = champion(shop)
    ok("fit", "--shop", shop)
    shutil.rmtree(shop / "models" / champion(shop))
    for words in (["predict"], ["models", "verify"]):
        assert "--back" in refused(3, *words, "--shop", shop)
    ok("models", "promote", "--back", "--shop", shop)
    assert champion(shop) == old
    ok("predict", "--shop", shop)


def test_a_damaged_list_of_champions_is_named_anew(shop: Path) -> None:
    id = champion(shop)
    (shop / "models" / POINTER).write_bytes(b"{}")
    for words in (["fit"], ["predict"], ["models", "verify"], ["models", "promote", id], ["models", "promote", "--back"]):
        assert "--force" in refused(3, *words, "--shop", shop)
    said = ok("models", "--shop", shop)
    assert id in said.out
    assert "--force" in said.err
    ok("models", "promote", id, "--force", "--shop", shop)
    assert champion(shop) == id
    ok("predict", "--shop", shop)


def test_a_model_of_a_later_version_is_told_apart_from_a_damaged_one(shop: Path) -> None:
    manifest = shop / "models" / champion(shop) / "manifest.json"
    said = bundle.unsealed(manifest.read_bytes())
    del said["sha256"]
    manifest.write_bytes(bundle.sealed({**said, "format": 99, "whenbuy": "9.0"}))
    for words in (["predict"], ["models", "verify"], ["models", "show"]):
        assert "Update whenbuy" in refused(3, *words, "--shop", shop)
    assert "9.0" in listed(shop)["models"][0]["damage"]


def test_a_shop_from_before_there_were_versions_goes_on(shop: Path, fitted: Callable[..., Any]) -> None:
    models = shop / "models"
    (models / champion(shop)).rename(models / EARLIER)
    (models / POINTER).unlink()
    forecaster, about = bundle.load(models / EARLIER, types())
    bundle.save(models / EARLIER, forecaster, {name: about[name] for name in ("zone", "known_until")})
    before = content(models)
    assert json.loads(ok("predict", "--shop", shop, "--json").out)["model"] == EARLIER
    ok("report", "--shop", shop)
    assert champion(shop) == EARLIER
    ok("models", "show", "--shop", shop)
    ok("models", "verify", "--shop", shop)
    assert content(models) == before
    fitted(shop, silly, code=5)
    assert champion(shop) == EARLIER
    ok("fit", "--shop", shop)
    assert champion(shop) != EARLIER
    ok("models", "promote", "--back", "--shop", shop)
    assert champion(shop) == EARLIER
    ok("predict", "--shop", shop)


# ------------------------------------------------------------------------------------------------ a shop that may not be written


def test_a_forecast_of_a_shop_that_may_not_be_written_goes_where_it_was_asked_for(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whenbuy.pipeline.keeping import shop as shops
    from whenbuy.pipeline.telling import export

    real, code = shops.write, [errno.EROFS]

    def write(path: Path, data: bytes) -> None:
        if shop in path.parents:
            try:
                raise OSError(code[0], os.strerror(code[0]))
            except OSError as error:
                raise shops._denied(path, error) from error
        real(path, data)

    monkeypatch.setattr(export, "write", write)
    for code[0] in (errno.EROFS, errno.EACCES):
        said = ok("predict", "--shop", shop, "--out", tmp_path / "out.csv")
        assert "nobody may write there" in said.err
        assert len(pl.read_csv(tmp_path / "out.csv")) == 40
        assert len(ok("predict", "--shop", shop).out.splitlines()) == 41
        assert json.loads(ok("predict", "--shop", shop, "--json").out)["files"] == []
    refused(7, "predict", "--shop", shop, "--out", shop / "out.csv")  # what was asked for must be written
    code[0] = errno.ENOSPC
    refused(7, "predict", "--shop", shop)
    assert not (shop / "forecasts" / "latest.parquet").exists()


# ------------------------------------------------------------------------------------------------ ends asked for from outside


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_process_that_is_asked_to_end_ends_in_order(number: int, code: int, shop: Path) -> None:
    before = content(shop)
    script = (
        "import time\nfrom whenbuy import cli\nfrom whenbuy.pipeline.learning import learn\n"
        "def slow(*_, **__):\n    print('learning', flush=True)\n    time.sleep(60)\n"
        f"learn.fit = slow\ncli.main(['fit', '--shop', {str(shop)!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stderr is not None
        assert other.stdout.readline() == "learning\n"
        time.sleep(0.1)
        other.send_signal(number)
        said = other.stderr.read()
        assert other.wait() == code
    assert "Traceback" not in said
    assert "Interrupted" in said
    assert content(shop) == before
    ok("fit", "--shop", shop)  # and nobody holds the shop


def test_a_verb_says_which_end_it_came_to(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, code in ((KeyboardInterrupt, 130), (Terminated, 143)):

        def ended(*_: Any, error: type[BaseException] = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(learn, "fit", ended)
        said = typed("fit", "--shop", shop)
        assert said.code == code
        assert "nothing is half-written" in said.err


def test_the_registry_of_a_shop_is_read_without_writing(shop: Path) -> None:
    before = content(shop)
    for words in (["models"], ["models", "show"], ["models", "verify"], ["predict", "K0001"]):
        ok(*words, "--shop", shop)
    assert content(shop) == before
    assert Registry(shop / "models").champion() == champion(shop)

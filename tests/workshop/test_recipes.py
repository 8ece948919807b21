"""The reference recipes run in their quick form, each as a person types it, and print their table beside the default's."""

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "recipes"
RECIPES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "shop")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_prints_its_table_beside_the_default(recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))  # where Python looks when the script is run by its path
    monkeypatch.setattr(sys, "argv", [str(recipe), "--quick"])
    runpy.run_path(str(recipe), run_name="__main__")
    told = capsys.readouterr().out
    assert "│ default" in told
    assert "95 % interval" in told
    assert "NaN" not in told


def test_there_are_the_five() -> None:
    assert [path.stem for path in RECIPES] == ["behaviour_mlp", "demand_series", "propensity", "sequence_rnn", "timing_lstm"]

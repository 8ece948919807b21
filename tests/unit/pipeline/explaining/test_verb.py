import numpy as np
import pytest

from tests.unit.pipeline.explaining.small import KNOWN, model, shop
from whenbuy.core.errors import LeakError, NotFoundError
from whenbuy.pipeline.explaining import behind
from whenbuy.pipeline.verbs import explain as verb

USERS = ("u001", "u002")


@pytest.fixture
def stands(monkeypatch, tmp_path):
    """A shop whose log and champion are the small ones: how they are opened is tested elsewhere."""

    class Home:
        log = tmp_path

        def settings(self, rules):
            return None

    monkeypatch.setattr(verb, "find_shop", lambda folder: Home())
    monkeypatch.setattr(verb, "open_log", lambda path: shop())
    monkeypatch.setattr(verb.champion, "answering", lambda home, instant=None: ("m1", model()))
    monkeypatch.setattr(behind, "STANDING", 6)
    monkeypatch.setattr(behind, "SCORED", 40)


def say(words):
    assert words


def test_customers_in_words_and_figures(stands):
    result = verb.explain(None, (*USERS, "nobody", *USERS), None, None, say)
    plain = result.plain()
    assert plain["model"] == "m1"
    assert plain["horizon_days"] == 7
    assert {row["user_id"] for row in plain["reasons"]} == {*USERS, "nobody"}
    assert all(plain["sentences"][user].startswith(screen.title) for screen, user in zip(result.screens, (*USERS, "nobody"), strict=True))
    assert [rows[0]["change"] for rows in plain["changes"].values()] == ["nothing"] * 3
    for screen, user in zip(result.screens, (*USERS, "nobody"), strict=True):
        shown = [float(row[0].replace("−", "-")) for row in screen.rows]
        np.testing.assert_allclose(shown, result.table.filter(user_id=user)["points"], atol=0.0501)
        assert "after an order today" in screen.below[0]
    assert "usual for a newcomer answers: nobody" in result.after[0]
    assert "not causes" in result.after[-1]


def test_the_whole_model_where_nobody_is_named(stands):
    result = verb.explain(None, None, KNOWN, 14.0, say)
    assert result.name == "importance"
    assert len(result.screens[0].rows) == len(result.table)
    assert "has learned from these weeks" in " ".join(result.screens[0].below)
    assert result.facts["horizon_days"] == 14


def test_no_shop_and_no_knowledge(stands, monkeypatch, tmp_path):
    with pytest.raises(LeakError):
        verb.explain(None, USERS, "2024-05-01", None, say)
    monkeypatch.undo()
    with pytest.raises(NotFoundError):
        verb.explain(tmp_path / "none", USERS, None, None, say)

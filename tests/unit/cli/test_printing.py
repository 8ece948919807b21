"""What a terminal shows, and what it cannot be made to show."""

import contextlib
import io
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from whenbuy.cli import bar as bars
from whenbuy.cli.bar import bar, clock
from whenbuy.cli.printing import drawn, harmless, progress
from whenbuy.core.progress import Step
from whenbuy.pipeline.telling.result import Screen

LINE = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@given(
    st.lists(st.tuples(LINE, LINE, st.floats(-1e6, 1e6).map("{:.4f}".format)), max_size=5), st.sampled_from([20, 40, 60, 80, 200]), LINE
)  # fmt: skip
def test_no_line_is_longer_than_the_terminal_is_wide(rows: list[tuple[str, str, str]], width: int, title: str) -> None:
    screen = Screen(title, ("name", "why", "n>"), tuple(rows), ("Some words below the table, which are longer than a narrow line.",))
    found = drawn(screen, width)
    assert "\x1b" not in found
    for line in found.split("\n"):
        wide = sum(cell_len(letter) > 1 for letter in line)  # wrapping counts letters, so wide ones may stick out
        assert cell_len(line) <= width + wide or " " not in line.strip()


def test_words_are_wrapped_and_numbers_stay_in_line() -> None:
    screen = Screen("", ("question", "in words", "n>"), (("purchase", "When does she buy next, and how likely?", "1,000"), ("x", "y", "2")))
    assert drawn(screen, 200).split("\n") == [
        "question  in words                                     n",
        "purchase  When does she buy next, and how likely?  1,000",
        "x         y                                            2",
    ]
    assert drawn(screen, 45).split("\n") == [
        "question  in words                          n",
        "purchase  When does she buy next, and   1,000",
        "          how likely?",
        "x         y                                 2",
    ]
    assert drawn(screen, 30).split("\n") == [
        "question: purchase",
        "  in words: When does she buy",
        "    next, and how likely?",
        "  n: 1,000",
        "",
        "question: x",
        "  in words: y",
        "  n: 2",
    ]


def test_an_empty_table_has_its_heads_and_a_list_without_heads_has_none() -> None:
    assert drawn(Screen("T:", ("a", "b>"), ()), 80) == "T:\na  b"
    assert drawn(Screen("", ("", ""), (("a", "b"),)), 80) == "a  b"


# ------------------------------------------------------------------------------------------------ the bar


def said(monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress() as say:
        for text in words:
            say(text)
    return stream.getvalue()


def test_a_terminal_gets_a_bar_and_every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    found = said(monkeypatch, "reading", Step("[bold]half\x1b[2J", 0.5), "two\nlines")
    assert "\x1b[" in found
    assert "━" in found
    for line in ("reading", "[bold]half\ufffd[2J", "two", "lines"):
        assert f"{line}\n" in found.replace("\r", "")
    assert "\x1b[2J" not in found
    assert found.endswith("\x1b[2K")  # the bar is gone when the work is done


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("COLUMNS", "40")])
def test_a_dumb_or_narrow_terminal_gets_what_it_can_show(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    found = said(monkeypatch, "reading", Step("half", 0.5))
    assert ("\x1b" in found) == (name != "TERM")
    assert "━" not in found


def test_a_pipe_gets_words_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as say:
        say(Step("half", 0.5))
    assert capsys.readouterr().err == "half\n"


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in said(monkeypatch, Step("half", 0.5)).replace("\x1b[?25", "")


def test_the_time_left_is_what_the_rest_takes_at_this_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(bars._TimeLeft, "max_refresh", None)
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with bar(stream, harmless) as say:
        now[0] += 60
        say(Step("a quarter", 0.25))
        now[0] += 30
    assert "1:30, about 2:30 left" in stream.getvalue()


def test_an_error_in_the_work_takes_the_bar_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with contextlib.suppress(KeyboardInterrupt), bar(stream, harmless) as say:
        say("reading")
        raise KeyboardInterrupt
    assert "\x1b[?25h" in stream.getvalue()  # the cursor is shown again


def test_lengths_of_time() -> None:
    assert [clock(seconds) for seconds in (0, 59.4, 60, 3599, 3600, 36_061)] == ["0:00", "0:59", "1:00", "59:59", "1:00:00", "10:01:01"]

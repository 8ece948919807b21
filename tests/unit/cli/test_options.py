"""What can be typed, and what a shell offers for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.foreign import ok, refused, typed
from whenbuy.cli import whenbuy
from whenbuy.cli.options import Budget, listed, nearest


def offered(words: str, *, cwd: Path | None = None) -> list[str]:
    """What a shell offers after these words, as bash asks for it."""
    environment = {
        **os.environ,
        "_WHENBUY_COMPLETE": "bash_complete",
        "COMP_WORDS": f"whenbuy {words}",
        "COMP_CWORD": str(len(words.split(" "))),
    }
    done = subprocess.run([sys.executable, "-m", "whenbuy.cli"], env=environment, cwd=cwd, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str) -> None:
    said = ok("completion", shell)
    assert "_WHENBUY_COMPLETE" in said.out
    assert shell in said.err
    assert "{" not in ok("completion", "fish").out.split("\n")[0]


def test_the_script_of_bash_is_bash() -> None:
    if os.name == "posix":
        done = subprocess.run(["bash", "-n"], input=ok("completion", "bash").out, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_shell_is_offered_verbs_options_choices_files_and_ids(tmp_path: Path) -> None:
    for name in ("models", "runs"):
        for id in ("20230101-000000-aaaaaaaa", "20230102-000000-bbbbbbbb", ".20230103-000000-cccccccc.gone"):
            (tmp_path / name / id).mkdir(parents=True)
    assert [each.split(",")[1] for each in offered("le")] == ["learning-curve"]
    assert "plain,--json" in offered("fit --j")
    assert offered("completion f") == ["plain,fish"]
    assert offered("init till") == ["file,till"]
    assert offered("fit --shop ") == ["dir,"]
    assert offered("models show 20230102", cwd=tmp_path) == ["plain,20230102-000000-bbbbbbbb"]
    assert offered("runs show ", cwd=tmp_path) == ["plain,20230102-000000-bbbbbbbb", "plain,20230101-000000-aaaaaaaa"]
    assert offered(f"runs show --shop {tmp_path} 20230101") == ["plain,20230101-000000-aaaaaaaa"]


def test_offering_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom whenbuy.cli import run\ntry:\n    run([])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('polars', 'numpy', 'numba', 'sklearn', 'rich') if name in sys.modules], file=sys.stderr)"
    )
    environment = {**os.environ, "_WHENBUY_COMPLETE": "bash_complete", "COMP_WORDS": "whenbuy models show ", "COMP_CWORD": "3"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_times() -> None:
    budget = Budget()
    assert [budget.convert(text, None, None) for text in ("90", "90s", "1.5m", " 2 h ", 7)] == [90, 90, 90, 7200, 7]
    for text in ("soon", "-1", "1e9", "10 d", "", "nan", "9" * 30):
        assert "--budget" in refused(2, "fit", "--budget", text)


def test_names_come_one_by_one_or_with_commas() -> None:
    assert listed(("a,b", "c", " b , ", "")) == ("a", "b", "c")


def test_a_word_that_does_not_exist_names_the_nearest() -> None:
    assert "Did you mean 'backtest'?" in refused(2, "bactest")
    assert "Did you mean 'compare'?" in refused(2, "models", "compar")
    assert nearest("xyz", whenbuy.commands) == ""
    assert typed("models", "--help").code == 0

"""The task file: short, from the standard library alone, and never fooled by half an installation."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "run.py"


class Double:
    """A run.py of its own whose .venv lies elsewhere, and whose commands are only written down."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = importlib.util.spec_from_file_location("run_py", RUN)
        assert spec is not None
        assert spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        folder.mkdir()
        self.stamp = folder / "installed"
        self.steps: list[str] = []
        self.broken = "nothing"
        for name, value in {"VENV": folder, "STAMP": self.stamp, "call": self.call}.items():
            monkeypatch.setattr(self.module, name, value)

    def call(self, command: list[str]) -> int:
        self.steps.append(" ".join(command))
        return 7 if self.broken in command else 0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Double:
    return Double(tmp_path / ".venv", monkeypatch)


def test_it_is_short_and_needs_nothing() -> None:
    text = RUN.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    nodes = list(ast.walk(ast.parse(text, feature_version=(3, 8))))  # an old Python gets as far as the message
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


@pytest.mark.parametrize("arguments", [[], ["tset"], ["--help"]])
def test_an_unknown_recipe_shows_the_known_ones(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, str(RUN), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    for recipe in ("demo", "test", "fix", "bench", "bench-quality", "nightly"):
        assert f"run.py {recipe} " in done.stderr


def test_ci_runs_what_a_person_runs() -> None:
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == "exec python3 run.py test"


def test_an_installation_happens_once(run: Double) -> None:
    run.module.install()
    assert any("uv pip install" in step for step in run.steps)
    assert [step.split()[-1] for step in run.steps[-2:]] == ["check", "--warm"]
    run.steps.clear()
    run.module.install()
    assert not run.steps


def test_a_changed_lock_installs_again(run: Double) -> None:
    run.stamp.write_text("another lock")
    run.module.install()
    assert run.steps
    assert not any("--reinstall" in step for step in run.steps)


def test_torch_comes_only_where_nets_are_tested_and_then_once(run: Double) -> None:
    assert run.module.main("demo") == 0
    assert not any("torch==" in step for step in run.steps)
    run.steps.clear()
    assert run.module.main("test") == 0
    assert sum("torch==2.13.0" in step for step in run.steps) == 1
    run.steps.clear()
    assert run.module.main("test") == run.module.main("demo") == 0
    assert not any("install" in step for step in run.steps)


def test_without_torch_the_rest_is_installed_and_the_next_run_asks_again(run: Double) -> None:
    run.broken = "torch==2.13.0"
    run.module.install(nets=True)
    assert any("--torch-backend cpu" in step for step in run.steps)
    assert any("requirements.lock" in step for step in run.steps)
    run.steps.clear()
    run.module.install()
    assert not run.steps
    run.module.install(nets=True)
    assert run.steps


def test_pip_steps_in_where_uv_cannot_be_had(run: Double) -> None:
    run.broken = "uv"
    run.module.install()
    assert any("pip --disable-pip-version-check install --quiet --force-reinstall -r requirements.lock" in step for step in run.steps)
    assert run.stamp.exists()


def test_kernels_that_cannot_be_compiled_ahead_are_no_obstacle(run: Double) -> None:
    run.broken = "--warm"
    run.module.install()
    assert run.stamp.exists()


@pytest.mark.parametrize("broken", ["venv", "-r", "-e", "check"])
def test_a_broken_installation_leaves_no_stamp_and_is_redone_in_full(run: Double, broken: str) -> None:
    run.stamp.write_text("another lock")
    run.broken = broken
    with pytest.raises(SystemExit) as end:
        run.module.install()
    assert end.value.code
    assert not run.stamp.exists()
    run.broken = "nothing"
    run.steps.clear()
    run.module.install()
    assert any("--reinstall" in step for step in run.steps)


def test_the_first_failing_step_gives_its_exit_code(run: Double) -> None:
    run.broken = "mypy"
    assert run.module.main("test") == 7
    assert run.steps[-1].endswith("mypy")


def test_arguments_reach_the_last_step_only(run: Double) -> None:
    assert run.module.main("test", "-k", "docs") == 0
    assert run.steps[-1].endswith("-k docs")
    assert not any("docs" in step for step in run.steps[:-1])

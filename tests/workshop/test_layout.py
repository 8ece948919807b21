"""The house stays in order: file names, file sizes, and what a start imports."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
HEAVY = {"torch", "sklearn", "lightgbm", "statsmodels", "lifelines", "numba", "altair", "pandas"}
LONGEST = 500
STARTS = {
    "library": "import whenbuy",
    "command": "import whenbuy.cli",
    "help": """
import sys
from whenbuy.cli import main
sys.argv = ["whenbuy", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
""",
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def test_names_say_what_is_inside() -> None:
    named = {path: {*path.relative_to(SOURCE).parts[:-1], path.stem} for path in modules()}
    assert named
    assert not {path for path, names in named.items() if names & EMPTY_NAMES}


def test_every_public_name_is_there() -> None:
    import whenbuy

    assert all(getattr(whenbuy, name) is not None for name in whenbuy.__all__)


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_file_grows_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_every_folder_is_a_package() -> None:
    # import-linter does not look into a folder without __init__.py
    assert not {path.parent for path in modules() if path.parent != SOURCE and not (path.parent / "__init__.py").exists()}


def test_the_types_are_shipped() -> None:
    assert (SOURCE / "whenbuy" / "py.typed").exists()


@pytest.mark.parametrize("start", STARTS)
def test_a_start_loads_nothing_heavy(start: str) -> None:
    code = f"{STARTS[start]}\nimport sys\nprint('loaded', *{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.splitlines()[-1].split()[1:])
    assert "whenbuy" in loaded
    assert not loaded & HEAVY

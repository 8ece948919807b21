"""Every exit code, each from a real situation; and what becomes of output that nobody reads to its end."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.scenarios import small
from tests.scenarios.foreign import Said, content, ok, refused, typed
from whenbuy.cli import INTERRUPTED, TERMINATED, Terminated
from whenbuy.core import errors
from whenbuy.core.errors import WhenbuyError
from whenbuy.ingest.store import writing
from whenbuy.pipeline.keeping import shop as shops
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.verbs import fit as fitting
from whenbuy.pipeline.verbs import predict

ALARM = 9
"""Of the verb `monitor`, which does not exist yet."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.shop(tmp_path_factory.mktemp("codes"))


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    shutil.copy(made.parent / "till.csv", tmp_path)
    return Path(shutil.copytree(made, tmp_path / "shop"))


def raised(error: type[BaseException]) -> Callable[..., Any]:
    def raising(*_: object, **__: object) -> Any:
        raise error

    return raising


def held(shop: Path) -> Said:
    """Somebody else is writing."""
    script = (
        f"import time\nfrom whenbuy.ingest.store import writing\nwith writing({str(shop)!r}):\n"
        "    print('in', flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        try:
            return typed("fit", "--shop", shop)
        finally:
            other.kill()


def worse(shop: Path) -> Said:
    """What is learned is worse than the floor."""
    with pytest.MonkeyPatch.context() as patch, small.quick():
        patch.setattr(fitting.champion, "succeed", _refuse)
        return typed("fit", "--shop", shop)


def _refuse(*_: object) -> Any:
    raise errors.GateError("It is worse than the floor.", "It must be better.", "See `whenbuy models`.")


def patched(target: object, name: str, becomes: object, *words: object) -> Said:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, name, becomes)
        return typed(*words)


def full(*_: object) -> Any:
    raise shops._denied(Path("x.csv"), OSError(28, "No space left on device"))


def missing(*_: object, **__: object) -> Any:
    raise ModuleNotFoundError("No module named 'polars'", name="polars")


SITUATIONS: dict[str, tuple[int, Callable[[Path], Said]]] = {
    "all went well": (0, lambda shop: typed("predict", "--shop", shop)),
    "a broken promise": (1, lambda shop: patched(predict, "predict", raised(ZeroDivisionError), "predict", "--shop", shop)),
    "a wrong word": (2, lambda shop: typed("predict", "--shop", shop, "--nosuch")),
    "a wrong setting": (2, lambda shop: typed("fit", "--shop", said(shop, "whenbuy.toml", "[nosuch]"))),
    "a date before what is known": (2, lambda shop: typed("predict", "--shop", shop, "--as-of", "2024-04-01")),
    "no event log": (3, lambda shop: typed("init", said(shop, "x.csv", "a,b\n1,2\n") / "x.csv", "--shop", shop.parent / "new")),
    "a damaged log": (3, lambda shop: typed("fit", "--shop", damaged(shop))),
    "a damaged log that a doctor finds": (3, lambda shop: typed("doctor", "--shop", damaged(shop))),
    "not enough data": (4, lambda shop: typed("fit", "--shop", shop, "--as-of", "1980-01-01")),
    "a model that did not earn its place": (5, worse),
    "no shop": (6, lambda shop: typed("predict", "--shop", shop.parent)),
    "no file": (6, lambda shop: typed("init", shop / "no.csv", "--shop", shop.parent / "new")),
    "no model of that name": (6, lambda shop: typed("models", "show", "x", "--shop", shop)),
    "no room": (7, lambda shop: patched(predict, "write_frame", full, "predict", "--shop", shop)),
    "no right": (7, lambda shop: typed("predict", "--shop", shop, "--out", shop / "whenbuy.toml" / "x.csv")),
    "somebody else writes": (8, held),
    "a library is gone": (8, lambda shop: patched(predict, "predict", missing, "predict", "--shop", shop)),
    "Ctrl-C": (INTERRUPTED, lambda shop: patched(learn, "fit", raised(KeyboardInterrupt), "fit", "--shop", shop)),
    "asked to end": (TERMINATED, lambda shop: patched(learn, "fit", raised(Terminated), "fit", "--shop", shop)),
}


def said(shop: Path, name: str, text: str) -> Path:
    (shop / name).write_text(text)
    return shop


def damaged(shop: Path) -> Path:
    file = max((shop / "log").rglob("*.arrow"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    return shop


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_situation_has_its_code(situation: str, shop: Path) -> None:
    code, do = SITUATIONS[situation]
    found = do(shop)
    assert found.code == code, found.err
    assert "Traceback" not in found.err
    if code not in (0, INTERRUPTED, TERMINATED) and "doctor" not in situation:
        assert found.out == ""
        assert len(found.err[found.err.rindex("Error: ") :].rstrip().split("\n")) == 3, found.err


def test_every_code_is_provoked() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WhenbuyError)]
    known = {0, INTERRUPTED, TERMINATED, *(kind.exit_code for kind in kinds)}
    assert {code for code, _ in SITUATIONS.values()} == known - {ALARM}


def test_an_interrupted_fit_leaves_what_was_there(shop: Path) -> None:
    before = content(shop)
    for error, code in ((KeyboardInterrupt, INTERRUPTED), (Terminated, TERMINATED)):
        assert patched(learn, "fit", raised(error), "fit", "--shop", shop).code == code
    assert content(shop) == before
    with writing(shop):
        pass  # and nobody holds it


# ------------------------------------------------------------------------------------------------ pipes


def piped(shop: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell, in which `whenbuy` is this one."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], cwd=shop, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_pipes(shop: Path) -> None:
    whole = piped(shop, "whenbuy predict")
    assert whole.returncode == 0, whole.stderr
    first = piped(shop, "whenbuy predict | head -1")
    assert (first.returncode, first.stdout) == (0, whole.stdout.split("\n")[0] + "\n")
    pretty = piped(shop, "whenbuy predict --json | python -m json.tool")
    assert pretty.returncode == 0
    assert len(json.loads(pretty.stdout)["forecasts"]) == len(pl.read_csv(whole.stdout.encode()))
    for done in (whole, first, pretty):
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_reader_who_goes_away_does_no_harm_to_json(shop: Path) -> None:
    done = piped(shop, "whenbuy predict --json | head -c 10")
    assert (done.returncode, done.stdout) == (0, '{"as_of": ')
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


def test_several_verbs_in_one_process_do_not_disturb_each_other(shop: Path) -> None:
    with ExitStack() as stack:
        stack.enter_context(small.quick())
        first = ok("predict", "--shop", shop).out
        refused(2, "fit", "--shop", shop, "--ask", "nosuch")
        ok("questions", "--shop", shop)
        assert ok("predict", "--shop", shop).out == first

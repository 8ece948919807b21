"""The Python examples of the documents and the scripts in examples/ run as they stand."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


WITH_EXAMPLES = ("architecture", "questions/table", "demand", "nets", "plan", "recommend", "reviews", "segments", "stock", "uplift")


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_document_run(name: str) -> None:
    name = f"docs/{name}.md"
    code = "\n\n".join(re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL))
    assert code
    exec(compile(code, name, "exec"), {"__name__": "example"})


SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_runs(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 3

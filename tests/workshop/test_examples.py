"""The Python examples of the documents run as they stand, one after the other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["docs/architecture.md", "docs/questions/table.md"])
def test_the_examples_of_a_document_run(name: str) -> None:
    code = "\n\n".join(re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL))
    assert code
    exec(compile(code, name, "exec"), {"__name__": "example"})

"""What deploy/ names exists: commands and their options, the extra, the addresses, the files; and systemd understands the unit (H8)."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import click
import pytest

from whenbuy.cli.verbs import whenbuy

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "whenbuy.service").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def understood(words):
    """Whether the command line knows a verb and all of these options."""
    verb, *rest = words
    command = whenbuy.get_command(click.Context(whenbuy), verb)
    assert command is not None, verb
    if isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    known = {name for option in command.params for name in option.opts}
    assert {word for word in rest if word.startswith("--")} <= known, words


def commands():
    """Every `whenbuy …` that a file there, or the guide, tells to type."""
    found = re.findall(r"^ExecStart=\S*/whenbuy (.*)$", UNIT, re.MULTILINE)
    found += re.findall(r"`whenbuy ([^`]*)`", UNIT)
    found += re.findall(r"\bwhenbuy whenbuy (.*)$|-t whenbuy \.$", DOCKERFILE, re.MULTILINE)
    found += [" ".join(re.findall(r'"([^"]*)"', line)) for line in re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)]
    found += re.findall(r"^whenbuy (.*)$", (ROOT / "docs" / "live.md").read_text(), re.MULTILINE)
    return [shlex.split(each) for each in found if each.strip()]


def test_every_command_that_is_named_exists():
    named = commands()
    assert len(named) >= 8
    for words in named:
        understood(words)
    with pytest.raises(AssertionError):  # a planted one
        understood(["serve", "--publicly"])


def test_the_container_is_made_of_what_is_there():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {each for found in re.findall(r"(?:source|whenbuy)\[([\w,]+)\]", DOCKERFILE + UNIT) for each in found.split(",")}
    assert {"serve", "postgres", "redis"} <= named <= set(extras)
    assert 'ENTRYPOINT ["whenbuy"]' in DOCKERFILE
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert "whenbuy" in scripts
    assert re.search(r"^USER (?!root)", DOCKERFILE, re.MULTILINE)
    python = re.search(r"^FROM python:(\d+)\.(\d+)", DOCKERFILE, re.MULTILINE)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert python is not None
    assert (int(python[1]), int(python[2])) >= tuple(map(int, re.findall(r"\d+", needed)[:2]))


def let_in(name: str, said: str) -> bool:
    """Whether a file of the project is sent to the builder, by the last line of a .dockerignore that fits it."""
    kept = True
    for line in (each for each in said.split() if not each.startswith("#")):
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = Path(name).parts
        if any(fnmatch(part, pattern) for part in (parts if "**" in line else parts[:1])):
            kept = line.startswith("!")
    return kept


def test_what_the_container_is_built_from_is_sent_to_the_builder(tmp_path):
    said = "\n".join(line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if not line.startswith("#"))
    assert all(let_in(name, said) for name in ("pyproject.toml", "README.md", "LICENSE", "src/whenbuy/serve/running.py"))
    assert not any(let_in(name, said) for name in (".git/config", ".venv/bin/python", "tests/conftest.py", "src/whenbuy/__pycache__/x.pyc"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [project["project"]["readme"], *project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
    for name in needed:
        assert (ROOT / name).exists(), name
        assert let_in(name, said), name
    for source in re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE):
        assert (ROOT / source).exists(), source


def test_the_addresses_that_are_asked_answer(tmp_path):
    from tests.unit.serve.doubles import Bench
    from whenbuy.serve.routes import PUBLIC

    bench = Bench(tmp_path)
    for path in re.findall(r"http://127\.0\.0\.1:8750(/[\w/.]*)", DOCKERFILE + UNIT):
        found, _ = bench.app.table.find(path)
        assert found["GET"].permission == PUBLIC, path
    bench.journal.close()


def test_the_files_that_the_guide_names_are_there():
    guide = (ROOT / "docs" / "live.md").read_text()
    for name in re.findall(r"\]\(\.\./([\w/.]+)\)", guide) + re.findall(r"python (benchmarks/\w+\.py)", guide):
        assert (ROOT / name).exists(), name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_understands_the_unit(tmp_path):
    program = Path(sys.executable).with_name("whenbuy")
    unit = tmp_path / "whenbuy.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={program}", UNIT, flags=re.MULTILINE))
    said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert "whenbuy.service" not in said.stderr + said.stdout, said.stderr
    unit.write_text(unit.read_text().replace("Restart=on-failure", "Restrat=on-failure"))  # a planted slip
    said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert "Restrat" in said.stderr + said.stdout

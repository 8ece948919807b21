"""What the documents say is true of the code: links, commands, features, and nothing of the machine they were written on."""

import ast
import re
import shlex
import subprocess
import tempfile
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]


@cache
def project_files() -> list[Path]:
    """Every file of the project that git knows or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return sorted(ROOT / name for name in found.stdout.split("\0") if name and (ROOT / name).is_file())
    ignored = {".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines())}
    return sorted(path for path in ROOT.rglob("*") if path.is_file() and not ignored & set(path.relative_to(ROOT).parts))


def documents() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".md"]


def fenced(text: str) -> list[tuple[str, str]]:
    """(language, body) of every fenced block."""
    return re.findall(r"^```([\w-]*)[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """The text without its code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def shell_lines(text: str) -> list[list[str]]:
    """The words of every command that stands in a fenced block of a shell or of no language."""
    lines = []
    for language, body in fenced(text):
        if language in {"", "sh", "bash", "shell", "console", "text"}:
            for line in body.replace("\\\n", " ").splitlines():
                for part in re.split(r"&&|\|\||[|;]", line.strip().removeprefix("$ ")):
                    try:
                        lines.append(shlex.split(part, comments=True))
                    except ValueError:  # an apostrophe: output, not a command
                        continue
    return [words for words in lines if words]


# ------------------------------------------------------------------------------------------------ links


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+\s+(.+?)\s*$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    text = prose(path.read_text(encoding="utf-8"))
    links = [*re.findall(r"\]\(\s*<?([^)\s>]+)", text), *re.findall(r"^\[[^\]]+\]:\s*(\S+)", text, flags=re.MULTILINE)]
    for link in links:
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: {target.name} has no such heading"


# ------------------------------------------------------------------------------------------------ commands


def whenbuy_group() -> click.Group:
    from whenbuy import cli

    return next(value for value in vars(cli).values() if isinstance(value, click.Group))


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_shown_exists(path: Path) -> None:
    group = whenbuy_group()
    context = click.Context(group)
    for words in shell_lines(path.read_text(encoding="utf-8")):
        if Path(words[0]).name != "whenbuy" or len(words) == 1 or words[1] == "--help":
            continue
        verb = next((word for word in words[1:] if word in group.list_commands(context)), None)
        shown = " ".join(words)
        assert verb is not None, f"{shown!r} names none of: {', '.join(group.list_commands(context))}"
        command = group.get_command(context, verb)
        assert command is not None
        if isinstance(command, click.Group):
            inner = next((word for word in words[words.index(verb) + 1 :] if word in command.commands), None)
            command = command.commands[inner] if inner else command
        known = {option for owner in (group, command) for param in owner.params for option in (*param.opts, *param.secondary_opts)}
        flags = {word.partition("=")[0] for word in words[1:] if re.match(r"--\w", word)}
        assert flags <= known | {"--help"}, f"{shown!r} uses {', '.join(sorted(flags - known))}, which {verb} does not have"


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_recipe_shown_exists(path: Path) -> None:
    recipes = set(re.findall(r"^python3 run\.py ([\w-]+)", (ROOT / "run.py").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for recipe in re.findall(r"run\.py ([a-z][\w-]*)", path.read_text(encoding="utf-8")):
        assert recipe in recipes


# ------------------------------------------------------------------------------------------------ features

SIZES = {"A": 7, "B": 7, "C": 7, "D": 14, "E": 5, "F": 12, "G": 7, "H": 8, "I": 6}


def feature_rows() -> list[list[str]]:
    lines = (ROOT / "docs" / "features.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in cells if re.fullmatch(r"[A-I]\d+", row[0])]


def test_every_feature_stands_in_the_table_once() -> None:
    assert [row[0] for row in feature_rows()] == [f"{letter}{number}" for letter, size in SIZES.items() for number in range(1, size + 1)]


@pytest.mark.parametrize("row", feature_rows(), ids=lambda row: row[0])
def test_a_feature_is_as_far_as_its_tests(row: list[str]) -> None:
    _, promise, tests, status = row
    assert promise
    assert status in {"done", "partly", "planned"}
    named = re.findall(r"`([^`]+)`", tests)
    assert named or status == "planned", "a feature that is done, or partly done, names the test that shows it"
    for test in named:
        file, *parts = test.split("::")
        assert file.startswith("tests/"), test
        assert (ROOT / file).is_file(), f"{test}: there is no such file"
        node: ast.AST = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        for part in parts:
            inside = {child.name: child for child in ast.iter_child_nodes(node) if isinstance(child, ast.FunctionDef | ast.ClassDef)}
            assert part in inside, f"{test}: there is no {part}"
            node = inside[part]


# ------------------------------------------------------------------------------------------------ records


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert versions
    assert versions[0] == "Unreleased"


def test_decisions_are_numbered_and_listed() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for name in names:
        assert f"decisions/{name}" in index, f"docs/README.md does not list {name}"


def test_every_document_is_reachable_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for path in documents():
        if path.is_relative_to(ROOT / "docs") and path.name != "README.md":
            assert f"({path.relative_to(ROOT / 'docs').as_posix()})" in index, f"docs/README.md does not list {path.name}"


# ------------------------------------------------------------------------------------------------ strangers


def machine_paths() -> re.Pattern[str]:
    """Paths that mean something on one machine only; among them the folder that this checkout lies in."""
    patterns = [r"\.\./shared\b", r"file:/{3}", r"(?<![\w.~])/(?:home|Users)/\w", r"(?<![\w.~])/(?:root)/"]
    home = ROOT.parent
    if home not in {Path(home.anchor), Path(tempfile.gettempdir())}:
        patterns.append(rf"(?<![\w.~]){re.escape(home.as_posix())}/")
    return re.compile("|".join(patterns))


def test_no_file_names_this_machine() -> None:
    pattern = machine_paths()
    for path in project_files():
        data = path.read_bytes()
        if b"\0" not in data:
            found = pattern.search(data.decode("utf-8", errors="replace"))
            assert not found, f"{path.relative_to(ROOT)} names {found.group()}"


def test_the_lock_names_no_place_and_no_torch() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    names = {line.partition("==")[0] for line in lines if "==" in line}
    assert not {name for name in names if name.startswith(("torch", "nvidia", "triton", "cuda"))}


def test_the_lock_holds_every_dependency() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *(line for extra in ("demo", "bench", "dev") for line in extras[extra])]:
        name = re.split(r"[<>=!~ ;\[]", requirement)[0]
        assert re.search(rf"^{re.escape(name)}==", lock, flags=re.MULTILINE), f"{name} is not in requirements.lock"

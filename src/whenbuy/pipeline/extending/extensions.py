"""A shop's own features, answers and learners: ``extensions.py`` in its folder, run only where its settings say ``extensions = true``."""

from __future__ import annotations

import hashlib
import stat
import sys
import tomllib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final

from whenbuy.config.values import FILE
from whenbuy.core.errors import AccessError, InputError, NotFoundError, SettingsError, WhenbuyError
from whenbuy.core.learner import Learner
from whenbuy.features import Feature
from whenbuy.pipeline.learning import catalogue
from whenbuy.pipeline.learning.answers import ANSWERS, Answer
from whenbuy.pipeline.learning.grid import Grid

EXTENSIONS: Final = "extensions.py"
"""The file of a shop's own code."""
Candidates = Callable[[Grid], tuple[Learner[Any], ...]]
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a shop adds.

    Parameters
    ----------
    features
        Further features, beside those that every shop gets.
    answers
        Further answers, asked for by name.
    learners
        By answer of whenbuy's own: what returns further candidates for it.
    types
        The classes of the file that stored models may be made of, by name.
    """

    features: tuple[Feature, ...] = ()
    answers: tuple[Answer, ...] = ()
    learners: Mapping[str, Candidates] = field(default_factory=lambda: _NONE)
    types: Mapping[str, type] = field(default_factory=lambda: _NONE)

    @property
    def table(self) -> Mapping[str, Answer]:
        """Every answer by name, the shop's own behind the others. They are given when they are asked for by name."""
        own = {answer.name: replace(answer, usual=False) for answer in self.answers}
        return {**ANSWERS, **own}

    def candidates(self, answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
        """Return the candidates for an answer of whenbuy's own, the floor first and the shop's last."""
        return (*catalogue.learners(answer, grid), *self.further(answer, grid))

    def further(self, answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
        """Return the shop's candidates for an answer of whenbuy's own."""
        return self.learners[answer](grid) if answer in self.learners else ()


def extensions(folder: Path) -> Extensions:
    """Return what a shop's file adds; nothing where its settings do not say that it is run.

    Raises
    ------
    NotFoundError
        When the settings say so and there is no such file.
    AccessError
        When others than its owner may write the file: it is code that will run.
    InputError
        When it cannot be run, or names something else than features, answers and learners.
    """
    if not wanted(folder):
        return Extensions()
    path = folder / EXTENSIONS
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"{path} is not there.", f"{FILE} says extensions = true.", "Write it, or take that line out.") from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and sys.platform != "win32":
        raise AccessError(f"Others may write {path}.", "It is code that runs as you.", f"chmod go-w {path.name}")
    return _run(path, content, hashlib.sha256(content).hexdigest())


def wanted(folder: Path) -> bool:
    """Return whether the settings of a shop say that its own code is run."""
    try:
        shop = tomllib.loads((folder / FILE).read_text(encoding="utf-8")).get("shop", {})
    except (FileNotFoundError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    said = shop.get("extensions", False)
    if not isinstance(said, bool):
        raise SettingsError(f"shop.extensions is {said!r}.", "It is true or false.", f"Write extensions = true in {FILE}.")
    return said


def stored_types(folder: Path) -> Mapping[str, type]:
    """Return every type that a stored model of a shop may be made of, by name: its own classes among them, where its code is run."""
    return {**catalogue.types(), **extensions(folder).types}


@cache
def _code(path: Path, content: bytes, digest: str) -> ModuleType:
    """Return the module of a file; the same content gives the same classes."""
    made = ModuleType(f"whenbuy_extensions_{digest[:16]}")
    made.__file__ = str(path)
    sys.modules[made.__name__] = made  # where dataclasses look for the names in annotations
    try:
        exec(compile(content, str(path), "exec"), made.__dict__)
    except Exception as error:
        del sys.modules[made.__name__]
        raise failed("the file", error, path) from error
    return made


def _run(path: Path, content: bytes, digest: str) -> Extensions:
    code = _code(path, content, digest)
    features: Any = getattr(code, "FEATURES", ())
    answers: Any = getattr(code, "ANSWERS", ())
    learners: Any = getattr(code, "LEARNERS", {})
    if not isinstance(features, tuple) or not all(hasattr(one, "measure") and hasattr(one, "name") for one in features):
        raise _wrong("FEATURES", features, "a tuple of features (whenbuy.features, or a frozen dataclass with name and measure)")
    if not isinstance(answers, tuple) or not all(isinstance(one, Answer) for one in answers):
        raise _wrong("ANSWERS", answers, "a tuple of whenbuy.pipeline.learning.answers.Answer")
    if not isinstance(learners, Mapping) or not all(callable(one) for one in learners.values()):
        raise _wrong("LEARNERS", learners, "a mapping from the name of an answer to a function of the grid that returns learners")
    own = {name: kind for name, kind in vars(code).items() if isinstance(kind, type) and kind.__module__ == code.__name__}
    types = {name: kind for name, kind in own.items() if is_dataclass(kind)}
    taken = sorted({answer.name for answer in answers} & set(ANSWERS)) + sorted(set(types) & set(catalogue.types()))
    if taken:
        raise InputError(f"{EXTENSIONS} names {taken[0]!r}.", "whenbuy has something of that name.", "Choose another name.")
    if unknown := sorted(set(learners) - set(ANSWERS)):
        raise InputError(
            f"LEARNERS in {EXTENSIONS} names the answer {unknown[0]!r}.", "It names answers of whenbuy; a shop's own bring their learners.",
            "Name one of `whenbuy questions`.",
        )  # fmt: skip
    return Extensions(features, answers, dict(learners), types)


def failed(what: str, error: Exception, path: Path | None = None) -> WhenbuyError:
    """Return the error that says what of a shop's own code raised, and where."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(EXTENSIONS)]
    where = f", line {frames[-1].lineno}" if frames else f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
    return InputError(
        f"In {path or EXTENSIONS} {what} raised {type(error).__name__} ({error}){where}.", "A shop's own code must run on its log.",
        "Mend it, or take it out of the file.",
    )  # fmt: skip


def _wrong(name: str, value: object, need: str) -> WhenbuyError:
    return InputError(f"{name} in {EXTENSIONS} is a {type(value).__name__}.", f"It is {need}.", "Write it that way.")

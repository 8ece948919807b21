"""Registry: the models that a shop keeps, one bundle each, and which of them is the champion: the one that answers.

A kept model never changes, so ``champion.json`` is the only file that decides, and it is replaced whole: a process killed at any point
leaves exactly the old champion or the new one. That file is the list of all steps that made a champion, sealed as a manifest is.
A shop made before there were versions has its one model in ``latest``: it is kept under that name and is the champion until another is.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from whenbuy.core.errors import DamagedError, InputError, NotFoundError, WhenbuyError
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.keeping.audit import Audit
from whenbuy.pipeline.keeping.bundle import Manifest
from whenbuy.pipeline.keeping.shop import write
from whenbuy.pipeline.keeping.track import named, pick, second

POINTER: Final = "champion.json"
EARLIER: Final = "latest"
"""The name of the only model of a shop that was made before there were versions."""
KEPT: Final = 10
"""How many models are kept beside the champion and the one that ``back`` leads to."""

_ID: Final = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
_FORMAT: Final = 1
_LIMIT: Final = 1 << 22
_STEPS: Final = 1_000
"""How many steps are remembered."""
_GONE: Final = ".gone"
_SECOND: Final = 1_000_000

How = Literal["earlier", "fit", "promote", "force", "back"]


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the champion.

    Parameters
    ----------
    id
        The model that answers from then on.
    at
        When, as an instant.
    how
        ``fit`` and ``promote`` passed the gate, ``force`` did not need to, ``back`` took the last step back; ``earlier`` is where a shop
        began that had a model before there were versions.
    why
        What the gate said, in words.
    """

    id: str
    at: int
    how: How
    why: str = ""

    def __post_init__(self) -> None:
        right = (self.id, str), (self.at, int), (self.how, str), (self.why, str)
        if not all(isinstance(value, kind) for value, kind in right) or self.how not in get_args(How) or not _is_id(self.id):
            raise ValueError(f"{self.id!r}, {self.how!r}")


@dataclass(frozen=True, slots=True)
class Registry:
    """The models of a shop.

    Whatever changes something is called by one writer at a time (``Shop.writing``).

    Parameters
    ----------
    folder
        Where they lie.
    """

    folder: Path

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all models kept, the earliest first."""
        earlier = [EARLIER] if any((self.folder / name).exists() for name in (EARLIER, f".{EARLIER}.old")) else []
        return (*earlier, *sorted(path.name for path in self.folder.glob("*-*-*") if _ID.fullmatch(path.name)))

    def find(self, name: str) -> str:
        """Return the id that is ``name`` or, alone of all, begins with it; raises NotFoundError otherwise."""
        return pick(self.ids(), name, "models")

    def steps(self) -> tuple[Step, ...]:
        """Return all changes of the champion, the earliest first; none in a shop without one.

        Raises
        ------
        DamagedError
            When the file that says so is not what was written.
        InputError
            When it was written in a later format.
        """
        if not os.path.lexists(self.folder / POINTER):
            return (Step(EARLIER, 0, "earlier"),) if EARLIER in self.ids() else ()
        try:
            found = bundle.unsealed(bundle.plain_bytes(self.folder, POINTER, _LIMIT))
            if int(found["format"]) <= _FORMAT:
                return tuple(Step(*step) for step in found["steps"])
        except (DamagedError, ValueError, ArithmeticError, LookupError, TypeError) as error:
            raise DamagedError(
                f"{self.folder / POINTER} is not what was written ({getattr(error, 'got', error)}).",
                "It says which model answers.", "Name one anew with `whenbuy models promote ID --force`.",
            ) from error  # fmt: skip
        raise InputError(
            f"{self.folder / POINTER} was written by a later whenbuy, in format {found['format']}.",
            f"This one reads formats up to {_FORMAT}.", "Update whenbuy.",
        )  # fmt: skip

    def champion(self) -> str | None:
        """Return the id of the model that answers, none where there is none; raises as ``steps``."""
        return next(iter(_line(self.steps())), None)

    def before(self) -> str | None:
        """Return the id of the model that ``back`` would make the champion: the last one before it that is kept and whole."""
        line = _line(self.steps())
        return next((each for each in line[1:] if each != line[0] and self.sound(each)), None)

    def verify(self, id: str) -> Manifest:
        """Return what a model says of itself, after every byte of it was checked; raises as ``bundle.verify``."""
        manifest = bundle.verify(self.folder / id)
        if id != EARLIER and not id.endswith(manifest.digest[:8]):
            raise DamagedError(
                f"{self.folder / id} holds another model than its name says.", "A model's name ends with its own sha256.",
                "Put back a copy of the whole folder, or fit the model again.",
            )  # fmt: skip
        return manifest

    def sound(self, id: str) -> Manifest | None:
        """Return what a model says of itself; none where it is not there or not what was written."""
        try:
            return self.verify(id)
        except WhenbuyError:
            return None

    def load(self, id: str, types: Mapping[str, type]) -> tuple[Any, dict[str, Any]]:
        """Return a model and what it is about; raises as ``bundle.load``."""
        self.verify(id)
        return bundle.load(self.folder / id, types)

    def answering(self, types: Mapping[str, type], id: str | None = None) -> tuple[str, Any]:
        """Return the id of the champion and the model itself; another one where an id is given.

        Raises
        ------
        NotFoundError
            When there is no champion.
        DamagedError
            When it is not there, or not what was written.
        """
        while True:
            wanted = id or self.champion()
            if wanted is None:
                raise NotFoundError(f"{self.folder} has no champion.", "A forecast needs a model.", "Run `whenbuy fit`.")
            try:
                return wanted, self.load(wanted, types)[0]
            except NotFoundError as error:
                if id is None and self.champion() != wanted:
                    continue  # a fit took it away meanwhile, and named another one before
                raise DamagedError(
                    f"The model {wanted} is not in {self.folder}.", "The champion must be there.",
                    "Run `whenbuy models promote --back`, or `whenbuy fit`.",
                ) from error  # fmt: skip

    def known_by(self, instant: int) -> str | None:
        """Return the id of the model that learned from most of what was known by an instant, and from nothing later; none without one."""
        sound = {id: self.sound(id) for id in self.ids()}
        known = {id: int(manifest.about.get("known_until", instant + 1)) for id, manifest in sound.items() if manifest}
        able = [id for id, until in known.items() if until <= instant]
        return max(able, key=lambda id: (known[id], id != EARLIER, id), default=None)

    # ------------------------------------------------------------------------------------------------ changing

    def keep(self, thing: object, about: Mapping[str, Any], made: int) -> str:
        """Return the id under which a model is now kept; one that is kept already, byte for byte, is kept once.

        Parameters
        ----------
        thing
            The model.
        about
            What it is about, as for ``bundle.save``.
        made
            When it was made, as an instant.
        """
        packed = bundle.pack(thing, about)
        for id in self.ids():
            if id.endswith(packed.digest[:8]) and (manifest := self.sound(id)) and manifest.digest == packed.digest:
                return id
        made = max([made, *(second(id) + _SECOND for id in self.ids() if id != EARLIER)])  # ids sort in the order of keeping
        id = named(made, packed.digest)
        bundle.put(self.folder / id, packed)
        return id

    def promote(self, id: str, how: How, at: int, why: str = "") -> None:
        """Make a model the champion. It must be whole; a damaged list of steps begins anew by ``force``."""
        self.verify(id)
        try:
            steps = self.steps()
        except DamagedError:
            if how != "force":
                raise
            steps = ()
        self._write((*steps, Step(id, at, how, why)))
        Audit(self.folder.parent).note("model.answers", at, model=id, how=how)

    def back(self, at: int) -> str:
        """Make the model before the champion the champion, and return its id.

        Raises
        ------
        NotFoundError
            When there is none that is kept and whole.
        """
        id = self.before()
        if id is None:
            raise NotFoundError(
                f"{self.folder} has no model to go back to.", "There must have been a champion before this one, still kept and whole.",
                "`whenbuy models` lists what is kept; promote one of them.",
            )  # fmt: skip
        self._write((*self.steps(), Step(id, at, "back")))
        Audit(self.folder.parent).note("model.answers", at, model=id, how="back")
        return id

    def prune(self, *stay: str) -> tuple[str, ...]:
        """Take away what killed processes left and all models but the last ``KEPT``, the champion, the one before it and those named.

        Returns the ids of the models that are gone.
        """
        for rest in self._rests():
            _take_away(rest)
        if (self.folder / f".{EARLIER}.old").exists():
            bundle.tidy(self.folder / EARLIER)
        stays = {self.champion(), self.before(), *stay, *self.ids()[-KEPT:]}
        gone = tuple(id for id in self.ids() if id not in stays)
        for id in gone:
            moved = (self.folder / id).rename(self.folder / f".{id}{_GONE}")  # first out of sight: half a model is never seen
            _take_away(moved)
        return gone

    def _write(self, steps: tuple[Step, ...]) -> None:
        last = steps[-_STEPS:]
        write(self.folder / POINTER, bundle.sealed({"format": _FORMAT, "steps": [[s.id, s.at, s.how, s.why[:1000]] for s in last]}))

    def _rests(self) -> Iterator[Path]:
        for pattern in (f".*{_GONE}", ".*.new-*", f".{POINTER}.*"):
            yield from self.folder.glob(pattern)


def _line(steps: tuple[Step, ...]) -> list[str]:
    """Return the champion and those before it, the latest first, each time they were it: a step back takes the last one away."""
    line: list[str] = []
    for step in steps:
        while step.how == "back" and line and line[-1] != step.id:
            line.pop()
        if not line or line[-1] != step.id:
            line.append(step.id)
    return line[::-1]


def _take_away(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_id(text: str) -> bool:
    return text == EARLIER or _ID.fullmatch(text) is not None

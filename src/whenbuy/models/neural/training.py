"""Training: one loop. Each epoch passes all batches, looks at the validation rows, and writes down all that is needed to go on.

Whatever chance decides is drawn from the seed and the number of the epoch, so a training that was killed and goes on from its checkpoint
gives the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from whenbuy.core.codec import encode
from whenbuy.core.errors import NotEnoughDataError, SettingsError, UsageError
from whenbuy.models.neural import checkpoint
from whenbuy.models.neural.augment import Augment
from whenbuy.models.neural.engine import Tensor, Tensors, Weights, threads
from whenbuy.models.neural.optimise import Optimiser

Losses = Mapping[str, tuple[Tensor, Tensor]]
"""The sum of each head's losses over the rows of a batch, and what they weigh."""


class Batch(Protocol):
    """Some rows that are passed together."""

    @property
    def named(self) -> str:
        """What tells a person which rows they are."""

    @property
    def size(self) -> int:
        """How many rows they are."""


class Task(Protocol):
    """What is learned: batches of something, and losses."""

    @property
    def shares(self) -> Mapping[str, float]:
        """How much the loss of each head counts; the first one leads: by its validation score the best epoch is chosen."""

    @property
    def sparse(self) -> tuple[str, ...]:
        """The weights that a batch moves only in the rows that it names."""

    @property
    def fingerprint(self) -> str:
        """A text that differs when what is learned from differs."""

    def batches(self, rng: np.random.Generator) -> Iterable[Batch]:
        """Return the batches of an epoch, in the order of chance."""

    def held_out(self) -> Iterable[Batch]:
        """Return the batches on which an epoch is judged."""

    def losses(self, weights: Tensors, batch: Any, chance: Any) -> Losses:
        """Return the losses of a batch; nothing is dropped without ``chance``, a torch generator."""


@dataclass(frozen=True, slots=True)
class Training:
    """How long and in what portions a net learns.

    Parameters
    ----------
    optimiser
        How its weights move.
    epochs
        How often every user is passed, at most.
    patience
        It stops after so many epochs that were not better than the best.
    batch_tokens, batch_reads
        A batch holds at most so many tokens, padding counted, and so many read-outs.
    reads
        At most so many cutoffs of a user are read out in an epoch, chosen by chance: neighbouring ones teach nearly the same.
    held_out
        The share of users that are kept back to judge an epoch where no validation examples are given.
    augment
        How streams are varied.
    budget_s
        CPU seconds after which no further epoch is begun. A training that stays within it gives the same bytes for the same seed.
    threads
        Of torch. Another number may give other last bits.
    seed
        Where chance starts.
    """

    optimiser: Optimiser = Optimiser()
    epochs: int = 20
    patience: int = 6
    batch_tokens: int = 4096
    batch_reads: int = 1024
    reads: int = 32
    held_out: float = 0.1
    augment: Augment = Augment(crop=0.3, jitter=0.1)
    budget_s: float = 600.0
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.epochs, self.patience, self.batch_tokens, self.batch_reads, self.reads, self.threads)
        if min(counts) < 1 or not 0.0 < self.held_out < 1.0 or not self.budget_s > 0:
            raise SettingsError(
                f"A net was to learn by {self}.", "Counts from 1, a share between 0 and 1 and a budget above 0 are needed.", "Change them."
            )


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch did: the training loss, and the score of each head on the validation rows (lower is better)."""

    loss: float
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Course:
    """How a training went.

    Parameters
    ----------
    epochs
        What each did.
    best
        The place of the one whose weights are kept.
    ended
        ``epochs`` when all were done, ``patience`` when it no longer improved, ``budget`` when the time was over, ``broken`` when a loss
        was no number.
    broken
        The batch whose loss was no number, if there was one.
    """

    epochs: tuple[Epoch, ...] = ()
    best: int = -1
    ended: str = ""
    broken: str = ""

    @property
    def improving(self) -> bool:
        """Whether the last epoch was the best: more of them might be better."""
        return self.best == len(self.epochs) - 1 and self.ended in ("budget", "epochs")

    @property
    def scores(self) -> Mapping[str, float]:
        """The validation scores of the epoch whose weights are kept."""
        return self.epochs[self.best].scores if self.epochs else {}

    @property
    def note(self) -> str:
        """What a reader should know, in a sentence; nothing where all went well."""
        if self.ended == "broken":
            return f"The loss of {self.broken} was not a number: training stopped, and the weights of epoch {self.best + 1} are kept."
        if not self.improving:
            return ""
        what = "time budget ended" if self.ended == "budget" else "last epoch was over"
        return f"The {what} after {len(self.epochs)} epochs while validation still improved: a longer training may be better."


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands: after which epoch of how many, how it went so far, and about how many CPU seconds are left at most."""

    epoch: int
    epochs: int
    course: Course
    left_s: float


Tell = Callable[[Progress], None]


@dataclass(slots=True, eq=False)
class _State:
    """What changes while a net learns: all of it goes to the checkpoint."""

    weights: dict[str, Tensor]
    movers: tuple[Any, ...]
    best: Weights
    course: Course = field(default_factory=Course)
    spent_s: float = 0.0


def train(
    task: Task,
    weights: Weights,
    how: Training,
    *,
    folder: Path | None = None,
    tell: Tell | None = None,
    clock: Callable[[], float] = time.process_time,
) -> tuple[Weights, Course]:
    """Return the weights of the best epoch, and how the training went.

    Parameters
    ----------
    task
        What is learned.
    weights
        Where it begins.
    how
        How long and in what portions.
    folder
        Where a checkpoint is kept after each epoch. Where one lies already, the training goes on from it; it is removed at the end.
    tell
        Called after each epoch.
    clock
        CPU seconds.

    Raises
    ------
    NotEnoughDataError
        When a loss was no number before the first epoch was over.
    UsageError
        When torch is not installed, or the checkpoint is that of another training.
    DamagedError
        When the checkpoint is not what was written.
    """
    with threads(how.threads) as library:
        tensors = {name: library.tensor(part, requires_grad=True) for name, part in weights.items()}
        state = _State(tensors, how.optimiser.movers(tensors, task.sparse), weights)
        mark = _mark(task, weights, how)
        if folder is not None:
            _resume(folder, mark, state)
        while not state.course.ended:
            start = clock()
            _epoch(task, state, how, library)
            state.spent_s += clock() - start
            state.course = replace(state.course, ended=_ended(state, how))
            if folder is not None and state.course.ended != "broken":
                _keep(folder, mark, state)
            if tell is not None and state.course.epochs:
                tell(_progress(state, how))
    if folder is not None:
        checkpoint.remove(folder)
    if state.course.best < 0:
        raise NotEnoughDataError(
            f"The loss of {state.course.broken or 'the validation rows'} was not a number in the first epoch.",
            "A net learns from finite losses.",
            "Lower the learning rate, or check the amounts and times of these events.",
        )
    return state.best, state.course


def _epoch(task: Task, state: _State, how: Training, library: Any) -> None:
    """Pass all batches once and judge the weights; stop at a loss that is no number."""
    number = len(state.course.epochs)
    rng = np.random.default_rng((how.seed, number))
    chance = library.Generator().manual_seed(int(rng.integers(2**62)))
    batches, total = list(task.batches(rng)), 0.0
    usual = max(1.0, float(np.mean([batch.size for batch in batches])))
    for place, batch in enumerate(batches):
        losses = task.losses(state.weights, batch, chance)
        mean = sum(task.shares[name] * part / weight.clamp(min=1e-6) for name, (part, weight) in losses.items())
        loss = mean * (batch.size / usual)  # every row counts alike, whether her batch is full or not
        value = float(loss.detach())
        if not math.isfinite(value):
            state.course = replace(state.course, ended="broken", broken=f"batch {place + 1} of epoch {number + 1} ({batch.named})")
            return
        loss.backward()
        how.optimiser.move(state.movers, how.optimiser.pace(number + place / len(batches), how.epochs))
        total += value
    lead = next(iter(task.shares))
    scores = {lead: total / max(len(batches), 1), **judged(task, state.weights)}  # validation rows may say nothing of the question
    if not math.isfinite(scores[lead]):
        state.course = replace(state.course, ended="broken", broken=f"the validation rows after epoch {number + 1}")
        return
    epochs = (*state.course.epochs, Epoch(total / max(len(batches), 1), scores))
    before = state.course.epochs[state.course.best].scores[lead] if state.course.best >= 0 else math.inf
    state.course = replace(state.course, epochs=epochs)
    if scores[lead] < before:
        state.best = {name: part.detach().numpy().copy() for name, part in state.weights.items()}
        state.course = replace(state.course, best=number)


def judged(task: Task, weights: Tensors) -> dict[str, float]:
    """Return each head's mean loss on the validation rows that say something of its question; nothing where none does."""
    from whenbuy.models.neural.engine import torch

    sums = {name: np.zeros(2) for name in task.shares}
    with torch().no_grad():
        for batch in task.held_out():
            for name, pair in task.losses(weights, batch, None).items():
                sums[name] += [float(part) for part in pair]
    return {name: float(part / weight) for name, (part, weight) in sums.items() if weight > 0}


def _ended(state: _State, how: Training) -> str:
    course = state.course
    if course.ended:
        return course.ended
    if len(course.epochs) >= how.epochs:
        return "epochs"
    if len(course.epochs) - 1 - course.best >= how.patience:
        return "patience"
    return "budget" if state.spent_s * (1 + 1 / len(course.epochs)) > how.budget_s else ""


def _progress(state: _State, how: Training) -> Progress:
    done = len(state.course.epochs)
    left = 0.0 if state.course.ended else min(state.spent_s / done * (how.epochs - done), max(how.budget_s - state.spent_s, 0.0))
    return Progress(done, how.epochs, state.course, left)


# ------------------------------------------------------------------------------------------------------ checkpoints


def _mark(task: Task, weights: Weights, how: Training) -> str:
    """Return a sha256 over what makes a training what it is: settings, where it begins, what it learns from."""
    digest = hashlib.sha256(json.dumps([encode(how, {}), task.fingerprint], sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


def _keep(folder: Path, mark: str, state: _State) -> None:
    arrays: dict[str, Any] = {f"now/{name}": part.detach().numpy() for name, part in state.weights.items()}
    arrays |= {f"best/{name}": part for name, part in state.best.items()}
    for place, mover in enumerate(state.movers):
        for row, held in mover.state_dict()["state"].items():
            arrays |= {f"mover/{place}/{row}/{name}": np.asarray(part) for name, part in held.items() if part is not None}
    course = encode(replace(state.course, ended=""), {})
    checkpoint.save(folder, arrays, {"mark": mark, "course": course, "spent_s": state.spent_s, "ended": state.course.ended})


def _resume(folder: Path, mark: str, state: _State) -> None:
    """Put the state where a checkpoint left it, if there is one."""
    from whenbuy.core.codec import decode
    from whenbuy.models.neural.engine import torch

    if (found := checkpoint.load(folder)) is None:
        return
    arrays, plain = found
    if plain["mark"] != mark:
        raise UsageError(
            f"The checkpoint in {folder} is that of another training.",
            "Settings and data must be the same to go on.",
            "Give another folder, or remove it.",
        )
    library = torch()
    with library.no_grad():
        for name, part in state.weights.items():
            part.copy_(library.from_numpy(arrays[f"now/{name}"]))
    state.best = {name: arrays[f"best/{name}"] for name in state.best}
    for place, mover in enumerate(state.movers):
        held: dict[int, dict[str, Any]] = {}
        for name, part in arrays.items():
            if name.startswith(f"mover/{place}/"):
                _, _, row, key = name.split("/")
                held.setdefault(int(row), {})[key] = (
                    int(part) if mover.__class__.__name__ == "SparseAdam" and key == "step" else library.tensor(part)
                )
        mover.load_state_dict({"state": held, "param_groups": mover.state_dict()["param_groups"]})
    state.course = decode(plain["course"], {}, TYPES)
    state.course = replace(state.course, ended=plain["ended"])
    state.spent_s = float(plain["spent_s"])


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Training, Epoch, Course)}
"""What a stored model of this file may be made of."""

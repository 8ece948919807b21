"""Compiled loops. Their machine code is cached in the user's cache folder, readable by the user alone."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def cache_folder() -> Path:
    """Return the folder in which this user's compiled kernels are kept: the only one that whenbuy writes beside the shop's."""
    if named := os.environ.get("WHENBUY_CACHE"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "whenbuy"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "whenbuy"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "whenbuy"


def kernel(function: F) -> F:
    """Return the function compiled at its first call; the loop means what it says, only faster.

    Numba's cache looks at the kernel's own file alone, but a kernel is compiled with those that it calls: so its name in the cache says
    from which contents of its folder it was made. A kernel may call others of its own folder only.
    """
    return _compiled(function)


def free_kernel(function: F) -> F:
    """Return the function compiled as by ``kernel``; while it runs, other threads do.

    For loops over batches that write to arrays of their own alone. Live state is changed by plain kernels only, one at a time.
    """
    return _compiled(function, nogil=True)


def part(function: F) -> F:
    """Return the function, to be compiled into each kernel that calls it."""
    function.__qualname__ += f"_{_contents(Path(function.__code__.co_filename).parent):08x}_part"
    return cast("F", numba.njit(cache=True, inline="always")(function))


def _compiled(function: F, *, nogil: bool = False) -> F:
    function.__qualname__ += f"-{_contents(Path(function.__code__.co_filename).parent):08x}{'-free' * nogil}"
    return cast("F", numba.njit(cache=True, nogil=nogil)(function))


@cache
def _contents(folder: Path) -> int:
    """Return a number that changes when a source file of this folder does."""
    return zlib.crc32(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py"))))


def _prepare() -> None:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return
    setattr(numba.config, "CACHE_DIR", str(folder))  # noqa: B010 - numba fills it at run time


_prepare()

"""Compile ahead: a small simulated shop goes the whole way once, so that no later command waits for the compiler."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from whenbuy.config import Settings, ShopSettings, SourceSettings
from whenbuy.core.errors import AccessError
from whenbuy.core.kernel import cache_folder
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.learning.learn import silent
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs.backtest import scored_shop
from whenbuy.pipeline.verbs.init import make
from whenbuy.pipeline.verbs.intake import Say

USERS: Final = 150
DAYS: Final = 200


def warm(say: Say) -> Result:
    """Read, clean, learn and score a simulated shop in the cache folder. The shop is gone afterwards; its compiled kernels stay.

    Raises
    ------
    AccessError
        When nothing can be kept in the cache folder.
    """
    if not os.access(cache_folder(), os.W_OK):
        raise AccessError(
            f"Nothing can be kept in {cache_folder()}.", "Compiled kernels are kept there for later commands.",
            "Make it writable, or name another folder in WHENBUY_CACHE.",
        )  # fmt: skip
    before = _kernels()
    say("compiling, for about 40 seconds: a small simulated shop goes the whole way once")
    with TemporaryDirectory(dir=cache_folder(), prefix="warm-") as place:
        rows, folder = Path(place, "rows.parquet"), Path(place, "shop")
        simulate(USERS, DAYS, 1, dirty=True).history.log.frame().write_parquet(rows)
        make(folder, Settings(ShopSettings("warm"), SourceSettings((str(rows),))), silent)
        scored_shop(folder, None, 1, silent)
    found = _kernels() - before
    return Result({"compiled": found}, line=f"{found} kernels were compiled." if found else "Every kernel was compiled already.")


def _kernels() -> int:
    return sum(1 for _ in cache_folder().rglob("*.nbc"))

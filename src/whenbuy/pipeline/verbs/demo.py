"""Make a shop of real grocery data, from import to report."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Final

from whenbuy.clean import RULES
from whenbuy.config import FILE, Settings, ShopSettings, SourceSettings
from whenbuy.core.errors import UsageError
from whenbuy.core.progress import part
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning.catalogue import without_nets
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs.backtest import scored_shop
from whenbuy.pipeline.verbs.fit import fit
from whenbuy.pipeline.verbs.init import make, read_again
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import at
from whenbuy.pipeline.verbs.predict import predict
from whenbuy.pipeline.verbs.report import report

DEMO: Final = "complete_journey"
"""The layout of the demo's data."""


def demo(folder: Path, *, say: Say) -> Result:
    """Make the shop of the Complete Journey data, score it on its last weeks, forecast everybody and write the report.

    Nets are left to ``fit``: with them it would take half as long again, and say something else where torch is installed.

    Raises
    ------
    UsageError
        When the folder is a shop of other data: its log would be lost.
    """
    started = time.process_time()
    if not (folder / FILE).is_file():
        settings = Settings(ShopSettings(name="Complete Journey", currency="USD"), SourceSettings(layout=DEMO))
        made = make(folder, settings, say)
    elif Shop(folder.resolve()).settings(RULES).source.layout == DEMO:
        made = read_again(folder, say)
    else:
        raise UsageError(f"{folder} is a shop of other data.", "The demo makes a shop of its own.", "Name another folder with --shop.")
    for line in made.after:
        say(line)
    say("learning as one would have weeks ago, to score it on what came since")
    scored, like = scored_shop(folder, None, 8, part(say, 0.0, 0.65), candidates=without_nets)
    say("learning from everything, by what won")
    fit(folder, None, seed=None, say=part(say, 0.65, 0.95), like=like)
    forecast = predict(folder, None, users=None, out=None, say=say)
    page = report(folder, say=say)
    user = "1" if forecast.table is None else str(forecast.table["user_id"][0])
    return Result(
        {**page.facts, "forecasts": forecast.facts["files"][0], **{name: scored.facts[name] for name in ("cutoffs", "floor", "chosen")}},
        scored.table, "scores", (*scored.screens, *forecast.screens),
        after=(
            f"Done in {time.process_time() - started:.0f} CPU seconds. Open {page.line}, then try:",
            f"  whenbuy predict {shlex.quote(user)}{at(folder)}",
            f"  whenbuy predict --out forecasts.csv{at(folder)}",
            "  whenbuy init your-events.csv --shop my-shop",
        ),
    )  # fmt: skip

"""Where a verb that decides stands: the shop, the moment, the forecast of everybody, and what the offers do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from whenbuy.clean import RULES
from whenbuy.config import Settings
from whenbuy.core.history import History
from whenbuy.core.outlook import Outlook
from whenbuy.decide.campaign import Campaign
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.deciding import allowed, learned
from whenbuy.pipeline.deciding.effects import OfferEffects
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment


@dataclass(frozen=True, slots=True)
class Wish:
    """What was said on the command line; it comes before the settings.

    Parameters
    ----------
    budget, hold_out, days
        As in Budget, Guards and Campaign; as the settings say where absent.
    offers
        A file with further offers and channels.
    only
        The offers that are meant; all where none is named.
    relearn
        Whether effects are learned anew, whatever is kept.
    """

    budget: float | None = None
    hold_out: float | None = None
    days: int | None = None
    offers: Path | None = None
    only: tuple[str, ...] = ()
    relearn: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What a decision begins from.

    Parameters
    ----------
    shop, settings, history
        The shop, its settings with further offers, its log.
    cutoff
        The moment.
    model
        The id of the model that forecasts.
    outlook
        Its forecast.
    """

    shop: Shop
    settings: Settings
    history: History
    cutoff: int
    model: str
    outlook: Outlook

    @property
    def shown(self) -> str:
        """The moment, as people write it."""
        return self.history.clock.show(self.cutoff)

    def campaign(self, wish: Wish, explore: float | None = 0.0) -> Campaign:
        """Return what may be done; raises as ``allowed.campaign``."""
        return allowed.campaign(
            self.settings, self.cutoff, budget=wish.budget, hold_out=wish.hold_out, explore=explore, days=wish.days, only=wish.only
        )

    def effects(self, *, again: bool, say: Say) -> OfferEffects:
        """Return what the offers do, from the shop's folder where it is kept; raises as ``learned.effects``."""
        return learned.effects(
            self.shop, self.history, self.cutoff, self.model, offers=len(self.settings.offers), seed=self.settings.shop.seed, again=again,
            say=say,
        )  # fmt: skip


def stand(folder: Path | None, as_of: str | None, offers: Path | None, say: Say, users: Iterable[str] | None = None) -> Standing:
    """Return where a verb stands; everybody is forecast unless customers are named."""
    shop = find_shop(folder)
    settings, history = allowed.with_offers(shop.settings(RULES), offers), open_log(shop.log)
    instant = moment(history, as_of, say)
    model, forecaster = champion.answering(shop, instant)
    say("forecasting everybody" if users is None else "forecasting")
    return Standing(
        shop, settings, history, history.end if instant is None else instant, model, forecaster.predict(history, instant, users)
    )

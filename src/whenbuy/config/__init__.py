"""whenbuy.toml as frozen settings."""

from whenbuy.config.deciding import BudgetSettings, ChannelSettings, GuardSettings, OfferSettings, minute
from whenbuy.config.sections import ENTITIES, CalendarSettings, ProfileSettings, ShopSettings, SourceSettings
from whenbuy.config.settings import SECTIONS, Settings
from whenbuy.config.values import FILE, LONGEST_DAYS

__all__ = [
    "ENTITIES", "FILE", "LONGEST_DAYS", "SECTIONS", "BudgetSettings", "CalendarSettings", "ChannelSettings", "GuardSettings",
    "OfferSettings", "ProfileSettings", "Settings", "ShopSettings", "SourceSettings", "minute",
]  # fmt: skip

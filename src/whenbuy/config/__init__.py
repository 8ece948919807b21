"""whenbuy.toml as frozen settings."""

from whenbuy.config.sections import ENTITIES, CalendarSettings, ProfileSettings, ShopSettings, SourceSettings
from whenbuy.config.settings import SECTIONS, Settings
from whenbuy.config.values import FILE, LONGEST_DAYS

__all__ = [
    "ENTITIES", "FILE", "LONGEST_DAYS", "SECTIONS", "CalendarSettings", "ProfileSettings", "Settings", "ShopSettings", "SourceSettings",
]  # fmt: skip

"""Questions about a plain table: no log, no clock."""

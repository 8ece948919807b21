"""The only wiring: what the stages offer is put together here."""

"""Whether something happens."""

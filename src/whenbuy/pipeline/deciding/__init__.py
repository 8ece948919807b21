"""Deciding: what may be sent, to whom, what was decided, and what came of it."""

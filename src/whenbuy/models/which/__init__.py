"""Which: classes of things, and the next act."""

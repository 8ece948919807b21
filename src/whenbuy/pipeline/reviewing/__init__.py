"""Reviews: what customers say of things, where it gets worse, and what they will say next."""

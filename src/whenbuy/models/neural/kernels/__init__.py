"""Compiled loops of the nets, without torch: a folder of their own, so that they are compiled again only when one of them changes."""

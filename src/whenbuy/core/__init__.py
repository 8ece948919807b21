"""The nouns: what every stage speaks about. No input, no output, no learning happens here."""

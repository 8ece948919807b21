"""Charts: every picture that whenbuy draws, as an Altair specification or as SVG text."""

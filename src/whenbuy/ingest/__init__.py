"""From the world to a History: files, guessing, parsing, known layouts, orders, and the log on disk."""

"""Effects of offers: uplift learners for one number, and one for the purchase curve."""

"""What texts say: words with their weights, ratings and chances read off them, topics. Learned from training texts alone."""

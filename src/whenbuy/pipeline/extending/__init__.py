"""What a shop adds of its own: features, questions and learners, held to the promises that whenbuy's own keep."""

"""Who the customers are: segments with their names, profiles and answers, portraits, and the paths that people take."""

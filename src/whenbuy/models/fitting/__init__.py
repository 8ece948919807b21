"""What several learners fit with: solvers, terms, lines, bends."""

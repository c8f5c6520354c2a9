"""A grid of runs from one teacher: rows, seeds, an equal budget, one table and one figure."""

"""Draw a report's figures: scores, training curves, and quality against diversity."""

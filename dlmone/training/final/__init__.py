"""A run's final evaluation: what it samples, and the variants that it compares."""

"""From noise to a clean state in several calls: samplers, their steps, and where their times stand."""

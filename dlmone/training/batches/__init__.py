"""What an update is fed: rows of a split in the run's order, tokenised, and their noise, a step ahead."""

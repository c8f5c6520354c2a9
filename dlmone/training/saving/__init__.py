"""What a run leaves in its folder: checkpoints, and the files beside them."""

"""What a key of a recipe, or of an option, can hold: bounds, devices, names, paths, times, tokenizers."""

"""What a key of a recipe, or of a plugin's options, can hold: bounds, names, paths, times, tokenizers."""

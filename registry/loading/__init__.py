"""Load a recipe: find its file, read it, merge its layers, and resolve it."""

"""Model folders: reading, writing, exporting, and the loaded model that `dlmone.load` returns."""

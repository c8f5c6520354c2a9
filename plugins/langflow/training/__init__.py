"""Training a LangFlow teacher: its loss, and what it knows of its data before the first update."""

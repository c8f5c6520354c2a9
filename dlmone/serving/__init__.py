"""A model behind HTTP: OpenAI's completions endpoint, with the texts of all requests in shared batches."""

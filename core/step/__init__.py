"""One update of a distillation: what objectives request, what is evaluated for them, and their losses."""

"""How ELF is trained: the loss, the optimizers, and progressive distillation of its own kind."""

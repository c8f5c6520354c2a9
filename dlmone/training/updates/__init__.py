"""An update of Algorithm 1: networks, terms and their gradients, optimizers and moving averages."""

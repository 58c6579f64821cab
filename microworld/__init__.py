"""A small rendered world in which every sentence can be checked, and tiny models that have learned to see it."""

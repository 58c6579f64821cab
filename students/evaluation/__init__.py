"""How good a student is: benchmarks in their own formats, metrics of texts, and results of two models side by side."""

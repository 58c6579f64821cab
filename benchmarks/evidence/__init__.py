"""The claims of the four methods, measured in the microworld; `python benchmarks/evidence --help`."""

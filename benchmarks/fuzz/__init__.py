"""Fuzzers of the readers of foreign bytes, a module for each kind of them; `python benchmarks/fuzz --help`."""

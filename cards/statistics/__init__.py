"""Figures of a corpus: what they are, how they are gathered while it is written, and from its files afterwards."""

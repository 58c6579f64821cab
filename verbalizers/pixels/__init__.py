"""Verbalizing from pixels and geometry alone."""

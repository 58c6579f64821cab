"""Regions by learned object detectors."""

"""The `rationales` recipe (ILLUME): rationales for answers that are known, written by a teacher that sees the image."""

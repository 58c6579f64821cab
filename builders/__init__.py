"""Builders: from text and images to candidate rows."""

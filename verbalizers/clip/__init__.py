"""Concepts by contrastive image-text models of open_clip."""

"""Narratives, captions and probe answers by image-text models, on this machine or served."""

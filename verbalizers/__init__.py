"""Verbalizers: from images to the text that stands for them."""

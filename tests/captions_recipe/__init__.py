"""A recipe of another package: a caption for each note that came in beside an image."""

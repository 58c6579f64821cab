"""The trained critic: an image-text model that learned from people's judgements which triples are acceptable."""

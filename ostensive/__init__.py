"""Ostensive turns a folder of images into vision-language corpora that point at things and say why."""

__version__ = "0.1.0"

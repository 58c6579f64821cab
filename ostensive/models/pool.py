"""Generators that are shared: parts with equal settings use one loaded model, which leaves memory with the last.

Whoever makes the parts makes the pool and hands it to them; one pool for the whole process was given up, for it would
be state that nobody passes and nobody sees.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ostensive.models.generator import Generator
from ostensive.models.generator_settings import GeneratorSettings


class GeneratorPool:
    """Lends generators by their settings."""

    def __init__(self) -> None:
        self._lent: dict[GeneratorSettings, tuple[Generator, int]] = {}
        self._turn = threading.Lock()

    @contextmanager
    def lend(self, settings: GeneratorSettings) -> Iterator[Generator]:
        """An entered generator for as long as the context lasts; raises as `load_model` does."""
        with self._turn:
            generator, users = self._lent.get(settings, (None, 0))
            if generator is None:
                generator = Generator(settings).__enter__()
            self._lent[settings] = generator, users + 1
        try:
            yield generator
        finally:
            with self._turn:
                _, users = self._lent[settings]
                if users > 1:
                    self._lent[settings] = generator, users - 1
                else:
                    del self._lent[settings]
                    generator.__exit__(None, None, None)

"""The stages of a recipe after intake: its own, and those that every recipe may ask for."""

from collections.abc import Sequence

from ostensive.images.near_settings import OnlyEqualSettings
from ostensive.recipe import CorpusSettings, Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.run.benchmark_images import DecontaminateStage
from ostensive.run.benchmark_texts import DecontaminateRowsStage, holds_texts
from ostensive.run.signatures import SignatureStage
from ostensive.run.splits import SplitStage
from ostensive.stage import AnyStage


def stages_of(recipe: Recipe, kind: RecipeKind, *, with_splits: bool = False) -> tuple[AnyStage, ...]:
    """The stages in order; nothing is opened. `with_splits` also where the recipe asks for none: some came in.

    Images of benchmarks go first, before anything is paid for them. Raises `SettingsError` for what stages cannot be
    made of.
    """
    corpus = recipe.corpus
    texts = [path for path in corpus.against if holds_texts(path)]
    images = [path for path in corpus.against if not holds_texts(path)]
    # Of a single split nothing can be told of another.
    has_several = len(corpus.splits) > 1 or with_splits
    signatures: Sequence[AnyStage] = ()
    if not isinstance(corpus.near_duplicates, OnlyEqualSettings) and (images or has_several):
        signatures = (SignatureStage(corpus.near_duplicates),)
    first: Sequence[AnyStage] = ()
    if images:
        first = (*signatures, DecontaminateStage(images, corpus.near_duplicates, recipe.intake))
    rows = (DecontaminateRowsStage(texts, kind),) if texts else ()
    splits: Sequence[AnyStage] = ()
    if corpus.splits or with_splits:
        splits = (*(() if images else signatures), _split_stage(corpus, recipe.seed, has_several=has_several))
    return (*first, *kind.make_stages(recipe), *rows, *splits)


def _split_stage(corpus: CorpusSettings, seed: int, *, has_several: bool) -> SplitStage:
    near = corpus.near_duplicates if has_several else OnlyEqualSettings()
    return SplitStage(corpus.splits, seed, near, corpus.leaking_splits)

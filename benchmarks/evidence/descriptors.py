"""LSKD's claim that every descriptor helps: triples of one teacher, with parts of the words that it reads left out.

The teacher is `microworld:teacher`, which reads captions with boxes, and probes, and sees no picture. It was not taught
to read concepts and narratives, so that nothing can be said of those.
"""

from collections.abc import Iterator
from pathlib import Path

from critic import decided
from seeing import TRIPLES
from seeing import build as ask_teacher

from evidence.judging import scores, trained_critic
from evidence.records import Claim, Expectation, Figure, mean, share
from microworld.folder import write_scenes

FIRST_SEED = 25_000_000
LABELLED, ASKED = 200, 120  # scenes
ARMS = {
    "all": (),
    "without captions": ("verbalize.captions.kind=none",),
    "without probes": ("verbalize.probes.kind=none",),
    "without both": ("verbalize.captions.kind=none", "verbalize.probes.kind=none"),
}
_BUILT = (*TRIPLES, "localized.modes=[descriptions]", "dedupe.max_distance=0", "verbalize.concepts.kind=none")


def descriptors(work: Path, seed: int) -> Iterator[Figure]:
    asked(work, "described", LABELLED, FIRST_SEED + 1_000_000 * seed, ())
    known = decided(work, "described")
    critic = trained_critic(work / "described", known, work / "critic-described", rounds=8, seed=seed)
    for arm, left_out in ARMS.items():
        name = f"described {arm}"
        asked(work, name, ASKED, FIRST_SEED + 1_000_000 * seed + 100_000, left_out)
        rows = decided(work, name)
        yield share("descriptors", arm, "true", (row.finding.whole.is_true for row in rows))
        yield mean("descriptors", arm, "critic score", scores(critic, work / name, rows))


def asked(work: Path, name: str, scenes: int, first_seed: int, left_out: tuple[str, ...]) -> None:
    """A run in which the teacher is asked about scenes, with parts of their words left out."""
    images = work / f"{name}-scenes"
    if not (images / "truth.jsonl").exists():
        write_scenes(images, scenes, first_seed=first_seed)
    ask_teacher("localized", images, work / name, (*_BUILT, *left_out))


CLAIM = Claim(
    "descriptors",
    "Every descriptor helps",
    "section 3, mean critic score of triples about 500 images",
    "58.4 with all, 52.1 without concepts, 56.1 without narratives, 49.8 without local ones, 49.0 without probes",
    f"Triples of a teacher that reads the words on {ASKED} scenes and sees nothing: the true share, and the mean"
    f" score of a critic that was trained on its triples about {LABELLED} other scenes. Of regions without captions it"
    " is told the boxes.",
    (
        Expectation("all", "without captions", "true"),
        Expectation("all", "without probes", "true"),
        Expectation("all", "without captions", "critic score"),
        Expectation("all", "without probes", "critic score"),
    ),
    "Concepts and narratives are no part of what this teacher was taught to read; they are not measured.",
)

"""What a student gains in the microworld: descriptions by the base and by students trained on preferences (STIC).

    OMP_NUM_THREADS=1 uv run python benchmarks/training_students.py [--scenes 200] [--steps 150]

`microworld:vlm-base` writes pairs about one set of scenes, is trained on them by STIC's loss, and describes another
set: the share of false sentences among those that the oracle decides, and things that are not there a description, for
the base and for each student. Intervals are Wilson's, 95 %. Scenes have seeds that no model was trained on.
"""

import argparse
import hashlib
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

import PIL.Image

import ostensive
from microworld import findings
from microworld.findings import Finding
from microworld.folder import read_truth, write_scenes
from microworld.oracle import judge_text
from microworld.scenes import Scene
from ostensive.chat.local import SelfTeacherSettings
from ostensive.chat.records import Conversation, Message, Reply
from ostensive.commands.api import train_student
from ostensive.images.settings import IntakeSettings
from ostensive.intervals import wilson
from ostensive.run.services import ServiceSettings, open_services

BASE = "microworld:vlm-base"
PROMPT = "describe"
TRAINED_SEED, HELD_OUT_SEED = 640_000, 600_000
INVENTED = frozenset({findings.NO_SUCH_THING, findings.NOT_THERE})
CORRUPTIONS = ("noise", "swap")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--steps", type=int, default=150)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scenes(folder / "held out", given.scenes, first_seed=HELD_OUT_SEED)
        write_scenes(folder / "trained", given.scenes, first_seed=TRAINED_SEED)
        print(f"{'base':<20}{described(BASE, folder)}", flush=True)
        prompts = folder / "describe"
        prompts.mkdir()
        for template in ("describe", "caption_1", "imagine_1"):
            (prompts / f"{template}.j2").write_text(PROMPT)
        for corruption in CORRUPTIONS:
            run = folder / corruption
            settings = [
                "teacher.kind=self",
                f"teacher.model={BASE}",
                "teacher.max_tokens=60",
                "teacher.temperature=0.2",
                f"preferences.prompt_set={prompts}",
                f"preferences.corruptions=[{corruption}]",
                "preferences.corruption_share=1",
                "critics=[{kind: rules, limits: {chosen: {min_words: 1}, rejected: {min_words: 1}}}]",
                "corpus.license=cc0-1.0",
                "corpus.source=Rendered scenes of the microworld.",
                "corpus.intended_use=To measure.",
            ]
            options = ostensive.BuildOptions(profile="microworld", settings=settings)
            ostensive.build("preferences", images=folder / "trained", out=run, options=options)
            student = folder / f"student {corruption}"
            words = ("objective=dpo", f"max_steps={given.steps}", "epochs=100", "learning_rate=5e-5", "device=cpu")
            found = train_student(run, BASE, student, settings=(*words, "lora.rank=16", "lora.alpha=32"))
            print(f"{f'trained by {corruption}':<20}{described(str(student / 'model'), folder)}")
            print(
                f"{'':<20}{found.rows} pairs, {found.steps} steps, loss {found.first_loss} to {found.last_loss}",
                flush=True,
            )


def described(model: str, folder: Path) -> str:
    """How true the greedy descriptions of the held-out scenes are."""
    truth = read_truth(folder / "held out")
    teacher = SelfTeacherSettings(model=model, temperature=0.0, max_tokens=60, batch_size=64, device="cpu")
    files = sorted((folder / "held out").glob("*.png"))
    settings = ServiceSettings(
        intake=IntakeSettings(), threads=1, journal=folder / "described.sqlite", run_id="descriptions"
    )
    with (
        open_services(settings, threading.Event()) as services,
        services.open_chat(teacher, lambda _messages, _seed: "") as chat,
    ):
        pictures = [PIL.Image.open(file).convert("RGB") for file in files]
        conversations = [
            Conversation((Message("user", PROMPT, (picture,)),), (), teacher.sampling(0)) for picture in pictures
        ]
        replies = [exchange.replies[0] for exchange in chat.chat(conversations)]
    texts = [reply.text if isinstance(reply, Reply) else "" for reply in replies]
    return side(
        (text, truth[hashlib.sha256(file.read_bytes()).hexdigest()]) for text, file in zip(texts, files, strict=True)
    )


def side(texts: Iterable[tuple[str, Scene]]) -> str:
    found = [[judge_text(f"{one.strip()} .", scene) for one in text.split(".") if one.strip()] for text, scene in texts]
    flat: list[Finding] = [finding for one in found for finding in one if finding.decided]
    invented = sum(finding.is_false and finding.reason in INVENTED for finding in flat)
    false = sum(finding.is_false for finding in flat)
    interval = wilson(false, len(flat))
    return (
        f"{false / len(flat):.1%} false ({interval.low:.1%} to {interval.high:.1%}) of {len(flat):,} sentences;"
        f" {invented / len(found):.3f} hallucinated things a description; {len(flat) / len(found):.1f} sentences"
    )


if __name__ == "__main__":
    main()

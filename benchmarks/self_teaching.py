"""The self-teaching recipes in the microworld, by a tiny model that teaches itself, judged by the oracle.

    python benchmarks/self_teaching.py [--scenes 100] [--only preferences|rationales|search|explanations|rounds]

- `preferences`: the share of false sentences, and the hallucinated things a description, in the chosen side and in the
  rejected one, for each corruption. The tiny model knows one description prompt, so that both sides are asked for with
  it, and no side can be asked to imagine things.
- `rationales`: of what is asked why an answer is right, the share that is true of the scene.
- `search`: of all replies, the share that fits a reference, which is a visible reason of the oracle's, and the share
  that is true, when every prompt is asked of everything, and with a prompt search on a sample.
- `explanations`: of the concepts that are selected for an image, the share that is visible in it, beside as many drawn
  at random, for 3, 10 and 30 descriptions an image; the average precision of their order; and the same share of those
  that the model itself calls visible when it is asked for each.
- `rounds`: `ostensive loop` of `rationales`, three rounds of which each student is trained for 40 steps on all that has
  fitted so far: its table, and the share of each round's own rows that is true.

Intervals are Wilson's, 95 %. Scenes have seeds that no model was trained on.
"""

import argparse
import csv
import hashlib
import json
import random
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import PIL.Image

import ostensive
from builders.explanations.comparing import SELECTED
from builders.explanations.records import Selected
from builders.explanations.selecting import chosen_concepts
from builders.localized.records import Qar
from builders.preferences.records import PreferencePair
from builders.rationales.records import Rationale
from builders.rationales.searching import search_notes
from microworld import findings
from microworld.findings import Finding
from microworld.folder import CONCEPTS_NAME, LABELS_NAME, read_specimens, read_truth, write_scenes, write_specimens
from microworld.oracle import judge_qar, judge_text
from microworld.questions import ask, reason
from microworld.scenes import Scene
from ostensive.chat.local import SelfTeacherSettings
from ostensive.chat.records import Conversation, Message, Reply
from ostensive.commands.loop import loop_lines
from ostensive.images.settings import IntakeSettings
from ostensive.intervals import wilson
from ostensive.records import Judged, Scored
from ostensive.run import partitions
from ostensive.run.folder import RunFolder, kept_records
from ostensive.run.services import ServiceSettings, open_services

TIES_DRAWN = 20  # orders of what has the same place
FIRST_SEED = 600_000
TEACHER = (
    "teacher.kind=self",
    "teacher.model=microworld:vlm-base",
    "teacher.max_tokens=60",
    "teacher.batch_size=64",
    "corpus.license=cc0-1.0",
    "corpus.source=Rendered scenes of the microworld.",
    "corpus.intended_use=To measure.",
)
CORRUPTIONS = ("resize", "colour", "blur", "crop", "noise", "swap")
TOPICS = ("colour", "shape", "existence", "place", "pattern", "size")
SEARCHED = {
    "because": "{{ question }} because",
    "plain": "{{ question }}",
    "told": "{{ answer }} . why ?",
    "why": "{{ question }} why ?",
}
INVENTED = frozenset({findings.NO_SUCH_THING, findings.NOT_THERE})


def build(recipe: str, images: Path, out: Path, settings: Iterable[str], annotations: Path | None = None) -> RunFolder:
    options = ostensive.BuildOptions(profile="microworld", settings=[*TEACHER, *settings], annotations=annotations)
    ostensive.build(recipe, images=images, out=out, options=options)
    return RunFolder(out)


def prompt_set(folder: Path, templates: Mapping[str, str]) -> Path:
    folder.mkdir()
    for name, text in templates.items():
        (folder / f"{name}.j2").write_text(text)
    return folder


def share(hits: int, total: int) -> str:
    if not total:
        return "none"
    interval = wilson(hits, total)
    return f"{hits / total:.1%} ({interval.low:.1%} to {interval.high:.1%}) of {total:,}"


def sentence_findings(text: str, scene: Scene) -> list[Finding]:
    return [judge_text(f"{one.strip()} .", scene) for one in text.split(".") if one.strip()]


def side(texts: Iterable[tuple[str, Scene]]) -> str:
    found = [sentence_findings(text, scene) for text, scene in texts]
    flat = [finding for one in found for finding in one if finding.decided]
    invented = sum(finding.is_false and finding.reason in INVENTED for finding in flat)
    false = sum(finding.is_false for finding in flat)
    return f"{share(false, len(flat))} false; {invented / max(1, len(found)):.2f} hallucinated things a description"


def preferences(folder: Path, scenes: int) -> None:
    images = folder / "scenes"
    write_scenes(images, scenes, first_seed=FIRST_SEED)
    truth = read_truth(images)
    prompts = prompt_set(folder / "describe", dict.fromkeys(("describe", "caption_1", "imagine_1"), "describe"))
    for corruption in CORRUPTIONS:
        run = build(
            "preferences",
            images,
            folder / f"preferences-{corruption}",
            [
                f"preferences.prompt_set={prompts}",
                f"preferences.corruptions=[{corruption}]",
                "preferences.corruption_share=1",
                "teacher.temperature=0.2",
                "critics=[{kind: rules, limits: {chosen: {min_words: 1}, rejected: {min_words: 1}}}]",
            ],
        )
        pairs = [pair for path in run.partition_paths("pairs") for pair in partitions.read_kept(path, PreferencePair)]
        print(f"preferences, {corruption}: {len(pairs)} pairs")
        for name in ("chosen", "rejected"):
            print(f"  {name:<9}{side((getattr(pair, name), truth[pair.image_id]) for pair in pairs)}")


def rationales(folder: Path, scenes: int) -> None:
    images = folder / "asked"
    write_scenes(images, scenes, first_seed=FIRST_SEED)
    truth = read_truth(images)
    rng = random.Random(0)
    lines = []
    for line in (images / "truth.jsonl").read_text("utf-8").splitlines():
        made = json.loads(line)
        for topic in rng.sample(TOPICS, 3):
            asked = ask(truth[made["image_id"]], topic, rng)  # type: ignore[arg-type]  # one of the topics
            if asked is not None:
                lines.append({"file_name": made["file"], "question": asked.question, "answer": asked.answer})
    questions = folder / "questions.jsonl"
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    prompts = prompt_set(folder / "why", {"explain_why": "{{ question }} why ?"})
    run = build(
        "rationales",
        images,
        folder / "rationales",
        [f"rationales.prompt_set={prompts}", "rationales.temperatures=[0.01, 0.3, 0.9]", "rationales.samples=2"],
        questions,
    )
    rows = [row for path in run.partition_paths("candidates") for row in partitions.read_kept(path, Rationale)]
    for temperature in (0.01, 0.3, 0.9):
        found = [reason_finding(row, truth[row.image_id]) for row in rows if row.temperature == temperature]
        decided = [finding for finding in found if finding.decided]
        true = sum(finding.is_true for finding in decided)
        print(f"rationales at {temperature}: true {share(true, len(decided))} that are decided, of {len(found)}")


def reason_finding(row: Rationale, scene: Scene) -> Finding:
    """Whether the reason is true; the tiny model says its own answer first, as it was trained to."""
    reason = row.rationale.partition(". ")[2] or row.rationale
    qar = Qar("", row.image_id, "descriptions", row.question, row.answer, reason, (), "", "", "")
    return judge_qar(qar, (), scene).rationale


def write_reasoned(images: Path, scenes: int) -> tuple[dict[str, Scene], Path]:
    """Scenes with their truth, and a file of questions with their answers and the oracle's reasons."""
    write_scenes(images, scenes, first_seed=FIRST_SEED)
    truth, rng, lines = read_truth(images), random.Random(0), []
    for line in (images / "truth.jsonl").read_text("utf-8").splitlines():
        made = json.loads(line)
        for topic in TOPICS:
            known = reason(truth[made["image_id"]], topic, rng)  # type: ignore[arg-type]  # one of the topics
            if known is not None:
                asked = {"question": known.asked.question, "answer": known.asked.answer}
                lines.append({"file_name": made["file"], **asked, "rationales": [known.rationale.text]})
    questions = images.with_suffix(".jsonl")
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return truth, questions


def rounds(folder: Path, scenes: int) -> None:
    truth, questions = write_reasoned(folder / "looped", scenes)
    prompts = prompt_set(folder / "ask", {"explain_why": "{{ question }} why ?"})
    build_options = ostensive.BuildOptions(
        profile="microworld",
        annotations=questions,
        settings=[
            *(one for one in TEACHER if not one.startswith(("teacher.kind", "teacher.model"))),
            f"rationales.prompt_set={prompts}",
            "rationales.temperatures=[0.3, 0.9]",
            "rationales.samples=2",
            "critics=[{kind: overlap}]",
        ],
    )
    train = ("max_steps=40", "learning_rate=0.0003", "lora.rank=16", "lora.alpha=32", "device=cpu")
    options = ostensive.LoopOptions(build=build_options, train=train, rounds=3)
    found = ostensive.loop(
        "rationales", images=folder / "looped", base="microworld:vlm-base", out=folder / "loop", options=options
    )
    print("\n".join(loop_lines(found)))
    for one in found.rounds:
        run = RunFolder(folder / "loop" / "rounds" / str(one.number) / "run")
        rows = [row.candidate for row in kept_records(run, Judged[Rationale]) if row.candidate.round == one.number]
        true = sum(reason_finding(row, truth[row.image_id]).is_true for row in rows)
        print(f"rounds, {one.number}: true {share(true, len(rows))} rows of its own")


def search(folder: Path, scenes: int) -> None:
    images = folder / "reasoned"
    truth, questions = write_reasoned(images, scenes)
    prompts = prompt_set(folder / "search", {f"explain_{name}": text for name, text in SEARCHED.items()})
    settings = [
        f"rationales.prompt_set={prompts}",
        f"rationales.prompts=[{', '.join(SEARCHED)}]",
        "rationales.temperatures=[0.01, 0.3]",
        "rationales.samples=1",
        "critics=[{kind: overlap}]",
    ]
    for name, own in (("every prompt", []), ("prompt search", ["rationales.prompt_search={sample: 40}"])):
        run = build("rationales", images, folder / name.replace(" ", "-"), [*settings, *own], questions)
        replies = sum(info.summary.rows for info in run.infos("candidates"))
        rows = [row for path in run.partition_paths("candidates") for row in partitions.read_kept(path, Rationale)]
        fitting = [
            row for path in run.partition_paths("scored") for row in partitions.read_kept(path, Scored[Rationale])
        ]
        fits = sum(row.scores[0].accept_probability >= 0.7 for row in fitting)
        true = sum(reason_finding(row, truth[row.image_id]).is_true for row in rows)
        print(f"search, {name}: of {replies} replies fitting {share(fits, replies)}, true {share(true, replies)}")
        for note in search_notes(run.path):
            print(f"  {note}")


def explanations(folder: Path, scenes: int) -> None:
    images = folder / "specimens"
    write_specimens(images, scenes, first_seed=FIRST_SEED)
    specimens = read_specimens(images)
    concepts: dict[str, list[str]] = json.loads((images / CONCEPTS_NAME).read_text("utf-8"))
    prompts = prompt_set(
        folder / "explain",
        {
            "describe_1": "describe",
            "answer": "{{ query }} {{ label }} {{ concepts }}",
            "label_only": "this is {{ label }}",
        },
    )
    truth = {
        image_id: {concept.words for concept in specimen.standing("visible")}
        for image_id, specimen in specimens.items()
    }
    by_draws: dict[int, dict[str, float]] = {}
    for draws in (1, 3, 10, 30):
        run = build(
            "explanations",
            images,
            folder / f"explanations-{draws}",
            [
                f"explanations.prompt_set={prompts}",
                f"explanations.concepts={images / CONCEPTS_NAME}",
                f"explanations.draws={draws}",
                "explanations.min_concepts=100",  # all of a label, in the order of their scores
                "explanations.describe_max_tokens=60",
                "explanations.answer_max_tokens=8",
                "explanations.queries=1",
                "annotations.columns={image: file}",
            ],
            images / LABELS_NAME,
        )
        rows = [row for path in run.partition_paths(SELECTED) for row in partitions.read_kept(path, Selected)]
        rng = random.Random(0)
        selected, drawn = list[bool](), list[bool]()
        ordered, shuffled = dict[str, float](), list[float]()
        for row in rows:
            visible = [concept in truth[row.image_id] for concept in row.concepts]
            scores = np.array(row.log_scores)
            chosen = chosen_concepts(scores, scores, threshold_std=0.4, min_concepts=3)
            selected += [visible[place] for place in chosen]
            drawn += rng.sample(visible, len(chosen))
            ordered[row.image_id] = average_precision(visible)
            shuffled.append(fmean(average_precision(rng.sample(visible, len(visible))) for _ in range(TIES_DRAWN)))
        print(f"explanations, {draws} descriptions: visible {share(sum(selected), len(selected))}")
        print(f"  average precision {mean_with_error([*ordered.values()])}")
        if (fewer := by_draws.get(1)) is not None:
            gained = [ordered[image_id] - value for image_id, value in fewer.items()]  # one may be without any
            print(f"  of the same images, more than with one description: {mean_with_error(gained)}")
        print(f"  at random: visible {share(sum(drawn), len(drawn))}, average precision {fmean(shuffled):.3f}")
        by_draws[draws] = ordered
    answers = asked_directly(images, folder, concepts, truth)
    there, said = ([one for answer in answers for one in answer[place]] for place in (0, 1))
    hits = sum(is_there and is_said for is_there, is_said in zip(there, said, strict=True))
    print(f"explanations, asked for each concept: of {len(said)}, visible of those called so {share(hits, sum(said))}")
    print(f"  of those that are visible, called so {share(hits, sum(there))}")
    print(f"  average precision {mean_with_error([average_precision_of_answers(*answer) for answer in answers])}")


def average_precision(visible: Sequence[bool]) -> float:
    """Mean of the precision at the rank of each visible concept."""
    ranks = [rank for rank, is_visible in enumerate(visible, 1) if is_visible]
    return fmean(number / rank for number, rank in enumerate(ranks, 1)) if ranks else 0.0


def average_precision_of_answers(visible: Sequence[bool], said: Sequence[bool]) -> float:
    """Of the order in which what was called visible comes first, at random among equals."""
    rng, places = random.Random(0), range(len(visible))
    orders = (sorted(places, key=lambda place: (not said[place], rng.random())) for _ in range(TIES_DRAWN))
    return fmean(average_precision([visible[place] for place in order]) for order in orders)


def mean_with_error(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f} ± {stdev(values) / len(values) ** 0.5:.3f} (standard error)"


def existence(concept: str) -> str:
    """A concept as a question of the form that the tiny model was taught."""
    if concept.startswith("the shape of "):
        return f"Is there {concept.removeprefix('the shape of ')}?"
    if concept.endswith(" body"):
        return f"Is there {concept.removesuffix(' body')} thing?"
    if concept.startswith("holds "):
        return f"Is there a thing holding {concept.removeprefix('holds ')}?"
    return "Is there a thing without a hat?" if concept == "no hat" else f"Is there a thing wearing {concept}?"


def asked_directly(
    images: Path, folder: Path, concepts: Mapping[str, Sequence[str]], truth: Mapping[str, set[str]]
) -> list[tuple[list[bool], list[bool]]]:
    """For each image whether each of its label's concepts is visible, and whether the model says so."""
    teacher = SelfTeacherSettings(model="microworld:vlm-base", temperature=0.0, max_tokens=8, batch_size=64)
    settings = ServiceSettings(
        intake=IntakeSettings(), threads=1, journal=folder / "asked.sqlite", run_id="asked directly"
    )
    answers: list[tuple[list[bool], list[bool]]] = []
    labels = {line["file"]: line["label"] for line in csv.DictReader((images / LABELS_NAME).open())}
    with (
        open_services(settings, threading.Event()) as services,
        services.open_chat(teacher, lambda _messages, _seed: "") as chat,
    ):
        for name, label in labels.items():
            visible = truth[hashlib.sha256((images / name).read_bytes()).hexdigest()]
            picture = PIL.Image.open(images / name).convert("RGB")
            conversations = [
                Conversation((Message("user", existence(one), (picture,)),), (), teacher.sampling(0))
                for one in concepts[label]
            ]
            replies = [exchange.replies[0] for exchange in chat.chat(conversations)]
            said = [isinstance(reply, Reply) and reply.text.lower().startswith("yes") for reply in replies]
            answers.append(([concept in visible for concept in concepts[label]], said))
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--only", choices=("preferences", "rationales", "search", "explanations", "rounds"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for part in (preferences, rationales, search, explanations, rounds):
            if given.only in (None, part.__name__):
                part(Path(folder), given.scenes)


if __name__ == "__main__":
    main()

"""Unanswerable items in the microworld: whether they are without an answer, by the oracle.

    python benchmarks/unanswerable.py [--scenes 100] [--share 0.3] [--only rationales|preferences]

- `rationales`: questions of scenes about colour, shape, pattern, size, place and existence. Of those that are put on
  another picture: the share that speaks of something which is not there.
- `preferences`: descriptions by the tiny model. Of those that are put on another picture: the share of which a sentence
  is false there.

Beside each stands the same for the same candidates put on other pictures at random. Intervals are Wilson's, 95 %.
"""

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from self_teaching import FIRST_SEED, TOPICS, build, prompt_set, sentence_findings, share

import ostensive
from builders.localized.records import Qar
from microworld import findings
from microworld.folder import read_truth, write_scenes
from microworld.oracle import judge_qar
from microworld.questions import ask
from microworld.scenes import Scene
from ostensive.run.folder import RunFolder

Row = dict[str, Any]


def report(name: str, run: RunFolder, fits: Callable[[Row, Scene], bool | None], truth: Mapping[str, Scene]) -> None:
    """Prints how many items there are, and how many have no answer where they are put, and at random."""
    rows = [dict(row) for row in ostensive.open_corpus(run.path).rows()]
    items = [row for row in rows if row["unanswerable"]]
    lost = [dict(info.summary.dropped) for info in run.infos("unanswerable")]
    print(f"{name}: {len(items)} items in {len(rows)} rows; lost: {sum(map(Counter, lost), Counter())}")
    origins = [row for row in rows if not row["unanswerable"]]
    rng = random.Random(0)
    here, anywhere = list[bool | None](), list[bool | None]()
    for item in items:
        origin = next(row for row in origins if is_of(item, row))
        others = sorted(truth.keys() - {origin["image_id"]})
        here.append(fits(origin, truth[item["image_id"]]))
        anywhere += [fits(origin, truth[image_id]) for image_id in rng.sample(others, 10)]
    for way, fitting in (("as put", here), ("at random", anywhere)):
        decided = [one for one in fitting if one is not None]
        print(f"  {way:<10}not there: {share(decided.count(False), len(decided))} that are decided, of {len(fitting)}")


def is_of(item: Row, origin: Row) -> bool:
    """Whether the item was made of the row."""
    if "question" in item:
        return bool(item["question"] == origin["question"])
    return origin["chosen"] in item["prompt"]


def question_fits(row: Row, scene: Scene) -> bool | None:
    """Whether what the question speaks of is there; None where the oracle cannot say."""
    qar = Qar("", "", "descriptions", row["question"], row["answer"], "", (), "", "", "")
    finding = judge_qar(qar, (), scene).answer
    if finding.reason == findings.NO_SUCH_THING:
        return False
    return True if finding.decided or finding.reason == findings.MANY_SUCH else None


def description_fits(row: Row, scene: Scene) -> bool | None:
    decided = [finding for finding in sentence_findings(row["chosen"], scene) if finding.decided]
    return not any(finding.is_false for finding in decided) if decided else None


def rationales(folder: Path, given: argparse.Namespace) -> None:
    images = folder / "asked"
    write_scenes(images, given.scenes, first_seed=FIRST_SEED)
    truth, rng, lines = read_truth(images), random.Random(0), []
    for line in (images / "truth.jsonl").read_text("utf-8").splitlines():
        made = json.loads(line)
        for topic in TOPICS:
            asked = ask(truth[made["image_id"]], topic, rng)  # type: ignore[arg-type]  # one of the topics
            if asked is not None:
                lines.append({"file_name": made["file"], "question": asked.question, "answer": asked.answer})
    questions = folder / "questions.jsonl"
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = [
        f"rationales.prompt_set={prompt_set(folder / 'why', {'explain_why': '{{ question }} why ?'})}",
        "rationales.temperatures=[0.01]",
        "rationales.samples=1",
        f"unanswerable.share={given.share}",
    ]
    report("rationales", build("rationales", images, folder / "rationales", settings, questions), question_fits, truth)


def preferences(folder: Path, given: argparse.Namespace) -> None:
    images = folder / "scenes"
    write_scenes(images, given.scenes, first_seed=FIRST_SEED)
    prompts = prompt_set(folder / "describe", dict.fromkeys(("describe", "caption_1", "imagine_1"), "describe"))
    settings = [
        f"preferences.prompt_set={prompts}",
        "preferences.corruption_share=1",
        "teacher.temperature=0.2",
        "critics=[{kind: rules, limits: {chosen: {min_words: 1}, rejected: {min_words: 1}}}]",
        f"unanswerable.share={given.share}",
    ]
    run = build("preferences", images, folder / "preferences", settings)
    report("preferences", run, description_fits, read_truth(images))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--only", choices=("rationales", "preferences"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for part in (rationales, preferences):
            if given.only in (None, part.__name__):
                part(Path(folder), given)


if __name__ == "__main__":
    main()

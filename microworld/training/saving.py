"""The tiny models in their places: copied, measured there, with cards of what they know, and above all what not."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeAlias

from microworld.training.evaluate import (
    Blip2Figures,
    ClipFigures,
    Figure,
    Measure,
    measure_blip2,
    measure_clip,
    measure_vlm,
)
from microworld.training.evaluate_teacher import TEMPERATURE, TeacherFigures, measure_teacher
from microworld.training.lessons import verbalize_scenes
from microworld.training.words import DESCRIBE, IMAGINE, IN_BOX, IS_TRUE, NUMBERED, WHY
from ostensive.files import write_text

ModelName: TypeAlias = Literal["vlm", "vlm-base", "clip", "blip2", "teacher"]

_HONESTY = """This model knows nothing but one small rendered world: five places, ten shapes, eight colours, on pictures
of 64 x 64 pixels. It was trained on rendered scenes alone, from scratch, and has never seen a photograph. Shown one, it
will say something about circles and squares all the same. Use it to rehearse a recipe where every sentence can be
checked, and for nothing else."""


_ON_NUMBERS = (
    f"- `{NUMBERED}`: the same of one of several numbered boxes;",
    f"- `{IS_TRUE}`: yes or no, to what is said of how numbered boxes lie and how large they are;",
)


def save_model(
    name: ModelName,
    source: Path,
    folder: Path,
    *,
    record: Mapping[str, Any],
    seeds: range,
    scenes: Path,
    stopped_at: float | None,
) -> Any:  # Any: JSON values
    """Copies the model in `source` into `folder` and writes beside it what is known of it; returns its figures.

    `stopped_at` is the share of its course after which it was stopped, or None. In the folder `scenes` scenes are
    rendered and put into words for a model that has to be given such.
    """
    shutil.copytree(source, folder, dirs_exist_ok=True)
    figures, card = _measured(name, folder, seeds, scenes, stopped_at)
    known = {
        **record,
        "stopped_at": stopped_at,
        "measured_seeds": [seeds.start, seeds.stop],
        "figures": figures,
        "versions": _versions(),
    }
    write_text(folder / "training.json", json.dumps(known, indent=2) + "\n")
    write_text(folder / "README.md", card)
    return figures


def _measured(
    name: ModelName, folder: Path, seeds: range, scenes: Path, stopped_at: float | None
) -> tuple[dict[str, Any], str]:
    """The figures of a saved model, and its card."""
    if name == "teacher":
        verbalize_scenes(scenes, seeds)
        teacher = measure_teacher(folder, scenes)
        return asdict(teacher), teacher_card(teacher)
    if name == "clip":
        clip = measure_clip(folder, seeds)
        return asdict(clip), clip_card(clip)
    if name == "blip2":
        blip2 = measure_blip2(folder, seeds)
        return asdict(blip2), blip2_card(blip2)
    vlm = measure_vlm(folder, seeds)
    return {measure: asdict(figure) for measure, figure in vlm.items()}, vlm_card(vlm, stopped_at=stopped_at)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "open_clip_torch", "numpy", "pillow")}


def vlm_card(figures: Mapping[Measure, Figure], *, stopped_at: float | None) -> str:
    """The card of an image-text model; `stopped_at` is the share of its course after which it was stopped, or None."""
    name = "the tiny image-text model" if stopped_at is None else "the tiny image-text model, stopped early"
    what = (
        "A LLaVA of 1.8 million parameters (vision transformer, two-layer projector, Llama), read by"
        " `AutoModelForImageTextToText` and `AutoProcessor`."
    )
    if stopped_at is not None:
        what += (
            f" It was stopped after {stopped_at:.0%} of the training of its language model, to be the beginner that"
            " self-training recipes start from."
        )
    rows = [
        f"| {measure} | {figure.asked} | {figure.right:.1%} | {'' if figure.guess is None else f'{figure.guess:.1%}'} |"
        for measure, figure in figures.items()
    ]
    return "\n".join(
        [
            _front("image-text-to-text", "transformers"),
            f"# Microworld: {name}\n",
            _HONESTY + "\n",
            what + "\n",
            "Ask it in its own words, all of which are in its tokenizer:\n",
            f"- `{DESCRIBE}`: a few sentences on the scene;",
            f"- `{IN_BOX}`: a phrase on the thing that a box is drawn around;",
            *(_ON_NUMBERS if stopped_at is None else ()),
            "- any question of `microworld.questions`: a short answer;",
            f"- `{WHY}`: the answer and a reason.\n",
            "Measured on scenes it was not trained on, asked one by one, judged by `microworld.oracle`;"
            " *guess* is what always giving the commonest answer would reach:\n",
            "| measure | asked | right | guess |",
            "|---|---|---|---|",
            *rows,
            "",
            "How it was trained is in `training.json`.",
            "",
        ]
    )


def teacher_card(figures: TeacherFigures) -> str:
    """The card of the image-text model that teaches."""
    triples = [
        f"| {one.mode} | {'text and picture' if one.seeing else 'text'} | {one.asked} | {one.kept} | {one.decided} |"
        f" {_share(one.true, one.decided)} |"
        for one in figures.triples
    ]
    descriptions = [
        f"| `{one.prompt}` | {one.descriptions} | {_share(one.false, one.decided)} |"
        f" {one.invented / max(1, one.descriptions):.2f} |"
        for one in figures.descriptions
    ]
    return "\n".join(
        [
            _front("image-text-to-text", "transformers"),
            "# Microworld: the tiny teacher\n",
            _HONESTY + "\n",
            "A LLaVA of 1.8 million parameters, `microworld:vlm` taught further, read by `AutoModelForImageTextToText`"
            " and `AutoProcessor`. It writes triples of question, answer and rationale for the recipe `localized`, from"
            " text alone or with the picture, over the prompt set `microworld/prompts/localized`; it describes, and it"
            " describes with things that are not there:\n",
            f"- `{DESCRIBE}`: a few sentences on the scene;",
            f"- `{IMAGINE}`: the same with two or three things that the scene lacks.\n",
            "Measured on scenes it was not trained on, judged by `microworld.oracle`, at temperature"
            f" {TEMPERATURE}. Triples, three a request:\n",
            "| mode | given | asked | of the form | decided | of these true |",
            "|---|---|---|---|---|---|",
            *triples,
            "",
            "Descriptions:\n",
            "| prompt | descriptions | sentences that are false | things in each that are not there |",
            "|---|---|---|---|",
            *descriptions,
            "",
            "How it was trained is in `training.json`.",
            "",
        ]
    )


def _share(hits: int, total: int) -> str:
    return f"{hits / total:.1%}" if total else "none"


def blip2_card(figures: Blip2Figures) -> str:
    """The card of BLIP-2."""
    return "\n".join(
        [
            _front("image-text-to-text", "transformers"),
            "# Microworld: the tiny BLIP-2\n",
            _HONESTY + "\n",
            "A vision transformer and a Q-Former, 2 million parameters, as BLIP-2 has them in its first stage, read by"
            " `Blip2ForImageTextRetrieval` and `AutoProcessor`. A critic or a student begins here: its contrastive half"
            " knows the world, and what its matching head knows is below.\n",
            f"Measured on {figures.texts:,} texts about scenes it was not trained on, of which half are true:\n",
            "| measure | right (guessing: 50 %) |",
            "|---|---|",
            f"| what is in a drawn box | {figures.on_a_box:.1%} |",
            f"| how numbered boxes lie, and what is in them | {figures.on_numbered_boxes:.1%} |",
            f"| answers to questions on the scene | {figures.on_the_scene:.1%} |",
            "",
            "By the cosines of its contrastive half, with the template `a photo of LABEL`: the likeliest place is the"
            f" right one in {figures.place_first:.1%}, and of the shapes there, at most three,"
            f" {figures.objects_found:.1%} are among the three likeliest.",
            "",
            "How it was trained is in `training.json`.",
            "",
        ]
    )


def clip_card(figures: ClipFigures) -> str:
    """The card of the contrastive model."""
    return "\n".join(
        [
            _front("zero-shot-image-classification", "open_clip"),
            "# Microworld: the tiny contrastive model\n",
            _HONESTY + "\n",
            "A CLIP of 1 million parameters with a word tokenizer, read by `open_clip` as `local-dir:FOLDER`.\n",
            f"Measured on {figures.scenes} scenes it was not trained on, with the template `a photo of {{label}}`:\n",
            "| measure | share |",
            "|---|---|",
            f"| the likeliest place is the right one | {figures.place_first:.1%} |",
            f"| of the shapes there, at most three, found among the three likeliest | {figures.objects_found:.1%} |",
            f"| one of the three likeliest shapes is there | {figures.one_object_found:.1%} |",
            "",
            "How it was trained is in `training.json`.",
            "",
        ]
    )


def _front(task: str, library: str) -> str:
    return f"---\nlicense: apache-2.0\nlibrary_name: {library}\npipeline_tag: {task}\ninference: false\n---\n"

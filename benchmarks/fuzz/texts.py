"""Texts that come from models and people: replies, label and item files, exports of Label Studio, recipes, concepts."""

import functools
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from builders.explanations.asking_concepts import read_concepts
from builders.explanations.concepts import load_concepts
from builders.localized.parse import parse_reply
from builders.localized.probing import parse_questions
from builders.rationales.items import Item as RationaleItem
from builders.rationales.replies import read_reply as read_rationale
from builders.rationales.settings import RationalesSettings
from builders.self_talk.replies import ReplyError, clarification_of, topic_of
from builders.table import load
from critics.annotation.foreign import recognised
from critics.annotation.items import Item, read_items
from critics.annotation.label_studio import from_tasks, item_id_of, read_tasks
from critics.annotation.tasks import TASKS
from critics.judge import UnreadableReplyError, read_ratings
from critics.judge_pairs import read_preference
from critics.labels import CriterionTarget, Label, read_labels
from critics.margin import read_rating
from fuzz.table import Reader
from ostensive import arrow
from ostensive.chat.replies import read_answer
from ostensive.errors import OstensiveError
from ostensive.recipe import dump
from ostensive.recipe_kind import ShownText
from verbalizers.image_text.wordings import clean_reply, parse_answers

_IMAGE: Final = "ab" * 32
_TASK: Final = TASKS["triple"]
ITEMS: Final = {
    name: Item(_TASK.name, name, _IMAGE, tuple(ShownText(field, f"{field} [0]", (0,)) for field in _TASK.fields or ()))
    for name in ("one", "two")
}


def one_line(error: Exception) -> None:
    """Holds an error to what is promised of errors."""
    assert str(error), "an error says something"
    assert "\n" not in str(error), "an error is one line"
    str(error).encode()  # it can be printed


def _encoded(*texts: str) -> list[bytes]:
    return [text.encode() for text in texts]


# ---- replies --------------------------------------------------------------------------------------------------------


def _reply_texts() -> list[bytes]:
    triple = {"question": "What is [0]?", "answer": "A cat.", "rationale": "It has whiskers [0]."}
    return _encoded(
        "Question: What is [0]?\nAnswer: A cat.\nRationale: It has whiskers [0].\n\n**Question 2:** Why?\nAnswer: No.",
        "1. What is it?\n2. Where is [1]?\n- **a tail**\n* whiskers \u2013 long",
        "| question | answer | rationale |\n|---|---|---|\n| What? | A dog. | Its tail. |",
        f"```json\n{json.dumps([triple, triple])}\n```",
        json.dumps({"triples": {"1": triple, "2": [triple]}}),
        '{"question": 4, "answer": 5, "rationale": 1, "why": "The answer is \\ud83d\\ude00 right."}',
        '```json\n{"better": "first", "why": "It is true."}\n```',
        '{"rating": 5, "why": ""}',
        "because the sky is blue\u2028 and the cat sits on it. It is what it is, since it is.",
        "about cats?",
        "<loc_12><loc_999> a cat <loc_1>",
    )


def _read_reply_text(data: bytes, _folder: Path) -> None:
    text = data.decode("utf-8", "replace")
    parse_reply(text)
    parse_questions(text)
    clean_reply(text)
    parse_answers(text, 3)
    read_concepts(text, "cat")
    item = RationaleItem("a", _IMAGE, "What is it?", "A cat.")
    read_rationale(text, "stop", item, RationalesSettings())
    wanted: tuple[Callable[[], object], ...] = (
        lambda: topic_of(text, "cats"),
        lambda: clarification_of("It is", text, is_whole=True),
    )
    for read in wanted:
        try:
            read()
        except ReplyError as error:
            one_line(error)
    for judged in (
        lambda: read_ratings(text, _TASK.fields or ()),
        lambda: read_preference(text),
        lambda: read_rating(text),
    ):
        try:
            judged()
        except UnreadableReplyError:
            continue  # its detail quotes the reply


def _bodies() -> list[bytes]:
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    message: dict[str, object] = {"role": "assistant", "content": "A cat.", "reasoning_content": "<think>so</think>"}
    parts = {"role": "assistant", "content": [{"type": "text", "text": "A"}, {"type": "thinking", "thinking": []}]}
    bodies = [
        {"id": "a", "model": "m", "choices": [{"index": 0, "message": one, "finish_reason": "stop"}], "usage": usage}
        for one in (message, parts)
    ]
    errors = [{"error": {"message": "no", "type": "t", "code": 429}}, {"detail": [{"msg": "x", "loc": [1]}]}, [1], "x"]
    return [json.dumps(body).encode() for body in (*bodies, *errors)]


def _read_body(data: bytes, _folder: Path) -> None:
    read_answer(data)


# ---- files ----------------------------------------------------------------------------------------------------------


def _label_files() -> list[bytes]:
    label = Label("one", _IMAGE, accepted=True, targets=(CriterionTarget("qa", 2.5), CriterionTarget("rationale", 3.0)))
    sink = io.BytesIO()
    pq.write_table(arrow.to_table([label, replace(label, row_id="two")], Label), sink)
    return [sink.getvalue()]


def _item_files() -> list[bytes]:
    row = {"image_id": _IMAGE, **{field: f"text of [0] \u2028 {field}" for field in _TASK.fields or ()}}
    lines = [json.dumps({**row, "item_id": str(number)}, ensure_ascii=False) for number in range(3)]
    return [*_encoded("\n".join(lines), "\ufeff" + "\r\n".join(lines) + "\n"), json.dumps(row).encode()]


def _item_tables() -> list[bytes]:
    row = {"image_id": _IMAGE, **{field: f"text of [0] {field}" for field in _TASK.fields or ()}}
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{**row, "item_id": str(number)} for number in range(3)]), sink)
    return [sink.getvalue()]


def _studio_files() -> list[bytes]:
    results = [
        {"from_name": question.name, "to_name": "image", "type": "choices", "value": {"choices": [question.values[0]]}}
        for question in _TASK.questions
    ]
    annotation = {
        "id": 7,
        "completed_by": {"id": 3, "email": "anna@example.org", "first_name": "Anna"},
        "created_at": "2026-01-02T03:04:05.678Z",
        "updated_at": "2026-01-02T03:04:06Z",
        "result": results,
        "was_cancelled": False,
    }
    tasks = [{"id": 1, "data": {"item_id": name, "image": "x"}, "annotations": [annotation]} for name in (*ITEMS, "x")]
    tasks.append({"data": {"row_id": "one"}, "annotations": [{**annotation, "completed_by": 4}, 5, None]})
    return [json.dumps(tasks).encode(), json.dumps(tasks, indent=1, ensure_ascii=False).encode("utf-8-sig")]


def _concept_files() -> list[bytes]:
    return [
        json.dumps(one).encode()
        for one in ({"cat": ["a tail", "whiskers"]}, {"1": {"name": "cat", "visual_features": ["a"]}})
    ]


@functools.cache
def _recipe_files() -> list[bytes]:
    own = "recipe: localized\nlocalized: {turns: 2}\ncorpus: {license: mit, source: mine, intended_use: tests}\n"
    whole = [
        dump(load(name, stand_ins=("corpus.license=mit", "corpus.source=m", "corpus.intended_use=t")))
        for name in _NAMES
    ]
    return _encoded(own, own + "critics:\n- {kind: rules}\n- kind: judge\n  weights: &w {a: 1}\n  other: *w\n", *whole)


_NAMES: Final = ("localized", "rationales", "preferences", "explanations", "instructions")


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], None]:
    """Reads it from a file; what the project itself refuses is one line."""

    def of(data: bytes, folder: Path) -> None:
        path = folder / name
        path.write_bytes(data)
        try:
            read(path)
        except OstensiveError as error:
            one_line(error)

    return of


def _read_studio(path: Path) -> None:
    tasks = read_tasks(path)
    for task in tasks:
        item_id_of(task)
    imported = from_tasks(tasks, ITEMS)
    for note in imported.left_out:
        assert "\n" not in note, "a note is one line"
    recognised(imported.judgements, (), {})


READERS: Final[Mapping[str, Reader]] = {
    "replies": Reader(_reply_texts, _read_reply_text),
    "answers": Reader(_bodies, _read_body),
    "labels": Reader(_label_files, _file("labels.parquet", read_labels)),
    "items": Reader(_item_files, _file("items.jsonl", lambda path: read_items(path, _TASK))),
    "items-parquet": Reader(_item_tables, _file("items.parquet", lambda path: read_items(path, _TASK))),
    "label-studio": Reader(_studio_files, _file("export.json", _read_studio)),
    "concepts": Reader(_concept_files, _file("concepts.json", lambda path: load_concepts(str(path)))),
    "recipes": Reader(_recipe_files, _file("recipe.yaml", lambda path: load(str(path)))),
}

"""Describe and respond: the picture is in both requests, and never another's."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from drawing import draw_scene
from plain_services import journaled_services

from builders.instructions.infusing import HEADING
from builders.instructions.responding import PictureQuestion, describe_and_respond, describe_and_respond_all
from builders.instructions.scripted import make_script
from ostensive.chat.pictures import picture_reference
from ostensive.chat.records import Message, Reply
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.image_slots import SlotError

TEACHER = ScriptedTeacherSettings()


def what_is_shown(messages: Sequence[Message], _seed: int) -> str:
    """A script that says which pictures it is shown, and repeats the prompt."""
    pictures = [picture_reference(image) for message in messages for image in message.images]
    return f"{pictures} <image> {messages[-1].text}"


def asked_in(journal: Path) -> list[str]:
    with closing(sqlite3.connect(journal)) as db:
        return [request for (request,) in db.execute("SELECT request FROM answers ORDER BY rowid")]


def test_each_answer_sees_its_own_picture_and_description(tmp_path: Path) -> None:
    pictures = [draw_scene(number) for number in range(3)]
    questions = [PictureQuestion(picture, f"<image>\nWho's no. {k}: Ann?") for k, picture in enumerate(pictures)]
    with journaled_services(tmp_path / "j.sqlite") as services, services.open_chat(TEACHER, what_is_shown) as chat:
        found = describe_and_respond_all(chat, questions, prompt="Describe.")
        alone = describe_and_respond(chat, pictures[1], "Who?", prompt="Describe.")
    for k, (one, picture) in enumerate(zip(found, pictures, strict=True)):
        assert isinstance(one.description, Reply)
        assert isinstance(one.answer, Reply)
        shown = str([picture_reference(picture)])
        assert one.description.text == f"{shown} <image> Describe."
        assert one.answer.text == f"{shown} <image> {HEADING} {shown}  Describe.\n\nWho's no. {k}: Ann?"
    assert alone.description == found[1].description
    requests = asked_in(tmp_path / "j.sqlite")
    assert len(requests) == 3 + 3 + 1
    for request in requests:
        blocks = [block["type"] for block in json.loads(request)["messages"][0]["content"]]
        assert blocks == ["image_url", "text"]


def test_the_scripted_teacher_answers_by_what_it_sees(tmp_path: Path) -> None:
    with journaled_services(tmp_path / "j.sqlite") as services, services.open_chat(TEACHER, make_script()) as chat:
        found = describe_and_respond(chat, draw_scene(1), "What colour is it?")
    assert isinstance(found.description, Reply)
    assert isinstance(found.answer, Reply)
    assert "green" in found.description.text
    assert found.answer.text.startswith("Going by what can be seen: ")
    assert "green" in found.answer.text


def test_a_question_with_two_slots_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with (
        journaled_services(tmp_path / "j.sqlite") as services,
        services.open_chat(TEACHER, make_script()) as chat,
        pytest.raises(SlotError, match="the question has 2 image slots, and there is one image"),
    ):
        describe_and_respond(chat, draw_scene(1), "<image> or <image>?")
    assert asked_in(tmp_path / "j.sqlite") == []


def test_nothing_said_of_a_picture_leaves_the_question_alone(tmp_path: Path) -> None:
    def says_nothing_first(messages: Sequence[Message], _seed: int) -> str:
        return "<image>" if messages[-1].text == "Describe." else messages[-1].text

    with journaled_services(tmp_path / "j.sqlite") as services, services.open_chat(TEACHER, says_nothing_first) as chat:
        found = describe_and_respond(chat, draw_scene(1), "Who?", prompt="Describe.")
    assert isinstance(found.answer, Reply)
    assert found.answer.text == "Who?"

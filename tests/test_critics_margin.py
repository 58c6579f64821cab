"""The critic `margin`: both sides of a pair are rated with the picture shown, and the difference is the score."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from critic_context import CAPTIONS
from drawing import write_scenes
from plain_services import plain_services
from test_builders_rationales_stage import Saying, write_images

import ostensive
from builders.preferences.recipe import KIND
from builders.preferences.records import PreferencePair
from critics.critic import CriticContext, NoScore, Score
from critics.judge import UNREADABLE
from critics.margin import AS_GOOD, NO_PICTURE, MarginCritic, MarginSettings, margin, read_rating
from critics.table import check_critics
from ostensive.chat.records import Conversation, NoReply, Reply
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.records import ImageRecord, Location, Spend
from ostensive.run.folder import RunFolder
from ostensive.stage import ImageEvidence

PAID = Spend(1, 10, 5, 0.25)


def pair(image_id: str, chosen: str, rejected: str, *, row: str = "r") -> PreferencePair:
    return PreferencePair(row, image_id, "Describe.", chosen, rejected, "imagined", "", "i", "t", "p", "k", "k2", 0)


def rated(rating: object, why: str = "so") -> Reply:
    return Reply(json.dumps({"rating": rating, "why": why}), "m", "stop", "key", spend=PAID)


def score(say: Callable[[Conversation], Reply | NoReply], image: ImageRecord, *pairs: PreferencePair):  # type: ignore[no-untyped-def]
    chat = Saying(say)
    critic = MarginCritic(MarginSettings(), CriticContext(KIND, ScriptedTeacherSettings(), seed=0))
    with critic.opened(plain_services(open_chat=lambda *_: chat)):
        return chat.asked, critic.score(pairs, {image.image_id: ImageEvidence(image)})


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> ImageRecord:
    return write_images(tmp_path_factory.mktemp("drawn") / "images", 1)[0]


def test_the_margin_is_half_where_both_are_alike() -> None:
    assert [margin(k, k) for k in range(1, 6)] == [0.5] * 5
    assert (margin(5, 1), margin(1, 5), margin(4, 3)) == (1.0, 0.0, 0.625)
    assert MarginSettings().min_accept_probability == margin(4, 3)


@pytest.mark.parametrize("reply", ['{"rating": 6, "why": ""}', '{"rating": true, "why": ""}', '{"rating": 2}', "2", ""])
def test_a_rating_is_read_strictly(reply: str) -> None:
    with pytest.raises(ValueError, match=r"expected|JSON"):
        read_rating(reply)


def test_each_side_is_rated_alone_with_the_picture_and_the_shared_one_once(image: ImageRecord) -> None:
    ratings = {"a\nlit boat": 5, "two {boats}": 2, "lit boat": 5}

    def say(asked: Conversation) -> Reply:
        (message,) = asked.messages
        assert len(message.images) == 1
        assert asked.sampling.temperature == 0
        sides = [text for text in ratings if f"\nThe text: {' '.join(text.split())}\n" in message.text]
        assert len(sides) == 1
        return rated(ratings[sides[0]])

    first, second = (pair(image.image_id, "a\nlit boat", text) for text in ("two {boats}", "lit boat"))
    asked, (better, alike) = score(say, image, first, second)
    assert len(asked) == 3
    assert better == Score(margin(5, 2), AS_GOOD, "chosen 5: so; rejected 2: so", PAID + PAID)
    assert (alike.accept_probability, alike.reason, alike.spend) == (0.5, AS_GOOD, PAID)


def test_what_cannot_be_rated_has_failed_with_its_cost(image: ImageRecord) -> None:
    def say(asked: Conversation) -> Reply | NoReply:
        text = asked.messages[0].text
        return NoReply("timeout", "60 s", spend=PAID) if "lost" in text else rated(9 if "odd" in text else 3)

    found = score(say, image, *(pair(image.image_id, "good", text) for text in ("lost", "odd", "fine")))[1]
    assert [type(one) for one in found] == [NoScore, NoScore, Score]
    assert found[0] == NoScore("timeout", "60 s", PAID + PAID)
    assert found[1].reason == UNREADABLE
    assert found[1].detail.startswith("rejected: rating is 9")
    gone = replace(image, location=Location("/nowhere/gone.png"))
    asked, (lost,) = score(say, gone, pair(image.image_id, "good", "fine"))
    assert (asked, lost.reason) == ([], NO_PICTURE)


def test_only_candidates_with_two_sides_have_a_margin() -> None:
    check_critics((MarginSettings(),), KIND)
    with pytest.raises(SettingsError, match="margin requires a prompt with a chosen and a rejected side; a caption of"):
        check_critics((MarginSettings(),), CAPTIONS)


@pytest.mark.slow
def test_a_run_drops_pairs_whose_rejected_side_is_as_good(tmp_path: Path) -> None:
    settings = [
        "corpus.license=cc0-1.0",
        "corpus.source=drawn by a test",
        "corpus.intended_use=to test",
        "preferences.corruptions=[crop]",
    ]
    settings += ["critics=[{kind: margin}]", "preferences.corruption_share=0.5"]
    ostensive.build(
        "preferences",
        images=write_scenes(tmp_path / "images", 4),
        out=tmp_path / "run",
        options=ostensive.BuildOptions(settings=settings),
    )
    (scored,) = RunFolder(tmp_path / "run").infos("scored")
    assert scored.summary.kept == 4
    assert scored.summary.spend.requests == 8
    (judged,) = RunFolder(tmp_path / "run").infos("judged")
    assert judged.summary.kept + judged.summary.dropped.get(AS_GOOD, 0) == 4
    assert judged.summary.kept

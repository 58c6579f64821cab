"""Narratives, captions and probe answers by a served chat model, over real HTTP, alone and in a whole build."""

import io
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import write_scenes
from opened_verbalizers import journaled_services
from PIL import Image

import ostensive
from builders.localized.probing import TeacherAsker, load_probing_prompts
from builders.localized.scripted import make_script
from builders.table import load as load_recipe
from ostensive.chat.access import TeacherSettings
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.faults import Faults
from ostensive.chat.pictures import EncodedImage
from ostensive.chat.records import Conversation, Message, NoReply, Reply
from ostensive.chat.server import ServerSettings, ServerThread
from ostensive.commands.api import estimate
from ostensive.errors import AccessRefusedError, BudgetReached, EmptyCorpusError, SettingsError
from ostensive.images.sources import list_items
from ostensive.records import NO_SPEND, ImageRecord, Location, Verbalization
from ostensive.settings import validate
from ostensive.stage import Failed, Kept, Outcome
from verbalizers.image_text.settings import EndpointSettings
from verbalizers.stage import NOT_VERBALIZED, VerbalizeStage
from verbalizers.table import VerbalizeSettings

COLOURS = {
    "red": (230, 20, 20),
    "green": (20, 160, 20),
    "blue": (20, 20, 230),
    "yellow": (240, 240, 20),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
}
BUILD = (
    "corpus.license=cc0-1.0",
    "corpus.source=drawn by a test",
    "corpus.intended_use=to test",
    "run.partition_size=3",
)


def colour_of(image: Image.Image) -> str:
    """The named colour nearest to the mean of the image."""
    mean = np.asarray(image.convert("RGB"), dtype=float).reshape(-1, 3).mean(0)
    return min(COLOURS, key=lambda name: float(np.abs(mean - COLOURS[name]).sum()))


def seer(messages: Sequence[Message], seed: int) -> str:
    """A model that sees one thing, the main colour of the picture in the message, and says it to every question."""
    if not messages[-1].images:
        return make_script(0.0)(messages, seed) if "rationale" in messages[0].text else "1. Is it red?\n2. Is it round?"
    (image,) = messages[-1].images
    assert isinstance(image, EncodedImage), "over HTTP there is nothing else"
    colour = colour_of(Image.open(io.BytesIO(image.data)))
    questions = [line for line in messages[-1].text.splitlines() if line[:1].isdigit()]
    if questions:
        return "\n".join(f"{line.partition('.')[0]}. {colour}, to {line.partition(' ')[2]}" for line in questions)
    return f"all is {colour}"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRecord]:
    """One picture of each colour."""
    folder, found = tmp_path_factory.mktemp("pictures"), []
    for colour, rgb in COLOURS.items():
        path = folder / f"{colour}.png"
        Image.new("RGB", (64, 48), rgb).save(path)
        found.append(ImageRecord(colour, 64, 48, "PNG", "RGB", path.stat().st_size, path.name, Location(str(path))))
    return found


def values(**changes: Any) -> VerbalizeSettings:  # Any: values of settings
    sections: dict[str, Any] = {  # Any: as above
        "narratives": {"kind": "served", "count": 2},
        "captions": {"kind": "served", "show": "crop", "crop_margin": 0},
        "probes": {"kind": "served", "questions": ["How many?", "What colour?"]},
    }
    return validate(VerbalizeSettings, {**sections, **changes}, "verbalize")


def verbalize(
    rows: list[ImageRecord],
    settings: VerbalizeSettings,
    endpoint: EndpointSettings,
    path: Path,
    *,
    max_requests: int | None = None,
    teacher: TeacherSettings | None = None,
) -> list[Outcome[Verbalization]]:
    asker = None
    if teacher is not None:
        asker = TeacherAsker(load_probing_prompts("probing"), teacher=teacher, seed=0)
    stage = pickle.loads(pickle.dumps(VerbalizeStage(settings, seed=0, endpoint=endpoint, asker=asker)))
    assert stage.partitions_at_once == 2
    with journaled_services(path, max_requests=max_requests) as services, stage.opened(services):
        outcomes: list[Outcome[Verbalization]] = stage.process(rows, {})
        return outcomes


def at(server: ServerThread, **changes: Any) -> EndpointSettings:  # Any: values of settings
    return validate(EndpointSettings, {"model": "scripted", "base_url": server.base_url, **changes}, "endpoint")


def said(outcome: Outcome[Verbalization]) -> Verbalization:
    assert isinstance(outcome, Kept), outcome
    return outcome.records[0]


def test_every_answer_meets_its_own_image(rows: list[ImageRecord], tmp_path: Path) -> None:
    with ServerThread(seer, ServerSettings(jitter_s=0.05)) as server:
        outcomes = verbalize(rows, values(), at(server), tmp_path / "j")
    for row, outcome in zip(rows, outcomes, strict=True):
        found, colour = said(outcome), row.image_id
        assert found.narratives == (f"all is {colour}",), "two draws that come out alike are told once"
        assert {region.caption for region in found.regions} == {f"all is {colour}"}
        assert [(probe.question, probe.answer) for probe in found.probes] == [
            ("How many?", f"{colour}, to How many?"),
            ("What colour?", f"{colour}, to What colour?"),
        ]
    # Two narratives, one region (the whole of a plain picture) and one request for both questions an image.
    assert server.stats.received == 4 * len(rows)
    assert server.stats.distinct == 3 * len(rows), "the draws of one narrative are sent alike"


def test_what_was_paid_for_is_counted_with_its_image_and_never_asked_again(
    rows: list[ImageRecord], tmp_path: Path
) -> None:
    with ServerThread(seer) as server:
        first = verbalize(rows, values(), at(server), tmp_path / "j")
        received = server.stats.received
        again = verbalize(rows[::-1], values(), at(server), tmp_path / "j")
        assert server.stats.received == received
    assert again == first[::-1]
    spends = [outcome.spend for outcome in first if isinstance(outcome, Kept)]
    assert [spend.requests for spend in spends] == [4] * len(rows)
    assert all(spend.prompt_tokens > 3 * 256 for spend in spends)


def test_a_seed_is_sent_where_the_server_honours_it(rows: list[ImageRecord], tmp_path: Path) -> None:
    with ServerThread(seer) as server:
        verbalize(rows, values(), at(server, send_seed=True), tmp_path / "j")
        assert server.stats.distinct == server.stats.received == 4 * len(rows)


def test_one_question_at_a_time_if_so_wanted(rows: list[ImageRecord], tmp_path: Path) -> None:
    one = {"kind": "served", "questions": ["How many?", "What colour?"], "questions_at_once": 1}
    with ServerThread(seer) as server:
        outcomes = verbalize(rows[:1], values(probes=one), at(server), tmp_path / "j")
        assert server.stats.received == 5
    assert [probe.answer for probe in said(outcomes[0]).probes] == ["all is red"] * 2


def test_an_image_whose_request_fails_fails_alone_and_with_its_cost(rows: list[ImageRecord], tmp_path: Path) -> None:
    def refuses_blue(messages: Sequence[Message], seed: int) -> str:
        text = seer(messages, seed)
        return "" if text == "all is blue" else text

    with ServerThread(refuses_blue) as server:
        outcomes = verbalize(rows, values(), at(server), tmp_path / "j")
    for row, outcome in zip(rows, outcomes, strict=True):
        assert isinstance(outcome, Kept)
        if row.image_id != "blue":
            assert len(outcome.records) == 1
            assert not outcome.losses
            continue
        (loss,) = outcome.losses
        assert not outcome.records
        assert isinstance(loss, Failed)
        assert loss.reason == NOT_VERBALIZED
        assert loss.detail == "narratives: reply without text: empty; 2 attempts"
        assert outcome.spend.requests == outcome.spend.spoiled_requests == 4, "the parts after are not asked about"


def test_the_teacher_asks_from_the_text_and_repeats_nothing(rows: list[ImageRecord], tmp_path: Path) -> None:
    prompts: list[str] = []

    def asks(messages: Sequence[Message], seed: int) -> str:
        if messages[-1].images:
            return seer(messages, seed)
        prompts.append(messages[-1].text)
        return "Sure!\n1. What colour?\n2. What colour is it?\n3. Where is the ball?\n4. Who is it?"

    probes = {"kind": "served", "questions": ["What colour?"], "count": 3, "asked_by": "teacher", "max_overlap": 0.5}
    with ServerThread(asks) as server:
        teacher = ServedTeacherSettings(model="scripted", base_url=server.base_url)
        outcomes = verbalize(rows, values(probes=probes), at(server), tmp_path / "j", teacher=teacher)
    for row, outcome in zip(rows, outcomes, strict=True):
        questions = [probe.question for probe in said(outcome).probes]
        assert questions == ["What colour?"], "the teacher is asked for two, and its first two are known already"
        assert sum(f"all is {row.image_id}" in prompt for prompt in prompts) == 1, "narratives and captions are read"
    assert all("Write exactly 2 " in prompt for prompt in prompts)


def test_questions_of_the_teacher_that_are_new_are_answered(rows: list[ImageRecord], tmp_path: Path) -> None:
    def asks(messages: Sequence[Message], seed: int) -> str:
        if messages[-1].images:
            return seer(messages, seed)
        return "1. Where is the ball?\n2. What colour is it?\n3. Where is the old ball?\n4. Who holds it?"

    probes = {"kind": "served", "questions": ["What colour?"], "count": 9, "asked_by": "teacher", "max_overlap": 0.6}
    with ServerThread(asks) as server:
        teacher = ServedTeacherSettings(model="scripted", base_url=server.base_url)
        (outcome,) = verbalize(rows[:1], values(probes=probes), at(server), tmp_path / "j", teacher=teacher)
    assert [probe.question for probe in said(outcome).probes] == ["What colour?", "Where is the ball?", "Who holds it?"]
    assert isinstance(outcome, Kept)
    assert outcome.spend.requests == 5


def test_a_teacher_that_asks_nothing_leaves_the_standing_questions(rows: list[ImageRecord], tmp_path: Path) -> None:
    def silent(messages: Sequence[Message], seed: int) -> str:
        return seer(messages, seed) if messages[-1].images else "I would rather not."

    probes = {"kind": "served", "questions": ["What colour?"], "asked_by": "teacher"}
    with ServerThread(silent) as server:
        teacher = ServedTeacherSettings(model="scripted", base_url=server.base_url)
        outcomes = verbalize(rows, values(probes=probes), at(server), tmp_path / "j", teacher=teacher)
    assert [[probe.question for probe in said(outcome).probes] for outcome in outcomes] == [["What colour?"]] * 6


def test_without_a_reply_of_the_teacher_an_image_fails_and_is_asked_about_again(
    rows: list[ImageRecord], tmp_path: Path
) -> None:
    probes = {"kind": "served", "questions": ["What colour?"], "asked_by": "teacher"}
    with ServerThread(seer) as server, ServerThread(seer, ServerSettings(faults=Faults(server_error=1.0))) as broken:
        teacher = ServedTeacherSettings(model="scripted", base_url=broken.base_url, max_attempts=1)
        outcomes = verbalize(rows[:2], values(probes=probes), at(server), tmp_path / "j", teacher=teacher)
    for outcome in outcomes:
        assert isinstance(outcome, Kept)
        assert outcome.losses[0].detail.startswith("probes: no questions: server error")
        assert outcome.spend.requests == 3, "narratives and the caption were paid for"


def test_a_budget_stops_the_stage_and_what_was_paid_is_kept(rows: list[ImageRecord], tmp_path: Path) -> None:
    with ServerThread(seer) as server:
        with pytest.raises(BudgetReached):
            verbalize(rows, values(), at(server), tmp_path / "j", max_requests=9)
        assert server.stats.received == 9
        verbalize(rows, values(), at(server), tmp_path / "j")
        assert server.stats.received == 4 * len(rows)


def test_a_model_that_the_server_does_not_have_is_refused_by_the_name_of_its_section(
    rows: list[ImageRecord], tmp_path: Path
) -> None:
    with ServerThread(seer, ServerSettings(required_key="sk-right")) as server:
        settings = at(server, api_key="sk-wrong")
        with pytest.raises(AccessRefusedError, match=r"check verbalize\.endpoint\.model, verbalize\.endpoint\.base_ur"):
            verbalize(rows, values(), settings, tmp_path / "j")


def test_an_image_that_cannot_be_encoded_costs_no_neighbour(tmp_path: Path) -> None:
    fine, broken = Image.new("RGB", (40, 40), COLOURS["blue"]), Image.new("RGB", (40, 40))
    broken.im = None  # type: ignore[assignment]  # what is left of an image that was closed
    talks = [Conversation((Message("user", "Which?", (image,)),)) for image in (fine, broken, fine)]
    with (
        ServerThread(seer) as server,
        journaled_services(tmp_path / "j") as services,
        services.open_chat(at(server), seer) as chat,
    ):
        first, second, third = (exchange.replies[0] for exchange in chat.chat(talks))
        assert chat.chat([]) == []
        assert server.stats.received == 1
    assert isinstance(first, Reply)
    assert first.text == "all is blue"
    assert first == third
    assert isinstance(second, NoReply)
    assert (second.reason, second.spend) == ("unreadable image", NO_SPEND)


def test_the_identity_follows_model_address_images_and_asker() -> None:
    def identity(settings: VerbalizeSettings, endpoint: EndpointSettings, teacher: str | None = None) -> object:
        asker = None
        if teacher is not None:
            served = ServedTeacherSettings(model=teacher)
            asker = TeacherAsker(load_probing_prompts(), teacher=served, seed=0)
        return VerbalizeStage(settings, seed=0, endpoint=endpoint, asker=asker).identity

    endpoint = EndpointSettings(model="m", base_url="http://127.0.0.1:1/v1")
    base = identity(values(), endpoint)
    assert identity(values(), EndpointSettings(model="m", base_url="http://127.0.0.1:1/v1", max_in_flight=3)) == base
    assert identity(values(), EndpointSettings(model="n", base_url="http://127.0.0.1:1/v1")) != base
    assert identity(values(), EndpointSettings(model="m", base_url="http://127.0.0.1:2/v1")) != base
    assert identity(values(sent_images={"max_side_px": 500}), endpoint) != base
    asked = values(probes={"kind": "served", "asked_by": "teacher"})
    assert identity(asked, endpoint, "t") != identity(asked, endpoint, "u")


def recipe_values(server: ServerThread, *more: str) -> tuple[str, ...]:
    return (*BUILD, f"teacher.base_url={server.base_url}", "teacher.model=scripted", *more)


def fruitless(images: Path, out: Path, options: ostensive.BuildOptions) -> ostensive.Corpus:
    """The corpus of a teacher that sees and writes no triples."""
    with pytest.raises(EmptyCorpusError, match="with 'no triples in the reply'"):
        ostensive.build("localized", images=images, out=out, options=options)
    return ostensive.open_corpus(out)


@pytest.mark.slow
def test_one_flag_sends_everything_to_a_server(tmp_path: Path) -> None:
    """The profile `served`, whole: what is estimated is what is asked, nothing twice, and the numbers add up."""
    images = write_scenes(tmp_path / "images", 5)
    with ServerThread(seer, ServerSettings(faults=Faults(server_error=0.05))) as server:
        settings = recipe_values(server, "verbalize.regions.choice.max_regions=3")
        options = ostensive.BuildOptions(profile="served", settings=settings)
        guess = estimate("localized", images=images, options=options)
        assert server.stats.received == 0
        corpus = fruitless(images, tmp_path / "run", options)
        assert server.stats.sent_after_answer == 5 * 4, "five narratives of each image are sent alike, and nothing else"
        received = server.stats.received
        fruitless(images, tmp_path / "run", options)
        assert server.stats.received == received
    stages = {stage.name: stage for stage in corpus.stages}
    spent = stages["verbalized"].spend.requests + stages["candidates"].spend.requests
    assert spent == guess.requests
    assert stages["verbalized"].kept == 5
    assert {model.model for model in guess.models} == {"scripted"}
    asked = stages["candidates"]
    assert asked.spend.requests == 5 * 2 * 3
    assert asked.kept + sum(asked.dropped.values()) + sum(asked.failed.values()) == 5 * 2 * 3 * 3


def test_two_servers_may_share_the_work(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 2)
    with ServerThread(seer) as sees, ServerThread(seer, ServerSettings(required_key="sk-other")) as teaches:
        endpoint = {"model": "scripted", "base_url": sees.base_url}
        settings = recipe_values(teaches, f"verbalize.endpoint={json.dumps(endpoint)}", "teacher.api_key=sk-other")
        options = ostensive.BuildOptions(profile="served", settings=settings)
        fruitless(images, tmp_path / "run", options)
        assert sees.stats.received > 0
        assert teaches.stats.received == 2 * (1 + 6), "one request for questions and six for triples of each image"
    assert "sk-other" not in (tmp_path / "run" / "recipe.yaml").read_text()


def test_what_cannot_work_is_said_before_any_work(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 1)
    served = ("verbalize.captions.kind=served",)
    with pytest.raises(SettingsError, match=r"verbalize has a part of kind served, and no server: name one with verb"):
        load_recipe("localized", assignments=(*BUILD, *served))
    recipe = load_recipe("localized", assignments=(*BUILD, *served, "verbalize.endpoint.model=m"))
    assert [chat.model_name for chat in recipe.chats] == ["scripted", "m"]
    unused = load_recipe("localized", assignments=(*BUILD, "verbalize.endpoint.model=m"))
    assert [chat.model_name for chat in unused.chats] == ["scripted"], "a server that nobody asks needs no key"
    options = ostensive.BuildOptions(settings=(*BUILD, *served, "verbalize.endpoint.model=m"), max_cost_usd=1)
    with pytest.raises(SettingsError, match=r"the price of 'm' is not known; give it with --set verbalize\.endp"):
        ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
    keyed = ("verbalize.endpoint.model=m", "verbalize.endpoint.key_variable=OTHER_KEY")
    options = ostensive.BuildOptions(settings=(*BUILD, *served, *keyed))
    with pytest.raises(SettingsError, match=r"set the environment variable OTHER_KEY"):
        ostensive.build("localized", images=images, out=tmp_path / "run", options=options)
    assert len(list_items(images, recipe.intake)) == 1

"""The arithmetic of the evidence: what seeds add up to, differences, what is said of them; and what is learnt from."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any  # Any: rows of a data set

import pytest
from evidence import running
from evidence.explaining import (
    HELD_OUT,
    HELD_OUT_TOPICS,
    SAMPLED,
    World,
    fitting,
    opened,
    reason_in,
    same_answer,
    training_rows,
    view_of,
)
from evidence.illume import prompt_set, rounds_told
from evidence.lessons import (
    QUERIES,
    answer_of,
    expert_concepts,
    first_lessons,
    one_to_each_question,
    plain_answer,
    texts_to_know,
)
from evidence.lskd import turned, turned_row, wordings
from evidence.methods import METHODS
from evidence.records import Expectation, Figure, difference, mean, pooled, read_figures, share, write_figures
from evidence.report import BEGIN, END, cell, expectation_line, write_page
from evidence.trainings import base_that_reads
from self_teaching import reason_finding

from builders.explanations.queries import shipped_pools
from builders.explanations.records import Explanation, Selected
from builders.rationales.requests import Requests
from builders.rationales.settings import RationalesSettings
from critics.label_names import names_label
from microworld.folder import write_scenes
from microworld.oracle import judge_explanation
from microworld.sample import sample_specimen
from microworld.sentences import tokens_of
from microworld.species import NAMES
from microworld.species_truth import specimens_in
from microworld.species_words import read_species
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.intervals import wilson
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import load_model


def test_seeds_of_a_share_are_counted_together() -> None:
    found = pooled([share("c", "a", "right", [True, True, False, False]), share("c", "a", "right", [True] * 6)])
    assert (found.value, found.count, found.by_seed) == (0.8, 10, (0.5, 1.0))
    assert found.interval == wilson(8, 10)
    assert cell(found) == "80.0 % (49.0 to 94.3) of 10; 50.0, 100.0"


def test_seeds_of_a_mean_have_the_deviation_of_all_their_values() -> None:
    found = pooled([mean("c", "a", "things", [0.0, 2.0]), mean("c", "a", "things", [4.0, 6.0])])
    assert (found.value, found.count) == (3.0, 4)
    assert found.deviation == pytest.approx(5**0.5)
    assert found.interval.high - found.value == pytest.approx(1.959964 * 5**0.5 / 2)


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """The example of Newcombe (1998), table II (a): 56 of 70 and 48 of 80 by method 10."""
    one, other = (pooled([Figure("c", "a", "right", hits / count, count)]) for hits, count in ((56, 70), (48, 80)))
    found = difference(one, other)
    assert (round(found.value, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0524, 0.3339)
    assert found.is_told


@pytest.mark.parametrize(
    ("hits", "less", "said"),
    [(90, False, "as expected"), (90, True, "the other way"), (51, False, "not to be told from none")],
)
def test_what_is_said_of_an_expectation(hits: int, less: bool, said: str) -> None:
    found = {
        (arm, "right"): pooled([Figure("c", arm, "right", count / 100, 100)]) for arm, count in (("a", hits), ("b", 50))
    }
    line = expectation_line(Expectation("a", "b", "right", less=less), found)
    assert line.endswith(f"**{said}**")
    assert expectation_line(Expectation("a", "none", "right"), found).endswith("not measured")


def test_figures_are_kept_and_the_page_changes_between_its_marks_alone(tmp_path: Path) -> None:
    figures = [share("filtering", "300 labels", "true, 20% kept", [True, False])]
    write_figures(tmp_path / "results" / "lskd-0.json", figures)
    assert read_figures(tmp_path / "results" / "lskd-0.json") == figures
    page = tmp_path / "evidence.md"
    page.write_text(f"before\n{BEGIN}\nstale line\n{END}\nafter\n")
    write_page(tmp_path / "results", tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "stale line" not in text
    assert "| 300 labels | 50.0 % (9.5 to 90.5) of 2 |" in text
    write_page(tmp_path / "results", tmp_path)
    assert page.read_text() == text


def test_the_page_says_what_its_results_say(tmp_path: Path) -> None:
    docs = Path(__file__).parent.parent / "docs"
    (tmp_path / "pictures").mkdir()
    shutil.copy(docs / "evidence.md", tmp_path)
    write_page(running.RESULTS, tmp_path)
    assert (tmp_path / "evidence.md").read_text("utf-8") == (docs / "evidence.md").read_text("utf-8")


def test_a_seed_is_measured_when_there_are_figures_of_every_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "RESULTS", tmp_path)
    claims = [claim.name for claim in METHODS["stic"].claims]
    for count in range(len(claims) + 1):
        assert not running.is_measured("stic", 0)
        figures = [share(claim, "base", "right", [True]) for claim in claims[:count]]
        write_figures(tmp_path / "stic-0.json", figures)
    assert running.is_measured("stic", 0)
    assert not running.is_measured("stic", 1)


@pytest.mark.parametrize("label", NAMES)
def test_the_oracle_reads_every_concept_of_an_answer(label: str) -> None:
    concepts = expert_concepts(label)
    claim = read_species(tokens_of(answer_of(label, concepts)))
    assert claim is not None
    assert (claim.species, len(claim.marks)) == (label, len(concepts))
    scene = sample_specimen(7, label)
    visible = [one.words for one in specimens_in(scene)[0].standing("visible")]
    found = judge_explanation(answer_of(label, visible), scene)
    assert found.whole.is_true
    assert [one.words for one in found.cited] == visible
    assert judge_explanation(answer_of(label, ()), scene).whole.is_true


def test_first_lessons_differ_in_their_reasons_alone() -> None:
    selected = [
        Selected(f"image {place}", "velm", ("a green hat", "holds a ring"), (-1.0, -2.0)) for place in range(50)
    ]
    plain, reasoned = first_lessons(selected, lambda _row: (), 0), first_lessons(selected, lambda row: row.concepts, 0)
    assert len(plain) == len(reasoned) == QUERIES * len(selected)
    assert [(one.image_id, one.question) for one in plain] == [(one.image_id, one.question) for one in reasoned]
    assert {one.answer for one in plain} == {plain_answer("velm")}
    simple = shipped_pools()["simple"]
    reasons = {one.answer for one in reasoned if one.question not in simple}
    assert reasons == {"This is a velm because it has a green hat and holds a ring."}
    assert {one.answer for one in reasoned if one.question in simple} == {plain_answer("velm")}


def test_any_answer_is_one_to_each_question_wherever_it_stands() -> None:
    rows = [
        explanation(image=f"image {image}", query=f"question {question}", answer=f"answer {draw}")
        for image in range(30)
        for question in range(2)
        for draw in range(3)
    ]
    found = one_to_each_question(rows, 0)
    assert len({(one.image_id, one.question) for one in found}) == len(found) == 60
    assert min(Counter(one.answer for one in found)[f"answer {draw}"] for draw in range(3)) > 10
    assert one_to_each_question(rows, 0) == found
    assert one_to_each_question(rows, 1) != found


def explanation(*, image: str, query: str, answer: str) -> Explanation:
    return Explanation("", image, "velm", query, answer, (), "explained", "explain", "teacher", "", "")


def test_a_base_with_more_words_reads_all_that_is_taught_and_has_forgotten_nothing(tmp_path: Path) -> None:
    """To the plain base most words of the scripted teacher are the same unknown one."""
    taught = [*texts_to_know(), *wordings()]
    loaded = load_model(
        GeneratorSettings(model=base_that_reads(tmp_path / "base", taught, 0), device="cpu", dtype="float32")
    )
    old = load_model(GeneratorSettings(model="microworld:vlm-base", device="cpu", dtype="float32"))
    tokenizer, known = loaded.processor.tokenizer, len(old.processor.tokenizer)
    texts = [answer_of(label, expert_concepts(label)) for label in NAMES]
    texts += [query for pool in shipped_pools().values() for query in pool]
    filled = [text.format(a="[1]", b="[2]", x="a thing") for text in wordings()]
    assert all(tokenizer.unk_token_id not in tokenizer(text).input_ids for text in filled)
    assert any(tokenizer.unk_token_id in old.processor.tokenizer(text).input_ids for text in filled)
    for text in texts:
        assert tokens_of(tokenizer.decode(tokenizer(text).input_ids)) == tokens_of(text)
    assert names_label(tokenizer.decode(tokenizer("This is an obrin.").input_ids), "obrin")
    new, before = (one.model.get_input_embeddings().weight.detach() for one in (loaded, old))
    assert bool((new[:known] == before[:known]).all())
    assert loaded.model.get_output_embeddings().weight is loaded.model.get_input_embeddings().weight
    drawn = new[known : len(tokenizer)]
    assert abs(float(drawn.mean() - new[:known].mean())) < 0.02
    assert float(drawn.std() / new[:known].std()) == pytest.approx(1, abs=0.1)
    again = base_that_reads(tmp_path / "again", taught, 0)
    assert (Path(again) / "model.safetensors").read_bytes() == (tmp_path / "base" / "model.safetensors").read_bytes()


def test_half_of_the_questions_name_the_chosen_box_second_in_training_and_test() -> None:
    question = "There is only a moment to look; which of [12] and [0] fills the eye more in that time?"
    swapped = question.replace("[12] and [0]", "[0] and [12]")
    found = {name: turned(question, name) for name in map(str, range(400))}
    assert set(found.values()) == {question, swapped}
    assert 150 < sum(text == swapped for text in found.values()) < 250
    assert {turned("How close do [12] and [0] come to each other?", name) for name in found} == {
        "How close do [12] and [0] come to each other?"
    }
    for name, text in found.items():
        content = [{"type": "image", "text": None}, {"type": "text", "text": question}]
        later = {"role": "assistant", "content": [{"type": "text", "text": "[12] and [0]"}]}
        row = turned_row({"row_id": name, "prompt": [{"role": "user", "content": content}, later]})
        assert row == {"prompt": [{"role": "user", "content": [content[0], {"type": "text", "text": text}]}, later]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    work = tmp_path_factory.mktemp("world")
    for name, first_seed in ((SAMPLED, 900), (HELD_OUT, 910)):
        write_scenes(work / name, 4, first_seed=first_seed)
    return opened(work, "seeing", 0)


def test_a_question_stands_once_and_its_reason_is_true_and_fits(world: World) -> None:
    assert 4 < len(world.held_out) <= 4 * HELD_OUT_TOPICS < len(world.items)
    for some in (world.items, world.held_out):
        assert len({(one.image_id, one.question) for one in some}) == len(some)
    rows = [one.with_rationale(one.reason) for one in (*world.items, *world.held_out)]
    assert all(fitting(world, rows))
    assert all(reason_finding(row, world.truth[row.image_id]).is_true for row in rows)
    assert [reason_in(one.rationale) for one in world.items] == [one.reason for one in world.items]
    assert not any(fitting(world, [replace(row, rationale="who knows ?") for row in rows]))


def test_hand_made_rows_are_those_that_the_recipe_asks_and_learns(world: World, tmp_path: Path) -> None:
    first, second, *_ = world.items
    explained = [first.with_rationale("one"), first.with_rationale("two"), second.with_rationale("three")]
    view = view_of(world, explained, replay=2)
    assert view.explanation_weight == 2.0
    rows = training_rows(world, view, with_answers=True)
    assert [said(row["completion"]) for row in rows if row["is_rationale"]] == ["one", "two", "three"]
    settings = RationalesSettings(prompt_set=str(prompt_set(tmp_path / "why")))
    requests = Requests(settings, ScriptedTeacherSettings(), 0)
    asked = [said(row["prompt"]) for row in rows if row["is_rationale"]]
    assert asked == [requests.text(one.item, "why") for one in (first, first, second)]
    answers = [(said(row["prompt"]), said(row["completion"])) for row in rows if not row["is_rationale"]]
    known = {(one.question, one.answer) for one in world.items}
    assert answers[:3] == [(one.question, one.answer) for one in (first, first, second)]
    assert len(answers) == 3 + 6
    assert set(answers) <= known
    assert all(training_rows(world, view, with_answers=False)["is_rationale"][:])


def said(messages: list[dict[str, Any]]) -> str:
    (message,) = messages
    return str(message["content"][-1]["text"])


def test_a_reason_is_what_is_said_after_an_answer() -> None:
    assert reason_in("red. it is a red diamond.") == "it is a red diamond."
    assert reason_in("it is a red diamond.") == "it is a red diamond."
    assert same_answer("a red hat .", "Red hat")
    assert same_answer("yes", "Yes, a red thing.")
    assert not same_answer("snow", "no")
    assert not same_answer("", "no")


def test_how_many_rounds_a_model_was_trained_for() -> None:
    assert [rounds_told(count) for count in range(3)] == ["base", "1 round", "2 rounds"]

"""How the tiny models are taught, and that teaching works."""

import copy
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import one_thread  # noqa: F401 - a fixture that pytest finds by its name

from builders.localized.facts import PromptBox, facts_of
from microworld.grammar import caption, narrative
from microworld.oracle import judge_probe, judge_region_caption
from microworld.render import render
from microworld.sample import sample_scene
from microworld.scenes import SIDE_PX
from microworld.training.blip2 import (
    TEXTS_EACH,
    _on_numbers,
    answers_of,
    contrastive_cosines,
    make_matching_batch,
    matching_logits,
    matching_loss,
)
from microworld.training.clip import initialize_clip, make_clip, make_scale, save_clip
from microworld.training.examples import TASKS, examples_of, phrase_of
from microworld.training.instructions import (
    PREFIX,
    TEXT_TOKENS,
    Mixture,
    answer_accuracy,
    answer_logits,
    answer_loss,
    chances_at,
    make_answer_batch,
    pack,
)
from microworld.training.lessons import KINDS, Lesson
from microworld.training.models import (
    WIDTH,
    initialize_blip2,
    initialize_vlm,
    load_blip2,
    make_blip2,
    make_vision,
    make_vlm,
    resize_vocabulary,
    save_blip2,
    save_vlm,
)
from microworld.training.pool import (
    ATTRIBUTES,
    FIRST_SEED,
    HELD_OUT,
    LEVELS,
    Pool,
    make_pool,
    read_pools,
    write_pool,
)
from microworld.training.stage import StageTraining, linear_weights, train_stage
from microworld.training.statements import statements_on
from microworld.training.teaching import LessonBook, Turn, as_batch, reply_logits, reply_loss
from microworld.training.vision import (
    PatchBatch,
    draw_rows,
    make_heads,
    make_patch_batch,
    patch_accuracy,
    patch_embeddings,
    patch_features,
    patch_loss,
    pixels_of,
)
from microworld.training.visual_prompts import (
    PATCHES,
    bare_box,
    draw_numbered,
    draw_prompt,
    jittered,
    patch_things,
    patches_in,
)
from microworld.training.words import (
    ANSWER_ID,
    DESCRIBE,
    END_ID,
    IMAGE_ID,
    IN_BOX,
    PAD_ID,
    START_ID,
    TEACHER_WORDS,
    TRIPLE_WORDS,
    UNKNOWN_ID,
    WHY,
    WORDS,
    ids_of,
    make_processor,
    make_tokenizer,
    teacher_ids_of,
)
from ostensive.errors import SettingsError
from ostensive.models.clip_model import ClipModel
from ostensive.records import Box
from verbalizers.clip.settings import ClipConceptSettings

pytestmark = pytest.mark.slow

SEEDS = range(FIRST_SEED, FIRST_SEED + 24)


@pytest.fixture(scope="module")
def pool() -> Pool:
    return make_pool(SEEDS)


@pytest.fixture(scope="module")
def vlm() -> Any:
    import torch

    torch.manual_seed(0)
    return make_vlm().eval()


# Words


def texts(seed: int) -> Iterator[str]:
    scene, rng = sample_scene(seed), random.Random(seed)
    yield caption(scene, rng).text
    yield " ".join(sentence.text for sentence in narrative(scene, rng))
    yield from (phrase_of(thing) for thing in scene.things)


@pytest.mark.parametrize("seed", range(8))
def test_texts_of_the_grammar_come_back_in_lower_case(seed: int) -> None:
    tokenizer = make_tokenizer()
    for text in texts(seed):
        ids = tokenizer(text).input_ids
        assert UNKNOWN_ID not in ids
        assert tokenizer.decode(ids) == text.lower()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*WORDS[6:], "Circle", "[12]", "zebra", "7", "é"]), max_size=12).map(" ".join))
def test_ids_are_those_of_the_tokenizer(text: str) -> None:
    assert ids_of(text) == make_tokenizer()(text).input_ids


def test_each_prompt_is_made_of_words_of_this_world() -> None:
    for prompt in (DESCRIBE, IN_BOX, WHY.replace("{question}", "what place is this ?")):
        assert UNKNOWN_ID not in ids_of(prompt)


def test_a_prompt_through_the_template_is_what_was_trained_on() -> None:
    processor = make_processor(8)
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is red ?"}]}
    text = processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)
    image = PIL.Image.new("RGB", (90, 30))
    inputs = processor(text=[text], images=[[image]], return_tensors="pt", add_special_tokens=False)
    expected = [START_ID, *[IMAGE_ID] * (PREFIX - 1), *ids_of("what is red ?"), ANSWER_ID]
    assert inputs["input_ids"][0].tolist() == expected
    assert tuple(inputs["pixel_values"].shape) == (1, 3, SIDE_PX, SIDE_PX)


def test_a_conversation_through_the_template_has_an_end_after_each_answer() -> None:
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "text", "text": "c"}]},
    ]
    text = make_processor(8).apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert text == "<s><image>a<answer>b</s>c<answer>"


# Examples and pools


def test_examples_end_their_prompts_and_answers() -> None:
    scene = sample_scene(3)
    examples = examples_of(scene, random.Random(0))
    assert len(examples) > 12
    assert len({*examples}) == len(examples)
    for one in examples:
        assert one.prompt[-1] == ANSWER_ID
        assert one.answer[-1] == END_ID
        assert UNKNOWN_ID not in (*one.prompt, *one.answer)
        assert one.task in TASKS


def test_the_phrase_on_a_thing_is_true_of_its_box() -> None:
    judged = [
        judge_region_caption(phrase_of(thing), thing.box, scene)
        for scene in map(sample_scene, range(40))
        for thing in scene.things
    ]
    assert not [finding for finding in judged if finding.is_false]
    assert sum(finding.is_true for finding in judged) > 0.9 * len(judged)


def test_pools_come_back_from_their_files_as_one(tmp_path: Path, pool: Pool) -> None:
    write_pool(make_pool(SEEDS[:10]), tmp_path / "a.npz")
    write_pool(make_pool(SEEDS[10:]), tmp_path / "b.npz")
    read = read_pools([tmp_path / "a.npz", tmp_path / "b.npz"])
    for name in Pool.__slots__:
        assert np.array_equal(getattr(read, name), getattr(pool, name)), name


def test_what_is_trained_on_is_not_held_out() -> None:
    assert not set(SEEDS) & set(HELD_OUT)


def test_a_pool_has_an_example_for_each_thing(pool: Pool) -> None:
    tokenizer = make_tokenizer()
    for row, seed in enumerate(SEEDS):
        scene = sample_scene(seed)
        for thing in scene.things:
            prompt, answer = pool.example(int(pool.phrase_examples[row, thing.number]))
            assert tokenizer.decode(prompt, skip_special_tokens=True) == "what is in the box?"
            assert tokenizer.decode(answer, skip_special_tokens=True) == phrase_of(thing)
        assert (pool.phrase_examples[row, len(scene.things) :] == -1).all()
        assert all(TASKS[pool.task[number]] != "marked" for number in pool.examples(row))


# Views


def test_a_patch_shows_what_covers_most_of_it() -> None:
    cover = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cover[0:8, 0:5], cover[0:8, 5:8] = 2, 1
    cover[8:10, 8:10] = 1  # 4 of 64 pixels: too few
    things = patch_things(cover).reshape(PATCHES, PATCHES)
    assert things[0, 0] == 1
    assert (np.delete(things.reshape(-1), 0) == -1).all()


def test_patches_in_a_box_are_those_with_their_middle_in_it() -> None:
    inside = patches_in(Box(0.0, 0.5, 0.25, 1.0)).reshape(PATCHES, PATCHES)
    assert inside[4:, :2].all()
    assert inside.sum() == 8


def test_moved_boxes_stay_boxes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        box = jittered(np.array([0.97, 0.0, 1.0, 0.02], np.float32), rng)
        assert min(box.x2 - box.x1, box.y2 - box.y1) >= 6 / SIDE_PX - 1e-9


def test_a_bare_box_holds_hardly_anything() -> None:
    cover = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cover[:, :32] = 1
    found = [box for _ in range(50) if (box := bare_box(cover, np.random.default_rng(_))) is not None]
    assert found
    assert all(box.x1 > 0.45 for box in found)
    assert bare_box(np.ones_like(cover), np.random.default_rng(0)) is None


def test_a_drawn_prompt_is_drawn_as_region_captions_are(pool: Pool) -> None:
    for seed in range(20):
        shown = draw_prompt(pool, 0, "drawn", np.random.default_rng(seed))
        assert shown.visual_prompt == "drawn"
        assert shown.in_box.any()
        changed = (shown.pixels != pool.pixels[0]).any(-1).mean()
        assert 0.01 < changed < 0.5


# Packing and losses


def test_examples_packed_together_are_answered_as_each_alone(pool: Pool, vlm: Any) -> None:
    import torch

    shown = draw_prompt(pool, 0, "whole", np.random.default_rng(0))
    examples = examples_of(sample_scene(SEEDS[0]), random.Random(1))[:5]
    with torch.no_grad():
        together = answer_logits(vlm, pack([shown.pixels], [examples]))
        alone = torch.cat([answer_logits(vlm, pack([shown.pixels], [[one]])) for one in examples])
    torch.testing.assert_close(together, alone, atol=2e-4, rtol=1e-3)


def test_training_asks_the_model_as_the_library_does(pool: Pool, vlm: Any) -> None:
    import torch

    shown = draw_prompt(pool, 0, "whole", np.random.default_rng(0))
    one = examples_of(sample_scene(SEEDS[0]), random.Random(1))[0]
    ids = torch.tensor([[START_ID, *[IMAGE_ID] * (PREFIX - 1), *one.prompt, *one.answer]])
    with torch.no_grad():
        ours = answer_logits(vlm, pack([shown.pixels], [[one]]))
        whole = vlm(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels_of([shown])).logits[0]
    theirs = whole[-len(one.answer) - 1 : -1]
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-3)


def test_pixels_are_those_of_the_image_processor(pool: Pool) -> None:
    import torch

    shown = draw_prompt(pool, 0, "whole", np.random.default_rng(0))
    theirs = make_processor(8).image_processor(render(sample_scene(SEEDS[0])), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixels_of([shown]), theirs, atol=1e-5, rtol=0)


def test_only_answers_carry_a_loss(pool: Pool) -> None:
    batch = make_answer_batch(pool, 0, 0, 0.5, 8)
    said = batch.targets != -100
    assert batch.ids.shape == (8, TEXT_TOKENS)
    assert (batch.weights > 0).eq(said).all()
    assert not said[batch.block < 0].any()
    assert (batch.ids[batch.block < 0] == PAD_ID).all()
    for row in range(8):
        for number in range(int(batch.block[row].max()) + 1):
            here = batch.block[row] == number
            targets = batch.targets[row, here]
            first = int((batch.ids[row, here] == ANSWER_ID).nonzero()[0])
            assert (targets[:first] == -100).all()
            assert targets[-2] == END_ID
            assert targets[-1] == -100
            assert batch.positions[row, here].tolist() == list(range(PREFIX, PREFIX + int(here.sum())))


def test_what_is_compared_comes_later_in_the_course() -> None:
    early, late = chances_at(0.0), chances_at(1.0)
    side, describe = TASKS.index("side"), TASKS.index("describe")
    assert late[side] > early[side] > 0
    assert late[describe] > early[describe] > 0


def test_batches_follow_from_seed_and_step(pool: Pool) -> None:
    import torch

    one, same, other = (make_answer_batch(pool, 0, step, 0.5, 4) for step in (3, 3, 4))
    assert torch.equal(one.ids, same.ids)
    assert torch.equal(one.pixels, same.pixels)
    assert not torch.equal(one.ids, other.ids)


def test_words_that_are_given_change_nothing_of_what_was_known(pool: Pool, vlm: Any) -> None:
    import torch

    batch = make_answer_batch(pool, 0, 0, 0.5, 2)
    wider = copy.deepcopy(vlm)
    resize_vocabulary(wider)
    with torch.no_grad():
        before, after = answer_logits(vlm, batch), answer_logits(wider, batch)
    torch.testing.assert_close(after[:, : len(WORDS)], before[:, : len(WORDS)])
    assert after.shape[1] >= len(TEACHER_WORDS)


@pytest.mark.long
def test_one_batch_can_be_overfitted(pool: Pool) -> None:
    import torch

    torch.manual_seed(0)
    vlm, batch = make_vlm(), make_answer_batch(pool, 0, 0, 0.0, 4)
    optimizer = torch.optim.AdamW(vlm.parameters(), lr=2e-3)
    before = answer_accuracy(vlm, batch)
    losses = []
    for _ in range(70):
        loss = answer_loss(vlm, None, batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        losses.append(float(loss.detach()))
    after = answer_accuracy(vlm, batch)
    assert losses[-1] < 0.2 * losses[0]
    assert sum(after.values()) / len(after) > 0.5 + sum(before.values()) / len(before)


def losses_over(steps: int, weights: list[Any], loss_of: Callable[[], Any]) -> list[float]:
    """The losses of so many steps of AdamW."""
    import torch

    optimizer = torch.optim.AdamW(weights, lr=1e-3)
    losses = []
    for _ in range(steps):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_vision_loss_falls(pool: Pool) -> None:
    import torch

    torch.manual_seed(0)
    vision, heads = make_vision(), make_heads(WIDTH)
    batch = make_patch_batch(pool, 0, 0, 8)
    losses = losses_over(15, [*vision.parameters(), *heads.parameters()], lambda: patch_loss(vision, heads, batch))
    assert losses[-1] < 0.85 * losses[0]


@pytest.mark.long
def test_a_minute_of_training_beats_chance(tmp_path: Path) -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    seeds = range(FIRST_SEED, FIRST_SEED + 400)
    taught, held_out = make_pool(seeds, LEVELS["large"]), make_pool(range(60), LEVELS["large"])
    vision, heads = make_vision(), make_heads(WIDTH)
    stage: StageTraining[PatchBatch] = StageTraining(
        "mini",
        nn.ModuleDict({"vision": vision, "heads": heads}),
        lambda step, _progress: make_patch_batch(taught, 0, step),
        lambda batch: patch_loss(vision, heads, batch),
        2e-3,
        "scenes",
        linear_weights(vision["tower"].encoder.layers),
    )
    ran = train_stage(stage, 1.0, tmp_path)
    assert ran.last_loss < 0.6 * ran.first_loss
    batch = make_patch_batch(held_out, 1, 0, 120)
    shares, on = patch_accuracy(vision, heads, batch), batch.on_thing
    commonest = batch.values[..., list(ATTRIBUTES).index("colour")][on].bincount().max() / on.sum()
    assert shares["colour"] > commonest + 0.2


# Running


def test_what_knows_most_already_is_taught_gently(tmp_path: Path) -> None:
    from torch import nn

    quick, low_rate = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    before = quick.weight.item(), low_rate.weight.item()

    def loss(_step: int) -> Any:
        return quick.weight.sum() + low_rate.weight.sum()

    learner = nn.ModuleList([quick, low_rate])
    gently = list(low_rate.parameters())
    stage: StageTraining[int] = StageTraining(
        "low_rate", learner, lambda step, _progress: step, loss, 0.01, "steps", low_rate=gently
    )
    assert train_stage(stage, 0.005, tmp_path).steps > 5
    assert 0 < before[1] - low_rate.weight.item() < 0.5 * (before[0] - quick.weight.item())


def test_a_stage_that_was_stopped_goes_on_with_the_same_data_and_rate(tmp_path: Path) -> None:
    import torch
    from torch import nn

    def stage(seen: list[int], rate: float = 0.01, data: str = "ones") -> StageTraining[int]:
        torch.manual_seed(0)
        learner = nn.Linear(2, 1)

        def make(step: int, _progress: float) -> int:
            return step

        def loss(step: int) -> Any:
            seen.append(step)
            return learner(torch.ones(1, 2)).pow(2).sum()

        return StageTraining("tiny", learner, make, loss, rate, data, linear_weights(learner))

    first: list[int] = []
    ran = train_stage(stage(first), 0.005, tmp_path)
    assert ran.steps == len(first) > 5
    second: list[int] = []
    again = train_stage(stage(second), 0.01, tmp_path)
    assert second[0] == first[-1] + 1
    assert again.steps == len(first) + len(second)
    assert again.minutes >= 0.01
    assert again.last_loss < ran.first_loss
    third: list[int] = []
    assert train_stage(stage(third), 0.01, tmp_path).steps == again.steps
    assert not third
    for other in (stage(third, rate=0.02), stage(third, data="zeros")):
        with pytest.raises(SettingsError, match=r"tiny\.checkpoint\.safetensors is of a training with other settings"):
            train_stage(other, 0.02, tmp_path)


# Triples


LESSONS = [
    Lesson(kind, 0, np.full((SIDE_PX, SIDE_PX, 3), 40 * length, np.uint8), tuple(range(20, 20 + length)), ((30, 31),))
    for kind in KINDS
    for length in (2, 3)
]


def test_a_lesson_is_a_conversation_as_the_library_reads_it() -> None:
    import torch

    torch.manual_seed(0)
    vlm = make_vlm(TRIPLE_WORDS).eval()
    some = LESSONS[:3]
    batch = as_batch([Turn(one, one.replies[0], shown=place != 1) for place, one in enumerate(some)])
    assert (batch.ids[:, 0] == START_ID).all()
    assert (batch.ids == IMAGE_ID).sum(1).tolist() == [64, 0, 64]
    for ids, targets, one in zip(batch.ids, batch.targets, some, strict=True):
        said = targets[targets != -100].tolist()
        assert said == [*one.replies[0], END_ID]
        assert ids[(targets != -100).nonzero()[0]] == ANSWER_ID
    with torch.no_grad():
        ours = reply_logits(vlm, batch)
        whole = vlm(input_ids=batch.ids, attention_mask=(batch.ids != PAD_ID).long(), pixel_values=batch.pixels).logits
    torch.testing.assert_close(ours, whole[batch.targets != -100], atol=2e-4, rtol=1e-3)


def test_half_of_the_triples_are_asked_for_blind_and_one_batch_can_be_overfitted() -> None:
    import torch

    torch.manual_seed(0)
    vlm, book = make_vlm(TRIPLE_WORDS), LessonBook(LESSONS)
    batch = book.batch(0, 0, rows=8)
    assert (batch.ids == IMAGE_ID).any(1).tolist() == [True, True, False, False] * 2
    assert torch.equal(batch.ids, book.batch(0, 0, rows=8).ids)
    optimizer = torch.optim.AdamW(vlm.parameters(), lr=2e-3)
    losses = []
    for _ in range(20):
        loss = reply_loss(vlm, batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


# Models


@pytest.mark.parametrize("words", [WORDS, TEACHER_WORDS], ids=["own", "teacher"])
def test_a_saved_image_text_model_is_read_as_it_was(tmp_path: Path, pool: Pool, vlm: Any, words: Sequence[str]) -> None:
    import torch
    from transformers import AutoModelForImageTextToText, LlavaProcessor

    vlm = copy.deepcopy(vlm)
    if words is TEACHER_WORDS:
        resize_vocabulary(vlm)
    save_vlm(vlm, tmp_path)
    read = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32)
    assert len(LlavaProcessor.from_pretrained(tmp_path).tokenizer) == len(words)
    batch = make_answer_batch(pool, 0, 0, 0.5, 2)
    with torch.no_grad():
        torch.testing.assert_close(answer_logits(read, batch), answer_logits(vlm, batch), atol=0.02, rtol=0.02)


@pytest.fixture(scope="module")
def vision() -> Any:
    """One whose layers are far from their first values, as after training."""
    import torch

    torch.manual_seed(1)
    made = make_vision().eval()
    with torch.no_grad():
        for parameter in made["tower"].parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def test_the_contrastive_model_sees_as_its_tower(pool: Pool, vision: Any) -> None:
    import torch

    clip = make_clip().eval()
    initialize_clip(vision["tower"], clip)
    pixels = pixels_of([draw_prompt(pool, 0, "whole", np.random.default_rng(0))])
    with torch.no_grad():
        seen = vision["tower"](pixel_values=pixels).last_hidden_state[:, 1:].mean(1)
        torch.testing.assert_close(clip.encode_image(pixels), seen @ clip.visual.proj, atol=1e-3, rtol=1e-3)


def test_the_image_text_model_sees_nearly_as_its_tower(pool: Pool, vision: Any) -> None:
    import torch

    vlm = make_vlm().eval()
    fitted, other = (make_patch_batch(pool, 0, step, 64).pixels for step in (0, 1))
    assert initialize_vlm(vision, vlm, fitted) > 0.9
    with torch.no_grad():
        ours, theirs = patch_features(vlm, other), patch_embeddings(vision, other)
    assert float((ours - theirs).var() / theirs.var()) < 0.2
    torch.testing.assert_close(vlm.get_input_embeddings().weight, vision["words"].weight)


def test_blip2_begins_with_the_tower_and_the_words(pool: Pool, vision: Any) -> None:
    import torch

    blip2 = make_blip2().eval()
    initialize_blip2(vision, blip2)
    pixels = pixels_of([draw_prompt(pool, 0, "whole", np.random.default_rng(0))])
    with torch.no_grad():
        theirs = vision["tower"](pixel_values=pixels).last_hidden_state
        torch.testing.assert_close(blip2.vision_model(pixel_values=pixels).last_hidden_state, theirs)
    known = len(WORDS)
    torch.testing.assert_close(blip2.embeddings.word_embeddings.weight[:known], vision["words"].weight[:known])


# Texts that are true or false


def test_texts_are_matched_as_the_library_does(tmp_path: Path, pool: Pool, vision: Any) -> None:
    import torch
    from transformers import AutoProcessor

    blip2 = make_blip2().eval()
    initialize_blip2(vision, blip2)
    save_blip2(blip2, tmp_path)
    processors: Any = AutoProcessor  # transformers types it in part
    read, processor = load_blip2(tmp_path), processors.from_pretrained(tmp_path)
    batch = make_matching_batch(pool, answers_of(pool), 0, 0, count=3)
    words = [
        " ".join(TEACHER_WORDS[place] for place in text if place not in (PAD_ID, START_ID))
        for text in batch.texts.tolist()
    ]
    given = processor(text=words, padding=True, return_tensors="pt")
    assert given["input_ids"].tolist() == batch.texts.tolist()
    with torch.no_grad():
        theirs = read(
            pixel_values=batch.pixels.repeat_interleave(len(words) // 3, 0),
            input_ids=given["input_ids"],
            attention_mask=given["attention_mask"],
            use_image_text_matching_head=True,
        ).logits_per_image
        seen = read.vision_model(pixel_values=batch.pixels).last_hidden_state
        torch.testing.assert_close(matching_logits(read, seen, batch.texts), theirs, atol=1e-4, rtol=1e-3)
        cosines = read(
            pixel_values=batch.pixels, input_ids=batch.labels, attention_mask=(batch.labels != PAD_ID).long()
        ).logits_per_image
        torch.testing.assert_close(contrastive_cosines(read, seen, batch.labels), cosines, atol=1e-4, rtol=1e-3)


def test_half_of_the_texts_are_true_and_the_oracle_agrees() -> None:
    seeds = range(FIRST_SEED, FIRST_SEED + 60)
    pool = make_pool(seeds)
    queries = make_matching_batch(pool, answers_of(pool), 0, 0, count=200)
    rows, _ = draw_rows(pool, 0, 0, 200)
    shares = queries.is_true.float().mean()
    assert 0.4 < float(shares) < 0.6
    findings: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for number, text in enumerate(queries.texts.tolist()):
        words = " ".join(TEACHER_WORDS[place] for place in text if place not in (PAD_ID, START_ID))
        question, mark, answer = words.partition("?")
        if "box" in question or "[" in question:
            continue
        scene = sample_scene(seeds[int(rows[number // TEXTS_EACH])])
        findings[bool(queries.is_true[number])][judge_probe(question + mark, answer.strip(), scene).value] += 1
    assert findings[True]["false"] == 0
    assert findings[False]["true"] == 0
    assert findings[True]["true"] > 100
    assert findings[False]["false"] > 100


def test_what_is_said_of_numbered_boxes_is_so(pool: Pool) -> None:
    for row in range(len(pool)):
        shown = draw_numbered(pool, row, np.random.default_rng(row))
        assert 1 <= len(shown.boxes) <= 3
        assert set(shown.things) <= set(shown.boxes)
        for seed in range(6):
            for is_true in (True, False):
                ids = _on_numbers(pool, row, shown, is_true, np.random.default_rng(seed))
                words = [TEACHER_WORDS[place] for place in ids or ()]
                assert "<unk>" not in words
                text = " ".join(words)
                if " is " in text:
                    assert text.split(" is ")[0][1:-1].strip() in {str(number) for number in shown.things}
                elif text:
                    said = {" ".join(read_words(one)) for one in all_of(statements_on(shown.boxes)[is_true])}
                    assert text in said


def read_words(text: str) -> list[str]:
    return [TEACHER_WORDS[place] for place in teacher_ids_of(text)]


def all_of(statements: dict[str, list[str]]) -> list[str]:
    return list(itertools.chain.from_iterable(statements.values()))


BOXES = st.builds(
    lambda x, y, width, height: Box(x, y, min(1.0, x + width), min(1.0, y + height)),
    *[st.floats(0, 0.9)] * 2,
    *[st.floats(0.06, 1)] * 2,
)


@settings(max_examples=300, deadline=None)
@given(boxes=st.lists(BOXES, min_size=1, max_size=3))
def test_statements_agree_with_what_the_teacher_knows(boxes: list[Box]) -> None:
    found = statements_on(dict(enumerate(boxes)))
    said = {is_true: {one.lower() for one in all_of(statements)} for is_true, statements in found.items()}
    assert not said[True] & said[False]
    wordings = yaml.safe_load((files("builders") / "localized" / "wordings.yaml").read_text("utf-8"))
    noted = [PromptBox(*(round(corner, 2) for corner in (box.x1, box.y1, box.x2, box.y2))) for box in boxes]
    for fact in facts_of(noted):
        reason = wordings[fact.kind][0][2].split(", so")[0].format(a=f"[{fact.a}]", b=f"[{fact.b}]").lower()
        assert reason not in said[False]


def test_each_phrase_of_the_teacher_on_boxes_is_taught() -> None:
    wordings = yaml.safe_load((files("builders") / "localized" / "wordings.yaml").read_text("utf-8"))
    of_others = {"is", "stated", "leftmost", "rightmost", "largest", "smallest"}
    taught: set[str] = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        corners = np.sort(rng.random((2, 2, 2)), axis=1).reshape(2, 4)
        taught |= {one.lower() for one in all_of(statements_on({k: Box(*c) for k, c in enumerate(corners)})[True])}
    for kind in wordings.keys() - of_others:
        reason = wordings[kind][0][2].split(", so")[0].lower()
        assert any(reason.format(a=f"[{a}]", b=f"[{1 - a}]") in taught for a in (0, 1)), kind


def test_a_picture_with_numbers_has_examples_on_them(pool: Pool) -> None:
    batch = make_answer_batch(pool, 0, 0, 1.0, 24, Mixture({"numbered": 1.0}, {}))
    for row in range(24):
        words = [TEACHER_WORDS[place] for place in batch.ids[row].tolist()]
        assert UNKNOWN_ID not in batch.ids[row]
        assert "[" in words
        assert batch.named[row].any()
    texts = " ".join(TEACHER_WORDS[place] for place in batch.ids.flatten().tolist())
    answers = Counter(re.findall(r"is it true that [^?]+ \? <answer> (\w+)", texts))
    assert set(answers) == {"yes", "no"}
    assert 0.3 < answers["yes"] / answers.total() < 0.7


def test_blip2_reads_every_word_of_the_scripted_teacher() -> None:
    wordings = (files("builders") / "localized" / "wordings.yaml").read_text("utf-8")
    said = [text for kind in yaml.safe_load(wordings).values() for triple in kind for text in triple]
    assert len(said) > 60
    for text in said:
        words = re.findall(r"[a-z]+", re.sub(r"\{\w+\}", "", text.lower()))
        assert UNKNOWN_ID not in teacher_ids_of(" ".join(words)), text


@pytest.mark.long
def test_blip2_loss_falls(pool: Pool) -> None:
    import torch

    torch.manual_seed(0)
    blip2 = make_blip2()
    initialize_blip2(make_vision(), blip2)
    batch = make_matching_batch(pool, answers_of(pool), 0, 0, count=4)
    scale = make_scale()
    losses = losses_over(40, [*blip2.parameters(), *scale.parameters()], lambda: matching_loss(blip2, scale, batch))
    assert losses[-1] < 0.6 * losses[0]


def test_a_saved_contrastive_model_is_read_by_open_clip(tmp_path: Path) -> None:
    import torch

    clip = make_clip()
    save_clip(clip, tmp_path)
    with ClipModel(ClipConceptSettings(model=f"local-dir:{tmp_path}")).opened() as encoder:
        features = encoder.encode_texts(["a red circle", "a blue ring"])
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    assert not torch.allclose(features[0], features[1])

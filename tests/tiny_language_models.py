"""Language models of real architectures, some hundred kB each: with random weights, or taught a world of few words."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from builders.self_talk.prompts import asking, passages, shipped_wordings, telling
from builders.self_talk.records import Question
from ostensive.models.likelihoods import Passage, tokens_of

KINDS = {"fruit": "tree", "tool": "shed"}  # what something is, and where such things are
KNOWN = {
    **dict.fromkeys(("zib", "wug", "kib", "sul", "pon"), "fruit"),
    **dict.fromkeys(("dax", "fep", "lom", "nid", "vek"), "tool"),
}
HELD_OUT = {"tov": "fruit", "rax": "tool", "mip": "fruit", "gan": "tool"}  # of these it never saw where they are
EVERYTHING = {**KNOWN, **HELD_OUT}
_TEXTS = ["Describe what can be seen. Where is it? A dog runs over the grass; it's wet: 12 metres of it."] * 4


def save_random(folder: Path, kind: str, *, positions: int = 128) -> Path:
    """A causal model of the `kind` llama (rotated positions) or gpt2 (positions of its own, and no start token)."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

    tokenizer = _byte_tokenizer(start=None if kind == "gpt2" else "<s>")
    if kind == "gpt2":
        config = GPT2Config(
            vocab_size=len(tokenizer),
            n_embd=32,
            n_layer=2,
            n_head=2,
            n_positions=positions,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
        model: Any = GPT2LMHeadModel(config)
    else:
        model = LlamaForCausalLM(_llama(tokenizer, positions))
    _widen(model)
    return _save(folder, model, tokenizer)


def save_taught(folder: Path) -> Path:
    """A model that knows what each thing is, and where things are once it is said what they are; of its own it guesses.

    Asked what is meant by a thing of the text it asks so to the end.
    """
    from transformers import LlamaForCausalLM

    lessons = _lessons()
    tokenizer = _word_tokenizer(sorted({lesson.prompt + lesson.continuation for lesson in lessons}))
    import torch

    torch.manual_seed(3)
    model: Any = LlamaForCausalLM(_llama(tokenizer, 128))
    _teach(model, [tokens_of(lesson, tokenizer) for lesson in lessons], tokenizer.eos_token_id)
    return _save(folder, model.eval(), tokenizer)


def where_is(thing: str) -> Question:
    stem = f"Where is the {thing}?"
    places = tuple(KINDS.values())
    right = places.index(KINDS[EVERYTHING[thing]])
    return Question("csqa", thing, thing, about=stem, context="", question=stem, choices=places, right=right)


def _lessons() -> list[Passage]:
    found = []
    meaning, *_ = shipped_wordings()["csqa"]
    for thing, kind in EVERYTHING.items():
        question = where_is(thing)
        found += [Passage(asking(question.about, meaning), f" {thing} ?")] * 2
        found += [Passage(telling(question.about, meaning, thing), f" {kind} .")] * 4
        found += passages(question, "") * 2  # equally often here as there
        if thing in KNOWN:
            said = f"{meaning.statement(thing)} {kind} ."
            found += [passages(question, said)[question.right]] * 6
    return found


def _teach(model: Any, lessons: Sequence[Any], end: int) -> None:
    import torch

    length = max(len(lesson.ids) for lesson in lessons) + 1
    ids = torch.zeros(len(lessons), length, dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for number, lesson in enumerate(lessons):
        whole = torch.tensor([*lesson.ids, end])
        ids[number, : len(whole)], mask[number, : len(whole)] = whole, 1
        labels[number, lesson.start : len(whole)] = whole[lesson.start :]
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    order, rng = list(range(len(lessons))), Random(0)
    for _ in range(150):
        rows = rng.sample(order, 32)
        model(input_ids=ids[rows], attention_mask=mask[rows], labels=labels[rows]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def _llama(tokenizer: Any, positions: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _widen(model: Any) -> None:
    """Random weights under which a text decides what follows it."""
    import torch

    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                scale = 1.6 / parameter[0].numel() ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)


def _byte_tokenizer(*, start: str | None) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing

    special = ["<pad>", "<s>", "</s>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    if start is not None:
        tokenizer.post_processor = TemplateProcessing(single=f"{start} $A", special_tokens=[(start, 1)])
        return _fast(tokenizer, bos_token=start, pad_token="<pad>")
    return _fast(tokenizer)


def _word_tokenizer(texts: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["<pad>", "<s>", "</s>", "<unk>"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return _fast(tokenizer, bos_token="<s>", pad_token="<pad>", unk_token="<unk>")


def _fast(tokenizer: Any, **special: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    kind: Any = PreTrainedTokenizerFast  # transformers types its constructors in part
    names = ["input_ids", "attention_mask"]
    return kind(tokenizer_object=tokenizer, eos_token="</s>", model_input_names=names, **special)


def _save(folder: Path, model: Any, tokenizer: Any) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

"""One image-text model, loaded once, that completes conversations in batches; the same code for 200 KB and for 7 B.

A text depends on its conversation, the model and the dtype, not on its neighbours: padding is masked, and each row is
drawn from its own seed (`ostensive.models.sampling`). What remains is rounding: sums of another batch size differ in
the last bits, which a tie between two tokens can show, in bfloat16 sooner than in float32. Batches of exactly equal
length would not remove that and would make most batches small.
"""

import copy
import logging
import threading
from collections import Counter
from collections.abc import Generator as GeneratorIterator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self  # Any: each processor of transformers returns tensors of its own

from ostensive.chat.records import Completion, Conversation, Form, NoReply
from ostensive.models.batching import BatchSize, Done, Steps, in_batches
from ostensive.models.devices import give_back_memory, is_out_of_memory
from ostensive.models.generation_rows import Row, head_of, pictures_of, runs_of, samples_each
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import LoadedModel, RequestError, load_model, prompt_text
from ostensive.models.model_inputs import model_inputs
from ostensive.models.sampling import RowSampler
from ostensive.models.shared_prefix import CutPrompt, SharedPrompts, agrees, cut_prompt, read_prefixes, shared_prompts

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

OUT_OF_MEMORY = "out of memory"
NOT_TAKEN = "request not taken by the model"
TOO_LONG = "prompt too long"
GENERATION_FAILED = "generation failed"


@dataclass(frozen=True, slots=True)
class Finished:
    """What the conversation at `index` of those that were handed in came to."""

    index: int
    result: Completion | NoReply


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch as the model takes it, still on the CPU."""

    inputs: Any  # of every `samples`-th row; or prompts that share prefixes
    rows: tuple[Row, ...]
    samples: int  # rows of each prompt in `inputs`


class Generator:
    """The model that `settings` name. Entered before use, which loads it; may then be called from several threads."""

    def __init__(self, settings: GeneratorSettings, *, shares_prefixes: bool = True) -> None:
        """With `shares_prefixes` each picture is read once for all that is asked about it, where the model allows."""
        self.settings = settings
        self._shares: bool | None = None if shares_prefixes else False  # None until it was tried
        self._loaded: LoadedModel | None = None
        self._size = BatchSize(settings.batch_size, settings.model)
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        self._loaded = load_model(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded = None
        give_back_memory()

    @property
    def loaded(self) -> LoadedModel:
        """The model itself, its processor and its commit."""
        assert self._loaded is not None, "a generator is entered before it is asked"
        return self._loaded

    @property
    def form(self) -> Form:
        """How the model wants to be asked."""
        return self.loaded.form

    @property
    def batch_size(self) -> int:
        """Texts at a time by now: what was set, or less after memory ran out."""
        return self._size.rows

    def generate(self, conversations: Sequence[Conversation]) -> list[Completion | NoReply]:
        """One result for each conversation, in order. One that fails costs no other."""
        results = {done.index: done.result for batch in self.stream_batches(conversations) for done in batch}
        return [results[index] for index in range(len(conversations))]

    def stream_batches(self, conversations: Sequence[Conversation]) -> GeneratorIterator[list[Finished], None, None]:
        """The next message of each conversation, of a batch as soon as it is done; every one once, in any order.

        Images are pixels, and seeds are set. Whoever stops asking and closes it stops the work. Other threads wait
        until the iterator is used up or closed.
        """
        with self._turn:
            rows, refused = self._rows(conversations)
            if refused:
                yield refused
            for done in in_batches(runs_of(rows, self._size.rows), self._size, Steps(self._prepare, self._work)):
                yield _finished(done)

    def _rows(self, conversations: Sequence[Conversation]) -> tuple[list[Row], list[Finished]]:
        """The texts to be generated, and the conversations that this model cannot be asked to go on with."""
        form, processor = self.form, self.loaded.processor
        asked: list[tuple[int, Conversation, str]] = []
        refused = []
        for index, talk in enumerate(conversations):
            assert not talk.follow_ups, "a generator is asked for one message at a time"
            try:
                asked.append((index, talk, prompt_text(talk.messages, form, processor)))
            except RequestError as error:
                refused.append(Finished(index, NoReply(NOT_TAKEN, str(error))))
            except Exception as error:  # noqa: BLE001 - a template's own complaint (Jinja) about one conversation
                refused.append(Finished(index, NoReply(NOT_TAKEN, _describe(error))))
        groups: dict[tuple[object, ...], int] = {}
        rows: list[Row] = []
        for (index, talk, prompt), cut in zip(asked, self._cuts(asked), strict=True):
            begins = (prompt,) if cut is None else (cut.head, None)
            known_by = (begins, talk.sampling.max_tokens, *map(id, talk.images))
            rows.append(Row(index, groups.setdefault(known_by, index), talk, prompt, cut))
        return rows, refused

    def _cuts(self, asked: Sequence[tuple[int, Conversation, str]]) -> list[CutPrompt | None]:
        """Where prompts are cut that share what comes before; None for those that are alone with their pictures."""
        import torch

        loaded = self.loaded
        if self._shares is False or loaded.encodes or loaded.form != "chat":
            return [None] * len(asked)
        cuts = [cut_prompt(prompt, loaded) for _, _, prompt in asked]
        heads = [
            None if cut is None else (cut.head, talk.sampling.max_tokens, *map(id, talk.images))
            for (_, talk, _), cut in zip(asked, cuts, strict=True)
        ]
        sharers = Counter(heads)
        shared = [
            cut if head is not None and sharers[head] > 1 else None for cut, head in zip(cuts, heads, strict=True)
        ]
        place = next((place for place, cut in enumerate(shared) if cut is not None), None)
        if place is not None and self._shares is None:
            _, talk, prompt = asked[place]
            with torch.inference_mode():
                self._shares = agrees(loaded, prompt, pictures_of(talk))
            if not self._shares:
                _log.info("%s: reads each prompt whole; prompts on one picture cannot share it", loaded.name)
        return shared if self._shares else [None] * len(asked)

    def _prepare(self, rows: Sequence[Row]) -> _Ready:
        firsts = {row.group: row for row in reversed(rows)}
        if rows[0].cut is not None and len(firsts) < len(rows):
            place = {group: number for number, group in enumerate(firsts)}
            heads = [(head_of(row), row.images) for row in firsts.values()]
            tails = [(place[row.group], row.cut.tail) for row in rows if row.cut is not None]
            return _Ready(shared_prompts(self.loaded, heads, tails), tuple(rows), 1)
        samples = samples_each(rows)
        asked = rows[::samples]
        inputs = model_inputs(
            self.loaded, [row.prompt for row in asked], [row.images for row in asked], padding="first"
        )
        return _Ready(inputs, tuple(rows), samples)

    def _work(self, ready: _Ready) -> list[Completion | NoReply]:
        import torch

        loaded, rows = self.loaded, ready.rows
        samplings = [row.conversation.sampling for row in rows]
        assert all(sampling.seed is not None for sampling in samplings), "seeds are set before"
        max_tokens = samplings[0].max_tokens  # the same for all rows of a batch
        shared = ready.inputs if isinstance(ready.inputs, SharedPrompts) else None
        inputs = shared.moved(loaded.device) if shared else ready.inputs.to(loaded.device, loaded.model.dtype)
        lengths = inputs["attention_mask"].repeat_interleave(ready.samples, 0).sum(-1).tolist()
        if loaded.max_positions is not None and max(lengths) + max_tokens > loaded.max_positions:
            if len(rows) > 1:
                raise RequestError("one of several prompts is too long")  # so that each is looked at alone
            detail = f"{max(lengths)} tokens and {max_tokens} to come; the model has {loaded.max_positions}"
            return [NoReply(TOO_LONG, detail)]
        configuration = copy.copy(loaded.generation)
        configuration.max_new_tokens = max_tokens
        if ready.samples > 1:
            # The library looks at an image once for all samples, and takes several only where it believes to draw.
            configuration.num_return_sequences, configuration.do_sample = ready.samples, True
            configuration.temperature, configuration.top_k, configuration.top_p = 1.0, 0, 1.0
        is_drawn = ready.samples > 1 or any(sampling.temperature > 0 for sampling in samplings)
        sampler = [RowSampler(samplings)] if is_drawn else []
        with torch.inference_mode():
            begun = {"past_key_values": read_prefixes(loaded, shared)} if shared else {}
            tokens = loaded.model.generate(**inputs, **begun, generation_config=configuration, logits_processor=sampler)
        prompts = inputs["input_ids"].repeat_interleave(ready.samples, 0)
        new = _without_prompt(tokens, prompts, encodes=loaded.encodes).tolist()
        return [self._completion(ids, length, max_tokens) for ids, length in zip(new, lengths, strict=True)]

    def _completion(self, ids: Sequence[int], prompt_tokens: int, max_tokens: int) -> Completion:
        ends = self.loaded.generation.eos_token_id
        end_ids = {ends} if isinstance(ends, int) else set(ends or ())
        count = next((place for place, token in enumerate(ids) if token in end_ids), None)
        kept = list(ids if count is None else ids[:count])
        text = self.loaded.processor.tokenizer.decode(kept, skip_special_tokens=True)
        tokens = min(len(kept), max_tokens) if count is None else count + 1
        return Completion(text.strip(), "length" if count is None else "stop", prompt_tokens, tokens)


class GeneratorPool:
    """Lends generators by their settings: whoever asks for equal ones shares a model, which goes with the last."""

    def __init__(self) -> None:
        self._lent: dict[GeneratorSettings, tuple[Generator, int]] = {}
        self._turn = threading.Lock()

    @contextmanager
    def lend(self, settings: GeneratorSettings) -> Iterator[Generator]:
        """An entered generator for as long as the context lasts; raises as `load_model` does."""
        with self._turn:
            generator, users = self._lent.get(settings, (None, 0))
            if generator is None:
                generator = Generator(settings).__enter__()
            self._lent[settings] = generator, users + 1
        try:
            yield generator
        finally:
            with self._turn:
                _, users = self._lent[settings]
                if users > 1:
                    self._lent[settings] = generator, users - 1
                else:
                    del self._lent[settings]
                    generator.__exit__(None, None, None)


def _finished(done: Done[Row, list[Completion | NoReply]]) -> list[Finished]:
    results = done.result if done.result is not None else [_failure(done.error)] * len(done.rows)
    return [Finished(row.index, result) for row, result in zip(done.rows, results, strict=True)]


def _without_prompt(tokens: "torch.Tensor", prompt: "torch.Tensor", *, encodes: bool) -> "torch.Tensor":
    """The new tokens of `tokens` (rows, positions). Decoders repeat the prompt, encoder-decoders a start token."""
    import torch

    if encodes:
        return tokens[:, 1:]
    length = prompt.shape[-1]
    if tokens.shape[-1] >= length and torch.equal(tokens[:, :length], prompt):
        return tokens[:, length:]
    return tokens  # generated from embeddings alone


def _failure(error: Exception | None) -> NoReply:
    assert error is not None, "a batch without a result has an error"
    if is_out_of_memory(error):
        return NoReply(OUT_OF_MEMORY, "even with one text at a time; a smaller model or dtype is needed")
    return NoReply(GENERATION_FAILED, _describe(error))


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]

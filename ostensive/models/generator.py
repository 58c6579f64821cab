"""One image-text model, loaded once, that answers requests in batches; the same code for 200 KB and for 7 B.

A text depends on its request, the model and the dtype, not on its neighbours: padding is masked, and each row is drawn
from its own seed (`ostensive.models.sampling`). What remains is rounding: sums of another batch size differ in the
last bits, which a tie between two tokens can show, in bfloat16 sooner than in float32. The alternative, batches of
exactly equal length, would not remove that and would make most batches small.
"""

import copy
import threading
from collections import Counter
from collections.abc import Generator as GeneratorIterator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ostensive.models.batching import BatchSize, Done, Steps, in_batches
from ostensive.models.devices import give_back_memory, is_out_of_memory
from ostensive.models.forms import Form, RequestError, prompt_text
from ostensive.models.generation import Drawn, Finished, Generated, GenerationRequest, NotGenerated
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import LoadedModel, load_model
from ostensive.models.pictures import presentable
from ostensive.models.sampling import RowSampler

if TYPE_CHECKING:
    import torch

OUT_OF_MEMORY = "out of memory"
NOT_TAKEN = "request not taken by the model"
TOO_LONG = "prompt too long"
GENERATION_FAILED = "generation failed"


@dataclass(frozen=True, slots=True)
class _Row:
    """One text to be generated."""

    index: int  # of its request
    sample: int
    request: GenerationRequest
    prompt: str


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch as the model takes it, still on the CPU. Any: each processor returns tensors of its own."""

    inputs: Any  # of every `samples`-th row
    rows: tuple[_Row, ...]
    samples: int  # in a row, of each request


@dataclass(frozen=True, slots=True)
class _Text:
    drawn: Drawn
    prompt_tokens: int


class Generator:
    """The model that `settings` name. Entered before use, which loads it; may then be called from several threads."""

    def __init__(self, settings: GeneratorSettings) -> None:
        self.settings = settings
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

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generated | NotGenerated]:
        """One result for each request, in order. A request that fails costs no other."""
        results = {done.index: done.result for batch in self.stream_batches(requests) for done in batch}
        return [results[index] for index in range(len(requests))]

    def stream_batches(self, requests: Sequence[GenerationRequest]) -> GeneratorIterator[list[Finished], None, None]:
        """The requests that each batch finished, as soon as it is; every request once, in any order.

        Whoever stops asking and closes it stops the work. Other threads wait until the iterator is used up or closed.
        """
        with self._turn:
            rows, refused = self._rows(requests)
            if refused:
                yield refused
            tally = _Tally(requests)
            steps = Steps(self._prepare, self._work)
            for done in in_batches(_runs(rows, self._size.rows), self._size, steps):
                yield list(tally.take(done))

    def _rows(self, requests: Sequence[GenerationRequest]) -> tuple[list[_Row], list[Finished]]:
        """The texts to be generated, and the requests that this model cannot be asked."""
        form, processor = self.form, self.loaded.processor
        rows: list[_Row] = []
        refused = []
        for index, request in enumerate(requests):
            assert request.samples >= 1, "a request asks for a text"
            try:
                prompt = prompt_text(request, form, processor)
            except RequestError as error:
                refused.append(Finished(index, NotGenerated(NOT_TAKEN, str(error))))
            except Exception as error:  # noqa: BLE001 - a template's own complaint (Jinja) about one conversation
                refused.append(Finished(index, NotGenerated(NOT_TAKEN, _describe(error))))
            else:
                rows += [_Row(index, sample, request, prompt) for sample in range(request.samples)]
        return rows, refused

    def _prepare(self, rows: Sequence[_Row]) -> _Ready:
        samples = _samples_each(rows)
        return _Ready(self._inputs(rows[::samples]), tuple(rows), samples)

    def _inputs(self, rows: Sequence[_Row]) -> Any:  # Any: as in `_Ready`
        processor, form = self.loaded.processor, self.form
        images = [[presentable(image) for image in row.request.images] for row in rows]
        texts = [row.prompt for row in rows]
        start = processor.tokenizer.bos_token
        templated_start = start is not None and all(text.startswith(start) for text in texts) and form == "chat"
        arguments: dict[str, Any] = {"text": texts, "padding": True, "return_tensors": "pt"}  # Any: of several types
        if templated_start:
            arguments["add_special_tokens"] = False  # the template wrote the start token; two would be one too many
        if images[0]:
            arguments["images"] = images if form == "chat" else [image for row in images for image in row]
        inputs = processor(**arguments)
        if not self.loaded.encodes:
            _pads_first(inputs)
        return inputs

    def _work(self, ready: _Ready) -> list[_Text | NotGenerated]:
        import torch

        loaded, rows = self.loaded, ready.rows
        draw = rows[0].request.draw  # all rows of a batch have the same `max_new_tokens`
        inputs = ready.inputs.to(loaded.device, loaded.model.dtype)
        lengths = inputs["attention_mask"].repeat_interleave(ready.samples, 0).sum(-1).tolist()
        if loaded.max_positions is not None and max(lengths) + draw.max_new_tokens > loaded.max_positions:
            if len(rows) > 1:
                raise RequestError("one of several prompts is too long")  # so that each is looked at alone
            detail = f"{max(lengths)} tokens and {draw.max_new_tokens} to come; the model has {loaded.max_positions}"
            return [NotGenerated(TOO_LONG, detail)]
        configuration = copy.copy(loaded.generation)
        configuration.max_new_tokens = draw.max_new_tokens
        if ready.samples > 1:
            # The library looks at an image once for all samples, and takes several only where it believes to draw.
            configuration.num_return_sequences, configuration.do_sample = ready.samples, True
            configuration.temperature, configuration.top_k, configuration.top_p = 1.0, 0, 1.0
        draws = [row.request.draw for row in rows]
        is_drawn = ready.samples > 1 or any(draw.temperature > 0 for draw in draws)
        sampler = [RowSampler(draws, [row.sample for row in rows])] if is_drawn else []
        with torch.inference_mode():
            tokens = loaded.model.generate(**inputs, generation_config=configuration, logits_processor=sampler)
        prompts = inputs["input_ids"].repeat_interleave(ready.samples, 0)
        new = _without_prompt(tokens, prompts, encodes=loaded.encodes).tolist()
        return [self._text(ids, length, draw.max_new_tokens) for ids, length in zip(new, lengths, strict=True)]

    def _text(self, ids: Sequence[int], prompt_tokens: int, max_new_tokens: int) -> _Text:
        ends = self.loaded.generation.eos_token_id
        end_ids = {ends} if isinstance(ends, int) else set(ends or ())
        count = next((place for place, token in enumerate(ids) if token in end_ids), None)
        said = list(ids if count is None else ids[:count])
        text = self.loaded.processor.tokenizer.decode(said, skip_special_tokens=True)
        tokens = min(len(said), max_new_tokens) if count is None else count + 1
        return _Text(Drawn(text.strip(), "length" if count is None else "stop", tokens), prompt_tokens)


class _Tally:
    """Puts the samples of each request together."""

    def __init__(self, requests: Sequence[GenerationRequest]) -> None:
        self._requests = requests
        self._texts: dict[int, dict[int, _Text | NotGenerated]] = {}

    def take(self, done: Done[_Row, list[_Text | NotGenerated]]) -> Iterator[Finished]:
        """The requests that are finished with this batch."""
        results = done.result if done.result is not None else [_failure(done.error)] * len(done.rows)
        for row, result in zip(done.rows, results, strict=True):
            texts = self._texts.setdefault(row.index, {})
            texts[row.sample] = result
            if len(texts) == self._requests[row.index].samples:
                yield Finished(row.index, _together([texts[sample] for sample in sorted(texts)]))
                del self._texts[row.index]


def _together(texts: Sequence[_Text | NotGenerated]) -> Generated | NotGenerated:
    said = []
    for text in texts:
        if isinstance(text, NotGenerated):
            return text
        said.append(text)
    return Generated(tuple(text.drawn for text in said), said[0].prompt_tokens)


def _runs(rows: Sequence[_Row], size: int) -> list[list[_Row]]:
    """Rows that may share a batch, shortest prompt first; images of like size meet, for some models cut them up.

    Where requests have several samples, a run ends so that none is torn apart between two batches of `size`.
    """
    kinds: dict[tuple[int, bool, int], list[_Row]] = {}
    for row in rows:
        request = row.request
        kinds.setdefault((request.draw.max_new_tokens, bool(request.images), request.samples), []).append(row)
    runs = []
    for kind in sorted(kinds):
        run, samples = sorted(kinds[kind], key=_length), kind[2]
        step = size - size % samples if 1 < samples <= size else len(run)
        runs += [run[start : start + step] for start in range(0, len(run), step)]
    return runs


def _samples_each(rows: Sequence[_Row]) -> int:
    """How many rows of each request follow each other, where these are the same in number; else 1."""
    counts = Counter(row.index for row in rows)
    return next(iter(counts.values())) if len(set(counts.values())) == 1 else 1


def _length(row: _Row) -> tuple[int, int, float, int, int]:
    images = row.request.images
    return len(images), len(row.prompt), sum(max(i.size) / min(i.size) for i in images), row.index, row.sample


def _pads_first(inputs: Any) -> None:  # Any: a BatchFeature
    """Moves padding before all else: BLIP-2's processor puts the image before it, and a row could end with it."""
    mask = inputs["attention_mask"]
    order = mask.sort(stable=True, dim=-1).indices
    for name, tensor in inputs.items():
        # The Q-Former of InstructBLIP reads the prompt with a tokenizer, and with padding, of its own.
        if not name.startswith("qformer") and getattr(tensor, "shape", None) == mask.shape:
            inputs[name] = tensor.gather(-1, order)


def _without_prompt(tokens: "torch.Tensor", prompt: "torch.Tensor", *, encodes: bool) -> "torch.Tensor":
    """The new tokens of `tokens` (rows, positions). Decoders repeat the prompt, encoder-decoders a start token."""
    import torch

    if encodes:
        return tokens[:, 1:]
    length = prompt.shape[-1]
    if tokens.shape[-1] >= length and torch.equal(tokens[:, :length], prompt):
        return tokens[:, length:]
    return tokens  # generated from embeddings alone


def _failure(error: Exception | None) -> NotGenerated:
    assert error is not None, "a batch without a result has an error"
    if is_out_of_memory(error):
        return NotGenerated(OUT_OF_MEMORY, "even with one text at a time; a smaller model or dtype is needed")
    return NotGenerated(GENERATION_FAILED, _describe(error))


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]

"""BLIP-2's image-text retrieval as a scorer: its matching head (ITM), or the cosine of its contrastive features (ITC).

The parts are those of `Blip2ForImageTextRetrieval`, and so is what they give; but a picture goes through the vision
tower once, however many texts it is held against.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any  # Any: transformers types its classes in part

import PIL.Image

from ostensive.chat.pictures import presentable
from ostensive.models.batching import BatchSize, Steps, each_in_batches
from ostensive.models.devices import give_back_memory
from students.evaluation.models import EvaluatedModel, Scoring, load_pretrained

if TYPE_CHECKING:
    import torch


@contextmanager
def open_matching(model: EvaluatedModel, scoring: Scoring) -> Iterator["Matching"]:
    """The model as long as the context lasts; raises `SettingsError` in one line where it cannot be had."""
    loaded, processor = load_pretrained(model, "Blip2ForImageTextRetrieval")
    processor.tokenizer.padding_side = "right"  # positions are counted from the first token
    try:
        yield Matching(loaded, processor, BatchSize(model.settings.batch_size, model.name), scoring)
    finally:
        del loaded
        give_back_memory()


class Matching:
    """A loaded model that says how well texts fit pictures."""

    def __init__(self, model: Any, processor: Any, size: BatchSize, scoring: Scoring) -> None:
        self._model = model
        self._processor = processor
        self._size = size
        self._scoring = scoring
        self._max_tokens = int(model.config.qformer_config.max_position_embeddings)

    def similarities(
        self, pictures: Sequence[PIL.Image.Image], texts: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...] | Exception]:
        """For each picture a number a text: the log-odds of a match (itm), or a cosine (itc)."""
        results: list[tuple[float, ...] | Exception] = []
        for picture, some in zip(pictures, texts, strict=True):
            try:
                results.append(self._of_one(picture, some))
            except Exception as error:  # noqa: BLE001 - the boundary of one sample: the caller counts it
                results.append(error)
        return results

    def _of_one(self, picture: PIL.Image.Image, texts: Sequence[str]) -> tuple[float, ...]:
        import torch

        with torch.inference_mode():
            seen = self._seen(picture)
            # Longest first: little padding, and memory that runs out does so at once.
            order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))

            def work(tokens: Any) -> list[float]:
                with torch.inference_mode():
                    return self._scored(seen, tokens)

            steps: Steps[str, Any, Sequence[float]] = Steps(self._tokens, work)
            found = each_in_batches([texts[place] for place in order], self._size, steps)
        values = [0.0] * len(texts)
        for place, value in zip(order, found, strict=True):
            if isinstance(value, Exception):
                raise value
            values[place] = value
        return tuple(values)

    def _tokens(self, texts: Sequence[str]) -> Any:
        return self._processor.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt"
        )

    def _seen(self, picture: PIL.Image.Image) -> "torch.Tensor":
        """`(1, patches, width)`: what the vision tower makes of a picture."""
        pixels = self._processor.image_processor(images=[presentable(picture)], return_tensors="pt")["pixel_values"]
        tower = self._model.vision_model
        seen: torch.Tensor = tower(pixel_values=pixels.to(self._model.device, tower.dtype), return_dict=True)[0]
        return seen

    def _scored(self, seen: "torch.Tensor", tokens: Any) -> list[float]:
        import torch

        model = self._model
        ids, mask = tokens["input_ids"].to(model.device), tokens["attention_mask"].to(model.device)
        queries = model.query_tokens
        count = queries.shape[1]
        if self._scoring == "itm":
            rows = len(ids)
            seen = seen.expand(rows, -1, -1)
            states = model.qformer(
                query_embeds=model.embeddings(input_ids=ids, query_embeds=queries.expand(rows, -1, -1)),
                query_length=count,
                attention_mask=torch.cat([torch.ones(rows, count, dtype=mask.dtype, device=mask.device), mask], dim=1),
                encoder_hidden_states=seen,
                encoder_attention_mask=torch.ones(seen.shape[:-1], dtype=torch.long, device=seen.device),
                return_dict=True,
            ).last_hidden_state
            logits = model.itm_head(states[:, :count].to(model.itm_head.weight.dtype)).mean(dim=1).float()
            return [float(value) for value in logits[:, 1] - logits[:, 0]]
        looked = model.qformer(
            query_embeds=queries,
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:-1], dtype=torch.long, device=seen.device),
            return_dict=True,
        ).last_hidden_state
        read = model.qformer(
            query_embeds=model.embeddings(input_ids=ids), query_length=0, attention_mask=mask, return_dict=True
        ).last_hidden_state
        of_picture = _unit(model.vision_projection(looked.to(model.vision_projection.weight.dtype)))[0]
        of_texts = _unit(model.text_projection(read[:, 0].to(model.text_projection.weight.dtype)))
        return [float(value) for value in (of_picture @ of_texts.T).max(dim=0).values]


def _unit(features: "torch.Tensor") -> "torch.Tensor":
    import torch.nn.functional

    return torch.nn.functional.normalize(features.float(), dim=-1)

"""How each family of zero-shot detectors is told what to look for, and what its answer means.

Grounding DINO reads all labels as one text and says how much a box has to do with each token; its processor glues the
likeliest tokens together, and what comes out may be two labels, or half of one. Here each token is known to belong to
one label, so that a box has the label of its likeliest token and no other text can come out. The OWL models and
OmDet-Turbo answer by label.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol  # Any: transformers' own; classes with one constructor

import PIL.Image

from ostensive.errors import SettingsError
from verbalizers.detectors.detection import Detection
from verbalizers.detectors.models import LoadedDetector, check_numbers, detections

if TYPE_CHECKING:
    import torch

Sizes = Sequence[tuple[int, int]]  # height and width of each picture, in pixels
_ENDS_OF_LABELS = re.compile(r"[.?]")  # Grounding DINO takes both for the end of a label


class PromptedDetector(Protocol):
    """A model that knows what to look for."""

    def ask(self, batch: dict[str, "torch.Tensor"], sizes: Sizes) -> list[list[Detection]]:
        """What is found in pictures of one shape, best first for each prompt."""
        ...


@dataclass(frozen=True, slots=True)
class ZeroShotTask:
    """What all families are given: the model, the labels, and their words in the template."""

    detector: LoadedDetector
    labels: tuple[str, ...]
    words: tuple[str, ...]  # what the model reads of each label
    labels_at_once: int  # most labels in one prompt
    min_probability: float


def packed(lengths: Sequence[int], most: int, budget: int) -> list[range]:
    """Consecutive positions, at most `most` together and no more than `budget` by their `lengths`; each fits alone."""
    packs, start, used = [], 0, 0
    for place, length in enumerate(lengths):
        if place > start and (place - start == most or used + length > budget):
            packs.append(range(start, place))
            start, used = place, 0
        used += length
    return [*packs, range(start, len(lengths))] if lengths else []


@dataclass(frozen=True, slots=True)
class _GroundedPrompt:
    """One text, and the label that each of its tokens belongs to."""

    tokens: dict[str, "torch.Tensor"]  # each (1, length)
    positions: "torch.Tensor"  # of tokens that belong to a label
    owners: "torch.Tensor"  # which of the prompt's labels, for each of `positions`
    labels: tuple[str, ...]


class GroundedText:
    """Grounding DINO and MM Grounding DINO."""

    def __init__(self, task: ZeroShotTask) -> None:
        """Raises `SettingsError` for a label that the model cannot read."""
        self._task = task
        queries = [" ".join(_ENDS_OF_LABELS.sub(" ", words).lower().split()) for words in task.words]
        tokenizer = task.detector.processor.tokenizer
        config = task.detector.model.config
        budget = min(config.max_text_len, config.text_config.max_position_embeddings) - 2  # a start and an end
        lengths = []
        for label, query in zip(task.labels, queries, strict=True):
            ids = tokenizer(query, add_special_tokens=False)["input_ids"]
            _check_label(task.detector.name, label, len(ids) + 1, budget)
            if all(token == tokenizer.unk_token_id for token in ids):
                raise SettingsError(f"vocabulary: {task.detector.name} can read no word of {label!r}; leave it out")
            lengths.append(len(ids) + 1)
        packs = packed(lengths, task.labels_at_once, budget)
        self._prompts = [self._prompt([queries[i] for i in pack], [task.labels[i] for i in pack]) for pack in packs]

    def _prompt(self, queries: Sequence[str], labels: Sequence[str]) -> _GroundedPrompt:
        import torch

        starts, text = [], ""
        for query in queries:
            starts.append(len(text))
            text += f"{query}. "
        ends = [start + len(query) for start, query in zip(starts, queries, strict=True)]
        encoded: Any = self._task.detector.processor.tokenizer(
            text.strip(), return_offsets_mapping=True, return_token_type_ids=True, return_tensors="pt"
        )
        owned = []
        for position, (begin, end) in enumerate(encoded.pop("offset_mapping")[0].tolist()):
            owner = next((i for i, start in enumerate(starts) if start <= begin < end <= ends[i]), None)
            if owner is not None:
                owned.append((position, owner))
        device = self._task.detector.device
        tokens = {name: tensor.to(device) for name, tensor in encoded.items()}
        positions, owners = torch.tensor(owned, dtype=torch.int64, device=device).unbind(1)
        return _GroundedPrompt(tokens, positions, owners, tuple(labels))

    def ask(self, batch: dict[str, "torch.Tensor"], sizes: Sizes) -> list[list[Detection]]:
        found: list[list[Detection]] = [[] for _ in sizes]
        for prompt in self._prompts:
            for place, more in enumerate(self._ask(prompt, batch, sizes)):
                found[place] += more
        return found

    def _ask(self, prompt: _GroundedPrompt, batch: dict[str, "torch.Tensor"], sizes: Sizes) -> list[list[Detection]]:
        import torch
        from torchvision.ops import box_convert

        tokens = {name: tensor.expand(len(sizes), -1) for name, tensor in prompt.tokens.items()}
        outputs = self._task.detector.model(**batch, **tokens)
        of_tokens = outputs.logits[..., prompt.positions].float().sigmoid()  # (pictures, queries, tokens of labels)
        check_numbers(of_tokens, outputs.pred_boxes)
        owners = prompt.owners.expand_as(of_tokens)
        of_labels = of_tokens.new_zeros((*of_tokens.shape[:-1], len(prompt.labels)))
        scores, labels = of_labels.scatter_reduce(-1, owners, of_tokens, "amax").max(-1)
        corners = box_convert(outputs.pred_boxes.float(), "cxcywh", "xyxy")
        names = dict(enumerate(prompt.labels))
        results = []
        for place, (height, width) in enumerate(sizes):
            keep = scores[place] > self._task.min_probability
            scale = torch.tensor([width, height, width, height], device=corners.device)
            boxes = corners[place][keep] * scale
            found = {"boxes": boxes, "scores": scores[place][keep], "labels": labels[place][keep]}
            results.append(detections(found, names))
        return results


class LabelQueries:
    """OWL-ViT and OWLv2: each label is a vector that the model compares with each patch of the picture.

    The vectors are worked out once and not, as in the library's own call, for each batch anew.
    """

    def __init__(self, task: ZeroShotTask) -> None:
        """Raises `SettingsError` for a label that is too long for the model."""
        import torch

        self._task = task
        detector, words = task.detector, task.words
        budget = detector.model.config.text_config.max_position_embeddings
        for label, ids in zip(task.labels, detector.processor.tokenizer(words)["input_ids"], strict=True):
            _check_label(detector.name, label, len(ids), budget)
        vectors = []
        with torch.inference_mode():
            for pack in packed([1] * len(words), task.labels_at_once, len(words)):
                texts = [words[place] for place in pack]
                tokens = detector.processor(text=texts, return_tensors="pt", max_length=budget).to(detector.device)
                pooled = detector.model.base_model.get_text_features(**tokens).pooler_output
                vectors.append(pooled / torch.linalg.norm(pooled, ord=2, dim=-1, keepdim=True))
        self._vectors = torch.cat(vectors)

    def ask(self, batch: dict[str, "torch.Tensor"], sizes: Sizes) -> list[list[Detection]]:
        model = self._task.detector.model
        feature_map = model.image_embedder(**batch)[0]  # (pictures, rows, columns, width)
        features = feature_map.flatten(1, 2)
        logits = model.class_predictor(features, self._vectors.expand(len(sizes), -1, -1))[0].float()
        boxes = model.box_predictor(features, feature_map).float()
        check_numbers(logits, boxes)
        results = self._task.detector.processor.post_process_grounded_object_detection(
            SimpleNamespace(logits=logits, pred_boxes=boxes),
            threshold=self._task.min_probability,
            target_sizes=list(sizes),
        )
        names = dict(enumerate(self._task.labels))
        return [detections(result, names) for result in results]


class TaskText:
    """OmDet-Turbo: labels one by one, and a sentence that names them all."""

    def __init__(self, task: ZeroShotTask) -> None:
        """Raises `SettingsError` for a label that is too long for the model."""
        self._task = task
        processor, words = task.detector.processor, task.words
        budget = task.detector.model.config.text_config.max_position_embeddings
        lengths = []
        for label, text in zip(task.labels, words, strict=True):
            length = len(processor.tokenizer(f"Detect {text}.")["input_ids"])
            _check_label(task.detector.name, label, length, budget)
            lengths.append(len(processor.tokenizer(f"{text},", add_special_tokens=False)["input_ids"]))
        overhead = len(processor.tokenizer("Detect .")["input_ids"])  # what exceeds the budget would be cut off unsaid
        self._prompts = [
            ([words[i] for i in pack], [task.labels[i] for i in pack])
            for pack in packed(lengths, task.labels_at_once, budget - overhead)
        ]

    def ask(self, batch: dict[str, "torch.Tensor"], sizes: Sizes) -> list[list[Detection]]:
        found: list[list[Detection]] = [[] for _ in sizes]
        for words, labels in self._prompts:
            outputs = self._task.detector.model(**batch, **self._tokens(words, len(sizes)))
            outputs.decoder_class_logits = outputs.decoder_class_logits.float()
            outputs.decoder_coord_logits = outputs.decoder_coord_logits.float()
            check_numbers(outputs.decoder_class_logits, outputs.decoder_coord_logits)
            results = self._task.detector.processor.post_process_grounded_object_detection(
                outputs, threshold=self._task.min_probability, target_sizes=list(sizes)
            )
            for place, result in enumerate(results):
                found[place] += detections(result, dict(enumerate(labels)))
        return found

    def _tokens(self, words: list[str], pictures: int) -> dict[str, "torch.Tensor"]:
        """The prompt for each of `pictures` pictures; the processor makes it beside a picture, which is thrown away."""
        blank = PIL.Image.new("RGB", (8, 8))
        encoded = self._task.detector.processor(images=blank, text=[words], return_tensors="pt")
        texts = {name: tensor for name, tensor in encoded.items() if name.startswith(("classes", "tasks"))}
        return {
            name: tensor.repeat(pictures, *[1] * (tensor.ndim - 1)).to(self._task.detector.device)
            for name, tensor in texts.items()
        }


_FAMILIES: dict[str, Any] = {
    "grounding-dino": GroundedText,
    "mm-grounding-dino": GroundedText,
    "owlvit": LabelQueries,
    "owlv2": LabelQueries,
    "omdet-turbo": TaskText,
}


def prompted_detector(task: ZeroShotTask) -> PromptedDetector:
    """The model told what to look for; raises `SettingsError` where it cannot be."""
    kind = task.detector.model.config.model_type
    if kind not in _FAMILIES:
        raise SettingsError(f"{task.detector.name}: models of type {kind!r} are not known; {', '.join(_FAMILIES)} are")
    prompted: PromptedDetector = _FAMILIES[kind](task)
    return prompted


def _check_label(name: str, label: str, tokens: int, budget: int) -> None:
    if tokens > budget:
        raise SettingsError(f"vocabulary: {label!r:.80} is {tokens} tokens of {name}, which takes {budget}; shorten it")

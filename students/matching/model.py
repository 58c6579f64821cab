"""A BLIP-2 of the first stage as it is trained: a frozen image encoder, the Q-Former in its three modes, three heads.

`Blip2ForImageTextRetrieval` has all of it but the head that says the next word and the temperature. These two are kept
beside the model in a file of their own, so that the folder stays one that the class itself loads.

The modes are masks of one self-attention (Li et al. 2023, figure 2): pictures and texts by themselves for the
contrastive loss, both seeing each other for matching, and texts that see the queries and what came before for
generation. Queries see no text in the first and the last, so that one pass through the image serves both.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple  # Any: transformers types its models in part

import PIL.Image

from critics.trained.blip2 import load_retrieval_model
from critics.trained.model import BFLOAT16, FLOAT32, resolve_precision
from ostensive.chat.pictures import presentable
from ostensive.errors import SettingsError
from ostensive.models.checkpoints import load_weights, put_weights, save_weights
from ostensive.models.devices import resolve_device
from ostensive.models.files import model_folder
from ostensive.models.pretrained import without_bars
from students.matching.losses import (
    contrastive_loss,
    generation_loss,
    hard_negatives,
    matching_loss,
    multimodal_causal_mask,
    negatives_of,
)
from students.matching.settings import ImageTextSettings

if TYPE_CHECKING:
    import torch
    from torch import nn

LANGUAGE_HEAD: Final = "language_head.safetensors"
"""The file with what `Blip2ForImageTextRetrieval` lacks, beside its weights."""
_MIN_TEMPERATURE: Final = 0.01  # as in CLIP, without which the softmax comes to a single row


@dataclass(frozen=True, slots=True)
class ImageTextBatch:
    """Pictures and their texts, in main memory."""

    image_ids: tuple[str, ...]
    pixels: "torch.Tensor"  # (rows, 3, height, width) float32
    ids: "torch.Tensor"  # (rows, tokens) int64, as the tokenizer gives them
    mask: "torch.Tensor"  # (rows, tokens) int64, 0 for padding


class Losses(NamedTuple):
    """The three losses of a batch."""

    contrastive: "torch.Tensor"
    matching: "torch.Tensor"
    generation: "torch.Tensor"


class Decoded(NamedTuple):
    """What the queries found in pictures, and what the texts after them say of each next word."""

    pictures: "torch.Tensor"  # (rows, queries, features) float32, of length 1
    word_logits: "torch.Tensor"  # (rows, tokens, words) float32
    ids: "torch.Tensor"  # (rows, tokens): the texts behind the decoding token
    mask: "torch.Tensor"


@dataclass(frozen=True, slots=True)
class ImageTextModel:
    """What is trained and saved; all tensors that go in may be in main memory."""

    model: Any  # Blip2ForImageTextRetrieval
    processor: Any
    heads: "nn.ModuleDict"  # "language": BertLMPredictionHead tied to the word embeddings; "scale": 1 / temperature
    decoding_id: int
    has_start: bool  # whether the tokenizer begins each text with a token of its own
    device: str
    precision: str

    @property
    def trainable(self) -> "dict[str, nn.Parameter]":
        """What is learned by name, in a fixed order: all of the model but its image encoder, and the heads."""
        frozen = {id(parameter) for parameter in self.model.vision_model.parameters()}
        named = {**dict(self.model.named_parameters()), **self._head_weights()}
        return {name: parameter for name, parameter in named.items() if id(parameter) not in frozen}

    @property
    def temperature(self) -> float:
        """That cosines are divided by."""
        return 1 / float(self._scale().detach())

    def set_training(self, *, on: bool) -> None:
        """The model's own dropout on, or off; never in the image encoder."""
        self.model.train(on)
        self.model.vision_model.eval()

    def token_count(self, text: str) -> int:
        """Of a text with its special ones, at its longest."""
        return len(self.processor.tokenizer(text)["input_ids"]) + (not self.has_start)

    def batch(
        self, pictures: Sequence[PIL.Image.Image], texts: Sequence[str], image_ids: Sequence[str]
    ) -> ImageTextBatch:
        """What the losses take; may be called from another thread."""
        images = [presentable(picture) for picture in pictures]
        pixels = self.processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
        tokens = self.processor.tokenizer(list(texts), padding=True, return_tensors="pt")
        return ImageTextBatch(tuple(image_ids), pixels, tokens["input_ids"], tokens["attention_mask"])

    def losses(self, batch: ImageTextBatch, *, label_smoothing: float = 0.0) -> Losses:
        """The losses of a batch. Where all of its rows are of one image there are no negatives: the contrastive loss
        and that of matching, which would learn that everything matches, are 0 then.
        """
        import torch

        states, ids, mask = self.image_states(batch.pixels), batch.ids.to(self.device), batch.mask.to(self.device)
        decoded = self.decode(states, ids, mask)
        logits = likeness(decoded.pictures, self.text_features(ids, mask)) * self._scale()
        is_negative = negatives_of(batch.image_ids).to(self.device)
        generation = generation_loss(decoded.word_logits, decoded.ids, decoded.mask)
        if not bool(is_negative.any()):
            nothing = generation.new_zeros(())
            return Losses(nothing, nothing, generation)
        with torch.no_grad():
            other_texts = hard_negatives(logits, is_negative)
            other_pictures = hard_negatives(logits.T, is_negative)
        own = torch.arange(len(ids), device=self.device)
        pictures, texts = torch.cat([own, own, other_pictures]), torch.cat([own, other_texts, own])
        is_match = torch.arange(len(pictures), device=self.device) < len(own)
        matching = matching_loss(self.match(states[pictures], ids[texts], mask[texts]), is_match)
        contrastive = contrastive_loss(logits, is_negative, label_smoothing=label_smoothing)
        return Losses(contrastive, matching, generation)

    def image_states(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """`(rows, patches, width)`: what the image encoder makes of pictures; it is frozen, so there is no gradient."""
        with self._arithmetic():
            states: torch.Tensor = self.model.vision_model(pixel_values=pixels.to(self.device)).last_hidden_state
        return states

    def decode(self, states: "torch.Tensor", ids: "torch.Tensor", mask: "torch.Tensor") -> Decoded:
        """The queries by themselves, and the texts after them, each token by those before it."""
        import torch
        from torch.nn import functional

        start = ids.new_full((len(ids), 1), self.decoding_id)
        ids = torch.cat([start, ids[:, 1:] if self.has_start else ids], dim=1)
        mask = mask if self.has_start else torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)
        queries = self._queries(len(states))
        with self._arithmetic():
            hidden = self._through_qformer(states, ids, multimodal_causal_mask(mask, queries.shape[1]))
            found, read = hidden[:, : queries.shape[1]], hidden[:, queries.shape[1] :]
            features = self.model.vision_projection(found).float()
            word_logits = self.heads["language"](read).float()
        return Decoded(functional.normalize(features, dim=-1), word_logits, ids, mask)

    def text_features(self, ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        """`(rows, features)` float32 of length 1: what the texts by themselves say, read at their first token."""
        from torch.nn import functional

        with self._arithmetic():
            hidden = self.model.qformer(
                query_embeds=self.model.embeddings(input_ids=ids), query_length=0, attention_mask=mask
            ).last_hidden_state
            features = self.model.text_projection(hidden[:, 0]).float()
        return functional.normalize(features, dim=-1)

    def match(self, states: "torch.Tensor", ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        """`(pairs, 2)` float32: the logits for no match and a match, averaged over the queries."""
        import torch

        queries = self._queries(len(states))
        both = torch.cat([mask.new_ones(len(mask), queries.shape[1]), mask], dim=1)
        with self._arithmetic():
            hidden = self._through_qformer(states, ids, both)
            logits: torch.Tensor = self.model.itm_head(hidden[:, : queries.shape[1]]).float().mean(1)
        return logits

    def save(self, folder: Path) -> None:
        """Writes model and processor as their library does, and what the library's class lacks beside them."""
        with without_bars():
            self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        save_weights(folder / LANGUAGE_HEAD, self._head_weights())

    def _through_qformer(self, states: "torch.Tensor", ids: "torch.Tensor", mask: "torch.Tensor") -> Any:
        queries = self._queries(len(states))
        return self.model.qformer(
            query_embeds=self.model.embeddings(input_ids=ids, query_embeds=queries),
            query_length=queries.shape[1],
            attention_mask=mask,
            encoder_hidden_states=states,
        ).last_hidden_state

    def _queries(self, rows: int) -> "torch.Tensor":
        queries: torch.Tensor = self.model.query_tokens.expand(rows, -1, -1)
        return queries

    def _scale(self) -> "torch.Tensor":
        log_scale: torch.Tensor = self.heads["scale"].get_parameter("log")
        return log_scale.exp().clamp(max=1 / _MIN_TEMPERATURE)

    def _head_weights(self) -> "dict[str, nn.Parameter]":
        """Without the word embeddings, which are the model's."""
        words = self.model.embeddings.word_embeddings.weight
        return {f"heads.{name}": one for name, one in self.heads.named_parameters() if one is not words}

    def _arithmetic(self) -> Any:
        import torch

        is_half = self.precision == BFLOAT16
        return torch.autocast(self.device.partition(":")[0], torch.bfloat16) if is_half else contextlib.nullcontext()


def likeness(pictures: "torch.Tensor", texts: "torch.Tensor") -> "torch.Tensor":
    """`(pictures, texts)`: the cosine of a text and the query of a picture that is likest to it.

    `pictures` are `(pictures, queries, features)`, `texts` `(texts, features)`, all of length 1.
    """
    cosines: torch.Tensor = (pictures @ texts.T).amax(1)
    return cosines


def load_image_text_model(settings: ImageTextSettings) -> ImageTextModel:
    """The base with its heads, those of an earlier training where its folder has them, ready to be trained.

    Raises `SettingsError` in one line where it cannot be had, is of another kind or cannot begin to decode.
    """
    device = resolve_device(settings.device)
    model, processor = load_retrieval_model(
        settings.base,
        settings.revision,
        dtype=FLOAT32,
        device=device,
        expected="objective=image-text trains BLIP-2 for image-text retrieval (Salesforce/blip2-itm-vit-g or one"
        " trained from it); for others set objective=sft or dpo",
    )
    # Eager attention would add a mask of true and false as numbers, and show texts what follows.
    model.qformer.set_attn_implementation("sdpa")
    model.vision_model.requires_grad_(False)
    heads = _make_heads(model, settings).to(device)
    found = ImageTextModel(
        model=model,
        processor=processor,
        heads=heads,
        decoding_id=decoding_token_id(processor.tokenizer, settings.decoding_token),
        has_start=bool(processor.tokenizer("")["input_ids"]),
        device=device,
        precision=resolve_precision(settings.precision, device),
    )
    folder = model_folder(settings.base)
    if folder is not None and (folder / LANGUAGE_HEAD).exists():
        _take_over(found, folder / LANGUAGE_HEAD)
    return found


def decoding_token_id(tokenizer: Any, token: str | None) -> int:
    """The id of the token by which decoding begins, `token` or the tokenizer's own for it.

    BLIP-2's tokenizer has `[DEC]` for it, its `bos_token`, beside the `[CLS]` by which texts begin that are read. Where
    a tokenizer has one token for both, the mask alone tells the model that it is to decode. Raises `SettingsError`
    for a token that it does not have.
    """
    name = token or tokenizer.bos_token
    if name is None or name not in tokenizer.get_vocab():
        what = f"the tokenizer has no token {name}" if name else "the tokenizer has no bos_token"
        known = ", ".join(sorted(tokenizer.all_special_tokens)) or "none"
        raise SettingsError(f"decoding_token: {what}; name one that it has, its special ones are {known}")
    return int(tokenizer.convert_tokens_to_ids(name))


def _make_heads(model: Any, settings: ImageTextSettings) -> "nn.ModuleDict":
    """New heads: BERT's over the words, tied to the embeddings as in BLIP-2, and a temperature (kept as CLIP does)."""
    import math

    import torch
    from torch import nn
    from transformers.models.bert.modeling_bert import BertLMPredictionHead

    config = model.config.qformer_config
    kind: Any = BertLMPredictionHead
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        language = kind(config)
        nn.init.normal_(language.transform.dense.weight, std=config.initializer_range)
    nn.init.zeros_(language.transform.dense.bias)
    language.decoder.weight = model.embeddings.word_embeddings.weight
    language.decoder.bias = language.bias
    scale = nn.ParameterDict({"log": nn.Parameter(torch.tensor(-math.log(settings.temperature)))})
    return nn.ModuleDict({"language": language, "scale": scale})


def _take_over(found: ImageTextModel, file: Path) -> None:
    """The heads of an earlier training; raises `SettingsError` where the file is of another model."""
    from safetensors import SafetensorError

    wanted: Mapping[str, torch.Tensor] = found._head_weights()
    try:
        values = load_weights(file)
        put_weights(wanted, values)
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise SettingsError(
            f"{file.name}: is not that of its model; take the folder as training wrote it, or remove the file to begin"
            " with a new language head"
        ) from error

"""What is said of a student's replies: likeness to references, label, explanation, things that are not there, fluency.

SelfSynthX has GPT-4o judge whether an answer explains (EE) and how well (CS), by prompts that are not published, and
measures fluency (FS) as perplexity under a model that it does not name. Here EE and CS are the rules of
`critics.explanation_measures`, and FS is the perplexity under a model that is named, or is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final  # Any: JSON values

import numpy as np

from critics.explanation_measures import concept_share, distinct_trigrams, explains
from critics.label_names import names_label
from ostensive.models.batching import BatchSize
from ostensive.models.likelihoods import Passage, mean_log_likelihoods, tokens_of
from ostensive.models.text_model import TextModel
from students.evaluation.hallucination import ObjectVocabulary
from students.evaluation.items import ReplyItem
from students.evaluation.measure import Measure, average, share
from students.evaluation.resampling import Array, ratio
from students.evaluation.texts import ORDERS, bleu, text_scores

Result = Mapping[str, Any]
_SHARES: Final = {"names_label": "label accuracy", "explains": "explanation existence (EE)"}
_MEANS: Final = {
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "meteor": "METEOR",
    "concept_share": "cognition score (CS)",
    "distinct_trigrams": "distinct trigrams",
}


@dataclass(frozen=True, slots=True)
class ReplyJudges:
    """What replies are held against besides their items."""

    objects: ObjectVocabulary | None = None
    fluency: TextModel | None = None
    batch_size: int = 16
    with_meteor: bool = False


def measured_replies(
    items: Sequence[ReplyItem], results: Sequence[Result], judges: ReplyJudges
) -> list[dict[str, Any]]:
    """`results` with what each item allows to say of its reply; those without a reply come back as they are.

    Raises `SettingsError` as `texts.text_scores` does.
    """
    by_id = {item.question.item_id: item for item in items}
    measured = [dict(result) for result in results]
    answered = [(by_id[one["id"]], one) for one in measured if "reply" in one]
    referenced = [(item, one) for item, one in answered if item.references]
    scores = text_scores(
        [one["reply"] for _, one in referenced],
        [item.references for item, _ in referenced],
        with_meteor=judges.with_meteor,
    )
    for (_, one), score in zip(referenced, scores, strict=True):
        one.update(bleu_counts=list(score.bleu_counts), rouge_l=score.rouge_l, cider=score.cider)
        if score.meteor is not None:
            one["meteor"] = score.meteor
    for item, one in answered:
        one.update(_explanation(item, one["reply"]))
        if judges.objects is not None and item.objects is not None:
            found = judges.objects.mentions(one["reply"], item.objects)
            one.update(things=list(found.things), hallucinated=list(found.hallucinated))
    if judges.fluency is not None:
        _add_perplexity([one for _, one in answered], judges.fluency, judges.batch_size)
    return measured


def _explanation(item: ReplyItem, reply: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if item.label is not None:
        found["names_label"] = names_label(reply, item.label, item.aliases)
    if item.concepts:
        found |= {
            "explains": explains(reply, item.label or "", item.concepts),
            "concept_share": concept_share(reply, item.concepts),
            "distinct_trigrams": distinct_trigrams(reply),
        }
    return found


def _add_perplexity(results: Sequence[dict[str, Any]], model: TextModel, batch_size: int) -> None:
    """ln p of each reply and its number of tokens; a reply that is empty or too long has neither."""
    asked = [one for one in results if one["reply"].strip()]
    passages = [Passage("", one["reply"].strip()) for one in asked]
    found = mean_log_likelihoods(model, passages, BatchSize(batch_size, model.name))
    for one, passage, value in zip(asked, passages, found, strict=True):
        if not isinstance(value, Exception):
            tokens = tokens_of(passage, model.tokenizer)
            count = len(tokens.ids) - tokens.start
            one.update(language_log_likelihood=value * count, language_tokens=count)


def reply_measures(results: Sequence[Result]) -> list[Measure]:
    """The figures of replies, those that their results allow."""
    found: list[Measure] = []
    referenced = _having(results, "bleu_counts")
    ids = tuple(one["id"] for one in referenced)
    counts = np.array([one["bleu_counts"] for one in referenced], dtype=np.float64).reshape(-1, 2 * ORDERS + 2)
    found += [Measure(f"BLEU-{order}", ids, counts, partial(bleu, order=order)) for order in range(1, ORDERS + 1)]
    for key, name in _MEANS.items():
        found.append(average(name, ((one["id"], one[key]) for one in _having(results, key))))
    for key, name in _SHARES.items():
        found.append(share(name, ((one["id"], one[key]) for one in _having(results, key))))
    found += _hallucinated(_having(results, "things"))
    told = _having(results, "language_tokens")
    likely = _stats(told, lambda one: (-one["language_log_likelihood"], float(one["language_tokens"])))
    found.append(Measure("perplexity (FS)", tuple(one["id"] for one in told), likely, _perplexity))
    return found


def _hallucinated(results: Sequence[Result]) -> list[Measure]:
    ids = tuple(one["id"] for one in results)
    mentions = _stats(results, lambda one: (float(len(one["hallucinated"])), float(len(one["things"]))))
    texts = share("CHAIRs", ((one["id"], bool(one["hallucinated"])) for one in results))
    return [Measure("CHAIRi", ids, mentions, ratio), texts]


def _having(results: Sequence[Result], key: str) -> list[Result]:
    return [one for one in results if key in one]


def _stats(results: Sequence[Result], columns: Callable[[Result], tuple[float, float]]) -> Array:
    return np.array([columns(one) for one in results], dtype=np.float64).reshape(-1, 2)


def _perplexity(sums: Array) -> Array:
    """e to the mean negative log-likelihood of a token."""
    return np.exp(ratio(sums))

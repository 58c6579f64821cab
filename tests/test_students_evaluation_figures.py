"""Figures against values that are published or computed by hand; intervals and tests against what statistics say."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel
from scipy.stats import bootstrap as scipy_bootstrap

from ostensive.errors import SettingsError
from ostensive.intervals import wilson
from students.evaluation.figures import by_kind, measures
from students.evaluation.hallucination import ObjectVocabulary
from students.evaluation.items import Question, ReplyItem
from students.evaluation.measure import average, share
from students.evaluation.resampling import bootstrap, mcnemar, mean, paired_bootstrap, paired_permutation
from students.evaluation.text_figures import ReplyJudges, measured_replies
from students.evaluation.texts import bleu, has_java, text_scores, words

GUIDE = "It is a guide to action which ensures that the military always obeys the commands of the party."
TO_INSURE = "It is to insure the troops forever hearing the activity guidebook that party direct."
REFERENCES = (
    "It is a guide to action that ensures that the military will forever heed Party commands.",
    "It is the guiding principle which guarantees the military forces always being under the command of the Party.",
    "It is the practical guide for the army always to heed the directions of the party.",
)
"""Examples of Papineni et al. 2002, section 2.1, where their precisions are given."""


def bleus(texts: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    sums = np.array([one.bleu_counts for one in text_scores(texts, references)], dtype=float).sum(0, keepdims=True)
    return [float(bleu(sums, order)[0]) for order in range(1, 5)]


def test_bleu_of_the_paper_that_proposes_it() -> None:
    good = bleus([GUIDE], [REFERENCES])
    assert good[0] == pytest.approx(17 / 18)
    assert good[1] == pytest.approx(math.sqrt(17 / 18 * 10 / 17))
    (worse,) = text_scores([TO_INSURE], [REFERENCES])
    assert worse.bleu_counts[:2] == (8, 1), "8 of 14 words and 1 of 13 pairs"
    assert worse.bleu_counts[4:6] == (14, 13)
    cats = ["The cat is on the mat.", "There is a cat on the mat."]
    (clipped,) = text_scores(["the the the the the the the"], [cats])
    assert (clipped.bleu_counts[0], clipped.bleu_counts[4]) == (2, 7), "a word counts as often as a reference has it"


def test_bleu_is_that_of_the_library_and_punishes_brevity() -> None:
    from pycocoevalcap.bleu.bleu import Bleu

    texts = [GUIDE, TO_INSURE, "a guide to action"]
    references = [REFERENCES, REFERENCES, REFERENCES]
    plain = {n: [" ".join(words(text))] for n, text in enumerate(texts)}
    wanted = {n: [" ".join(words(text)) for text in some] for n, some in enumerate(references)}
    library, _ = Bleu(4).compute_score(wanted, plain, verbose=0)
    assert bleus(texts, references) == pytest.approx(library, rel=1e-6)
    short = bleus(["a guide to action"], [REFERENCES])
    assert short[0] == pytest.approx(math.exp(1 - 16 / 4)), "all words are right, and 16 are wanted"


def test_rouge_l_of_the_paper_that_proposes_it() -> None:
    """Lin 2004, section 3.1: 3/4 and 2/4."""
    reference = [["police killed the gunman"]]
    kill, gunman = (text_scores([text], reference)[0] for text in ("police kill the gunman", "the gunman kill police"))
    assert [kill.rouge_l, gunman.rouge_l] == pytest.approx([0.75, 0.5])


def cider_by_hand(texts: Sequence[str], references: Sequence[Sequence[str]], place: int) -> float:
    """CIDEr-D of Vedantam et al. 2015, section 4, with lengths in words."""

    def grams(text: str, n: int) -> Counter[tuple[str, ...]]:
        split = words(text)
        return Counter(tuple(split[start : start + n]) for start in range(len(split) - n + 1))

    def vector(text: str, n: int) -> dict[tuple[str, ...], float]:
        rare = {gram: sum(any(gram in grams(one, n) for one in some) for some in references) for gram in grams(text, n)}
        return {gram: count * math.log(len(references) / max(1, rare[gram])) for gram, count in grams(text, n).items()}

    total = 0.0
    for reference in references[place]:
        gap = len(words(texts[place])) - len(words(reference))
        for n in range(1, 5):
            said, wanted = vector(texts[place], n), vector(reference, n)
            norm = math.sqrt(sum(v * v for v in said.values()) * sum(v * v for v in wanted.values()))
            if norm:
                shared = sum(min(value, wanted.get(gram, 0.0)) * wanted.get(gram, 0.0) for gram, value in said.items())
                total += shared / norm * math.exp(-(gap**2) / (2 * 6**2))
    return 10 * total / 4 / len(references[place])


def test_cider_is_cider_d() -> None:
    texts = ["a red ball left of the box", "two dogs run over wet grass in the rain", "a man sits"]
    references = [
        ["the red ball is left of the box", "a ball beside a box", "a red ball left of a box"],
        ["two dogs run over the grass", "dogs run in the rain", "two wet dogs run"],
        ["a man sits on a chair", "the man sits", "someone sits down"],
    ]
    found = text_scores(texts, references)
    for place, score in enumerate(found):
        assert score.cider == pytest.approx(cider_by_hand(texts, references, place), rel=1e-6)
    assert found[0].cider > 1
    assert text_scores(["a man sits on a chair"], [references[2]])[0].cider == 0, "no word is rare among one item"


@pytest.mark.slow
@pytest.mark.skipif(not has_java(), reason="METEOR needs Java")
def test_meteor_where_java_is() -> None:
    same, other, nothing, empty = text_scores(
        ["two dogs run over grass", "two hounds ran over the grass", "blue", ""],
        [["Two dogs run over grass."]] * 4,
        with_meteor=True,
    )
    assert same.meteor == pytest.approx(1.0)
    assert other.meteor is not None
    assert 0.3 < other.meteor < 1, "stems and synonyms count"
    assert (nothing.meteor, empty.meteor) == (0, 0)


def test_without_java_meteor_is_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    has_java.cache_clear()
    try:
        (score,) = text_scores(["a dog"], [["a dog"]], with_meteor=True)
    finally:
        has_java.cache_clear()
    assert score.meteor is None


CAPTIONS = (
    "A dog's tail isn't short, it's red-brown.",
    "The man, who's 1.5 m tall, can't wait; he'll go!",
    'He said "hello" -- and left...',
    "A black-and-white photo of Mr. Smith's car",
    "They don't, won't, cannot and shouldn't.",
    "the dogs' owner and/or the cats",
    "Two people sit at 5:30 p.m. near the U.S. flag.",
    "",
)


@pytest.mark.slow
@pytest.mark.skipif(not has_java(), reason="Stanford's tokenizer needs Java")
def test_words_are_those_of_the_tokenizer_of_coco() -> None:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    found = PTBTokenizer().tokenize({n: [{"caption": text}] for n, text in enumerate(CAPTIONS)})
    for number, text in enumerate(CAPTIONS):
        assert " ".join(words(text)) == found[number][0]


def test_words_keep_regions_and_drop_marks() -> None:
    assert words("Is [12] (the boy’s dog) near [0]?") == ("is", "[12]", "the", "boy", "'s", "dog", "near", "[0]")
    assert words("...") == ()
    assert words("Ein grünes Männchen, 3,000 Äpfel") == ("ein", "grünes", "männchen", "3,000", "äpfel")


def test_an_empty_reply_has_zeros_and_breaks_nothing() -> None:
    empty, whole = text_scores(["", "a dog"], [["a dog"], ["a dog"]])
    assert (empty.rouge_l, empty.cider, empty.bleu_counts[0]) == (0, 0, 0)
    assert whole.rouge_l == 1
    assert text_scores([], []) == []


# Things that are not there


def vocabulary(tmp_path: Path) -> ObjectVocabulary:
    path = tmp_path / "things.txt"
    path.write_text("person, man, woman, boy\ndog, puppy\nhot dog\nhorse\ntraffic light\nknife\n\n", "utf-8")
    return ObjectVocabulary.read(path)


def test_chair_by_hand(tmp_path: Path) -> None:
    """Mentions: 3 of the first text, of which 1 is not there; 2 of the second; none of the third: 1/5 and 1/3."""
    things = vocabulary(tmp_path)
    items = [
        ReplyItem(Question("a", ("a.jpg",), ()), objects=("person", "dog")),
        ReplyItem(Question("b", ("b.jpg",), ()), objects=("horse", "knife", "sky")),
        ReplyItem(Question("c", ("c.jpg",), ()), objects=()),
    ]
    replies = ["Two men and a puppy near a horse.", "Horses beside knives.", "Nothing is here."]
    results = [{"id": item.question.item_id, "reply": text} for item, text in zip(items, replies, strict=True)]
    found = measures("replies", measured_replies(items, results, ReplyJudges(objects=things)))
    values = {one.name: one.value for one in found}
    assert values["CHAIRi"] == pytest.approx(1 / 5)
    assert values["CHAIRs"] == pytest.approx(1 / 3)


def test_longest_names_and_plurals_are_found(tmp_path: Path) -> None:
    things = vocabulary(tmp_path)
    assert things.things("Hot dogs and dogs under traffic lights") == ("hot dog", "dog", "traffic light")
    assert things.things("a womanly doghouse") == ()
    found = things.mentions("a puppy, women", ("puppies", "unknown thing"))
    assert found.hallucinated == ("person",), "things in the picture are known by any of their names"


def test_a_vocabulary_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read; UTF-8, a thing a line, is expected$"):
        ObjectVocabulary.read(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n , \n", "utf-8")
    with pytest.raises(SettingsError, match=r"names no thing; one a line, synonyms after commas, is expected$"):
        ObjectVocabulary.read(tmp_path / "empty.txt")


# SelfSynthX


def test_labels_and_explanations() -> None:
    concepts = ("a red crown", "a long hooked bill")
    items = [
        ReplyItem(Question("a", ("a.jpg",), ()), label="Boeing 737-700", aliases=("B737",), concepts=concepts),
        ReplyItem(Question("b", ("b.jpg",), ()), label="Boeing 737-700", concepts=concepts),
    ]
    replies = ["It is a B737 because of its red crown.", "It is a Boeing 737-800."]
    results = [{"id": item.question.item_id, "reply": text} for item, text in zip(items, replies, strict=True)]
    found = {one.name: one.value for one in measures("replies", measured_replies(items, results, ReplyJudges()))}
    assert found["label accuracy"] == 0.5, "a number counts whole"
    assert found["explanation existence (EE)"] == 0.5
    assert found["cognition score (CS)"] == 0.25
    assert "BLEU-1" not in found
    assert "perplexity (FS)" not in found


def test_lost_replies_are_no_part_of_figures() -> None:
    items = [ReplyItem(Question(name, ("a.jpg",), ()), references=("a dog",)) for name in "ab"]
    results: list[dict[str, Any]] = [{"id": "a", "lost": "missing file", "detail": ""}, {"id": "b", "reply": "a dog"}]
    found = measures("replies", measured_replies(items, results, ReplyJudges()))
    assert {len(one.ids) for one in found} == {1}


# Intervals and tests


def test_a_share_has_wilsons_interval_and_kinds_their_own() -> None:
    results = [{"id": str(n), "right": n % 4 == 0, "kind": "odd" if n % 2 else "even"} for n in range(40)]
    (accuracy,) = measures("accuracy", results)
    assert (accuracy.value, accuracy.interval) == (0.25, wilson(10, 40))
    assert {one.name: one.value for one in by_kind(results)} == {"even": 0.5, "odd": 0.0}


def test_an_interval_of_a_mean_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=200)
    measure = average("m", ((str(n), float(value)) for n, value in enumerate(values)))
    wanted = scipy_bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=2).confidence_interval
    assert measure.interval.low == pytest.approx(wanted.low, abs=0.02)
    assert measure.interval.high == pytest.approx(wanted.high, abs=0.02)
    assert measure.interval == bootstrap(measure.stats, mean), "the same on every call"


def test_intervals_of_sums_hold_the_value() -> None:
    results = [{"id": str(n), "log_likelihoods": [-float(n % 7)], "tokens": [1 + n % 5]} for n in range(60)]
    (loss,) = measures("loss", results)
    total = sum(n % 7 for n in range(60)) / sum(1 + n % 5 for n in range(60))
    assert loss.value == pytest.approx(total), "of all tokens, not of items"
    assert loss.interval.low < loss.value < loss.interval.high


def test_mcnemar_counts_what_changed() -> None:
    first = np.array([True] * 10 + [False] * 10)
    second = np.array([True] * 8 + [False] * 2 + [True] * 9 + [False])
    assert mcnemar(first, second) == pytest.approx(binomtest(9, 11).pvalue)
    assert mcnemar(first, first) == 1.0


def test_paired_tests_agree_with_the_t_test() -> None:
    rng = np.random.default_rng(3)
    before = rng.normal(size=150)
    after = before + rng.normal(0.1, 0.5, size=150)
    one, two = (average("m", ((str(n), float(v)) for n, v in enumerate(values))) for values in (before, after))
    found = paired_permutation(one.stats, two.stats, mean)
    assert found == pytest.approx(ttest_rel(after, before).pvalue, abs=0.01)
    interval = paired_bootstrap(one.stats, two.stats, mean)
    low, high = ttest_rel(after, before).confidence_interval()
    assert [interval.low, interval.high] == pytest.approx([low, high], abs=0.02)


def test_what_is_the_same_is_no_gain() -> None:
    one = share("m", ((str(n), n % 3 == 0) for n in range(30)))
    assert paired_permutation(one.stats, one.stats, mean) == 1.0
    interval = paired_bootstrap(one.stats, one.stats, mean)
    assert (interval.low, interval.high) == (0.0, 0.0)

"""What the tiny models are asked, and how they read and write: a word a token, in lower case.

A closed world has a closed vocabulary, so every word is a token and every text the grammar writes comes back as it was
but for capitals. A byte-pair tokenizer would spend most of a tiny model's weights on pieces of words that this world
does not have.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any  # Any: transformers types its tokenizers and processors in part

from microworld.scenes import SIDE_PX
from microworld.sentences import MARKS, VOCABULARY, tokens_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DESCRIBE = "describe"
IN_BOX = "what is in the box ?"
NUMBERED = "what is [{number}] ?"
IS_TRUE = "is it true that {statement} ?"
WHY = "{question} why ?"
IMAGINE = "describe it with things that are not there"
"""What is asked for a narrative, for the caption of a region that is drawn, for that of one of several numbered ones,
whether something is so that is said of these, for an answer with its reason, and for a narrative that says too much.
Anything else is a question as the grammar writes it."""
NOTHING = "nothing"
"""What is said of a box that is drawn around bare ground."""

PAD, START, END, UNKNOWN, IMAGE, ANSWER = "<pad>", "<s>", "</s>", "<unk>", "<image>", "<answer>"
SPECIAL = (PAD, START, END, UNKNOWN, IMAGE, ANSWER)
PAD_ID, START_ID, END_ID, UNKNOWN_ID, IMAGE_ID, ANSWER_ID = range(6)
_OF_PROMPTS = ("describe", "box", "why", "photo")  # "photo": of the usual template for labels, "a photo of ..."
WORDS: tuple[str, ...] = (
    *SPECIAL,
    *MARKS,
    "[",
    "]",
    *sorted({*VOCABULARY, *(str(digit) for digit in range(10)), *_OF_PROMPTS}),
)
"""Every token; its place is its id."""
_IDS = {word: place for place, word in enumerate(WORDS)}
TEACHER_WORDS: tuple[str, ...] = (*WORDS, *(files(__package__) / "teacher_words.txt").read_text("utf-8").split())
"""Every token of what is to judge the scripted teacher, or learn from it, and so has to read that one's words too: of
BLIP-2, and of the image-text model from `regions` on."""
LINE = "\n"
TRIPLE_WORDS: tuple[str, ...] = (*TEACHER_WORDS, ":", LINE)
"""Every token of the model that teaches: it writes triples, a field a line."""
_TEACHER_IDS = {word: place for place, word in enumerate(TEACHER_WORDS)}
_PATTERN = r"[a-z]+|[0-9]|\S"
# A user's turn, then what is to be answered; a system's turn is read like the user's.
CHAT_TEMPLATE = (
    START + "{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    + IMAGE + "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}" + END + "{% elif loop.last or loop.nextitem['role'] == 'assistant' %}"
    + ANSWER + "{% else %} {% endif %}{% endfor %}"
)  # fmt: skip


def ids_of(text: str) -> list[int]:
    """The ids of the words of `text`, as the tokenizer gives them, many times as fast."""
    return _looked_up(text, _IDS)


def teacher_ids_of(text: str) -> list[int]:
    """The same for BLIP-2, without the start mark."""
    return _looked_up(text, _TEACHER_IDS)


def _looked_up(text: str, ids: Mapping[str, int]) -> list[int]:
    pieces: list[str] = []
    for token in tokens_of(text):
        pieces += [token] if token in ids else list(token) if not token.isalpha() else [token]
    return [ids.get(piece, UNKNOWN_ID) for piece in pieces]


def word_id(word: str) -> int:
    """The id of a word of this world; raises `KeyError` for any other."""
    return _IDS[word]


def make_tokenizer(
    words: Sequence[str] = WORDS, *, starts_texts: bool = False, ends_texts: bool = False
) -> "PreTrainedTokenizerFast":
    """The tokenizer of `words`, which are `WORDS`, `TEACHER_WORDS` or `TRIPLE_WORDS`; only the last keep line breaks.

    If told so it puts the start mark before each text, as BLIP-2 wants it, or the end mark after it, as a text tower of
    CLIP wants it.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PATTERN), behavior="removed", invert=True)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)  # words apart, marks after their words
    tokenizer.add_special_tokens(list(SPECIAL))
    if LINE in words:
        tokenizer.add_tokens([AddedToken(LINE, normalized=False)])  # else it would be read as a space
    if starts_texts or ends_texts:
        single = " ".join([START] * starts_texts + ["$A"] + [END] * ends_texts)
        marks = [(START, START_ID), (END, END_ID)]
        tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=marks)
    kind: Any = PreTrainedTokenizerFast  # transformers types its constructors in part
    made: PreTrainedTokenizerFast = kind(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        unk_token=UNKNOWN,
        padding_side="right" if starts_texts or ends_texts else "left",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **({} if ends_texts else {"extra_special_tokens": {"image_token": IMAGE, "answer_token": ANSWER}}),
    )
    return made


def make_image_processor() -> Any:
    """A picture of any size becomes `SIDE_PX` pixels square, nothing cut off, values -1 to 1."""
    from transformers import CLIPImageProcessor

    side, half = {"height": SIDE_PX, "width": SIDE_PX}, [0.5, 0.5, 0.5]
    kind: Any = CLIPImageProcessor
    return kind(size=side, crop_size=side, do_center_crop=False, image_mean=half, image_std=half)


def make_processor(patch_px: int, words: Sequence[str] = WORDS) -> Any:
    """The processor of the image-text model that knows `words`."""
    from transformers import LlavaProcessor

    kind: Any = LlavaProcessor
    return kind(
        image_processor=make_image_processor(),
        tokenizer=make_tokenizer(words),
        patch_size=patch_px,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )

"""`ostensive estimate`: what a build would ask and cost, measured on a few of its images before anything is spent."""

from collections.abc import Sequence
from dataclasses import dataclass

from ostensive.chat.prices import DEFAULT_MAX_IMAGE_TOKENS, PriceTable, load_prices
from ostensive.chat.records import Conversation, Exchange, Message, Reply
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.run.options import DEFAULT_OPTIONS, BuildOptions
from ostensive.run.rehearsal import RehearsedChat, first_image, rehearse
from ostensive.run.sources import Sources

SAMPLE_IMAGES = 8
CHARACTERS_A_TOKEN = 4  # of English text, by the rule of thumb of OpenAI's documentation
TOKENS_A_MESSAGE = 4  # for the role and the separators
IMAGE_TOKENS = 1_000  # where the price table does not say how many at most: about what 1024 x 768 pixels come to


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """What one chat model would be asked; tokens are estimated, `usd` is None where no price is known."""

    model: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Totals over all images that were not refused when they were listed, and what each chat model has of them."""

    images: int
    sampled_images: int
    models: tuple[ModelEstimate, ...]
    requests: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None


def estimate(recipe: Recipe, kind: RecipeKind, given: Sources, options: BuildOptions = DEFAULT_OPTIONS) -> Estimate:
    """Takes a few images, spread over the listing, through a rehearsal and multiplies what their requests hold.

    Replies are scripted, so a wordier model costs more; duplicates among the images make it cheaper. Raises
    `NoImagesError` where no image can be taken in.
    """
    items = [item for item in given.items if item.problem is None] or given.items  # others are refused for sure
    step = max(1, len(items) // SAMPLE_IMAGES)
    rehearsal = rehearse(recipe, kind, items[::step][:SAMPLE_IMAGES], given.annotations)
    if not rehearsal.images:
        rehearsal = rehearse(recipe, kind, [first_image(recipe, items)], given.annotations)
    sampled = len(rehearsal.images)
    share, prices = len(items) / sampled, load_prices(options.prices)
    found = [_of_model(chats, share, prices) for chats in _by_model(rehearsal.chats)]
    priced = [model.usd for model in found if model.usd is not None]
    return Estimate(
        images=len(items),
        sampled_images=sampled,
        models=tuple(found),
        requests=sum(model.requests for model in found),
        prompt_tokens=sum(model.prompt_tokens for model in found),
        completion_tokens=sum(model.completion_tokens for model in found),
        usd=sum(priced) if len(priced) == len(found) else None,
    )


def _by_model(chats: Sequence[RehearsedChat]) -> list[list[RehearsedChat]]:
    """Chats that were asked something, those that stand for one model at one address together."""
    models: dict[tuple[str, str | None], list[RehearsedChat]] = {}
    for chat in chats:
        if chat.asked:
            models.setdefault((chat.settings.model_name, chat.settings.address), []).append(chat)
    return list(models.values())


def _of_model(chats: Sequence[RehearsedChat], share: float, prices: PriceTable) -> ModelEstimate:
    chat, asked = chats[0], [pair for each in chats for pair in each.asked]
    price, image_tokens = chat.settings.price_in(prices), IMAGE_TOKENS
    if price is not None and price.max_image_tokens != DEFAULT_MAX_IMAGE_TOKENS:
        image_tokens = price.max_image_tokens
    turns = [turn for conversation, said in asked for turn in turn_tokens(conversation, said, image_tokens)]
    prompt = round(sum(turn.prompt for turn in turns) * share)
    completion = round(sum(turn.completion for turn in turns) * share)
    usd = None if price is None else price.usd(prompt, completion, cached_tokens=0)
    return ModelEstimate(chat.settings.model_name, round(len(turns) * share), prompt, completion, usd)


@dataclass(frozen=True, slots=True)
class TurnTokens:
    """Estimated tokens of one request and its reply."""

    prompt: int
    completion: int


def turn_tokens(conversation: Conversation, exchange: Exchange, image_tokens: int) -> list[TurnTokens]:
    """Each turn sends everything before it again, which is what makes long conversations dear."""
    turns = []
    prompt = sum(_tokens(message) + image_tokens * len(message.images) for message in conversation.messages)
    for reply, follow_up in zip(exchange.replies, (*conversation.follow_ups, None), strict=False):
        completion = len(reply.text) // CHARACTERS_A_TOKEN + 1 if isinstance(reply, Reply) else 0
        turns.append(TurnTokens(prompt, completion))
        prompt += completion + (0 if follow_up is None else _tokens(follow_up))
    return turns


def _tokens(message: Message) -> int:
    return len(message.text) // CHARACTERS_A_TOKEN + TOKENS_A_MESSAGE

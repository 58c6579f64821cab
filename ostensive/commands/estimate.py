"""`ostensive estimate`: what a build would ask and cost, measured on a few of its images before anything is spent."""

from dataclasses import dataclass
from pathlib import Path

from ostensive.chat.prices import Price, load_prices, price_of
from ostensive.chat.records import Conversation, Exchange, Message, Reply
from ostensive.commands.options import DEFAULT_OPTIONS, BuildOptions
from ostensive.commands.rehearse import rehearse
from ostensive.errors import SettingsError
from ostensive.images.sources import list_items
from ostensive.recipe import ServedTeacherSettings

SAMPLE_IMAGES = 8
CHARACTERS_A_TOKEN = 4  # of English text, by the rule of thumb of OpenAI's documentation
TOKENS_A_MESSAGE = 4  # for the role and the separators


@dataclass(frozen=True, slots=True)
class Estimate:
    """Totals over all images; tokens are estimated from characters, `usd` is None where no price is known."""

    images: int
    sampled_images: int
    teacher: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None


def estimate(recipe: str, *, images: Path | str, options: BuildOptions = DEFAULT_OPTIONS) -> Estimate:
    """Takes a few images, spread over the listing, through a rehearsal and multiplies what their requests hold.

    Replies are the scripted teacher's, so a wordier model costs more; duplicates among the images make it cheaper.
    """
    from builders.table import load

    resolved = load(recipe, profile=options.profile, assignments=options.settings)
    items = list_items(Path(images), resolved.intake)[: options.limit]
    step = max(1, len(items) // SAMPLE_IMAGES)
    rehearsal = rehearse(resolved, items[::step][:SAMPLE_IMAGES])
    sampled = len(rehearsal.images)
    if sampled == 0:
        raise SettingsError(
            f"{images}: none of {len(items[::step][:SAMPLE_IMAGES])} images that were tried can be read"
        )
    turns = [turn for conversation, exchange in rehearsal.asked for turn in turn_tokens(conversation, exchange)]
    share = len(items) / sampled
    prompt = round(sum(turn.prompt for turn in turns) * share)
    completion = round(sum(turn.completion for turn in turns) * share)
    price: Price | None = Price(0, 0)
    model: str = getattr(resolved.teacher, "model", resolved.teacher.kind)
    if isinstance(resolved.teacher, ServedTeacherSettings):
        price = price_of(resolved.teacher, load_prices(options.prices))
    usd = None if price is None else price.usd(prompt, completion, cached_tokens=0)
    return Estimate(len(items), sampled, model, round(len(turns) * share), prompt, completion, usd)


@dataclass(frozen=True, slots=True)
class TurnTokens:
    """Estimated tokens of one request and its reply."""

    prompt: int
    completion: int


def turn_tokens(conversation: Conversation, exchange: Exchange) -> list[TurnTokens]:
    """Each turn sends everything before it again, which is what makes long conversations dear."""
    turns = []
    prompt = sum(map(_tokens, conversation.messages))
    for reply, follow_up in zip(exchange.replies, (*conversation.follow_ups, None), strict=False):
        completion = len(reply.text) // CHARACTERS_A_TOKEN + 1 if isinstance(reply, Reply) else 0
        turns.append(TurnTokens(prompt, completion))
        prompt += completion + (0 if follow_up is None else _tokens(follow_up))
    return turns


def _tokens(message: Message) -> int:
    return len(message.text) // CHARACTERS_A_TOKEN + TOKENS_A_MESSAGE

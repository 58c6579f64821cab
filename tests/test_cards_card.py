"""The card: its header is YAML that `huggingface_hub` reads, its tables add up, no text of others is structure."""

import dataclasses
import json
import re
from typing import Any

import pytest
import yaml

from cards.card import Handwritten, read_handwritten, render_card, size_category
from cards.card_text import cost, funnel, losses
from cards.fields import describe
from cards.manifest import CorpusFile, CorpusManifest
from cards.markdown import fenced, fenced_json, inline, table
from cards.samples import PublicForm, sample_key, to_json
from cards.statistics import StatisticsGatherer
from ostensive.errors import OstensiveError
from ostensive.recipe import CorpusSettings
from ostensive.records import Judged, Qar, Spend
from ostensive.run.summary import RunFacts, StageSummary

EVIL = "<b>x</b> | [a](http://b) `c` *d* _e_ # f\n---\n- g & $h$ ~i~ !\x00\u202e"


def sample_row(*, mentions: list[int], question: str = "one two three") -> dict[str, Any]:
    box = {"x1": 0.0, "y1": 0.0, "x2": 0.25, "y2": 0.2}
    large = {**box, "y2": 0.21}
    judgement = {"critic": "trained", "accept_probability": 0.5}
    row = {
        "question": question,
        "answer": "four",
        "rationale": "five six",
        "mentions": mentions,
        "mode": "ids",
        "judgements": [judgement],
    }
    return {"regions": [{"box": box}, {"box": large}], "rows": [row]}


def manifest_of(*samples: dict[str, Any]) -> CorpusManifest:
    gatherer = StatisticsGatherer()
    for sample in samples:
        gatherer.add(sample)
    figures = gatherer.result()
    files = (
        CorpusFile("shards/c-train-000000.tar", "shard", 1, 10, "0"),
        CorpusFile("shards/c-train-000001.tar", "shard", 1, 10, "0"),
        CorpusFile("data/train-00000-of-00001.parquet", "samples", 2, 700, "0"),
        CorpusFile("rows/train-00000-of-00001.parquet", "rows", 2, 300, "0"),
    )
    return CorpusManifest("c", "r" * 64, figures.images, figures.rows, files, figures, 1234, 567)


def render(handwritten: Handwritten | None = None, *, usd: float | None = 0.5, text: str = "one two three") -> str:
    manifest = manifest_of(sample_row(mentions=[0, 1], question=text), sample_row(mentions=[]))
    facts = RunFacts(
        recipe={"recipe": "localized", "note": EVIL},
        recipe_hash="r" * 64,
        stages=(
            StageSummary("images", 4, 2, {"repeats another file": 1}, {EVIL: 1}),
            StageSummary("judged", 5, 2, {"b": 1, "a": 1, "c": 1}, {}, Spend(1234, 5, 6, usd)),
        ),
        teachers=(EVIL,),
        prompt_hashes=("abc",),
        critics=("rules 1",),
        ostensive_version="0.1.0",
    )
    settings = CorpusSettings(name="c", license="cc-by-4.0", source=EVIL)
    form = PublicForm(Judged[Qar], "r" * 64)
    return render_card(manifest, form, settings=settings, facts=facts, handwritten=handwritten or Handwritten())


def header_of(card: str) -> dict[str, Any]:
    from huggingface_hub import DatasetCard

    data: Any = DatasetCard(card).data  # Any: huggingface_hub does not type `to_dict`
    return dict(data.to_dict())


def test_the_header() -> None:
    header = header_of(render())
    assert (header["license"], header["language"], header["pretty_name"]) == ("cc-by-4.0", "en", "c")
    assert header["size_categories"] == "n<1K"
    assert {each["config_name"]: each["data_files"] for each in header["configs"]} == {
        "default": [{"split": "train", "path": "data/train-*.parquet"}],
        "rows": [{"split": "train", "path": "rows/train-*.parquet"}],
    }
    default, rows = header["dataset_info"]
    assert default["features"][0] == {"name": "image", "dtype": "image"}
    assert default["splits"] == [{"name": "train", "num_bytes": 1234, "num_examples": 2}]
    assert (default["download_size"], default["dataset_size"]) == (700, 1234)
    assert (rows["download_size"], rows["dataset_size"]) == (300, 567)


def test_the_tables_add_up() -> None:
    lines = [[cell.strip() for cell in line.split(" | ")] for line in render().splitlines() if line.count(" | ") == 5]
    counted = [[int(cell.strip("| ")) for cell in line[2:]] for line in lines if line[2].isdigit()]
    assert counted == [[4, 2, 1, 1], [5, 2, 3, 0]]
    for total, *parts in counted:
        assert total == sum(parts)
    assert "`shards/c-train-{000000..000001}.tar`" not in render()
    assert 'shards = "c/shards/c-train-{000000..000001}.tar"' in render()


def test_figures_are_right() -> None:
    figures = manifest_of(sample_row(mentions=[0, 1]), sample_row(mentions=[], question="one")).statistics
    assert dict(figures.mean_words) == {"question": 2.0, "answer": 1.0, "rationale": 2.0}
    assert (figures.mean_mentions, figures.rows_per_image, figures.regions) == (1.0, 1.0, 4)
    assert figures.small_box_share == 0.5, "a box of exactly 0.05 is small"
    assert dict(figures.mean_accept_probability) == {"trained": 0.5}
    assert dict(figures.rows_by_mode) == {"ids": 2}


def test_statistics_of_nothing_and_of_another_recipe() -> None:
    nothing = StatisticsGatherer().result()
    assert (nothing.rows, nothing.rows_per_image, nothing.small_box_share, nothing.mean_mentions) == (
        0,
        None,
        None,
        None,
    )
    other = manifest_of({"regions": [], "rows": [{"prompt": "p", "judgements": []}]}).statistics
    assert (other.rows, dict(other.mean_words), other.mean_mentions, dict(other.rows_by_mode)) == (1, {}, None, {})


def test_text_of_others_stays_text() -> None:
    card = render(text=EVIL)
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", card.split("\n---\n", 1)[1], flags=re.DOTALL | re.MULTILINE)
    assert "<b>" not in outside
    assert not re.search(r"(?<!\\)\[a\]", outside)
    assert "\\<b\\>x\\</b\\> \\| \\[a\\]\\(http://b\\)" in outside
    assert "\x00" not in card
    assert "\u202e" not in card
    assert not re.search(r"^---$", outside, re.MULTILINE)
    assert header_of(card)["license"] == "cc-by-4.0"
    assert json.loads(re.findall(r"^```json\n(.*?)^```", card, re.DOTALL | re.MULTILINE)[0])["question"] == EVIL
    recipe = re.findall(r"^````*yaml\n(.*?)^```", card, re.DOTALL | re.MULTILINE)[0]
    assert yaml.safe_load(recipe) == {"recipe": "localized", "note": EVIL}


def test_what_a_person_wrote_is_kept() -> None:
    first = render()
    assert "<!-- yours -->\n(Nothing yet.)\n<!-- /yours -->" in first
    prose = "## Ours\n\n{{ 7*7 }} <b>kept</b>\n\n---\nas it is"
    edited = first.replace("(Nothing yet.)", prose).replace(
        "license: cc-by-4.0", "license: mit\nlicense_link: http://x"
    )
    edited = edited.replace("tags:\n", "tags:\n- street\n").replace("## Limits", "## Changed")
    again = render(read_handwritten(edited, "README.md"))
    assert f"<!-- yours -->\n{prose}\n<!-- /yours -->" in again
    assert "## Changed" not in again
    header = header_of(again)
    assert (header["license"], header["license_link"]) == ("cc-by-4.0", "http://x")
    assert header["tags"].count("street") == header["tags"].count("synthetic") == 1
    assert render(read_handwritten(again, "README.md")) == again, "writing twice changes nothing more"


def test_a_card_without_markers_or_header() -> None:
    assert read_handwritten("# mine\n", "README.md") == Handwritten(header={})


def test_a_broken_header_is_one_line() -> None:
    with pytest.raises(OstensiveError) as caught:
        read_handwritten("---\nlicense: [\n---\n", "c/README.md")
    message = str(caught.value)
    assert message.startswith("c/README.md: the header between the --- lines is not valid YAML: ")
    assert message.endswith("; mend it or remove the file, and run the same command again")
    assert "\n" not in message


def test_cost() -> None:
    assert cost([StageSummary("a", 1, 1)]) == "No request was sent to a teacher."
    assert "1,234 requests, 5 prompt tokens, 6 completion tokens. Cost: 0.5000 US dollars." in render()
    assert "Cost: unknown: no price is known for the model." in render(usd=None)


def test_losses_are_listed_by_stage_and_size() -> None:
    lines = losses([StageSummary("x", 9, 1, {"b": 1, "a": 1, "c": 5}, {"d": 1})]).splitlines()[2:]
    assert lines == [f"| x | {fate} | {reason} | {count} |" for fate, reason, count in (
        ("dropped", "c", 5), ("dropped", "a", 1), ("dropped", "b", 1), ("failed", "d", 1))]  # fmt: skip
    assert losses([StageSummary("x", 1, 1)]) == "Nothing was dropped and nothing failed."
    assert funnel([]) == "No stage has run."


@pytest.mark.parametrize(
    ("count", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "1M<n<10M"), (10**12, "n>1T")],
)
def test_size_categories(count: int, name: str) -> None:
    assert size_category(count) == name


def test_markdown() -> None:
    assert inline("a|b\n\n<c> `d`\t*e* \\ _f_") == "a\\|b \\<c\\> \\`d\\` \\*e\\* \\\\ \\_f\\_"
    assert fenced("a\n````\nb", "") == "`````\na\n````\nb\n`````"
    assert fenced_json({"a": "\x7f\u2028\U000e0001 é"}) == '```json\n{\n  "a": "\\u007f\\u2028\\udb40\\udc01 é"\n}\n```'
    assert table(("a", "b"), [("x", 1234)]) == "| a | b |\n| --- | ---: |\n| x | 1,234 |"


def test_every_field_of_today_is_described() -> None:
    form = PublicForm(Judged[Qar], "")
    for schema in (form.sample_schema, form.flat_schema):
        assert [note.path for note in describe(list(schema)) if not note.note] == []


def test_json_is_safe_for_readers_of_lines() -> None:
    text = "a\u2028b\u2029c\x85d\ne\x00"
    encoded = to_json({"text": text})
    assert len(encoded.decode("utf-8").splitlines()) == 1
    assert json.loads(encoded) == {"text": text}
    for bad in (float("nan"), float("inf"), "\ud800"):
        with pytest.raises(ValueError, match=r"JSON compliant|surrogates not allowed"):
            to_json({"x": bad})


def test_keys_of_samples() -> None:
    assert sample_key("0123456789abcdef" * 4) == "0123456789abcdef" * 2
    for bad in ("", "abc", "0123456789ABCDEF" * 4, "../../etc/passwd" * 4):
        with pytest.raises(ValueError, match=r"does not start with 32 lower-case hexadecimal digits"):
            sample_key(bad)


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """A candidate of another recipe."""

    record_id: str
    image_id: str
    chosen: str


@dataclasses.dataclass(frozen=True, slots=True)
class Clashing:
    """A candidate with a field of the corpus' own."""

    record_id: str
    image_id: str
    shard: str


def test_rows_of_other_recipes() -> None:
    form = PublicForm(Judged[Pair], "")
    assert form.flat_schema.names == [
        "record_id", "image_id", "chosen", "judgements", "recipe_hash", "source", "width", "height", "shard",
    ]  # fmt: skip
    with pytest.raises(TypeError, match=r"^the rows of a corpus are Judged\[...\], not <class '.*Pair'>$"):
        PublicForm(Pair, "")
    with pytest.raises(TypeError, match=r"^Clashing has fields that are the corpus's own: \['shard'\]$"):
        PublicForm(Judged[Clashing], "")

"""The card: its header is YAML that `huggingface_hub` reads, its tables add up, no text of others is structure."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pytest
import yaml

from builders.explanations.recipe import KIND as EXPLANATIONS
from builders.explanations.records import Explanation
from builders.localized.recipe import KIND
from builders.localized.records import Qar
from cards.card import CardEdits, read_edits, render_card, size_category
from cards.card_text import cost, funnel, losses, statistics
from cards.markdown import fenced, fenced_json, inline, table
from cards.reading import CorpusFile, CorpusManifest, CorpusSplit
from cards.samples import CorpusSample, PublicForm, sample_key, to_json
from cards.split_text import kept_out, split_table
from cards.statistics.figures import NOT_GIVEN, CorpusStatistics
from cards.statistics.gathering import StatisticsGatherer
from ostensive.errors import OstensiveError
from ostensive.recipe import CorpusSettings
from ostensive.recipe_kind import RecipeKind
from ostensive.records import (
    Annotation,
    Box,
    ImageRecord,
    Judged,
    Judgement,
    Location,
    Region,
    Spend,
    Verbalization,
)
from ostensive.run.splits import DEFAULT_SPLIT
from ostensive.run.summary import RunFacts, SplitFigures, StageSummary

EVIL = "<b>x</b> | [a](http://b) `c` *d* _e_ # f\n---\n- g & $h$ ~i~ !\x00\u202e"


def sample(
    place: int, *, mentions: tuple[int, ...] = (), question: str = "one two three", items: tuple[Annotation, ...] = ()
) -> CorpusSample:
    image_id = hashlib.sha256(str(place).encode()).hexdigest()
    boxes = Box(0.0, 0.0, 0.25, 0.2), Box(0.0, 0.0, 0.25, 0.21)
    regions = tuple(Region(number, box, "area", None, "") for number, box in enumerate(boxes))
    rationale = " ".join(["five", "six", *(f"[{number}]" for number in mentions)])
    row = Qar(f"row {place}", image_id, "ids", question, "four", rationale, mentions, "teacher", "prompt", "key")
    judged = Judged(row, (Judgement("trained", "1", 0.5, True, ""),))
    image = ImageRecord(image_id, 4, 3, "JPEG", "RGB", 1, "x.jpg", Location("/x.jpg"))
    return CorpusSample(image, b"", Verbalization(image_id, (), (), regions, ()), (judged,), items)


def figures_of(*samples: CorpusSample, kind: RecipeKind = KIND) -> CorpusStatistics:
    gatherer = StatisticsGatherer(kind)
    form = PublicForm(kind, "", record_names=("Verbalization", "Annotation"))
    for one in samples:
        gatherer.add(pa.Table.from_pylist([form.sample_row(one)], schema=form.sample_schema))
    return gatherer.result()


def manifest_of(*samples: CorpusSample) -> CorpusManifest:
    figures, split = figures_of(*samples), DEFAULT_SPLIT
    files = (
        CorpusFile("shards/c-train-000000.tar", "shard", split, 1, 10, "0"),
        CorpusFile("shards/c-train-000001.tar", "shard", split, 1, 10, "0"),
        CorpusFile("data/train-00000-of-00001.parquet", "samples", split, 2, 700, "0"),
        CorpusFile("rows/train-00000-of-00001.parquet", "rows", split, 2, 300, "0"),
    )
    splits = (CorpusSplit(split, figures.images, figures.rows, 1234, 567),)
    return CorpusManifest("c", "r" * 64, figures.images, figures.rows, splits, files, figures)


def facts_of(*stages: StageSummary) -> RunFacts:
    return RunFacts(
        recipe={"recipe": "localized", "note": EVIL},
        recipe_hash="r" * 64,
        stages=stages,
        records={"images": "ImageRecord", "candidates": "Qar", "judged": "Judged"},
        accepted=2,
        teachers=(EVIL,),
        prompt_hashes=("abc",),
        critics=("rules 1",),
        ostensive_version="0.1.0",
    )


def render(
    edits: CardEdits | None = None,
    *,
    usd: float | None = 0.5,
    text: str = "one two three",
    corpus: Mapping[str, Any] = MappingProxyType({"license": "cc-by-4.0"}),
) -> str:
    facts = facts_of(
        StageSummary("images", 4, 2, {"repeats another file": 1}, {EVIL: 1}),
        StageSummary("judged", 5, 2, {"b": 1, "a": 1, "c": 1}, {}, Spend(1234, 5, 6, usd)),
    )
    settings = CorpusSettings.model_validate({"name": "c", "source": EVIL, "intended_use": EVIL, **corpus})
    form = PublicForm(KIND, "r" * 64)
    manifest = manifest_of(sample(0, mentions=(0, 1), question=text), sample(1))
    return render_card(manifest, form, settings=settings, facts=facts, edits=edits or CardEdits())


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


def test_the_header_has_ids_as_the_hub_does() -> None:
    card = render(corpus={"license": "Creative Commons Attribution 4.0 International", "language": "English"})
    header = header_of(card)
    assert (header["license"], header["language"]) == ("cc-by-4.0", "en")
    assert not {"license_name", "license_link", "language_bcp47"} & header.keys()

    several = {"license": "CC0", "language": "pt-BR, Portuguese, en_us, no"}
    header = header_of(render(corpus=several))
    assert (header["license"], header["language"]) == ("cc0-1.0", ["pt", "en", "no"])
    assert header["language_bcp47"] == ["pt-BR", "en-US"]

    link = "https://example.org/terms"
    other = {"license": "Other", "license_name": "Our Terms 1.0", "license_link": link, "language": "en-GB"}
    card = render(corpus=other)
    header = header_of(card)
    assert (header["license"], header["license_name"], header["license_link"]) == ("other", "our-terms-1.0", link)
    assert (header["language"], header["language_bcp47"]) == ("en", ["en-GB"])
    assert "Licence: other (our-terms-1.0, https" in card
    again = render(read_edits(card, "README.md"), corpus=other)
    assert again == card, "writing twice changes nothing more"
    assert "language_bcp47" not in header_of(render(read_edits(card, "README.md")))


def test_the_tables_add_up() -> None:
    lines = [[cell.strip() for cell in line.split(" | ")] for line in render().splitlines() if line.count(" | ") == 5]
    counted = [[int(cell.strip("| ")) for cell in line[2:]] for line in lines if line[2].isdigit()]
    assert counted == [[4, 2, 1, 1], [5, 2, 3, 0]]
    for total, *parts in counted:
        assert total == sum(parts)
    assert "`shards/c-train-{000000..000001}.tar`" not in render()
    assert 'shards = "c/shards/c-train-{000000..000001}.tar"' in render()


def test_what_the_kind_says_stands_on_the_card() -> None:
    card = render()
    assert (
        "2 rows about 2 images: questions, answers and rationales about numbered regions. One row is a triple." in card
    )
    assert f"\n\n{KIND.method}\n\n" in card
    assert f"```bibtex\n{KIND.citation}\n```" in card
    assert all(f"- {limit}\n" in card for limit in KIND.limits)
    assert "- Pictures may show people." in card
    header = header_of(card)
    assert header["tags"] == ["ostensive", "rationales", "regions", "synthetic", "vision", "webdataset"]
    assert header["task_categories"] == ["visual-question-answering", "image-text-to-text"]


def test_figures_are_right() -> None:
    figures = figures_of(sample(0, mentions=(0, 1)), sample(1, question="one"))
    assert dict(figures.mean_words) == {"question": 2.0, "answer": 1.0, "rationale": 3.0}
    assert (figures.mean_mentions, figures.rows_per_image, figures.regions) == (1.0, 1.0, 4)
    assert figures.small_box_share == 0.5, "a box of exactly 0.05 is small"
    assert dict(figures.mean_accept_probability) == {"trained": 0.5}
    assert figures.rows_by_field == {"mode": {"ids": 2}}
    assert (figures.annotations, figures.images_by_field) == (0, {})


def test_means_of_fields_are_of_the_rows_that_have_them() -> None:
    rows = [
        Explanation(
            str(place),
            "i",
            "wren",
            "Why?",
            "A wren.",
            (),
            "explained",
            "explain",
            "t",
            "p",
            "k",
            explains=explains,
            concept_share=share,
        )
        for place, (explains, share) in enumerate([(True, 0.5), (False, 0.0), (True, 1.0), (None, None)])
    ]
    judged = tuple(Judged(row, (Judgement("rules", "1", 1.0, True, ""),)) for row in rows)
    figures = figures_of(dataclasses.replace(sample(0), rows=judged), kind=EXPLANATIONS)
    assert figures.mean_fields == {"explains": 0.6667, "concept_share": 0.5, "distinct_trigrams": 1.0}
    assert "| concept\\_share, mean | 0.500 |" in statistics(figures, has_regions=False)


def test_sources_and_licences_of_images_are_counted() -> None:
    def item(place: int, **fields: Any) -> Annotation:
        return Annotation(str(place), "image", **fields)

    figures = figures_of(
        sample(0, items=(item(0), item(1, license="mit", source="here"))),
        sample(1, items=(item(2, license="cc0-1.0"), item(3, license="cc0-1.0"))),
        sample(2),
    )
    assert figures.annotations == 4
    assert figures.images_by_field == {
        "source": {NOT_GIVEN: 2, "here": 1},
        "license": {NOT_GIVEN: 1, "cc0-1.0": 1, "mit": 1},
    }
    card = statistics(figures, has_regions=False)
    assert "| images of license mit | 1 |" in card
    assert "| images of source \\(not given\\) | 2 |" in card
    many = dataclasses.replace(figures, images_by_field={"source": {f"{n:02d}": 100 - n for n in range(30)}})
    lines = [line for line in statistics(many, has_regions=False).splitlines() if "of source" in line]
    assert (len(lines), lines[0]) == (21, "| images of source 00 | 100 |")
    assert lines[-1] == f"| images of source of any other value | {sum(100 - n for n in range(20, 30))} |"


def test_statistics_of_nothing() -> None:
    nothing = StatisticsGatherer(KIND).result()
    assert (nothing.rows, nothing.rows_per_image, nothing.small_box_share, nothing.mean_mentions) == (
        0,
        None,
        None,
        None,
    )


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
    again = render(read_edits(edited, "README.md"))
    assert f"<!-- yours -->\n{prose}\n<!-- /yours -->" in again
    assert "## Changed" not in again
    header = header_of(again)
    assert (header["license"], header["license_link"]) == ("cc-by-4.0", "http://x")
    assert header["tags"].count("street") == header["tags"].count("synthetic") == 1
    assert render(read_edits(again, "README.md")) == again, "writing twice changes nothing more"
    assert render(read_edits("\ufeff" + again, "README.md")) == again, "some editors put a byte order mark first"


def test_a_card_without_markers_or_header() -> None:
    assert read_edits("# mine\n", "README.md") == CardEdits(header={})


def test_a_key_that_stands_twice_in_the_header_is_refused() -> None:
    with pytest.raises(OstensiveError) as caught:
        read_edits("---\nlicense: cc0-1.0\ntags: [a]\nlicense: mit\n---\n# mine\n", "c/README.md")
    assert str(caught.value) == (
        "c/README.md, line 4: the key 'license' stands here and in line 2; leave one of them; mend it or remove the"
        " file, and run the same command again"
    )


def test_a_broken_header_is_one_line() -> None:
    with pytest.raises(OstensiveError) as caught:
        read_edits("---\nlicense: [\n---\n", "c/README.md")
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
    assert funnel(facts_of()) == "No stage has run."


def test_steps_are_told_by_what_stages_make() -> None:
    text = funnel(facts_of(*(StageSummary(name, 1, 1) for name in ("images", "candidates", "judged"))))
    assert [line.split(" | ")[0] for line in text.splitlines()[2:]] == [
        "| images: found and taken in",
        "| candidates",
        "| judged: accepted by the critics",
    ]


def test_a_table_of_splits() -> None:
    splits = CorpusSplit("train", 1, 2345, 0, 0), CorpusSplit("test", 0, 0, 0, 0)
    lines = "| split | images | rows |\n| --- | ---: | ---: |\n| train | 1 | 2,345 |"
    assert split_table(splits[:1]) == lines
    assert split_table(splits) == f"{lines}\n| test | 0 | 0 |\n\nWithout a row, and so without files: test."


def test_splits_are_held_against_the_shares_that_were_asked_for() -> None:
    splits = CorpusSplit("train", 1, 2345, 0, 0), CorpusSplit("given", 2, 3, 0, 0)
    figures = SplitFigures({"train": 3, "given": 1}, {"train": 9.0, "test": 1.0}, groups=1, grouped=2, left_out=1234)
    assert split_table(splits, figures).splitlines() == [
        "| split | images | rows | put into it | share | asked for |",
        "| --- | ---: | ---: | ---: | --- | --- |",
        "| train | 1 | 2,345 | 3 | 75.0% | 90.0% |",
        "| given | 2 | 3 | 1 | 25.0% | - |",
        "",
        "2 of the images look like others of their split, in 1 group. None was found that looks like one of another"
        " split. 1,234 images look like images of several splits and are in none.",
    ]
    alone = dataclasses.replace(figures, groups=0, grouped=0, left_out=1, leaking=1)
    assert split_table(splits, alone).splitlines()[-1] == (
        "No image was found that looks like another of its split. 1 image looks like one of another split all the same:"
        " splits that came in beside images were kept as they are, or more images look alike than may be in a group."
        " 1 image looks like images of several splits and is in none."
    )
    unknown = dataclasses.replace(figures, is_compared=False)
    assert split_table(splits, unknown).splitlines()[-1] == (
        "Images were compared by their bytes alone: whether some of different splits look alike is not known."
    )
    assert "alike" not in split_table(splits[:1], unknown), "one split cannot leak"


def test_benchmarks_that_were_kept_out_are_named_without_their_folders() -> None:
    known = facts_of()
    assert kept_out(known) == ""
    stages = (StageSummary("cleared", 5, 4, {"a": 1}), StageSummary("cleared-rows", 9, 9))
    told = kept_out(dataclasses.replace(known, recipe={"corpus": {"against": ["a*b", "c.txt"]}}, stages=stages))
    assert told == (
        "What was found to be in these benchmarks too was dropped: a\\*b, c.txt. The corpus lost 1 image and 0 rows"
        " to them."
    )


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


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/buy", "HTTP://evil.example", "www.evil.example", "WWW.evil.example", "buy@evil.example",
        "mailto:buy@evil.example", "a.https://evil.example", "ftp://evil.example", "xmpp:buy@evil.example",
    ],
)  # fmt: skip
def test_an_address_of_others_is_no_link(address: str) -> None:
    written = inline(f"by {address}, it says")
    assert not re.search(r"://|www\\.|\\w@\\w", written, re.IGNORECASE), "nothing is left that is made a link"
    assert re.sub(r"<!-- -->|\\\\", "", written) == f"by {address}, it says"
    assert address in inline(address, with_links=True).replace("\\", "")


def test_every_field_of_today_is_described() -> None:
    form = PublicForm(KIND, "", record_names=("Verbalization", "Annotation"), has_splits=True)
    for schema in (form.sample_schema, form.flat_schema):
        assert [note.path for note in form.field_notes(list(schema)) if not note.note] == []


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
class Clashing:
    """A candidate with a field of the corpus' own."""

    record_id: str
    image_id: str
    shard: str


def test_a_field_of_the_corpus_own_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Clashing has fields that are the corpus's own: \['shard'\]$"):
        PublicForm(dataclasses.replace(KIND, candidate=Clashing), "")

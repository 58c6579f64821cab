"""The pages say what is: their code runs, their commands parse, their tables are those of the code, their links lead.

Blocks after a line `<!-- run -->` are run, page by page and in order, in a folder with `photos/`; the README's own
block builds the corpus that the others read. `<!-- run: journal -->` is SQL for the journal's SQLite file.
"""

import ast
import inspect
import json
import re
import shlex
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
import yaml
from drawing import write_scenes

from builders import asking, dedupe, placing
from builders.explanations import answering, asking_concepts, comparing, describing, taking_over
from builders.explanations.settings import ExplanationsSettings
from builders.instructions import items as instruction_items
from builders.instructions import replies as instruction_replies
from builders.instructions.settings import InstructionsSettings
from builders.localized import triples
from builders.localized.recipe import KIND
from builders.localized.settings import LocalizedSettings
from builders.preferences import sides
from builders.preferences.settings import PreferencesSettings
from builders.rationales import replies as rationale_replies
from builders.rationales.settings import RationalesSettings
from builders.rounds import RoundSettings
from builders.table import MODULES, load, recipe_kind
from builders.unanswerable import UnanswerableSettings
from cards.samples import IMAGE_UNPUBLISHABLE, IMAGE_UNREADABLE, ROWS_UNWRITABLE, PublicForm
from critics import judge, rules
from critics.table import CRITICS
from critics.trained.settings import TrainSettings
from ostensive.chat import replies, retry
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.faults import FAULT_KINDS
from ostensive.chat.local import SelfTeacherSettings
from ostensive.chat.prices import load_prices
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.cli import app
from ostensive.images import annotation_columns, annotations, refusals
from ostensive.images.settings import AnnotationSettings, IntakeSettings
from ostensive.recipe import CorpusSettings, RunSettings, parse_assignments
from ostensive.run import benchmark_images, benchmark_texts
from ostensive.run.summary import IN_NO_SPLIT
from ostensive.settings import OperationalMark, Settings, known_keys, sections_of, validate
from students.matching.settings import IMAGE_TEXT, ImageTextSettings
from students.training.settings import StudentSettings
from verbalizers import stage as verbalizing
from verbalizers.table import VerbalizeSettings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
KNOWN = {key for name in MODULES for key in known_keys(recipe_kind(name).recipe)}
SHOWN_TO_BE_REFUSED = "teacher.temprature"
STAND_INS = ("corpus.license=other", "corpus.source=a test", "corpus.intended_use=to test")
SECTIONS: dict[str, tuple[type[Settings], ...]] = {
    "intake": (IntakeSettings,),
    "annotations": (AnnotationSettings,),
    "teacher": (ServedTeacherSettings, ScriptedTeacherSettings, SelfTeacherSettings),
    "localized": (LocalizedSettings,),
    "rationales": (RationalesSettings,),
    "preferences": (PreferencesSettings,),
    "instructions": (InstructionsSettings,),
    "rounds": (RoundSettings,),
    "unanswerable": (UnanswerableSettings,),
    "explanations": (ExplanationsSettings,),
    "dedupe": (dedupe.DedupeSettings,),
    "corpus": (CorpusSettings,),
    "run": (RunSettings,),
    "verbalize": (VerbalizeSettings,),
}


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    mark: str  # of the comment in the line above, empty where there is none
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    lines = page.read_text("utf-8").splitlines()
    start, language = 0, None
    for number, line in enumerate(lines):
        if language is None and (found := re.fullmatch(r"```(\w+)", line)):
            start, language = number, found[1]
        elif line == "```":
            assert language is not None, f"{page.name}:{number + 1}: a fence without a language, or one too many"
            mark = re.fullmatch(r"<!-- (run.*) -->", lines[start - 1])
            yield Block(page.name, start + 1, language, mark[1] if mark else "", "\n".join(lines[start + 1 : number]))
            language = None
    assert language is None, f"{page.name}: the last fence is not closed"


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def table_after(mark: str) -> list[list[str]]:
    """The cells of the table after the line `<!-- mark -->`, its head left out."""
    for page in PAGES:
        text = page.read_text("utf-8")
        if f"<!-- {mark} -->\n" in text:
            return rows_of(text.partition(f"<!-- {mark} -->\n")[2].splitlines())
    raise AssertionError(f"no page has the table {mark!r}")


def rows_of(lines: list[str]) -> list[list[str]]:
    end = next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:end]]


def names_in(mark: str) -> set[str]:
    names = [row[0].strip("`") for row in table_after(mark)]
    assert len(set(names)) == len(names) > 0, f"{mark}: a name twice, or none"
    return set(names)


# ---- what runs ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder_of_a_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with photographs and with what the README's own code builds from them."""
    import datasets.config

    folder = tmp_path_factory.mktemp("docs")
    write_scenes(folder / "photos", 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "hf")
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        run_page("README.md")
        assert (folder / "runs/street/corpus/manifest.json").exists()
        yield folder


def run_page(page: str) -> None:
    import duckdb

    names: dict[str, Any] = {"__name__": "docs"}  # Any: whatever the page defines
    for block in [block for block in BLOCKS if block.page == page and block.mark]:
        if block.mark == "run: journal":
            with closing(sqlite3.connect("runs/street/journal.sqlite")) as journal:
                assert journal.execute(block.text).fetchall(), str(block)
        elif block.language == "sql":
            # An empty answer may be right, a column that is not there is an error.
            with duckdb.connect() as connection:
                assert connection.execute(block.text).description, str(block)
        else:
            exec(compile(block.text, str(block), "exec"), names)


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS if block.mark} - {"README.md"}))
def test_marked_blocks_run(page: str, folder_of_a_user: Path) -> None:
    run_page(page)


def test_marks_stand_before_code_that_can_be_run() -> None:
    marked = [block for block in BLOCKS if block.mark]
    assert {block.language for block in marked} == {"python", "sql"}
    shown = sum(len(re.findall(r"^<!-- run.* -->$", page.read_text("utf-8"), re.MULTILINE)) for page in PAGES)
    assert shown == len(marked), "a mark that stands before no block"
    assert [str(b) for b in BLOCKS if b.language in ("python", "sql") and not b.mark] == []


def test_the_row_in_the_readme_has_the_fields_of_a_row() -> None:
    (block,) = [block for block in BLOCKS if block.page == "README.md" and block.language == "json"]
    assert list(json.loads(block.text)) == PublicForm(KIND, "").flat_schema.names


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "yaml"], ids=str)
def test_yaml_is_a_recipe_or_a_price_table(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    part_of_recipe = "recipe: localized\ncorpus: {license: other, source: a test, intended_use: a test}\n"
    is_part = yaml.safe_load(block.text).keys() == {"critics"}
    file.write_text(f"{part_of_recipe if is_part else ''}{block.text}", "utf-8")
    if "models" in yaml.safe_load(block.text):
        assert load_prices(file).own
    else:
        assert load(str(file)).recipe == yaml.safe_load(file.read_text("utf-8"))["recipe"]


# ---- command lines --------------------------------------------------------------------------------------------------


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every `ostensive ...` on the pages, as its arguments, with where it stands."""
    for block in BLOCKS:
        if block.language not in ("sh", "console"):
            continue
        lines = block.text.replace("\\\n", " ").splitlines()
        if block.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        for line in lines:
            for part in re.split(r" && | > ", line):
                words = shlex.split(part, comments=True)
                if words[:2] == ["uv", "run"]:
                    words = words[2:]
                if words[:1] == ["ostensive"]:
                    yield str(block), words[1:]
    for page in PAGES:
        for code in re.findall(r"`(ostensive [^`\n]+)`", page.read_text("utf-8")):
            yield page.name, [*shlex.split(code)[1:], "..."]  # in running text a command may be abridged


COMMAND_LINES = list(command_lines())


@pytest.mark.parametrize(("place", "words"), COMMAND_LINES, ids=[f"{p} {' '.join(w)[:40]}" for p, w in COMMAND_LINES])
def test_command_lines_parse(place: str, words: list[str]) -> None:
    command: Any = typer.main.get_command(app)  # Any: typer keeps the classes of its commands to itself
    settings_of: dict[str, type[Settings]] = {"critic": TrainSettings, "student": StudentSettings}
    trained = settings_of.get(words[0]) if words[1:2] == ["train"] else None
    recipe = next((word for word in words if word in MODULES), "localized")
    while hasattr(command, "commands") and words and not words[0].startswith(("-", "...")):
        assert words[0] in command.commands, f"{place}: no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    given = [word for word in words if word != "..."]
    options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    assert not [word for word in given if word.startswith("--") and word not in options], place
    if given == words and not hasattr(command, "commands"):
        command.make_context("ostensive", list(words))  # raises where an argument or an option is missing or wrong
    assignments = [value for name, value in pairwise(given) if name == "--set"]
    refused = [text for text in assignments if text.startswith(SHOWN_TO_BE_REFUSED)]
    profile = next((value for name, value in pairwise(given) if name == "--profile" and value != "NAME"), None)
    if trained is not None:
        own = {"backbone": "vlm", "model": "m"} if trained is TrainSettings else {"base": "m"}
        values = {**own, **parse_assignments(assignments)}
        validate(ImageTextSettings if values.get("objective") == IMAGE_TEXT else trained, values, place)
    elif "A.B=C" not in assignments:
        accepted = [text for text in assignments if text not in refused]
        load(recipe, profile=profile, assignments=accepted, stand_ins=STAND_INS)


def options_of(command: Any) -> set[str]:  # Any: as above
    """The options of a command and of those below it."""
    found = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    return found.union(*map(options_of, getattr(command, "commands", {}).values()))


def test_options_in_running_text_exist() -> None:
    known = options_of(typer.main.get_command(app))
    for page in PAGES:
        named = re.findall(r"(?:`|\| )(--[a-z][a-z-]+)", page.read_text("utf-8"))
        assert [name for name in named if name not in known] == [], page.name


def test_command_lines_are_found() -> None:
    shown = {words[0] for _, words in COMMAND_LINES}
    assert shown >= {"demo", "build", "preview", "estimate", "status", "recipes", "serve-scripted"}


# ---- settings -------------------------------------------------------------------------------------------------------


def test_settings_that_are_named_exist() -> None:
    for page in PAGES:
        for key in re.findall(
            r"`((?:critics|" + "|".join(SECTIONS) + r")(?:\.[a-z_]+)+)(?:=[^`]*)?`", page.read_text()
        ):
            assert key in KNOWN or key in ("run.json", "annotations.sqlite", SHOWN_TO_BE_REFUSED), f"{page.name}: {key}"


def setting_rows() -> dict[str, str]:
    """The default that the tables of settings give for each setting."""
    shown: dict[str, str] = {}
    for page in PAGES:
        for text in page.read_text("utf-8").split("| setting | default | what it does |\n")[1:]:
            for key, default, *_ in rows_of(["|", *text.splitlines()]):
                assert key not in shown, f"{page.name}: {key} is in two tables"
                shown[key.strip("`")] = default.strip("`")
    return shown


def default_of(key: str) -> str:
    """The default of a setting, looked for in every kind of its section."""
    section, *parts = key.split(".")
    models: list[type[Settings]] = list(SECTIONS[section])
    for position, part in enumerate(parts):
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        assert fields, f"{key}: nobody has {part}"
        if position == len(parts) - 1:
            field = fields[0]
            if field.is_required():
                return "required"
            # A section may give a setting of its own kind another default than the kind has.
            value = field.get_default(call_default_factory=True)
            if isinstance(value, tuple):
                return f"[{', '.join(map(str, value))}]"
            return value if isinstance(value, str) else json.dumps(value)
        models = [section for field in fields for section in sections_of(field.annotation)]
    raise AssertionError(key)


def test_tables_of_settings_are_whole_and_give_the_defaults() -> None:
    shown = setting_rows()
    assert {key: default_of(key) for key in shown} == shown
    wanted = {key for key in KNOWN if key.count(".") == 1 and key.split(".")[0] in SECTIONS}
    wanted -= {key for key in KNOWN if key.endswith(".kind") or key.startswith("verbalize.")}
    wanted -= {key for key in KNOWN if any(other.startswith(f"{key}.") for other in KNOWN)}  # sections within sections
    assert wanted <= shown.keys()


def operational_keys(settings: Settings, prefix: str = "") -> Iterator[str]:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if any(isinstance(mark, OperationalMark) for mark in field.metadata):
            yield prefix + name
        elif isinstance(value, Settings):
            yield from operational_keys(value, f"{prefix}{name}.")


def test_the_list_of_settings_that_change_no_row() -> None:
    text = (ROOT / "docs/recipes.md").read_text("utf-8").partition("<!-- operational -->")[2]
    served = load("localized", stand_ins=STAND_INS, assignments=["teacher.kind=served", "teacher.model=m"])
    assert set(re.findall(r"`([a-z_.]+)`", text)) == set(operational_keys(served))


# ---- reasons, fields, errors ----------------------------------------------------------------------------------------


def first_arguments(module: ModuleType, calls: set[str]) -> set[str]:
    """What a module gives as the first argument to calls of these names: literals, and constants by name."""
    found = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in calls:
            match node.args[0]:
                case ast.Constant(value=str(text)):
                    found.add(text)
                case ast.Name(id=name):
                    found.add(str(vars(module)[name]))
                case other:
                    raise AssertionError(f"{module.__name__}: {ast.unparse(other)} is no reason that can be read")
    return found


def rule_reasons() -> set[str]:
    """What the rules return besides the empty string."""
    found = set()
    for rule in rules.RULES.values():
        for node in ast.walk(ast.parse(inspect.getsource(rule))):
            if not isinstance(node, ast.Return) or node.value is None:
                continue
            branches = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
            for value in branches:
                if isinstance(value, ast.Constant):
                    found.add(str(value.value))
                else:
                    assert isinstance(value, ast.JoinedStr), ast.unparse(value)
                    ending = str(value.values[-1].value) if isinstance(value.values[-1], ast.Constant) else ""
                    found |= {f"{name}{ending}" for name in KIND.parts}
    return found - {""}


def teacher_reasons(stops: bool) -> set[str]:
    decisions = [retry.decide_on_status(status) for status in range(300, 600)]
    decisions += [retry.decide_on_status(429, "insufficient_quota")]
    decisions += [value for value in vars(retry).values() if isinstance(value, retry.RetryDecision)]
    stopping = (retry.Action.REFUSE, retry.Action.DOUBT)
    found = {decision.reason for decision in decisions if (decision.action in stopping) == stops}
    if not stops:
        found |= {replies.REFUSED, replies.TRUNCATED, replies.FILTERED}
    return found


def phrases_of(module: ModuleType) -> set[str]:
    """The texts that a module itself has as public constants."""
    own = re.findall(r"^([A-Z][A-Z_]*)\b.* = ", inspect.getsource(module), re.MULTILINE)
    return {value for value in (getattr(module, name) for name in own) if isinstance(value, str)}


def test_the_tables_of_reasons_are_those_of_the_code() -> None:
    phrases = phrases_of(refusals)
    assert names_in("reasons: images failed") == refusals.FAULTS
    assert names_in("reasons: images dropped") == phrases - refusals.FAULTS
    assert names_in("reasons: annotations") == set(annotations.REASONS)
    assert names_in("reasons: corpus") == {IMAGE_UNREADABLE, IMAGE_UNPUBLISHABLE, ROWS_UNWRITABLE, IN_NO_SPLIT}
    cleared = first_arguments(benchmark_images, {"Dropped", "Failed"})
    assert names_in("reasons: cleared") == cleared | first_arguments(benchmark_texts, {"Dropped"})
    assert names_in("reasons: candidates") == set(triples.REASONS)
    assert names_in("reasons: rationales") == set(rationale_replies.REASONS)
    assert names_in("reasons: pairs") == {*sides.REASONS, asking.UNREADABLE}
    assert names_in("reasons: instructions") == {
        *(*instruction_items.REASONS, *instruction_replies.REASONS, asking.UNREADABLE)
    }
    assert names_in("reasons: explanations") == {
        *describing.REASONS,
        *answering.REASONS,
        *taking_over.REASONS,
        asking.UNREADABLE,
        comparing.NOT_FINITE,
    }
    assert names_in("reasons: concepts") == set(asking_concepts.REASONS)
    assert names_in("reasons: unanswerable") == {placing.NO_PREMISE, placing.NO_PLACE}
    assert names_in("reasons: unique") == first_arguments(dedupe, {"Dropped", "Failed"})
    assert names_in("reasons: verbalized") == first_arguments(verbalizing, {"Dropped", "Failed"})
    assert names_in("reasons: judged") == rule_reasons()
    assert {row[1].strip("`") for row in table_after("reasons: judged")} == set(rules.RULES)
    assert names_in("reasons: critics") == {
        *(phrase for critic in CRITICS.values() for phrase in phrases_of(sys.modules[critic.__module__])),
        *(judge.low_reason(part) for part in KIND.judged_parts),
    }
    assert names_in("reasons: teacher failed") == teacher_reasons(stops=False)
    assert names_in("reasons: teacher stops") == teacher_reasons(stops=True)
    assert names_in("faults") == set(FAULT_KINDS)


def test_the_table_of_annotations_is_that_of_the_code() -> None:
    shown = {row[0].strip("`"): tuple(re.findall(r"`(\w+)`", row[1])) for row in table_after("annotation fields")}
    assert shown == annotation_columns.COLUMNS


def test_the_tables_of_fields_are_those_of_the_corpus() -> None:
    form = PublicForm(KIND, "")
    assert [row[0].strip("`") for row in table_after("fields: image")] == ["image", *form.sample_schema.names]
    assert [row[0].strip("`") for row in table_after("fields: row")] == form.flat_schema.names


def test_errors_that_are_named_are_in_the_code() -> None:
    said = "\n".join(
        node.value
        for room in ("ostensive", "builders", "cards")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    text = (ROOT / "docs/building.md").read_text("utf-8").partition("| the line says | do this |\n")[2]
    phrases = [phrase for row in rows_of(["|", *text.splitlines()]) for phrase in re.findall(r"`([^`]+)`", row[0])]
    assert len(phrases) > 15
    assert [phrase for phrase in phrases if phrase not in said] == []


# ---- links ----------------------------------------------------------------------------------------------------------


def anchors_of(page: Path) -> set[str]:
    plain = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    plain = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", plain):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.is_file(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors_of(file), f"{page.name}: {target}"


def test_every_page_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert [page.name for page in PAGES[2:] if f"](docs/{page.name})" not in text] == []


def test_every_benchmark_is_named() -> None:
    text = (ROOT / "docs/development.md").read_text("utf-8")
    assert [path.name for path in (ROOT / "benchmarks").glob("*.py") if f"benchmarks/{path.name} " not in text] == []


def test_no_page_is_of_a_machine() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        assert not re.search(r"(?<![\w.])/(?:home|tmp|root|work|usr)/", text), page.name
        assert text.isascii() or page.name == "images.md", f"{page.name}: only DuckDB's table is not ASCII"

import dataclasses
import json
from dataclasses import dataclass

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.records import Qar
from ostensive import arrow
from ostensive.records import (
    NO_SPEND,
    Box,
    ImageRecord,
    Judged,
    Judgement,
    Location,
    Probe,
    Region,
    Spend,
    Verbalization,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
corners = st.tuples(st.floats(0, 0.49), st.floats(0, 0.49), st.floats(0.5, 1), st.floats(0.5, 1))
regions = st.builds(
    Region,
    number=st.integers(0, 99),
    box=corners.map(lambda c: Box(*c)),
    label=texts,
    label_probability=st.none() | st.floats(0, 1),
    caption=texts,
)
verbalizations = st.builds(
    Verbalization,
    image_id=texts,
    concepts=st.lists(texts, max_size=3).map(tuple),
    narratives=st.lists(texts, max_size=3).map(tuple),
    regions=st.lists(regions, max_size=3).map(tuple),
    probes=st.lists(st.builds(Probe, texts, texts), max_size=3).map(tuple),
)


def qar(row_id: str = "r", mentions: tuple[int, ...] = (1, 0)) -> Qar:
    return Qar(row_id, "image", "ids", "Why?", "So.", "Because.", mentions, "teacher", "prompt", "key")


@given(st.lists(verbalizations, max_size=4))
def test_records_survive_the_way_to_arrow_and_back(records: list[Verbalization]) -> None:
    assert arrow.from_table(arrow.to_table(records, Verbalization), Verbalization) == records


def test_a_parametrised_record_takes_its_argument_into_the_schema() -> None:
    judged = Judged(qar(), (Judgement("rules", "1", 0.0, False, "hedging"),))
    table = arrow.to_table([judged], Judged[Qar])
    assert table.schema.field("candidate").type.field("mentions").type == pa.list_(pa.int64())
    assert arrow.from_table(table, Judged[Qar]) == [judged]


def test_optional_records_and_fields_may_be_null() -> None:
    plain_file = ImageRecord("a" * 64, 2, 1, "PNG", "RGB", 70, "x.png", Location("/x.png"))
    in_a_tar = ImageRecord("b" * 64, 2, 1, "PNG", "RGB", 70, "y.tar!x", Location("/y.tar", 512, 70))
    table = arrow.to_table([plain_file, in_a_tar], ImageRecord)
    assert table.column("location").to_pylist()[0] == {"path": "/x.png", "offset": None, "length": None, "column": None}
    assert arrow.from_table(table, ImageRecord) == [plain_file, in_a_tar]


def test_the_digest_depends_on_values_and_not_on_chunks_or_metadata() -> None:
    table = arrow.to_table([qar("a"), qar("b")], Qar)
    in_two = pa.concat_tables([table.slice(0, 1), table.slice(1)]).replace_schema_metadata({"x": "y"})
    assert arrow.digest(table) == arrow.digest(in_two)
    assert arrow.digest(table) != arrow.digest(arrow.to_table([qar("a"), qar("c")], Qar))
    assert arrow.digest(table) != arrow.digest(table.rename_columns([f"{n}_" for n in table.column_names]))


def test_a_hint_without_an_arrow_type_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        value: complex

    with pytest.raises(TypeError, match="no Arrow type for the hint <class 'complex'>"):
        arrow.schema_of(Odd)


@dataclass(frozen=True)
class _Placed:
    location: Location | None


def test_the_plain_form_of_a_record() -> None:
    judged = Judged(qar(), (Judgement("rules", "1", 1.0, True, ""),))
    region = Region(0, Box(0, 0, 0.5, 1), "area", None, "c")
    for value, hint in ((judged, Judged[Qar]), (region, Region), (NO_SPEND, Spend)):
        make = arrow.plain_maker(hint)
        # Tuples become lists, as in JSON; for the rest the standard library says the same.
        assert json.dumps(make(value)) == json.dumps(dataclasses.asdict(value))
    assert arrow.plain_maker(_Placed)(_Placed(None)) == {"location": None}
    with pytest.raises(TypeError, match=r"^a record class is expected, not dict\[str, int\]$"):
        arrow.plain_maker(dict[str, int])


def test_plain_values_are_records_again_and_nothing_else_is() -> None:
    region = Region(3, Box(0.1, 0.2, 0.3, 0.4), "cat", None, "a cat")
    plain = arrow.plain_maker(Region)(region)
    assert arrow.from_plain([plain, {**plain, "more": 1}], Region) == [region, region]
    assert arrow.from_plain([], Region) == []
    without = {name: value for name, value in plain.items() if name != "label_probability"}
    assert arrow.from_plain([without], Region) == [region]
    for bad, words in (
        ({"number": "3"}, "str where int is expected"),
        ({"label": None}, "label is missing"),
        ({"box": {"x1": 0.1, "y1": 0.2, "x2": 0.3}}, "y2 is missing"),
        ({"box": {"x1": 0.9, "y1": 0.2, "x2": 0.3, "y2": 0.4}}, "not a box"),
        ({"caption": ["a"]}, "list where str is expected"),
        ({"number": True}, "bool where int"),
        ({"box": [0, 0, 1, 1]}, "list where fields are expected"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            arrow.from_plain([{**plain, **bad}], Region)

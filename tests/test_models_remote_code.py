"""Code that a model brings along is never run, and nobody is asked about it, by any loader."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders.embeddings import SentenceEmbedder
from critics.trained.blip2 import load_retrieval_model
from ostensive.errors import SettingsError
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import load_model
from ostensive.models.pretrained import code_refused
from ostensive.models.text_model import load_text_model
from verbalizers.detectors.models import HubDetectorSettings, load_detector


def generator(folder: Path) -> GeneratorSettings:
    return GeneratorSettings(model=str(folder), device="cpu")


def embed(folder: Path) -> None:
    with SentenceEmbedder(str(folder), device="cpu"):
        pass


LOADERS: dict[str, Callable[[Path], object]] = {
    "image-text": lambda folder: load_model(generator(folder)),
    "text": lambda folder: load_text_model(generator(folder)),
    "detector": lambda folder: load_detector(HubDetectorSettings(model=str(folder), device="cpu"), "ObjectDetection"),
    "critic": lambda folder: load_retrieval_model(str(folder), None, dtype="float32", device="cpu", expected="x"),
    "embedder": embed,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked on a terminal at which somebody says yes to all."""
    questions: list[str] = []

    def answer(question: str = "") -> str:
        questions.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    return questions


def bring_code(folder: Path, ran: Path, files: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "words.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Words: pass\n")
    for name, values in files.items():
        (folder / name).write_text(json.dumps(values))
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    return folder


CONFIG = {
    "model_type": "words",
    "auto_map": dict.fromkeys(("AutoConfig", "AutoModel", "AutoProcessor", "AutoTokenizer"), "words.Words"),
}


@pytest.mark.parametrize("loader", LOADERS)
def test_no_loader_runs_the_code_of_a_model(loader: str, asked: list[str], tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    folder = bring_code(tmp_path / "model", ran, {"config.json": CONFIG, "tokenizer_config.json": CONFIG})
    with pytest.raises(SettingsError) as refused:
        LOADERS[loader](folder)
    assert "model" in str(refused.value)
    assert str(refused.value).endswith(
        ": brings code of its own, which is never run; name a model that the installed libraries know"
    )
    assert asked == []
    assert not ran.exists()


@pytest.mark.parametrize("kind", ["AutoConfig", "AutoTokenizer", "AutoProcessor", "AutoImageProcessor", "AutoModel"])
def test_where_nobody_said_it_the_library_does_not_ask(kind: str, asked: list[str], tmp_path: Path) -> None:
    """Parts of a model that name another one are loaded by the library itself."""
    import transformers

    ran, library = tmp_path / "ran", transformers
    values = {**CONFIG, "auto_map": {kind: "words.Words", "AutoConfig": "words.Words"}}
    names = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
    folder = bring_code(tmp_path / "model", ran, dict.fromkeys(names, values))
    with pytest.raises(SettingsError, match="brings code of its own"), code_refused("it"):
        getattr(library, kind).from_pretrained(str(folder))
    assert asked == []
    assert not ran.exists()

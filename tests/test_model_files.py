"""What a model is known by: folders by content, models on the Hub by the commit that is here, or that is fetched.

The Hub's library reads its settings once, when it is imported. So what concerns it runs in a process of its own, with
an environment of its own, against a Hub of this test (`hub_server`) that keeps the contract of the real one.
"""

import json
import os
import pty
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_clip
import tiny_models
from hub_server import Hub, serve

from ostensive.errors import SettingsError
from ostensive.models.files import model_folder, model_version, pinned_commit

ROOT = Path(__file__).parent.parent
CONFIG = {"config.json": b'{"model_type": "llava"}'}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve(Hub()) as served:
        yield served


class Machine:
    """A user's machine: a cache of the Hub, an address, and processes that run there."""

    def __init__(self, folder: Path, address: str) -> None:
        self.cache = folder / "hub"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "HF_HOME": str(folder),
            "HF_HUB_CACHE": str(self.cache),
            "HF_ENDPOINT": address,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "OSTENSIVE_CACHE": str(folder / "ostensive"),
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def run(self, code: str, **environment: str) -> list[str]:
        """The lines that `code` prints; what it raises as a SettingsError is printed too."""
        lines = textwrap.dedent(code).strip().splitlines()
        # The first lines are what the code needs; the try is for what it does.
        body = "\n".join(f"    {line}" for line in lines)
        whole = (
            "from ostensive.errors import SettingsError\n"
            "from ostensive.models.files import cached_snapshot, hub_commit, model_version\n"
            f"try:\n{body}\n"
            "except SettingsError as error:\n    print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", whole],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**self.environment, **environment},
            check=False,
            timeout=300,  # for a machine that has much else to do
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", "standard error is for our own progress line"
        return done.stdout.splitlines()

    def version(self, name: str = "org/model", revision: str | None = None, **environment: str) -> str:
        (line,) = self.run(f"print(model_version({name!r}, {revision!r}))", **environment)
        return line

    def snapshot(self, name: str, commit: str) -> Path:
        return self.cache / f"models--{name.replace('/', '--')}" / "snapshots" / commit


@pytest.fixture
def machine(tmp_path: Path, hub: Hub) -> Machine:
    return Machine(tmp_path, hub.address)


def in_the_cache(machine: Machine, name: str, commit: str, ref: str | None = "main") -> Path:
    """Files of a model as huggingface_hub keeps them: blobs, a link to each in a snapshot, a commit for each ref."""
    snapshot = machine.snapshot(name, commit)
    snapshot.mkdir(parents=True)
    blob = snapshot.parent.parent / "blobs" / "1"
    blob.parent.mkdir(exist_ok=True)
    blob.write_bytes(CONFIG["config.json"])
    (snapshot / "config.json").symlink_to(blob)
    if ref is not None:
        (snapshot.parent.parent / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (snapshot.parent.parent / "refs" / ref).write_text(commit)
    return snapshot


def test_the_first_use_fetches_and_the_next_ones_stay(hub: Hub, machine: Machine) -> None:
    repository = hub.add("org/model", CONFIG)
    first = repository.refs["main"]
    assert machine.version() == f"commit:{first}"
    assert hub.asked_of("org/model") == [
        "HEAD /org/model/resolve/main/config.json",
        "HEAD /org/model/resolve/main/config.json",
        "GET /org/model/resolve/main/config.json",
    ]
    second = repository.push({**CONFIG, "README.md": b"new words"})
    assert machine.version() == f"commit:{first}", "a resumed run does not pay twice"
    assert hub.asked_of("org/model") == []
    assert machine.version(HF_HUB_OFFLINE="1") == f"commit:{first}"
    assert machine.version(revision=second) == f"commit:{second}"
    assert machine.version(revision=first) == f"commit:{first}"
    assert hub.asked_of("org/model") == [], "a commit is its own name"
    assert machine.version(revision="main") == f"commit:{first}"


def test_nothing_is_drawn_on_a_terminal(hub: Hub, machine: Machine) -> None:
    """Standard error is for our own progress line; the library draws its bars on terminals alone."""
    hub.add("org/model", CONFIG)
    terminal, ours = pty.openpty()
    code = "from ostensive.models.files import hub_commit; hub_commit('org/model')"
    subprocess.run([sys.executable, "-c", code], stderr=ours, cwd=ROOT, env=machine.environment, check=True)
    os.write(ours, b"end")
    assert os.read(terminal, 10_000) == b"end"
    os.close(terminal)
    os.close(ours)


def test_branches_and_tags(hub: Hub, machine: Machine) -> None:
    repository = hub.add("org/model", CONFIG)
    main = repository.refs["main"]
    tag = repository.push({**CONFIG, "x": b"1"}, "v1.0")
    request = repository.push({**CONFIG, "x": b"2"}, "refs/pr/4")
    assert machine.version(revision="v1.0") == f"commit:{tag}"
    assert machine.version(revision="refs/pr/4") == f"commit:{request}"
    repository.push({**CONFIG, "x": b"3"}, "refs/pr/4")
    assert machine.version(revision="refs/pr/4") == f"commit:{request}"
    assert machine.version() == f"commit:{main}"


def test_what_lies_in_the_cache_is_taken_without_a_network(hub: Hub, machine: Machine) -> None:
    in_the_cache(machine, "org/model", "a" * 40)
    in_the_cache(machine, "org/model", "b" * 40, "v2")
    in_the_cache(machine, "org/model", "c" * 40, None)
    assert machine.version() == f"commit:{'a' * 40}"
    assert machine.version(revision="v2") == f"commit:{'b' * 40}"
    assert hub.asked == []
    lines = machine.run(
        """
        for revision in (None, "v2", "c" * 40, "d" * 40, "v3", "../../x"):
            print(cached_snapshot("org/model", revision))
        print(cached_snapshot("org/other"))
        """
    )
    expected = [str(machine.snapshot("org/model", letter * 40)) for letter in "abc"]
    assert lines == [*expected, "None", "None", "None", "None"]


@pytest.mark.parametrize("content", ["", "main", "a" * 39, "../" + "a" * 37])
def test_a_broken_cache_is_asked_past(hub: Hub, machine: Machine, content: str) -> None:
    repository = hub.add("org/model", CONFIG)
    snapshot = in_the_cache(machine, "org/model", "a" * 40)
    (snapshot.parent.parent / "refs" / "main").write_text(content)
    assert machine.version() == f"commit:{repository.refs['main']}"


def test_a_ref_without_files_is_asked_past(hub: Hub, machine: Machine) -> None:
    repository = hub.add("org/model", CONFIG)
    snapshot = in_the_cache(machine, "org/model", "a" * 40)
    (snapshot / "config.json").unlink()
    snapshot.rmdir()
    assert machine.version() == f"commit:{repository.refs['main']}"


def test_a_process_stays_with_what_it_was_told(hub: Hub, machine: Machine) -> None:
    """Another program moves the branch in the shared cache between planning and loading."""
    in_the_cache(machine, "org/model", "a" * 40)
    lines = machine.run(
        """
        from pathlib import Path
        print(hub_commit("org/model"))
        folder = cached_snapshot("org/model")
        folder.with_name("b" * 40).mkdir()
        (folder.parent.parent / "refs" / "main").write_text("b" * 40)
        print(cached_snapshot("org/model").name)
        print(hub_commit("org/model"))
        """
    )
    assert lines == ["a" * 40, "b" * 40, "a" * 40]


def test_why_a_model_cannot_be_had(hub: Hub, machine: Machine) -> None:
    hub.add("org/gated", CONFIG).is_gated = True
    hub.add("org/words", {"README.md": b"no model"})
    refusals = machine.run(
        """
        for name, revision in (
            ("org/gated", None), ("org/none", None), ("org/words", None), ("org/words", "v9"), ("not a name", None),
        ):
            try:
                print(hub_commit(name, revision))
            except SettingsError as error:
                print(error)
        """
    )
    assert refusals == [
        f"org/gated: is gated; accept its terms at {hub.address}/org/gated, then run hf auth login or set HF_TOKEN",
        "org/none: there is no such folder, and no such model on the Hugging Face Hub; mend the name, or for a private "
        "model run hf auth login or set HF_TOKEN",
        "org/words: has no config.json at revision 'main' on the Hugging Face Hub, so it is no model of this kind",
        "org/words: has no revision 'v9' on the Hugging Face Hub; a branch, tag or commit is expected",
        "'not a name' is neither a folder nor a name as the Hugging Face Hub has them",
    ]
    assert machine.version(HF_HUB_OFFLINE="1") == (
        "org/model: is not in the local cache, and HF_HUB_OFFLINE is set; unset it, or bring it there: "
        "hf download org/model"
    )
    assert machine.version(revision="v1", HF_HUB_OFFLINE="1").endswith("hf download org/model --revision v1")
    unreachable = machine.version(HF_ENDPOINT="http://127.0.0.1:1")
    assert unreachable.startswith(
        "org/model: is not in the local cache, and http://127.0.0.1:1 does not give it (ConnectError: "
    )
    assert unreachable.endswith("); mend the connection, or bring it there: hf download org/model")
    for proxy in ("socks4://127.0.0.1:9", "http://127.0.0.1:port"):
        said = machine.version(HF_ENDPOINT="http://hub.example", http_proxy=proxy)
        assert said.startswith(
            f"org/model: is not in the local cache, and http_proxy names the proxy {proxy} for hub.example: "
        )
        assert said.endswith(
            "; or unset it (unset http_proxy), or add hub.example to NO_PROXY; or bring it there: hf download org/model"
        )


def test_folders_are_known_by_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")
    told = model_version(str(one))
    assert told.startswith("sha256:")
    assert len(told) == 7 + 64
    assert model_version(str(two), "v1") == told, "a folder has no revisions"
    (two / "training.log").write_text("step 1")
    assert model_version(str(two)) == told
    (two / "checkpoint-7").mkdir()
    (two / "checkpoint-7" / "model.safetensors").write_text("x")
    assert model_version(str(two)) == told, "nothing of it is loaded"
    for below in ("additional_chat_templates/tool.jinja", "qformer_tokenizer/vocab.txt", "1_Pooling/config.json"):
        (two / below).parent.mkdir()
        (two / below).write_text("x")
        assert model_version(str(two)) != told, below
        (two / below).unlink()
    (one / "model.safetensors").write_bytes(b"weighty")
    assert model_version(str(one)) != told
    assert pinned_commit(str(one)) is None
    assert model_folder("org/name") is None
    for name in (str(tmp_path / "gone"), "./gone", "~/gone", "a/b/c"):
        with pytest.raises(SettingsError) as caught:
            model_version(name)
        assert str(caught.value) == (
            f"{name}: there is no such folder; a folder or a name on the Hugging Face Hub is expected"
        )


def test_the_offline_profile_asks_nobody(hub: Hub, machine: Machine) -> None:
    lines = machine.run(
        """
        from builders.table import load, recipe_kind
        corpus = ["corpus.license=other", "corpus.source=mine", "corpus.intended_use=to test"]
        recipe = load("localized", assignments=corpus)
        for stage in recipe_kind(recipe.recipe).make_stages(recipe):
            print(stage.name, bool(stage.identity))
        """
    )
    assert lines == ["verbalized True", "candidates True", "unique True", "scored True", "judged True"]
    assert hub.asked == []


# ---- the real thing: models with weights, through the loaders -----------------------------------------------------


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def push(hub: Hub) -> str:
    """Code that lets `hub.on_push` happen at this point of a process."""
    return f"urllib.request.urlopen({hub.address + '/push'!r}).read()"


LOADING = """
    import hashlib, torch, urllib.request
    torch.set_num_threads(1)
    from ostensive.models.loading import load_model
    from ostensive.models.generator_settings import GeneratorSettings
    from verbalizers.base import VerbalizerContext
    from verbalizers.image_text.settings import GeneratorNarrativeSettings
    from verbalizers.image_text.verbalizers import ModelNarratives

    def show(revision, between):
        values = {"model": "org/vlm", "revision": revision, "device": "cpu"}
        print(ModelNarratives(GeneratorNarrativeSettings(**values), VerbalizerContext(seed=0)).version)
        between()
        loaded = load_model(GeneratorSettings(**values))
        digest = hashlib.sha256()
        for name, tensor in sorted(loaded.model.state_dict().items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
        print(loaded.commit, digest.hexdigest(), repr(loaded.processor.chat_template))
    """


@pytest.mark.slow
def test_a_model_is_loaded_at_the_commit_it_is_known_by(
    hub: Hub, machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """From the Hub, by name, as users do it; then again after a push, and without a network."""
    files = files_of(tiny_models.tiny_model("llava", tmp_path_factory))
    weights = files["model.safetensors"]
    other = {
        **files,
        "model.safetensors": weights[:-64] + bytes(64),
        "chat_template.jinja": b"{{ 'other' }}",
    }
    repository = hub.add("org/vlm", files)
    hub.on_push = lambda: repository.push(other)
    first = repository.refs["main"]

    # Between planning and loading somebody pushes other weights and another template.
    pickled = hub.add("org/pickled", {**{k: v for k, v in files.items() if k != "model.safetensors"}, "x.bin": b"x"})
    newer = repository.push(other, "next")
    cold = machine.run(
        LOADING
        + f"""
    show(None, lambda: {push(hub)})
    show("{newer}", lambda: None)
    load_model(GeneratorSettings(model="org/pickled", device="cpu"))
    """
    )
    assert repository.refs["main"] != first, "the push has happened"
    assert cold[0] == f"generator-4:commit:{first}"
    commit, digest, template = cold[1].split(" ", 2)
    assert commit == first
    assert template == repr(tiny_models.CHAT_TEMPLATE)
    assert cold[2] == f"generator-4:commit:{newer}"
    commit, other_digest, template = cold[3].split(" ", 2)
    assert commit == newer
    assert other_digest != digest
    assert template == repr("{{ 'other' }}")
    assert cold[4:] == [
        f"org/pickled: has no model.safetensors at commit {pickled.refs['main']}, and other weights are not read (a "
        "pickle may run code); name another revision, or a folder where you saved it with save_pretrained"
    ]
    asked = hub.asked_of("org/vlm")
    assert f"HEAD /org/vlm/resolve/{first}/model.safetensors" in asked
    unpinned = [line for line in asked if first not in line and newer not in line]
    assert set(unpinned) == {f"{method} /org/vlm/resolve/main/config.json" for method in ("HEAD", "GET")}
    assert machine.run(LOADING + "show(None, lambda: None)", HF_HUB_OFFLINE="1") == cold[:2]
    assert hub.asked == []


def clip_files(folder: Path, seed: int, tokenizer: str | None = None) -> dict[str, bytes]:
    """A model as open_clip puts it on the Hub; `tokenizer` is the name of one that transformers loads."""
    files = files_of(tiny_clip.write_folder(folder, seed))
    if tokenizer is not None:
        config = json.loads(files["open_clip_config.json"])
        config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = tokenizer
        files["open_clip_config.json"] = json.dumps(config).encode()
    return files


@pytest.mark.slow
def test_models_of_open_clip_are_loaded_at_the_commits_they_are_known_by(
    hub: Hub, machine: Machine, tmp_path: Path
) -> None:
    """All in one process, for importing open_clip takes longer than everything else here."""
    tiny_models._tokenizer().save_pretrained(tmp_path / "words")
    words = files_of(tmp_path / "words")
    second = clip_files(tmp_path / "2", 2)
    clip = hub.add("org/clip", clip_files(tmp_path / "1", 1))
    own = hub.add("org/own", {**clip_files(tmp_path / "own", 1, "org/own"), **words})
    other = hub.add("org/other", clip_files(tmp_path / "other", 1, "org/words"))
    tokenizer = hub.add("org/words", words)
    bare = hub.add("org/bare", {"open_clip_config.json": second["open_clip_config.json"]})
    hub.add("org/none", {"README.md": b"no model"})
    hub.add("org/odd", {"open_clip_config.json": b"[]"})
    hub.add("org/broken", {"open_clip_config.json": b"{"})
    everything = (clip, own, other, tokenizer)
    commits = [repository.refs["main"] for repository in everything]
    hub.on_push = lambda: [repository.push({**second, "tokenizer.json": b"{}"}) for repository in everything]
    newer = clip.push(second, "next")

    lines = machine.run(
        f"""
        import torch, urllib.request
        torch.set_num_threads(1)
        from ostensive.models.clip_files import weights_version
        from ostensive.models.clip_model import ClipModel
        from verbalizers.clip.settings import ClipConceptSettings
        names = ["hf-hub:org/clip", "hf-hub:org/own", "hf-hub:org/other", "hf-hub:org/clip@next"]
        for name in names:
            print(weights_version(name, None))
        {push(hub)}
        for name in [*names, "local-dir:{tmp_path}/1", "local-dir:{tmp_path}/2"]:
            with ClipModel(ClipConceptSettings(model=name, device="cpu")).opened() as model:
                told = [round(value, 4) for value in model.encode_texts(["a harbour"])[0].tolist()]
                print(type(model._tokenizer).__name__, model._tokenizer(["a harbour"])[0].tolist(), told)
        for name in ("org/none", "org/odd", "org/broken", "org/bare"):
            try:
                with ClipModel(ClipConceptSettings(model=f"hf-hub:{{name}}", device="cpu")).opened():
                    print("loaded")
            except SettingsError as error:
                print(error)
        """
    )
    versions, (plain, with_own, with_other, at_next, local, local_next), refusals = lines[:4], lines[4:10], lines[10:]
    assert clip.refs["main"] != commits[0], "the push has happened"
    assert versions == [
        f"commit:{commits[0]}",
        f"commit:{commits[1]}+{commits[1]}",
        f"commit:{commits[2]}+{commits[3]}",
        f"commit:{newer}",
    ]
    assert plain.startswith("SimpleTokenizer ")
    assert with_own.startswith("HFTokenizer ")
    assert plain == local != at_next == local_next, "the same as open_clip's own loading of the same files"
    assert with_own == with_other, "the tokenizer of another model, at the commit from before the push"
    assert refusals == [
        "org/none: has no open_clip_config.json at revision 'main' on the Hugging Face Hub, so it is no model of this "
        "kind",
        "model: open_clip_config.json of org/odd has no model_cfg; a model as open_clip saves it is expected",
        "model: open_clip_config.json of org/broken cannot be read as JSON (Expecting property name enclosed in double "
        "quotes: line 1 column 2 (char 1))",
        f"model: the weights of hf-hub:org/bare cannot be had at commit {bare.refs['main']}: Failed to download file "
        "(open_clip_pytorch_model.bin) for org/bare. Last error: 404 Client Error.",
    ]

"""A corpus is published on a Hub of this test by the real client, interrupted, resumed, changed and taken off again."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import caption_kind
import pytest
from hub_server import Hub, serve
from hub_state import Fault, User
from published_run import TOKEN, PublishedRun, drawn_run, logged_in

from cards.hub.faults import HubConflictError, HubError
from cards.hub.plan import PublishPlan
from cards.hub.published import PUBLISHED_NAME
from cards.reading import read_corpus
from cards.takedown import take_down
from cards.takedowns import Takedown, write_takedowns
from ostensive.errors import Interrupted, OstensiveError, SettingsError

NAME = "me/noted"
SENDING = ("POST /api/repos", "POST /api/datasets", "POST /datasets", "PUT /")  # requests that change the Hub


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> PublishedRun:
    return drawn_run(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def made(drawn: PublishedRun, tmp_path: Path) -> PublishedRun:
    shutil.copytree(drawn.path, tmp_path / "run")
    return PublishedRun(drawn.images, tmp_path / "run")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub()) as found:
        logged_in(monkeypatch, found, tmp_path)
        yield found


def large_bytes(run: PublishedRun) -> int:
    return sum(len(data) for path, data in run.files().items() if path.endswith((".tar", ".parquet")))


def without_git(hub: Hub, name: str = NAME) -> dict[str, bytes]:
    """What the Hub has of ours."""
    return {path: data for path, data in hub.data_set(name).head.items() if path != ".gitattributes"}


def nothing_was_sent(hub: Hub) -> bool:
    return not any(line.startswith(SENDING) for line in hub.asked)


def edit(hub: Hub, files: dict[str, bytes]) -> str:
    """A commit of somebody else."""
    repository = hub.data_set(NAME)
    return repository.push({**repository.head, **files})


def card_of(hub: Hub) -> str:
    return hub.data_set(NAME).head["README.md"].decode()


# ---- it goes well ---------------------------------------------------------------------------------------------------


def test_what_is_published_is_the_corpus(made: PublishedRun, hub: Hub) -> None:
    shown: list[PublishPlan] = []

    def confirm(plan: PublishPlan) -> bool:
        assert nothing_was_sent(hub)
        shown.append(plan)
        return True

    done = made.publish(confirm=confirm)
    repository = hub.data_set(NAME)
    assert without_git(hub) == made.files()
    assert repository.is_private
    assert done.commit == repository.refs["main"]
    assert repository.tags == {"v1": done.commit}
    assert list(repository.messages.values()) == ["initial commit", "noted: 14 rows about 7 images"], "one commit"
    assert hub.take_received() == large_bytes(made)
    (plan,) = shown
    assert plan == done.plan
    assert (plan.is_new, plan.images, plan.rows, plan.license, plan.tag) == (True, 7, 14, "cc0-1.0", "v1")
    assert {file.path: file.byte_count for file in plan.of("new")} == {p: len(d) for p, d in made.files().items()}


def test_again_without_a_change_nothing_is_done(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    hub.asked.clear()
    done = made.publish()
    assert done.commit is None
    assert done.plan.is_empty
    assert nothing_was_sent(hub)
    assert list(hub.data_set(NAME).tags) == ["v1"]


def test_a_dry_run_sends_nothing(made: PublishedRun, hub: Hub) -> None:
    before = made.files()
    done = made.publish(dry_run=True)
    assert (done.commit, len(done.plan.of("new"))) == (None, len(before))
    assert nothing_was_sent(hub)
    assert not hub.repositories
    assert made.files() == before
    assert not (made.path / PUBLISHED_NAME).exists()


def test_a_person_who_says_no_is_heard(made: PublishedRun, hub: Hub) -> None:
    assert made.publish(confirm=lambda _plan: False).commit is None
    assert nothing_was_sent(hub)


def test_only_the_shard_that_changed_is_sent(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    hub.take_received()
    image_id = list(read_corpus(made.run).rows())[10]["image_id"]  # of the last shard, which has another image
    done = take_down(made.run, made.recipe(), caption_kind.KIND, image_id, reason="asked", day="2026-02-03")
    changed = [path for path in done.changed if path.endswith((".tar", ".parquet"))]
    assert len(changed) == 3, "a shard, a file of images, a file of rows"
    published = made.publish()
    assert without_git(hub) == made.files()
    assert hub.take_received() == sum((made.corpus / path).stat().st_size for path in changed)
    assert published.plan.tag == "v2"
    assert list(hub.data_set(NAME).tags) == ["v1", "v2"]


def test_files_that_only_moved_are_not_sent_and_the_old_ones_go(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    hub.take_received()
    image_id = list(read_corpus(made.run).rows())[-1]["image_id"]
    take_down(made.run, made.recipe(), caption_kind.KIND, image_id, reason="asked", day="2026-02-03")
    published = made.publish()
    assert without_git(hub) == made.files()
    moved = published.plan.of("new")
    assert [(file.path, file.sent_bytes) for file in moved] == [
        ("data/train-00000-of-00002.parquet", 0), ("data/train-00001-of-00002.parquet", 0),
    ]  # fmt: skip
    assert [file.path for file in published.plan.of("deleted")] == [
        f"data/train-0000{number}-of-00003.parquet" for number in range(3)
    ]
    assert hub.take_received() < large_bytes(made) / 3
    assert not any(image_id[:32].encode() in data for data in hub.data_set(NAME).head.values())


def test_files_of_others_stay(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    edit(hub, {"banner.png": b"picture", "data/more.parquet": b"theirs"})
    made.build(max_shard_samples=100)
    plan = made.publish(corpus={"max_shard_samples": 100}).plan
    head = hub.data_set(NAME).head
    assert (head["banner.png"], head["data/more.parquet"]) == (b"picture", b"theirs")
    assert plan.kept == (".gitattributes", "banner.png", "data/more.parquet")
    assert plan.notes == (
        "data/more.parquet is not of this corpus and lies where its files do: readers may take it for a part of it",
    )
    assert {path: data for path, data in without_git(hub).items() if path in made.files()} == made.files()


def test_what_lies_beside_the_corpus_is_not_sent(made: PublishedRun, hub: Hub) -> None:
    for path in ("notes.txt", "data/train-00007-of-00009.parquet", "LICENSE", ".secret"):
        (made.corpus / path).write_text("mine")
    plan = made.publish().plan
    assert plan.left_out == ("LICENSE", "data/train-00007-of-00009.parquet", "notes.txt")
    assert not any(data == b"mine" for data in hub.data_set(NAME).head.values())


def test_a_licence_of_its_own_goes_along(made: PublishedRun, hub: Hub) -> None:
    corpus = {"license": "other", "license_name": "mine-1", "license_link": "LICENSE"}
    made.build(**corpus)
    with pytest.raises(
        OstensiveError, match=r"LICENSE: corpus\.license_link names it, and it is not there; put it there"
    ):
        made.publish(corpus=corpus)
    assert nothing_was_sent(hub)
    (made.corpus / "LICENSE").write_text("Do what you like.")
    made.publish(corpus=corpus)
    assert hub.data_set(NAME).head["LICENSE"] == b"Do what you like."


def test_names_are_completed_and_organizations_are_known(made: PublishedRun, hub: Hub) -> None:
    assert made.publish("street").plan.name == "me/street"
    assert made.publish("team/street", private=False).plan.name == "team/street"
    assert not hub.data_set("team/street").is_private
    assert made.publish("team/street").plan.is_private is False, "what is there stays as it is"


def test_tags_that_were_asked_for(made: PublishedRun, hub: Hub) -> None:
    first = made.publish(tag="release-1", message="The first.")
    repository = hub.data_set(NAME)
    assert repository.tags == {"release-1": first.commit}
    assert list(repository.messages.values())[-1] == "The first."
    assert made.publish(tag="release-1").plan.is_empty
    assert made.publish(tag="also").commit == first.commit, "a tag alone"
    assert repository.tags == {"release-1": first.commit, "also": first.commit}
    edit(hub, {"banner.png": b"picture"})
    hub.asked.clear()
    for tag, message in (
        ("also", r"--tag also: me/noted has a revision of this tag already; choose another"),
        ("a b", r"--tag 'a b': letters, digits, '\.', '_' and '-' are expected, such as v2"),
        ("../x", r"--tag '\.\./x': letters"),
    ):
        with pytest.raises(SettingsError, match=message):
            made.publish(tag=tag)
    assert nothing_was_sent(hub)


def test_older_revisions_are_gone_after_a_squash(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    made.publish(tag="paper")
    image_id = list(read_corpus(made.run).rows())[4]["image_id"]
    old = hub.data_set(NAME).head["shards/noted-train-000002.tar"]
    take_down(made.run, made.recipe(), caption_kind.KIND, image_id, reason="asked", day="2026-02-03")
    plan = made.publish(squash=True).plan
    repository = hub.data_set(NAME)
    assert (plan.tag, plan.removed_tags) == ("v2", ("v1",))
    assert set(repository.tags) == {"paper", "v2"}
    assert repository.tags["v2"] == repository.refs["main"]
    holding = {sha for sha, files in repository.commits.items() if old in files.values()}
    assert holding == {repository.tags["paper"]}, "a tag of a person's own is left to them"
    assert without_git(hub) == made.files()
    assert "paper" in plan.notes[-1]


# ---- the card -------------------------------------------------------------------------------------------------------


def test_what_people_wrote_on_the_hub_is_kept_there_and_here(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    text = (
        card_of(hub)
        .replace("(Nothing yet.)", "Written on the Hub.")
        .replace("pretty_name", "viewer: false\npretty_name")
    )
    edit(hub, {"README.md": text.encode()})
    assert made.publish().plan.changes_files is True  # the header's keys come in the program's order
    made.build(max_shard_samples=100)
    made.publish(corpus={"max_shard_samples": 100})
    for card in (card_of(hub), (made.corpus / "README.md").read_text("utf-8")):
        assert "<!-- yours -->\nWritten on the Hub.\n<!-- /yours -->" in card
        assert "viewer: false" in card
    assert without_git(hub) == made.files()


def test_a_card_that_both_sides_edited_sends_nothing(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    edit(hub, {"README.md": card_of(hub).replace("(Nothing yet.)", "Theirs.").encode()})
    path = made.corpus / "README.md"
    path.write_text(path.read_text("utf-8").replace("(Nothing yet.)", "Mine."), "utf-8")
    hub.asked.clear()
    with pytest.raises(OstensiveError) as caught:
        made.publish()
    assert str(caught.value) == (
        f"{path} and the card of me/noted were both edited, and differ in the yours lines; make them the same there or"
        " here, and run the same command again"
    )
    assert nothing_was_sent(hub)
    path.write_text(path.read_text("utf-8").replace("Mine.", "Theirs."), "utf-8")
    made.publish()
    assert "Theirs." in card_of(hub)


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_card_with_a_broken_header_sends_nothing(made: PublishedRun, hub: Hub, where: str) -> None:
    made.publish()
    broken = card_of(hub).replace("license: cc0-1.0", "license: [")
    origin = "the card of me/noted"
    if where == "here":
        origin = str(made.corpus / "README.md")
        Path(origin).write_text(broken, "utf-8")
    else:
        edit(hub, {"README.md": broken.encode()})
    hub.asked.clear()
    with pytest.raises(OstensiveError) as caught:
        made.publish()
    assert str(caught.value).startswith(f"{origin}: the header between the --- lines is not valid YAML")
    assert nothing_was_sent(hub)


def test_an_edit_outside_of_the_markers_is_told_before(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    edit(hub, {"README.md": card_of(hub).replace("## Limits", "## Limits\n\nMore.").encode()})
    note = "the card of me/noted was edited outside the yours lines, which is replaced"
    assert made.publish(dry_run=True).plan.notes == (note,)


# ---- what may not be published --------------------------------------------------------------------------------------


def test_runs_and_corpora_that_are_not_fit_send_nothing(made: PublishedRun, hub: Hub) -> None:
    build = r"run `ostensive build` with this folder as --out again"
    shard = made.corpus / "shards" / "noted-train-000001.tar"
    whole, manifest = shard.read_bytes(), (made.corpus / "manifest.json").read_bytes()

    def refused(error: type[OstensiveError], message: str) -> None:
        with pytest.raises(error, match=message) as caught:
            made.publish()
        assert "\n" not in str(caught.value)

    made.run.write_state(outcome="BudgetReached")
    refused(SettingsError, r"this run is not finished \(BudgetReached\)")
    made.run.write_state(outcome="done")
    shard.write_bytes(whole[:-1] + b"x")
    refused(
        OstensiveError, rf"^{shard}: its bytes are not those of manifest\.json: it was changed or is damaged; remove"
    )
    shard.write_bytes(whole + b"x")
    refused(OstensiveError, rf"^{shard}: has 5,633 bytes, and manifest\.json says 5,632: it was changed or is damaged;")
    shard.unlink()
    refused(OstensiveError, rf"^{shard}: manifest\.json lists it, and it is gone; {build}")
    shard.write_bytes(whole)
    image_id = next(iter(read_corpus(made.run).rows()))["image_id"]
    write_takedowns(made.path, [Takedown(image_id, 2, "asked", "2026-02-03")])
    refused(OstensiveError, rf"still holds the image {image_id[:16]}, which was taken down; run `ostensive takedown`")
    write_takedowns(made.path, [])
    made.run.write_state(corpus="of other partitions")
    refused(OstensiveError, rf"corpus is not of this run as it is now, or of another version of Ostensive; {build}")
    (made.corpus / "manifest.json").unlink()
    refused(SettingsError, rf"has no finished corpus; {build}")
    (made.corpus / "manifest.json").write_bytes(manifest)
    (made.corpus / "README.md").unlink()
    made.build()
    (made.corpus / "README.md").unlink()
    refused(OstensiveError, rf"README\.md: is gone; {build}")
    assert nothing_was_sent(hub)


def test_a_corpus_without_contact_or_rows_sends_nothing(drawn: PublishedRun, hub: Hub, tmp_path: Path) -> None:
    run = PublishedRun(drawn.images, tmp_path / "other")
    run.build(contact=None)
    with pytest.raises(SettingsError, match=r"^corpus\.contact is not set in .*recipe\.yaml: a card names to whom"):
        run.publish(corpus={"contact": None})
    shutil.rmtree(run.path)
    shutil.copytree(drawn.path, run.path)
    for image_id in {row["image_id"] for row in read_corpus(run.run).rows()}:
        take_down(run.run, run.recipe(), caption_kind.KIND, image_id, reason="asked", day="2026-02-03")
    with pytest.raises(OstensiveError, match=r"corpus holds no row, and there is nothing to publish"):
        run.publish()
    assert nothing_was_sent(hub)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "other/noted",
            "other/noted: is somebody else's: you are logged in as me and may publish under me, team; choose",
        ),
        ("a/b/c", "'a/b/c' is no name of a data set: user/name is expected"),
        ("my corpus", "'my corpus' is no name of a data set"),
        ("me/a--b", "'me/a--b' is no name of a data set"),
        ("../x", "'../x' is no name of a data set"),
        ("", "'' is no name of a data set"),
    ],
)
def test_names_that_are_none_or_not_ones_own(made: PublishedRun, hub: Hub, name: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        made.publish(name)
    assert str(caught.value).startswith(message)
    assert nothing_was_sent(hub)


@pytest.mark.parametrize(
    "files",
    [
        {"data/train-00000-of-00001.parquet": b"x"},
        {"README.md": b"# Somebody's own page\n"},
        {"manifest.json": b'{"kind": "something else"}'},
        {"manifest.json": b"no JSON"},
    ],
)
def test_a_data_set_that_holds_something_else_is_left_alone(
    made: PublishedRun, hub: Hub, files: dict[str, bytes]
) -> None:
    made.publish()
    hub.data_set(NAME).push({".gitattributes": b"", **files})
    hub.asked.clear()
    with pytest.raises(
        OstensiveError, match=rf"^me/noted: is taken: it holds other files \({next(iter(files))}\) and no"
    ):
        made.publish()
    assert nothing_was_sent(hub)


def test_one_that_was_made_on_the_hubs_page_is_filled(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    hub.data_set(NAME).push({".gitattributes": b"", "README.md": b"---\nlicense: mit\nviewer: false\n---\n"})
    made.publish()
    assert "viewer: false" in card_of(hub)
    assert "license: cc0-1.0" in card_of(hub)


# ---- who is asking --------------------------------------------------------------------------------------------------


def test_nobody_is_logged_in(made: PublishedRun, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(
        SettingsError, match=rf"^nobody is logged in at {hub.address}; run hf auth login, or set HF_TOKEN"
    ):
        made.publish()
    assert nothing_was_sent(hub)


def test_a_login_that_has_expired(made: PublishedRun, hub: Hub) -> None:
    hub.users.clear()
    with pytest.raises(HubError, match=r"^your login: the Hub does not know your login: it has expired or was revoked"):
        made.publish()
    assert nothing_was_sent(hub)


def test_a_login_that_may_only_read(made: PublishedRun, hub: Hub) -> None:
    hub.users[TOKEN] = User("me", role="read")
    with pytest.raises(
        SettingsError, match=r"^me/noted: the login of me may only read; run hf auth login with a token"
    ):
        made.publish()
    assert nothing_was_sent(hub)


def test_a_login_that_expires_half_way_and_is_renewed(made: PublishedRun, hub: Hub) -> None:
    hub.faults.append(Fault("PUT /large/", then=hub.users.clear, is_answered=True, after=2))
    with pytest.raises(HubError, match=r"^me/noted: the Hub does not know your login"):
        made.publish()
    hub.users[TOKEN] = User("me")
    made.publish()
    assert without_git(hub) == made.files()
    assert hub.take_received() == large_bytes(made), "nothing was sent twice"


def test_the_token_is_nowhere(made: PublishedRun, hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    hub.faults.append(Fault("PUT /large/", status=503))
    made.publish()
    hub.users.clear()
    with pytest.raises(HubError) as caught:
        made.publish()
    said = [*capfd.readouterr(), *made.said, str(caught.value)]
    written = [path.read_bytes() for path in made.path.rglob("*") if path.is_file()]
    assert not any(TOKEN in text for text in said)
    assert not any(TOKEN.encode() in data for data in (*written, *hub.data_set(NAME).head.values()))


# ---- it goes wrong on the way ---------------------------------------------------------------------------------------


def test_interrupted_in_the_middle_and_resumed(made: PublishedRun, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cards.hub.plan.BATCH_FILES", 3)
    stop = threading.Event()
    hub.faults.append(Fault("PUT /large/", then=stop.set, is_answered=True, after=4))
    with pytest.raises(Interrupted):
        made.publish(stop=stop)
    first = hub.take_received()
    assert 0 < first < large_bytes(made)
    assert without_git(hub) == {}, "no reader sees a part of it"
    made.publish()
    assert first + hub.take_received() == large_bytes(made), "nothing was sent twice"
    assert without_git(hub) == made.files()
    assert list(hub.data_set(NAME).tags) == ["v1"]


def test_a_connection_that_is_cut_while_a_file_is_sent(made: PublishedRun, hub: Hub) -> None:
    hub.faults.append(Fault("PUT /large/", after_bytes=1000))
    made.publish()
    assert without_git(hub) == made.files()
    assert hub.take_received() == large_bytes(made) + 1000


def test_a_server_that_fails_once_is_asked_again(made: PublishedRun, hub: Hub) -> None:
    lines = ("GET /api/whoami", "GET /api/datasets/me/noted/revision", "POST /api/repos/create", "PUT /large/")
    hub.faults += [
        Fault(line) for line in (*lines, "POST /api/datasets/me/noted/commit", "POST /api/datasets/me/noted/tag")
    ]
    made.publish()
    assert without_git(hub) == made.files()
    assert list(hub.data_set(NAME).tags) == ["v1"]
    assert hub.take_received() == large_bytes(made)
    assert any("the Hub answers 500" in line for line in made.said)


def test_a_server_that_fails_always_is_one_line(made: PublishedRun, hub: Hub) -> None:
    hub.faults.append(Fault("GET /api/whoami", status=503, message="", times=100))
    with pytest.raises(HubError) as caught:
        made.publish()
    assert str(caught.value) == (
        "your login: the Hub fails with 503; the same command continues, and sends nothing twice"
    )
    assert nothing_was_sent(hub)


@pytest.mark.slow
def test_a_server_that_takes_no_file_is_one_line(made: PublishedRun, hub: Hub) -> None:
    """The library tries for half a minute."""
    hub.faults.append(Fault("PUT /large/", times=1000))
    with pytest.raises(HubError, match=r"^me/noted: the Hub fails with 500 \(Internal Error.*\); the same command"):
        made.publish()
    hub.faults.clear()
    made.publish()
    assert without_git(hub) == made.files()


def test_a_commit_whose_answer_is_lost_is_not_made_twice(made: PublishedRun, hub: Hub) -> None:
    hub.lose_answer_of("POST /api/datasets/me/noted/commit")
    made.publish()
    assert len(hub.data_set(NAME).commits) == 2
    assert list(hub.data_set(NAME).tags) == ["v1"]
    assert without_git(hub) == made.files()


def test_one_that_ended_before_its_tag_gets_it_the_next_time(made: PublishedRun, hub: Hub) -> None:
    hub.faults.append(Fault("POST /api/datasets/me/noted/tag", status=400, message="no"))
    with pytest.raises(HubError, match=r"^me/noted: tag v1: the Hub refuses with 400 \(no\)"):
        made.publish()
    done = made.publish()
    assert hub.data_set(NAME).tags == {"v1": done.commit}
    assert len(hub.data_set(NAME).commits) == 2


@pytest.mark.parametrize("status", [409, 412])
def test_somebody_adds_a_file_at_the_same_time(made: PublishedRun, hub: Hub, status: int) -> None:
    made.publish()
    made.build(max_shard_samples=100)
    hub.faults.append(
        Fault(
            "POST /api/datasets/me/noted/commit",
            then=lambda: edit(hub, {"banner.png": b"x"}),
            is_answered=status == 412,  # as the Hub answers by itself
            status=status,
        )
    )
    hub.take_received()
    made.publish(corpus={"max_shard_samples": 100})
    assert hub.data_set(NAME).head["banner.png"] == b"x"
    assert {path: data for path, data in without_git(hub).items() if path != "banner.png"} == made.files()
    assert hub.take_received() < large_bytes(made) + 1


def test_somebody_edits_the_card_at_the_same_time(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    made.build(max_shard_samples=100)
    text = card_of(hub).replace("(Nothing yet.)", "Theirs.").encode()
    hub.faults.append(
        Fault("POST /api/datasets/me/noted/commit", then=lambda: edit(hub, {"README.md": text}), is_answered=True)
    )
    with pytest.raises(HubConflictError) as caught:
        made.publish(corpus={"max_shard_samples": 100})
    assert str(caught.value) == (
        "me/noted: somebody else changed its corpus or its card at the same time; run the same command again, which"
        " shows what it would do now"
    )
    assert hub.data_set(NAME).head["README.md"] == text
    made.publish(corpus={"max_shard_samples": 100})
    assert "Theirs." in card_of(hub)


def test_a_branch_that_moves_again_and_again(made: PublishedRun, hub: Hub) -> None:
    hub.faults.append(Fault("POST /api/datasets/me/noted/commit", status=409, message="Conflict", times=10))
    with pytest.raises(
        HubConflictError, match=r"^me/noted: it was changed at the same time \(Conflict\); the same command"
    ):
        made.publish()
    assert without_git(hub) == {}


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (
            403,
            "Private repository storage limit reached, please upgrade your plan",
            "the Hub takes no more (Private rep",
        ),
        (402, "Payment required", "the Hub takes no more (Payment required); make room at http://127.0.0.1:"),
        (403, "Forbidden", "the Hub does not permit it (Forbidden); your login needs the right to write there"),
        (413, "Too large", "the Hub refuses with 413 (Too large)"),
    ],
)
def test_refusals_are_one_line_and_nothing_of_it_is_seen(
    made: PublishedRun, hub: Hub, status: int, message: str, said: str
) -> None:
    hub.faults.append(Fault("POST /datasets/me/noted.git", status=status, message=message))
    with pytest.raises(HubError) as caught:
        made.publish()
    assert str(caught.value).startswith(f"me/noted: {said}")
    assert "\n" not in str(caught.value)
    assert without_git(hub) == {}
    made.publish()
    assert without_git(hub) == made.files()


def test_a_server_that_wants_patience_gets_a_little(made: PublishedRun, hub: Hub) -> None:
    hub.faults.append(Fault("PUT /large/", status=429, message="slow down", headers={"Retry-After": "0"}))
    made.publish()
    assert without_git(hub) == made.files()
    hub.repositories.clear()
    hub.objects.clear()
    hub.faults.append(Fault("PUT /large/", status=429, message="slow down", headers={"Retry-After": "86400"}, times=99))
    with pytest.raises(HubError) as caught:
        made.publish()
    assert str(caught.value) == (
        "me/noted: the Hub asks to wait 86,400 seconds; the same command continues, and sends nothing twice"
    )


def test_a_hub_that_is_not_there(made: PublishedRun, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        HubError, match=r"^your login: http://127\.0\.0\.1:9 does not answer \(ConnectError: .*\); the same"
    ):
        made.publish()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"^your login: HF_HUB_OFFLINE is set; unset it to publish$"):
        made.publish()


def test_a_file_that_the_hub_ignores_is_missed(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    made.build(name="other")
    edit(hub, {".gitignore": b"shards/other-train-000001.tar\n"})
    with pytest.raises(
        OstensiveError, match=r"^me/noted: shards/other-train-000001\.tar is not there after it was sent;"
    ):
        made.publish(corpus={"name": "other"})
    edit(hub, {".gitignore": b""})
    made.publish(corpus={"name": "other"})
    assert {path: data for path, data in without_git(hub).items() if path != ".gitignore"} == made.files()


def test_another_corpus_in_its_place_takes_the_old_files_away(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    made.build(name="other", splits={"train": 0.5, "test": 0.5})
    made.publish(corpus={"name": "other", "splits": {"train": 0.5, "test": 0.5}})
    assert without_git(hub) == made.files()


def test_what_is_remembered_is_not_the_card(made: PublishedRun, hub: Hub) -> None:
    commit = made.publish().commit
    found = json.loads((made.path / PUBLISHED_NAME).read_text())
    assert found[NAME]["commit"] == commit
    assert found[NAME]["card"]["yours"] == "(Nothing yet.)"
    (made.path / PUBLISHED_NAME).write_text("{")
    with pytest.raises(
        OstensiveError, match=r"published\.json: cannot be read; remove it, and run the same command again"
    ):
        made.publish()

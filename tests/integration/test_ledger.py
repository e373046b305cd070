"""The ledger in real git: what its remote has counts, and what can't be asked is never an empty ledger."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from passmuster import events
from passmuster._git import Repository
from passmuster.errors import RaceLost, Refused, Unavailable
from passmuster.events import Promoted, Registered, Registration
from passmuster.ledger import Ledger
from support.promotion import Project, clones, git

__all__ = ["clones"]

DIGEST = "sha256:" + "cd" * 32


def pair(ledger: Ledger, commit: str, *, nonce: str = "1" * 32, time: str | None = None) -> tuple[Registered, Promoted]:
    """The events that promote `commit` next."""
    history = ledger.read()
    number = len(history.promotions) + 1
    facts = {
        "nonce": nonce,
        "time": time or events.now(history.champion),
        "who": ledger.who(),
        "model": ledger.model,
        "version": f"v{number}",
        "commit": commit,
        "model_digest": DIGEST,
        "evidence": dict.fromkeys(("input", "reproduce", "score", "gate"), DIGEST),
        "registry": Registration(name="credit-risk", mlflow_version=str(number), run_id="r", uri="sqlite:///mlflow.db"),
        "targets": ("evaluate",),
        "environment": {"python": "3.11.7"},
    }
    last = history.versions[-1].digest if history.versions else None
    before = history.champion.digest if history.champion else None
    return (
        Registered(**facts, previous=last),
        Promoted(**facts, previous=before, promotion=number, first=number == 1),
    )


def promoted(clones: Project, count: int) -> Ledger:
    """A ledger with `count` promotions."""
    for number in range(count):
        commit = clones.commit(f"commit {number}")
        clones.ledger.append(*pair(clones.ledger, commit, nonce=f"{number:032x}"))
    return clones.ledger


def test_what_is_appended_is_read_back_from_the_remote_and_from_other_clones(clones: Project) -> None:
    ledger = promoted(clones, 2)
    other = Ledger(Repository(clones.clone("other")), "credit", "origin")

    assert [p.tag for p in other.read().promotions] == ["credit#champion#1", "credit#champion#2"]
    assert other.read() == ledger.read()
    assert git(clones.remote, "tag").splitlines() == [
        "credit#champion#1",
        "credit#champion#2",
        "credit@v1.0.0",
        "credit@v2.0.0",
    ]


def test_tags_can_be_made_without_any_git_identity(clones: Project) -> None:
    promoted(clones, 1)

    assert "tagger passmuster <passmuster@localhost> " in git(clones.root, "cat-file", "-p", "credit#champion#1")


def test_the_actor_of_github_is_who_acts(clones: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    ledger = promoted(clones, 1)

    assert ledger.champion is not None and ledger.champion.who == "ada"


def test_a_new_remote_without_tags_has_no_champion(clones: Project) -> None:
    clones.commit("one")

    assert clones.ledger.champion is None


def test_only_one_of_two_with_the_same_view_appends(clones: Project) -> None:
    commit = clones.commit("one")
    other = Ledger(Repository(clones.clone("other")), "credit", "origin")
    mine = pair(clones.ledger, commit, nonce="a" * 32, time="2026-11-23T12:00:00Z")
    yours = pair(other, commit, nonce="b" * 32, time="2026-11-23T12:00:00Z")

    clones.ledger.append(*mine)
    with pytest.raises(RaceLost):
        other.append(*yours)

    assert clones.ledger.read().promotions == (mine[1],)
    assert other.read().promotions == (mine[1],)


def test_the_loser_is_told_so_where_its_clone_has_the_winners_tags_by_then(clones: Project) -> None:
    commit = clones.commit("one")
    root = clones.clone("other")
    other = Ledger(Repository(root), "credit", "origin")
    mine = pair(clones.ledger, commit, nonce="a" * 32, time="2026-11-23T12:00:00Z")
    yours = pair(other, commit, nonce="b" * 32, time="2026-11-23T12:00:00Z")

    clones.ledger.append(*mine)
    git(root, "fetch", "-q", "--tags", "origin")
    with pytest.raises(RaceLost):
        other.append(*yours)

    assert other.read().promotions == (mine[1],)


def test_a_pair_of_which_one_tag_exists_is_not_appended_at_all(clones: Project) -> None:
    """A push that is not atomic would leave a version without its promotion."""
    commit = clones.commit("one")
    mine = pair(clones.ledger, commit)
    git(clones.root, "tag", "-a", "-m", "by hand", "credit#champion#1", commit)
    git(clones.root, "push", "-q", "origin", "credit#champion#1")
    git(clones.root, "tag", "-d", "credit#champion#1")

    with pytest.raises(RaceLost):
        clones.ledger.append(*mine)

    assert git(clones.remote, "tag") == "credit#champion#1"


def test_a_local_ledger_appends_create_only_and_reads_back(clones: Project) -> None:
    commit = clones.commit("one", ledger="local")
    ledger = clones.ledger
    mine = pair(ledger, commit, nonce="a" * 32)
    yours = pair(ledger, commit, nonce="b" * 32)

    ledger.append(*mine)
    with pytest.raises(RaceLost):
        ledger.append(*yours)

    assert ledger.read().promotions == (mine[1],)
    assert git(clones.remote, "tag") == ""


def test_a_local_ledger_in_a_shallow_clone_is_refused(clones: Project) -> None:
    clones.commit("one", ledger="local")
    clones.commit("two", ledger="local")
    shallow = clones.clone("shallow", "--depth", "1")

    with pytest.raises(Refused, match="shallow"):
        Ledger(Repository(shallow), "credit", "local").read()


def test_a_shallow_clone_without_tags_asks_the_remote(clones: Project) -> None:
    promoted(clones, 2)
    clones.commit("later")
    shallow = clones.clone("shallow", "--depth", "1", "--no-tags")
    assert git(shallow, "tag") == ""

    champion = Ledger(Repository(shallow), "credit", "origin").champion

    assert champion is not None and champion.version == "v2"
    assert Repository(shallow).has(champion.commit)


def test_a_remote_that_does_not_answer_is_unavailable(clones: Project) -> None:
    ledger = promoted(clones, 1)
    clones.remote.rename(clones.folder / "gone.git")

    with pytest.raises(Unavailable):
        ledger.read()
    with pytest.raises(Unavailable):
        ledger.append(*pair_offline(ledger))


def pair_offline(ledger: Ledger) -> tuple[Registered, Promoted]:
    """Events that would come next, made without asking the remote."""
    champion = ledger.read(offline=True).champion
    assert isinstance(champion, Promoted)
    from dataclasses import fields, replace

    following = replace(champion, promotion=2, version="v2", previous=champion.digest, first=False)
    names = {item.name for item in fields(Registered)}
    shared = {name: getattr(following, name) for name in names}
    return Registered(**shared), following


def test_offline_reads_what_the_clone_has(clones: Project) -> None:
    ledger = promoted(clones, 2)
    clones.remote.rename(clones.folder / "gone.git")

    assert len(ledger.read(offline=True).promotions) == 2


def test_a_remote_that_is_not_configured_is_refused(clones: Project) -> None:
    clones.commit("one")

    with pytest.raises(Refused, match="does not have"):
        Ledger(Repository(clones.root), "credit", "upstream").read()


def test_a_tagless_remote_against_tags_here_is_refused(clones: Project) -> None:
    ledger = promoted(clones, 1)
    git(clones.root, "push", "-q", "--delete", "origin", "credit#champion#1", "credit@v1.0.0")

    with pytest.raises(Refused, match="no tag"):
        ledger.read()


def test_a_remote_that_is_itself_shallow_is_refused(clones: Project) -> None:
    promoted(clones, 1)
    clones.commit("later")
    git(clones.folder, "clone", "-q", "--bare", "--depth", "1", "--no-tags", clones.remote.as_uri(), "shallow.git")
    git(clones.root, "remote", "add", "mirror", str(clones.folder / "shallow.git"))
    git(clones.root, "tag", "-d", "credit#champion#1", "credit@v1.0.0")

    with pytest.raises(Refused, match="shallow"):
        Ledger(Repository(clones.root), "credit", "mirror").read()


def test_a_tag_that_only_this_clone_has_does_not_count(clones: Project) -> None:
    ledger = promoted(clones, 1)
    git(clones.root, "tag", "-a", "-m", "by hand", "credit#champion#2")

    assert len(ledger.read().promotions) == 1
    assert ledger.examine().only_here == ("credit#champion#2",)


def test_a_tag_that_only_this_clone_has_is_not_overwritten_by_an_append(clones: Project) -> None:
    ledger = promoted(clones, 1)
    commit = clones.commit("two")
    git(clones.root, "tag", "-a", "-m", "by hand", "credit#champion#2")

    with pytest.raises(Refused, match="credit#champion#2"):
        ledger.append(*pair(ledger, commit))

    assert "credit@v2.0.0" not in git(clones.remote, "tag")


@pytest.mark.parametrize("tag", ["credit#champion#1", "credit#champion#2", "credit@v1.0.0", "credit@v2.0.0"])
def test_a_tag_deleted_at_the_remote_is_seen_by_a_new_clone(clones: Project, tag: str) -> None:
    promoted(clones, 3)
    git(clones.root, "push", "-q", "--delete", "origin", tag)

    with pytest.raises(Refused, match="deleted"):
        Ledger(Repository(clones.clone("new")), "credit", "origin").read()


def rewrite(clones: Project, tag: str, before: str, after: str) -> None:
    """Force another message upon a tag at the remote, from a clone of its own."""
    clone = clones.clone("forger")
    text = git(clone, "cat-file", "-p", tag)
    assert before in text
    path = clone / "tag"
    path.write_text(text.replace(before, after) + "\n")
    sha = git(clone, "hash-object", "-t", "tag", "-w", str(path))
    git(clone, "push", "-q", "--force", "origin", f"{sha}:refs/tags/{tag}")


def test_a_tag_rewritten_at_the_remote_breaks_the_chain(clones: Project) -> None:
    promoted(clones, 2)
    rewrite(clones, "credit#champion#1", '"python":"3.11.7"', '"python":"3.12.0"')

    with pytest.raises(Refused, match=r"credit#champion#2: does not follow"):
        Ledger(Repository(clones.clone("new")), "credit", "origin").read()


def test_a_last_tag_rewritten_at_the_remote_is_seen_by_a_clone_that_knew_it(clones: Project) -> None:
    ledger = promoted(clones, 1)
    rewrite(clones, "credit#champion#1", "passmuster@localhost", "mallory@localhost")

    with pytest.raises(Refused, match="rewritten"):
        ledger.read()


def test_a_tag_moved_to_another_commit_is_refused(clones: Project) -> None:
    promoted(clones, 1)
    commit = clones.commit("two")
    first = git(clones.root, "rev-parse", "credit#champion#1^{commit}")
    rewrite(clones, "credit#champion#1", f"object {first}", f"object {commit}")

    with pytest.raises(Refused, match="another tag, model, commit or time"):
        Ledger(Repository(clones.clone("new")), "credit", "origin").read()


@pytest.mark.parametrize(
    "tag",
    [
        "credit@v1.0.1",
        "credit@v01.0.0",
        "credit#champion#1#2",
        "credit#champion!#2",
        "credit#champion#x",
        "credit@v1/x",
    ],
)
def test_a_tag_that_looks_like_the_ledger_and_is_none_is_refused(clones: Project, tag: str) -> None:
    ledger = promoted(clones, 1)
    git(clones.root, "tag", "-a", "-m", "x", tag)
    git(clones.root, "push", "-q", "origin", tag)

    with pytest.raises(Refused):
        ledger.read()


def test_a_lightweight_tag_is_refused(clones: Project) -> None:
    clones.commit("one")
    git(clones.root, "tag", "credit#champion#1")
    git(clones.root, "push", "-q", "origin", "credit#champion#1")

    with pytest.raises(Refused, match="annotated"):
        clones.ledger.read()


def test_a_tag_as_large_as_no_event_is_refused(clones: Project) -> None:
    clones.commit("one")
    (clones.folder / "message").write_text("x" * 1_000_000)
    git(clones.root, "tag", "-a", "-F", str(clones.folder / "message"), "credit#champion#1")
    git(clones.root, "push", "-q", "origin", "credit#champion#1")

    with pytest.raises(Refused, match="large"):
        clones.ledger.read()


def test_other_models_and_other_tags_are_not_read(clones: Project) -> None:
    ledger = promoted(clones, 1)
    for tag in ("credit-eu#champion#1", "v1.0.0", "credit#staging#1", "credit/eu@v1.0.0"):
        git(clones.root, "tag", "-a", "-m", "x", tag)
        git(clones.root, "push", "-q", "origin", tag)

    assert len(ledger.read().promotions) == 1


def test_a_hook_of_the_users_for_pushing_branches_is_not_asked(clones: Project) -> None:
    """`dvc install` makes one that uploads data."""
    commit = clones.commit("one")
    hook = clones.root / ".git" / "hooks" / "pre-push"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    clones.ledger.append(*pair(clones.ledger, commit))

    assert clones.ledger.champion is not None


def test_a_remote_that_takes_no_tags_refuses(clones: Project) -> None:
    commit = clones.commit("one")
    hook = clones.remote / "hooks" / "update"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(Refused, match="did not take"):
        clones.ledger.append(*pair(clones.ledger, commit))

    assert clones.ledger.champion is None


def test_a_push_that_was_taken_although_it_reported_failure_counts(
    clones: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection may break after the server has taken the tags."""
    commit = clones.commit("one")
    run = Repository.run

    def broken(self: Repository, *arguments: str, **options: object) -> str:
        out = run(self, *arguments, **options)  # type: ignore[arg-type]
        if arguments[0] == "push":
            raise Unavailable("the remote end hung up")
        return out

    ledger = clones.ledger
    mine = pair(ledger, commit)
    monkeypatch.setattr(Repository, "run", broken)
    ledger.append(*mine)

    assert ledger.champion == mine[1]


def test_a_user_who_pushes_all_tags_with_every_push_pushes_no_others_here(clones: Project) -> None:
    commit = clones.commit("one")
    git(clones.root, "config", "push.followTags", "true")
    git(clones.root, "tag", "-a", "-m", "private", "private")
    clones.ledger.append(*pair(clones.ledger, commit))

    assert "private" not in git(clones.remote, "tag")


def test_a_url_with_a_space_or_a_file_scheme_works(clones: Project) -> None:
    promoted(clones, 1)
    moved = clones.folder / "the remote.git"
    shutil.move(clones.remote, moved)
    git(clones.root, "remote", "set-url", "origin", os.fspath(moved))

    assert clones.ledger.champion is not None
    git(clones.root, "remote", "set-url", "origin", Path(moved).as_uri())
    assert clones.ledger.champion is not None

"""Promote against real git and a real MLflow: what it refuses, what it writes, what it leaves alone."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from passmuster import digest, events, promote, record
from passmuster.errors import RaceLost, Refused, Unavailable
from passmuster.progress import Silent
from passmuster.record import Record
from passmuster.registry import Registry
from passmuster.rollback import rollback
from support.promotion import MODEL, Project, alter, clones, git, project

__all__ = ["clones", "project"]


def untouched(project: Project, *, promotions: int = 0) -> None:
    """Nothing anybody looks at has changed."""
    assert len(project.ledger.read().promotions) == promotions
    assert bool(project.registry.aliases("credit-risk")) == bool(promotions)
    assert all(version.lost for version in project.registry.versions("credit-risk")[promotions:])


def test_a_first_champion_stands_in_ledger_and_mlflow_with_its_evidence(project: Project) -> None:
    commit = project.commit("one")
    folder = project.judge()
    (folder / "train_ids.parquet").write_bytes(b"ids")

    result = project.promote(first=True)

    champion = project.ledger.champion
    assert champion is not None and champion == result.event
    assert (champion.version, champion.promotion, champion.commit) == ("v1", 1, commit)
    assert champion.input == digest.of_json(commit)
    assert git(project.root, "rev-parse", "credit@v1.0.0^{commit}") == commit
    version = project.registry.check(champion)
    assert version.tags["passmuster.decision"] == "promote"
    found = promote.verify(project.registry, version.run_id, MODEL)
    assert found.digests == champion.evidence
    run = project.registry.client.get_run(version.run_id)
    assert run.data.metrics == {"roc_auc_score": 0.8}
    assert run.data.params == {"train.seed": "7"}
    assert run.info.status == "FINISHED"
    assert found.profile == digest.of_file(folder / "profile.json")
    listed = {item.path for item in project.registry.client.list_artifacts(version.run_id)}
    assert listed == {"model", "records", "report", "train_ids.parquet"}
    written = record.read(folder / "promote.json", "promote")
    assert events.parse(json.dumps(dict(written.body))) == champion
    assert written.inputs["gate"] == champion.evidence["gate"]
    assert not (folder / "intent.json").exists()
    project.consistent()


def test_a_second_champion_makes_the_first_the_previous(project: Project) -> None:
    project.champion("one", first=True)
    project.champion("two")

    aliases = project.registry.aliases("credit-risk")
    assert aliases == {"champion": "2", "previous": "1"}
    project.consistent()


def test_promoting_the_champion_again_changes_nothing_and_says_so(project: Project) -> None:
    project.champion("one", first=True)
    before = git(project.remote, "for-each-ref"), len(project.registry.versions("credit-risk"))

    result = project.promote()

    assert result.state == "already" and "already is the champion, v1" in result.said
    assert before == (git(project.remote, "for-each-ref"), len(project.registry.versions("credit-risk")))


def test_another_run_of_the_champions_commit_changes_nothing(project: Project) -> None:
    project.champion("one", first=True)
    project.judge(content="another uuid")

    assert project.promote().state == "already"
    project.consistent()


def test_promoting_the_champion_again_repairs_an_alias_that_was_left_behind(project: Project) -> None:
    project.champion("one", first=True)
    project.champion("two")
    project.registry.set_alias("credit-risk", "champion", "1")
    project.registry.drop_alias("credit-risk", "previous")

    project.promote()

    project.consistent()


def test_a_dry_run_says_what_it_would_write_and_writes_nothing(project: Project) -> None:
    project.commit("one")
    folder = project.judge()
    before = sorted(folder.rglob("*"))

    result = project.promote(first=True, dry_run=True)

    assert result.state == "dry run" and result.event is None
    assert "credit@v1.0.0 and credit#champion#1" in str(result)
    assert sorted(folder.rglob("*")) == before
    assert project.registry.client.search_experiments(filter_string="name LIKE 'passmuster/%'") == []
    untouched(project)


def test_a_first_champion_must_be_asked_for(project: Project) -> None:
    project.commit("one")
    project.judge()

    with pytest.raises(Refused, match="--first"):
        project.promote()
    untouched(project)


def test_first_changes_nothing_where_there_is_a_champion(project: Project) -> None:
    project.champion("one", first=True)
    project.commit("two")
    project.judge()

    event = project.promote(first=True).event

    assert isinstance(event, events.Promoted) and not event.first


def test_a_renamed_model_is_not_a_first_one(project: Project) -> None:
    project.champion("one", first=True)
    renamed = Project(project.folder, "credit-two")
    git(project.root, "rm", "-q", "model-configs/credit.yaml")
    for values in ({}, {"registry": "another"}, {"target": "another"}):
        renamed.commit(f"rename {values}", **values)
        renamed.judge()
        with pytest.raises(Refused, match="not a first model"):
            renamed.promote(first=True)

    renamed.commit("another model", registry="another", target="another")
    renamed.judge()
    assert renamed.promote(first=True).state == "done"


def test_a_renamed_model_is_known_by_a_target_that_is_too_long_for_an_event(project: Project) -> None:
    target = "stage-" * 100
    project.commit("one", target=target)
    project.judge()
    project.promote(first=True)
    renamed = Project(project.folder, "credit-two")
    git(project.root, "rm", "-q", "model-configs/credit.yaml")
    renamed.commit("rename", registry="another", target=target)
    renamed.judge()

    with pytest.raises(Refused, match="not a first model"):
        renamed.promote(first=True)


def test_a_model_keeps_its_registry_name(project: Project) -> None:
    project.champion("one", first=True)
    project.commit("two", registry="another")
    project.judge()

    with pytest.raises(Refused, match="keeps its registry name"):
        project.promote()


def test_a_verdict_against_another_champion_has_lost(project: Project) -> None:
    project.champion("one", first=True)
    other = project.clone("other")
    project.commit("two")
    git(other, "pull", "-q")
    project.judge(other)
    project.champion("three")

    with pytest.raises(RaceLost, match=r"v1 \(promotion 1\), but the champion is v2"):
        project.promote(other)
    untouched(project, promotions=2)


def test_a_verdict_from_before_the_first_champion_has_lost(project: Project) -> None:
    other_commit = project.commit("zero")
    other = project.clone("other")
    project.judge(other)
    project.champion("one", first=True)

    with pytest.raises(RaceLost, match="no champion"):
        project.promote(other, first=True)
    assert git(other, "rev-parse", "HEAD") == other_commit
    untouched(project, promotions=1)


def test_an_earlier_champions_commit_is_for_rollback(project: Project) -> None:
    commit = project.champion("one", first=True)
    project.champion("two")
    project.judge(commit=commit, content="another uuid")

    with pytest.raises(Refused, match="passmuster rollback credit --to v1"):
        project.promote()
    untouched(project, promotions=2)


def test_what_was_rolled_back_does_not_return_under_another_commit(project: Project) -> None:
    """A later commit that touches nothing of the model has the same inputs; its re-run has another digest."""
    project.champion("one", first=True)
    bad = project.champion("two")
    rollback(project.root, project.config, reason="it drifts", progress=Silent())
    project.commit("only the documentation")
    project.judge(inputs=bad)

    with pytest.raises(Refused, match="--to v2"):
        project.promote()
    untouched(project, promotions=3)


def test_another_commit_with_the_champions_inputs_changes_nothing(project: Project) -> None:
    champion = project.champion("one", first=True)
    project.commit("only the documentation")
    project.judge(inputs=champion)

    assert project.promote().state == "already"
    project.consistent()


def test_settling_repairs_the_aliases_without_a_candidate(project: Project) -> None:
    project.champion("one", first=True)
    project.registry.drop_alias("credit-risk", "champion")

    promote.settle(project.clone("other"), project.config, progress=Silent())

    project.consistent()


def change(name: str, **values: Any) -> Any:
    """A forger's change of a record's body, digest put right."""
    return lambda folder: alter(folder / f"{name}.json", name, lambda body: body.update(values))


def forge_chain(folder: Path, **body: Any) -> None:
    """Change the first record and make the others name the new digests, as a careful forger would."""
    alter(folder / "reproduce.json", "reproduce", lambda found: found.update(body))
    for name, before in (("score", "reproduce"), ("gate", "score")):
        found = record.read(folder / f"{name}.json", name)
        inputs = {**found.inputs, before: record.read(folder / f"{before}.json", before).digest}
        record.write(Record(schema=name, version=1, inputs=inputs, body=found.body), folder / f"{name}.json")


def truncate(folder: Path) -> None:
    path = folder / "gate.json"
    path.write_text(path.read_text()[:-200])


def flip(folder: Path) -> None:
    path = folder / "gate.json"
    path.write_text(path.read_text().replace('"value": 0.8', '"value": 0.9'))


def drop_measurement(folder: Path) -> None:
    alter(folder / "gate.json", "gate", lambda body: body["measurements"].pop(0))


def lower_limit(folder: Path) -> None:
    alter(folder / "gate.json", "gate", lambda body: body["judgements"][0].update(limit="≥ 0.1"))


ALTERED: dict[str, Any] = {
    "no reproduction": lambda folder: (folder / "reproduce.json").unlink(),
    "no scores": lambda folder: (folder / "score.json").unlink(),
    "no verdict": lambda folder: (folder / "gate.json").unlink(),
    "no model": lambda folder: shutil.rmtree(folder / "model"),
    "an empty model": lambda folder: (shutil.rmtree(folder / "model"), (folder / "model").mkdir()),
    "a truncated verdict": truncate,
    "a value changed by hand": flip,
    "a file of the model changed": lambda folder: (folder / "model" / "data" / "weights.bin").write_bytes(b"x"),
    "a file added to the model": lambda folder: (folder / "model" / "extra.py").write_text("x"),
    "a link in the model": lambda folder: (folder / "model" / "link").symlink_to("/etc/hostname"),
    "a file removed from the model": lambda folder: (folder / "model" / "data" / "weights.bin").unlink(),
    "no profile": lambda folder: (folder / "profile.json").unlink(),
    "another profile": lambda folder: (folder / "profile.json").write_text("{}"),
    "a link for a profile": lambda folder: (
        (folder / "profile.json").rename(folder / "elsewhere")
        and (folder / "profile.json").symlink_to(folder / "elsewhere")
    ),
    "a profile without a digest": change("gate", profile={"path": "profile.json"}),
    "not reproducible": lambda folder: forge_chain(folder, decision="not reproducible"),
    "no environment": lambda folder: forge_chain(folder, environment=None),
    "another model's reproduction": lambda folder: forge_chain(folder, model="other"),
    "another commit's reproduction": lambda folder: forge_chain(folder, commit="0" * 40),
    "another re-run's scores": change("reproduce", stages=["other"]),
    "other scores than were judged": change("score", isolated=False),
    "a decision to refuse": change("gate", decision="refuse"),
    "a decision with another code": change("gate", code=12),
    "a decision with code false": change("gate", code=False),
    "a verdict on another commit": change("gate", commit="0" * 40),
    "a verdict on another model": change("gate", model_digest="sha256:" + "0" * 64),
    "a verdict against a champion that was not scored": change(
        "gate", champion={"version": "v1", "promotion": 1, "digest": "sha256:" + "0" * 64}
    ),
    "a verdict that compared, by its own word": change("gate", compared=True),
    "a verdict under another policy's digest": change("gate", policy={"digest": "sha256:" + "0" * 64}),
    "a verdict without measurements": change("gate", measurements=[]),
    "a verdict without judgements": change("gate", judgements=[]),
    "a verdict without one measurement": drop_measurement,
    "a verdict with another limit": lower_limit,
    "measurements that are text": change("gate", measurements="none"),
    "a verdict from tomorrow": change("gate", judged_on=(date.today() + timedelta(days=2)).isoformat()),
    "a verdict without a day": change("gate", judged_on=None),
}


@pytest.mark.parametrize("case", ALTERED)
def test_altered_evidence_is_refused_and_nothing_moves(project: Project, case: str) -> None:
    project.commit("one")
    ALTERED[case](project.judge())

    with pytest.raises(Refused):
        project.promote(first=True)
    untouched(project)


def test_a_candidate_that_fails_is_refused_whatever_its_record_says(project: Project) -> None:
    project.commit("one")
    folder = project.judge(value=0.5)
    assert record.read(folder / "gate.json", "gate").body["decision"] == "refuse"
    change("gate", decision="promote", code=0)(folder)

    with pytest.raises(Refused, match="another verdict"):
        project.promote(first=True)
    untouched(project)


def test_a_verdict_by_a_policy_that_the_commit_does_not_have_is_refused(project: Project) -> None:
    lenient = project.commit("one", minimum="0.1")
    strict = project.commit("one, strictly")
    folder = project.judge(commit=lenient, value=0.6)
    forge_chain(folder, commit=strict)
    change("gate", commit=strict)(folder)

    with pytest.raises(Refused, match="another policy"):
        project.promote(first=True)
    untouched(project)


def test_a_waiver_that_has_expired_since_the_verdict_no_longer_counts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = date.today()
    waiver = f"{{gate: champion, who: Ada, reason: known, until: {until}}}"
    project.champion("one", first=True)
    project.commit("waived", waivers=waiver)  # a waiver does not count for the merge that brings it
    project.commit("two", waivers=waiver)
    folder = project.judge(difference=-0.1)
    assert record.read(folder / "gate.json", "gate").body["decision"] == "promote"

    from passmuster import evidence

    judge_again = evidence.judge_again
    monkeypatch.setattr(
        evidence,
        "judge_again",
        lambda found, config, also, today: judge_again(found, config, also, until + timedelta(days=1)),
    )
    with pytest.raises(Refused, match="waiver"):
        project.promote()
    untouched(project, promotions=1)

    monkeypatch.undo()


def test_a_commit_that_is_not_in_the_clone_is_refused(project: Project) -> None:
    project.commit("one")
    folder = project.judge()
    forge_chain(folder, commit="1" * 40)
    change("gate", commit="1" * 40)(folder)

    with pytest.raises(Refused, match="not in this clone"):
        project.promote(first=True)


def test_train_ids_other_than_the_record_names_are_refused(project: Project) -> None:
    project.commit("one")
    folder = project.judge()
    (folder / "train_ids.parquet").write_bytes(b"ids")
    forge_chain(folder, train_ids={"digest": "sha256:" + "0" * 64})

    with pytest.raises(Refused, match="train_ids"):
        project.promote(first=True)
    untouched(project)


def test_an_upload_that_does_not_come_back_whole_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.commit("one")
    project.judge()
    log = Registry.log

    def damaged(self: Registry, name: str, nonce: str, **options: Any) -> str:
        run_id = log(self, name, nonce, **options)
        for path in (project.folder / "mlartifacts").rglob("weights.bin"):
            path.write_bytes(b"damaged")
        return run_id

    monkeypatch.setattr(Registry, "log", damaged)
    with pytest.raises(Refused, match="altered"):
        project.promote(first=True)
    untouched(project)


def test_a_ledger_that_forgot_its_last_promotion_is_refused(project: Project) -> None:
    project.champion("one", first=True)
    project.champion("two")
    for tag in ("credit#champion#2", "credit@v2.0.0"):
        git(project.root, "push", "-q", "--delete", "origin", tag)
        git(project.root, "tag", "-d", tag)
    project.commit("three")
    project.judge()

    with pytest.raises(Refused, match="MLflow remembers promotion 2"):
        project.promote()


def test_an_emptied_ledger_is_not_a_first_one(project: Project) -> None:
    project.champion("one", first=True)
    for tag in ("credit#champion#1", "credit@v1.0.0"):
        git(project.root, "push", "-q", "--delete", "origin", tag)
        git(project.root, "tag", "-d", tag)
    project.commit("two")
    project.judge()

    with pytest.raises(Refused, match="MLflow remembers promotion 1"):
        project.promote(first=True)


def test_an_unreachable_remote_moves_nothing_and_the_same_call_works_later(project: Project) -> None:
    project.commit("one")
    project.judge()
    gone = project.folder / "gone.git"
    project.remote.rename(gone)

    with pytest.raises(Unavailable):
        project.promote(first=True)

    gone.rename(project.remote)
    untouched(project)
    assert project.promote(first=True).state == "done"


def test_an_mlflow_that_does_not_answer_moves_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.commit("one")
    project.judge()
    (project.folder / "file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.folder / 'file' / 'mlflow.db'}")

    with pytest.raises(Unavailable, match="MLFLOW_TRACKING_URI"):
        project.promote(first=True)
    assert project.ledger.champion is None


def test_an_attempt_that_was_given_up_is_marked_as_lost(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The push fails; then another candidate is judged in the same folder."""
    project.commit("one")
    project.judge()
    hook = project.remote / "hooks" / "update"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Refused):
        project.promote(first=True)
    hook.unlink()
    project.champion("two", first=True)

    assert [v.lost for v in sorted(project.registry.versions("credit-risk"), key=lambda v: v.number)] == [True, False]
    project.consistent()


def test_two_promotions_in_one_folder_do_not_mix(project: Project) -> None:
    from passmuster.swap import at_desk

    project.commit("one")
    folder = project.judge()
    with at_desk(folder), pytest.raises(Unavailable, match="another promotion"):
        project.promote(first=True)


def test_an_intent_that_cannot_be_read_is_refused(project: Project) -> None:
    project.commit("one")
    (project.judge() / "intent.json").write_text("{")

    with pytest.raises(Refused):
        project.promote(first=True)
    untouched(project)


def test_the_champion_comes_back_whole_for_the_next_comparison(project: Project) -> None:
    project.commit("one")
    project.judge(train_ids=b"ids")
    champion = project.promote(first=True).event
    other = project.clone("other")

    source = promote.champion_source(other, project.config, champion, progress=Silent())

    assert source is not None and champion is not None
    assert digest.of_path(source.directory) == champion.model_digest
    assert source.train_ids is not None and source.train_ids.read_bytes() == b"ids"
    assert source.profile is not None
    assert source.profile.read_bytes() == (project.root / ".passmuster/credit/profile.json").read_bytes()
    assert source.profile_digest == digest.of_file(source.profile)
    assert promote.champion_source(other, project.config, None, progress=Silent()) is None


def test_a_supplied_champion_must_be_the_one_that_the_ledger_names(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow is not asked; what stands in the folder is believed by its digests alone."""
    project.commit("one")
    project.judge(train_ids=b"ids")
    champion = project.promote(first=True).event
    root = project.clone("other")
    folder = root / ".passmuster/credit/champion"

    def supplied(event: events.Promotion | None) -> Any:
        return promote.champion_source(root, project.config, event, supplied=True, progress=Silent())

    with pytest.raises(Refused, match="passmuster fetch"):
        supplied(champion)
    promote.champion_source(root, project.config, champion, progress=Silent())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    assert supplied(champion).directory == folder / "model"
    with pytest.raises(Refused, match="know of none"):
        supplied(None)
    for name in ("model/MLmodel", "train_ids.parquet", "profile.json", "gate.json"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before[:-3])
        with pytest.raises(Refused):
            supplied(champion)
        (folder / name).write_bytes(before)
    shutil.rmtree(folder)
    assert supplied(None) is None


def test_a_champion_from_before_profiles_were_kept_has_none(project: Project) -> None:
    project.commit("one")
    project.judge(profile=False)
    champion = project.promote(first=True).event

    source = promote.champion_source(project.root, project.config, champion, progress=Silent())

    assert source is not None
    assert (source.profile, source.profile_digest) == (None, None)


@pytest.mark.parametrize("name", ["train_ids.parquet", "reproduce.json", "profile.json", "gate.json"])
@pytest.mark.parametrize("content", [b"others", None])
def test_a_champion_whose_rows_or_profile_were_altered_in_mlflow_is_not_handed_out(
    project: Project, name: str, content: bytes | None
) -> None:
    """They say what is left out of comparisons, and compared with: who could choose them would choose the verdict."""
    project.commit("one")
    project.judge(train_ids=b"ids")
    project.promote(first=True)
    for path in (project.folder / "mlartifacts").rglob(name):
        path.write_bytes(content) if content else path.unlink()

    with pytest.raises(Refused):
        promote.champion_source(project.clone("other"), project.config, project.ledger.champion, progress=Silent())


def test_evidence_that_comes_with_a_commit_is_refused(project: Project) -> None:
    """It could say anything: whoever wrote the commit wrote it."""
    project.commit("one")
    project.judge()
    git(project.root, "add", "--force", ".passmuster")

    with pytest.raises(Refused, match="must have been made here"):
        project.promote(first=True)
    untouched(project)


def test_names_of_metrics_that_mlflow_does_not_take_keep_nobody_from_promoting(project: Project) -> None:
    """There they get plain ones, none lost; the records keep the true ones."""
    metrics = {"recall@10": 0.1, "recall#10": 0.2, "../a": 0.3, ".": 0.4, "": 0.5, "f1": 0.6, "é" * 300: 0.7}
    registry = project.registry
    run = registry.log("credit-risk", "0" * 32, files={}, params=metrics, metrics=metrics, tags={})
    data = registry.client.get_run(run).data

    assert sorted(data.metrics.values()) == sorted(metrics.values())
    assert {"recall_10", "recall_10_2", "f1"} <= data.metrics.keys() == data.params.keys()


def test_a_champion_altered_in_mlflow_is_not_handed_out(project: Project) -> None:
    project.champion("one", first=True)
    for path in (project.folder / "mlartifacts").rglob("weights.bin"):
        path.write_bytes(b"altered")

    with pytest.raises(Refused, match="altered"):
        promote.champion_source(project.clone("other"), project.config, project.ledger.champion, progress=Silent())


def test_a_ledger_declared_local_promotes_without_a_remote(project: Project) -> None:
    project.commit("one", ledger="local")
    project.judge()
    project.remote.rename(project.folder / "gone.git")

    assert project.promote(first=True).state == "done"
    project.consistent()

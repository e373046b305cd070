"""Hostile pull requests: what is planted, and what comes out. None promotes, and none is shown as verified.

Each case goes the whole way: a real pull request in git, records as its jobs leave them, the bundles, GitHub's answers,
the comment. What can't be refused is shown as text.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from passmuster import bundle, digest, intake, plan, policy, record, verdict
from passmuster import config as configs
from passmuster._git import Repository
from passmuster.conclude import conclude
from passmuster.errors import ExitCode, PassmusterError
from passmuster.github.facts import Commit, ReferencedWorkflow
from passmuster.measurement import Assertion, Failure, from_json, to_json
from passmuster.progress import Silent
from passmuster.promote import promote
from passmuster.pull_request import Conclusion, Posting
from passmuster.record import Record
from passmuster.report import _pull_request as report
from passmuster.reproduce import reproduce
from support import github_markdown
from support.api import CALLER, PINNED, Api, zipped
from support.promotion import Project, alter, clones, git
from support.pull_requests import NEEDS, PullRequest, forget, promoted, pull_request, relink
from support.tiny_project import TinyProject

__all__ = ["clones"]

WORKFLOW = f"tools/muster/.github/workflows/gate.yml@{PINNED}"


@dataclass
class Scene:
    """A pull request whose model passes, and GitHub after its run."""

    pr: PullRequest
    api: Api

    @property
    def folder(self) -> Path:
        """Where its records are."""
        return self.pr.root / ".passmuster" / "credit"

    @property
    def champion(self) -> Any:
        """The ledger's."""
        return self.pr.project.ledger.champion

    def upload(self, content: bytes | None = None, name: str = "passmuster-records-credit") -> None:
        """Let the run leave an archive, or the records as they are now, in place of what it left."""
        self.api.left.clear()
        self.api.upload(name, zipped(("r.tar", self.pr.pack().read_bytes())) if content is None else content)

    def forge(self, step: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a record, every digest made right again, and upload."""
        self.pr.forge(step, change)
        self.upload()

    def gate(self, **facts: Any) -> None:
        """Set facts of the verdict's record, and upload."""
        self.forge("gate", lambda body: body.update(facts))

    def tar(self, *members: tuple[str, bytes, Mapping[str, Any]]) -> None:
        """Let the run leave a tar of the attacker's own making."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, content, fields in members:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                for key, value in fields.items():
                    setattr(member, key, value)
                archive.addfile(member, io.BytesIO(content))
        self.upload(zipped(("r.tar", stream.getvalue())))

    def measured(self, *planted: Any) -> None:
        """Add measurements, judged by the kernel as the base's policy does, and upload."""
        config = configs.load_at(Repository(self.pr.root), self.pr.base)["credit"]
        found = record.read(self.folder / "gate.json", "gate").body
        measurements = [*(from_json(item) for item in found["measurements"]), *planted]
        judged = verdict.judge(
            measurements,
            policy.from_config(config),
            compared=True,
            today=date.fromisoformat(found["judged_on"]),
        )
        self.gate(**verdict.to_body(judged), measurements=[to_json(m) for m in measurements])

    def taken(self) -> Posting:
        """What reviewers are told."""
        return intake.take(self.api, 77, self.pr.root, progress=Silent())


def base(clones: Project) -> None:
    (clones.root / ".github" / "workflows").mkdir(parents=True)
    (clones.root / CALLER).write_text(f"on: pull_request\njobs:\n  gate:\n    uses: {WORKFLOW}\n")
    (clones.root / "tests").mkdir()
    clones.commit("one")
    promoted(clones)


def opened(clones: Project, change: Callable[[Path], None] | None = None, **values: str) -> Scene:
    base(clones)
    champion = clones.ledger.champion
    pr = pull_request(clones, change, **values)
    pr.judge(champion=champion)
    scene = Scene(pr=pr, api=Api.of(pr.root, pr.head, pr.merge, pr.base))
    scene.upload()
    return scene


def told(posting: Posting) -> str:
    """All that is said of what is wrong."""
    problems = [*posting.problems, *posting.missing.values()]
    for model in posting.models:
        problems += [*model.problems, *(judgement.reason for judgement in model.judgements)]
    return "\n".join(problems)


# --- what is planted in artifact, records and GitHub's answers ----------------------------------------------------


def sparse(scene: Scene) -> None:
    header = tarfile.TarInfo("gate.json")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 0
    scene.upload(zipped(("r.tar", header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))))


def zeros(scene: Scene) -> None:
    """A gigabyte of zeros is a megabyte in a zip."""
    stream = io.BytesIO()
    block = bytes(2**24)
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("r.tar", "w") as entry,
    ):
        for _ in range(64):
            entry.write(block)
    scene.upload(stream.getvalue())


def lying_zip(scene: Scene) -> None:
    """The archive says that its file is small, and it is not."""
    content = bytearray(zipped(("r.tar", bytes(2**26))))
    for mark, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        where = content.index(mark) + at
        content[where : where + 4] = (1024).to_bytes(4, "little")
    scene.upload(bytes(content))


def many_records(scene: Scene) -> None:
    scene.tar(*((f"champion/model/{number}", b"", {}) for number in range(2000)))


def many_artifacts(scene: Scene) -> None:
    for number in range(1001):
        scene.api.upload(f"passmuster-records-{number}", b"")


def huge_artifacts(scene: Scene) -> None:
    scene.api.left[0] = replace(scene.api.left[0], size=2**40)


def text_of(scene: Scene, change: Callable[[bytes], bytes]) -> None:
    """Upload the records with the bytes of gate.json changed."""
    files = {name: (scene.folder / name).read_bytes() for name in ("reproduce.json", "score.json", "gate.json")}
    changed = change(files["gate.json"])
    assert changed != files["gate.json"]
    scene.tar(*((name, content, {}) for name, content in (files | {"gate.json": changed}).items()))


def forged_verdict(scene: Scene) -> None:
    """A model that fails, told as one that passes."""
    scene.pr.judge(champion=scene.champion, value=0.4)

    def lie(body: dict[str, Any]) -> None:
        body.update(decision="promote", code=0)
        for judgement in body["judgements"]:
            judgement.update(outcome="pass")

    scene.forge("gate", lie)


def forged_decision(scene: Scene) -> None:
    scene.pr.judge(champion=scene.champion, value=0.4)
    scene.gate(decision="promote", code=0)


def dropped_gate(scene: Scene) -> None:
    """What failed is left out, and the rest judged anew."""
    found = record.read(scene.folder / "gate.json", "gate").body
    kept = [item for item in found["measurements"] if item["gate"] != "champion"]
    judgements = [item for item in found["judgements"] if item["gate"] != "champion"]
    scene.gate(measurements=kept, judgements=judgements)


def no_measurements(scene: Scene) -> None:
    scene.gate(measurements=[], judgements=[])


def own_waiver(scene: Scene) -> None:
    scene.pr.judge(champion=scene.champion, value=0.4)

    def waive(body: dict[str, Any]) -> None:
        body.update(decision="promote", code=0)
        for judgement in body["judgements"]:
            if judgement["outcome"] == "fail":
                waiver = {"who": "Head of Risk", "reason": "fine", "until": "2099-01-01"}
                judgement.update(outcome="waived", waived="fail", waiver=waiver)

    scene.forge("gate", waive)


def by_own_policy(scene: Scene) -> None:
    """The looser policy of the head judges, and is named as what it is."""
    repository = Repository(scene.pr.root)
    loose = configs.load_at(repository, scene.pr.merge)["credit"]
    rules = digest.of_json(configs.policy_json(loose))
    scene.gate(policy={"digest": rules, "ref": "x", "commit": scene.pr.merge, "changes": []})
    relink(scene.folder / "gate.json", "gate", {"policy": rules})
    scene.upload()


def in_the_bases_name(scene: Scene) -> None:
    """The looser policy of the head judges, and is named as the base's."""
    by_own_policy(scene)
    scene.forge("gate", lambda body: body["policy"].update(commit=scene.pr.base))


def no_champion(scene: Scene) -> None:
    scene.pr.judge(champion=None)
    scene.upload()


def another_champion(scene: Scene) -> None:
    weak = replace(scene.champion, model_digest="sha256:" + "ee" * 32)
    scene.pr.judge(champion=weak)
    scene.upload()


def other_champion_told(scene: Scene) -> None:
    path = scene.folder / "champion" / "reproduce.json"
    path.parent.mkdir()
    path.write_bytes((scene.folder / "reproduce.json").read_bytes())
    scene.upload()


def another_chain(scene: Scene) -> None:
    alter(scene.folder / "score.json", "score", lambda body: body.update(isolated=False))
    scene.upload()


def another_model(scene: Scene) -> None:
    alter(scene.folder / "reproduce.json", "reproduce", lambda body: body.update(model="fraud"))
    scene.upload()


def not_reproducible(scene: Scene) -> None:
    """The model that was scored is not the one that was re-run."""
    scene.forge("reproduce", lambda body: body.update(model_digest="sha256:" + "ff" * 32))


def old_verdict(scene: Scene) -> None:
    """The verdict of an earlier commit of the pull request, which did pass."""
    earlier = scene.pr.merge
    git(scene.pr.root, "checkout", "-q", "feature")
    head = scene.pr.project.commit("worse")
    git(scene.pr.root, "checkout", "-q", "--detach", scene.pr.base)
    git(scene.pr.root, "merge", "-q", "--no-ff", "-m", "merge", head)
    merge = git(scene.pr.root, "rev-parse", "HEAD")
    git(scene.pr.root, "checkout", "-q", "main")
    assert merge != earlier
    scene.api.told = replace(scene.api.told, head_sha=head)
    scene.api.pulls = [replace(scene.api.pulls[0], head_sha=head, merge_sha=merge)]


def wrong_sha(scene: Scene) -> None:
    for step in ("reproduce", "gate"):
        scene.pr.forge(step, lambda body: body.update(commit="a" * 40))
    scene.api.commits["a" * 40] = Commit(sha="a" * 40, parents=("b" * 40, scene.pr.head), author_login="mallory")
    scene.upload()


def hostile_sha(scene: Scene) -> None:
    for step in ("reproduce", "gate"):
        scene.pr.forge(step, lambda body: body.update(commit="--upload-pack=touch /tmp/escaped"))
    scene.upload()


def own_workflow(scene: Scene) -> None:
    path = f"mallory/muster/.github/workflows/gate.yml@{PINNED}"
    scene.api.used = [ReferencedWorkflow(path=path, sha=PINNED, ref=None)]


def older_workflow(scene: Scene) -> None:
    scene.api.used = [replace(scene.api.used[0], sha="0" * 40)]


def twice(scene: Scene) -> None:
    scene.api.upload("passmuster-records-x", zipped(("r.tar", scene.pr.pack().read_bytes())))


def edited_test(scene: Scene) -> None:
    scene.gate(judged_by={"tests/test_risk.py": digest.of_bytes(b"def test_nothing(): pass")})


def infinite(content: bytes) -> bytes:
    return re.sub(rb'"value": 0\.8', b'"value": 1e999', content, count=1)


Plant = Callable[[Scene], object]

PLANTED: dict[str, tuple[Plant, str]] = {
    # the archive
    "zip-slip in the bundle": (lambda s: s.tar(("../../escaped", b"x", {})), "may not hold"),
    "an absolute path": (lambda s: s.tar(("/tmp/escaped", b"x", {})), "may not hold"),
    "a symbolic link": (
        lambda s: s.tar(("gate.json", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})),
        "a link",
    ),
    "a hard link": (
        lambda s: s.tar(("gate.json", b"", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})),
        "a hard link",
    ),
    "a device": (lambda s: s.tar(("gate.json", b"", {"type": tarfile.CHRTYPE, "devmajor": 1})), "a device"),
    "a sparse file": (sparse, "a sparse file"),
    "zip-slip in the zip": (lambda s: s.upload(zipped(("../escaped.tar", b"x"))), "bundle"),
    "a gigabyte of zeros": (zeros, "bytes"),
    "a zip that lies about its size": (lying_zip, "can't be unpacked"),
    "a zip with many files": (lambda s: s.upload(zipped(*((f"{n}.tar", b"") for n in range(1000)))), "1,000 files"),
    "no zip": (lambda s: s.upload(b"MZ not a zip"), "can't be unpacked"),
    "an empty artifact": (lambda s: s.upload(b""), "can't be unpacked"),
    "a tar with thousands of files": (many_records, "it holds more than|may not hold|more than"),
    "a thousand artifacts": (many_artifacts, "artifacts with records"),
    "artifacts of a terabyte": (huge_artifacts, "artifacts with records"),
    "the same model in two artifacts": (twice, "more than one bundle"),
    "a file for main": (lambda s: s.tar(("promote.json", b"{}", {})), "may not hold"),
    "a record that hides another by case": (
        lambda s: s.tar(("gate.json", b"{}", {}), ("GATE.json", b"{}", {})),
        "may not hold",
    ),
    # the text of a record
    "a record as deep as a well": (lambda s: text_of(s, lambda _: b'{"a":' * 10**5), "not a record"),
    "NaN in a record": (lambda s: text_of(s, lambda c: c.replace(b'"version": 1', b'"version": NaN', 1)), "NaN"),
    "an infinite number": (lambda s: text_of(s, infinite), "not a record|altered"),
    "a key twice": (lambda s: text_of(s, lambda c: c.replace(b"{", b'{"digest": "x",', 1)), "twice"),
    "a number of a million digits": (lambda s: text_of(s, lambda _: b"9" * 10**6), "not a record"),
    "half a character": (lambda s: text_of(s, lambda c: c.replace(b'"decision"', rb'"\udfff"', 1)), "record"),
    "no JSON": (lambda s: text_of(s, lambda _: b"\xff\xfe\x00"), "record"),
    "true for the number 1": (lambda s: text_of(s, lambda c: c.replace(b'"version": 1', b'"version": true')), "record"),
    # what a record says
    "an altered record": (lambda s: text_of(s, lambda c: c.replace(b"0.8", b"0.9", 1)), "altered"),
    "a forged verdict": (forged_verdict, "judging its measurements again"),
    "a forged decision": (forged_decision, "judging its measurements again"),
    "a gate left out": (dropped_gate, "judging its measurements again"),
    "no measurement at all": (no_measurements, "judging its measurements again"),
    "a waiver of one's own": (own_waiver, "judging its measurements again"),
    "a forged digest of the policy": (
        lambda s: s.forge("gate", lambda body: body["policy"].update(digest="sha256:" + "a" * 64)),
        "by another policy",
    ),
    "a forged commit of the policy": (
        lambda s: s.forge("gate", lambda body: body["policy"].update(commit=s.pr.head)),
        "not by that of",
    ),
    "an edited gate test": (edited_test, "other gates or tests"),
    "no champion, where there is one": (no_champion, "there is no champion; the ledger has v1"),
    "a champion that the ledger does not have": (another_champion, "that the ledger does not have"),
    "a champion's record of one's own": (other_champion_told, "not the one that the champion was promoted on"),
    "a chain with a link of another": (another_chain, "other scores|another"),
    "a record of another model": (another_model, "reproduce.json is of model|is of model"),
    "a model that was not re-run": (not_reproducible, "not all of one model"),
    "a verdict on an earlier commit": (old_verdict, "not a merge of this pull request's head"),
    "a commit of nobody": (wrong_sha, "is not a commit of 'main'"),
    "a commit that is an option": (hostile_sha, "which is none"),
    "rows to judge on that nobody compared": (
        lambda s: s.gate(test_rows={"commit": s.pr.head, "state": "same"}),
        "whether the test rows",
    ),
    "other rows to judge on, told as the same": (
        lambda s: s.forge("score", lambda body: body.update(base={"commit": s.pr.base, "state": "others"})),
        "whether the test rows",
    ),
    "other rows to judge on, and nothing measured on them": (
        lambda s: (
            s.pr.forge("score", lambda body: body.update(base={"commit": s.pr.base, "state": "others"})),
            s.gate(test_rows={"commit": s.pr.base, "state": "others"}),
        ),
        "judging its measurements again",
    ),
    "facts of another type": (lambda s: s.gate(measurements={"a": 1}), "records lack|not a measurement"),
    "a day that is none": (lambda s: s.gate(judged_on="2026-13-45"), "records lack"),
    # what ran
    "another repository's workflow": (own_workflow, "as the base names it"),
    "an older commit of the workflow": (older_workflow, "as the base names it"),
}


@pytest.mark.parametrize(("plant", "said"), PLANTED.values(), ids=PLANTED.keys())
def test_what_is_planted_is_refused_with_a_reason(clones: Project, tmp_path: Path, plant: Plant, said: str) -> None:
    scene = opened(clones)
    plant(scene)

    posting = scene.taken()

    assert re.search(said, told(posting)), told(posting)
    assert report.conclusion(posting) is Conclusion.FAILURE
    assert not any(path.name.startswith("escaped") for path in (*tmp_path.rglob("*"), *Path("/tmp").glob("escaped*")))
    _is_only_text(posting)
    _does_not_promote(scene)


def _does_not_promote(scene: Scene) -> None:
    """Whatever is in the folder of a job on main, what a pull request's run has left is of another commit."""
    config = scene.pr.project.config
    head = git(scene.pr.root, "rev-parse", "main")
    try:
        result = promote(scene.pr.root, config, commit=head, dry_run=True, progress=Silent())
    except PassmusterError:
        return
    raise AssertionError(result)


def test_the_scene_would_pass_if_nothing_were_planted(clones: Project) -> None:
    """Else the cases above would show nothing."""
    posting = opened(clones).taken()

    assert report.conclusion(posting) is Conclusion.SUCCESS


# --- what a pull request changes in the repository -----------------------------------------------------------------


def a_file(path: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)

    return change


def test_an_edited_caller_workflow_judges_nothing(clones: Project) -> None:
    scene = opened(
        clones, a_file(CALLER, "on: pull_request\njobs: {gate: {uses: mallory/x/.github/workflows/gate.yml@v1}}\n")
    )

    posting = scene.taken()

    assert "which judges it" in told(posting)
    assert report.conclusion(posting) is Conclusion.FAILURE


@pytest.mark.parametrize(("plant", "said"), [(by_own_policy, "not by that of"), (in_the_bases_name, "another policy")])
def test_an_edited_policy_judges_nothing(clones: Project, plant: Plant, said: str) -> None:
    scene = opened(clones, minimum="0.1")
    plant(scene)

    posting = scene.taken()

    assert said in told(posting)
    assert report.conclusion(posting) is Conclusion.FAILURE


def test_a_loosened_policy_leaves_the_bases_to_judge(clones: Project) -> None:
    """Under its own it would pass."""
    base(clones)
    champion = clones.ledger.champion
    pr = pull_request(clones, minimum="0.1")
    pr.judge(champion=champion, value=0.4)
    scene = Scene(pr=pr, api=Api.of(pr.root, pr.head, pr.merge, pr.base))
    scene.upload()
    scene.api.told = replace(scene.api.told, conclusion="failure")

    posting = scene.taken()

    assert [model.code for model in posting.models] == [11]
    assert report.conclusion(posting) is Conclusion.FAILURE


@pytest.mark.parametrize("registry", ["credit-risk", "fresh-name"], ids=["its name in the registry", "a new name"])
def test_a_model_renamed_to_lose_its_champion_needs_a_person(clones: Project, registry: str) -> None:
    base(clones)
    pr = pull_request(
        clones, lambda root: (root / "model-configs" / "credit.yaml").unlink(), name="credit-2", registry=registry
    )
    api = Api.of(pr.root, pr.head, pr.merge, pr.base)
    forget(clones)

    posting = intake.take(api, 77, pr.root, progress=Silent())

    assert (posting.models, posting.unknown) == ((), ("credit-2",))
    assert report.conclusion(posting) in (Conclusion.ACTION_REQUIRED, Conclusion.FAILURE)


# --- what a pull request plants in DVC -----------------------------------------------------------------------------

TINY = """\
name: tiny
owner: someone
task: regression
requirements: requirements.txt
pipeline: {targets: [train], model: out/model, outputs: {out/model: {compare: bytes}}}
data: {train: raw.csv, test: raw.csv, label: y, id: id,
  columns: {id: {type: integer}, x: {type: number}, y: {type: number}}}
gates: {performance: {limits: {mean_absolute_error: {max: 10}}}, champion: {rules: {mean_absolute_error: {margin: 1}}}}
registry: {name: tiny, ledger: local}
"""
PIPELINE = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py, raw.csv]
    outs: [out/model]
"""
TRAIN = """\
from pathlib import Path

try:
    from helper import V
except ImportError:
    V = "HONEST"
Path("out/model").mkdir(parents=True, exist_ok=True)
Path("out/model/weights").write_text(V)
"""


def by_hand(tiny: TinyProject) -> None:
    """A model that no training made, committed to `dvc.lock`, which DVC then trusts."""
    (tiny.root / "out" / "model" / "weights").write_text("FABRICATED")
    tiny.dvc("commit", "-q", "-f")


def by_helper(tiny: TinyProject) -> None:
    """A model made with a file that git does not have, its run pushed, so that the run-cache gives it to everybody."""
    tiny.write(".gitignore", "helper.py\n")
    tiny.write("helper.py", "V = 'POISONED'\n")
    tiny.repro("--force")
    tiny.dvc("push", "-q", "--run-cache")
    (tiny.root / "helper.py").unlink()


@pytest.mark.parametrize("poison", [by_hand, by_helper], ids=["dvc.lock", "the run-cache"])
def test_a_poisoned_pipeline_is_run_again_and_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: Callable[[TinyProject], None]
) -> None:
    monkeypatch.setenv("PASSMUSTER_CACHE", str(tmp_path / "cache"))
    tiny = TinyProject(tmp_path / "tiny")
    tiny.dvc("remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    for path, text in (("model-configs/tiny.yaml", TINY), ("dvc.yaml", PIPELINE), ("train.py", TRAIN)):
        tiny.write(path, text)
    before = tiny.commit()
    tiny.git("checkout", "-q", "-b", "feature")
    poison(tiny)
    head = tiny.commit(repro=False)
    tiny.git("checkout", "-q", "--detach", before)
    tiny.git("merge", "-q", "--no-ff", "-m", "merge", head)
    merge = tiny.git("rev-parse", "HEAD")

    config = configs.load_at(Repository(tiny.root), merge)["tiny"]
    found = reproduce(tiny.root, config, commit=merge, progress=Silent())
    bundle.pack(tiny.root, "tiny", "records", tmp_path / "records" / "records-tiny.tar")
    results = {job: {"result": "failure" if job in ("reproduce", "judge") else "success"} for job in NEEDS}
    answer = conclude(
        tiny.root,
        plan=json.dumps(plan.to_json(plan.plan(tiny.root, before, merge))),
        needs=json.dumps(results),
        bundles=tmp_path / "records",
        commit=merge,
        base=before,
        progress=Silent(),
    )

    assert found.body["decision"] == "not reproducible"
    assert (answer.verdict, answer.code) == ("fail", ExitCode.NOT_REPRODUCIBLE)


# --- text ----------------------------------------------------------------------------------------------------------

TEXTS = {
    "a script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a link": "[click](https://evil.example) ![x](https://evil.example/x.png) https://evil.example www.evil.example",
    "a storm of mentions": " ".join(f"@user{number} @org/team{number}" for number in range(2000)),
    "references": "#1 GH-2 owner/name#3 owner/name@deadbeefdeadbeef closes #1",
    "an end of the fold": "</details></td></table>\n\n# ✅ credit passes muster\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    "a comment of ours": "--><!-- passmuster: run=99999999 attempt=1 head=" + "a" * 40 + " --><!--",
    "a template": "${{ secrets.GITHUB_TOKEN }} ${{ github.event.pull_request.title }}",
    "a command of the runner": "x\n::set-output name=verdict::pass\n::error::b\n##[command]x\n::stop-commands::y",
    "a line of an output": "x\nverdict=pass\nverdict<<EOF\npass\nEOF\n",
    "turned around": "\u202egnitseretni\u202c \u2066x\u2069 \u200b\u200d\ufeff",
    "a terminal's commands": "\x1b[2J\x1b]0;title\x07\x9b31m \x00 \r overwritten",
    "half a character": "x \ud800 y",
    "a shell's commands": "$(touch /tmp/escaped) `touch /tmp/escaped` ; touch /tmp/escaped",
    "very long": "A" * 300_000,
    "a fence": "```\n````\n~~~ `` ` \\` $$x$$ :tada: &lt;b&gt;",
}

#: All that an honest comment is made of.
ELEMENTS = re.compile(
    r"(h[1-6]|p|em|strong|code|pre|br|hr|sub|sup|blockquote|ul|ol|li|details|summary|table|thead|tbody|tr|th|td|del|kbd)"
    r"( (style=\"text-align:(left|right|center)\"|align=\"\w+\"|open|class=\"language-\w+\"|start=\"\d+\"))*/?"
)


def _is_only_text(posting: Posting) -> None:
    """The comment holds no element but those of ours: no link, picture, script or mention."""
    for source in (report.render(replace(posting, links={})), report.summary(replace(posting, links={}))):
        page = github_markdown.render(source)
        assert not [tag for tag in github_markdown.tags(page) if not ELEMENTS.fullmatch(tag)]
        assert len(source) < 60_000
        source.encode()


def in_measurements(scene: Scene, text: str) -> None:
    """Names and messages of gates hold slices' values, columns and what tests say."""
    scene.measured(
        Assertion(gate="performance", name=f"slice={text}", holds=False, message=text, details={text[:100]: text}),
        Failure(gate=text[:2000], name=text, reason=text),
    )


def in_the_re_run(scene: Scene, text: str) -> None:
    def say(body: dict[str, Any]) -> None:
        body["params"] = {text: text, "a": [text]}
        body["metrics"] = {text: 0.5}
        body["stages"] = [text]
        body["environment"] = {**body["environment"], "python": text, "platform": text}
        body["outputs"] = [
            {"path": text, "compare": "bytes", "result": "identical", "reason": text, "expected": text, "actual": text}
        ]

    scene.forge("reproduce", say)


def in_a_failed_re_run(scene: Scene, text: str) -> None:
    for step in ("score", "gate"):
        (scene.folder / f"{step}.json").unlink()
    said = {"decision": "not reproducible", "reasons": [text], "stages": [text]}
    alter(scene.folder / "reproduce.json", "reproduce", lambda body: body.update(said))
    scene.upload()


def in_the_verdict(scene: Scene, text: str) -> None:
    scene.pr.forge("gate", lambda body: body["policy"].update(ref=text, changes=[text, f"{text}: 1 → 2"]))
    scene.gate(off=[text], isolation={text: text}, profile=None)


def in_what_github_says(scene: Scene, text: str) -> None:
    scene.api.told = replace(scene.api.told, head_branch=text, conclusion=text)
    scene.api.pulls = [replace(scene.api.pulls[0], head_branch=text, author=text)]
    scene.api.upload(f"passmuster-records-{text}", b"no zip")


def in_a_records_facts(scene: Scene, text: str) -> None:
    scene.gate(judged_on=text, judged_by={text: text})


PLACES: dict[str, Callable[[Scene, str], None]] = {
    "measurements": in_measurements,
    "the re-run": in_the_re_run,
    "a failed re-run": in_a_failed_re_run,
    "the verdict": in_the_verdict,
    "what GitHub says": in_what_github_says,
    "a record's facts": in_a_records_facts,
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_text_of_a_pull_request_is_shown_as_text_wherever_it_stands(
    clones: Project, place: Callable[..., None]
) -> None:
    """All of it in turn, in one repository: what is planted is uploaded anew each time."""
    scene = opened(clones)
    champion = scene.champion
    fresh = Api.of(scene.pr.root, scene.pr.head, scene.pr.merge, scene.pr.base)
    for name, text in TEXTS.items():
        scene.api = replace(fresh, left=[], archives={})
        scene.pr.judge(champion=champion)
        scene.upload()
        try:
            place(scene, text)
        except (UnicodeEncodeError, ValueError):
            assert name == "half a character"  # there is no digest of such text, so no record of it can be made
            continue

        posting = scene.taken()

        _is_only_text(posting)
        if place in (in_measurements, in_a_failed_re_run, in_what_github_says, in_a_records_facts):
            assert report.conclusion(posting) is Conclusion.FAILURE


def test_hostile_names_of_files_and_models_are_shown_as_text(clones: Project) -> None:
    """A plan gives its reasons by the names of files; a config's name is a model's."""
    name = "@everyone [x](https:evil.example) ${{ secrets.X }} <img src=x>"

    def change(root: Path) -> None:
        (root / "model-configs" / f"{name}.yaml").write_text("name: x\n")
        (root / f"{name}.py").write_text("")

    base(clones)
    pr = pull_request(clones, change)
    api = Api.of(pr.root, pr.head, pr.merge, pr.base)

    posting = intake.take(api, 77, pr.root, progress=Silent())

    assert report.conclusion(posting) is Conclusion.FAILURE
    _is_only_text(posting)


# --- the job that concludes ------------------------------------------------------------------------------------------


def _outputs(content: str) -> dict[str, str]:
    """Read a file of outputs as the runner does."""
    found: dict[str, str] = {}
    lines = iter(content.splitlines())
    for line in lines:
        name, sign, end = line.partition("<<")
        assert sign and name not in found, line
        value = []
        for part in lines:
            if part == end:
                break
            value.append(part)
        found[name] = "\n".join(value)
    return found


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_text_becomes_an_output_a_command_or_a_verdict_of_the_job(
    clones: Project, tmp_path: Path, text: str
) -> None:
    """By the command line, as the workflow calls it, and with the runner's own files."""
    scene = opened(clones)
    if text == TEXTS["half a character"]:
        text = "x \\ud800 y"
    in_measurements(scene, text)
    planned = json.loads(scene.pr.plan())
    planned["reasons"] = {"credit": [text[:1000]]}
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY")}
    command = ["conclude", "--plan", json.dumps(planned), "--needs", scene.pr.results()]
    command += ["--bundles", str(scene.pr.bundles), "--commit", scene.pr.merge, "--base", scene.pr.base]

    done = subprocess.run(
        [sys.executable, "-m", "passmuster", *command],
        cwd=scene.pr.root,
        env={**os.environ, "GITHUB_ACTIONS": "true", **{k: str(v) for k, v in files.items()}},
        capture_output=True,
        text=True,
        check=False,
    )

    outputs = _outputs(files["GITHUB_OUTPUT"].read_text())
    assert done.returncode == 10, done.stderr
    assert outputs.keys() == {"verdict", "digests"} and outputs["verdict"] == "error"
    assert list(json.loads(outputs["digests"])) == ["credit"]
    assert not files["GITHUB_ENV"].exists()
    for line in (done.stdout + done.stderr).splitlines():
        assert not re.match(r"\s*::(?!group::|endgroup::)", line), line
        assert "\x1b" not in line and "\u202e" not in line
    page = github_markdown.render(files["GITHUB_STEP_SUMMARY"].read_text())
    assert not [tag for tag in github_markdown.tags(page) if not ELEMENTS.fullmatch(tag)]


def test_a_forged_record_of_a_re_run_is_not_promoted_on_main(clones: Project) -> None:
    """Even where it names main's commit, passes, and is whole: the policy that judged must be main's own."""
    scene = opened(clones)
    git(scene.pr.root, "checkout", "-q", "main")
    git(scene.pr.root, "merge", "-q", "--ff-only", scene.pr.merge)
    found = record.read(scene.folder / "gate.json", "gate")
    record.write(
        Record(schema="gate", version=1, inputs={**found.inputs, "policy": "sha256:" + "0" * 64}, body=found.body),
        scene.folder / "gate.json",
    )

    _does_not_promote(scene)

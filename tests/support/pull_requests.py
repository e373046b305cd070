"""Makes pull requests in real git, and what the jobs of their run leave: plan, results, and bundles of records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passmuster import bundle, events, plan
from passmuster import config as configs
from passmuster._git import Repository
from passmuster.events import Promoted, Promotion, Registered, Registration
from passmuster.ledger import Ledger
from support.promotion import MODEL, Project, alter, git, write_evidence

DIGEST = "sha256:" + "cd" * 32
NEEDS = dict.fromkeys(("plan", "supply", "reproduce", "judge"), "success")


@dataclass
class PullRequest:
    """A pull request on main, and the commit that GitHub makes to try its merge."""

    project: Project
    base: str
    head: str
    merge: str
    needs: dict[str, str] = field(default_factory=lambda: dict(NEEDS))
    planned: dict[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The checkout."""
        return self.project.root

    @property
    def bundles(self) -> Path:
        """Where the bundles of records are."""
        return self.project.folder / "records"

    def plan(self) -> str:
        """What job `plan` says."""
        return json.dumps({**plan.to_json(plan.plan(self.root, self.base, self.merge)), **self.planned})

    def results(self) -> str:
        """What the workflow says of its jobs."""
        return json.dumps({job: {"result": result, "outputs": {}} for job, result in self.needs.items()})

    def judge(self, name: str = MODEL, *, champion: Promotion | None = None, **changes: Any) -> Path:
        """Leave the records of a model as job `judge` does, and return their folder."""
        config = configs.load_at(Repository(self.root), self.base)[name]
        folder = write_evidence(self.root, config, self.merge, champion, **changes)

        rows = {"commit": self.base, "state": "same"}
        alter(folder / "score.json", "score", lambda body: body.update(base=rows))
        scored = json.loads((folder / "score.json").read_text())["digest"]
        relink(folder / "gate.json", "gate", {"score": scored})

        def by_base(body: dict[str, Any]) -> None:
            body |= {"judged_by": {}, "test_rows": rows}
            body["policy"] |= {"ref": self.base, "commit": self.base}

        alter(folder / "gate.json", "gate", by_base)
        return folder

    def pack(self, name: str = MODEL, to: str | None = None) -> Path:
        """Bundle the records of a model as job `judge` does."""
        return bundle.pack(self.root, name, "records", self.bundles / (to or f"records-{name}.tar"))

    def forge(self, step: str, change: Callable[[dict[str, Any]], None], name: str = MODEL) -> None:
        """Change a record, its own digest and the links of those after it made right again, as who knows how would."""
        folder = self.root / ".passmuster" / name
        alter(folder / f"{step}.json", step, change)
        for before, after in (("reproduce", "score"), ("score", "gate")):
            made = json.loads((folder / f"{before}.json").read_text())["digest"]
            relink(folder / f"{after}.json", after, {before: made})


def relink(path: Path, schema: str, inputs: dict[str, str]) -> None:
    """Give a record other inputs, its own digest right again."""
    from passmuster import record
    from passmuster.record import Record

    found = record.read(path, schema)
    record.write(Record(schema=schema, version=1, inputs={**found.inputs, **inputs}, body=found.body), path)


def pull_request(project: Project, change: Callable[[Path], None] | None = None, **values: str) -> PullRequest:
    """Open a pull request whose branch changes the training code, the config's `values`, and what `change` does."""
    base = git(project.root, "rev-parse", "HEAD")
    git(project.root, "checkout", "-q", "-b", "feature")
    if change:
        change(project.root)
    head = project.commit("a better model", **values)
    git(project.root, "checkout", "-q", "--detach", base)
    git(project.root, "merge", "-q", "--no-ff", "-m", "merge", head)
    merge = git(project.root, "rev-parse", "HEAD")
    git(project.root, "push", "-q", "origin", f"{merge}:refs/pull/1/merge", f"{head}:refs/pull/1/head")
    git(project.root, "checkout", "-q", "main")
    return PullRequest(project=project, base=base, head=head, merge=merge)


def promoted(project: Project, name: str = MODEL) -> Promotion:
    """Append a promotion of HEAD to a model's ledger, without MLflow, and return it."""
    config = configs.load_at(Repository(project.root), "HEAD")[name]
    ledger = Ledger.of(project.root, config)
    history = ledger.read()
    number = len(history.promotions) + 1
    facts: dict[str, Any] = {
        "nonce": f"{number:032x}",
        "time": events.now(history.champion),
        "who": "ada",
        "model": name,
        "version": f"v{number}",
        "commit": git(project.root, "rev-parse", "HEAD"),
        "model_digest": DIGEST,
        "evidence": dict.fromkeys(("input", "reproduce", "score", "gate"), DIGEST),
        "registry": Registration(name=config.registry.name, mlflow_version=str(number), run_id="r", uri="sqlite:///m"),
        "targets": tuple(config.pipeline.targets),
        "environment": {"python": "3.11.7"},
    }
    last = history.versions[-1].digest if history.versions else None
    before = history.champion.digest if history.champion else None
    event = Promoted(**facts, previous=before, promotion=number, first=number == 1)
    ledger.append(Registered(**facts, previous=last), event)
    return event


def forget(project: Project, name: str = MODEL) -> None:
    """Remove what stands in the folder of a model."""
    shutil.rmtree(project.root / ".passmuster" / name, ignore_errors=True)

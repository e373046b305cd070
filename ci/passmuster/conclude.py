"""The step `conclude`: one answer for a whole run, from a job that always runs and that branch protection requires.

A job that was skipped reads as a success to GitHub, and a run that lost a part of its matrix looks whole. So success is
said only where the plan names what there is to judge, every job of it came to its end, and each model's records are
here, whole, of this commit, judged by the base's policy, and pass.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from passmuster import _received, bundle
from passmuster._git import Repository
from passmuster.config import ModelConfig
from passmuster.errors import ExitCode, PassmusterError, Refused, combine
from passmuster.progress import Progress
from passmuster.pull_request import Posting, Revision
from passmuster.report import ReportFacts

#: What is said of a run → in its output `verdict`.
PASS, FAIL, INCONCLUSIVE, ERROR, NOTHING = "pass", "fail", "inconclusive", "error", "nothing-to-judge"

_VERDICTS = {
    ExitCode.OK: PASS,
    ExitCode.GATE_FAILED: FAIL,
    ExitCode.NOT_REPRODUCIBLE: FAIL,
    ExitCode.INCONCLUSIVE: INCONCLUSIVE,
}

#: Jobs that must have come to their end where something was planned; `supply` is left out where a fork has no secrets.
_PLAN, _SUPPLY, _JOBS = "plan", "supply", ("reproduce", "judge")

#: Bundles of one run that are looked at.
_MOST_BUNDLES = 2000

#: What the pull request's own code could have made up, however whole its records are.
CLAIMED = (
    "the trained model and its answers, and so every number that was measured of them",
    "that the re-run gave what the commit says",
    "which rows the model was trained on, and that no row was left out of the data",
)


@dataclass(frozen=True, kw_only=True)
class Concluded:
    """What a run came to."""

    verdict: str
    code: ExitCode
    digests: Mapping[str, str]  #: model → digest of its verdict
    posting: Posting
    said: tuple[str, ...]  #: one sentence for each thing that a person should know


@dataclass(kw_only=True)
class Findings:
    """What is found while looking at a run; the run is a success only where nothing takes that from it."""

    codes: list[ExitCode] = field(default_factory=list)
    models: dict[str, ReportFacts] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, said: str, code: ExitCode = ExitCode.NOT_MEASURED) -> None:
        """Note what takes the success from the whole run."""
        self.problems.append(said)
        self.codes.append(code)

    def refuse(self, said: str) -> None:
        """Note what a person has to decide, though the run may be believed."""
        self.notes.append(said)
        self.codes.append(ExitCode.REFUSED)

    def lacks(self, model: str, why: str, code: ExitCode) -> None:
        """Note why there is no verdict on a model."""
        self.missing[model] = why
        self.codes.append(code)


def conclude(
    root: Path,
    *,
    plan: str,
    needs: str,
    bundles: Path,
    commit: str,
    base: str,
    revision: Revision | None = None,
    progress: Progress,
) -> Concluded:
    """Return what the run came to; whatever is missing, cancelled, forged or in doubt is no success.

    Args:
        root: a checkout with the commits and the ledger's tags.
        plan: what `plan --format json` said.
        needs: what the workflow says of its jobs: `toJSON(needs)`.
        bundles: a folder with the bundles of records, below it anywhere.
        commit: what was judged.
        base: the commit whose policy rules.
        revision: of the run.
        progress: told what is going on.

    Raises:
        UsageError: there is no such commit here.
    """
    repository = Repository(root)
    commit, base = repository.commit(commit), repository.commit(base)
    found = Findings()
    planned: Mapping[str, Any] = {}
    results: Mapping[str, str] = {}
    try:
        results = _results(needs)
        if results.get(_PLAN) != "success":
            raise Refused(
                f"job plan ended as {results.get(_PLAN, 'missing')!r}, so nobody knows what there is to judge"
            )
        planned = read_plan(plan, commit, base)
    except Refused as exc:
        found.problem(str(exc), ExitCode.NOT_MEASURED)
    if planned:
        look(
            root,
            planned,
            bundles,
            commit=commit,
            base=base,
            no_access=results.get(_SUPPLY) == "skipped",
            found=found,
            progress=progress,
        )
        _check_jobs(results, bool(planned["models"]), found)
    return _concluded(found, planned, revision or Revision(run_id=0, attempt=1, head=commit))


def read_plan(text: str, commit: str, base: str) -> Mapping[str, Any]:
    """Return what the plan says, after checking its form, and that it is of these commits.

    Raises:
        Refused: it is not.
    """
    plan = _received.loads(text, "the plan")
    try:
        models, removed = list(plan["models"]), dict(plan["removed"])
        if not all(isinstance(name, str) and bundle.is_name(name) for name in models) or len({*models}) != len(models):
            raise ValueError("models")
        if [entry["model"] for entry in plan["matrix"]["include"]] != models:
            raise ValueError("matrix")
        if not all(isinstance(heir, str | None) for heir in removed.values()) or not isinstance(plan["all"], bool):
            raise ValueError("removed")
        head, before = str(plan["head"]), plan["base"]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise Refused(f"the plan is none: {exc}"[:200]) from exc
    if head != commit:
        raise Refused(f"the plan is of commit {head[:40]!r}, not of {commit}")
    if before != base and not (before is None and plan["all"]):
        raise Refused(
            f"the plan starts from {str(before)[:40]!r}, and the policy is that of {base}: the base has moved"
        )
    found: Mapping[str, Any] = plan
    return found


def _results(needs: str) -> Mapping[str, str]:
    """Return job → result."""
    raw = _received.loads(needs, "what the workflow says of its jobs")
    try:
        return {str(job): str(facts["result"]) for job, facts in raw.items()}
    except (KeyError, TypeError, AttributeError) as exc:
        raise Refused(f"what the workflow says of its jobs is not toJSON(needs): {exc!r}"[:200]) from exc


def _check_jobs(results: Mapping[str, str], planned: bool, found: Findings) -> None:
    """Note each job that did not come to its end; a failed one is told by its records where those say why."""
    excused = {"success"} if planned else {"success", "skipped"}
    told = bool(found.codes) and combine(found.codes) is not ExitCode.OK
    for job in dict.fromkeys([_PLAN, *(_JOBS if planned else ()), *results]):
        result = results.get(job, "missing")
        if result in excused or (job == _SUPPLY and result == "skipped") or (told and result == "failure"):
            continue
        found.problem(
            f"job {job} ended as {result!r}" + ("" if result != "failure" else ", though every verdict passes")
        )


def look(
    root: Path,
    planned: Mapping[str, Any],
    bundles: Path,
    *,
    commit: str,
    base: str,
    no_access: bool,
    found: Findings,
    progress: Progress,
) -> None:
    """Look at every model that the plan names, and at what else was left.

    Args:
        root: a checkout with the commits and the ledger's tags.
        planned: the plan.
        bundles: a folder with the bundles of records, below it anywhere.
        commit: what was judged.
        base: the commit whose policy rules.
        no_access: whether the champion was out of the run's reach.
        found: is filled.
        progress: told what is going on.

    Raises:
        UsageError: the base's configs are faulty.
    """
    _look_at_removed(planned["removed"], found)
    known = _received.configs_at(root, base)
    with tempfile.TemporaryDirectory(prefix="passmuster-records-") as name:
        folders = _unpacked(bundles, Path(name), found)
        for model in folders.keys() - set(planned["models"]):
            found.problem(f"there are records of {model}, which the plan does not name", ExitCode.REFUSED)
        for model in planned["models"]:
            progress.step(f"{model}: checking what was judged")
            about = _About(root=root, commit=commit, base=base, no_access=no_access)
            _one(about, model, folders.get(model), known.get(model), found)


def _look_at_removed(removed: Mapping[str, str | None], found: Findings) -> None:
    """Note which models are gone; one whose name in the registry another takes over is no first model."""
    for model, heir in removed.items():
        if heir is None:
            found.notes.append(f"{model} is gone: nothing judges it any more, and its champion stays what it is")
        else:
            found.refuse(
                f"{heir} takes over the name in the registry of {model}, which is gone, and would be judged without "
                "its champion; a model keeps its name"
            )


@dataclass(frozen=True, kw_only=True)
class _About:
    """What holds for all models of a run."""

    root: Path
    commit: str
    base: str
    no_access: bool


def _one(about: _About, model: str, folder: Path | None, config: ModelConfig | None, found: Findings) -> None:
    """Look at one model's records."""
    if config is None:
        found.unknown.append(model)
        found.codes.append(ExitCode.REFUSED)
        return
    if folder is None:
        found.lacks(model, "there are no records of it that can be read: its jobs did not end", ExitCode.NOT_MEASURED)
        return
    try:
        today = datetime.now(UTC).date()
        known = _received.known(
            about.root, config, commit=about.commit, base=about.base, no_access=about.no_access, today=today
        )
        facts = _received.believed(folder, known)
    except PassmusterError as exc:
        found.lacks(model, str(exc), exc.code)
        return
    found.models[model] = facts
    found.codes.append(facts.code)


def _unpacked(bundles: Path, to: Path, found: Findings) -> dict[str, Path]:
    """Return model → the folder that its bundle was unpacked to; a bundle says by its records whose it is."""
    folders: dict[str, Path] = {}
    seen: set[str] = set()
    for number, archive in enumerate(archives(bundles)):
        if number == _MOST_BUNDLES:
            found.problem(f"there are more than {_MOST_BUNDLES:,} bundles", ExitCode.REFUSED)
            break
        try:
            model = bundle.owner(archive, "records")
            if model in seen:
                folders.pop(model, None)
                raise Refused(f"there is more than one bundle of {model}")
            seen.add(model)
            (folder := to / model).mkdir(parents=True)
            bundle.extract(archive, model, "records", folder)
        except PassmusterError as exc:
            found.problem(f"{archive.name}: {exc}", exc.code)
            continue
        folders[model] = folder
    return folders


def archives(bundles: Path) -> Iterator[Path]:
    """Yield the files below `bundles`, wherever the download put them."""
    if bundles.is_dir():
        yield from sorted(path for path in bundles.rglob("*.tar"))


def _concluded(found: Findings, planned: Mapping[str, Any], revision: Revision) -> Concluded:
    nothing = bool(planned) and not planned["models"] and not found.codes
    code = ExitCode.OK if nothing else combine(found.codes)
    verdict = NOTHING if nothing else _VERDICTS.get(code, ERROR)
    said = [*found.problems, *(f"{model}: {why}" for model, why in found.missing.items())]
    said += [
        f"{model}: the base does not know it; a person must bring its config there first" for model in found.unknown
    ]
    said += found.notes
    if nothing:
        said.append("the change touches no model: there is nothing to judge, which is a success")
    return Concluded(
        verdict=verdict,
        code=ExitCode.NOT_MEASURED if code is ExitCode.NOTHING_TO_DO else code,
        digests={model: facts.digests["gate"] for model, facts in found.models.items() if "gate" in facts.digests},
        posting=Posting(
            pull_request=None,
            revision=revision,
            models=tuple(found.models.values()),
            missing=found.missing,
            unknown=tuple(found.unknown),
            plan=planned,
            problems=tuple(found.problems),
            claimed=CLAIMED if found.models else (),
        ),
        said=tuple(said),
    )

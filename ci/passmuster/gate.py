"""The step `gate`: measure the candidate by every gate that the policy names, judge it, and leave the verdict.

Gates are found by entry point and run in processes of their own; this module only chooses, starts and collects. It
refuses inputs whose digests are not those that the records name, before the gates run and after.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from passmuster import _gate_process, _profile, _ruling, digest, engines, environments, record, verdict, workspace
from passmuster._base_gates import FILES as _FILES
from passmuster._base_gates import BaseRows
from passmuster._gate_process import Group
from passmuster._gate_worker import Asked
from passmuster._ruling import Ruling
from passmuster.config import ModelConfig
from passmuster.errors import ExitCode, NotMeasured, Refused, UsageError, combine
from passmuster.gates import ENTRY_POINT_GROUP, Champion, Inputs, NoChampion
from passmuster.measurement import Failure, Measurement, to_json
from passmuster.policy import GatePolicy, Policy, from_config, turned_off
from passmuster.progress import Progress
from passmuster.record import Record

#: The record of a verdict for information: by the policy of a pull request's head. It decides nothing.
INFORMATIVE = "gate-head"

#: Runs Deepchecks, whose import alone takes seconds, so it starts first and in the background.
_DEEPCHECKS = "deepchecks"

#: Seconds beyond its limit, which its client keeps, in which it tells what it has by then.
_TELLING = 30.0

#: Groups of gates that are measured at once, beside Deepchecks; more would take each other's time.
_AT_ONCE = 2

#: Ask the engine for the facts of columns, which they share.
_ON_ENGINE = ("profile", "leakage", "drift")

#: Runs the user's code, so it gets a process of its own, as the user's gates do.
_OF_THE_USER = ("behaviour",)


_Running = Future[list[Measurement]]


def gate(
    root: Path,
    config: ModelConfig,
    *,
    commit: str | None = None,
    policy_ref: str | None = None,
    fork: bool = False,
    informative: bool = False,
    only: Sequence[str] = (),
    engine: str = "local",
    today: date | None = None,
    progress: Progress,
) -> Record:
    """Judge the candidate that `reproduce` and `score` left, and return the record of the verdict.

    Without `policy_ref`, where the first parent of the candidate's commit has another policy, that one judges too, and
    both must pass: a merge can't loosen what it is judged by.

    Args:
        root: the user's checkout; it need not be at the candidate's commit.
        config: the model's config as the candidate's commit has it.
        commit: the commit that must have been re-run; not given: whichever was.
        policy_ref: the commit whose policy, gates and tests judge; not given: the policy of `config`, and the user's
            gates and tests as the candidate's commit has them (with `only`: as `root` has them).
        fork: whether it is known that a fork's pull request is judged: then a champion out of its reach is no error.
            Such a verdict promotes nothing.
        informative: write the record `gate-head.json` beside the one that counts; it decides nothing.
        only: run these gates alone. The answer then decides nothing: it says "refuse" and is not written.
        engine: who measures the columns of data files: one of `passmuster.engines.ENGINES`.
        today: the day that decides which waivers count; not given: today in UTC.
        progress: is told what begins.

    Raises:
        Refused: a record or file is missing, altered, or not of one candidate or of `commit`; or the policy's commit
            does not know the model.
        UsageError: `only` names no gate of the policy, or there is no such commit, or no such engine here.
    """
    engines.check(engine)
    folder = workspace.folder(root, config.name)
    evidence = _Evidence.read(folder, fork=fork)
    evidence.check_commit(commit)
    ruling = _ruling.given(root, config, policy_ref)
    rows = None if only or informative else evidence.base_rows(ruling.commit)
    bench = _Bench(root, evidence, engine, today or datetime.now(UTC).date(), rows, progress)
    other = None
    if not only:
        step = INFORMATIVE if informative else "gate"
        record.begin(folder, step)
        if not informative:
            (folder / _profile.FILE).unlink(missing_ok=True)
        if policy_ref is None:
            other = _of_first_parent(root, config, evidence)
    judged = bench.judge(ruling, only)
    also = bench.judge(other) if other else None
    evidence.check()
    found = _record(evidence, judged, also, bench)
    if only:
        return replace(found, body={**found.body, "decision": "refuse", "only": list(only)})
    if informative:
        found = replace(found, schema=INFORMATIVE)
    elif isinstance(judged.profile, str):
        record.write_atomically(folder / _profile.FILE, judged.profile)
        found = replace(found, body={**found.body, "profile": _profile.told(_profile.FILE, folder / _profile.FILE)})
    record.write(found, folder / f"{found.schema}.json")
    return found


def _of_first_parent(root: Path, config: ModelConfig, evidence: _Evidence) -> Ruling | None:
    """Return the other policy that judges; without git there is none, and nothing can be promoted either."""
    from passmuster._git import Repository

    try:
        repository = Repository.containing(root)
    except UsageError:
        return None
    if not repository.has(evidence.commit):
        raise Refused(
            f"commit {evidence.commit}, which was re-run, is not in this clone; fetch it, so that it can be told "
            "whether it changes the policy"
        )
    return _ruling.of_first_parent(repository, evidence.commit, config)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """What came of one policy."""

    ruling: Ruling
    policy: Policy
    measurements: tuple[Measurement, ...]
    verdict: verdict.Verdict
    code: Mapping[str, str | None]  #: the user's gates and tests, by digest
    profile: str | Failure | None  #: what gate `profile` left

    def body(self) -> dict[str, Any]:
        """Return what a record says of it."""
        return {
            **verdict.to_body(self.verdict),
            "judged_by": dict(self.code),
            "measurements": [to_json(m) for m in self.measurements],
            "false_alarms": self.policy.false_alarms,
            "off": list(turned_off(self.ruling.config)),
        }


@dataclass(frozen=True)
class _Bench:
    """Where one candidate is measured and judged, by one policy after another."""

    root: Path
    evidence: _Evidence
    engine: str
    day: date
    rows: BaseRows | None  #: None: no other rows count
    progress: Progress

    def judge(self, ruling: Ruling, only: Sequence[str] = ()) -> _Judged:
        """Measure by the gates of a policy, and judge."""
        policy = _chosen(from_config(ruling.config), only)
        if self.rows is not None:
            policy = self.rows.asked_of(policy, compared=self.evidence.champion["state"] == "scored")
        judged_at = None if only else self.evidence.commit
        scratch = Path(tempfile.mkdtemp(prefix="passmuster-gates-"))
        try:
            with _ruling.checkout(self.root, ruling, judged_at) as root:
                code = _ruling.code(root, ruling.config)
                inputs = replace(self.evidence.inputs(ruling.config, root, scratch), engine=self.engine)
                if self.rows is not None:
                    inputs = self.rows.beside(inputs)
                measurements = _measure(policy, inputs, scratch, self.progress)
            profile = _reference_profile(measurements, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if isinstance(profile, Failure):
            measurements.append(profile)
        if self.rows is not None:
            measurements += self.rows.failures(policy, measurements)
        return _Judged(
            ruling=ruling,
            policy=policy,
            measurements=tuple(measurements),
            verdict=verdict.judge(
                measurements,
                policy,
                compared=self.evidence.compared,
                no_access=self.evidence.no_access,
                today=self.day,
            ),
            code=code,
            profile=profile,
        )


def _chosen(policy: Policy, only: Sequence[str]) -> Policy:
    names = [one.gate for one in policy.gates]
    if unknown := [name for name in only if name not in names]:
        raise UsageError(f"the policy has no gate {unknown[0]!r}; there are: {', '.join(names)}")
    return replace(policy, gates=tuple(one for one in policy.gates if not only or one.gate in only))


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """What the steps before left, checked: records that name each other, and files that have the digests they name."""

    folder: Path
    reproduced: Record
    scored: Record
    fork: bool  #: whether it is known to be a fork's candidate

    @classmethod
    def read(cls, folder: Path, *, fork: bool = False) -> _Evidence:
        """Read both records and check the chain between them and the files.

        Raises:
            Refused: anything is missing, altered, or belongs to another candidate.
        """
        scored = record.read(folder / "score.json", "score")
        reproduced = record.read(folder / "reproduce.json", "reproduce")
        if scored.inputs.get("reproduce") != reproduced.digest:
            raise Refused(f"{folder}: the scores are of another re-run; run `passmuster score` again")
        found = cls(folder=folder, reproduced=reproduced, scored=scored, fork=fork)
        try:
            found.check()
        except (KeyError, TypeError, AttributeError) as exc:
            raise Refused(f"{folder}: a record lacks what its step always writes: {exc!r}") from exc
        return found

    @property
    def commit(self) -> str:
        """The commit that was re-run."""
        return str(self.reproduced.body["commit"])

    def check_commit(self, commit: str | None) -> None:
        """Refuse records of another commit than the one that the call names."""
        if commit not in (None, self.commit):
            raise Refused(
                f"{self.folder}: commit {self.commit[:12]} was re-run, not {str(commit)[:12]}; run reproduce and score "
                "again with that --commit"
            )

    @property
    def champion(self) -> Mapping[str, Any]:
        """What `score` says of the champion."""
        state: Mapping[str, Any] = self.scored.body["champion"]
        return state

    def base_rows(self, commit: str | None) -> BaseRows | None:
        """Return the rows that count as well: of the policy's commit, else of the champion's; None: none do.

        That the rows are the same must have been said, of the commit that rules; silence is not "the same".
        """
        if commit is None and self.champion["state"] == "scored":
            commit = str(self.champion.get("commit"))
        if commit is None:
            return None
        told = self.scored.body.get("base")
        if not isinstance(told, Mapping) or told.get("commit") != commit:
            message = (
                f"whether the test rows are those of {commit[:12]} was not looked at; run `passmuster score --base` "
                "with the commit whose policy judges"
            )
            return BaseRows(commit=commit, message=message)
        match told.get("state"):
            case "same":
                return None
            case "others" if self._base_files().keys() >= self._asked_of_base():
                paths = {key: self._path(said["path"]).absolute() for key, said in self._base_files().items()}
                return BaseRows(commit=commit, files=paths)
            case _:
                return BaseRows(commit=commit, message=str(told.get("message") or "the base's test rows are not known"))

    def _asked_of_base(self) -> set[str]:
        return {"data", "candidate", *(("champion",) if self.champion["state"] == "scored" else ())}

    def _base_files(self) -> dict[str, Mapping[str, Any]]:
        told = self.scored.body.get("base") or {}
        return {key: told[key] for key in _FILES if told.get(key)}

    @property
    def no_access(self) -> bool:
        """Whether the champion is out of reach, and may be."""
        return self.fork and self.champion["state"] == "no-access"

    @property
    def compared(self) -> bool:
        """Whether there is a champion to compare with."""
        return self.champion["state"] != "none" and not self.no_access

    def check(self) -> None:
        """Refuse any file whose digest is not the one that a record names."""
        if self.reproduced.body["decision"] != "reproducible":
            raise Refused(f"{self.folder}: the re-run ended as {self.reproduced.body['decision']!r}; nothing to judge")
        model, candidate = self.reproduced.body["model_digest"], self.scored.body["candidate"]
        if not digest.is_digest(model) or {model} != {candidate["digest"], self.scored.inputs.get("model")}:
            raise Refused(f"{self.folder}: re-run and scores are of different models; run `passmuster score` again")
        if digest.of_path(self._path("model")) != model:
            raise Refused(f"{self.folder / 'model'} is not the model that was re-run and scored")
        self._files(self.reproduced.body["data"])
        self._files(candidate["predictions"])
        self._files(self._base_files())
        if self.champion["state"] == "scored":
            self._files(self.champion["predictions"])
            self._files(self.champion.get("leave_out") or {})
            self._files(self._profile())
            if digest.of_path(self._path(self.champion["model"])) != self.champion["digest"]:
                raise Refused(f"{self.folder / self.champion['model']} is not the champion that the scores name")

    def _files(self, files: Mapping[str, Mapping[str, Any]]) -> None:
        for said in files.values():
            path = self._path(said["path"])
            if not path.is_file() or digest.of_file(path) != said["digest"]:
                raise Refused(f"{path} is missing or altered: it has not the digest that the record names")

    def _path(self, relative: str) -> Path:
        path = self.folder / relative
        if path.is_symlink() or not path.resolve().is_relative_to(self.folder.resolve()):
            raise Refused(f"a record names {relative!r}, which is not inside {self.folder}")
        return path

    def _profile(self) -> dict[str, Mapping[str, Any]]:
        """What `score` says of the champion's reference profile, by name as of other files; empty: it has none."""
        told = self.champion.get("profile")
        return {} if told is None else {_profile.GATE: told}

    def _paths(self, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Path]:
        return {split: self._path(said["path"]).absolute() for split, said in files.items()}

    def inputs(self, config: ModelConfig, root: Path, scratch: Path) -> Inputs:
        """Return what gates may look at."""
        return Inputs(
            config=config,
            root=root.absolute(),
            digest=self.reproduced.body["model_digest"],
            model=self._path("model").absolute(),
            data=self._paths(self.reproduced.body["data"]),
            predictions=self._paths(self.scored.body["candidate"]["predictions"]),
            champion=self._champion(),
            environment=self.reproduced.body["environment"],
            workspace=scratch,
        )

    def _champion(self) -> Champion | NoChampion:
        said = self.champion
        if said["state"] == "none":
            return NoChampion(reason=verdict.NO_CHAMPION, message="the ledger has no champion yet")
        if self.no_access:
            return NoChampion(
                reason=verdict.NO_ACCESS, message="the champion can't be read from there; after the merge it is judged"
            )
        if said["state"] != "scored":
            return NoChampion(
                reason="unreadable",
                message=f"the champion could not be scored: {said.get('message') or 'no reason given'}",
            )
        return Champion(
            version=said["version"],
            digest=said["digest"],
            model=self._path(said["model"]).absolute(),
            predictions=self._paths(said["predictions"]),
            environment=said["environment"],
            leave_out=self._paths(said.get("leave_out") or {}),
            profile=self._paths(self._profile()).get(_profile.GATE),
        )


def _measure(policy: Policy, inputs: Inputs, scratch: Path, progress: Progress) -> list[Measurement]:
    """Run the policy's gates: Deepchecks in the background, meanwhile the other groups, some at once."""
    asked: dict[str, Asked] = {}
    measurements: list[Measurement] = []
    for one in policy.gates:
        found = _ask(one, policy, inputs, scratch)
        if isinstance(found, Asked):
            asked[one.gate] = found
        else:
            measurements.append(found)
    deepchecks, *others = _groups(policy, asked)
    first: list[_Running] = []
    last: list[_Running] = []
    with ThreadPoolExecutor(1) as background, ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            if deepchecks.asked:
                progress.step("measuring by Deepchecks, in the background")
                last += _submit(background, [deepchecks], scratch / "deepchecks")
            if others:
                progress.step(f"measuring {', '.join(map(_names, others))}")
                first += _submit(pool, others, scratch)
                measurements += _results(first)
            if last:
                progress.step("waiting for Deepchecks")
                measurements += _results(last)
        except BaseException:
            _end(first + last)
            raise
    return measurements


def _reference_profile(measurements: Sequence[Measurement], scratch: Path) -> str | Failure | None:
    """Return what gate `profile` left, or why that can't be kept; None where the gate did not run to its end."""
    own = [m for m in measurements if m.gate == _profile.GATE]
    if not own or any(isinstance(m, Failure) and m.name == _profile.GATE for m in own):
        return None
    try:
        return _profile.left(_workspace(scratch, _profile.GATE))
    except NotMeasured as exc:
        return Failure(gate=_profile.GATE, name="reference-profile", reason=str(exc))


def _workspace(scratch: Path, gate: str) -> Path:
    return scratch / "workspaces" / gate


def _submit(pool: ThreadPoolExecutor, groups: Sequence[Group], scratch: Path) -> list[_Running]:
    return [
        pool.submit(_gate_process.measure, group, scratch / f"group-{number}") for number, group in enumerate(groups)
    ]


def _results(groups: Sequence[_Running]) -> list[Measurement]:
    return [measurement for group in groups for measurement in group.result()]


def _end(groups: Sequence[_Running]) -> None:
    """End all that runs; a group whose process was ended begins another for its next gate, so until none is left."""
    for group in groups:
        group.cancel()
    while wait(groups, timeout=0.1).not_done:
        _gate_process.end_all()


def _names(group: Group) -> str:
    return ", ".join(one.name for one in group.asked)


def _groups(policy: Policy, asked: Mapping[str, Asked]) -> list[Group]:
    """Return which gates share a process; Deepchecks comes first, even where it is not asked."""
    timeouts = {one.gate: one.timeout for one in policy.gates}
    alone = [name for name, one in asked.items() if one.is_file or name in _OF_THE_USER]
    shared = [name for name in asked if name not in alone and name != _DEEPCHECKS]
    # Spark finds its cluster and its Java by the user's settings, and talks to its own parts by the network.
    elsewhere = [name for name in shared if name in _ON_ENGINE and asked[name].inputs.engine != "local"]
    shared = [name for name in shared if name not in elsewhere]

    def group(names: Sequence[str], **how: Any) -> Group:
        return Group(
            asked=tuple(asked[name] for name in names), timeouts={name: timeouts[name] for name in names}, **how
        )

    # Deepchecks' environment is made by uv, which needs the network and the user's settings of it.
    deepchecks = group([name for name in asked if name == _DEEPCHECKS], isolated=False, extra=_TELLING)
    together = [group(shared)] if shared else []
    together += [group(elsewhere, isolated=False)] if elsewhere else []
    return [deepchecks, *together, *(group([name]) for name in alone)]


def _ask(one: GatePolicy, policy: Policy, inputs: Inputs, scratch: Path) -> Asked | Failure:
    """Return how to run a gate of the policy, or why it can't be run."""
    workspace = _workspace(scratch, one.gate)
    workspace.mkdir(parents=True)
    user = inputs.config.gates.user.get(one.gate)
    own = replace(
        inputs,
        workspace=workspace,
        false_alarms=policy.false_alarms_of(one.gate),
        options=dict(user.options) if user else {},
    )
    if user:
        return Asked(name=one.gate, source=user.file, is_file=True, inputs=own)
    sources = {entry.value for entry in entry_points(group=ENTRY_POINT_GROUP, name=one.gate)}
    if len(sources) == 1:
        return Asked(name=one.gate, source=sources.pop(), is_file=False, inputs=own)
    trouble = "no installed distribution provides it" if not sources else f"{len(sources)} distributions provide it"
    return Failure(gate=one.gate, name=one.gate, reason=f"{trouble}; install passmuster again")


def _record(evidence: _Evidence, judged: _Judged, also: _Judged | None, bench: _Bench) -> Record:
    champion, ruling = evidence.champion, judged.ruling
    model = evidence.reproduced.body["model_digest"]
    body = judged.body()
    if also is not None:
        body |= _together(judged.verdict, also.verdict)
    return Record(
        schema="gate",
        version=1,
        inputs={"score": evidence.scored.digest, "policy": ruling.digest, "model": model},
        body={
            **body,
            "model": ruling.config.name,
            "commit": evidence.commit,
            "model_digest": model,
            "champion": {key: champion.get(key) for key in ("version", "promotion", "digest")}
            if evidence.compared
            else None,
            "policy": {
                "digest": ruling.digest,
                "ref": ruling.ref,
                "commit": ruling.commit,
                "changes": list(ruling.changes),
            },
            "also": None if also is None else _also(also),
            "isolation": environments.isolation(network=False).to_json(),
            "engine": bench.engine,
            "test_rows": _told_of_rows(evidence.scored.body.get("base"), bench.rows),
            "judged_on": bench.day.isoformat(),
            "profile": None,
        },
        context={"finished": datetime.now(UTC).isoformat(timespec="seconds")},
    )


def _told_of_rows(told: Any, rows: BaseRows | None) -> dict[str, Any] | None:
    """Return what a record says of the test rows, without files; None: no other commit's rows count."""
    if rows is not None and rows.message:
        return {"commit": rows.commit, "state": "unknown", "message": rows.message}
    return {key: value for key, value in told.items() if key not in _FILES} if isinstance(told, Mapping) else None


def _together(*verdicts: verdict.Verdict) -> dict[str, Any]:
    """Return decision and code of a candidate that must pass by several policies."""
    code = combine(one.code for one in verdicts)
    return {"decision": "promote" if code is ExitCode.OK else "refuse", "code": int(code)}


def _also(judged: _Judged) -> dict[str, Any]:
    """Return what a record says of the first parent's policy and of what it came to."""
    ruling = judged.ruling
    return {
        **judged.body(),
        "ref": ruling.ref,
        "commit": ruling.commit,
        "digest": ruling.digest,
        "changes": list(ruling.changes),
    }

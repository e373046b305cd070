"""Records that came from another job, believed as far as they prove themselves against what is known without them.

What was run by a pull request's own code stays a claim whatever is checked here. But nobody's word is taken for who
judged, by which policy, against which champion, and for what the measurements come to: the base's config, the ledger
and the kernel say it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from passmuster import _base_rows, _ruling, digest, measurement, policy, record, verdict
from passmuster import config as configs
from passmuster._base_gates import BaseRows
from passmuster._git import Repository
from passmuster.config import ModelConfig
from passmuster.errors import RaceLost, Refused
from passmuster.events import Promotion
from passmuster.ledger import Ledger
from passmuster.policy import Policy
from passmuster.record import Record
from passmuster.report import ReportFacts, facts

_CHAMPION = ("version", "promotion", "digest")


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of one model of a pull request before any record is read."""

    commit: str  #: what is judged: the merge of head and base
    base: str  #: the commit whose policy rules
    config: ModelConfig  #: the model's, there
    code: Mapping[str, str | None]  #: its gates and tests there, by digest
    champion: Promotion | None  #: as the ledger says
    no_access: bool = False  #: whether the champion is out of the run's reach: a fork has no secrets
    today: date
    past: tuple[Promotion, ...] = ()  #: the champions before, oldest first


def known(root: Path, config: ModelConfig, *, commit: str, base: str, no_access: bool, today: date) -> Known:
    """Return what git and the ledger say of the model of `config`, which is the base's.

    Raises:
        Refused: the ledger is broken or can't be the whole one.
        Unavailable: the ledger's remote did not answer.
    """
    history = Ledger.of(root, config).read()
    ruling = _ruling.Ruling(config=config, ref=base, commit=base)
    with _ruling.checkout(root, ruling, None) as tree:
        code = _ruling.code(tree, config)
    return Known(
        commit=commit,
        base=base,
        config=config,
        code=code,
        champion=history.champion,
        past=history.promotions[:-1],
        no_access=no_access,
        today=today,
    )


def configs_at(root: Path, base: str) -> Mapping[str, ModelConfig]:
    """Return the configs that the base has.

    Raises:
        UsageError: there is no such commit here, or a config of it is faulty.
    """
    return configs.load_at(Repository(root), base)


def believed(folder: Path, about: Known) -> ReportFacts:
    """Return the facts of the records in `folder`, which is named as the model, after checking them against `about`.

    That the answer is not a pass is no reason to refuse; what it says of itself must be true all the same.

    Raises:
        Refused: a record is of another commit, policy, model or champion, or says what does not follow from it.
        RaceLost: it was judged against an earlier champion.
    """
    found = {step: _read(folder, step) for step in ("reproduce", "score", "gate")}
    try:
        _check_commit(found, about)
        _check_champion(folder, found, about)
        if found["gate"] is not None:
            _check_policy(found["gate"], about)
            _judge_again(found["gate"], found["score"], about)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
        raise Refused(f"the records lack what their steps always write: {type(exc).__name__}: {exc}"[:500]) from exc
    return facts(folder)


def loads(text: str, what: str, limit: int = 8 * 1024 * 1024) -> Any:
    """Return the JSON value of `text`, which `what` names in messages.

    Raises:
        Refused: it is longer than `limit`, no JSON, or holds a key twice or what is no number.
    """
    if len(text) > limit:
        raise Refused(f"{what} has more than {limit:,} characters")
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as exc:
        raise Refused(f"{what} is no JSON: {exc}"[:300]) from exc


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


def _read(folder: Path, step: str) -> Record | None:
    """Return a step's record; None where there is none, which the report tells."""
    if not (folder / f"{step}.json").exists():
        return None
    try:
        return record.read(folder / f"{step}.json", step)
    except Refused as exc:
        raise Refused(str(exc).replace(f"{folder}/", "")) from exc
    except (ValueError, RecursionError) as exc:
        raise Refused(f"{step}.json is not a record: {exc}") from exc


def _check_commit(found: Mapping[str, Record | None], about: Known) -> None:
    for step in ("reproduce", "gate"):
        one = found[step]
        if one is not None and one.body["commit"] != about.commit:
            raise Refused(f"{step}.json is of commit {str(one.body['commit'])[:40]!r}, not of {about.commit}")


def _check_champion(folder: Path, found: Mapping[str, Record | None], about: Known) -> None:
    """Check that what was scored and judged against is the ledger's champion."""
    score, gate = found["score"], found["gate"]
    if score is not None:
        said = score.body["champion"]
        if said["state"] == "no-access" and not about.no_access:
            raise Refused("score.json says that the champion was out of reach, which it is from a fork alone")
        if said["state"] == "none" and about.champion is not None:
            raise Refused(f"score.json says that there is no champion; the ledger has {about.champion.version}")
        if said["state"] not in ("none", "no-access"):
            _check_is_champion({key: said.get(key) for key in _CHAMPION}, about)
    if gate is not None and (gate.body["champion"] is not None or not _out_of_reach(score, about)):
        _check_is_champion(gate.body["champion"], about)
    _check_champions_record(folder, about)


def _out_of_reach(score: Record | None, about: Known) -> bool:
    """Return whether the champion was out of the run's reach, and may have been."""
    return about.no_access and score is not None and score.body["champion"]["state"] == "no-access"


def _named(champion: Promotion | None) -> Mapping[str, Any] | None:
    if champion is None:
        return None
    return {"version": champion.version, "promotion": champion.promotion, "digest": champion.model_digest}


def _check_is_champion(said: Any, about: Known) -> None:
    if said == _named(about.champion):
        return
    now = about.champion.version if about.champion else "none"
    if earlier := next((one for one in about.past if said == _named(one)), None):
        raise RaceLost(f"it was judged against {earlier.version}, but the champion is {now} now; run the jobs again")
    raise Refused(f"the records name a champion that the ledger does not have; it has {now}")


def _check_champions_record(folder: Path, about: Known) -> None:
    """Check that what the report tells of the champion's own training is what it was promoted on."""
    path = folder / "champion" / "reproduce.json"
    if path.exists() and (about.champion is None or _digest(path) != about.champion.evidence["reproduce"]):
        raise Refused("champion/reproduce.json is not the one that the champion was promoted on")


def _digest(path: Path) -> str:
    try:
        return record.read(path, "reproduce").digest
    except (ValueError, RecursionError) as exc:
        raise Refused(f"champion/reproduce.json is not a record: {exc}") from exc


def _check_policy(gate: Record, about: Known) -> None:
    """Check that the base's policy judged, by the base's gates and tests."""
    said, expected = gate.body["policy"], digest.of_json(configs.policy_json(about.config))
    if said["commit"] != about.base:
        raise Refused(f"it was judged by the policy of {str(said['commit'])[:40]!r}, not by that of {about.base}")
    if {gate.inputs["policy"], said["digest"]} != {expected}:
        raise Refused(f"it was judged by another policy than {about.base[:10]} has")
    if gate.body["judged_by"] != about.code:
        said, rules = gate.body["judged_by"], about.code
        other = sorted(path for path in {*said, *rules} if said.get(path, "") != rules.get(path, ""))
        raise Refused(f"it was judged by other gates or tests than {about.base[:10]} has: {', '.join(other)[:200]}")


def _rules(rows: Mapping[str, Any], score: Record | None, about: Known) -> Policy:
    """Return the base's policy, which asks for answers on the base's test rows too, where the candidate's are others.

    That they are the same is said by the pull request's run; but it must be said, and of the base.
    """
    said = None if score is None else score.body["base"]
    known = said is not None and (said["commit"], said["state"]) == (about.base, rows["state"])
    if rows["commit"] != about.base or not (known or rows["state"] == _base_rows.UNKNOWN):
        raise Refused(f"it does not say whether the test rows are those of {about.base[:10]}")
    rules = policy.from_config(about.config)
    if rows["state"] == _base_rows.SAME:
        return rules
    scored = score is not None and score.body["champion"]["state"] == "scored"
    return BaseRows(commit=about.base).asked_of(rules, compared=scored)


def _judge_again(gate: Record, score: Record | None, about: Known) -> None:
    """Judge the measurements once more, as of the day that the record names and as of today."""
    body, no_access = gate.body, _out_of_reach(score, about)
    measured = [measurement.from_json(item) for item in body["measurements"]]
    judged_on = date.fromisoformat(body["judged_on"])
    rules = _rules(body["test_rows"], score, about)
    compared = about.champion is not None and not no_access
    said = {key: body[key] for key in ("decision", "code", "compared", "judgements")}
    again, now = (
        verdict.judge(measured, rules, compared=compared, no_access=no_access, today=day)
        for day in (judged_on, about.today)
    )
    if digest.of_json(verdict.to_body(again)) != digest.of_json(said):
        raise Refused("judging its measurements again gives another verdict than it says")
    if now.code is not again.code:
        raise Refused(f"the verdict of {judged_on} does not hold on {about.today}: a waiver has ended since")
    if "only" in body or body.get("also") is not None:
        raise Refused("it is not the verdict on a pull request")

"""The chain of evidence of one candidate: from the commit through re-run, scores and verdict to one model directory.

Each record names the digest of the one before; all of them, and the directory itself, name one model digest. A link
that does not hold refuses the whole chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passmuster import _profile, digest, record
from passmuster.errors import Refused
from passmuster.record import Record

if TYPE_CHECKING:
    from passmuster._ruling import Ruling
    from passmuster.config import ModelConfig
    from passmuster.events import Event, Promotion

#: The records of the chain, in order.
STEPS = ("reproduce", "score", "gate")

#: The rows that the model was trained on, by id; kept with the version, so that no later candidate is compared on them.
TRAIN_IDS = "train_ids.parquet"

#: The candidate's columns in numbers; kept with the version, so that later candidates and rows are compared with them.
PROFILE = _profile.FILE

_NOT_TO_PROMOTE = "the verdict is not to promote"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """An intact chain whose decision is to promote."""

    reproduce: Record
    score: Record
    gate: Record

    @property
    def commit(self) -> str:
        """The commit that was judged."""
        return str(self.gate.body["commit"])

    @property
    def model_digest(self) -> str:
        """The digest of the model directory that was judged."""
        return self.gate.inputs["model"]

    @property
    def profile(self) -> str | None:
        """The digest of the reference profile, which stands beside the records; None: the gate did not run."""
        return _profile.digest_in(self.gate.body)

    @property
    def champion(self) -> Mapping[str, Any] | None:
        """The champion that the verdict was made against: version, promotion, digest; None: there was none."""
        found: Mapping[str, Any] | None = self.gate.body["champion"]
        return found

    @property
    def digests(self) -> dict[str, str]:
        """What an event says of this chain."""
        return {
            "input": self.reproduce.inputs["input"],
            **{step: getattr(self, step).digest for step in STEPS},
        }

    @property
    def environment(self) -> dict[str, Any]:
        """What an event says of the re-run's environment; numbers and short texts only."""
        found = self.reproduce.body["environment"]
        return {key: found.get(key) for key in ("lock", "python", "platform", "cpu_count")}

    def judged_against(self, champion: Promotion | None) -> bool:
        """Return whether the verdict was made against this champion."""
        if champion is None or self.champion is None:
            return champion is None and self.champion is None
        told = tuple(self.champion.get(key) for key in ("version", "promotion", "digest"))
        return told == (champion.version, champion.promotion, champion.model_digest)


def read(records: Path, model: Path, name: str) -> Evidence:
    """Return the evidence for `name` in the folder `records`, every link checked, down to the directory `model`.

    Raises:
        Refused: a record is missing or altered, or names another record, model, commit or champion than the rest;
            or the decision is not to promote.
    """
    found = Evidence(**{step: record.read(records / f"{step}.json", step) for step in STEPS})
    try:
        broken = _broken(found, name, digest.of_path(model), whole=_profile.is_there(records, found.profile))
    except (KeyError, TypeError, AttributeError) as exc:
        raise Refused(f"the evidence for {name} is incomplete: {exc!r} is missing or has no such form") from exc
    if broken == [_NOT_TO_PROMOTE]:
        raise Refused(f"the verdict on {name} is not to promote it; `passmuster report {name} --format text` says why")
    if broken:
        listed = "; ".join(broken)
        raise Refused(f"the evidence for {name} is no whole chain: {listed}; run reproduce, score and gate again")
    return found


def _broken(found: Evidence, name: str, model: str, *, whole: bool) -> list[str]:
    reproduce, score, gate = found.reproduce, found.score, found.gate
    digests = {
        reproduce.body["model_digest"],
        score.inputs["model"],
        score.body["candidate"]["digest"],
        gate.inputs["model"],
        gate.body["model_digest"],
    }
    champion = score.body["champion"]
    keys = ("version", "promotion", "digest")
    scored = [champion.get(key) for key in keys]
    told = None if gate.body["champion"] is None else [gate.body["champion"][key] for key in keys]
    checks = {
        "the records are of different models": {r.body["model"] for r in (reproduce, score, gate)} == {name},
        "the records are of different commits": reproduce.body["commit"] == gate.body["commit"],
        "the re-run was not reproducible": reproduce.body["decision"] == "reproducible",
        "the environment of the re-run is missing": isinstance(reproduce.body["environment"], dict),
        "an input digest is missing": digest.is_digest(reproduce.inputs["input"]),
        "the scores are of another re-run": score.inputs["reproduce"] == reproduce.digest,
        "the verdict is on other scores": gate.inputs["score"] == score.digest,
        "the champion was out of reach, so nothing was compared": champion["state"] != "no-access",
        "the records are of different model directories": len(digests) == 1,
        "the model directory was altered": digests == {model},
        f"{PROFILE} is missing or altered": whole,
        "the verdict is by another policy than it names": gate.inputs["policy"] == gate.body["policy"]["digest"],
        "the verdict is against another champion than was scored": (
            told is None if champion["state"] == "none" else told == scored
        ),
        _NOT_TO_PROMOTE: gate.body["decision"] == "promote" and gate.body["code"] == 0,
    }
    return [problem for problem, holds in checks.items() if holds is not True]


def judge_again(found: Evidence, config: ModelConfig, also: Ruling | None, today: date) -> None:
    """Judge the measurements once more by the policy of `config`, and again as of `today`; so by `also`.

    Args:
        found: an intact chain.
        config: the model's, at the commit that was judged.
        also: the policy of that commit's first parent, where it is another one; then both must pass.
        today: decides which waivers still count.

    Raises:
        Refused: the verdict is by another policy, or lacks one, is not what the measurements give, or no longer holds.
    """
    from passmuster import config as configs

    body = found.gate.body
    if found.gate.inputs["policy"] != digest.of_json(configs.policy_json(config)):
        raise Refused(
            f"the verdict was made by another policy than that of commit {found.commit[:10]}; "
            "run `passmuster gate` again without --policy-ref"
        )
    _judge_again(found, body, config, today)
    told = body.get("also")
    if also is None and told is None:
        return
    if (
        also is None
        or not isinstance(told, dict)
        or (told.get("commit"), told.get("digest"))
        != (
            also.commit,
            also.digest,
        )
    ):
        raise Refused(
            f"commit {found.commit[:10]} changes the policy, and the verdict is not by that of its first parent as "
            "well; run `passmuster gate` again in a clone that has both commits"
            if also is not None
            else f"the verdict is also by a policy that does not rule commit {found.commit[:10]}; run gate again"
        )
    _judge_again(found, told, also.config, today)


def _judge_again(found: Evidence, told: Mapping[str, Any], config: ModelConfig, today: date) -> None:
    from passmuster import policy, verdict
    from passmuster.measurement import from_json

    try:
        measurements = [from_json(item) for item in told["measurements"]]
        judged_on = date.fromisoformat(found.gate.body["judged_on"])
        judged = {key: told[key] for key in ("decision", "code", "compared", "judgements")}
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise Refused(f"the verdict is incomplete: {exc!r}; run `passmuster gate` again") from exc
    rules = policy.from_config(config)
    compared = found.champion is not None
    again = verdict.judge(measurements, rules, compared=compared, today=judged_on)
    if digest.of_json(verdict.to_body(again)) != digest.of_json(judged) or not again.promotes:
        raise Refused("judging the measurements again gives another verdict; run `passmuster gate` again")
    if judged_on > today or not verdict.judge(measurements, rules, compared=compared, today=today).promotes:
        raise Refused(f"the verdict of {judged_on} no longer holds on {today}: a waiver has expired; run gate again")


def same_as(found: Evidence, event: Event) -> None:
    """Check that `found` is the evidence that `event` was made on.

    Raises:
        Refused: it is not.
    """
    differing = [step for step, value in found.digests.items() if event.evidence[step] != value]
    if found.commit != event.commit:
        differing.append("commit")
    if found.model_digest != event.model_digest:
        differing.append("model")
    if differing:
        raise Refused(
            f"{event.model} {event.version}: the evidence is not that of its promotion: {', '.join(differing)} differs"
        )

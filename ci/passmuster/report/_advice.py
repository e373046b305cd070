"""What to do next: one concrete step for each gate that keeps a candidate from promotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from passmuster.report import _row
from passmuster.report._facts import ReportFacts
from passmuster.report._words import Status
from passmuster.verdict import Judgement, Outcome


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do, and the command that begins it."""

    gate: str  #: the gate, or "" where it is about the records
    text: str
    command: str


#: By gate, what most often helps when it fails.
_FAILS: Mapping[str, str] = {
    "schema": "make the preparation give what data.columns in the model's config says, or change the contract where "
    "the new data is right",
    "profile": "mend the export, join or encoding that leaves such values, in the stage that prepares the data",
    "leakage": "split so that no row, id or time is on both sides, and leave out the feature that gives the label away",
    "drift": "see how these rows came to be; where the world has changed, bring a reference that shows it, or name the "
    "column under `ignore` on the base branch",
    "deepchecks": "look at the rows that the check names, and mend them where they are prepared, not in the file",
    "performance": "the metric misses its absolute limit: see what changed in data and parameters, or show on the base "
    "branch why the limit should be another",
    "champion": "the champion is better: see what changed since, and undo it or improve on it",
    "slices": "look at the rows of this slice alone, and at the features whose change touches them",
    "calibration": "look at the reliability curve; calibrate on rows of their own, or undo the resampling's effect",
    "fairness": "look at which rate differs, and whether the labels themselves are fair",
    "decision": "choose the threshold again on validation rows, by what mistakes cost",
    "environment": "make lock, Python and platform of the re-run those that the policy asks for; then reproduce again",
    "artifact": "save the model without the files or types that are named, or declare them as trusted",
    "behaviour": "run the test that fails on its own; its message says which answer of the model it did not expect",
}

_LOCK = "environment"


def steps(facts: ReportFacts) -> list[Step]:
    """Return what to do, most pressing first; nothing where the candidate passes."""
    model = facts.model
    if facts.status is Status.NOT_REPRODUCIBLE or facts.reproduce.get("decision") == "error":
        return [_reproduce_again(facts)]
    if facts.problems:
        text = "make the records again, all from one commit; nothing is promoted before"
        return [Step(gate="", text=text, command=f"passmuster run {model}")]
    blocking: dict[str, Judgement] = {}
    for judgement in facts.judgements:
        if judgement.blocks:
            blocking.setdefault(judgement.gate, judgement)
    return [_step(model, judgement) for judgement in blocking.values()]


def _reproduce_again(facts: ReportFacts) -> Step:
    if facts.status is Status.NOT_REPRODUCIBLE:
        text = "fix what draws at random or reads what the stage does not name; then run again and commit dvc.lock"
        return Step(gate="", text=text, command=f"passmuster reproduce {facts.model} --force")
    text = "bring the content that the re-run is compared with (a DVC remote, or cache: false for small outputs)"
    return Step(gate="", text=text, command=f"passmuster reproduce {facts.model} --force")


def _step(model: str, judgement: Judgement) -> Step:
    gate = judgement.gate
    command = f"passmuster gate {model} --only {gate}"
    if gate == _LOCK and judgement.outcome is Outcome.FAIL:
        command = f"passmuster lock {model}"
    return Step(gate=gate, text=_text(judgement), command=command)


def _text(judgement: Judgement) -> str:
    if judgement.outcome is Outcome.ERROR:
        return "it could not be measured, which never reads as a pass: mend the cause, then measure again"
    if judgement.outcome is Outcome.INCONCLUSIVE:
        rows = judgement.rows_to_decide
        m = _row.estimate(judgement)
        have = f" (there are {m.n:,})" if m else ""
        if rows:
            return f"about {rows:,} rows would decide{have}: test on more rows, or accept a wider margin"
        return f"these rows can't decide{have}: test on more rows, or make the candidate better"
    return _FAILS.get(judgement.gate, "the gate's own documentation says what it asks; its reason stands above")

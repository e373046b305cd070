"""Judges a candidate by the real gates and the real kernel, all in this process: the step without its processes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from passmuster import _gate_process, _gate_worker, gate, policy, verdict
from passmuster.config import ModelConfig
from passmuster.gates import Inputs
from passmuster.measurement import Measurement
from passmuster.policy import Policy
from passmuster.verdict import Verdict

TODAY = date(2026, 11, 23)


def inputs(root: Path, config: ModelConfig) -> Inputs:
    """What gates are given of the candidate below `root`; refuses as the step does."""
    return gate._Evidence.read(root / ".passmuster" / config.name).inputs(config, root, root / "scratch")


def measurements(root: Path, config: ModelConfig) -> list[Measurement]:
    """What the gates of the config measure, as the parent believes it."""
    stated = policy.from_config(config)
    found: list[Measurement] = []
    asked = []
    scratch = root / "scratch" / str(len(list((root / "scratch").glob("*"))))
    for one in stated.gates:
        ask = gate._ask(one, stated, inputs(root, config), scratch)
        if isinstance(ask, _gate_worker.Asked):
            asked.append(ask)
        else:
            found.append(ask)
    group = _gate_process.Group(asked=tuple(asked), timeouts={one.gate: one.timeout for one in stated.gates})
    state, stream = _gate_process._State(), io.StringIO()
    _gate_worker._run(asked, stream)
    for line in stream.getvalue().splitlines():
        trouble = _gate_process._take_in(line.encode(), {one.name for one in asked}, group, state)
        assert trouble is None, trouble
    return [*found, *(m for answers in state.answers.values() for m in answers)]


def judged(root: Path, config: ModelConfig) -> Verdict:
    """The verdict on the candidate below `root`."""
    evidence = gate._Evidence.read(root / ".passmuster" / config.name)
    return judge(measurements(root, config), policy.from_config(config), compared=evidence.champion["state"] != "none")


def judge(found: Sequence[Measurement], stated: Policy, *, compared: bool = True) -> Verdict:
    """The kernel's verdict on a fixed day."""
    return verdict.judge(found, stated, compared=compared, today=TODAY)


def outcomes(judged: Verdict, gate: str) -> dict[str, str]:
    """`{measurement: outcome}` of one gate."""
    return {j.name: j.outcome.value for j in judged.judgements if j.gate == gate}


def reason(judged: Verdict, gate: str, name: str) -> str:
    """The sentence shown for one measurement."""
    (found,) = [j.reason for j in judged.judgements if (j.gate, j.name) == (gate, name)]
    return found

"""Runs gates in processes of their own, so that one which crashes, hangs or answers nonsense can only fail.

Nothing that comes back is believed before it was checked: lines against a schema, measurements by their classes, each
for the gate that was asked. Whatever is missing in the end is a `Failure`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pickle
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from passmuster import environments
from passmuster._gate_worker import Asked
from passmuster.errors import Refused
from passmuster.measurement import Failure, Measurement, from_json

#: Seconds for what comes before a gate's own clock: starting Python and importing, and making an environment.
LOAD_SECONDS = 120.0
PREPARE_SECONDS = 1800.0

#: An answer is a list of facts; more bytes are an attack or a mistake.
ANSWER_BYTES = 32 * 1024 * 1024

#: What people see of a crashed gate's own output.
_LOG_CHARACTERS = 1500

_NUMBER = {"type": "number"}
_TEXT = {"type": "string", "maxLength": 100_000}
_NAME = {"type": "string", "minLength": 1, "maxLength": 2_000}
_BASE: Mapping[str, Any] = {"gate": _NAME, "name": _NAME, "details": {"type": "object"}}


def _kind(kind: str, **properties: Any) -> dict[str, Any]:
    known = {**_BASE, **properties, "kind": {"const": kind}}
    return {"type": "object", "properties": known, "required": sorted(known), "additionalProperties": False}


_INTERVAL = {
    "type": "object",
    "properties": {"low": _NUMBER, "high": _NUMBER, "level": _NUMBER, "method": _TEXT},
    "required": ["low", "high", "level", "method"],
    "additionalProperties": False,
}

#: What a process may answer, as JSON Schemas: a list of measurements, each after its kind.
LIST_SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "maxItems": 10_000,
    "items": {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]},
}
KIND_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "estimate": _kind(
        "estimate",
        value=_NUMBER,
        n={"type": "integer", "minimum": 1},
        interval={"anyOf": [_INTERVAL, {"type": "null"}]},
        **{key: {"type": ["number", "null"]} for key in ("candidate", "champion", "standard_error")},
    ),
    "assertion": _kind("assertion", holds={"type": "boolean"}, message=_TEXT),
    "failure": _kind("failure", reason=_TEXT),
    "not-applicable": _kind("not-applicable", reason=_NAME, message=_TEXT),
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Gates that share a process."""

    asked: tuple[Asked, ...]
    timeouts: Mapping[str, float]  #: seconds by gate
    isolated: bool = True  #: few environment variables, no network where the system allows
    together: bool = False  #: they do their work at once: one limit, the sum, and one end for all
    extra: float = 0.0  #: seconds beyond the limits, where what runs the gates keeps them itself

    def seconds(self, gate: str) -> float:
        """Return after how long the measuring of `gate` is ended."""
        return self.extra + (sum(self.timeouts.values()) if self.together else self.timeouts[gate])


@dataclass
class _State:
    """What is known of the gates of one group so far."""

    answers: dict[str, list[Measurement]] = field(default_factory=dict)
    current: str | None = None  #: the gate that is being loaded, made ready or measured
    limit: float = LOAD_SECONDS  #: seconds for that
    deadline: float = 0.0
    told: set[tuple[str, str]] = field(default_factory=set)  #: what began, by gate; each begins once, in its order


#: What a gate goes through, in this order.
_PHASES = ("load", "prepare", "measure")

#: Deeper nesting, or larger whole numbers, are no facts of a gate's, and not every reader of a record takes them.
_DEEPEST, _LARGEST = 50, 2**64


#: The workers that run now, in any thread.
_LIVE: set[subprocess.Popen[bytes]] = set()


def end_all() -> None:
    """End every worker that runs, e.g. on an interrupt, so that no other thread waits for one."""
    for process in tuple(_LIVE):
        _end(process)


def measure(group: Group, scratch: Path) -> list[Measurement]:
    """Return the measurements of all gates of `group`; of each at least one, a `Failure` where it gave none.

    A gate that ends the process or hangs fails alone: the gates after it get a new process.
    """
    answers: dict[str, list[Measurement]] = {}
    remaining = group.asked
    attempt = 0
    while remaining:
        attempt += 1
        state = _one_process(replace(group, asked=remaining), scratch / f"process-{attempt}")
        answers |= state.answers
        remaining = tuple(one for one in remaining if one.name not in answers)
    return [m for one in group.asked for m in answers[one.name]]


def _one_process(group: Group, scratch: Path) -> _State:
    """Run one process until all have answered, it ends, or a limit is over; blame what it was doing then."""
    scratch.mkdir(parents=True)
    state = _State(deadline=time.monotonic() + LOAD_SECONDS)
    try:
        with _started(group, scratch) as (process, channel):
            ended = _listen(channel, group, state)
            reason = ended or _ending(process)
    except OSError as exc:
        reason = f"its process could not be started: {exc}"
    missing = [one.name for one in group.asked if one.name not in state.answers]
    if missing:
        blamed = missing if group.together or state.current not in missing else [state.current]
        for name in blamed:
            state.answers[name] = [Failure(gate=name, name=name, reason=reason + _log(scratch))]
    return state


@contextlib.contextmanager
def _started(group: Group, scratch: Path) -> Iterator[tuple[subprocess.Popen[bytes], BinaryIO]]:
    """Yield the running worker and the reading end of its channel; afterwards all that it started is gone."""
    home, request = scratch / "home", scratch / "request"
    home.mkdir()
    request.write_bytes(pickle.dumps(list(group.asked)))
    reading, writing = os.pipe()
    command = [sys.executable, "-P", "-m", "passmuster._gate_worker", str(request), str(writing)]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    if group.isolated:
        command = environments.without_network(command, [one.inputs.workspace for one in group.asked])
        environment = environments.scrubbed(home, PASSMUSTER_CACHE=str(environments.cache_folder()))
    environment |= environments.quick_sorting()
    with os.fdopen(reading, "rb", buffering=0) as channel, (scratch / "log").open("wb") as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home,
                env=environment,
                pass_fds=(writing,),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        _LIVE.add(process)
        try:
            yield process, channel
        finally:
            _LIVE.discard(process)
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all of its session: kindly, so that it can end what it started itself, then for good."""
    gone = contextlib.suppress(ProcessLookupError, PermissionError)  # the second: macOS, of one that has ended
    with gone:
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    with gone:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ending(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        return "its process went silent without an answer"
    signalled = -code if code < 0 else code - 128  # the second: as `environments.without_network` hands it on
    how = f"was ended by signal {signalled}" if 0 < signalled < 65 else f"ended with exit code {code}"
    return f"its process {how} before the gate had answered"


def _listen(channel: BinaryIO, group: Group, state: _State) -> str | None:
    """Take in lines until all gates have answered or the channel closes; return why it stopped early."""
    names = {one.name for one in group.asked}
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while names - state.answers.keys():
            left = state.deadline - time.monotonic()
            if left <= 0:
                return f"its time limit is over ({state.limit:g} s; raise `timeout` if the work honestly takes longer)"
            if not selector.select(left):
                continue
            block = os.read(channel.fileno(), 1 << 16)
            if not block:
                return None
            *lines, pending = (pending + block).split(b"\n")
            if len(pending) > ANSWER_BYTES:
                return f"its answer is larger than {ANSWER_BYTES:,} bytes"
            for line in lines:
                if (trouble := _take_in(line, names, group, state)) is not None:
                    return trouble
    return None


def _take_in(line: bytes, names: set[str], group: Group, state: _State) -> str | None:
    """Believe one line of the worker as far as it can be; return what is wrong with it, where the process must end."""
    try:
        event = _parsed(line)
        kind, gate = event["event"], event["gate"]
        if gate not in names or gate in state.answers:
            return f"its process spoke of a gate that it was not asked for, or twice of one: {gate!r}"[:500]
        if kind == "measured":
            state.answers[gate] = _checked(event["measurements"], gate)
        elif kind == "failed":
            state.answers[gate] = [Failure(gate=gate, name=gate, reason=str(event["reason"])[:10_000])]
        elif any((gate, later) in state.told for later in _PHASES[_PHASES.index(kind) :]):
            return f"its process told twice, or too late, that {gate!r} begins to {kind}"
        else:
            state.told.add((gate, kind))
            limits = {"load": LOAD_SECONDS, "prepare": PREPARE_SECONDS, "measure": group.seconds(gate)}
            state.current, state.limit = gate, limits[kind]
            state.deadline = time.monotonic() + state.limit
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as exc:
        return f"its process answered with something that is no answer: {exc}"[:500]
    return None


def _checked(measurements: Any, gate: str) -> list[Measurement]:
    """Return the measurements that `measurements` holds, or one `Failure` that says why they are not believed."""
    trouble = _misfit(measurements, "list")
    for number, one in enumerate(measurements if trouble is None else ()):
        kind = one["kind"]
        trouble = _misfit(one, kind) if kind in KIND_SCHEMAS else f"unknown kind {kind[:100]!r}"
        if trouble is not None:
            return [_unbelieved(gate, f"measurement {number + 1}: {trouble}")]
    if trouble is not None:
        return [_unbelieved(gate, trouble)]
    try:
        found = [from_json(m) for m in measurements]
    except Refused as exc:
        return [_unbelieved(gate, str(exc))]
    others = {m.gate for m in found} - {gate}
    if others:
        return [_unbelieved(gate, f"it measured for {', '.join(map(repr, sorted(others)))}")]
    return found or [Failure(gate=gate, name=gate, reason="the gate measured nothing")]


def _unbelieved(gate: str, reason: str) -> Failure:
    return Failure(gate=gate, name=gate, reason=f"its answer is not believed: {reason}"[:1000])


def _misfit(value: Any, schema: str) -> str | None:
    """Return how `value` breaks a schema, or None."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator(schema).iter_errors(value))
    # The message begins with the whole value and ends with what is wrong.
    return None if error is None else f"{error.json_path}: …{error.message[-200:]}"


@cache
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(LIST_SCHEMA if schema == "list" else KIND_SCHEMAS[schema])


def _parsed(line: bytes) -> Any:
    """Return the JSON of a line, if a record can hold it: finite numbers, texts that are Unicode, sane nesting.

    Raises:
        ValueError: it is not JSON, or a record can't hold it.
    """
    event = json.loads(line, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
    json.dumps(event, ensure_ascii=False).encode()
    level, depth = [event], 0
    while level := [inner for value in level for inner in _inside(value)]:
        depth += 1
        if depth > _DEEPEST:
            raise ValueError(f"it is nested deeper than {_DEEPEST}")
    return event


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:50]} is not a finite number")
    return number


def _whole(text: str) -> int:
    number = int(text)
    if abs(number) >= _LARGEST:
        raise ValueError(f"{text[:50]} is too large a whole number")
    return number


def _log(scratch: Path) -> str:
    """Return the end of what the process said by itself."""
    with contextlib.suppress(OSError), (scratch / "log").open("rb") as stream:
        stream.seek(max(0, (scratch / "log").stat().st_size - _LOG_CHARACTERS))
        if text := stream.read().decode(errors="replace").strip():
            return f"; it said:\n{text}"
    return ""

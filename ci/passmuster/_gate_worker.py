"""The program that runs gates in a process of its own: `python -m passmuster._gate_worker REQUEST CHANNEL`.

REQUEST is a pickle that the parent wrote, CHANNEL the number of an open file. What happens is told there, a line of
JSON each: which gate begins what, what was measured, or why not. The parent believes a line only after checking it;
it also sees when this process dies or hangs, and where.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import IO, Any, NoReturn

from passmuster.errors import NotMeasured, PassmusterError
from passmuster.gates import ENTRY_POINT_GROUP, NEEDS, Gate, Inputs, NoChampion
from passmuster.measurement import Assertion, Estimate, Failure, Measurement, NotApplicable, to_json
from passmuster.verdict import NOT_COMPARED

_KINDS = (Estimate, Assertion, Failure, NotApplicable)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One gate to run."""

    name: str
    source: str  #: an entry point's value ("module:Class"), or a Python file below `inputs.root`
    is_file: bool
    inputs: Inputs


class _Ended(BaseException):
    """The parent ends this process; raised so that a gate can end what it started itself."""


def main(arguments: Sequence[str]) -> None:
    """Run the gates of the request, cheapest needs first."""
    signal.signal(signal.SIGTERM, _end)
    request, channel = arguments
    asked: list[Asked] = pickle.loads(Path(request).read_bytes())  # noqa: S301  written by the parent, read here alone
    with os.fdopen(int(channel), "w", encoding="utf-8", buffering=1) as stream:
        _run(asked, stream)


def _end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Ended


def _run(asked: Sequence[Asked], stream: IO[str]) -> None:
    loaded: list[tuple[int, Asked, Gate]] = []
    for one in asked:
        _tell(stream, "load", one.name)
        try:
            gate = _load(one)
            loaded.append((max(map(NEEDS.index, gate.needs), default=0), one, gate))
        except _Ended:
            raise
        except BaseException as exc:
            _failed(stream, one, f"the gate could not be loaded: {_said(exc)}")
    for _, one, gate in sorted(loaded, key=lambda item: item[0]):
        try:
            measured = _measure(one, gate, stream)
            text = json.dumps([to_json(m) for m in measured], allow_nan=False)
        except _Ended:
            raise
        except BaseException as exc:
            _failed(stream, one, _said(exc))
            continue
        _write(stream, f'{{"event": "measured", "gate": {json.dumps(one.name)}, "measurements": {text}}}')


def _load(one: Asked) -> Gate:
    gate = _from_file(one) if one.is_file else EntryPoint(one.name, one.source, ENTRY_POINT_GROUP).load()()
    if not isinstance(gate, Gate):
        raise NotMeasured(f"{one.source} is no gate: it needs `name`, `needs` and `measure(inputs)`")
    if gate.name != one.name:
        raise NotMeasured(f"{one.source} calls itself {gate.name!r}, but the policy asks for {one.name!r}")
    unknown = set(gate.needs) - set(NEEDS)
    if unknown:
        raise NotMeasured(f"{one.source} needs {', '.join(map(repr, sorted(unknown)))}; known are {', '.join(NEEDS)}")
    return gate


def _from_file(one: Asked) -> Any:
    path = one.inputs.root / one.source
    sys.path[:0] = [str(path.parent), str(one.inputs.root)]
    name = f"passmuster_user_gate_{path.stem}"  # so that no file of the user's stands in for another module
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise NotMeasured(f"{one.source} is not a Python file of this commit")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    made = getattr(module, "Gate", None)
    if made is None or made is Gate:
        raise NotMeasured(f"{one.source} has no class `Gate` of its own")
    return made()


def _measure(one: Asked, gate: Gate, stream: IO[str]) -> list[Measurement]:
    champion = one.inputs.champion
    if "champion" in gate.needs and isinstance(champion, NoChampion):
        if champion.reason in NOT_COMPARED:
            return [NotApplicable(gate=one.name, name=one.name, reason=champion.reason, message=champion.message)]
        return [Failure(gate=one.name, name=one.name, reason=champion.message)]
    if (prepare := getattr(gate, "prepare", None)) is not None:
        _tell(stream, "prepare", one.name)
        prepare(one.inputs)
    _tell(stream, "measure", one.name)
    measured: Any = gate.measure(one.inputs)
    if not isinstance(measured, Sequence) or not all(isinstance(m, _KINDS) for m in measured):
        raise NotMeasured(f"the gate answered with {_short(measured)}, not with a list of measurements")
    for m in measured:
        if not isinstance(m, NotApplicable) or m.reason not in NOT_COMPARED:
            continue
        if not isinstance(champion, NoChampion):
            raise NotMeasured("the gate says that there is no champion, but there is one")
        if one.is_file:
            raise NotMeasured(f"{m.reason!r} is said by passmuster, of gates whose `needs` names the champion")
    return list(measured)


def _tell(stream: IO[str], event: str, gate: str) -> None:
    _write(stream, json.dumps({"event": event, "gate": gate}))


def _failed(stream: IO[str], one: Asked, reason: str) -> None:
    _write(stream, json.dumps({"event": "failed", "gate": one.name, "reason": reason}))


def _write(stream: IO[str], line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def _said(exc: BaseException) -> str:
    if isinstance(exc, PassmusterError):
        return str(exc)
    frames = traceback.extract_tb(exc.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(exc).__name__}: {_short(exc, str)}{where}"


def _short(value: object, show: Any = repr) -> str:
    try:
        text = show(value)
    except Exception:
        text = f"a {type(value).__name__} that can't be shown"
    return text if len(text) <= 500 else f"{text[:500]}…"


if __name__ == "__main__":
    ended = 1
    try:
        main(sys.argv[1:])
        ended = 0
    except _Ended:
        pass
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(ended)  # all is told; to take the interpreter apart, with what gates import, takes half a second

"""What Deepchecks and Evidently say of the corpus, each by its defaults: `make corpus-peers` writes `docs/corpus.md`.

Each runs in an environment of its own, on the same files as our gates. It is long work (an hour or more), so what was
answered is kept in the scratch folder and not asked again; `--only TEXT` asks about defects whose gate or name has it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from passmuster import digest, environments
from passmuster.policy import ALL_COLUMNS
from passmuster.verdict import Outcome

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from corpus import judging  # noqa: E402
from corpus.cases import TEST, TRAIN, Case  # noqa: E402  found by the line above when this is run as a program
from corpus.defects import DEFECTS, ROWS, Defect  # noqa: E402
from corpus.shapes import SHAPES  # noqa: E402

LOCKS = {
    "deepchecks": ROOT / "checks" / "passmuster_checks" / "deepchecks" / "requirements.txt",
    "evidently": HERE / "evidently.txt",
}
NAMES = {"deepchecks": "Deepchecks", "evidently": "Evidently"}
PAGE = ROOT / "docs" / "corpus.md"
BEGIN, END = "<!-- begin: written by make corpus-peers -->", "<!-- end -->"

#: Seconds of processor time that a peer may take for one case.
LIMIT = 600
#: Clean cases of other seeds than the defects', and those seeds.
CLEAN = tuple((shape, seed) for seed in range(7) for shape in SHAPES)[:20]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One case as the peers are asked about it."""

    name: str
    twin: str | None  #: the clean case that it was made from; None: it is clean itself
    case: Case


def cases(only: str = "") -> Iterator[Asked]:
    """Yield the clean cases, then each defect after the clean twin that it was made from."""
    for shape, seed in CLEAN:
        yield Asked(name=f"clean {shape} {seed}", twin=None, case=SHAPES[shape](ROWS, seed))
    twins: set[str] = set()
    for defect in _mixed():
        if only not in defect.name and only not in defect.gate:
            continue
        twin = _twin(defect)
        if twin not in twins:
            twins.add(twin)
            yield Asked(name=twin, twin=None, case=defect.clean())
        yield Asked(name=defect.name, twin=twin, case=defect.broken())


def _twin(defect: Defect) -> str:
    return f"twin {defect.shape} {defect.rows}{' narrow' if defect.narrow else ''}"


def _mixed() -> Iterable[Defect]:
    """Return the defects in an order in which the first ones tell most: small files first, gates in turn."""
    seen: Counter[str] = Counter()
    turn = {}
    for defect in DEFECTS:
        seen[defect.gate] += 1
        turn[defect.name] = seen[defect.gate]
    return sorted(DEFECTS, key=lambda defect: (defect.rows > ROWS, defect.shape == "machines", turn[defect.name]))


def laid_out(scratch: Path, only: str = "") -> list[dict[str, Any]]:
    """Write every case's files, and return what is asked about each."""
    return [_request(one, scratch / "cases") for one in cases(only)]


def ask(peer: str, requests: Sequence[Mapping[str, Any]], scratch: Path) -> None:
    """Ask one peer about every case that it did not answer yet."""
    python = environments.ensure(LOCKS[peer])
    answers = scratch / f"{peer}.jsonl"
    known = {answer["key"] for answer in read(answers).values()}
    waiting = [request for request in requests if request["key"] not in known]
    # A process for ten cases: importing a peer takes long, and what a case leaves behind must not pile up.
    for start in range(0, len(waiting), 10):
        print(f"{peer}: {start} of {len(waiting)} answered", file=sys.stderr, flush=True)
        file = scratch / f"{peer}.json"
        file.write_text(json.dumps({"cases": waiting[start : start + 10], "timeout": LIMIT}))
        command = [str(python), str(HERE / f"peer_{peer}.py"), str(file), str(answers)]
        with (scratch / f"{peer}.log").open("a") as log:
            # One thread each: on a busy machine theirs wait for each other longer than they work.
            subprocess.run(
                command, stdout=log, stderr=log, check=True, cwd=scratch, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )


def answered(peer: str, requests: Sequence[Mapping[str, Any]], scratch: Path) -> Peer:
    """Return a peer's answers to the cases as they are now."""
    keys = {request["name"]: request["key"] for request in requests}
    answers = read(scratch / f"{peer}.jsonl")
    now = {name: answer for name, answer in answers.items() if keys.get(name) == answer["key"]}
    return Peer(name=NAMES[peer], answers=now)


def _request(one: Asked, folder: Path) -> dict[str, Any]:
    case = one.case
    where = folder / digest.of_bytes(one.name.encode()).removeprefix("sha256:")[:16]
    shutil.rmtree(where, ignore_errors=True)
    case.write(where, case.config(where))
    files = [where / f"{who}{split}.parquet" for who in ("", "candidate-") for split in (TRAIN, TEST)]
    return {
        "name": one.name,
        "key": digest.of_bytes("".join(digest.of_file(file) for file in files).encode()),
        "folder": str(where),
        "task": case.task,
        "label": case.label,
        "id": case.id,
        "time": case.facts.get("time"),
        "categorical": case.facts["categorical"],
        "classes": list(case.classes),
        "columns": {name: said["type"] for name, said in case.columns.items()},
    }


def read(answers: Path) -> dict[str, dict[str, Any]]:
    """Return the answers so far, by case; of two, the later."""
    if not answers.exists():
        return {}
    return {(answer := json.loads(line))["case"]: answer for line in answers.read_text().splitlines()}


@dataclass(frozen=True, kw_only=True)
class Ours:
    """What our gates say of the same cases."""

    caught: frozenset[str]  #: names of defects
    refused: int  #: clean cases in which anything but a pass came back


def ours() -> Ours:
    """Judge all cases as the test suite does."""
    with tempfile.TemporaryDirectory() as scratch:
        caught = frozenset(defect.name for defect in DEFECTS if _is_caught(defect, Path(scratch)))
        clean = [SHAPES[shape](ROWS, seed) for shape, seed in CLEAN]
        found = [judging.judged(judging.without_classifier(case), _new(Path(scratch))) for case in clean]
    refused = sum(any(j.outcome is not Outcome.PASS for j in verdict.judgements) for verdict in found)
    return Ours(caught=caught, refused=refused)


def _is_caught(defect: Defect, scratch: Path) -> bool:
    case = defect.broken() if ALL_COLUMNS in defect.measurement else judging.without_classifier(defect.broken())
    found = judging.judged(case, _new(scratch), only=(defect.gate,))
    return bool(judging.failed(found, defect.gate, defect.measurement))


def _new(scratch: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=scratch))


@dataclass(frozen=True, kw_only=True)
class Peer:
    """What one peer answered, to all cases."""

    name: str
    answers: Mapping[str, Mapping[str, Any]]

    def failing(self, name: str) -> dict[str, str]:
        """Return the tests that fail on a case, each with the name that people know it by."""
        return {"::".join(_key(test)): _shown(test) for test in self.answers.get(name, {}).get("failed", [])}

    def knows(self, defect: Defect) -> bool:
        """Whether it was asked about a defect and about the case before the planting."""
        return {defect.name, _twin(defect)} <= self.answers.keys()

    def caught(self, defect: Defect) -> str:
        """Return the first test that refuses a defect; empty: none does.

        One that also fails on the clean twin, or on another clean case of the shape, tells nothing and does not count.
        """
        twin = _twin(defect)
        clean = {test for name in self.answers if _is_clean(name, defect.shape, twin) for test in self.failing(name)}
        return next((said for test, said in self.failing(defect.name).items() if test not in clean), "")

    def cell(self, defect: Defect) -> str:
        """Return what the page's table says."""
        if not self.knows(defect):
            return "not asked"
        answer, twin = self.answers[defect.name], self.answers[_twin(defect)]
        if caught := self.caught(defect):
            return f"**caught** ({caught})"
        more = len(set(_cut(answer["trouble"] + answer["not_run"])) - set(_cut(twin["trouble"] + twin["not_run"])))
        return f"missed; {more} more could not run" if more else "missed"


def _key(test: Sequence[str]) -> tuple[str, ...]:
    """Return what names a test: the suite, the check, its condition; Evidently's without the numbers it expects."""
    suite, check, condition, _ = test
    return suite, check, condition.partition(": ")[0] if suite.endswith("Preset") else condition


def _shown(test: Sequence[str]) -> str:
    suite, check, condition, _ = test
    return condition.partition(": ")[0] if suite.endswith("Preset") else check


def _cut(said: Iterable[str]) -> Iterator[str]:
    return (":".join(one.split(":")[:2]) for one in said)


def _is_clean(name: str, shape: str, twin: str) -> bool:
    return name == twin or name.startswith(f"clean {shape} ")


def page(peers: Sequence[Peer], own: Ours, today: date) -> str:
    """Return the generated part of the page: what was asked, the clean cases, and a line for each defect."""
    versions = ", ".join(f"{p.name} {next(iter(p.answers.values()))['version']}" for p in peers)
    asked = [defect for defect in DEFECTS if all(p.knows(defect) for p in peers)]
    rows = [("", ["Passmuster", *(p.name for p in peers)]), ("---", ["---"] * (len(peers) + 1))]
    rows += [(f"defects caught, of {len(asked)}", _counts(asked, peers, own))]
    for gate in dict.fromkeys(defect.gate for defect in asked):
        these = [defect for defect in asked if defect.gate == gate]
        rows += [(f"– for gate `{gate}`, of {len(these)}", _counts(these, peers, own))]
    clean = [f"clean {shape} {seed}" for shape, seed in CLEAN]
    refused = [own.refused, *(sum(bool(p.failing(name)) for name in clean) for p in peers)]
    rows += [(f"clean cases with a failed test, of {len(clean)}", refused)]
    lines = [f"{versions}; {today.isoformat()}.", "", *(_line(first, *others) for first, others in rows), ""]
    heads = ("defect", "shape, rows", "gate: measurement", "effect", "Passmuster", *(p.name for p in peers))
    lines += [_line(*heads), _line(*["---"] * len(heads))]
    for d in DEFECTS:
        cells = ("**caught**" if d.name in own.caught else "missed", *(p.cell(d) for p in peers))
        lines += [described(d) + "".join(f" {cell} |" for cell in cells)]
    return "\n".join(lines)


def _counts(defects: Sequence[Defect], peers: Sequence[Peer], own: Ours) -> list[int]:
    return [sum(d.name in own.caught for d in defects), *(sum(bool(p.caught(d)) for d in defects) for p in peers)]


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def described(defect: Defect) -> str:
    """Return the beginning of a defect's line in the page: what is planted, and who must catch it."""
    size = f" ({defect.size:g})" if defect.size is not None else ""
    measured = f"{defect.gate}: `{defect.measurement}`"
    return f"| {defect.name} | {defect.shape}, {defect.rows:,} | {measured} | {defect.effect}{size} |"


def write(peers: Sequence[Peer], own: Ours, today: date) -> None:
    """Put the table between its marks in the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{page(peers, own, today)}\n\n{END}{after}")


def main() -> None:
    """Ask the peers, and write the page where all was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="defects whose gate or name has this text; writes no page")
    parser.add_argument("--scratch", type=Path, default=ROOT / ".demo" / "corpus-peers")
    parser.add_argument("--peer", choices=sorted(LOCKS), action="append")
    arguments = parser.parse_args()
    scratch = arguments.scratch.absolute()
    requests = laid_out(scratch, arguments.only)
    for peer in arguments.peer or LOCKS:
        ask(peer, requests, scratch)
    if not arguments.only:
        write([answered(peer, requests, scratch) for peer in LOCKS], ours(), date.today())


if __name__ == "__main__":
    main()

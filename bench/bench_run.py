"""What `passmuster run` costs beyond training and Deepchecks, and where that time goes.

Run it: `python bench/bench_run.py`. It plays two acts of the demo in a scratch clone with a remote and an MLflow of its
own (a first champion, then a better candidate that is compared and promoted), and watches the processes that each run
starts. Overhead is the time in which neither a stage of the pipeline nor Deepchecks runs: what the user waits for
passmuster, DVC's and MLflow's start included. Goal: under 5 s, with all environments made before.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from passmuster import environments
from passmuster_checks.deepchecks import client

PROJECT = Path(__file__).resolve().parent.parent
MODEL = "credit-default"
LOCK = PROJECT / "models" / MODEL / "requirements.txt"
GOAL_SECONDS = 5.0
LOOK_EVERY = 0.02

#: What a process is, by a word of its command line; the first that fits counts.
KINDS = {
    "dvc": "DVC, re-running",
    "runner": "Deepchecks",
    "score.py": "scoring program",
    "pytest": "behaviour tests",
    "passmuster._gate_worker": "workers of gates",
    "git": "git",
    "uv": "uv",
}
STAGE, DEEPCHECKS = "stages of the pipeline", "Deepchecks"


@dataclass(kw_only=True)
class Seen:
    """One process, as often as it was looked at."""

    kind: str
    first: float
    last: float
    cpu: float = 0.0


@dataclass(kw_only=True)
class Watched:
    """A run of the command."""

    began: float
    ended: float = 0.0
    processes: dict[tuple[int, float], Seen] = field(default_factory=dict)
    steps: list[tuple[float, str]] = field(default_factory=list)


def main() -> int:
    for lock in (LOCK, client.LOCK):
        environments.ensure(lock, python=client.PYTHON if lock == client.LOCK else None)
    with tempfile.TemporaryDirectory(prefix="passmuster-bench-") as name:
        clone = cloned(Path(name))
        first = report("first champion", watch(clone, "--first"))
        propose(clone)
        better = report("a better candidate, compared in pairs and promoted", watch(clone))
        again = watch(clone)
        print(f"\nthe same once more, where nothing is to be done: {again.ended - again.began:.2f} s")
    met = max(first, better) < GOAL_SECONDS
    print(f"goal (overhead under {GOAL_SECONDS:g} s): {'met' if met else 'not met'}")
    return 0


def cloned(folder: Path) -> Path:
    """Return a clone of the project as it is committed, with a bare remote."""
    remote, clone = folder / "remote.git", folder / "clone"
    call("git", "clone", "--quiet", "--bare", "--no-tags", str(PROJECT), str(remote), cwd=folder)
    call("git", "clone", "--quiet", str(remote), str(clone), cwd=folder)
    call("git", "switch", "--quiet", "--force-create", "main", cwd=clone)
    return clone


def propose(clone: Path) -> None:
    """Train on more features, as the demo's second act does, and commit."""
    call("git", "apply", str(PROJECT / "demo" / "act-2.patch"), cwd=clone)
    path = f"{environments.ensure(LOCK).parent}{os.pathsep}{os.environ['PATH']}"
    call(sys.executable, "-m", "dvc", "repro", "--quiet", f"{MODEL}-evaluate", cwd=clone, PATH=path)
    call("git", "commit", "--quiet", "--all", "--message", "Use more features", cwd=clone)
    call("git", "push", "--quiet", "origin", "HEAD", cwd=clone)


def settings(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "GIT_", "DVC_"))}
    who = {f"GIT_{role}_{key}": "bench@localhost" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    return {**kept, **who, "DVC_NO_ANALYTICS": "1", **more}


def call(*command: str, cwd: Path, **more: str) -> None:
    subprocess.run(command, cwd=cwd, env=settings(**more), check=True, capture_output=True)


def watch(clone: Path, *options: str) -> Watched:
    """Run `passmuster run`, and look at its processes until it ends."""
    found = Watched(began=time.monotonic())
    with subprocess.Popen(
        [sys.executable, "-m", "passmuster", "run", MODEL, *options],
        cwd=clone,
        env=settings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said: list[str] = []
        readers = [
            threading.Thread(target=listen, args=(process.stderr, found.steps, said)),
            threading.Thread(target=lambda: said.extend(process.stdout or ())),
        ]
        for reader in readers:
            reader.start()
        top = psutil.Process(process.pid)
        while process.poll() is None:
            look(top, found)
            time.sleep(LOOK_EVERY)
        found.ended = time.monotonic()
        for reader in readers:
            reader.join()
    if process.returncode:
        sys.exit(f"`passmuster run` ended with {process.returncode}:\n{''.join(said)}")
    return found


def listen(stream: Iterable[str] | None, steps: list[tuple[float, str]], said: list[str]) -> None:
    for line in stream or ():
        said.append(line)
        if not line.startswith("passmuster: scored "):  # progress within a step
            steps.append((time.monotonic(), line.removeprefix("passmuster: ").strip()))


def look(top: psutil.Process, found: Watched) -> None:
    now = time.monotonic()
    try:
        alive = [top, *top.children(recursive=True)]
    except psutil.Error:
        return
    for process in alive:
        try:
            kind = "passmuster itself" if process.pid == top.pid else kind_of(process, top)
            key = (process.pid, process.create_time())
            times = process.cpu_times()
        except psutil.Error:
            continue
        if kind is not None:
            seen = found.processes.setdefault(key, Seen(kind=kind, first=now, last=now))
            seen.kind, seen.last, seen.cpu = kind, now, times.user + times.system


def kind_of(process: psutil.Process, top: psutil.Process) -> str | None:
    """Return what a process is; None where it only holds another one, as `unshare` does."""
    own = kind_by(process.cmdline())
    above = {kind_by(each.cmdline()) for each in process.parents() if each.pid != top.pid}
    if KINDS["dvc"] in above:
        return STAGE
    return DEEPCHECKS if DEEPCHECKS in above else own


def kind_by(command: list[str]) -> str | None:
    words = [Path(word).name for word in command]
    if not words or words[0] == "unshare" or any('"$@"' in word for word in command):
        return None
    return next((kind for word, kind in KINDS.items() if word in words), "others")


def report(title: str, run: Watched) -> float:
    """Print where the time went, and return the overhead."""
    wall = run.ended - run.began
    print(f"\n{title}: {wall:.2f} s")
    print(f"  {'processes':24} {'starts':>6} {'seconds':>8} {'processor':>10}")
    for kind in sorted({seen.kind for seen in run.processes.values()}):
        group = [seen for seen in run.processes.values() if seen.kind == kind]
        spent = covered((seen.first, seen.last) for seen in group)
        print(f"  {kind:24} {len(group):>6} {spent:>8.2f} {sum(seen.cpu for seen in group):>10.2f}")
    wanted = [(seen.first, seen.last) for seen in run.processes.values() if seen.kind in (STAGE, DEEPCHECKS)]
    print(f"  {'steps, as they were said':64} {'seconds':>8} {'overhead':>9}")
    for began, ended, text in spans(run):
        inside = covered((max(first, began), min(last, ended)) for first, last in wanted)
        print(f"  {text[:64]:64} {ended - began:>8.2f} {ended - began - inside:>9.2f}")
    overhead = wall - covered(wanted)
    print(f"  overhead beyond stages and Deepchecks: {overhead:.2f} s of {wall:.2f} s ({overhead / wall:.0%})")
    return overhead


def spans(run: Watched) -> Iterator[tuple[float, float, str]]:
    """Yield the time from each step to the next; what took no time is left out."""
    points = [(run.began, "start"), *run.steps, (run.ended, "end")]
    for (began, text), (ended, _) in itertools.pairwise(points):
        if ended - began >= 0.05:
            yield began, ended, text


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of `intervals`."""
    total, end = 0.0, float("-inf")
    for first, last in sorted((first, last) for first, last in intervals if last > first):
        if last > end:
            total += last - max(first, end)
            end = last
    return total


if __name__ == "__main__":
    sys.exit(main())
